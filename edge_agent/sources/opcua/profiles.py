"""What kinds of OPC UA servers stand, by their BuildInfo, and what the server itself says it can do at once. A table; pure.

Sources: Siemens 109755846 (S7-1200: above 200 items a call 50 times slower, 1,000 items, no filter), S7-1500 manual (32 sessions, requests
should not overlap), Kepware's and benthos-umh's defaults (1,000 a call), asyncua's source (a transferred subscription goes on answering to the
connection it was made by).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

IN_FLIGHT = 3  # PublishRequests that wait at the server: the link's round trip costs nothing


@dataclass(frozen=True, slots=True)
class Profile:
    """`build`: small letters of which all words of one entry stand in "manufacturer product"."""

    name: str
    build: tuple[str, ...]
    items_per_call: int = 500
    reads_per_call: int = 500
    histories_per_call: int = 50
    publishes: int = IN_FLIGHT
    calls: int = 4  # CreateMonitoredItems requests on their way at once
    has_filter: bool = True  # a DataChangeFilter is tried
    transfers: bool = True  # TransferSubscriptions does what it answers


GENERIC = Profile("generic", ())
PROFILES = (
    Profile("S7-1200", ("siemens s7-1200", "siemens simatic s7-1200"), 100, 100, 10, 2, 1, has_filter=False),
    Profile("S7-1500", ("siemens s7-1500", "siemens simatic s7-1500", "siemens et 200sp"), 500, 500, 10, 2, 1),
    Profile("Kepware", ("kepware", "kepserverex", "thingworx kepware"), 1000, 1000),
    # its deadband compares with the value before, not the last one told: a slow drift is never told
    Profile("asyncua", ("freeopcua python",), 500, 500, has_filter=False, transfers=False),
)
LIMITS = {"MaxMonitoredItemsPerCall": "items_per_call", "MaxNodesPerRead": "reads_per_call", "MaxNodesPerHistoryReadData": "histories_per_call"}


def profile_of(manufacturer: str, product: str, limits: Mapping[str, int], items_per_call: int | None = None) -> Profile:
    """The profile whose words stand in the server's BuildInfo, capped by its OperationLimits (0: it sets none). `items_per_call`: a person's word."""
    build = f"{manufacturer} {product}".lower()
    found = next((p for p in PROFILES if any(all(word in build for word in entry.split()) for entry in p.build)), GENERIC)
    if items_per_call is not None:
        found = replace(found, items_per_call=items_per_call)
    caps = {field: min(getattr(found, field), limits[limit]) for limit, field in LIMITS.items() if limits.get(limit, 0) > 0}
    return replace(found, **caps)


def queue_wanted(publishing_s: float, sampling_s: float, at_least: int) -> int:
    """Values an item's queue must hold so that none is dropped between two sendings, with room for a sending that comes late."""
    return at_least if sampling_s <= 0 else max(at_least, int(2 * publishing_s / sampling_s) + 10)


def queue_needed(publishing_s: float, sampling_s: float) -> int:
    """The least that holds what a server sees between two sendings; 2 where it looks as fast as it can."""
    return 2 if sampling_s <= 0 else max(2, int(publishing_s / sampling_s) + 1)
