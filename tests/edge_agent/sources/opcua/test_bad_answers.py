"""Nonsense as a server's answers: it ends a session in words and nothing else, soon and without much memory.

open62541's fuzz corpus (MPL 2.0, not shipped: beside the repository) is sent as the answers of a server at every step of a session; mutations of our
own publish responses need no corpus.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tarfile
import time
import tracemalloc
from collections.abc import Iterator
from functools import cache

import pytest
from asyncua import ua

from edge_agent.app import build_sources
from edge_agent.contract.clock import PlantClock
from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.sources.opcua import client, decode
from edge_agent.sources.source import Sink
from edge_agent.worker import Intake
from tests.edge_agent.sources.opcua.test_decode import MAKE, encoded, item
from tests.edge_agent.sources.opcua.test_watch import config_of
from tests.support.data import shared
from tests.support.edge import Plc

HEAD = 24  # message header, channel, token, sequence and request of a MSG chunk
PUBLISH = b"\x01\x00\x3d\x03"
MOST_S, MOST_BYTES = 0.1, 50_000_000
CLEAN = (SourceLost, SourceMisconfigured)


@cache
def corpus() -> list[bytes]:
    with tarfile.open(shared("badinput/opcua-open62541/open62541_fuzz_corpus.tar.gz")) as archive:
        files = [archive.extractfile(member) for member in archive.getmembers() if member.isfile()]
        found = [file.read() for file in files if file is not None]
    assert len(found) > 1_000
    return found


def decoded(raw: bytes) -> None:
    with contextlib.suppress(SourceLost, client.TooManyPublishes):
        client.decoded(raw, decode.Layouts())
    with contextlib.suppress(decode.Unusual):
        decode.decode_republished(raw, 0, decode.Layouts(), 1)


def mutated(dice: random.Random, raw: bytes) -> bytes:
    body = bytearray(raw)
    for _ in range(dice.choice([1, 1, 2, 8])):
        at = dice.randrange(len(body))
        roll = dice.random()
        if roll < 0.4:
            body[at] = dice.choice([0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)])
        elif roll < 0.7:
            body[at : at + 4] = dice.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xf7\xff\xff\xff", dice.randbytes(4)])
        elif roll < 0.85:
            del body[at : at + dice.randint(1, 40)]
        else:
            body[at:at] = dice.randbytes(dice.randint(1, 40))
        if not body:
            return b"\0"
    return bytes(body)


def mutations(seed: int, count: int) -> Iterator[bytes]:
    dice = random.Random(seed)
    whole = [encoded([item(dice, i, dice.choice(list(MAKE)), dice.choice([0, 0, decode.OVERFLOW])) for i in range(n)]) for n in (1, 3, 12, 90)]
    whole.append(encoded([ua.MonitoredItemNotification(ClientHandle=1, Value=ua.DataValue(ua.Variant([1.0, 2.0], ua.VariantType.Double)))]))
    whole.append(encoded([], other=[ua.StatusChangeNotification(Status=ua.StatusCode(0x800A0000))]))
    for _ in range(count):
        yield mutated(dice, dice.choice(whole))


def test_law_mutated_responses_are_decoded_or_refused_in_words() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    for raw in mutations(seed, 3_000):
        decoded(raw)


def measured(raw: bytes) -> tuple[float, int]:
    """Seconds and most bytes held while `raw` was looked at."""
    began_s = time.perf_counter()
    decoded(raw)
    took_s = time.perf_counter() - began_s
    tracemalloc.start()
    decoded(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return took_s, peak


@pytest.mark.full
def test_the_corpus_and_many_mutations_cost_little() -> None:
    """Each alone below 100 ms (the quickest of three, for a busy machine) and 50 MB."""
    forms = [form for raw in corpus() for form in (raw, raw[HEAD:], PUBLISH + raw[HEAD + 4 :], PUBLISH + raw) if form]
    forms += mutations(1, 20_000)
    slowest, biggest = 0.0, 0
    for raw in forms:
        took_s, peak = measured(raw)
        if took_s > MOST_S:
            took_s = min(took_s, measured(raw)[0], measured(raw)[0])
        slowest, biggest = max(slowest, took_s), max(biggest, peak)
        assert took_s < MOST_S, raw.hex()
        assert peak < MOST_BYTES, raw.hex()
    print(f"{len(forms)} answers, slowest {slowest * 1e3:.1f} ms, most {biggest / 1e6:.1f} MB")


class Liar:
    """Between the agent and a real server; the `turn`-th answer of a connection is replaced by `lie`."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self.turn, self.lie = 0, b""

    async def __aenter__(self) -> Liar:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)

        async def up() -> None:
            while chunk := await reader.read(65536):
                far_writer.write(chunk)
            far_writer.close()

        async def down() -> None:
            turn = 0
            while chunk := await far_reader.read(65536):
                writer.write(self.lie if turn == self.turn else chunk)
                turn += 1
            writer.close()

        tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
        with contextlib.suppress(OSError):
            await asyncio.gather(*tasks)
        for end in (writer, far_writer):
            end.close()


async def lied_to(plc: Plc, lies: list[tuple[int, bytes]]) -> None:
    """Every lie ends its session with words (or is overlooked), and the next session is well."""
    metrics: dict[str, object] = {"state": {"node": "s=M.State"}, "good": {"node": "s=M.Good"}}
    async with Liar(plc.port) as liar:
        config = config_of(f"opc.tcp://127.0.0.1:{liar.port}/test/", metrics)
        config = config.model_copy(update={"sources": {"PLC": config.sources["PLC"].model_copy(update={"timeout_s": 0.5})}})
        for turn, lie in lies:
            liar.turn, liar.lie = turn, lie
            (made,) = build_sources(config, PlantClock())[1]
            task = asyncio.create_task(made.session(Sink(Intake())))
            await asyncio.wait([task], timeout=1.0 + turn / 10)
            if not task.done():  # overlooked, or waited for
                task.cancel()
            (error,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(error, (*CLEAN, asyncio.CancelledError)), (turn, lie.hex(), repr(error))


def lies(dice: random.Random, count: int) -> list[tuple[int, bytes]]:
    return [(dice.randrange(14), dice.choice(corpus())) for _ in range(count)]


@pytest.mark.full
def test_the_corpus_as_answers_of_a_server() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    with Plc() as plc:
        plc.add("M.State", 6, ua.VariantType.Int32)
        plc.add("M.Good", 3, ua.VariantType.UInt32)
        asyncio.run(lied_to(plc, lies(random.Random(seed), 300)))


def test_some_of_the_corpus_as_answers_of_a_server() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    with Plc() as plc:
        plc.add("M.State", 6, ua.VariantType.Int32)
        plc.add("M.Good", 3, ua.VariantType.UInt32)
        asyncio.run(lied_to(plc, lies(random.Random(seed), 4)))
