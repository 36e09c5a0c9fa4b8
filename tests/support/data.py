"""Data that may not ship lies beside the clone (or where GEMBA_TEST_DATA says); tests that need it are reported as not run where it is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("GEMBA_TEST_DATA", "../shared/data"))


def shared(name: str) -> Path:
    """The file, or a loud skip."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this repository: not run (GEMBA_TEST_DATA names the folder)")
    return path
