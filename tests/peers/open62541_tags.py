"""opcua_tags.mjs on the C stack (open62541): many tags (Double) that all take the number of the tick. Same orders and answers.

python open62541_tags.py PORT PKI_FOLDER '{"tags": 1000, "hz": 5, "from": 0}'
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import o6
import open62541_server as machine  # its namespace, user and certificate


class Tags(threading.Thread):
    def __init__(self, port: int, folder: Path, how: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        certificate, key = machine.credentials(folder)
        self.server = o6.Server(
            port=port,
            certificate=certificate,
            privateKey=key,
            acceptAllCertificates=True,
            applicationUri=machine.URI,
            accessControl=machine.OneUser(),
        )
        self.server.ns.append(machine)
        self.tick, self._hz, self._end = int(how.get("from", 0)), float(how.get("hz", 5)), threading.Event()
        self._nodes = [
            self.server.addVariable(f"T{i}", self.server.objectsNode, o6.Double(float(self.tick)), nodeId=f"ns=plc;s=T{i}")
            for i in range(int(how.get("tags", 1000)))
        ]
        self._write(time.time())

    def _write(self, at_s: float) -> None:
        stamp = o6.DateTime((round(at_s * 1000) + machine.EPOCH_MS) * machine.TICKS_A_MS)
        for node in self._nodes:
            self.server.write(node, o6.DataValue(value=o6.Double(float(self.tick)), sourceTimestamp=stamp))

    def run(self) -> None:
        due = time.time()
        while not self._end.wait(max(0.0, due + 1 / self._hz - time.time())):
            due += 1 / self._hz
            self.tick += 1
            self._write(due)

    def answer(self, order: dict[str, Any]) -> dict[str, int]:
        if order.get("stop"):
            self._end.set()
            self.join()
        return {"tick": self.tick}


def main() -> None:
    tags = Tags(int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
    with tags.server:
        tags.start()
        print("=", json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            print("=", json.dumps(tags.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
