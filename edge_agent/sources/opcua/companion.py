"""Companion models (OPC 40001-1 machinery, OPC 40501-1 machine tools, OPC 30050 PackML): which nodes they have and what those mean. Tables and rules.

A device with `model = …` needs no nodes in the config: its metric keys are fixed here, the nodes are found by their BrowseNames below `root` when the
connection opens (`companion_nodes.py`). Where one metric comes from several nodes (a state and a mode, processed and defective) they are put together
by `Combiner`. Names and numbers are those of the published NodeSets (Machinery 1.04.1, MachineTool 1.02.0, PackML 1.01).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge_agent.contract.names import MachineState as S
from edge_agent.pipeline.machine_state import PACKML as PACKML_STATES

MACHINERY: Final = "http://opcfoundation.org/UA/Machinery/"
MACHINE_TOOL: Final = "http://opcfoundation.org/UA/MachineTool/"
PACKML: Final = "http://opcfoundation.org/UA/PackML/"
TypeName = tuple[str, str]  # namespace URI, BrowseName
Value = bool | int | float | str | None
Known = Mapping[str, Value]  # input -> its value; missing: the server does not have it
Rule = Callable[[Known], Value]


@dataclass(frozen=True, slots=True)
class StateMachine:
    """States of a FiniteStateMachineType: by StateNumber, by NodeId of the state in the standard's namespace, by name (OPC 10000-16, 4.4)."""

    uri: str
    names: Mapping[int, str]  # StateNumber -> BrowseName
    ids: Mapping[int, int]  # numeric NodeId -> StateNumber


@dataclass(frozen=True, slots=True)
class Input:
    """A value below the root. `paths`: BrowseNames, alternatives in order. With `machine` it is the current state of the state machine there."""

    name: str
    paths: tuple[tuple[str, ...], ...]
    machine: StateMachine | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A metric and the inputs it comes from; one of `needed` at least must be there."""

    key: str
    inputs: tuple[str, ...]
    needed: tuple[str, ...]
    rule: Rule


@dataclass(frozen=True, slots=True)
class Model:
    """One companion model. `roots`: type of the object it describes; `marks`: a child of such a type shows that it is one, whatever its own type."""

    name: str
    title: str
    roots: frozenset[TypeName]
    marks: frozenset[TypeName]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    states: Mapping[str, S] = field(default_factory=dict)


def _first(name: str) -> Rule:
    return lambda known: known.get(name)


# --- OPC 40001-1, clauses 12 (MachineryItemState) and 13 (MachineryOperationMode) -------------------------------------------------
_ITEM = StateMachine(MACHINERY, {0: "NotAvailable", 1: "OutOfService", 2: "NotExecuting", 3: "Executing"}, {5005: 0, 5004: 1, 5007: 2, 5006: 3})
_MODE = StateMachine(MACHINERY, {0: "None", 1: "Maintenance", 2: "Setup", 3: "Processing"}, {5024: 0, 5025: 1, 5027: 2, 5026: 3})
_BLOCKS = "MachineryBuildingBlocks"
_ITEM_INPUT = Input("item", ((_BLOCKS, "MachineryItemState"), ("MachineryItemState",)), _ITEM)
_MODE_INPUT = Input("mode", ((_BLOCKS, "MachineryOperationMode"), ("MachineryOperationMode",)), _MODE)
# by the descriptions in the NodeSet: "e.g. switched off", "error, blocked", "waits for an action from outside", "actively performing an activity"
_ITEM_STATES: Final[Mapping[str, S]] = {"NotAvailable": S.OFF, "OutOfService": S.FAULT, "NotExecuting": S.IDLE, "Executing": S.PRODUCING}


def _item_state(known: Known) -> Value:
    item, mode = known.get("item"), known.get("mode")
    if not isinstance(item, str):
        return None
    return f"{item}/{mode}" if isinstance(mode, str) and mode != "None" else item


def _item_states() -> dict[str, S]:
    out = dict(_ITEM_STATES)
    for item, state in _ITEM_STATES.items():
        out[f"{item}/Processing"] = state
        out[f"{item}/Setup"] = S.SETUP if state in (S.IDLE, S.PRODUCING) else state
        out[f"{item}/Maintenance"] = S.MAINTENANCE if state is not S.OFF else state
    return out


OPC40001: Final = Model(
    "opc40001",
    "OPC 40001-1",
    frozenset(),
    frozenset({(MACHINERY, "MachineryItemState_StateMachineType")}),
    (_ITEM_INPUT, _MODE_INPUT),
    (Output("state", ("item", "mode"), ("item",), _item_state), Output("mode", ("mode",), ("mode",), _first("mode"))),
    _item_states(),
)

# --- OPC 40501-1: 8.3 monitoring, 8.5 production (ProductionStateMachineType, MachineOperationMode) -------------------------------
_PROGRAM = StateMachine(
    MACHINE_TOOL,
    {0: "Initializing", 1: "Running", 2: "Ended", 3: "Interrupted", 4: "Aborted"},
    {135: 0, 138: 1, 140: 2, 139: 3, 141: 4, 5039: 0, 5041: 1, 5038: 2, 5040: 3, 5037: 4},
)
_OPERATION_MODES: Final = ("Manual", "Automatic", "Setup", "AutoWithManualIntervention", "Service", "Other")
_PROGRAM_STATES: Final[Mapping[str, S]] = {
    "Initializing": S.IDLE,
    "Running": S.PRODUCING,
    "Ended": S.IDLE,
    "Interrupted": S.STOPPED,
    "Aborted": S.STOPPED,
}
_MODE_STATES: Final[Mapping[str, S]] = {"Manual": S.SETUP, "Setup": S.SETUP, "Service": S.MAINTENANCE}


def _operation_mode(known: Known) -> Value:
    number = known.get("operation_mode")
    return _OPERATION_MODES[number] if isinstance(number, int) and 0 <= number < len(_OPERATION_MODES) else None


def _tool_state(known: Known) -> Value:
    """The item's own state where it says off or fault, else what the program does, in which mode."""
    item, program, mode = known.get("item"), known.get("program"), _operation_mode(known)
    if item in ("NotAvailable", "OutOfService"):
        return item
    if not isinstance(program, str):
        return _item_state(known) if mode is None else f"{item}/{mode}" if item is not None else None
    return f"Program {program}" if mode is None else f"Program {program}/{mode}"


def _tool_states() -> dict[str, S]:
    out = _item_states()
    for base, state in (*((f"Program {name}", state) for name, state in _PROGRAM_STATES.items()), *_ITEM_STATES.items()):
        out[base] = state
        for mode in _OPERATION_MODES:
            out[f"{base}/{mode}"] = state if state in (S.OFF, S.FAULT) else _MODE_STATES.get(mode, state)
    return out


OPC40501: Final = Model(
    "opc40501",
    "OPC 40501-1",
    frozenset({(MACHINE_TOOL, "MachineToolType")}),
    frozenset({(MACHINE_TOOL, "ProductionType"), (MACHINE_TOOL, "MonitoringType")}),
    (
        _ITEM_INPUT,
        _MODE_INPUT,
        Input("program", (("Production", "ActiveProgram", "State"),), _PROGRAM),
        Input("operation_mode", (("Monitoring", "MachineTool", "OperationMode"),)),
        Input("parts", (("Production", "Statistics", "PartsProducedInLifetime"),)),
        Input("job", (("Production", "ActiveProgram", "JobIdentifier"),)),
        Input("feed", (("Monitoring", "MachineTool", "FeedOverride"),)),
    ),
    (
        Output("state", ("item", "mode", "program", "operation_mode"), ("program", "item"), _tool_state),
        Output("mode", ("operation_mode",), ("operation_mode",), _operation_mode),
        Output("good", ("parts",), ("parts",), _first("parts")),
        Output("order", ("job",), ("job",), _first("job")),
        Output("feed_override_percent", ("feed",), ("feed",), _first("feed")),
    ),
    _tool_states(),
)

# --- OPC 30050 (PackML, ISA-TR88.00.02): three nested state machines, Status and Admin --------------------------------------------
_BASE = StateMachine(PACKML, {8: "Aborting", 9: "Aborted", 19: "Cleared"}, {61: 8, 62: 9, 71: 19})
_MACHINE = StateMachine(PACKML, {1: "Clearing", 2: "Stopped", 7: "Stopping", 18: "Running"}, {55: 1, 53: 2, 54: 7, 75: 18})
_EXECUTE_NAMES: Final[Mapping[int, str]] = {
    3: "Starting", 4: "Idle", 5: "Suspended", 6: "Execute", 10: "Holding", 11: "Held", 12: "Unholding", 13: "Suspending", 14: "Unsuspending",
    15: "Resetting", 16: "Completing", 17: "Complete",
}  # fmt: skip
_EXECUTE = StateMachine(PACKML, _EXECUTE_NAMES, {27: 15, 28: 4, 29: 3, 30: 13, 31: 5, 32: 14, 33: 10, 34: 11, 35: 12, 36: 6, 37: 16, 38: 17})
_PACKML_NAMES: Final = {**_BASE.names, **_MACHINE.names, **_EXECUTE_NAMES}
_UNIT_MODES: Final = {1: "Producing", 2: "Maintenance", 3: "Manual"}  # ISA-TR88.00.02, 5.2: the modes it names; others are a vendor's own


def _unit_mode(known: Known) -> Value:
    number = known.get("unit_mode")
    return _UNIT_MODES.get(number, str(number)) if isinstance(number, int) else None


def _packml_state(known: Known) -> Value:
    """The innermost active state; a sub machine that is not active has no value (Bad_StateNotActive)."""
    current = known.get("current")
    name = _PACKML_NAMES.get(current) if isinstance(current, int) else None
    for level, passing in (("base", "Cleared"), ("machine", "Running"), ("execute", "")):
        if name is None and known.get(level) not in (None, passing):
            name = str(known[level])
    if name is None:
        return None
    if name == "Suspended" and known.get("blocked") is True:
        name = "Suspended by a blocked outlet"
    mode = _unit_mode(known)
    return f"{name}/{mode}" if mode in ("Maintenance", "Manual") else name


def _packml_states() -> dict[str, S]:
    plain = {name: PACKML_STATES[name.lower()] for name in _PACKML_NAMES.values() if name.lower() in PACKML_STATES}
    plain["Suspended by a blocked outlet"] = S.BLOCKED
    out = dict(plain)
    for name, state in plain.items():
        out[f"{name}/Maintenance"] = S.MAINTENANCE
        out[f"{name}/Manual"] = S.SETUP if state is S.PRODUCING else state
    return out


def _good(known: Known) -> Value:
    """Processed counts every product, the defective ones too (ISA-TR88.00.02, Admin tags)."""
    processed, defective = known.get("processed"), known.get("defective")
    if not isinstance(processed, (int, float)):
        return None
    return processed - defective if isinstance(defective, (int, float)) else processed


OPC30050: Final = Model(
    "packml",
    "OPC 30050",
    frozenset({(PACKML, "PackMLBaseObjectType")}),
    frozenset({(PACKML, "PackMLBaseStateMachineType")}),
    (
        Input("current", (("Status", "StateCurrent"),)),
        Input("base", (("BaseStateMachine",),), _BASE),
        Input("machine", (("BaseStateMachine", "MachineState"),), _MACHINE),
        Input("execute", (("BaseStateMachine", "MachineState", "ExecuteState"),), _EXECUTE),
        Input("unit_mode", (("Status", "UnitModeCurrent"),)),
        Input("blocked", (("Status", "EquipmentBlocked"),)),
        Input("processed", (("Admin", "ProdProcessedCount"),)),
        Input("defective", (("Admin", "ProdDefectiveCount"),)),
        Input("speed", (("Status", "CurMachSpeed"),)),
    ),
    (
        Output("state", ("current", "base", "machine", "execute", "unit_mode", "blocked"), ("current", "base"), _packml_state),
        Output("mode", ("unit_mode",), ("unit_mode",), _unit_mode),
        Output("good", ("processed", "defective"), ("processed",), _good),
        Output("scrap", ("defective",), ("defective",), _first("defective")),
        Output("machine_speed", ("speed",), ("speed",), _first("speed")),
    ),
    _packml_states(),
)

MODELS: Final[Mapping[str, Model]] = {model.name: model for model in (OPC40501, OPC30050, OPC40001)}  # the more special one first


def keys_of(name: str) -> tuple[str, ...]:
    """Metric keys that a device with `model = name` has; of all models for "auto". The alarm comes from events (`alarms.py`), not from nodes."""
    models = MODELS.values() if name == "auto" else (MODELS[name],)
    return (*dict.fromkeys(output.key for model in models for output in model.outputs), "alarm")


def states_of(name: str) -> dict[str, S]:
    """Text of a combined state -> the normalised one; the texts of the models do not contradict each other."""
    models = MODELS.values() if name == "auto" else (MODELS[name],)
    return {text: state for model in models for text, state in model.states.items()}


def recognised(types: Sequence[TypeName], below: Sequence[Sequence[TypeName]]) -> Model | None:
    """The model of an object, by its own types and those of its children and grandchildren."""
    for model in MODELS.values():
        if model.roots & set(types):
            return model
    met = {each for one in below for each in one}
    return next((model for model in MODELS.values() if model.marks & met), None)


def state_name(machine: StateMachine, raw: Value, uri: str = "") -> Value:
    """Name of a current state, given as StateNumber, as NodeId (`i=5006`, with the URI of its namespace) or as text."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return machine.names.get(raw)
    if not isinstance(raw, str):
        return None
    if raw.startswith("i=") and raw[2:].isdigit():
        number = machine.ids.get(int(raw[2:])) if uri == machine.uri else None
        return machine.names.get(number) if number is not None else None
    flat = raw.strip().lower().replace(" ", "")
    return next((name for name in machine.names.values() if name.lower() == flat), None)
