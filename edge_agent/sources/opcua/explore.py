"""Everything a server offers, looked at for a while: names, types, units, enumerations, live values. What `browse` shows and guesses from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import Client, ua

from edge_agent.pipeline.columns import Value
from edge_agent.sources.opcua.browse import node_text
from edge_agent.sources.opcua.client import plain
from edge_agent.sources.opcua.companion import Model
from edge_agent.sources.opcua.companion_nodes import roots
from edge_agent.sources.opcua.guess import Seen
from edge_agent.sources.opcua.walk import Walk, read, walk

WATCH_PERIOD_S = 1.0
WATCHED_MAX = 5_000
_FOLDED = frozenset(
    {"EngineeringUnits", "EURange", "InstrumentRange", "EnumStrings", "EnumValues", "ValuePrecision", "Definition", "TrueState", "FalseState"}
)
Progress = Callable[[str, int, int], None]  # what, done, of


@dataclass(slots=True)
class Variable:
    """A readable variable. `index` is its node in the walk; `samples` are its values while it was watched."""

    index: int
    node: str  # as it goes into the config
    datatype: str
    unit: str = ""
    enum: Mapping[int, str] | None = None
    is_scalar: bool = True
    refused: str = ""
    samples: list[Value] = field(default_factory=list)

    @property
    def value(self) -> Value:
        return next((one for one in reversed(self.samples) if one is not None), None)


@dataclass(slots=True)
class Explored:
    walk: Walk
    namespaces: list[str]
    variables: dict[int, Variable]  # by index in the walk
    models: list[tuple[int, Model]]  # objects that a companion model describes

    def seen(self, index: int, companion: str = "") -> Seen:
        """The evidence for a guess."""
        one = self.variables[index]
        path = self.walk.path(index)
        return Seen(path[-1], path[:-1], one.datatype, tuple(one.samples), one.unit, one.enum, companion, one.is_scalar)


async def explore(client: Client, namespaces: Sequence[str], watch_s: float, progress: Progress) -> Explored:
    """Walks below Objects, reads all values, and again every second for `watch_s`. Raises asyncua's and the transport's errors."""
    progress("walk", 0, 0)
    walked = await walk(client, ua.NodeId(ua.ObjectIds.ObjectsFolder), namespaces)
    chosen = [index for index, node in enumerate(walked.nodes) if node.is_variable and not _is_folded(walked, index)]
    variables = await _described(client, walked, namespaces, chosen)
    watched = [one for one in variables.values() if one.is_scalar and not one.refused][:WATCHED_MAX]
    await _watch(client, walked, watched, watch_s, progress)
    return Explored(walked, list(namespaces), variables, roots(walked))


def _is_folded(walked: Walk, index: int) -> bool:
    """A property that describes its variable, and is no value of its own."""
    node = walked.nodes[index]
    return node.name in _FOLDED and node.parent >= 0 and walked.nodes[node.parent].is_variable


async def _described(client: Client, walked: Walk, namespaces: Sequence[str], chosen: Sequence[int]) -> dict[int, Variable]:
    ids = [walked.nodes[index].id for index in chosen]
    values = await read(client, ids)
    types = await read(client, ids, ua.AttributeIds.DataType)
    enums = await _enumerations(client, {one.Value.Value for one in types if _own_type(one)})
    units = await _units(client, walked, chosen)
    out: dict[int, Variable] = {}
    for index, value, kind in zip(chosen, values, types, strict=True):
        variant = value.Value
        name = variant.VariantType.name if variant is not None and variant.VariantType != ua.VariantType.Null else "?"
        is_scalar = variant is None or not (variant.is_array or isinstance(variant.Value, list))
        made = Variable(index, node_text(walked.nodes[index].id, namespaces), name, units.get(index, ""), is_scalar=is_scalar)
        if _own_type(kind):
            made.enum = enums.get(kind.Value.Value)
        if value.StatusCode is not None and value.StatusCode.is_bad():
            made.refused = value.StatusCode.name
        made.samples.append(plain(value)[1])
        out[index] = made
    return out


def _own_type(value: ua.DataValue) -> bool:
    """A data type of the server's own, as enumerations are."""
    return value.Value is not None and isinstance(value.Value.Value, ua.NodeId) and value.Value.Value.NamespaceIndex > 0


async def _enumerations(client: Client, types: set[Any]) -> dict[Any, dict[int, str]]:
    """Data type -> its values' names, from the type's definition (OPC 10000-3, 8.52)."""
    ids = list(types)
    out: dict[Any, dict[int, str]] = {}
    for node, value in zip(ids, await read(client, ids, ua.AttributeIds.DataTypeDefinition), strict=True):
        definition = value.Value.Value if value.Value is not None else None
        if isinstance(definition, ua.EnumDefinition):
            out[node] = {int(one.Value): str(one.Name) for one in definition.Fields or ()}
    return out


async def _units(client: Client, walked: Walk, chosen: Sequence[int]) -> dict[int, str]:
    """Index -> what its EngineeringUnits property shows (EUInformation.DisplayName)."""
    where = {child: index for index in chosen for child in walked.nodes[index].children if walked.nodes[child].name == "EngineeringUnits"}
    out: dict[int, str] = {}
    for child, value in zip(where, await read(client, [walked.nodes[child].id for child in where]), strict=True):
        unit = value.Value.Value if value.Value is not None else None
        if isinstance(unit, ua.EUInformation) and unit.DisplayName is not None:
            out[where[child]] = (unit.DisplayName.Text or "").strip()
    return out


async def _watch(client: Client, walked: Walk, watched: Sequence[Variable], watch_s: float, progress: Progress) -> None:
    ids = [walked.nodes[one.index].id for one in watched]
    began = time.monotonic()
    while (gone := time.monotonic() - began) < watch_s and ids:
        progress("watch", round(gone), round(watch_s))
        await asyncio.sleep(min(WATCH_PERIOD_S, max(0.05, watch_s - gone)))
        for one, value in zip(watched, await read(client, ids), strict=True):
            one.samples.append(plain(value)[1])
    progress("done", 1, 1)
