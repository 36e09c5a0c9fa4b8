"""What is kept of a subscription, and when it is believed after a restart."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge_agent.sources.opcua.offset import ClockOffset
from edge_agent.sources.opcua.profiles import GENERIC, profile_of, queue_needed, queue_wanted
from edge_agent.sources.opcua.resume import Held, Run, Subscription, following, items_hash, recalled, tolerance_ms


def held(sequence: int = 7, offset_ms: float = -5000.0, started_ms: int = 1_700_000_000_000) -> bytes:
    made = Held(Subscription(42, 0.1, 0.5), Run("urn:plc", started_ms), "abc", (3,), ClockOffset(2200.0, offset_ms), until_ms=1_770_000_000_000)
    return made.memory(sequence)


def test_it_goes_on_after_the_last_stored_and_knows_what_may_be_stored_in_part() -> None:
    found = recalled(held(7), held(9), 1.0)
    assert found is not None
    assert (found.subscription, found.run, found.items, found.refused) == (Subscription(42, 0.1, 0.5), Run("urn:plc", 1_700_000_000_000), "abc", (3,))
    assert (found.next_sequence, found.stored, found.repeated_to, found.until_ms) == (8, 7, 9, 1_770_000_000_000)
    assert found.offset.ms == -5000.0


@pytest.mark.parametrize(
    ("durable", "received"),
    [
        (b"", b""),
        (b"", held()),  # a new subscription was begun and nothing of it is stored
        (held(), b""),
        (held(), held(started_ms=1)),  # the server was restarted in between
        (b"{", held()),
        (held(), b"[1]"),
        (json.dumps({**json.loads(held()), "version": 2}).encode(), held()),
        (json.dumps({"version": 1}).encode(), held()),
    ],
)
def test_what_is_not_certain_is_not_gone_on_with(durable: bytes, received: bytes) -> None:
    assert recalled(durable, received, 1.0) is None


def test_sequence_numbers_begin_anew_at_one() -> None:
    assert [following(1), following(2**32 - 2), following(2**32 - 1)] == [2, 2**32 - 1, 1]


def test_other_items_other_hash() -> None:
    nodes = [(0, "ns=2;s=A"), (1, "ns=2;s=B")]
    assert items_hash((0.1, 0, 100), nodes) == items_hash((0.1, 0, 100), reversed(nodes))
    others = [items_hash((0.1, 0, 100), [(1, "ns=2;s=A"), (0, "ns=2;s=B")]), items_hash((0.2, 0, 100), nodes), items_hash((0.1, 0, 100), nodes[:1])]
    assert len({items_hash((0.1, 0, 100), nodes), *others}) == 4


def test_acknowledged_is_what_was_stored() -> None:
    async def main() -> None:
        made = Held(Subscription(1, 0.1, 0.5), Run("", 0), "", (), ClockOffset(tolerance_ms(0.1, 1.0)), unstored=2)
        made.on_stored(4)
        made.on_stored(5)
        assert (made.stored, made.to_acknowledge, made.unstored, made.progress.is_set()) == (5, [4, 5], 0, True)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("manufacturer", "product", "limits", "wanted", "found"),
    [
        ("Siemens AG", "SIMATIC S7-1200", {}, None, ("S7-1200", 100, 100, 2, False)),
        ("SIEMENS", "S7-1500 OPC UA Server", {"MaxMonitoredItemsPerCall": 1000}, None, ("S7-1500", 500, 500, 2, True)),
        ("Kepware", "KEPServerEX", {"MaxMonitoredItemsPerCall": 0}, None, ("Kepware", 1000, 1000, 3, True)),
        ("", "", {}, None, ("generic", 500, 500, 3, True)),
        ("NodeOPCUA : MIT Licence", "NodeOPCUA-Server", {"MaxMonitoredItemsPerCall": 50, "MaxNodesPerRead": 20}, None, ("generic", 50, 20, 3, True)),
        ("", "", {"MaxMonitoredItemsPerCall": 50}, 10, ("generic", 10, 500, 3, True)),
        ("", "", {"MaxMonitoredItemsPerCall": 50}, 100, ("generic", 50, 500, 3, True)),
    ],
)
def test_profiles_by_build_and_limits(manufacturer: str, product: str, limits: dict[str, int], wanted: int | None, found: tuple[object, ...]) -> None:
    made = profile_of(manufacturer, product, limits, wanted)
    assert (made.name, made.items_per_call, made.reads_per_call, made.publishes, made.has_filter) == found


def test_queues() -> None:
    assert GENERIC.transfers
    assert (queue_wanted(1.0, 0.1, 2), queue_wanted(1.0, 0.0, 1000), queue_wanted(0.1, 0.1, 100)) == (30, 1000, 100)
    assert (queue_needed(1.0, 0.1), queue_needed(1.0, 0.0), queue_needed(0.1, 1.0)) == (11, 2, 2)
