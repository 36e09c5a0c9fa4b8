"""Steps over encoded values that are no number, Boolean, date or string (OPC 10000-6, 5.2.2): where they end, and the text of a LocalizedText.

Every length is held against the bytes that are there, every recursion is bounded: a server may send anything. Nonsense raises IndexError or
struct.error, which `decode` knows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

DEPTH_MAX = 16
_SIZES = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}
_ARRAY, _DIMENSIONS = 0x80, 0x40
LOCALIZED_TEXT, NODE_ID, EXTENSION_OBJECTS = 21, 17, 22 | 0x80


def _within(body: bytes, at: int) -> int:
    if at > len(body):
        raise IndexError("ends before its value does")
    return at


def text(body: bytes, at: int, depth: int = 0) -> int:
    """A String, ByteString or XmlElement."""
    return _within(body, at + 4 + max(struct.unpack_from("<i", body, at)[0], 0))


def node_id(body: bytes, at: int, depth: int = 0) -> int:
    """A NodeId or an ExpandedNodeId."""
    flags = body[at]
    kind = flags & 0x3F
    if kind in (3, 5):
        at = text(body, at + 3)
    elif kind in (0, 1, 2, 4):
        at += {0: 2, 1: 4, 2: 7, 4: 19}[kind]
    else:
        raise IndexError("no such node id")
    if flags & 0x80:
        at = text(body, at)
    return _within(body, at + 4 if flags & 0x40 else at)


def qualified_name(body: bytes, at: int, depth: int = 0) -> int:
    return text(body, at + 2)


def localized_text(body: bytes, at: int, depth: int = 0) -> int:
    flags = body[at]
    at += 1
    if flags & 1:
        at = text(body, at)
    return text(body, at) if flags & 2 else at


def extension_object(body: bytes, at: int, depth: int = 0) -> int:
    at = node_id(body, at)
    return text(body, at + 1) if body[at] else at + 1


def data_value(body: bytes, at: int, depth: int = 0) -> int:
    flags = body[at]
    at += 1
    if flags & 1:
        at = variant(body, at, depth + 1)
    for flag, size in ((2, 4), (4, 8), (16, 2), (8, 8), (32, 2)):
        at += size if flags & flag else 0
    return _within(body, at)


def diagnostic_info(body: bytes, at: int, depth: int = 0) -> int:
    if depth > DEPTH_MAX:
        raise IndexError("too deep")
    flags = body[at]
    at += 1 + 4 * (flags & 0xF).bit_count()
    if flags & 16:
        at = text(body, at)
    at += 4 if flags & 32 else 0
    return diagnostic_info(body, at, depth + 1) if flags & 64 else _within(body, at)


def variant(body: bytes, at: int, depth: int = 0) -> int:
    """A Variant with all in it."""
    if depth > DEPTH_MAX:
        raise IndexError("too deep")
    flags = body[at]
    at += 1
    kind = flags & 0x3F
    count = 1
    if flags & _ARRAY:
        count = max(struct.unpack_from("<i", body, at)[0], 0)
        at += 4
        if count > len(body) - at:  # of what is empty too: nobody sends a billion nothings
            raise IndexError("more values than bytes")
    size = _SIZES.get(kind)
    if size is not None:
        at = _within(body, at + count * size)
    elif kind:
        step = _STEPS.get(kind, text)  # 26 to 31 are reserved and read as ByteString
        for _ in range(count):
            at = step(body, at, depth + 1)
    if flags & _DIMENSIONS:
        at = _within(body, at + 4 + 4 * max(struct.unpack_from("<i", body, at)[0], 0))
    return at


_STEPS: dict[int, Callable[[bytes, int, int], int]] = {
    17: node_id,
    18: node_id,
    20: qualified_name,
    21: localized_text,
    22: extension_object,
    23: data_value,
    24: variant,
    25: diagnostic_info,
}


def text_of(body: bytes, at: int) -> str | None:
    """The text of the LocalizedText that stands at `at`."""
    flags = body[at]
    at += 1
    if flags & 1:
        at = text(body, at)
    if not flags & 2:
        return None
    (size,) = struct.unpack_from("<i", body, at)
    return None if size < 0 else str(body[at + 4 : at + 4 + size], "utf-8")


def node_words(body: bytes, at: int) -> str | None:
    """`ns=4;i=5006` or `ns=4;s=Name` of the NodeId that stands at `at`; None for a Guid or bytes."""
    kind = body[at] & 0x3F
    if kind == 0:
        return f"ns=0;i={body[at + 1]}"
    if kind == 1:
        return f"ns={body[at + 1]};i={struct.unpack_from('<H', body, at + 2)[0]}"
    if kind == 2:
        namespace, number = struct.unpack_from("<HI", body, at + 1)
        return f"ns={namespace};i={number}"
    if kind != 3:
        return None
    namespace, size = struct.unpack_from("<Hi", body, at + 1)
    return None if size < 0 else f"ns={namespace};s={str(body[at + 7 : at + 7 + size], 'utf-8')}"


def bodies(body: bytes, at: int) -> list[bytes | None]:
    """The encoded bodies of the array of ExtensionObjects that stands at `at` (behind the Variant's first byte); None for one without."""
    (count,) = struct.unpack_from("<i", body, at)
    at += 4
    out: list[bytes | None] = []
    if count > len(body) - at:
        raise IndexError("more values than bytes")
    for _ in range(max(count, 0)):
        end = extension_object(body, at)
        start = node_id(body, at)
        out.append(body[start + 5 : end] if body[start] == 1 else None)
        at = end
    return out
