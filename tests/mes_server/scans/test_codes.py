"""Own codes and GS1, pure. GS1's own vectors are read from beside the repository where they are; the cases here always run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes_server.scans import codes, gs1
from tests.support.data import shared

GTIN = "06901234567892"

_texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x9FFF, exclude_characters="*"), min_size=1, max_size=40)


# --- own codes ----------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("body", "check"), [("A12425GABC1234002", "M"), ("W*WO-1001", codes.check_character("WWO1001")), ("", "1")])
def test_the_check_character_is_iso_7064_mod_37_36(body: str, check: str) -> None:
    assert codes.check_character(body) == check


@given(st.sampled_from(sorted(codes.LETTERS)), _texts)
def test_a_code_reads_back(kind: str, text: str) -> None:
    assert codes.parse(codes.own_code(kind, text)) == codes.OwnCode(kind, text)


@given(st.sampled_from(sorted(codes.LETTERS)), st.from_regex(r"[A-Z0-9]{2,20}", fullmatch=True), st.data())
def test_one_wrong_or_swapped_sign_is_seen(kind: str, text: str, data: st.DataObject) -> None:
    code = codes.own_code(kind, text)
    place = data.draw(st.integers(2, len(code) - 1))
    other = data.draw(st.sampled_from([sign for sign in codes.ALPHABET if sign != code[place]]))
    assert codes.parse(code[:place] + other + code[place + 1 :]) is None
    if place + 1 < len(code) - 1 and code[place] != code[place + 1]:
        swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
        found = codes.parse(swapped)
        assert found is None or found.text != text


@given(st.sampled_from(sorted(codes.LETTERS)), st.from_regex(r"[A-Z]{2}-[0-9]{3,6}", fullmatch=True))
def test_fragments_and_doubled_values_are_no_codes(kind: str, text: str) -> None:
    code = codes.own_code(kind, text)
    assert all(codes.parse(code[cut:]) is None or code[cut:] == code for cut in range(1, len(code)))
    assert codes.parse(code + code) is None and codes.parse(code + code[2:]) is None


def test_torn_tails_are_seen_but_for_chance() -> None:
    """One check character lets one of 36 torn tails pass; what passes is then no order we know."""
    passed = total = 0
    for number in range(20_000):
        code = codes.own_code("order", f"WO-{number:05d}")
        for cut in range(4, len(code)):
            total += 1
            passed += codes.parse(code[:cut]) is not None
    assert passed / total < 0.04


# --- GS1 ------------------------------------------------------------------------------------------------------------------------------------
def _values(scanned: str) -> dict[str, str] | None:
    found = gs1.read(scanned)
    return None if found is None else {one.ai: one.value for one in found}


@pytest.mark.parametrize(
    ("scanned", "values"),
    [
        (f"]C101{GTIN}10ABC123", {"01": GTIN, "10": "ABC123"}),
        (f"]d201{GTIN}10AB\x1d17261231", {"01": GTIN, "10": "AB", "17": "261231"}),
        (f"]Q3\x1d01{GTIN}21S-1\x1d30{12}", {"01": GTIN, "21": "S-1", "30": "12"}),
        (f"^01{GTIN}10AB^21XY", {"01": GTIN, "10": "AB", "21": "XY"}),
        (f"\x1d01{GTIN}", {"01": GTIN}),
        (f"]e001{GTIN}3103000125", {"01": GTIN, "3103": "000125"}),
        (f"01{GTIN}10LOT7", {"01": GTIN, "10": "LOT7"}),
        (f"(01){GTIN}(10)LOT7", {"01": GTIN, "10": "LOT7"}),
        (f"]C101{GTIN}10AB<GS>400PO-77", {"01": GTIN, "10": "AB", "400": "PO-77"}),
        (f"https://id.gs1.org/01/{GTIN}/10/AB/21/S1?17=261231", {"01": GTIN, "10": "AB", "21": "S1", "17": "261231"}),
        ("https://example.com/01/6901234567892", {"01": GTIN}),
        ("WO-1001", None),
        ("6901234567892", None),
        ("https://example.com/about", None),
        ("01234", None),
    ],
)
def test_messages_are_read_however_they_come(scanned: str, values: dict[str, str] | None) -> None:
    assert _values(scanned) == values


@pytest.mark.parametrize(
    "scanned",
    [
        "]C1",
        "]C101069012345678",
        f"]C101{GTIN[:-1]}3",
        "]C110",
        "]C117261331",
        "]C117260230",
        f"]d201{GTIN}9",
        "(01)069012345678921",
        "]C1zz",
    ],
)
def test_what_claims_to_be_gs1_and_is_torn_is_an_error(scanned: str) -> None:
    with pytest.raises(gs1.Gs1Error):
        gs1.read(scanned)


def test_elements_written_read_back() -> None:
    elements = [gs1.Element("10", "A(1"), gs1.Element("01", GTIN), gs1.Element("21", "S/9")]
    assert gs1.parse_elements(gs1.element_string(elements)) == elements


def _vectors(name: str) -> list[dict[str, Any]]:
    path = shared(f"gs1/{name}")
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def test_gs1s_own_element_string_vectors() -> None:
    seen = 0
    for vector in _vectors("engine_ai_unbracketed.jsonl"):
        good, message = vector["args"][:2]
        if not isinstance(message, str):
            continue
        text, announced = gs1.normalised(message)
        seen += 1
        if good:
            gs1.parse_elements(text)
            assert announced, vector
        elif announced:
            with pytest.raises(gs1.Gs1Error):
                gs1.parse_elements(text)
    assert seen > 70


def test_gs1s_own_bracketed_vectors() -> None:
    seen = 0
    for vector in _vectors("engine_ai_bracketed.jsonl"):
        good, message, *written = vector["args"]
        if not isinstance(message, str):
            continue
        seen += 1
        if good:
            assert "^" + gs1.element_string(gs1.parse_bracketed(message)).replace(gs1.FNC1, "^") == written[0], vector
        else:
            with pytest.raises(gs1.Gs1Error):
                gs1.parse_bracketed(message)
    assert seen > 20


def test_gs1s_own_checks() -> None:
    seen = 0
    for vector in _vectors("lint_vectors.jsonl"):
        check = gs1.CHECKS.get(vector["linter"])
        if check is not None:
            seen += 1
            assert check(vector["value"]) == vector["ok"], vector
    assert seen > 500


def test_gs1s_own_digital_links() -> None:
    seen = 0
    for vector in _vectors("engine_digital_link_generate.jsonl"):
        good, _, message, uri = vector["args"][:4]
        if not good or "(89)" in message:
            continue
        seen += 1
        assert set(gs1.parse_digital_link(uri)) == set(gs1.parse_bracketed(message)), vector
    assert seen > 10
