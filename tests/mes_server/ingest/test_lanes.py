"""The small bounded place for records that come ahead of their turn."""

from __future__ import annotations

import random

from mes_server.ingest.delivery import HELD_BYTES_MAX, HELD_MAX, Lane


def offer(lane: Lane[int], *numbers: int, message: bytes = b"") -> list[int]:
    return lane.offer((n, n, message) for n in numbers)


def test_in_order_whatever_comes_first() -> None:
    lane: Lane[int] = Lane(4)
    assert offer(lane, 6, 8) == [] and offer(lane, 5) == [5, 6] and offer(lane, 6, 7, 9) == [7, 8, 9]
    assert (lane.mark, lane.repeats, lane.held) == (9, 1, {})


def test_bytes_are_those_of_the_messages_each_once() -> None:
    lane: Lane[int] = Lane(0)
    one, other = b"x" * 1_000, b"y" * 500
    offer(lane, 2, 3, 5, message=one)
    offer(lane, 4, 6, message=other)
    offer(lane, 3, message=other)
    assert lane.held_bytes == 1_500
    assert offer(lane, 1) == [1, 2, 3, 4, 5, 6] and lane.held_bytes == 0
    offer(lane, 8, message=one)
    lane.forget_held()
    assert (lane.held, lane.held_bytes, lane.mark) == ({}, 0, 6)


def test_the_nearest_are_worth_most() -> None:
    lane: Lane[int] = Lane(0)
    for n in range(HELD_MAX, 1, -1):
        offer(lane, n, message=bytes(20_000))
    assert lane.held_bytes <= HELD_BYTES_MAX and min(lane.held) == 2 and lane.dropped > 0
    assert sorted(lane.held) == list(range(2, 2 + len(lane.held)))
    offer(lane, HELD_MAX + 1)
    assert HELD_MAX + 1 not in lane.held, "too far ahead"


def test_law_everything_comes_out_once_in_order() -> None:
    for seed in range(50):
        dice, lane, out = random.Random(seed), Lane[int](0), []
        while lane.mark < 60:
            numbers = [dice.randrange(1, 61) for _ in range(dice.randrange(1, 30))]
            before = lane.mark
            out += offer(lane, *numbers, message=bytes(dice.choice([10, HELD_BYTES_MAX // 3])))
            if dice.random() < 0.1:
                lane.reset(before)
                out = out[:before]
        assert out == list(range(1, 61)), f"seed {seed}"
