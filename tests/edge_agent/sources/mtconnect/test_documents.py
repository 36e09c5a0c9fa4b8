"""An agent's documents and streams; what is dangerous to read is refused."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from edge_agent.sources.mtconnect.documents import DocumentInvalid, parse
from edge_agent.sources.mtconnect.multipart import Parts, boundary_of
from tests.support.mtconnect import Agent, Item

STREAMS = b"""<?xml version="1.0"?>
<m:MTConnectStreams xmlns:m="urn:mtconnect.org:MTConnectStreams:1.3" xmlns="urn:mtconnect.org:MTConnectStreams:1.3">
 <m:Header instanceId="17" bufferSize="131072" firstSequence="3" lastSequence="9" nextSequence="10" creationTime="2022-08-08T13:00:00Z"/>
 <m:Streams><DeviceStream name="OKUMA" uuid="u"><ComponentStream component="Axes"><Samples>
  <Load dataItemId="x1" sequence="4" timestamp="2022-08-08T13:00:00.1234567Z" name="X1load">56.5</Load>
  <PositionTimeSeries dataItemId="ts" sequence="5" timestamp="2022-08-08T13:00:01Z" sampleCount="3" sampleRate="10">1 2 3</PositionTimeSeries>
 </Samples><Events><Execution dataItemId="e" sequence="6" timestamp="2022-08-08T13:00:02Z">ACTIVE</Execution>
  <VariableDataSet dataItemId="ds" sequence="7" timestamp="2022-08-08T13:00:02Z" count="1"><Entry key="a">1</Entry></VariableDataSet></Events>
 <Condition><Fault dataItemId="c" sequence="8" timestamp="2022-08-08T13:00:03Z" type="SYSTEM" nativeCode="2250">door &amp; window</Fault>
  <Normal dataItemId="c2" sequence="9" timestamp="2022-08-08T13:00:03Z" type="LOGIC"/></Condition>
 </ComponentStream></DeviceStream></m:Streams></m:MTConnectStreams>"""


def test_streams_of_any_namespace() -> None:
    found = parse(STREAMS)
    assert (found.header.instance, found.header.first, found.header.last, found.header.next) == ("17", 3, 9, 10)
    values = [(one.item, one.sequence, one.t_ms, one.value, one.level, one.code) for one in found.observations]
    second = 1_659_963_600_000
    assert values[0] == ("x1", 4, second + 123, "56.5", None, "")
    assert values[1:4] == [("ts", 5, second + ms, value, None, "") for ms, value in ((800, "1"), (900, "2"), (1000, "3"))]
    assert values[4] == ("e", 6, second + 2000, "ACTIVE", None, "")
    assert values[6:] == [("c", 8, second + 3000, "door & window", "FAULT", "2250"), ("c2", 9, second + 3000, "", "NORMAL", "")]


def test_a_probe_lists_items_with_device_and_path() -> None:
    agent = Agent([Item("e", "EXECUTION", name="pexecution"), Item("c", "SYSTEM", "CONDITION")])
    found = parse(agent._answer("/probe", {})[1])
    assert [(one.id, one.name, one.type, one.category, one.device, one.path) for one in found.items] == [
        ("e", "pexecution", "EXECUTION", "EVENT", ("LATHE-1", "u-1", "d1"), "LATHE-1/ctl"),
        ("c", "", "SYSTEM", "CONDITION", ("LATHE-1", "u-1", "d1"), "LATHE-1/ctl"),
    ]


def test_an_error_document() -> None:
    agent = Agent([Item("e", "EXECUTION")])
    assert parse(agent._answer("/sample", {"from": "99"})[1]).errors == [("OUT_OF_RANGE", "must be between 1 and 1")]


BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">' + "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9))


@pytest.mark.parametrize(
    "evil",
    [
        f"{BOMB}]><MTConnectStreams>&j;</MTConnectStreams>",
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><MTConnectStreams>&f;</MTConnectStreams>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/evil.dtd"><MTConnectStreams/>',
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/p">%p;]><MTConnectStreams/>',
        "<MTConnectStreams>" + "<a>" * 100_000,
        "<MTConnectStreams>&undefined;</MTConnectStreams>",
        "<html>hello</html>",
        "",
        "\x00\x01",
    ],
)
def test_dangerous_and_foreign_documents_are_refused_before_they_cost(evil: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DocumentInvalid):
            parse(evil.encode())
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_mutated_documents_are_read_or_refused() -> None:
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    for _ in range(1500):
        data = bytearray(STREAMS)
        for _ in range(dice.randrange(1, 8)):
            at = dice.randrange(len(data))
            data[at : at + dice.randrange(3)] = bytes(dice.randrange(256) for _ in range(dice.randrange(3)))
        try:
            parse(bytes(data))
        except DocumentInvalid:
            pass
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("length", [True, False])
def test_parts_of_a_stream_in_chunks_of_any_size(size: int, length: bool) -> None:
    bodies = [b"<a>1</a>", b"<b/>" * 300, b"<c>--not the mark</c>"]
    head = b"\r\n--5a7f\r\nContent-type: text/xml\r\n"
    stream = b"".join(head + (b"Content-length: %d\r\n" % len(body) if length else b"") + b"\r\n" + body + b"\r\n" for body in bodies) + b"--5a7f--"
    parts = Parts("5a7f", 100_000)
    found = [body for at in range(0, len(stream), size) for body in parts.feed(stream[at : at + size])]
    assert found == bodies


def test_a_stream_without_end_or_measure_is_refused() -> None:
    for chunk in (b"x" * 20_000, b"--b\r\nContent-length: 99999999\r\n\r\n", b"--b\r\n" + b"h" * 9000):
        with pytest.raises(DocumentInvalid):
            Parts("b", 10_000).feed(chunk)


def test_boundaries() -> None:
    assert boundary_of("multipart/x-mixed-replace;boundary=5a7f") == "5a7f"
    assert boundary_of('Multipart/X-Mixed-Replace; charset=utf-8; boundary="a b"') == "a b"
    assert boundary_of("text/xml") is None
