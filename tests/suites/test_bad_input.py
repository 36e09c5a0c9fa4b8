"""Bad input at every decoder of the edge: no crash, below 100 ms of CPU and 50 MB each. Mutations of honest bytes, long nonsense, seeds printed.

OPC UA has the same with a corpus of its own (tests/edge_agent/sources/opcua/test_bad_answers.py), the server's door too
(tests/mes_server/ingest/test_bad_input.py).
"""

from __future__ import annotations

import contextlib
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.conformance.mqtt_packets import BadPacket
from edge_agent.contract.topics import parse as topic_of
from edge_agent.sources.bus.line import BUFFER_MAX
from edge_agent.sources.dlt645 import codec as dlt645
from edge_agent.sources.dsmr import telegram as dsmr
from edge_agent.sources.enip import cip
from edge_agent.sources.mbus import frames as mbus
from edge_agent.sources.mbus import records, select
from edge_agent.sources.modbus import frames as modbus
from edge_agent.sources.modbus.link import BACKLOG_MAX
from edge_agent.sources.modbus.plan import Request
from edge_agent.sources.mqtt import jsonpath
from edge_agent.sources.mqtt.sparkplug import Node
from edge_agent.sources.mtconnect import documents, multipart, shdr
from edge_agent.sources.s7 import client as s7
from edge_agent.sources.s7.plan import Piece
from tests.edge_agent.conformance.test_mqtt_packets import corpus as mqtt_corpus
from tests.edge_agent.conformance.test_mqtt_packets import read as read_mqtt
from tests.support.cost import Cost
from tests.support.ingest import T0, births, story
from tests.support.modbus_slave import crc

HERE = Path(__file__).parents[1] / "edge_agent" / "sources"
ASKED = Request("holding", 0, 60, ())
XML = (
    b'<?xml version="1.0"?><MTConnectStreams xmlns="urn:mtconnect.org:MTConnectStreams:1.8"><Header instanceId="1" firstSequence="1" lastSequence="9"'
    b' nextSequence="10" creationTime="2026-03-02T00:00:00Z"/><Streams>'
    b'<DeviceStream name="L" uuid="u"><ComponentStream component="C" componentId="c">'
    b'<Events><Execution dataItemId="e" timestamp="2026-03-02T00:00:00.5Z" sequence="3">ACTIVE</Execution></Events><Samples>'
    b'<PositionTimeSeries dataItemId="p" timestamp="2026-03-02T00:00:01Z" sequence="4" sampleCount="3" sampleRate="100">1 2 3</PositionTimeSeries>'
    b"</Samples>"
    b'<Condition><Fault dataItemId="k" timestamp="2026-03-02T00:00:02Z" sequence="5" nativeCode="7">hot</Fault></Condition>'
    b"</ComponentStream></DeviceStream></Streams></MTConnectStreams>"
)


# --- the decoders: bytes in, nothing but their own refusal out ------------------------------------------------------------------------
def modbus_tcp(raw: bytes) -> None:
    with contextlib.suppress(modbus.BadReply, modbus.DeviceError):
        modbus.answer(raw, ASKED)


def modbus_rtu(raw: bytes) -> None:
    rest = raw
    while True:
        _, pdu, used = modbus.rtu_next(rest, ASKED)
        if not used:
            return
        rest = rest[used:]
        if pdu is not None:
            modbus_tcp(pdu)


def mbus_line(raw: bytes) -> None:
    buffer = bytearray(raw)
    while (frame := mbus.take(buffer)) is not None:
        if isinstance(frame, mbus.Long):
            mbus_telegram(frame.data, frame.ci)


def mbus_telegram(raw: bytes, ci: int = 0x72) -> None:
    with contextlib.suppress(records.BadTelegram, records.ApplicationError):
        for record in records.decode(mbus.Long(0x08, 1, ci, raw)).records:
            select.ours(record)
            select.words(record)


def dlt645_line(raw: bytes) -> None:
    buffer = bytearray(raw)
    while (frame := dlt645.take(buffer)) is not None:
        dlt645.refusal(frame)
        with contextlib.suppress(dlt645.BadFrame):
            dlt645.Format.of("XXXXXX.XX", True).decode(frame.data[4:])


def dsmr_port(raw: bytes) -> None:
    buffer = bytearray(raw)
    while (found := dsmr.take(buffer)) is not None:
        with contextlib.suppress(dsmr.BadTelegram):
            read = dsmr.decode(found)
            read.time_ms(1.0)
            for code in read.objects:
                read.measured(code)


def mqtt_packets(raw: bytes) -> None:
    with contextlib.suppress(BadPacket):
        read_mqtt(raw, 5 if len(raw) % 2 else 4)


def mqtt_json(raw: bytes) -> None:
    for path, found in jsonpath.leaves(jsonpath.read(raw)):
        with contextlib.suppress(jsonpath.Missing, jsonpath.BadPath):
            jsonpath.value_of(found, True)
            jsonpath.parse(path)


def mqtt_sparkplug(raw: bytes) -> None:
    node = Node()
    for topic, honest in births()[:2]:
        list(node.take(topic_of(topic), honest, T0))
    for kind in ("DDATA/EDGE-L1/SAW-01", "NBIRTH/EDGE-L1", "DBIRTH/EDGE-L1/SAW-01", "NDEATH/EDGE-L1"):
        list(node.take(topic_of(f"spBv1.0/PUMP/{kind}"), raw, T0))


def enip_answer(raw: bytes) -> None:
    with contextlib.suppress(cip.FrameInvalid, cip.ValueInvalid):
        answer = cip.reply(cip.message_of(raw))
        answer.words()
        for read in (
            lambda: cip.value(answer.data),
            lambda: cip.value(answer.data, 3),
            lambda: cip.symbols(answer.data),
            lambda: cip.replies(answer, 3),
        ):
            with contextlib.suppress(cip.FrameInvalid, cip.ValueInvalid):
                read()


def s7_items(raw: bytes) -> None:
    with contextlib.suppress(struct.error, IndexError, ValueError):  # those S7Connection.read takes
        s7._items(raw, [Piece(0x84, 1, 0, size, 0, 0) for size in (4, 7, 20)])


def mtconnect_document(raw: bytes) -> None:
    with contextlib.suppress(documents.DocumentInvalid):
        documents.parse(raw)


def mtconnect_stream(raw: bytes) -> None:
    with contextlib.suppress(documents.DocumentInvalid):
        for body in multipart.Parts("5a7f", 1_000_000).feed(raw):
            mtconnect_document(body)


def mtconnect_shdr(raw: bytes) -> None:
    reader = shdr.Reader(frozenset({"travel"}))
    for line in raw.split(b"\n"):
        list(reader.line(line[: shdr.LINE_MAX].decode("utf-8", "replace"), T0))


# --- honest bytes -------------------------------------------------------------------------------------------------------------------
def _rtu(pdu: bytes) -> bytes:
    return b"\1" + pdu + crc(b"\1" + pdu)


def _mbus() -> list[bytes]:
    return [bytes.fromhex(json.loads(line)["hex"]) for line in (HERE / "mbus" / "libmbus_frames.jsonl").read_text().splitlines()]


def _enip() -> list[bytes]:
    text = struct.pack("<HI", 0x0FCE, 7) + b"WO-4711" + bytes(75)
    found = [struct.pack("<BBBB", 0xCC, 0, 0, 0) + data for data in (struct.pack("<Hi", 0xC4, 100), struct.pack("<Hf", 0xCA, 1.5), text)]
    found.append(struct.pack("<BBBB", 0x8A, 0, 0, 0) + struct.pack("<HHHH", 3, 8, 18, 28) + b"".join(one[:10] for one in found))
    found.append(struct.pack("<BBBB", 0xD5, 0, 0, 0) + struct.pack("<IH4sHIIIHH", 1, 4, b"Good", 0xC4, 0, 0, 0, 0, 0))
    return [cip.send(1, 1, one)[24:] for one in found]


def _part(body: bytes) -> bytes:
    return b"--5a7f\r\nContent-type: text/xml\r\nContent-length: %d\r\n\r\n" % len(body) + body + b"\r\n"


GOOD_PDU = bytes((3, 120)) + bytes(range(120))
DECODERS: dict[str, tuple[Callable[[bytes], object], Callable[[], list[bytes]]]] = {
    "modbus tcp": (modbus_tcp, lambda: [GOOD_PDU, b"\x83\x02"]),
    "modbus rtu": (modbus_rtu, lambda: [_rtu(GOOD_PDU), _rtu(b"\x83\x02"), _rtu(GOOD_PDU) * 3]),
    "mbus line": (mbus_line, _mbus),
    "mbus telegram": (mbus_telegram, lambda: [raw[7:-2] for raw in _mbus()]),
    "dlt645": (
        dlt645_line,
        lambda: [b"\xfe" * 4 + dlt645.build("123456789012", 0x91, bytes.fromhex("0000010078563412")), dlt645.build("1", 0xD1, b"\2")],
    ),
    "dsmr": (dsmr_port, lambda: [text.encode() for text in json.loads((HERE / "dsmr" / "dsmr_telegrams.json").read_text()).values()]),
    "mqtt packets": (mqtt_packets, lambda: [raw for raw, _ in mqtt_corpus()]),
    "mqtt json": (mqtt_json, lambda: [b'{"a": {"b": [1, 2.5, {"c": "x"}], "t": "2026-03-02T00:00:00Z"}, "v": true}', b"21.5", b'"on"']),
    "mqtt sparkplug": (mqtt_sparkplug, lambda: [payload for _, payload in [*births(), *story(5, 30)]]),
    "enip": (enip_answer, _enip),
    "s7": (s7_items, lambda: [b"\xff\x04\0\x20abcd" + b"\xff\x09\0\x07abcdefg\0" + b"\x0a\0\0\0"]),
    "mtconnect document": (mtconnect_document, lambda: [XML]),
    "mtconnect stream": (mtconnect_stream, lambda: [_part(XML) * 2]),
    "mtconnect shdr": (
        mtconnect_shdr,
        lambda: [b"2026-03-02T00:00:00Z|exec|ACTIVE|pc|5\n2026-03-02T00:00:01Z|travel|FAULT|1|2|HIGH|hot\n* PONG 1000\n"],
    ),
}


def mutated(dice: random.Random, honest: list[bytes]) -> bytes:
    """Bits flipped, cut, put in, doubled; numbers at their ends."""
    data = bytearray(dice.choice(honest))
    for _ in range(dice.choice((1, 1, 2, 8))):
        at = dice.randrange(len(data) + 1)
        what = dice.randrange(6)
        if what == 0 and data:
            data[at % len(data)] ^= 1 << dice.randrange(8)
        elif what == 1:
            data[at : at + dice.randint(1, 4)] = dice.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff", b"\x80", dice.randbytes(4)))
        elif what == 2:
            del data[at : at + dice.randint(1, 40)]
        elif what == 3:
            data[at:at] = dice.randbytes(dice.randint(1, 40))
        elif what == 4:
            data += data[:at]
        else:
            other = dice.choice(honest)
            data[at:] = other[dice.randrange(len(other) + 1) :]
    return bytes(data)


LONGEST = {"modbus tcp": 253, "modbus rtu": BACKLOG_MAX, "mbus telegram": 252}  # what can come at all; else what a line's buffer takes


def long_ones(honest: list[bytes], size: int) -> list[bytes]:
    """As much as can come, of what looks like the beginning of something."""
    begins = [one[: max(1, len(one) // 2)] for one in honest[:3]] + [honest[0][:1], honest[-1], b"\0", b"\xff", b"h", b"[", b'{"a":', b"<a>", b"(1)"]
    return [(one * (size // len(one) + 1))[:size] for one in begins if one]


def run(name: str, count: int, seed: int) -> Cost:
    decoder, make = DECODERS[name]
    honest = [one for one in make() if one]
    dice = random.Random(seed)
    print(f"{name}: seed {seed}")
    cost = Cost(decoder)
    for raw in honest[:10]:
        cost.of(raw)
    for _ in range(count):
        cost.of(mutated(dice, honest))
    return cost


@pytest.mark.parametrize("name", DECODERS)
def test_bad_input_costs_little_and_crashes_nothing(name: str) -> None:
    print(run(name, 30, random.randrange(2**32)))


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", DECODERS)
def test_much_bad_input_costs_little_and_crashes_nothing(name: str) -> None:
    cost = run(name, 20_000, random.randrange(2**32))
    for raw in long_ones([one for one in DECODERS[name][1]() if one], LONGEST.get(name, BUFFER_MAX)):
        cost.of(raw)
    print(f"{name}: {cost}")
