"""Delivery bookkeeping: windows, answers, holes, stalls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.publisher.delivery import Delivery


def fresh(answered: int = 0, last: int = 0, window: int = 4) -> Delivery:
    return Delivery(answered, last, window_records=window, window_bytes=1000, retry_s=5.0)


def test_backlog_goes_out_inside_the_window_and_live_begins_when_it_is_through() -> None:
    delivery = fresh(10, 16)
    assert not delivery.is_live
    sent = []
    while delivery.has_room() and not delivery.is_live:
        sent.append(delivery.cursor + 1)
        delivery.sent(delivery.cursor + 1, 10, 0.0)
    assert sent == [11, 12, 13, 14]
    assert delivery.answer(12, 0.1)
    for n in (15, 16):
        delivery.sent(n, 10, 0.2)
    assert delivery.is_live


def test_a_byte_window_counts_too() -> None:
    delivery = fresh(0, 9)
    delivery.sent(1, 1000, 0.0)
    assert not delivery.has_room()
    delivery.answer(1, 0.1)
    assert delivery.has_room()


def test_stalled_answers_send_everything_again() -> None:
    delivery = fresh(0, 3)
    for n in (1, 2, 3):
        delivery.sent(n, 1, 0.0)
    assert not delivery.check_stall(4.9)
    assert delivery.check_stall(5.1)
    assert (delivery.cursor, delivery.is_live, delivery.resent) == (0, False, 1)


def test_an_answer_that_repeats_shows_a_hole_at_once() -> None:
    delivery = fresh(0, 3)
    for n in (1, 2, 3):
        delivery.sent(n, 1, 0.0)
    assert delivery.answer(1, 0.1)
    assert not delivery.answer(1, 0.5) and delivery.cursor == 3, "it may just be on its way"
    assert not delivery.answer(1, 1.2) and delivery.cursor == 1


def test_what_comes_back_to_the_same_mark_twice_goes_out_one_by_one() -> None:
    """Something in these messages may be what the server cannot take: it must not take the others with it."""
    delivery = fresh(0, 30, window=10)
    delivery.sent(8, 1, 0.0)
    assert delivery.check_stall(6.0) and not delivery.one_by_one, "it may have been lost on the way"
    delivery.sent(8, 1, 6.0)
    delivery.answer(3, 6.1)
    assert delivery.check_stall(12.0) and not delivery.one_by_one, "there was progress"
    delivery.sent(8, 1, 12.0)
    assert delivery.check_stall(18.0) and delivery.one_by_one
    delivery.sent(7, 1, 18.0)
    assert delivery.one_by_one
    delivery.sent(8, 1, 18.0)
    assert not delivery.one_by_one, "what was not sent before is not suspect"
    delivery.begin(5, 20.0)
    assert not delivery.one_by_one


def test_room_is_in_records_however_many_go_out_at_once() -> None:
    delivery = fresh(0, 30, window=10)
    delivery.sent(7, 10, 0.0)
    assert delivery.room == 3
    delivery.answer(4, 0.1)
    assert delivery.room == 7, "some of a window are answered"
    delivery.sent(8, 2_000, 0.2)
    assert delivery.room == 0 and not delivery.has_room(), "the bytes are used up"


def test_an_old_answer_changes_nothing_and_one_from_the_future_is_cut() -> None:
    delivery = fresh(5, 8)
    assert not delivery.answer(3, 0.0)
    assert delivery.answer(99, 0.0)
    assert delivery.answered_n == 8


def test_live_beside_a_backlog_is_bounded() -> None:
    delivery = fresh(0, 100)
    assert [delivery.may_send_beside(400) for _ in range(3)] == [True, True, False]
    delivery.sent(1, 1, 0.0)
    delivery.answer(1, 0.0)
    assert delivery.may_send_beside(400)


@given(st.lists(st.sampled_from(["new", "send", "lose", "answer", "session", "wait"]), max_size=120))
def test_law_a_host_that_takes_only_the_next_record_gets_every_record_once(script: list[str]) -> None:
    """Whatever is lost and whenever sessions end: after the storm the host has applied 1..last in order."""
    delivery, now, last, mark = fresh(window=3), 0.0, 0, 0

    def send(lost: bool) -> None:
        nonlocal mark
        if not delivery.is_live and delivery.has_room():
            n = delivery.cursor + 1
            delivery.sent(n, 1, now)
            if not lost and n == mark + 1:
                mark = n

    for step in script:
        now += 0.3
        if step == "new":
            last += 1
            delivery.last_n = last
        elif step in ("send", "lose"):
            send(step == "lose")
        elif step == "answer":
            delivery.answer(mark, now)
        elif step == "session":
            delivery.session(now)
        else:
            now += 2
            delivery.check_stall(now)
        assert delivery.answered_n <= mark <= last
    for _ in range(20 * last + 20):
        now += 1.1
        delivery.check_stall(now)
        send(False)
        delivery.answer(mark, now)
    assert mark == last == delivery.answered_n
