"""Birth and death certificates: what a node and its devices are, with the last value of every metric ever reported."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edge_agent.contract import names
from edge_agent.contract.names import Quality
from edge_agent.contract.payload import DataType, Value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.pipeline.catalogue import Metric
from edge_agent.pipeline.columns import NULL, STRING, Columns, value_of
from edge_agent.publisher.encode import add_quality, value_metric


class LastValues:
    """Newest value of every alias. Texts are kept apart."""

    def __init__(self) -> None:
        self._bits = np.zeros(256, np.uint64)
        self._kinds = np.full(256, NULL, np.uint8)
        self._t_ms = np.zeros(256, np.int64)
        self._texts: dict[int, str] = {}

    def _grow(self, alias: int) -> None:
        while alias >= len(self._bits):
            size = len(self._bits)
            self._bits = np.concatenate([self._bits, np.zeros(size, np.uint64)])
            self._kinds = np.concatenate([self._kinds, np.full(size, NULL, np.uint8)])
            self._t_ms = np.concatenate([self._t_ms, np.zeros(size, np.int64)])

    def put(self, columns: Columns) -> None:
        """Rows in the order of time: of several values of one alias the last stays."""
        if not len(columns):
            return
        ids = columns.ids
        self._grow(int(ids.max()))
        self._bits[ids] = columns.bits
        self._kinds[ids] = columns.kinds
        self._t_ms[ids] = columns.t_ms
        if columns.strings:
            for row in np.flatnonzero(columns.kinds == STRING).tolist():
                self._texts[int(ids[row])] = columns.strings[int(columns.bits[row])]

    def get(self, alias: int) -> tuple[Value, int]:
        """(value, t_ms); (None, 0) when there was none, or it was bad."""
        if alias >= len(self._bits):
            return None, 0
        kind = int(self._kinds[alias])
        if kind == STRING:
            return self._texts.get(alias), int(self._t_ms[alias])
        return value_of(kind, int(self._bits[alias]), ()), int(self._t_ms[alias])


def death(bdseq: int, now_ms: int) -> bytes:
    """NDEATH: bdSeq alone and no seq (tck-id-topics-ndeath-seq)."""
    message = Payload(timestamp=now_ms)
    value_metric(message, None, names.BDSEQ, DataType.INT64, now_ms, bdseq)
    return message.SerializeToString()


def node_birth(bdseq: int, now_ms: int, metrics: Iterable[tuple[Metric, Value]]) -> bytes:
    """NBIRTH with seq 0; bdSeq and rebirth control carry no alias (tck-id-operational-behavior-data-commands-rebirth-name-aliases)."""
    message = Payload(timestamp=now_ms, seq=0)
    value_metric(message, None, names.BDSEQ, DataType.INT64, now_ms, bdseq)
    value_metric(message, None, names.REBIRTH, DataType.BOOLEAN, now_ms, False)
    for metric, value in metrics:
        value_metric(message, metric.alias, metric.name, metric.datatype, now_ms, value)
    return message.SerializeToString()


def node_data(now_ms: int, seq: int, metrics: Iterable[tuple[Metric, Value]]) -> bytes:
    """NDATA by alias."""
    message = Payload(timestamp=now_ms, seq=seq)
    for metric, value in metrics:
        value_metric(message, metric.alias, None, metric.datatype, now_ms, value)
    return message.SerializeToString()


def device_birth(now_ms: int, seq: int, metrics: Iterable[Metric], values: LastValues, stale: bool) -> bytes:
    """DBIRTH; values of a device whose source is away are marked STALE."""
    message = Payload(timestamp=now_ms, seq=seq)
    for metric in metrics:
        value, t_ms = values.get(metric.alias)
        made = value_metric(message, metric.alias, metric.name, metric.datatype, t_ms or now_ms, value)
        if stale:
            add_quality(made, Quality.STALE)
    return message.SerializeToString()


def device_death(now_ms: int, seq: int) -> bytes:
    return Payload(timestamp=now_ms, seq=seq).SerializeToString()
