"""Every metric ever reported, with the alias it keeps as long as its buffer lives. Aliases are unique over the whole node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.contract.payload import DataType

FIRST_ALIAS = 128  # up to 16,383 all are two bytes on the wire: rows of equal length are encoded in half the time


@dataclass(frozen=True, slots=True)
class Metric:
    """`device` is "" for metrics of the node itself."""

    alias: int
    device: str
    name: str
    datatype: DataType


class Catalogue:
    """(device, name) -> Metric. New ones are handed to the buffer once by `take_new` (they are stored with the first record that uses them)."""

    def __init__(self, known: Iterable[Metric] = ()) -> None:
        self.by_alias: dict[int, Metric] = {}
        self._by_name: dict[tuple[str, str], Metric] = {}
        self._new: list[Metric] = []
        self._of_device: dict[str, list[Metric]] = {}
        for metric in known:
            self._put(metric)

    def _put(self, metric: Metric) -> None:
        self.by_alias[metric.alias] = metric
        self._by_name[metric.device, metric.name] = metric
        self._of_device.setdefault(metric.device, []).append(metric)

    def metric(self, device: str, name: str, datatype: DataType) -> Metric:
        """The known metric (its datatype is for ever the one it was first seen with), or a new one."""
        found = self._by_name.get((device, name))
        if found is None:
            found = Metric(max(self.by_alias, default=FIRST_ALIAS - 1) + 1, device, name, datatype)
            self._put(found)
            self._new.append(found)
        return found

    def find(self, device: str, name: str) -> Metric | None:
        return self._by_name.get((device, name))

    def of_device(self, device: str) -> list[Metric]:
        return self._of_device.get(device, [])

    def count_of(self, device: str) -> int:
        return len(self._of_device.get(device, ()))

    @property
    def has_new(self) -> bool:
        return bool(self._new)

    def take_new(self) -> list[Metric]:
        new, self._new = self._new, []
        return new

    def put_back(self, metrics: list[Metric]) -> None:
        """They were not stored after all: to be taken again."""
        self._new = metrics + self._new
