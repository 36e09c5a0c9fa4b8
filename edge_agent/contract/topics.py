"""The topic grammar of Sparkplug B 3.0, built and parsed in one place.

    spBv1.0/<group>/<NBIRTH|NDATA|NDEATH|NCMD>/<edge>
    spBv1.0/<group>/<DBIRTH|DDATA|DDEATH|DCMD>/<edge>/<device>
    spBv1.0/STATE/<host>

Ids are letters, digits, `.`, `_` and `-`, at most 64: no `+ / #` (MQTT), no space (a NATS broker drops the client at a space).
Good: `LINE-1`, `CNC-03`, `edge.hall_2`. Bad: `line 1`, `a/b`, `#`, an empty id.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, get_args

NAMESPACE = "spBv1.0"
NodeKind = Literal["NBIRTH", "NDATA", "NDEATH", "NCMD"]
DeviceKind = Literal["DBIRTH", "DDATA", "DDEATH", "DCMD"]
_NODE = frozenset(get_args(NodeKind))
_DEVICE = frozenset(get_args(DeviceKind))
ID_PATTERN = r"[A-Za-z0-9._-]{1,64}"
_ID = re.compile(ID_PATTERN)


class BadTopic(ValueError):
    """A topic or an id outside the grammar; the text says which part and why."""


class Topic(NamedTuple):
    """One parsed topic. `device` is None for node messages."""

    group: str
    kind: str
    edge: str
    device: str | None = None

    def __str__(self) -> str:
        return topic(self.group, self.kind, self.edge, self.device)


def check_id(value: str, what: str = "id") -> str:
    """The id itself, or BadTopic."""
    if not _ID.fullmatch(value):
        raise BadTopic(f"{what} {value!r}: use 1 to 64 letters, digits, '.', '_' or '-'")
    return value


def topic(group: str, kind: str, edge: str, device: str | None = None) -> str:
    check_id(group, "group")
    check_id(edge, "edge id")
    if kind in _NODE:
        if device is not None:
            raise BadTopic(f"{kind} is a node message and takes no device, not {device!r}")
        return f"{NAMESPACE}/{group}/{kind}/{edge}"
    if kind in _DEVICE:
        if device is None:
            raise BadTopic(f"{kind} is a device message and needs a device")
        return f"{NAMESPACE}/{group}/{kind}/{edge}/{check_id(device, 'device id')}"
    raise BadTopic(f"unknown message kind {kind!r}")


def state_topic(host: str) -> str:
    return f"{NAMESPACE}/STATE/{check_id(host, 'host id')}"


def parse(text: str) -> Topic:
    """The Topic of a node or device message. Raises BadTopic (STATE topics too: compare those as text)."""
    parts = text.split("/")
    if len(parts) not in (4, 5) or parts[0] != NAMESPACE:
        raise BadTopic(f"{text!r} is not a Sparkplug B topic: {NAMESPACE}/group/kind/edge[/device]")
    found = Topic(parts[1], parts[2], parts[3], parts[4] if len(parts) == 5 else None)
    topic(*found)  # the same rules both ways
    return found
