"""Walks an address space in batches: objects and variables below a node, with their types and supertypes. Reads no value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import Client, ua

NODES_MAX = 50_000
BROWSE_AT_ONCE = 50  # nodes a Browse request; small PLCs refuse more (OperationLimits.MaxNodesPerBrowse)
READ_AT_ONCE = 200
DEPTH_MAX = 25
_CLASSES = ua.NodeClass.Object | ua.NodeClass.Variable
_SERVERS_OWN = frozenset(
    {ua.ObjectIds.RootFolder, ua.ObjectIds.ObjectsFolder, ua.ObjectIds.TypesFolder, ua.ObjectIds.ViewsFolder, ua.ObjectIds.Server}
)
TypeName = tuple[str, str]  # namespace URI, BrowseName


@dataclass(slots=True)
class Node:
    """One object or variable. `parent` is an index into the walk (-1 for what stands directly below the root)."""

    id: Any
    name: str
    uri: str  # of its BrowseName
    parent: int
    is_variable: bool
    type_id: Any = None
    types: tuple[TypeName, ...] = ()  # its type definition and that one's supertypes
    children: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Walk:
    """All nodes in the order in which they were met (parents before children)."""

    nodes: list[Node] = field(default_factory=list)
    is_complete: bool = True

    def path(self, index: int) -> tuple[str, ...]:
        """Names from the root down, the node's own last."""
        out: list[str] = []
        while index >= 0:
            out.append(self.nodes[index].name)
            index = self.nodes[index].parent
        return tuple(reversed(out))

    def top(self) -> list[int]:
        return [index for index, node in enumerate(self.nodes) if node.parent < 0]

    def below(self, index: int) -> Iterable[int]:
        """Everything under a node, itself not."""
        for child in self.nodes[index].children:
            yield child
            yield from self.below(child)


async def walk(client: Client, root: Any, namespaces: Sequence[str], nodes_max: int = NODES_MAX) -> Walk:
    """Objects and variables below `root`, without what every server has. Raises asyncua's and the transport's errors."""
    out = Walk()
    seen = {root}
    level: list[tuple[Any, int, int]] = [(root, -1, 0)]
    while level:
        part, level = level[:BROWSE_AT_ONCE], level[BROWSE_AT_ONCE:]
        for (_, index, depth), references in zip(part, await _browse(client, [one[0] for one in part]), strict=True):
            for reference in references:
                if reference.NodeId in seen or _is_servers_own(reference.NodeId, index):
                    continue
                if len(out.nodes) >= nodes_max:
                    out.is_complete = False
                    return out
                seen.add(reference.NodeId)
                name = reference.BrowseName
                uri = namespaces[name.NamespaceIndex] if name.NamespaceIndex < len(namespaces) else ""
                made = Node(reference.NodeId, name.Name or "", uri, index, reference.NodeClass == ua.NodeClass.Variable, reference.TypeDefinition)
                out.nodes.append(made)
                if index >= 0:
                    out.nodes[index].children.append(len(out.nodes) - 1)
                if depth < DEPTH_MAX:
                    level.append((reference.NodeId, len(out.nodes) - 1, depth + 1))
    await _name_types(client, out, namespaces)
    return out


def _is_servers_own(node: Any, parent: int) -> bool:
    """What every server has (Server, Aliases, Types); some stacks number the properties of a machine's variables in namespace 0 too."""
    return node.NamespaceIndex == 0 and (parent < 0 or node.Identifier in _SERVERS_OWN)


async def _browse(
    client: Client,
    nodes: Sequence[Any],
    reference: int = ua.ObjectIds.HierarchicalReferences,
    direction: ua.BrowseDirection = ua.BrowseDirection.Forward,
    classes: int = _CLASSES,
) -> list[list[ua.ReferenceDescription]]:
    """The references of each node, with continuation points followed; a node that refuses has none."""
    params = ua.BrowseParameters()
    params.View.Timestamp = ua.get_win_epoch()
    params.RequestedMaxReferencesPerNode = 0
    params.NodesToBrowse = []
    for node in nodes:
        wanted = ua.BrowseDescription()
        wanted.NodeId, wanted.BrowseDirection, wanted.IncludeSubtypes = node, direction, True
        wanted.ReferenceTypeId = ua.NodeId(reference)
        wanted.NodeClassMask, wanted.ResultMask = classes, ua.BrowseResultMask.All
        params.NodesToBrowse.append(wanted)
    results = await client.uaclient.session.browse(params)
    out = []
    for result in results:
        found = list(result.References or ())
        while result.ContinuationPoint:
            more = ua.BrowseNextParameters()
            more.ReleaseContinuationPoints, more.ContinuationPoints = False, [result.ContinuationPoint]
            (result,) = await client.uaclient.session.browse_next(more)
            found += result.References or ()
        out.append(found)
    return out


async def _name_types(client: Client, walked: Walk, namespaces: Sequence[str]) -> None:
    named = await _chains(client, {node.type_id for node in walked.nodes if node.type_id is not None}, namespaces)
    for node in walked.nodes:
        node.types = named.get(node.type_id, ())


async def types_of(client: Client, nodes: Sequence[Any], namespaces: Sequence[str]) -> list[tuple[TypeName, ...]]:
    """Type definition and supertypes of each node."""
    found = await _browse(client, nodes, ua.ObjectIds.HasTypeDefinition, ua.BrowseDirection.Forward, 0)
    types = [references[0].NodeId if references else None for references in found]
    named = await _chains(client, {one for one in types if one is not None}, namespaces)
    return [named.get(one, ()) for one in types]


async def _chains(client: Client, types: set[Any], namespaces: Sequence[str]) -> dict[Any, tuple[TypeName, ...]]:
    """Types outside namespace 0 with their supertypes: a vendor's own subtype of MachineToolType is one too."""
    wanted = {one for one in types if one.NamespaceIndex > 0}
    at = {one: one for one in wanted}  # type -> the highest supertype found so far
    above: dict[Any, tuple[Any, ...]] = {one: (one,) for one in wanted}
    while at:
        asked = list(at)
        found = await _in_parts(client, [at[one] for one in asked])
        following: dict[Any, Any] = {}
        for one, references in zip(asked, found, strict=True):
            if references and references[0].NodeId.NamespaceIndex > 0 and len(above[one]) < DEPTH_MAX:
                above[one] = (*above[one], references[0].NodeId)
                following[one] = references[0].NodeId
        at = following
    ids = list({each for chain in above.values() for each in chain})
    names = dict(zip(ids, await read(client, ids, ua.AttributeIds.BrowseName), strict=True))
    return {one: tuple(_named(names[each], namespaces) for each in chain) for one, chain in above.items()}


async def _in_parts(client: Client, nodes: Sequence[Any]) -> list[list[ua.ReferenceDescription]]:
    out = []
    for start in range(0, len(nodes), BROWSE_AT_ONCE):
        part = nodes[start : start + BROWSE_AT_ONCE]
        out += await _browse(client, part, ua.ObjectIds.HasSubtype, ua.BrowseDirection.Inverse, 0)
    return out


def _named(value: ua.DataValue, namespaces: Sequence[str]) -> TypeName:
    name = value.Value.Value if value.Value is not None else None
    if not isinstance(name, ua.QualifiedName):
        return "", ""
    return namespaces[name.NamespaceIndex] if name.NamespaceIndex < len(namespaces) else "", name.Name or ""


async def read(client: Client, nodes: Sequence[Any], attribute: ua.AttributeIds = ua.AttributeIds.Value) -> list[ua.DataValue]:
    """One attribute of many nodes, in the order given; what is refused has its status and no value."""
    out: list[ua.DataValue] = []
    for start in range(0, len(nodes), READ_AT_ONCE):
        out += await client.uaclient.session.read_attributes(list(nodes[start : start + READ_AT_ONCE]), attribute)
    return out
