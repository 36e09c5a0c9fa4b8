"""UUIDv7 (RFC 9562): ids that sort by time, made without the wall clock: the caller gives plant milliseconds."""

from __future__ import annotations

import secrets
import uuid

_NAMESPACE = uuid.UUID("6f0d9f5e-8a53-5c1c-9b7e-2f6f2f1f6a11")


def uuid7(now_ms: int) -> uuid.UUID:
    rand = secrets.randbits(74)
    value = (now_ms & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | (rand >> 62) << 64 | 0b10 << 62 | (rand & (1 << 62) - 1)
    return uuid.UUID(int=value)


def derived_id(*parts: object) -> uuid.UUID:
    """The same id for the same parts: for events the server itself derives (machine counts, ERP changes), so that a repeat is a repeat."""
    return uuid.uuid5(_NAMESPACE, "\x1f".join(str(part) for part in parts))
