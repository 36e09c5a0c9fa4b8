"""Marks of one and of several records: what is written is read again, and nothing else is a mark."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.contract.delivery import RECORDS_MAX, BadMark, Mark, Marks

EPOCH = "0123456789abcdef"
NUMBERS = st.sets(st.integers(1, 2**63 - 1), min_size=1, max_size=9).map(sorted)


@settings(max_examples=40)
@given(NUMBERS, st.data())
def test_what_is_written_is_read_again(numbers: list[int], data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 20_000), min_size=len(numbers), max_size=len(numbers)))
    text = str(Marks(EPOCH, numbers, counts))
    found = Marks.parse(text, sum(counts))
    assert (found.epoch, list(found.numbers), list(found.counts)) == (EPOCH, numbers, counts)
    assert str(found) == text


def test_one_record_has_the_plain_mark() -> None:
    assert str(Marks(EPOCH, [7], [3])) == str(Mark(EPOCH, 7)) == f"{EPOCH}:7"
    assert Marks.parse(f"{EPOCH}:7", 3) == Marks(EPOCH, (7,), (3,))


def test_the_longest_mark_has_a_length_of_two_bytes() -> None:
    numbers = range(2**63 - RECORDS_MAX, 2**63)
    text = str(Marks(EPOCH, numbers, [20_000] * RECORDS_MAX))
    assert len(text) < 1 << 14
    assert list(Marks.parse(text, 20_000 * RECORDS_MAX).numbers) == list(numbers)


@pytest.mark.parametrize(
    ("parts", "metrics"),
    [
        ("101x3", 3),  # one record is written plainly
        ("101x3,", 3),
        (",101x3", 3),
        ("101x3,102", 4),
        ("101,102x3", 4),
        ("101x3;102x1", 4),
        ("101x3, 102x1", 4),
        ("101X3,102x1", 4),
        ("101x3,102x1\n", 4),
        ("101x3,102x01", 4),
        ("0101x3,102x1", 4),
        ("0x3,1x1", 4),
        ("-1x3,1x1", 4),
        ("101x+3,102x1", 4),
        ("101x-1,102x4", 3),
        ("101x3,101x1", 4),  # numbers rise
        ("102x3,101x1", 4),
        ("101x3,102x1", 5),  # and the counts are the message's
        ("101x3,102x1", 3),
        ("101x99999999,102x1", 100_000_000),
        ("١x3,٢x1", 4),
        (f"1x1,{2**63}x1", 2),
        (f"1x1,{10**30}x1", 2),
        ("1x1,2x1x1", 3),
        (",".join(f"{n}x1" for n in range(1, RECORDS_MAX + 2)), RECORDS_MAX + 1),
        ("9" * 5_000, 1),
        ("x", 0),
        ("", 1),
    ],
)
def test_what_is_no_mark(parts: str, metrics: int) -> None:
    with pytest.raises(BadMark):
        Marks.parse(f"{EPOCH}:{parts}", metrics)
    for epoch in (EPOCH[:-1], EPOCH + "0", EPOCH.upper(), ""):
        with pytest.raises(BadMark):
            Marks.parse(f"{epoch}:1x1,2x1", 2)


@given(st.text(alphabet="0123456789abcdef:x,+- ", max_size=60), st.integers(0, 50))
def test_whatever_comes_is_a_mark_or_refused(text: str, metrics: int) -> None:
    try:
        found = Marks.parse(text, metrics)
    except BadMark:
        return
    assert len(found.numbers) == 1 or str(found) == text
    assert sum(found.counts) == metrics and all(a < b for a, b in zip(found.numbers, found.numbers[1:], strict=False))
