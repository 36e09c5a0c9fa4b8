"""Which machine an agent is: the same after a restart, another one on another box or in another place; a copied buffer begins a new epoch."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_agent import identity
from edge_agent.buffer.store import Buffer
from edge_agent.pipeline.columns import Columns


def box(folder: Path, *, address: str, serial: str = "", disk: str = "m1", usb: str = "") -> Path:
    """The parts of a machine that are looked at."""
    for name, mac, bus in (("eth0", address, "pci0000:00"), ("wlan1", usb, "usb1"), ("docker0", "02:42:00:00:00:01", "")):
        card = folder / "sys/class/net" / name
        card.mkdir(parents=True)
        (card / "address").write_text(mac + "\n")
        if bus:
            device = folder / "sys/devices" / bus / name
            device.mkdir(parents=True)
            (card / "device").symlink_to(device)
    (folder / "etc").mkdir()
    (folder / "etc/machine-id").write_text(disk + "\n")
    if serial:
        (folder / "proc/device-tree").mkdir(parents=True)
        (folder / "proc/device-tree/serial-number").write_bytes(serial.encode() + b"\0")
    return folder


def test_a_cloned_card_is_another_machine(tmp_path: Path) -> None:
    buffer = tmp_path / "edge.buffer"
    first = identity.machine(buffer, box(tmp_path / "a", address="b8:27:eb:00:00:01", serial="1000"))
    assert len(first) == 16 and first == identity.machine(buffer, tmp_path / "a")
    assert first != identity.machine(buffer, box(tmp_path / "b", address="b8:27:eb:00:00:02", serial="1001"))
    assert first != identity.machine(tmp_path / "elsewhere.buffer", tmp_path / "a"), "a copied folder on the same box"


def test_what_is_plugged_in_makes_no_other_machine(tmp_path: Path) -> None:
    buffer = tmp_path / "edge.buffer"
    first = identity.machine(buffer, box(tmp_path / "a", address="b8:27:eb:00:00:01"))
    assert first == identity.machine(buffer, box(tmp_path / "b", address="b8:27:eb:00:00:01", usb="00:11:22:33:44:55"))


def test_a_name_given_stands_before_the_hardware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = tmp_path / "edge.buffer"
    monkeypatch.setenv("GEMBA_EDGE_MACHINE", "press shop 1")
    named = identity.machine(buffer, box(tmp_path / "a", address="1"))
    assert named == identity.machine(buffer, box(tmp_path / "b", address="2"))
    monkeypatch.setenv("GEMBA_EDGE_MACHINE", "press shop 2")
    assert named != identity.machine(buffer, tmp_path / "a")


def test_runs_differ() -> None:
    assert identity.instance("ab") != identity.instance("ab")


def test_a_copied_buffer_keeps_its_records_and_begins_a_new_epoch(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path / "a.buffer", 10**9)
    assert not buffer.claim("one") and not buffer.claim("one")
    for k in range(5):
        buffer.commit([("A", Columns.of([(1, 1000 + k, 10, float(k))]))], answered_n=2)
    epoch = buffer.epoch
    buffer.close()
    shutil.copy(tmp_path / "a.buffer", tmp_path / "b.buffer")

    copy = Buffer(tmp_path / "b.buffer", 10**9)
    assert copy.claim("two") and copy.epoch != epoch
    assert [(one.n, one.columns.rows()[0][3]) for one in copy.read(0, 10)] == [(1, 2.0), (2, 3.0), (3, 4.0)]
    second = copy.epoch
    copy.close()
    again = Buffer(tmp_path / "b.buffer", 10**9)
    assert not again.claim("two") and again.epoch == second and again.last_n == 3
    again.close()

    old = Buffer(tmp_path / "a.buffer", 10**9)
    assert not old.claim("one") and old.epoch == epoch and old.last_n == 5
    old.close()
