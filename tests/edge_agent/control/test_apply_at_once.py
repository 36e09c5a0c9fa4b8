"""Two people apply at once, and one goes away in the middle: what the agent runs with and what the file says stay the same."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

from edge_agent import app, config_text
from edge_agent.contract.clock import PlantClock
from edge_agent.control.apply import handle
from edge_agent.control.socket import ControlServer, _short
from tests.support.edge import Meter
from tests.support.wait import eventually_async, free_port

CONFIG = """group = "G"
edge = "E-1"
host = "gemba"
[buffer]
path = "{folder}/edge.buffer"
[[brokers]]
host = "127.0.0.1"
port = {nobody}
[sources.M]
type = "modbus"
port = {port}
period_s = {period_s}
backoff_max_s = 0.2
[sources.M.devices.M-1.metrics]
power_w = {{ register = 2 }}
"""


async def _ask(path: Path, config: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    with _short(path) as name:
        reader, writer = await asyncio.open_unix_connection(name)
    writer.write(json.dumps({"ask": "apply", "path": str(config), "watch_s": 120}).encode() + b"\n")
    return reader, writer


async def _run(folder: Path, port: int) -> None:
    nobody = free_port()
    files = {period: folder / f"{period}.toml" for period in ("0.2", "0.3", "0.4")}
    for period, file in files.items():
        file.write_text(CONFIG.format(folder=folder, nobody=nobody, port=port, period_s=period))
    agent = app.build_agent(config_text.load(files["0.2"]), PlantClock(), lambda text: None)
    control = ControlServer(folder / "control", partial(handle, agent))
    await control.start()
    running = asyncio.create_task(agent.run())
    period_s = lambda: agent.config.sources["M"].period_s  # type: ignore[attr-defined]  # noqa: E731
    try:
        await eventually_async(lambda: agent.sources[0].health.status == "connected", 30)
        _, left = await _ask(folder / "control", files["0.3"])
        await eventually_async(lambda: period_s() == 0.3, 30)
        left.close()  # Ctrl-C: nobody is there to put the file in its place
        await eventually_async(lambda: period_s() == 0.2 and not agent.applying, 60, why="what the file says")

        reader, writer = await _ask(folder / "control", files["0.3"])
        first: dict[str, Any] = json.loads(await reader.readline())
        assert "change" in first
        other, second = await _ask(folder / "control", files["0.4"])
        refused = json.loads(await other.readline())
        assert "Another apply" in refused["error"]["en"] and refused["error"]["zh"]
        answers = [json.loads(line) async for line in reader]
        assert answers[-1]["applied"] is True and period_s() == 0.3
        writer.close()
        second.close()
    finally:
        agent.stop()
        await running
        await control.stop()


def test_applies_do_not_undo_each_other_and_one_that_was_left_is_taken_back(tmp_path: Path) -> None:
    with Meter() as meter:
        meter.put(1, 2, [0, 0])
        asyncio.run(_run(tmp_path, meter.port))
