"""What a server's history tells of the time between, and what is believed of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from asyncua import ua

from edge_agent.errors import SourceLost
from edge_agent.events import Batch, Continued, Lost, Resumed
from edge_agent.pipeline.tags import Tag
from edge_agent.sources.opcua import history_read
from edge_agent.sources.opcua.client import Connection, Server
from edge_agent.sources.opcua.history import Afterwards, Known, Recorded
from edge_agent.sources.opcua.profiles import GENERIC
from edge_agent.sources.opcua.resume import Run

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNTIL, STARTED, FIRST, NOW = 1_000, 5_000, 6_000, 7_000
STATE, ORDER, SPEED = 0, 1, 2
TAGS = [Tag(STATE, 0, "state", "state"), Tag(ORDER, 0, "order", "order"), Tag(SPEED, 0, "speed_rpm", "sample")]
Told = Sequence[tuple[int, int]]  # (t_ms, value)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.sources.opcua.history.LATER_S", (0.0, 0.0))


def value(t_ms: int, raw: int, status: int = 0) -> ua.DataValue:
    return ua.DataValue(ua.Variant(raw, ua.VariantType.Int32), StatusCode=ua.StatusCode(status), SourceTimestamp=EPOCH + timedelta(milliseconds=t_ms))


def result(values: Sequence[ua.DataValue], point: bytes | None = None, status: int = 0) -> ua.HistoryReadResult:
    return ua.HistoryReadResult(StatusCode=ua.StatusCode(status), ContinuationPoint=point, HistoryData=ua.HistoryData(DataValues=list(values)))


class Answers:
    """A session that answers HistoryRead from a script: node -> its pages; an exception ends it."""

    def __init__(self, pages: dict[int, list[Any]]) -> None:
        self.pages, self.asked = pages, 0

    async def history_read(self, params: Any) -> list[Any]:
        self.asked += 1
        out = []
        for one in params.NodesToRead:
            page = self.pages[one.NodeId.Identifier][int(one.ContinuationPoint or b"0")]
            if isinstance(page, Exception):
                raise page
            out.append(page)
        return out


def connection(answers: Answers) -> Connection:
    return cast("Connection", SimpleNamespace(client=SimpleNamespace(uaclient=SimpleNamespace(session=answers))))


def read(
    pages: dict[int, list[Any]], *, restarted: bool = True, first: dict[int, int] | None = None, newest: dict[int, int] | None = None
) -> list[Any]:
    recorded = [Recorded(tag, ua.NodeId(tag.number, 2)) for tag in TAGS if tag.number in pages]
    server = Server(Run("urn:plc", STARTED), GENERIC, None)
    made = Afterwards(connection(Answers(pages)), server, [0], TAGS, recorded, Known(UNTIL, newest or {}, restarted))
    firsts = first or {STATE: FIRST, ORDER: UNTIL - 500, SPEED: FIRST}
    return asyncio.run(made.before(firsts, NOW))


def told(events: list[Any]) -> list[Any]:
    """Events in short; of a batch its (tag, time) and up to when all is known."""
    out: list[Any] = []
    for event in events:
        if isinstance(event, Batch):
            rows = list(zip(event.columns.ids.tolist(), event.columns.t_ms.tolist(), strict=True))
            out.append((rows, event.until_ms))
        elif isinstance(event, Lost):
            out.append("lost")
        else:
            out.append((type(event).__name__, event.at_ms))
    return out[1:]  # the first takes back the memory


def of(*times: int) -> list[ua.HistoryReadResult]:
    return [result([value(t_ms, t_ms) for t_ms in times])]


WHOLE = {STATE: of(2_000, 3_000, 5_500, FIRST), ORDER: of(), SPEED: of(2_500, 3_500, 5_600, FIRST)}


def test_over_a_restart_of_the_server_it_is_known_while_the_history_surely_ran_and_again_when_every_fact_was_told() -> None:
    assert told(read(WHOLE)) == [
        ("Continued", 2_500),
        ([(STATE, 2_000), (SPEED, 2_500)], 2_500),
        "lost",
        ("Resumed", 5_500),
        ([(STATE, 3_000), (SPEED, 3_500), (STATE, 5_500), (SPEED, 5_600)], None),
    ]


def test_what_was_handed_in_and_waits_is_not_told_again_and_is_known() -> None:
    events = told(read(WHOLE, newest={STATE: 3_000, SPEED: 2_500}))
    assert events[:2] == [("Continued", 3_000), ([], 3_000)]
    assert events[-1] == ([(SPEED, 3_500), (STATE, 5_500), (SPEED, 5_600)], None)


@pytest.mark.parametrize("lacking", [STATE, ORDER])
def test_where_a_fact_has_no_history_the_time_is_a_gap_up_to_now_and_samples_are_read(lacking: int) -> None:
    pages = {number: pages for number, pages in WHOLE.items() if number != lacking}
    assert told(read(pages)) == [("Resumed", NOW), ([(SPEED, 2_500), (SPEED, 3_500), (SPEED, 5_600)], None)]


def test_a_history_of_the_new_run_alone_moves_the_gaps_end_only() -> None:
    assert told(read({STATE: of(5_500, FIRST), ORDER: of(), SPEED: of()})) == [("Resumed", 5_500), ([(STATE, 5_500)], None)]


def test_a_history_that_does_not_reach_to_the_first_value_proves_nothing_of_the_new_run() -> None:
    events = told(read(WHOLE | {STATE: of(2_000, 3_000, 5_500)}))
    assert events[-2] == ("Resumed", NOW)
    assert events[-1] == ([(SPEED, 3_500), (SPEED, 5_600)], None)


def test_a_value_without_a_time_proves_nothing() -> None:
    assert told(read(WHOLE, first={STATE: -1, ORDER: UNTIL - 500, SPEED: FIRST}))[-2] == ("Resumed", NOW)
    assert told(read(WHOLE, first={STATE: -1, ORDER: UNTIL - 500, SPEED: FIRST}, restarted=False))[0] == ("Resumed", NOW)


BROKEN = {
    "an error at the second page": [result([value(2_000, 1), value(3_000, 1)], b"1"), result([], status=ua.StatusCodes.BadContinuationPointInvalid)],
    "a fault at the second page": [result([value(2_000, 1), value(3_000, 1)], b"1"), ua.UaStatusCodeError(ua.StatusCodes.BadInternalError)],
    "nonsense at the second page": [result([value(2_000, 1), value(3_000, 1)], b"1"), ValueError("no such type")],
    "continuation points without end": [result([value(2_000, 1), value(3_000, 1)], b"0")],
    "events instead of values": [ua.HistoryReadResult(HistoryData=ua.HistoryEvent())],
    "a refusal": [result([], status=ua.StatusCodes.BadHistoryOperationUnsupported)],
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("restarted", [True, False])
def test_a_history_that_is_not_given_whole_is_none(how: str, restarted: bool) -> None:
    events = told(read({STATE: BROKEN[how]}, restarted=restarted))
    assert events == [("Resumed", NOW), ([], None)]


def test_a_server_that_goes_silent_in_it_has_lost_the_connection() -> None:
    with pytest.raises(SourceLost):
        read({STATE: [result([value(2_000, 1)], b"1"), TimeoutError()]})


def test_pages_bounds_repeats_and_disorder_come_to_the_same() -> None:
    state = [
        result([value(400, 1), value(UNTIL, 1), value(3_000, 3_000), value(2_000, 2_000)], b"1"),  # from before what was asked, and in disorder
        result([value(3_000, 3_000), value(5_500, 5_500)], b"2"),  # the seam twice
        result([value(FIRST, FIRST), value(FIRST + 50, 1), value(4_900, 0, ua.StatusCodes.BadBoundNotFound)]),
    ]
    assert told(read(WHOLE | {STATE: state})) == told(read(WHOLE))


def test_pages_are_asked_for_together_and_each_only_as_long_as_there_is_more() -> None:
    answers = Answers({1: [result([value(1, 1)], b"1"), result([value(2, 2)])], 2: [result([value(3, 3)])]})
    found = asyncio.run(history_read.history(connection(answers), [ua.NodeId(1, 2), ua.NodeId(2, 2)], 0, 10, GENERIC))
    assert [len(values or ()) for values in found] == [2, 1]
    assert answers.asked == 2


def test_a_history_that_holds_the_first_value_a_little_later_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A historian stores a value after the subscription has told it."""

    class Late(Answers):
        async def history_read(self, params: Any) -> list[Any]:
            out = await super().history_read(params)
            self.pages = dict(WHOLE)
            return out

    monkeypatch.setattr(f"{__name__}.Answers", Late)
    assert told(read(WHOLE | {STATE: of(2_000, 3_000)})) == told(read(WHOLE))


def test_events_go_on_or_end_as_they_did_for_the_same_run_of_the_server() -> None:
    events = read({STATE: of(2_000, FIRST), ORDER: of()}, restarted=False)
    assert isinstance(events[1], Continued)
    assert told(events) == [("Continued", NOW), ([(STATE, 2_000)], None)]
    assert isinstance(read({STATE: of(2_000)}, restarted=False)[1], Resumed)
