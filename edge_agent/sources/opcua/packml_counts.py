"""PackML's counters are arrays of a structure (OPC 30050, PackMLCountDataType), which no generic decoder knows."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from edge_agent.sources.opcua import skip


def counts(bodies: Sequence[bytes | None]) -> int | None:
    """Sum over an array of PackMLCountDataType (ID Int32, Name String, Unit EUInformation, Count Int32, AccCount Int32); None when it is none.

    AccCount is taken where the machine keeps it: it is not set back with a new batch.
    """
    found = [_count(body) for body in bodies]
    known = [one for one in found if one is not None]
    if not known or len(known) != len(found):
        return None
    kept = any(accumulated for _, accumulated in known)
    return sum(accumulated if kept else count for count, accumulated in known)


def _count(body: bytes | None) -> tuple[int, int] | None:
    """(Count, AccCount) when every byte fits."""
    if not body:
        return None
    try:
        at = skip.text(body, skip.text(body, 4)) + 4  # ID; Name; EUInformation: namespace, unit id,
        at = skip.localized_text(body, skip.localized_text(body, at))  # display name, description
        if len(body) != at + 8:
            return None
        count, accumulated = struct.unpack_from("<ii", body, at)
    except (struct.error, IndexError):
        return None
    return count, accumulated
