"""Helper for tests of the simulators: an ASGI app on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.support.ports import free_port


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The app's URL while it is served by uvicorn in a thread."""
    ready = threading.Event()
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="critical", lifespan="off"))
    startup = server.startup

    async def started(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        ready.set()

    server.startup = started  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join(10)
