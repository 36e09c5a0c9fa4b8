"""Mutated Modbus answers, from seeds: 0 crashes. A read ends in as many values as asked for, an exception, or NoAnswer; the next one is right."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sources.modbus import frames
from edge_agent.sources.modbus.link import Link, NoAnswer
from edge_agent.sources.modbus.plan import Request
from tests.edge_agent.sources.modbus.test_links import link_to
from tests.support.modbus_slave import Asked, Slave, crc

TABLES = ("coil", "discrete", "holding", "input")
requests = st.builds(
    lambda table, address, count: Request(table, address, count, ()), st.sampled_from(TABLES), st.integers(0, 65535), st.integers(1, 125)
)


def outcome(pdu: bytes, request: Request) -> Any:
    try:
        return frames.answer(pdu, request)
    except (frames.BadReply, frames.DeviceError) as error:
        return error


@given(requests, st.binary(max_size=300))
def test_law_any_bytes_are_values_an_exception_or_refused(request: Request, pdu: bytes) -> None:
    found = outcome(pdu, request)
    assert isinstance(found, Exception) or len(found) == request.count


@given(requests, st.binary(max_size=300))
def test_law_any_bytes_on_a_line_are_consumed_or_waited_for(request: Request, data: bytes) -> None:
    """The reader of a line always comes to an end: it takes a frame, skips what is none, or waits for more."""
    rest, steps = data, 0
    while True:
        _, pdu, used = frames.rtu_next(rest, request)
        assert 0 <= used <= len(rest) and (pdu is None or used)
        if not used:
            break
        if pdu is not None:
            outcome(pdu, request)
        rest, steps = rest[used:], steps + 1
    assert steps <= len(data)


@given(requests, st.integers(0, 255), st.binary(max_size=40), st.binary(max_size=40))
def test_law_a_good_frame_is_found_whatever_stands_before_it(request: Request, unit: int, noise: bytes, after: bytes) -> None:
    values = bytes(frames.body_length(request))
    good = frames.rtu_frame(unit, bytes((frames.FUNCTIONS[request.table], len(values))) + values)
    rest, seen = noise + good + after, False
    for _ in range(len(rest) + 1):
        replier, pdu, used = frames.rtu_next(rest, request)
        if pdu is not None and replier == unit and outcome(pdu, request) == [0] * request.count:
            seen = True
            break
        if not used:
            break
        rest = rest[used:]
    # Noise may look like the beginning of another frame of the very same length, or of an exception; then the time-out decides.
    claims = any(byte in (frames.FUNCTIONS[request.table], frames.FUNCTIONS[request.table] | 0x80) for byte in noise)
    assert seen or claims


def mutate(dice: random.Random, good: bytes) -> bytes:
    """One of the ways in which frames go wrong."""
    data = bytearray(good)
    kind = dice.randrange(8)
    if kind == 0:
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    elif kind == 1:
        del data[dice.randrange(len(data)) :]
    elif kind == 2:
        at = dice.randrange(len(data))
        data[at:at] = dice.randbytes(dice.randrange(1, 20))
    elif kind == 3:
        data = bytearray(dice.randbytes(dice.randrange(1, 300)))
    elif kind == 4:
        data = data + data
    elif kind == 5:
        at = dice.randrange(len(data))
        data[at] = dice.choice((0, 0x7F, 0x80, 0xFF))
    elif kind == 6:
        del data[dice.randrange(len(data)) : dice.randrange(len(data)) + 3]
    else:
        dice.shuffle(data)
    return bytes(data)


async def _attack(link: Link, slave: Slave, dice: random.Random, rounds: int) -> dict[str, int]:
    """Every second read meets a mutated answer; the ones between must be right."""
    seen = {"values": 0, "exception": 0, "no answer": 0}
    request, other = Request("holding", 0, 10, ()), Request("holding", 50, 4, ())

    def mutated(asked: Asked) -> list[bytes | float]:
        bad = mutate(dice, asked.good())
        if slave.transport != "tcp" and dice.random() < 0.5:  # with a CRC that fits
            body = bad[:-2] or b"\1"
            bad = body + crc(body)
        return [bad] if bad else [0.0]

    for _ in range(rounds):
        slave.behave = mutated
        try:
            assert len(await link.read(1, request)) == request.count
            seen["values"] += 1
        except frames.DeviceError:
            seen["exception"] += 1
        except NoAnswer:
            seen["no answer"] += 1
        slave.behave = lambda asked: [asked.good()]
        assert await link.read(2, other) == [7, 8, 9, 10]
    return seen


def attack(transport: Any, seed: int, rounds: int) -> None:
    print("seed", seed)
    registers = {1: {at: 1000 + at for at in range(100)}, 2: {50: 7, 51: 8, 52: 9, 53: 10}}

    async def work(slave: Slave) -> dict[str, int]:
        link = link_to(slave, 0.25)
        try:
            return await _attack(link, slave, random.Random(seed), rounds)
        finally:
            await link.close()

    with Slave(transport, registers) as slave:
        seen = asyncio.run(work(slave))
    assert sum(seen.values()) == rounds and seen["no answer"] >= 1, seen


@pytest.mark.parametrize("transport", ["tcp", "serial"])
def test_mutated_answers_never_crash_and_never_stay(transport: Any) -> None:
    attack(transport, 4711, 8)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("transport", ["tcp", "rtu_over_tcp", "serial"])
def test_mutated_answers_many(transport: Any, seed: int) -> None:
    attack(transport, seed, 40)


def test_a_peer_that_floods_is_dropped_at_once() -> None:
    """Megabytes that nobody asked for are not kept."""
    with Slave("tcp", {1: {0: 1}}) as slave:

        async def work() -> None:
            link = link_to(slave, 2.0)
            slave.behave = lambda asked: [bytes(2_000_000)]
            with pytest.raises(NoAnswer, match="what is not Modbus"):
                await link.read(1, Request("holding", 0, 1, ()))
            slave.behave = lambda asked: [asked.good()]
            assert await link.read(1, Request("holding", 0, 1, ())) == [1]
            await link.close()

        asyncio.run(work())


def test_the_specifications_own_frames() -> None:
    """Modbus Application Protocol 1.1b3, 6.3: read registers 108 to 110."""
    request = Request("holding", 107, 3, ())
    assert frames.ask(request) == bytes.fromhex("03006B0003")
    assert frames.answer(bytes.fromhex("0306022B00000064"), request) == [555, 0, 100]
    coils = Request("coil", 19, 19, ())
    assert frames.ask(coils) == bytes.fromhex("0100130013")
    bits = frames.answer(bytes.fromhex("0103CD6B05"), coils)
    assert bits == [int(bit) for byte in (0xCD, 0x6B, 0x05) for bit in reversed(f"{byte:08b}")][:19]
    assert struct.unpack(">H", frames.rtu_frame(1, b"\3")[-2:])
