"""A window of the backlog as few messages: one device's records of it together, with their mark (contract/delivery.py). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_agent.buffer.store import Window
from edge_agent.contract.delivery import RECORDS_MAX, Marks
from edge_agent.publisher import encode

MESSAGE_BYTES = 64_000  # of the metrics of one bundle; a single record may be longer


@dataclass(frozen=True, slots=True)
class Bundle:
    """One DDATA to be: encoded metrics of one device, and which records they are."""

    device: str
    marks: Marks
    metrics: bytes


def bundles(window: Window, epoch: str, *, records_max: int = RECORDS_MAX, bytes_max: int = MESSAGE_BYTES) -> list[Bundle]:
    """By their first record, so that each one brings what comes next when the ones before it have arrived."""
    of_device: dict[str, list[int]] = {}
    for place, device in enumerate(window.devices):
        of_device.setdefault(device, []).append(place)
    order = np.array([place for places in of_device.values() for place in places], np.int64)
    counts = np.array(window.counts, np.int64)
    wanted = counts[order]
    starts = np.cumsum(counts) - counts
    first = np.cumsum(wanted) - wanted  # of each record among the rows put in order
    rows = np.repeat(starts[order] - first, wanted) + np.arange(int(wanted.sum()))
    data, row_ends = encode.rows(window.columns.take(rows), historical=True)
    ends = np.concatenate([[0], row_ends])[first + wanted].tolist()  # byte at which each record ends
    out: list[Bundle] = []
    done = begin = 0
    for device, places in of_device.items():
        mine = ends[done : done + len(places)]
        done += len(places)
        for some, until in _cut(places, mine, begin, records_max, bytes_max):
            marks = Marks(epoch, [window.numbers[place] for place in some], [window.counts[place] for place in some])
            out.append(Bundle(device, marks, data[begin:until]))
            begin = until
    out.sort(key=lambda bundle: bundle.marks.numbers[0])
    return out


def _cut(places: list[int], ends: list[int], begin: int, records_max: int, bytes_max: int) -> Iterator[tuple[list[int], int]]:
    """(records, byte at which they end) of each message, as many records in each as may be."""
    start = 0
    for index, end in enumerate(ends):
        if index > start and (end - begin > bytes_max or index - start == records_max):
            begin = ends[index - 1]
            yield places[start:index], begin
            start = index
    yield places[start:], ends[-1]
