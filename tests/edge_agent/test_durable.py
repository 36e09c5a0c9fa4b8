"""Files that several may write at once, and that a power cut must not halve."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_agent import durable
from edge_agent.sources.opcua import certificates, trust
from tests.support.wait import PATIENCE

MANY = 4


def _at_once(work: object) -> list[object]:
    together = Barrier(MANY)

    def begin(number: int) -> object:
        together.wait(30 * PATIENCE)
        return work(number)  # type: ignore[operator]

    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(begin, range(MANY)))


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "one.json"

    def write(number: int) -> None:
        for _ in range(25):
            durable.write(path, str(number).encode() * 5000, 0o640)

    _at_once(write)
    found = path.read_bytes()
    assert len(found) == 5000 and len(set(found)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 and [one.name for one in tmp_path.iterdir()] == ["one.json"]


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.json"
    durable.write(path, b"before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.write(path, b"after")
    assert path.read_bytes() == b"before" and [one.name for one in tmp_path.iterdir()] == ["one.json"]


def test_sources_that_begin_together_make_one_certificate(tmp_path: Path) -> None:
    """The first start of a box with several OPC UA sources: a key of one beside the certificate of another would never sign in anywhere."""
    made = _at_once(lambda _: _shown(certificates.own_certificate(tmp_path, "urn:gemba:edge:E-1")))
    assert len(set(made)) == 1, "every source shows its PLC the same certificate"
    own = certificates.own_paths(tmp_path)
    key = certificates.load_key(own.key).public_key()
    shape = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert certificates.load(own.certificate).public_key().public_bytes(*shape) == key.public_bytes(*shape)
    assert not list(own.key.parent.glob("certificate.old-*"))


def _shown(own: certificates.Own) -> str:
    return certificates.fingerprint(own.certificate.read_bytes())


def test_the_agent_and_the_command_keep_a_servers_certificate_at_once(tmp_path: Path) -> None:
    store = trust.load_store(tmp_path, "PLC")

    def keep(number: int) -> None:
        for _ in range(25):
            trust.keep(store, bytes([number]) * 5000)

    _at_once(keep)
    assert len(set((tmp_path / "trusted" / "PLC.der").read_bytes())) == 1
