"""Who may speak for an edge id: the rule by itself, and births through the ingest's door (R16)."""

from __future__ import annotations

from pathlib import Path

from edge_agent.contract import names
from edge_agent.contract.clock import ManualClock
from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from mes_server.ingest.fence import LAPSE_S, TWIN_LAPSE_S, Fence
from tests.support.ingest import EPOCH, T0, bench, births, data

A, B = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"
OTHER_EPOCH = "fedcba9876543210"


def fence(holder: str = "") -> Fence:
    return Fence({"E": holder} if holder else {}, 0.0)


def test_the_first_machine_holds_and_the_second_waits() -> None:
    made = fence()
    assert made.judge("E", f"{A}-1", 0, T0) is None and made.unsaved == {"E": A}
    made.heard("E", 10)
    assert made.judge("E", f"{B}-1", 11, T0) == LAPSE_S - 1
    (alarm,) = made.refused("E", 12)
    assert (alarm.instance, alarm.tries, alarm.twin) == (f"{B}-1", 1, False)
    assert made.judge("E", f"{A}-1", 12, T0) is None, "the holder itself is never fenced"
    assert made.judge("F", f"{B}-1", 12, T0) is None, "another identity is another matter"


def test_a_dead_box_is_replaced_without_a_person() -> None:
    made = fence(A)
    assert made.judge("E", f"{B}-1", 5, T0) == LAPSE_S - 5
    assert made.judge("E", f"{B}-1", LAPSE_S, T0) is None
    assert made.unsaved == {"E": B} and not made.refused("E", LAPSE_S)
    assert made.judge("E", f"{A}-1", LAPSE_S + 1, T0) is not None, "the old one, come back, is the other one now"


def test_a_twin_does_not_get_in_when_the_holder_s_link_is_away_for_a_while() -> None:
    made = fence(A)
    made.judge("E", f"{B}-1", 5, T0)
    made.heard("E", 6)
    assert made.judge("E", f"{B}-1", 125, T0) == TWIN_LAPSE_S - 119
    assert made.judge("E", f"{B}-2", 1_000, T0) is not None, "a restart makes it no other machine"
    assert made.refused("E", 1_000)[0].twin and made.refused("E", 1_000)[0].tries == 3
    assert made.judge("E", f"{B}-2", 6 + TWIN_LAPSE_S, T0) is None


def test_a_person_may_move_the_identity() -> None:
    made = fence(A)
    made.heard("E", 10)
    assert made.judge("E", f"{B}-1", 11, T0, take_over=True) is None
    assert made.judge("E", f"{A}-1", 12, T0) is not None
    assert made.judge("E", f"{B}-1", 13, T0) is None


def test_restarts_of_the_holder_are_let_in_at_once() -> None:
    made = fence(A)
    for run in range(50):
        assert made.judge("E", f"{A}-{run}", run, T0) is None
    assert not made.refused("E", 60)


def test_a_run_that_comes_back_after_a_newer_one_fences_the_newer() -> None:
    """A container copied with its addresses: both say the same machine."""
    made = fence()
    assert made.judge("E", f"{A}-1", 0, T0) is None
    assert made.judge("E", f"{A}-2", 1, T0) is None, "might be a restart"
    assert made.judge("E", f"{A}-1", 2, T0) is None, "it was not"
    assert made.judge("E", f"{A}-2", 3, T0) is not None
    assert made.refused("E", 4)[0].instance == f"{A}-2"
    assert made.judge("E", f"{A}-1", 5, T0) is None


def test_alarms_are_bounded_and_end() -> None:
    made = fence(A)
    for k in range(100):
        made.judge("E", f"{k:016x}-1", 1, T0)
    assert len(made.refused("E", 2)) == 20
    assert not made.refused("E", 1e6)


def test_nodes_of_other_makes_have_no_instance_and_are_let_in() -> None:
    made = fence(A)
    assert made.judge("E", "", 1, T0) is None and made.judge("E", f"{A}-1", 2, T0) is None


def born(instance: str, *, epoch: str = EPOCH, take_over: bool = False, **more: int) -> list[tuple[str, bytes]]:
    (topic, raw), *devices = births(epoch=epoch, **more)
    payload = Payload.FromString(raw)
    said: list[tuple[str, DataType, object]] = [(names.INSTANCE, DataType.STRING, instance)]
    if take_over:
        said.append((names.TAKE_OVER, DataType.BOOLEAN, True))
    for name, datatype, value in said:
        metric = payload.metrics.add()
        metric.name, metric.datatype = name, datatype
        set_value(metric, datatype, value)  # type: ignore[arg-type]
    return [(topic, payload.SerializeToString()), *devices]


def piece(n: int, total: int, at: int, epoch: str = EPOCH) -> tuple[str, bytes]:
    return data(n, "SAW-01", [("good_total", total, at), ("good_raw", total, at), ("state", "producing", at)], epoch=epoch)


def test_nothing_of_a_fenced_session_is_taken(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.feed(*born(f"{A}-1"), piece(1, 10, T0), piece(2, 12, T0 + 1000))
        made.commit()
        made.feed(*born(f"{B}-1"), piece(3, 99, T0 + 2000), data(None, "SAW-01", [("temperature_c", 5.0, T0)]))
        made.commit()
        node = made.service.host.nodes[("PUMP", "EDGE-L1")]
        assert made.booking.good() == 2 and made.answers[-1] == (EPOCH, 2) and node.fenced and not node.online
        made.feed(*born(f"{A}-1"), piece(3, 13, T0 + 2000))
        made.commit()
        assert made.booking.good() == 3 and made.answers[-1] == (EPOCH, 3) and node.online
        assert made.service.figures["fenced_births"] == 1 and made.service.figures["fenced_messages"] == 4
        assert made.rows("select edge, machine from ingest_holder") == [("EDGE-L1", A)]
        made.new_service()
        made.feed(*born(f"{B}-1"), piece(4, 99, T0 + 3000))
        made.commit()
        assert made.booking.good() == 3, "a restarted server knows who holds the identity"


def test_the_refusal_goes_to_the_instance_by_name(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        told: list[dict[str, object]] = []
        made.service.send = lambda _, raw: told.append({m.name: m.string_value or m.long_value for m in Payload.FromString(raw).metrics})  # type: ignore[method-assign]
        made.feed(*born(f"{A}-1"), *born(f"{B}-1"))
        made.commit()
        assert {names.FENCED: f"{B}-1", names.FENCED_FOR: LAPSE_S + 1} in told


def test_a_copy_that_takes_over_tells_nothing_twice(tmp_path: Path) -> None:
    """The copy has watched the same machine all the time; under its new epoch its backlog begins before what the holder has told."""
    with bench(tmp_path, clock=ManualClock(T0 + 60_000)) as made:
        made.feed(*born(f"{A}-1"))
        for n in range(1, 11):
            made.feed(piece(n, 100 + n, T0 + n * 1000))
        made.commit()
        before = [len(made.booking.rows[name]) for name in ("states", "counts")]
        made.feed(*born(f"{B}-1", epoch=OTHER_EPOCH, take_over=True))
        gap = f'{{"from_ms":{T0 + 2000},"to_ms":{T0 + 5000},"cause":"edge_down","detail":"","counter_reset":false,"parts_max":null}}'
        made.feed(data(1, "SAW-01", [("gap", gap, T0 + 5000)], epoch=OTHER_EPOCH))
        for n in range(2, 17):  # totals of its own, times from T0 + 5 s on
            made.feed(piece(n, 100 + n + 3, T0 + (n + 3) * 1000, OTHER_EPOCH))
        made.commit()
        assert made.booking.good() == 9 + 9, "pieces 11 to 19, each once"
        assert len(made.booking.rows["states"]) == before[0] + 9 and len(made.booking.rows["counts"]) == before[1] + 9
        assert [row[1:3] for row in made.booking.rows["gaps"]] == [(T0 + 10_000, T0 + 11_000)], "only between the two buffers"
