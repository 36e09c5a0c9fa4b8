"""The conformance suite of sources: every kind, over a real peer, behaves the same when it connects, loses, comes back, meets a wrong address, gets
no answer, is stopped, and is connected anew again and again. It runs sessions by hand; `test_source_suite.py` runs the same peers through an agent.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.config_text import check
from edge_agent.errors import EdgeError, SourceLost
from edge_agent.events import Batch, Continued, Resumed
from tests.support.edge import config_text
from tests.support.leaks import Memory, held, resident_mb, unclosed
from tests.support.proxy import FaultProxy
from tests.support.rigs import RIGS, VARIANTS, Rig, make
from tests.support.rigs.session import Watch
from tests.support.wait import eventually

SOON_S = 60.0  # how long anything is waited for: a bound, no measure
STOP_S = 2.0
ROUNDS = 1000
KEPT_MAX_B = 100_000  # over 667 reconnects: a list that grows by one small object each time is more than that
TOTALS = {"good_total": "good", "energy_import_wh": "energy_import_wh"}  # name on the wire -> key in the config
HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module", params=[pytest.param(name, marks=[pytest.mark.full] if name in VARIANTS else []) for name in RIGS])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = make(request.param, tmp_path_factory.mktemp("peer"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def rig(peer: Rig) -> Rig:
    peer.put(100, 20.0)
    return peer


@pytest.fixture
def proxy(rig: Rig) -> Iterator[FaultProxy]:
    with FaultProxy(rig.port) as made:
        yield made


def watching(rig: Rig, folder: Path, port: int, *, bad: bool = False) -> Watch:
    (folder / "broker.json").write_text('{"host": "127.0.0.1", "port": 1, "user": "EDGE-L1", "password": "-"}')
    (folder / "edge.toml").write_text(config_text(folder / "broker.json", rig.text(port, bad=bad)))
    assert check(folder / "edge.toml")[1] == []
    return Watch(folder / "edge.toml")


def comes(watch: Watch, rig: Rig, total: int, sample: float) -> None:
    """Both values arrive, in a session that says from when on it knows; one that a busy machine has let run into its time-out is begun anew."""

    def there() -> bool:
        watch.begin_again_if_lost()
        return bool(watch.value(TOTALS[rig.fact]) == total and watch.value(rig.sample) == sample)

    eventually(there, SOON_S, why=f"{total} and {sample} did not come")
    assert watch.health.status == "connected"
    assert any(isinstance(event, (Resumed, Continued)) for event in watch.events)


def goes_on(watch: Watch) -> None:
    """It says twice more up to when it knows: an exchange that had begun is over (an adapter's first PONG has come)."""
    watch.take()
    before = len(watch.events)
    eventually(
        lambda: watch.take() or sum(isinstance(e, Batch) and e.until_ms is not None for e in watch.events[before:]) >= 2, SOON_S, why="no watermark"
    )


def in_words(error: EdgeError) -> None:
    """What happened and the next step, for a person, in both languages."""
    assert isinstance(error, SourceLost), repr(error)
    assert error.en and error.next_en and not HAN.search(error.en + error.next_en), error.text()
    assert HAN.search(error.zh) and HAN.search(error.next_zh), error.text("zh")
    assert "Traceback" not in error.en and "object at 0x" not in error.en


def test_first_values_then_changes_then_loss_and_return(rig: Rig, tmp_path: Path) -> None:
    with watching(rig, tmp_path, rig.port) as watch:
        watch.begin()
        comes(watch, rig, 100, 20.0)
        rig.put(103, 21.5)
        comes(watch, rig, 103, 21.5)
        goes_on(watch)
        assert watch.health.error == "" and watch.health.failed == {}

        rig.stop()
        in_words(watch.lost(SOON_S))
        watch.begin()
        in_words(watch.lost(SOON_S))  # nobody is there
        rig.start()
        rig.put(110, 22.0)
        watch.begin()
        comes(watch, rig, 110, 22.0)


def test_one_wrong_address_is_one_failed_value_in_words_and_the_rest_flows(rig: Rig, tmp_path: Path) -> None:
    with watching(rig, tmp_path, rig.port, bad=True) as watch:
        watch.begin()
        comes(watch, rig, 100, 20.0)
        ((where, why),) = eventually(lambda: watch.take() or watch.health.failed, SOON_S).items()
        assert "D-1.wrong" in where
        assert len(why) > 5
        english, chinese = watch.health.words().split("\n")
        assert "1 value(s) cannot be read" in english and HAN.search(chinese)
        rig.put(101, 23.0)
        comes(watch, rig, 101, 23.0)
        assert watch.value("wrong") is None


def test_a_peer_that_accepts_and_is_silent_is_lost(rig: Rig, tmp_path: Path, proxy: FaultProxy) -> None:
    with watching(rig, tmp_path, proxy.port) as watch:
        proxy.black_hole()
        watch.begin()
        in_words(watch.lost(SOON_S))
        proxy.pass_on()
        watch.begin()
        comes(watch, rig, 100, 20.0)
        goes_on(watch)
        proxy.half_open("down")  # the answers get lost on the way, nothing is closed
        in_words(watch.lost(SOON_S))


def stops_soon(scene: Callable[[], float], when: str) -> None:
    """The best of three: what has to wait for something waits every time, a busy machine does not."""
    assert any(scene() < STOP_S for _ in range(3)), when


def test_a_session_that_is_stopped_ends_within_two_seconds(rig: Rig, tmp_path: Path, proxy: FaultProxy) -> None:
    with watching(rig, tmp_path, proxy.port) as watch:
        numbers = iter(range(100, 200))

        def works() -> None:
            number = next(numbers)  # a source that goes on where it stopped does not tell again what it has told
            rig.put(number, float(number))
            watch.begin()
            comes(watch, rig, number, float(number))

        def at_work() -> float:
            works()
            return watch.cancel()

        def unanswered() -> float:
            proxy.black_hole()
            accepted = proxy.accepted
            watch.begin()
            eventually(lambda: proxy.accepted > accepted, SOON_S)
            seconds = watch.cancel()
            proxy.pass_on()
            return seconds

        def link_dead() -> float:
            works()
            proxy.half_open("both")
            seconds = watch.cancel()
            proxy.pass_on()
            proxy.reset_all()
            return seconds

        stops_soon(at_work, "while it works")
        stops_soon(unanswered, "while it waits for an answer")
        stops_soon(link_dead, "while the link is dead: no good-bye is waited for")


def reconnects(rig: Rig, folder: Path, proxy: FaultProxy, rounds: int, marked: Callable[[], None] = lambda: None) -> None:
    """Connects `rounds` times; every session ends by a reset of its connection, every third by being stopped. `marked`: called after a third."""
    with unclosed() as told, watching(rig, folder, proxy.port) as watch:
        before: Counter[str] = Counter()
        for number in range(rounds):
            rig.put(100 + number, 20.0 + number)
            watch.begin()
            comes(watch, rig, 100 + number, 20.0 + number)
            if number % 3 == 2:
                watch.cancel()
            else:
                proxy.refuse()  # resets what lives; a source that holds no connection between two polls finds out at the next one
                in_words(watch.lost(SOON_S))
                proxy.pass_on()
            if number == rounds // 3:
                eventually(lambda: proxy.living == 0, SOON_S)
                before = held(watch.tasks())
                marked()
        eventually(lambda: proxy.living == 0, SOON_S, why="connections were left open")
        eventually(lambda: not held(watch.tasks()) - before, SOON_S, why=f"left behind: {held(watch.tasks()) - before}")
        assert not [one for one in told if f"raddr=('127.0.0.1', {proxy.port})" in one], told  # the agent's own; peers may be untidy


def test_many_reconnects_leave_nothing_behind(rig: Rig, tmp_path: Path, proxy: FaultProxy) -> None:
    reconnects(rig, tmp_path, proxy, 20)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_thousand_reconnects_leave_nothing_behind(rig: Rig, tmp_path: Path, proxy: FaultProxy) -> None:
    began, resident = time.monotonic(), [0.0]
    with Memory() as memory:

        def mark() -> None:
            memory.mark()
            resident.append(resident_mb())

        reconnects(rig, tmp_path, proxy, ROUNDS, mark)
        kept = memory.kept()
        more_mb = resident_mb() - resident[-1]
        print(f"{rig.kind}: {ROUNDS} reconnects in {time.monotonic() - began:.0f} s; kept by the agent {kept} B, whole process {more_mb:+.1f} MB")
        assert kept < KEPT_MAX_B, memory.most
        assert more_mb < 60, f"{more_mb:.0f} MB more (test peers in this process included)"
