"""Our own codes, pure: `W*WO-1001X` = type letter, `*`, text, check character.

The check is ISO/IEC 7064 MOD 37,36 over the letters and digits of type letter and text. A torn or mistyped code does not validate: without its
head it has no type letter, a doubled one has a second `*`, and its tail is checked. The tablet has the same rules (`web_kit/src/scan/codes.ts`).
"""

from __future__ import annotations

from dataclasses import dataclass

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
KINDS: dict[str, str] = {"W": "order", "O": "operation", "L": "lot", "S": "serial", "M": "machine", "R": "reason", "B": "badge"}
LETTERS = {kind: letter for letter, kind in KINDS.items()}
_VALUES = {sign: value for value, sign in enumerate(ALPHABET)}


@dataclass(frozen=True, slots=True)
class OwnCode:
    kind: str
    text: str


def check_character(text: str) -> str:
    """ISO/IEC 7064 MOD 37,36 (hybrid system). Signs outside 0–9 A–Z do not count; small letters count as capitals."""
    product = 36
    for sign in text.upper():
        value = _VALUES.get(sign)
        if value is None:
            continue
        total = (product + value) % 36 or 36
        product = total * 2 % 37
    return ALPHABET[(37 - product) % 36]


def own_code(kind: str, text: str) -> str:
    """The code to print. Raises ValueError for a text that holds `*` or is empty."""
    if not text or "*" in text:
        raise ValueError(f"{text!r} cannot stand in a code of ours")
    body = f"{LETTERS[kind]}*{text}"
    return body + check_character(body)


def looks_own(scanned: str) -> bool:
    return len(scanned) > 1 and scanned[0] in KINDS and scanned[1] == "*"


def parse(scanned: str) -> OwnCode | None:
    """What the code says, or None if it is not one of ours or does not validate."""
    if not looks_own(scanned) or len(scanned) < 4:
        return None
    body, check = scanned[:-1], scanned[-1]
    text = body[2:]
    if "*" in text or check_character(body) != check:
        return None
    return OwnCode(KINDS[scanned[0]], text)
