"""The process round a running agent: signals, the control socket, the collector."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import signal
import sys
from contextlib import suppress
from functools import partial

from edge_agent import app
from edge_agent.config import AgentConfig
from edge_agent.contract.clock import Clock
from edge_agent.control.apply import handle
from edge_agent.control.socket import ControlServer, socket_path


def _give_back() -> None:
    """Hands memory that only the start needed back to the system: 30 MB after a first start, which compiles. Only glibc has a call for it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


async def run(config: AgentConfig, clock: Clock, *, take_over: bool = False) -> int:
    """Until SIGTERM or Ctrl-C. Raises EdgeError."""
    agent = app.build_agent(config, clock, take_over=take_over)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    control = ControlServer(socket_path(config), partial(handle, agent))
    try:
        await control.start()
    except OSError as error:
        print(f"status and apply are not available: {error}", file=sys.stderr)  # noqa: T201 - the agent's log is its error stream
    gc.collect()
    gc.freeze()  # what was made at start stays; the collector need not look at it again
    _give_back()
    try:
        await agent.run()
    finally:
        await control.stop()
    return 0
