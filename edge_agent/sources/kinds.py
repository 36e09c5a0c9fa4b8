"""Every kind of source there is, in the order in which `sample-config` shows them. A new kind is one word here and one folder.

A kind is imported when a config names it: what an edge box does not read need not be in its memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import cast

from edge_agent.sources.kind import Kind

TYPES = ("opcua", "modbus", "mbus", "dlt645", "dsmr", "mtconnect", "s7", "enip", "mqtt")


class _Kinds(Mapping[str, Kind]):
    """`sources/<type>/kind.py`'s KIND by its type."""

    def __getitem__(self, type_: str) -> Kind:
        if type_ not in TYPES:
            raise KeyError(type_)
        return cast("Kind", import_module(f"edge_agent.sources.{type_}.kind").KIND)

    def __contains__(self, type_: object) -> bool:
        return type_ in TYPES

    def __iter__(self) -> Iterator[str]:
        return iter(TYPES)

    def __len__(self) -> int:
        return len(TYPES)


BY_TYPE: Mapping[str, Kind] = _Kinds()
