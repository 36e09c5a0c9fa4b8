"""How late a response came, from the server's own stamps."""

from __future__ import annotations

import pytest

from edge_agent.sources.opcua.offset import Delay


def test_the_offset_of_two_clocks_cancels() -> None:
    """A response that took 3 ms more than the quickest is 3 ms late, whatever the clocks say."""
    delay = Delay()

    assert [delay.of(1_000_000.0, 5_002.0), delay.of(1_000_100.0, 5_105.0), delay.of(1_000_200.0, 5_202.0)] == [0.0, 3.0, 0.0]


def test_a_stalled_link_is_seen_although_arrivals_look_alive() -> None:
    """Ten responses that come at once after a stall of a second are each late by the rest of it."""
    delay = Delay()
    for number in range(20):
        delay.of(100.0 * number, 100.0 * number)

    late = [delay.of(2000.0 + 100.0 * number, 3000.0) for number in range(10)]

    assert [1000.0 - 100.0 * number for number in range(10)] == late


def test_a_clock_that_is_set_begins_anew() -> None:
    """An hour's step of the PLC's clock is no delay of an hour."""
    delay = Delay()
    delay.of(0.0, 10.0)

    assert delay.of(100.0 - 3_600_000.0, 110.0) == 0.0


@pytest.mark.parametrize("silent", [None])
def test_a_server_without_stamps_is_taken_as_prompt(silent: None) -> None:
    """Nothing to judge by: no delay."""
    assert Delay().of(silent, 5.0) == 0.0
