"""PublishRequest and RequestHeader as bytes (OPC 10000-4, 5.14.5 and 7.33): one goes out for each notification. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_to_binary

PUBLISH = b"\x01\x00\x3a\x03"  # NodeId i=826, PublishRequest_Encoding_DefaultBinary
EPOCH_100NS = 116_444_736_000_000_000
_BEHIND_TOKEN = struct.Struct("<qIIiI3x")  # Timestamp, RequestHandle, ReturnDiagnostics, no AuditEntryId, TimeoutHint, no AdditionalHeader


def header(token: ua.NodeId, now_ns: int, handle: int, timeout_s: float) -> bytes:
    """A RequestHeader that wants no diagnostics. `now_ns`: since 1970 UTC."""
    return _token(token) + _BEHIND_TOKEN.pack(EPOCH_100NS + now_ns // 100, handle, 0, -1, int(timeout_s * 1000))


def acknowledgements(subscription: int, sequences: Sequence[int]) -> bytes:
    """Parameters of a PublishRequest."""
    return struct.pack(f"<i{2 * len(sequences)}I", len(sequences), *(number for sequence in sequences for number in (subscription, sequence)))


@lru_cache(maxsize=64)
def _token(token: ua.NodeId) -> bytes:
    return bytes(nodeid_to_binary(token))
