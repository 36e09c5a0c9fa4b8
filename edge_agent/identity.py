"""Who runs this agent: what tells a cloned card, with the same config and the same buffer file, from the box it was copied from.

The machine's part is derived from what a copied disk does not carry along (serial number, network addresses) and from the place of the buffer
file; it is the same after every restart. The run's part is new with every start. `GEMBA_EDGE_MACHINE` names the machine where the hardware cannot
be told apart (containers, virtual machines copied with their addresses).
Knows nothing of Sparkplug; the server's half is mes_server/ingest/fence.py, the reasons are in docs/decisions.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

_SERIALS = ("proc/device-tree/serial-number", "etc/machine-id")  # readable by every user: the answer must not depend on who asks
_VARIABLE = "GEMBA_EDGE_MACHINE"


def _network_addresses(root: Path) -> list[str]:
    """Addresses of the network cards that are built in: what is plugged into USB today is elsewhere tomorrow."""
    found = []
    for card in sorted((root / "sys/class/net").glob("*")):
        device = card / "device"
        if device.exists() and "/usb" not in str(device.resolve()):
            with suppress(OSError):
                found.append((card / "address").read_text().strip())
    return sorted(found)


def machine(buffer: Path, root: Path = Path("/")) -> str:
    """16 hex digits: this machine and this buffer's place on it."""
    named = os.environ.get(_VARIABLE)
    marks = [f"name {named}"] if named else []
    if not named:
        for place in _SERIALS:
            with suppress(OSError):
                marks.append((root / place).read_text().strip("\0\n "))
        marks += _network_addresses(root)
    return hashlib.sha256("\n".join([*marks, str(buffer.resolve())]).encode()).hexdigest()[:16]


def instance(machine_id: str) -> str:
    """What a birth says: the machine and this run of the agent."""
    return f"{machine_id}-{secrets.token_hex(4)}"
