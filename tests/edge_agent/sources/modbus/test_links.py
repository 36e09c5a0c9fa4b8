"""Both ways to a bus against slaves that misbehave: nothing but the answer to the question is ever taken for it, and the bus goes on afterwards."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from edge_agent.errors import SourceLost
from edge_agent.sources.modbus.frames import DeviceError, crc16, silence_s
from edge_agent.sources.modbus.link import Link, NoAnswer
from edge_agent.sources.modbus.plan import Request
from edge_agent.sources.modbus.rtu import Line, ModbusRtu
from edge_agent.sources.modbus.tcp import ModbusTcp
from tests.support.modbus_slave import Asked, Slave
from tests.support.wait import free_port

TIMEOUT_S = 0.25
ONE = Request("holding", 10, 2, ())
OTHER = Request("holding", 20, 2, ())
REGISTERS = {1: {10: 11, 11: 12, 20: 21, 21: 22}, 2: {10: 211, 11: 212}}


def link_to(slave: Slave, timeout_s: float = TIMEOUT_S) -> Link:
    if slave.transport == "tcp":
        return ModbusTcp("127.0.0.1", slave.port, timeout_s)
    return ModbusRtu(Line(slave.device) if slave.transport == "serial" else ("127.0.0.1", slave.port), timeout_s)


def using(slave: Slave, work: Callable[[Link], Awaitable[Any]], timeout_s: float = TIMEOUT_S) -> Any:
    async def run() -> Any:
        link = link_to(slave, timeout_s)
        try:
            return await work(link)
        finally:
            await link.close()

    return asyncio.run(run())


@pytest.fixture(params=["tcp", "rtu_over_tcp", "serial"])
def slave(request: pytest.FixtureRequest) -> Iterator[Slave]:
    with Slave(request.param, REGISTERS) as made:
        yield made


def test_every_table_is_read_in_one_piece_or_in_single_bytes(slave: Slave) -> None:
    def in_bytes(asked: Asked) -> list[bytes | float]:
        return [bytes((byte,)) for byte in asked.good()]

    async def work(link: Link) -> None:
        for table, words in (("holding", [11, 12]), ("input", [11, 12]), ("coil", [1, 0]), ("discrete", [1, 0])):
            assert await link.read(1, Request(table, 10, 2, ())) == words
        slave.behave = in_bytes
        assert await link.read(1, ONE) == [11, 12]
        assert await link.read(2, ONE) == [211, 212]
        many = Request("input", 1000, 125, ())
        assert await link.read(1, many) == [0] * 125

    using(slave, work)
    assert [asked.function for asked in slave.asked] == [3, 4, 1, 2, 3, 3, 4]


def test_a_late_reply_is_never_the_answer_to_the_next_question(slave: Slave) -> None:
    """The classic of every Modbus client: same unit, same function, same length, the values of the question before."""

    timeout_s = 1.0  # a busy machine may be half a second late, in either direction

    def late(asked: Asked) -> list[bytes | float]:
        return [1.5 * timeout_s, asked.good()] if asked.address == ONE.address else [asked.good()]

    async def work(link: Link) -> None:
        slave.behave = late
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await link.read(1, ONE)
            assert await link.read(1, OTHER) == [21, 22]

    using(slave, work, timeout_s)


def wrong_replies() -> list[tuple[str, Callable[[Asked], list[bytes | float]]]]:
    short = lambda asked: [asked.frame(bytes((asked.function, 2, 0, 9)))]  # noqa: E731
    return [
        ("another unit", lambda asked: [asked.good(unit=9)]),
        ("another function", lambda asked: [asked.frame(bytes((4, 4, 0, 9, 0, 9)))]),
        ("fewer values", short),
        ("count says more than comes", lambda asked: [asked.frame(bytes((asked.function, 8, 0, 9, 0, 9)))]),
        ("nothing", lambda asked: [0.0]),
        ("half of it", lambda asked: [asked.good()[:5]]),
        ("noise", lambda asked: [b"\x5a" * 40]),
    ]


@pytest.mark.parametrize("transport", ["tcp", "serial"])
@pytest.mark.parametrize(("words", "behave"), wrong_replies(), ids=[words for words, _ in wrong_replies()])
def test_what_is_not_the_answer_is_refused_and_the_next_question_is_answered(
    transport: Any, words: str, behave: Callable[[Asked], list[bytes | float]]
) -> None:
    async def work(link: Link) -> None:
        slave.behave = behave
        with pytest.raises(NoAnswer) as error:
            await link.read(1, ONE)
        assert error.value.next_en and error.value.next_zh and error.value.zh
        slave.behave = lambda asked: [asked.good()]
        assert await link.read(2, ONE) == [211, 212]

    with Slave(transport, REGISTERS) as slave:
        using(slave, work)


def test_another_transaction_ends_the_connection() -> None:
    with Slave("tcp", REGISTERS) as slave:

        async def work(link: Link) -> None:
            slave.behave = lambda asked: [asked.good(transaction=asked.transaction + 1)]
            with pytest.raises(NoAnswer, match="another request"):
                await link.read(1, ONE)
            slave.behave = lambda asked: [asked.good()]
            assert await link.read(1, ONE) == [11, 12]

        using(slave, work)
        assert slave.connections == 2


def test_bytes_that_nobody_asked_for_are_not_the_next_answer(slave: Slave) -> None:
    """A gateway that sends every reply twice."""

    async def work(link: Link) -> None:
        slave.behave = lambda asked: [asked.good() * 2]
        assert await link.read(1, ONE) == [11, 12]
        await asyncio.sleep(0.05)
        assert await link.read(1, OTHER) == [21, 22]
        assert await link.read(1, ONE) == [11, 12]

    using(slave, work)


def test_exceptions_are_the_devices_own_words_and_keep_the_line(slave: Slave) -> None:
    async def work(link: Link) -> None:
        for code in (1, 2, 4, 6, 11, 77):
            slave.behave = lambda asked, code=code: [asked.exception(code)]
            with pytest.raises(DeviceError) as error:
                await link.read(1, ONE)
            assert error.value.code == code
        slave.behave = lambda asked: [asked.good()]
        assert await link.read(1, ONE) == [11, 12]

    using(slave, work)
    assert slave.connections <= 1


def test_a_slave_that_hangs_up_is_connected_anew() -> None:
    for transport in ("tcp", "rtu_over_tcp"):
        with Slave(transport, REGISTERS) as slave:

            async def work(link: Link, slave: Slave = slave) -> None:
                slave.behave = lambda asked: None
                with pytest.raises(NoAnswer):
                    await link.read(1, ONE)
                slave.behave = lambda asked: [asked.good()]
                assert await link.read(1, ONE) == [11, 12]

            using(slave, work)


def test_a_read_that_was_cancelled_leaves_nothing_behind(slave: Slave) -> None:
    async def work(link: Link) -> None:
        slave.behave = lambda asked: [0.15, asked.good()]
        task = asyncio.create_task(link.read(1, ONE))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        slave.behave = lambda asked: [asked.good()]
        assert await link.read(1, OTHER) == [21, 22]

    using(slave, work)


@pytest.mark.parametrize("transport", ["serial", "rtu_over_tcp"])
def test_rtu_finds_its_frame_among_noise_echo_and_other_slaves(transport: Any) -> None:
    with Slave(transport, REGISTERS) as slave:

        async def work(link: Link) -> None:
            for disturbed in (
                lambda asked: [b"\x00\xff\x13" + asked.good()],
                lambda asked: [asked.raw, asked.good()],  # an adapter that hears itself
                lambda asked: [asked.good(unit=7) + asked.good()],
                lambda asked: [bytes((1, 3, 200)) + asked.good()],  # the beginning of a frame that never goes on
                lambda asked: [asked.frame(bytes((3, 2, 0, 1))) + asked.good()],  # the late reply to a shorter question
                lambda asked: [asked.good()[:-1] + b"\x00", asked.good()],  # one with a bad CRC, then a good one
            ):
                slave.behave = disturbed
                assert await link.read(1, ONE) == [11, 12]

        using(slave, work)


def test_a_bad_crc_is_no_answer() -> None:
    with Slave("serial", REGISTERS) as slave:
        slave.behave = lambda asked: [asked.good()[:-2] + b"\0\0"]

        async def work(link: Link) -> None:
            with pytest.raises(NoAnswer, match="no answer in time"):
                await link.read(1, ONE)

        using(slave, work)


def test_a_dead_slave_on_a_serial_bus_does_not_hold_up_its_neighbour() -> None:
    """The late reply of unit 1 comes while unit 2 is asked: it is dropped by its unit, without waiting for it first."""
    with Slave("serial", REGISTERS) as slave:

        async def work(link: Link) -> None:
            slave.behave = lambda asked: [0.0]
            with pytest.raises(NoAnswer):
                await link.read(1, ONE)
            late = slave.asked[-1].good()
            slave.behave = lambda asked: [late, asked.good()]
            assert await link.read(2, ONE) == [211, 212]

        using(slave, work)


def test_a_port_that_is_not_there_or_is_taken_is_said_with_the_next_step() -> None:
    async def work(link: Link) -> None:
        with pytest.raises(SourceLost) as error:
            await link.read(1, ONE)
        assert error.value.next_en and error.value.next_zh

    asyncio.run(work(ModbusRtu(Line("/dev/no-such-port"), TIMEOUT_S)))
    asyncio.run(work(ModbusTcp("127.0.0.1", free_port(), TIMEOUT_S)))
    with Slave("serial", REGISTERS) as slave:

        async def both(link: Link) -> None:
            assert await link.read(1, ONE) == [11, 12]
            await work(link_to(slave))  # the second program on the port

        using(slave, both)


def test_a_port_that_goes_away_is_lost_and_comes_back() -> None:
    async def work() -> None:
        link = ModbusRtu(("127.0.0.1", free_port()), TIMEOUT_S)
        with pytest.raises(SourceLost):
            await link.open()

    asyncio.run(work())
    with Slave("serial", REGISTERS) as slave:

        async def unplugged(link: Link) -> None:
            assert await link.read(1, ONE) == [11, 12]
            assert isinstance(link, ModbusRtu) and link._wire is not None
            link._wire.end("unplugged")
            assert await link.read(1, ONE) == [11, 12]

        using(slave, unplugged)


def test_published_crc_vectors_and_silences() -> None:
    assert crc16(b"123456789") == 0x4B37  # the CRC catalogue's check value
    assert crc16(struct.pack(">BBHH", 0x11, 3, 0x6B, 3)) == int.from_bytes(b"\x76\x87", "little")  # the specification's example request
    assert silence_s(9600) == pytest.approx(3.5 * 11 / 9600)
    assert silence_s(115200) == 0.00175
