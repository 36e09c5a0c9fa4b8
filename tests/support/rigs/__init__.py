"""One rig a kind of source: a real peer with one running total and one sample, and the config that reads them. What the conformance suite stands on.

A new kind is one file here (`<kind>.py` with a function `rig(folder) -> Rig`) and one line in `RIGS`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

# name in the test's id -> module of tests.support.rigs and what it is called with
RIGS: dict[str, tuple[str, dict[str, object]]] = {
    "opcua": ("opcua", {}),
    "opcua secure": ("opcua", {"secure": True}),
    "modbus": ("modbus", {}),
    "modbus int64 CDAB one connection": ("modbus", {"special": True}),
    "modbus serial": ("modbus", {"serial": True}),
    "mtconnect agent": ("mtconnect", {"way": "stream"}),
    "mtconnect agent polled": ("mtconnect", {"way": "poll"}),
    "mtconnect adapter": ("mtconnect", {"way": "shdr"}),
    "s7": ("s7", {}),
    "enip": ("enip", {}),
    "dlt645": ("dlt645", {}),
    "dlt645 serial": ("dlt645", {"serial": True}),
    "dsmr": ("dsmr", {}),
    "mbus": ("mbus", {}),
    "mbus secondary": ("mbus", {"secondary": True}),
    "mqtt": ("mqtt", {}),
    "mqtt sparkplug": ("mqtt", {"node": True}),
}
VARIANTS = frozenset(
    {
        "opcua secure",
        "modbus int64 CDAB one connection",
        "modbus serial",
        "mtconnect agent polled",
        "dlt645 serial",
        "mbus secondary",
        "mqtt sparkplug",
    }
)  # other ways of a kind that stands there already
SOURCE, DEVICE = "SRC", "D-1"


class Rig(Protocol):
    """A peer on `port` that holds its values while it is stopped, and what is read of it: device D-1 of source SRC."""

    kind: str  # the word behind `type =`
    port: int
    fact: str  # name of the running total on the wire
    factor: float  # wire value of the total = factor x what was put
    sample: str  # name of the sample on the wire

    def start(self) -> None: ...

    def stop(self) -> None:
        """Gone at once, as by a power cut: its connections break."""
        ...

    def put(self, total: int, sample: float) -> None: ...

    def text(self, port: int, *, bad: bool = False) -> str:
        """The [sources.SRC] tables, reached through `port`. `bad`: with one metric `wrong` more, at an address that is not there.

        timeout_s is about half a second, so that a silent peer is noticed soon.
        """
        ...


def make(name: str, folder: Path) -> Rig:
    """A rig that is not yet started; it has 100 and 20.0."""
    module, arguments = RIGS[name]
    made: Rig = importlib.import_module(f"tests.support.rigs.{module}").rig(folder, **arguments)
    return made
