"""GS1 element strings and Digital Link URIs, pure: which application identifiers (AIs) a scan holds, each checked for length, signs, dates, digits.

A scanner announces GS1 by its symbology identifier (]C1 Code 128, ]d2 DataMatrix, ]Q3 QR, ]e0 DataBar, ]J1 DotCode). FNC1 arrives as 0x1d, as "^", or
written out. Sources: GS1 General Specifications sections 3 and 7.8, GS1 Digital Link URI syntax 1.4.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from urllib.parse import unquote, urlsplit

from mes_server.scans.gs1_table import TABLE

FNC1 = "\x1d"
SYMBOLOGIES = ("]C1", "]d2", "]Q3", "]e0", "]J1")
SEPARATORS = ("\u241d", "<GS>", "{GS}", "[GS]", "\\x1d", "\\u001d")
_CSET82 = frozenset("!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
_CSET39 = frozenset("#-/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CSET64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
_CSET32 = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_PRIMES = tuple(number for number in range(2, 550) if all(number % small for small in range(2, 24) if small < number))[:97]
# AIs that may begin the path of a Digital Link, and those that may qualify them
_DL_KEYS = frozenset({"00", "01", "253", "255", "401", "402", "414", "417", "8003", "8004", "8006", "8010", "8013", "8017", "8018"})


class Gs1Error(ValueError):
    """The text is no valid GS1 message; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Component:
    """One part of an AI's value: kind N X Y Z, length between `least` and `most`, `optional`, the checks by name."""

    kind: str
    least: int
    most: int
    optional: bool
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    fixed: bool  # length fixed in advance: no separator needed
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Element:
    ai: str
    value: str


# --- the table --------------------------------------------------------------------------------------------------------------------------
_COMPONENT = re.compile(r"(\[?)([NXYZ])(\.\.)?(\d+)\]?(?:,(.+))?")


@cache
def table() -> dict[str, Spec]:
    """AI → what its value looks like."""
    specs: dict[str, Spec] = {}
    for line in TABLE.strip().splitlines():
        names, *parts = line.split()
        spec = Spec(names.endswith("*"), tuple(_component(part) for part in parts))
        first, _, last = names.rstrip("*").partition("-")
        for number in range(int(first), int(last or first) + 1):
            specs[str(number).zfill(len(first))] = spec
    return specs


def _component(text: str) -> Component:
    found = _COMPONENT.fullmatch(text)
    assert found is not None, text
    bracket, kind, upto, length, checks = found.groups()
    return Component(kind, 1 if upto else int(length), int(length), bool(bracket), tuple(checks.split(",")) if checks else ())


# --- reading ----------------------------------------------------------------------------------------------------------------------------
def normalised(scanned: str) -> tuple[str, bool]:
    """(element string with FNC1 as 0x1d, whether the scanner said it is GS1)."""
    text, announced = scanned, False
    for symbology in SYMBOLOGIES:
        if text.startswith(symbology):
            text, announced = text[len(symbology) :], True
    for written in SEPARATORS:
        text = text.replace(written, FNC1)
    if text.startswith("^"):
        text = text.replace("^", FNC1)
    if text.startswith(FNC1):
        text, announced = text[1:], True
    return text, announced


def parse_elements(text: str) -> list[Element]:
    """Elements of an element string without leading FNC1, separators as 0x1d. Raises Gs1Error."""
    if not text:
        raise Gs1Error("empty")
    elements: list[Element] = []
    rest = text
    while rest:
        ai, spec = _ai_of(rest)
        rest = rest[len(ai) :]
        end = rest.find(FNC1)
        value = rest if end < 0 else rest[:end]
        if spec.fixed:
            value = value[: sum(part.most for part in spec.components)]
            rest = rest[len(value) :]
            rest = rest.removeprefix(FNC1)
        else:
            rest = "" if end < 0 else rest[end + 1 :]
        check_value(ai, value)
        elements.append(Element(ai, value))
    _check_repeats(elements)
    return elements


def parse_bracketed(text: str) -> list[Element]:
    """The human readable form: (01)…(10)…; a bracket inside a value is written \\(. Raises Gs1Error."""
    parts = re.findall(r"\((\d{2,4})\)((?:\\\(|[^(])*)", text)
    if not parts or "".join(f"({ai}){value}" for ai, value in parts) != text:
        raise Gs1Error("not a bracketed element string")
    elements = [Element(ai, value.replace("\\(", "(")) for ai, value in parts]
    for element in elements:
        check_value(element.ai, element.value)
    _check_repeats(elements)
    return elements


def parse_digital_link(uri: str) -> list[Element]:
    """Elements of https://…/01/<gtin>/21/<serial>?17=<date>. Raises Gs1Error."""
    parts = urlsplit(uri)
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        raise Gs1Error("not a Digital Link")
    segments = parts.path.split("/")[1:]
    start = next((index for index in range(len(segments) - 1) if segments[index] in _DL_KEYS and (len(segments) - index) % 2 == 0), None)
    if start is None:
        raise Gs1Error("no GS1 key in the path")
    elements = [Element(segments[index], unquote(segments[index + 1])) for index in range(start, len(segments), 2)]
    for pair in filter(None, re.split("[&;]", parts.query)):
        name, _, value = pair.partition("=")
        if name.isdigit() and name in table():
            elements.append(Element(name, unquote(value)))
    elements = [Element("01", one.value.zfill(14)) if one.ai == "01" and len(one.value) in (8, 12, 13) else one for one in elements]
    for element in elements:
        check_value(element.ai, element.value)
    _check_repeats(elements)
    return elements


def read(scanned: str) -> list[Element] | None:
    """Elements of whatever a scanner sent, or None where it is not GS1 at all. Raises Gs1Error where it claims to be and is torn."""
    if scanned.lower().startswith(("http://", "https://")):
        try:
            return parse_digital_link(scanned)
        except Gs1Error:
            return None
    text, announced = normalised(scanned)
    if not announced and text.startswith("("):
        return parse_bracketed(text)
    if announced:
        return parse_elements(text)
    # A scanner that hides the symbology: take it only where chance is small, a key with its check digit in front.
    if len(text) >= 16 and text[:2] in ("00", "01", "02") and text[: 20 if text[:2] == "00" else 16].isdigit():
        try:
            return parse_elements(text)
        except Gs1Error:
            return None
    return None


def _ai_of(rest: str) -> tuple[str, Spec]:
    for length in (2, 3, 4):
        spec = table().get(rest[:length])
        if spec is not None and len(rest) >= length:
            return rest[:length], spec
    if rest[:2] in ("91", "92", "93", "94", "95", "96", "97", "98", "99"):
        return rest[:2], table()["99"]
    raise Gs1Error(f"no application identifier begins “{rest[:4]}”")


def _check_repeats(elements: list[Element]) -> None:
    seen: dict[str, str] = {}
    for element in elements:
        if seen.setdefault(element.ai, element.value) != element.value:
            raise Gs1Error(f"({element.ai}) twice with different values")


# --- checking one value -------------------------------------------------------------------------------------------------------------------
def check_value(ai: str, value: str) -> None:
    """Raises Gs1Error where the value does not fit its AI."""
    spec = table().get(ai)
    if spec is None:
        raise Gs1Error(f"({ai}) is not an application identifier")
    rest = value
    for part in spec.components:
        if not rest and part.optional:
            break
        piece, rest = rest[: part.most], rest[part.most :]
        if len(piece) < part.least:
            raise Gs1Error(f"({ai}) is too short")
        if not _signs_fit(part.kind, piece):
            raise Gs1Error(f"({ai}) holds signs it may not")
        for name in part.checks:
            if not CHECKS[name](piece):
                raise Gs1Error(f"({ai}) fails its check “{name}”")
    if rest:
        raise Gs1Error(f"({ai}) is too long")


def _signs_fit(kind: str, text: str) -> bool:
    if kind == "N":
        return text.isascii() and text.isdigit()
    return set(text) <= {"X": _CSET82, "Y": _CSET39, "Z": _CSET64}[kind]


def gtin_check_digit(digits: str) -> int:
    """Check digit of the digits before it (GS1 General Specifications 7.9.1): weights 3 and 1 from the right."""
    return -sum(int(digit) * (3 if index % 2 == 0 else 1) for index, digit in enumerate(reversed(digits))) % 10


def check_digit_fits(digits: str) -> bool:
    return len(digits) > 1 and digits.isascii() and digits.isdigit() and gtin_check_digit(digits[:-1]) == int(digits[-1])


def _check_pair_fits(text: str) -> bool:
    """GS1's check character pair over 82 signs (General Specifications 7.9.5)."""
    body, pair = text[:-2], text[-2:]
    signs = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
    if len(text) < 2 or len(body) > len(_PRIMES) or any(sign not in signs for sign in body) or any(sign not in _CSET32 for sign in pair):
        return False
    total = sum(signs.index(sign) * prime for sign, prime in zip(reversed(body), _PRIMES, strict=False)) % 1021
    return pair == _CSET32[total >> 5] + _CSET32[total & 31]


def day(yymmdd: str) -> date | None:
    """The day of a YYMMDD (00 = last of the month). Years 51–99 are 1951–1999: the window of GS1 (7.12) as it stands in this half century."""
    if len(yymmdd) != 6 or not (yymmdd.isascii() and yymmdd.isdigit()):
        return None
    year, month, number = int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:])
    year += 2000 if year <= 50 else 1900
    if not 1 <= month <= 12:
        return None
    last = calendar.monthrange(year, month)[1]
    return date(year, month, number or last) if number <= last else None


def _is_day8(text: str, *, month_only: bool = False) -> bool:
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        return False
    year, month, number = int(text[:4]), int(text[4:6]), int(text[6:])
    if year < 1 or not 1 <= month <= 12 or (number == 0 and not month_only):
        return False
    return number <= calendar.monthrange(year, month)[1]


def _below(limit: int) -> Callable[[str], bool]:
    return lambda text: len(text) == 2 and text.isascii() and text.isdigit() and int(text) < limit


def _piece_of_total(text: str) -> bool:
    half = len(text) // 2
    return len(text) % 2 == 0 and text.isascii() and text.isdigit() and 0 < int(text[:half]) <= int(text[half:])


def _pos_in_seq(text: str) -> bool:
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    return found is not None and int(found[1]) <= int(found[2])


CHECKS: dict[str, Callable[[str], bool]] = {
    "csum": check_digit_fits,
    "csumalpha": _check_pair_fits,
    "yymmdd": lambda text: day(text) is not None and text[4:] != "00",
    "yymmd0": lambda text: day(text) is not None,
    "yyyymmdd": _is_day8,
    "yyyymmd0": lambda text: _is_day8(text, month_only=True),
    "hhmi": lambda text: len(text) == 4 and _below(24)(text[:2]) and _below(60)(text[2:]),
    "hh": _below(24),
    "mi": _below(60),
    "ss": _below(60),
    "nonzero": lambda text: text.isdigit() and int(text) != 0,
    "zero": lambda text: text.isdigit() and int(text) == 0,
    "nozeroprefix": lambda text: text == "" or (text.isascii() and text.isdigit() and not text.startswith("0")),
    "hasnondigit": lambda text: any(not sign.isdigit() for sign in text),
    "pieceoftotal": _piece_of_total,
    "posinseqslash": _pos_in_seq,
    "yesno": lambda text: text in ("0", "1"),
    "winding": lambda text: text in ("0", "1", "9"),
    "iso5218": lambda text: text in ("0", "1", "2", "9"),
    "hyphen": lambda text: text != "" and set(text) == {"-"},
    "pcenc": lambda text: re.fullmatch(r"(?:[^%]|%[0-9A-Fa-f]{2})*", text) is not None,
}


# --- writing ------------------------------------------------------------------------------------------------------------------------------
def element_string(elements: list[Element]) -> str:
    """For a barcode writer: elements one after the other, 0x1d after each of variable length but the last. Raises Gs1Error."""
    out = ""
    for index, element in enumerate(elements):
        check_value(element.ai, element.value)
        out += element.ai + element.value
        if index < len(elements) - 1 and not table()[element.ai].fixed:
            out += FNC1
    return out
