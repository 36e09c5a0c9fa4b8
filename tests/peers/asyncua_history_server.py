"""A PLC with a history that outlives it: asyncua's server with its SQLite history, one machine. Same orders and answers as opcua_server.mjs.

    python asyncua_history_server.py PORT FOLDER '{"Good": 65530}'

Besides: {"history": "Good"} -> 12, how many values its history holds. Among the first values, "forget": ["Order"] keeps no history of these.
The nodes are i=1 (State), i=2 (Good), …: this history refuses its own table names of text identifiers.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.server.history_sql import HistorySQLite

NAMESPACE = "urn:gemba:test:plc"
TYPES: dict[str, tuple[ua.VariantType, Any]] = {
    "State": (ua.VariantType.Int32, 0),
    "Good": (ua.VariantType.UInt16, 0),
    "Scrap": (ua.VariantType.Int32, 0),
    "Order": (ua.VariantType.String, ""),
    "Temperature": (ua.VariantType.Double, 0.0),
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Plc:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.server = Server()
        self.history = HistorySQLite(str(folder / "history.db"))
        self.nodes: dict[str, Any] = {}

    async def start(self, port: int, first: dict[str, Any]) -> None:
        server = self.server
        server.iserver.history_manager.set_storage(self.history)
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(NAMESPACE)
        for number, (name, (kind, zero)) in enumerate(TYPES.items(), 1):
            node = ua.NodeId(number, index)
            self.nodes[name] = await server.nodes.objects.add_variable(node, name, ua.Variant(zero, kind))
        await self.set({name: first.get(name, zero) for name, (_, zero) in TYPES.items()}, None)
        await server.start()
        for name, node in self.nodes.items():
            if name not in first.get("forget", ()):
                await server.historize_node_data_change(node, period=None, count=0)

    async def set(self, values: dict[str, Any], t_ms: int | None) -> None:
        stamp = datetime.now(UTC) if t_ms is None else EPOCH + timedelta(milliseconds=t_ms)
        for name, value in values.items():
            made = ua.DataValue(ua.Variant(value, TYPES[name][0]), SourceTimestamp=stamp, ServerTimestamp=stamp)
            await self.nodes[name].write_value(made)

    async def answer(self, order: dict[str, Any]) -> Any:
        if "set" in order:
            await self.set(order["set"], order.get("t_ms"))
            return {"ok": True}
        if "history" in order:
            found, _ = await self.history.read_node_history(self.nodes[order["history"]].nodeid, None, None, 0)
            return len(found)
        return {name: await self.held(name) for name in order["get"]}

    async def held(self, name: str) -> dict[str, Any]:
        data = await self.nodes[name].read_data_value()
        return {"value": data.Value.Value, "t_ms": (data.SourceTimestamp.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)}


async def main() -> None:
    plc = Plc(Path(sys.argv[2]))
    await plc.start(int(sys.argv[1]), json.loads(sys.argv[3]))
    print("=", json.dumps({"ready": True}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print("=", json.dumps(await plc.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
