"""Laws of bundles: however a backlog is cut into messages of several records, and whatever the network does to these, the stores end in the
state that single records give."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edge_agent.contract.delivery import Marks
from edge_agent.contract.sparkplug_b_pb2 import Payload
from mes_server.telemetry.errors import TelemetryFailed
from mes_server.telemetry.memory_store import MemoryStore
from tests.support.bundles import bundle, bundled
from tests.support.ingest import EPOCH, Bench, alias, bench, births, data, state_hash, story
from tests.support.ingest import T0 as T


def single(folder: Path, seed: int) -> str:
    with bench(folder) as clean:
        clean.feed(*births(), *story(seed))
        clean.commit()
        return state_hash(clean)


def deliver(made: Bench, seed: int, dice: random.Random) -> None:
    """As an edge does on a bad link: windows from the answered mark on, cut anew each time; messages get lost, come twice and overtake each other,
    live ones come beside; sessions and the server's process begin anew now and then."""
    messages = story(seed)
    made.feed(*births())
    for turn in range(200):
        stored = made.answers[-1][1] if made.answers else 0
        if stored == len(messages):
            return
        window = bundled(messages[stored : stored + 40], dice)
        calm = turn > 20 or dice.random() < 0.3
        if not calm:
            window = [one for one in window for _ in range(dice.choice([0, 1, 1, 2]))]
            places = [(place + dice.random() * 4, one) for place, one in enumerate(window)]
            window = [one for _, one in sorted(places, key=lambda pair: pair[0])]
            window.insert(dice.randrange(len(window) + 1), messages[dice.randrange(len(messages))])  # live beside
        while window:
            size = dice.randint(1, 8)
            made.feed(*window[:size])
            window = window[size:]
            if dice.random() < 0.5:
                made.commit()
        made.commit()
        what = dice.random()
        if what < 0.1:
            made.new_service()
            made.feed(*births())
        elif what < 0.2:
            made.feed(("\0connected", b""), *births())


@pytest.mark.parametrize("seeds", [20, pytest.param(1_000, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
def test_any_cut_any_loss_any_order_gives_the_state_of_single_records(tmp_path: Path, seeds: int) -> None:
    wanted = {story_seed: single(tmp_path / f"clean{story_seed}", story_seed) for story_seed in range(5)}
    for seed in range(seeds):
        with bench(tmp_path / f"run{seed}") as made:
            deliver(made, seed % 5, random.Random(seed))
            assert made.answers[-1] == (EPOCH, 60), f"seed {seed}"
            assert state_hash(made) == wanted[seed % 5], f"seed {seed}"


def piece(n: int, alarm: str = "", device: str = "SAW-01") -> tuple[str, bytes]:
    at = T + n * 1000
    if device != "SAW-01":
        return data(n, device, [("power_w", float(n), at)])
    return data(n, device, [("good_total", n, at), ("state", "fault" if alarm else "producing", at), ("alarm", alarm, at)])


def alarms(made: Bench) -> list[str]:
    return [row[4] for row in made.booking.rows["states"] if row[4]]


def test_records_of_a_bundle_wait_for_the_other_device_and_only_their_new_part_is_applied(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.feed(*births(), bundle([piece(1), piece(3), piece(5)]))
        made.commit()
        assert made.answers[-1] == (EPOCH, 1), "2 is missing"
        made.feed(bundle([piece(n, device="M-SAW-01") for n in (2, 4)]))
        made.commit()
        assert made.answers[-1] == (EPOCH, 5) and made.booking.good() == 4
        made.feed(bundle([piece(n) for n in (3, 5, 6, 7)]))
        made.commit()
        assert made.answers[-1] == (EPOCH, 7) and made.booking.good() == 6 and made.service.figures["repeats"] == 2
        found = made.telemetry.window("M-SAW-01", "power_w", 0, 1 << 60)
        assert found.value.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("end", [("\0connected", b""), births()[0]])
def test_what_waits_is_thrown_away_when_the_session_ends(tmp_path: Path, end: tuple[str, bytes]) -> None:
    with bench(tmp_path) as made:
        made.feed(*births(), bundle([piece(1), piece(3)]))
        made.commit()
        stream = made.service.intake.stream("EDGE-L1", EPOCH)
        assert list(stream.facts.held) == list(stream.samples.held) == [3]
        made.feed(end)
        made.commit()
        assert not stream.facts.held and not stream.samples.held and stream.facts.held_bytes == 0


def test_one_record_that_cannot_be_booked_is_put_aside_alone(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.booking.poison = lambda one: any(state.alarm == "E7" for state in one.facts.states)
        made.feed(*births(), bundle([piece(1), piece(2), piece(3, "E7"), piece(4, "E8"), piece(5)]))
        made.commit()
        assert made.answers[-1] == (EPOCH, 5) and made.booking.good() == 4 and alarms(made) == ["E8"]
        ((topic, mark, payload),) = made.rows("select topic, mark, payload from ingest_quarantine")
        kept = Payload.FromString(payload)
        assert topic.endswith("SAW-01") and mark == kept.uuid == f"{EPOCH}:3"
        assert [metric.alias for metric in kept.metrics] == [alias("SAW-01", name) for name in ("good_total", "state", "alarm")]
        assert kept.metrics[2].string_value == "E7"


def test_a_bundle_that_cannot_be_read_is_put_aside_and_its_records_come_one_by_one(tmp_path: Path) -> None:
    mark = str(Marks(EPOCH, [2, 3, 4], [1, 1, 1])).encode()
    broken = ("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", b"\x12\x7f\x01\x02\x22" + bytes([len(mark)]) + mark)
    with bench(tmp_path) as made:
        made.feed(*births(), piece(1), broken, broken)
        made.commit()
        made.feed(broken)
        made.commit()
        assert made.answers[-1] == (EPOCH, 1) and made.scalar("select count(*) from ingest_quarantine") == 3, "no record is passed by because of it"
        made.feed(piece(2), piece(3), piece(4))
        made.commit()
        assert made.answers[-1] == (EPOCH, 4) and made.booking.good() == 3


def test_a_mark_that_does_not_fit_the_message_is_not_taken(tmp_path: Path) -> None:
    topic, whole = bundle([piece(1), piece(2)])
    with bench(tmp_path) as made:
        made.feed(*births())
        for parts in ("1x3,2x2", "1x4,2x4", "2x3,1x3", "1x3,2x3,3x0,3x0", "1x6"):
            payload = Payload.FromString(whole)
            payload.uuid = f"{EPOCH}:{parts}"
            made.feed((topic, payload.SerializeToString()))
        made.commit()
        assert made.service.figures["quarantined"] == 5 and not made.answers[1:] and not made.booking.rows["states"]
        made.feed((topic, whole))
        made.commit()
        assert made.answers[-1] == (EPOCH, 2)


def test_telemetry_that_fails_in_the_middle_of_bundles_books_once_and_samples_once(tmp_path: Path) -> None:
    class Broken(MemoryStore):
        broken = True

        def append(self, samples, marks):  # type: ignore[no-untyped-def]
            if self.broken:
                raise TelemetryFailed(why="disk full")
            super().append(samples, marks)

    store, messages = Broken(), story(3)
    with bench(tmp_path, telemetry=store) as made:
        made.feed(*births(), *bundled(messages, random.Random(1)))
        made.commit()
        assert made.answers[-1] == (EPOCH, 0) and made.scalar("select n from ingest_mark") == 60
        store.broken = False
        made.service.committer._telemetry_again_s = 0.0
        made.feed(*bundled(messages, random.Random(2)))
        made.commit()
        assert made.answers[-1] == (EPOCH, 60)
        assert state_hash(made) == single(tmp_path / "clean", 3)
