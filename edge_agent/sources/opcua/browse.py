"""Walks a server's address space for readable variables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from asyncua import Client, ua

from edge_agent.sources.opcua.client import plain
from edge_agent.sources.source import Browsed

NODES_MAX = 50_000
_KINDS = {ua.NodeIdType.Numeric: "i", ua.NodeIdType.String: "s", ua.NodeIdType.Guid: "g", ua.NodeIdType.ByteString: "b"}


def node_text(node: Any, namespaces: Sequence[str]) -> str:
    """`nsu=URI;s=Name`, as it goes into the config."""
    kind = {ua.NodeIdType.TwoByte: "i", ua.NodeIdType.FourByte: "i"}.get(node.NodeIdType) or _KINDS[node.NodeIdType]
    identifier = node.Identifier.hex() if isinstance(node.Identifier, bytes) else node.Identifier
    return f"nsu={namespaces[node.NamespaceIndex]};{kind}={identifier}"


async def browse_variables(client: Client, namespaces: Sequence[str]) -> AsyncIterator[Browsed]:
    """Every variable below Objects outside namespace 0, breadth first, with its current value."""
    seen: set[str] = set()
    waiting: list[tuple[Any, str]] = [(client.get_objects_node(), "")]
    while waiting and len(seen) < NODES_MAX:
        node, path = waiting.pop(0)
        for child in await node.get_children_descriptions(refs=ua.ObjectIds.HierarchicalReferences):
            key = child.NodeId.to_string()
            if key in seen or child.NodeId.NamespaceIndex == 0:
                continue
            seen.add(key)
            where = f"{path}/{child.BrowseName.Name}"
            below = client.get_node(child.NodeId)
            if child.NodeClass == ua.NodeClass.Variable:
                value = await below.read_data_value(raise_on_bad_status=False)
                kind = value.Value.VariantType.name if value.Value is not None else "?"
                yield Browsed(where, node_text(child.NodeId, namespaces), kind, str(plain(value)[1]))
            waiting.append((below, where))
