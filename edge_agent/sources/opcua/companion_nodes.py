"""Finds the nodes of a companion model below a device's root, when the connection opens; and what `browse` recognises in a whole server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from asyncua import Client, ua

from edge_agent.errors import SourceMisconfigured
from edge_agent.pipeline.columns import Value
from edge_agent.sources.opcua import companion
from edge_agent.sources.opcua.browse import node_text
from edge_agent.sources.opcua.client import node_id, plain
from edge_agent.sources.opcua.conditions import Place, place
from edge_agent.sources.opcua.config import OpcUaDevice
from edge_agent.sources.opcua.walk import Walk, read, types_of, walk

BELOW_MAX = 20_000
Reading = Callable[[Value], Value]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A device's model and the nodes of its inputs as a config says them (`nsu=…;i=…`); inputs that the server does not have are not there."""

    model: companion.Model
    root: str
    inputs: Mapping[str, str]
    below: frozenset[Place] = frozenset()  # the root and all below it, where they were just looked at

    def outputs(self) -> list[companion.Output]:
        """The metrics that can be had here."""
        return [output for output in self.model.outputs if any(name in self.inputs for name in output.needed)]

    def reading(self, name: str, namespaces: Sequence[str]) -> Reading | None:
        """What a raw value of an input means (None: itself)."""
        machine = next((one.machine for one in self.model.inputs if one.name == name), None)
        return partial(_state, machine, tuple(namespaces)) if machine is not None else None

    def remembered(self, asked: str) -> dict[str, Any]:
        """For `of`, after a restart. `asked`: what the config said."""
        return {"asked": asked, "model": self.model.name, "root": self.root, "inputs": dict(self.inputs)}

    @classmethod
    def of(cls, held: Mapping[str, Any]) -> Resolved:
        """From `remembered`. Raises KeyError when there is no such model."""
        return cls(companion.MODELS[held["model"]], held["root"], held["inputs"])


async def resolve(client: Client, namespaces: Sequence[str], device_id: str, device: OpcUaDevice) -> Resolved:
    """Raises SourceMisconfigured when the root or the model is not there, asyncua's and the transport's errors."""
    root = await _root(client, namespaces, device_id, device)
    walked = await walk(client, root, namespaces, BELOW_MAX)
    if device.model == "auto":
        found = companion.recognised((await types_of(client, [root], namespaces))[0], [node.types for node in walked.nodes])
    else:
        found = companion.MODELS[str(device.model)]
    text = node_text(root, namespaces)
    inputs = await _inputs(client, namespaces, walked, found) if found is not None else {}
    resolved = Resolved(found, text, inputs, places(root, walked, namespaces)) if found is not None else None
    if resolved is None or not any(output.key == "state" for output in resolved.outputs()):
        wanted = found.title if found is not None else "OPC 40001-1, OPC 40501-1, OPC 30050"
        raise SourceMisconfigured(
            f"Device {device_id}: below {text} there is no state of {wanted}.",
            f"设备 {device_id}:{text} 之下没有 {wanted} 的状态。",
            "Correct root and model; `browse` shows where companion models are.",
            "请修改 root 和 model;`browse` 会显示配套规范的位置。",
        )
    return resolved


def places(root: Any, walked: Walk, namespaces: Sequence[str]) -> frozenset[Place]:
    """A machine's own nodes, as the sources of its events are told from those of others."""
    return frozenset(place(node, namespaces) for node in (root, *(one.id for one in walked.nodes)))


async def places_below(client: Client, root: str, device: OpcUaDevice, namespaces: Sequence[str]) -> frozenset[Place]:
    """The same for a root as the config says it. Raises SourceMisconfigured, asyncua's and the transport's errors."""
    node = node_id(root, device.namespace, device.node_prefix, namespaces)
    return places(node, await walk(client, node, namespaces, BELOW_MAX), namespaces)


async def _root(client: Client, namespaces: Sequence[str], device_id: str, device: OpcUaDevice) -> Any:
    if device.root is not None:
        return node_id(device.root, device.namespace, device.node_prefix, namespaces)
    walked = await walk(client, ua.NodeId(ua.ObjectIds.ObjectsFolder), namespaces)
    found = [(index, model) for index, model in roots(walked) if device.model in ("auto", model.name)]
    if len(found) == 1:
        return walked.nodes[found[0][0]].id
    listed = ", ".join(node_text(walked.nodes[index].id, namespaces) for index, _ in found[:8])
    raise SourceMisconfigured(
        f"Device {device_id}: the server has {len(found)} machines of a companion model{': ' if listed else ''}{listed}.",
        f"设备 {device_id}:服务器有 {len(found)} 台符合配套规范的设备{':' if listed else ''}{listed}。",
        'Name one: root = "nsu=…;…".',
        '请用 root = "nsu=…;…" 指定其一。',
    )


def roots(walked: Walk) -> list[tuple[int, companion.Model]]:
    """Objects that a companion model describes; none inside another one."""
    out: list[tuple[int, companion.Model]] = []
    inside: set[int] = set()
    for index, node in enumerate(walked.nodes):
        if index in inside or node.is_variable:
            continue
        children = [walked.nodes[child] for child in node.children]
        near = [child.types for child in children]
        near += [walked.nodes[deep].types for child in children if child.name == "MachineryBuildingBlocks" for deep in child.children]
        found = companion.recognised(node.types, near)
        if found is not None and node.name != "MachineryBuildingBlocks":
            out.append((index, found))
            inside.update(walked.below(index))
    return out


# --- inputs ------------------------------------------------------------------------------------------------------------------------
async def _inputs(client: Client, namespaces: Sequence[str], walked: Walk, model: companion.Model) -> dict[str, str]:
    out: dict[str, str] = {}
    for wanted in model.inputs:
        at = next((index for path in wanted.paths if (index := _at(walked, path)) is not None), None)
        if at is None:
            continue
        if wanted.machine is None:
            out[wanted.name] = node_text(walked.nodes[at].id, namespaces)
            continue
        found = await _current_state(client, namespaces, walked, at, wanted.machine)
        if found is not None:
            out[wanted.name] = found
    return out


def _at(walked: Walk, path: Sequence[str]) -> int | None:
    level = walked.top()
    at: int | None = None
    for name in path:
        at = next((index for index in level if walked.nodes[index].name == name), None)
        if at is None:
            return None
        level = walked.nodes[at].children
    return at


async def _current_state(client: Client, namespaces: Sequence[str], walked: Walk, at: int, machine: companion.StateMachine) -> str | None:
    """CurrentState's Number (optional), else its Id where it is one of the standard's states, else its text (OPC 10000-16, 4.4.2)."""
    current = next((index for index in walked.nodes[at].children if walked.nodes[index].name == "CurrentState"), None)
    if current is None:
        return None
    named = {walked.nodes[index].name: index for index in walked.nodes[current].children}
    candidates = [named[name] for name in ("Number", "Id") if name in named]
    values = await read(client, [walked.nodes[index].id for index in candidates])
    for index, value in zip(candidates, values, strict=True):
        if _state(machine, namespaces, plain(value)[1]) is not None:
            return node_text(walked.nodes[index].id, namespaces)
    if candidates and machine.uri == companion.PACKML and all(plain(value)[1] is None for value in values):
        index = candidates[-1]  # not active now: Id is mandatory and comes with the state
        return node_text(walked.nodes[index].id, namespaces)
    return node_text(walked.nodes[current].id, namespaces)


def _state(machine: companion.StateMachine, namespaces: Sequence[str], raw: Value) -> Value:
    if isinstance(raw, str) and raw.startswith("ns="):
        index, _, text = raw[3:].partition(";")
        uri = namespaces[int(index)] if index.isdigit() and int(index) < len(namespaces) else ""
        return companion.state_name(machine, text, uri)
    return companion.state_name(machine, raw)
