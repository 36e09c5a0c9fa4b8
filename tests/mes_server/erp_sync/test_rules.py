"""The pure rules of the ERP border."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes_server.erp_sync.rules import Holding, backoff_s, confirmation_parts, key, orders_touched, version_wins


def holding(quantities: dict[str, float], *, final: bool = False) -> Holding:
    return Holding(quantities, {70: ("2026-03-02T00:00:00.000Z", None)}, {"SN-1": "P-310", "SN-2": "P-310"}, final)


@pytest.mark.parametrize(
    ("subject", "payload", "orders"),
    [
        ("order:WO-1001", "{}", {"WO-1001"}),
        ("operation:WO-1001/20", "{}", {"WO-1001"}),
        ("lot:L-7", '{"command":{"operation":"WO-1002/70","lot":"L-7"}}', {"WO-1002"}),
        ("person:4711", "{}", set()),
    ],
)
def test_the_journal_names_the_orders_it_touched(subject: str, payload: str, orders: set[str]) -> None:
    """By subject, else by the command's operation."""
    assert orders == orders_touched(subject, payload)


@pytest.mark.parametrize(("seen", "incoming", "wins"), [(None, 1, True), (1, 2, True), (2, 2, False), (3, 2, False)])
def test_only_a_newer_version_wins(seen: int | None, incoming: int, wins: bool) -> None:
    """A repeat and a late old version change nothing."""
    assert wins == version_wins(seen, incoming)


def test_backoff_doubles_to_five_minutes() -> None:
    """2, 4, 8 … at most 300 s, spread by a quarter either way."""
    assert [backoff_s(1, 0.5), backoff_s(2, 0.5), backoff_s(3, 0.5), backoff_s(40, 0.5)] == [2.0, 4.0, 8.0, 300.0]
    assert (backoff_s(1, 0.0), backoff_s(1, 1.0)) == (1.5, 2.5)


def test_a_message_carries_the_difference() -> None:
    """Ten good were handed over, twelve are made and one was scrapped: +2 and +1."""
    now = holding({key("op", 70, "good"): 12.0, key("op", 70, "scrap"): 1.0, key("lot", 70, "SEAL-01", "L-9"): 13.0})
    segments, materials, after = confirmation_parts(now, {key("op", 70, "good"): 10.0})

    assert [(row["operation"], row["good"], row["scrap"], row["rework"]) for row in segments] == [(70, 2, 1, 0)]
    assert segments[0]["started_at"] == "2026-03-02T00:00:00.000Z"
    assert [(m["use"], m["item"], m["lot"], m["quantity"], m["operation"]) for m in materials] == [("consumed", "SEAL-01", "L-9", 13.0, 70)]
    assert dict(now.quantities) == after


def test_a_correction_is_negative_and_a_return_is_a_return() -> None:
    """What was said too much is taken back by a difference of its own."""
    handed = {key("op", 70, "good"): 12.0, key("lot", 70, "SEAL-01", "L-9"): 13.0, key("serial", "SN-1", "P-310"): 1.0}
    segments, materials, _ = confirmation_parts(holding({key("op", 70, "good"): 11.0, key("lot", 70, "SEAL-01", "L-9"): 12.0}), handed)

    assert [row["good"] for row in segments] == [-1]
    assert [(m["use"], m["quantity"]) for m in materials] == [("returned", 1.0), ("returned", 1)]


def test_serials_of_one_item_stand_in_one_line() -> None:
    """An ERP books serials by item."""
    now = holding({key("serial", "SN-1", "P-310"): 1.0, key("serial", "SN-2", "P-310"): 1.0})
    _, materials, _ = confirmation_parts(now, {})

    assert [(m["use"], m["item"], m["serials"], m["quantity"]) for m in materials] == [("produced", "P-310", ["SN-1", "SN-2"], 2)]


def test_nothing_changed_says_nothing() -> None:
    """The same book again makes no message."""
    now = {key("op", 10, "good"): 5.0}

    assert ([], [], now) == confirmation_parts(holding(now), now)


@given(st.lists(st.dictionaries(st.sampled_from([10, 20, 30]), st.integers(0, 50), max_size=3), min_size=1, max_size=12))
def test_the_sum_of_all_messages_is_the_book(books: list[dict[int, int]]) -> None:
    """Whatever the book shows from time to time, what was said adds up to the last of it."""
    handed: dict[str, float] = {}
    said: dict[int, int] = {}
    for book in books:
        segments, _, handed = confirmation_parts(holding({key("op", number, "good"): float(good) for number, good in book.items()}), handed)
        for row in segments:
            said[row["operation"]] = said.get(row["operation"], 0) + row["good"]

    assert {number: good for number, good in books[-1].items() if good} == {number: good for number, good in said.items() if good}
