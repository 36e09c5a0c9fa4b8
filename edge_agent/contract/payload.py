"""Sparkplug payloads by the standard protobuf runtime: births, commands, small data, and the reference for faster codecs.

Data types are the standard's numbers. Signed integers travel as two's complement in int_value (<= 32 bit) or long_value (64 bit).
"""

from __future__ import annotations

from enum import IntEnum

from google.protobuf.message import DecodeError

from edge_agent.contract.sparkplug_b_pb2 import Payload

Value = bool | int | float | str | bytes | None


class BadPayload(ValueError):
    """Bytes that are no Sparkplug payload, or a metric whose value does not fit its type."""


class DataType(IntEnum):
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17


_BITS: dict[int, int] = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_INT_FIELD = frozenset({DataType.INT8, DataType.INT16, DataType.INT32, DataType.UINT8, DataType.UINT16, DataType.UINT32})
_LONG_FIELD = frozenset({DataType.INT64, DataType.UINT64, DataType.DATETIME})
_TEXT = frozenset({DataType.STRING, DataType.TEXT, DataType.UUID})


def set_value(metric: Payload.Metric, datatype: DataType, value: Value) -> None:
    """Puts `value` into the field its type asks for; None sets is_null."""
    if value is None:
        metric.is_null = True
    elif datatype in _INT_FIELD:
        metric.int_value = int(value) & 0xFFFFFFFF
    elif datatype in _LONG_FIELD:
        metric.long_value = int(value) & 0xFFFFFFFFFFFFFFFF
    elif datatype is DataType.FLOAT:
        metric.float_value = float(value)
    elif datatype is DataType.DOUBLE:
        metric.double_value = float(value)
    elif datatype is DataType.BOOLEAN:
        metric.boolean_value = bool(value)
    elif datatype in _TEXT:
        metric.string_value = str(value)
    elif datatype is DataType.BYTES and isinstance(value, bytes):
        metric.bytes_value = value
    else:
        raise BadPayload(f"a value of type {type(value).__name__} does not fit Sparkplug type {datatype.name}")


def get_value(metric: Payload.Metric, datatype: int | None = None) -> Value:
    """The metric's value, signed again by `datatype` (the birth's, since DATA carries none). Data sets and templates give None."""
    which = metric.WhichOneof("value")
    if which is None or metric.is_null:
        return None
    value = getattr(metric, which)
    if which in ("int_value", "long_value"):
        bits = _BITS.get(datatype) if datatype is not None else None
        if bits is not None:
            value &= (1 << bits) - 1
            return int(value - (1 << bits)) if value >> (bits - 1) else int(value)
        return int(value)
    if which in ("dataset_value", "template_value"):
        return None
    return value  # type: ignore[no-any-return]


def decode(data: bytes) -> Payload:
    """Raises BadPayload."""
    try:
        return Payload.FromString(data)
    except DecodeError as error:
        raise BadPayload(f"not a Sparkplug B payload: {error}") from error
