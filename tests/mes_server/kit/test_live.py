"""Live screens: the stream over HTTP, resume, slow and too many listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest

from mes_server.kit import routes
from mes_server.kit.live import Live
from tests.support.plant_model import SMALL_PLANT
from tests.support.server import RunningServer


def events(stream: httpx.Response) -> Iterator[dict[str, str]]:
    one: dict[str, str] = {}
    for line in stream.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            one[name] = value
        elif one:
            yield one
            one = {}


def test_a_change_is_heard_after_its_commit_and_missed_ones_are_caught_up(server: RunningServer) -> None:
    admin = server.client()
    with server.client("read").stream("GET", "/live", params={"topics": "plant,operation"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        heard = events(stream)
        assert next(heard)["event"] == "hello"
        server.act(admin, "/plant", "PUT", model=SMALL_PLANT)
        first = next(heard)
        assert first["event"] == "plant" and "machines.SAW-01" in first["data"]
    server.act(admin, "/plant", "PUT", model={**SMALL_PLANT, "stations": []})
    server.kit.live.publish("other", {"x": 1})
    server.kit.live.publish("operation:WO-1/10", {"good": 3})
    with server.client("read").stream("GET", "/live", params={"topics": "plant,operation"}, headers={"Last-Event-ID": first["id"]}) as stream:
        heard = events(stream)
        assert next(heard)["event"] == "hello"
        assert [next(heard)["event"] for _ in range(2)] == ["plant", "operation:WO-1/10"]


def test_the_stream_ends_with_the_server(make_server: Callable[..., RunningServer]) -> None:
    server = make_server()
    with server.client("read").stream("GET", "/live", params={"topics": "plant"}) as stream:
        heard = events(stream)
        next(heard)
        server.kit.live.close()
        assert list(heard) == []


def test_the_stream_ends_with_the_session(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "ASK_AGAIN_S", 0.0)
    client = server.client("read")
    with client.stream("GET", "/live", params={"topics": "plant"}) as stream:
        heard = events(stream)
        next(heard)
        server.sign_in.actors.clear()
        server.kit.live.publish("plant", {"secret": 1})
        assert [one["event"] for one in heard] == ["signed-out"]


def test_a_heartbeat_proves_the_line() -> None:
    async def listen() -> list[str]:
        live = Live()
        found = []
        async for text in live.listen(frozenset({"a"}), heartbeat_s=0.05):
            found.append(text)
            if len(found) == 3:
                return found
        return found

    assert [text.partition("event: ")[2].partition("\n")[0] for text in asyncio.run(listen())] == ["hello", "beat", "beat"]


def test_a_slow_listener_is_ended_and_the_others_go_on() -> None:
    async def run() -> tuple[int, int]:
        live = Live()
        slow = live.listen(frozenset({"a"}))
        await anext(slow)
        for number in range(1_200):
            live.publish("a", {"n": number})
        await asyncio.sleep(0)
        taken = 0
        async for _ in slow:
            taken += 1
        fresh = live.listen(frozenset({"a"}))
        await anext(fresh)
        live.publish("a", {"n": 0})
        await anext(fresh)
        return taken, live.listeners

    taken, listeners = asyncio.run(run())
    assert taken <= 1_000 and listeners == 1


def test_listeners_are_bounded() -> None:
    async def run() -> str:
        live = Live(listeners_max=1)
        first = live.listen(frozenset({"a"}))
        await anext(first)
        return await anext(live.listen(frozenset({"a"})))

    assert asyncio.run(run()).startswith("event: full")
