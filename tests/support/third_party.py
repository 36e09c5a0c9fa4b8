"""Third-party servers as processes that are asked and told over stdin and stdout: what they hold is their own word, not ours.

with Peer("node-opcua", folder, Good=65530) as peer:
    peer.set(Good=65531, t_ms=…); peer.get("Good") -> {"value": 65531, "t_ms": …}; peer.ask({"channels": True}); peer.kill(); peer.start(Good=65540)

node-opcua (MIT, npm, `tests/peers/package-lock.json`); open62541 in the wheel `o6` (its Python binding is not free software, but without a
credential it may be used for ten minutes a process, commercially too; nothing of the product imports, ships or installs it); pyModbusTCP (MIT).
asyncua's server with its SQLite history (LGPL, the product's own client library; the history outlives the process).
cpppo's Logix simulator (GPL: only its own command is run, tests/support/rigs/enip.py).
The wheels stand in `tests/peers/site` (`.ci/peers.lock`), apart from the product's environment.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import node_path
from tests.support.wait import free_port

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "peers"
SITE = FOLDER / "site"
ANSWER_S = 60.0
NODE_OPCUA = {
    "node-opcua": [],
    "node-opcua-open": ["--open", "--transfer"],
    "node-opcua-refusing": ["--open"],  # no security, so it hands no subscription over
    "node-opcua-history": ["--open", "--history"],
}


def _node() -> str:
    found = node_path()
    if found is None or not (FOLDER / "node_modules" / "node-opcua-server").is_dir():
        pytest.skip("node-opcua is not installed: python .ci/prepare.py services")
    return found


def _command(name: str) -> list[str]:
    if name in NODE_OPCUA:
        return [_node(), str(FOLDER / "opcua_server.mjs"), *NODE_OPCUA[name]]
    if name.endswith(".mjs"):
        return [_node(), str(FOLDER / name)]
    if name == "asyncua-history":
        return [sys.executable, str(FOLDER / "asyncua_history_server.py")]
    module, script = {
        "open62541": ("o6", "open62541_server.py"),
        "open62541-tags": ("o6", "open62541_tags.py"),
        "pyModbusTCP": ("pyModbusTCP", "modbus_slave.py"),
    }[name]
    if not (SITE / module).is_dir():
        pytest.skip(f"{module} is not installed: python .ci/prepare.py services")
    return [sys.executable, str(FOLDER / script)]


class Peer:
    """One third-party server on a port of its own; it may be killed and started again on the same port."""

    def __init__(self, name: str, folder: Path, **first: Any) -> None:
        self.name, self.port = name, free_port()
        self._command, self._folder, self._first = _command(name), folder / name, first
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._asking = threading.Lock()  # an order and its answer belong together, whoever asks

    def __enter__(self) -> Peer:
        self.start(**self._first)
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def start(self, **first: Any) -> None:
        """Starts with these values; what it held before is forgotten, as in a PLC without retained memory."""
        command = [*self._command, str(self.port), str(self._folder), json.dumps(first)]
        self._answers = queue.Queue()
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SITE), os.environ.get("PYTHONPATH", "")])}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
        threading.Thread(target=_read, args=(self._process, self._answers), daemon=True).start()
        assert json.loads(self._answer()) == {"ready": True}

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None

    def _answer(self) -> str:
        try:
            return self._answers.get(timeout=ANSWER_S)
        except queue.Empty:
            raise AssertionError(f"{self.name} does not answer") from None

    def ask(self, order: dict[str, Any]) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        with self._asking:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return json.loads(self._answer())

    def set(self, *, t_ms: int | None = None, **values: Any) -> None:
        assert self.ask({"set": values} | ({} if t_ms is None else {"t_ms": t_ms})) == {"ok": True}

    def get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask({"get": [name]})[name]
        return found


def _read(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if line.startswith("= "):  # the rest are banners of the libraries
                answers.put(line[2:])
