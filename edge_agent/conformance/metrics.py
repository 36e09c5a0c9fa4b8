"""Marks for the metrics of one payload: names, aliases, types, values, properties, data sets, templates. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_agent.conformance.verdicts import Sheet
from edge_agent.contract.names import BDSEQ, REBIRTH
from edge_agent.contract.payload import BadPayload, decode
from edge_agent.contract.sparkplug_b_pb2 import Payload

_VALUE_FIELDS = {  # datatype -> fields that may hold its value
    **dict.fromkeys((1, 2, 3, 5, 6, 7), frozenset({"int_value"})),
    4: frozenset({"long_value"}),
    8: frozenset({"long_value"}),
    13: frozenset({"long_value"}),
    9: frozenset({"float_value"}),
    10: frozenset({"double_value"}),
    11: frozenset({"boolean_value"}),
    **dict.fromkeys((12, 14, 15), frozenset({"string_value"})),
    16: frozenset({"dataset_value"}),
    17: frozenset({"bytes_value"}),
    18: frozenset({"bytes_value"}),
    19: frozenset({"template_value"}),
    **dict.fromkeys(range(22, 35), frozenset({"bytes_value"})),
}
DATATYPES = frozenset(_VALUE_FIELDS)  # Sparkplug 3.0, 6.4.16
BASIC = frozenset(range(1, 15))
PROPERTY_TYPES = BASIC | {20, 21}  # property set, list of property sets
WITHOUT_ALIAS = frozenset({BDSEQ, REBIRTH})  # named by name for ever
QUALITIES = frozenset({0, 192, 500})


@dataclass(slots=True)
class Template:
    """A definition of the living NBIRTH."""

    members: frozenset[str]
    parameters: frozenset[str]


@dataclass(slots=True)
class Known:
    """What the births of one node's living session said."""

    aliases: dict[int, tuple[str, str]] = field(default_factory=dict)  # alias -> (device, metric)
    names: dict[str, dict[str, int]] = field(default_factory=dict)  # device ("" the node) -> metric -> datatype
    aliased: set[tuple[str, str]] = field(default_factory=set)
    templates: dict[str, Template] = field(default_factory=dict)
    last: dict[tuple[str, str], bytes] = field(default_factory=dict)  # value as its bytes

    def find(self, device: str, metric: Payload.Metric) -> tuple[str, str] | None:
        """(device, name) of a metric of DATA or CMD; None: no birth named it."""
        if metric.HasField("alias") and not metric.name:
            found = self.aliases.get(metric.alias)
            return found if found is not None and found[0] == device else None
        return (device, metric.name) if metric.name in self.names.get(device, {}) else None


def value_fits(metric: Payload.Metric, datatype: int) -> bool:
    fields = _VALUE_FIELDS.get(datatype)
    return fields is None or metric.is_null or metric.WhichOneof("value") in fields


def value_bytes(metric: Payload.Metric) -> bytes:
    """The value alone, comparable."""
    which = metric.WhichOneof("value")
    if which is None or metric.is_null:
        return b""
    only = Payload.Metric()
    only.CopyFrom(metric)
    for name in ("name", "alias", "timestamp", "datatype", "is_historical", "is_transient", "metadata"):
        only.ClearField(name)
    return only.SerializeToString()


def called(metric: Payload.Metric) -> str:
    return metric.name or f"alias {metric.alias}"


def birth(sheet: Sheet, kind: str, device: str, payload: Payload, known: Known) -> None:
    """NBIRTH (kind "nbirth", device "") or DBIRTH; fills `known`."""
    uses_alias = any(metric.HasField("alias") for metric in payload.metrics) or bool(known.aliases)
    names = known.names[device] = {}
    for alias in [one for one, (owner, _) in known.aliases.items() if owner == device]:
        del known.aliases[alias]
    lowered: dict[str, str] = {}
    for metric in payload.metrics:
        sheet.check("name_present", bool(metric.name), called(metric))
        if metric.HasField("alias"):
            other = known.aliases.get(metric.alias)
            sheet.check("alias_unique", other is None, f"alias {metric.alias}: {other} / {(device, metric.name)}")
            known.aliases[metric.alias] = (device, metric.name)
            known.aliased.add((device, metric.name))
        if uses_alias and metric.name not in WITHOUT_ALIAS and not metric.name.startswith("Node Control/"):
            sheet.check("alias_birth", metric.HasField("alias"), f"{called(metric)}: no alias")
        sheet.check("birth_datatype", metric.HasField("datatype"), f"{called(metric)}: no datatype")
        if metric.HasField("datatype"):
            sheet.check("datatype_valid", metric.datatype in DATATYPES, f"{called(metric)}: datatype {metric.datatype}")
        _birth_value(sheet, kind, metric)
        other_name = lowered.setdefault(metric.name.lower(), metric.name)
        sheet.check("names_case", other_name == metric.name, f"{other_name} / {metric.name}")
        names[metric.name] = metric.datatype
        known.last.pop((device, metric.name), None)  # data may say once more what the birth said: that is no clockwork
        if kind == "nbirth" and metric.HasField("template_value") and metric.template_value.is_definition:
            template = metric.template_value
            known.templates[metric.name] = Template(
                frozenset(one.name for one in template.metrics), frozenset(one.name for one in template.parameters)
            )
    _common(sheet, kind, payload, known)


def _birth_value(sheet: Sheet, kind: str, metric: Payload.Metric) -> None:
    has_value = metric.WhichOneof("value") is not None
    sheet.check(f"{kind}_values", has_value != metric.is_null, f"{called(metric)}: is_null {metric.is_null}, value {has_value}")


def data(sheet: Sheet, kind: str, device: str, payload: Payload, known: Known) -> None:
    """NDATA or DDATA of a node whose births were seen."""
    changed = False
    for metric in payload.metrics:
        if not sheet.check("name_or_alias", bool(metric.name) or metric.HasField("alias"), "neither name nor alias"):
            continue
        sheet.check("data_datatype", not metric.HasField("datatype"), f"{called(metric)}: datatype {metric.datatype}")
        found = known.find(device, metric)
        sheet.check("nbirth_complete" if kind == "ndata" else "dbirth_complete", found is not None, f"{called(metric)} is in no birth")
        if found is None:
            continue
        if metric.name:
            both = found in known.aliased
            sheet.check("data_alias_only", not both, f"{metric.name}: the birth gave it an alias")
        elif metric.HasField("alias"):
            sheet.check("data_alias_only", True)
        value = value_bytes(metric)
        changed = changed or metric.is_historical or known.last.get(found) != value
        if not metric.is_historical:
            known.last[found] = value
    if payload.metrics:
        sheet.check(f"{kind}_change", changed, f"{len(payload.metrics)} metrics, none changed")
    _common(sheet, kind, payload, known)


def _common(sheet: Sheet, kind: str, payload: Payload, known: Known) -> None:
    newest: dict[object, int] = {}
    order = "nbirth_time_order" if kind in ("nbirth", "ndata") else "dbirth_time_order"
    for metric in payload.metrics:
        sheet.check("metric_timestamp", metric.HasField("timestamp"), f"{called(metric)}: no timestamp")
        if not metric.is_historical and metric.HasField("timestamp"):
            key = metric.alias if metric.HasField("alias") else metric.name
            before = newest.get(key, 0)
            sheet.check(order, metric.timestamp >= before, f"{called(metric)}: {metric.timestamp} after {before}")
            newest[key] = max(before, metric.timestamp)
        if metric.HasField("properties"):
            _properties(sheet, metric, kind in ("nbirth", "dbirth"))
        if metric.HasField("dataset_value"):
            _dataset(sheet, metric)
        if metric.HasField("template_value"):
            _template(sheet, kind, metric, known)


def _properties(sheet: Sheet, metric: Payload.Metric, is_birth: bool) -> None:
    found = metric.properties
    sheet.check("property_sizes", len(found.keys) == len(found.values), f"{called(metric)}: {len(found.keys)} keys, {len(found.values)} values")
    for key, value in zip(found.keys, found.values, strict=False):
        if is_birth or value.HasField("type"):
            sheet.check("property_type", value.type in PROPERTY_TYPES, f"{called(metric)}.{key}: type {value.type}")
        if key == "Quality":
            sheet.check("quality_type", value.type == 3, f"{called(metric)}: type {value.type}")
            sheet.check("quality_value", value.HasField("int_value") and value.int_value in QUALITIES, f"{called(metric)}: {value.int_value}")


def _dataset(sheet: Sheet, metric: Payload.Metric) -> None:
    table = metric.dataset_value
    sizes = (table.num_of_columns, len(table.columns), len(table.types))
    sheet.check("dataset_sizes", len(set(sizes)) == 1, f"{called(metric)}: num_of_columns, columns, types = {sizes}")
    for one in table.types:
        sheet.check("dataset_types", one in BASIC, f"{called(metric)}: type {one}")


def _template(sheet: Sheet, kind: str, metric: Payload.Metric, known: Known) -> None:
    template, name = metric.template_value, called(metric)
    sheet.check("template_flag", template.HasField("is_definition"), f"{name}: is_definition is missing")
    for parameter in template.parameters:
        sheet.check("template_parameter_name", bool(parameter.name), f"{name}: a parameter without a name")
        if kind in ("nbirth", "dbirth"):
            sheet.check("template_parameter_type", parameter.type in BASIC, f"{name}.{parameter.name}: type {parameter.type}")
    if template.is_definition:
        sheet.check("template_definition_place", kind == "nbirth", f"{name} in {kind.upper()}")
        sheet.check("template_definition_ref", not template.template_ref, f"{name}: template_ref {template.template_ref!r}")
        return
    if not sheet.check("template_instance_ref", bool(template.template_ref), f"{name}: no template_ref"):
        return
    definition = known.templates.get(template.template_ref)
    if not sheet.check("template_definition_known", definition is not None, f"{name}: {template.template_ref!r} is not in the NBIRTH"):
        return
    assert definition is not None
    members = {one.name for one in template.metrics if one.name}
    sheet.check("template_instance_members", members <= definition.members, f"{name}: {sorted(members - definition.members)}")
    parameters = {one.name for one in template.parameters}
    sheet.check("template_instance_parameters", parameters <= definition.parameters, f"{name}: {sorted(parameters - definition.parameters)}")
    if kind in ("nbirth", "dbirth"):
        sheet.check("template_instance_complete", members >= definition.members, f"{name}: without {sorted(definition.members - members)}")


def read(raw: bytes) -> Payload:
    """The payload. Raises BadPayload, also for text that is no UTF-8 (the protobuf runtime gives that as bytes)."""
    payload = decode(raw)
    texts: list[object] = [payload.uuid]
    for metric in payload.metrics:
        texts += [metric.name, *metric.properties.keys]
        if metric.HasField("template_value"):
            template = metric.template_value
            texts += [template.template_ref, template.version, *(one.name for one in template.metrics), *(one.name for one in template.parameters)]
    bad = next((text for text in texts if not isinstance(text, str)), None)
    if bad is not None:
        raise BadPayload(f"text that is no UTF-8: {bad!r}")
    return payload
