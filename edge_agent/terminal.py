"""Words on a terminal: plain in a pipe, red where a person must look."""

from __future__ import annotations

import os
import sys


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def red_alarms(text: str) -> str:
    """A page whose lines that begin with "  ! " are red where the output is a terminal that shows colours."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return "\n".join(f"\x1b[1;31m{line}\x1b[0m" if line.startswith("  ! ") else line for line in text.split("\n"))


def warn(text: str) -> None:
    """To the error stream (what a program reads from the output stays clean), red on a terminal that shows colours (https://no-color.org)."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    sys.stderr.write((f"\x1b[1;31m{text}\x1b[0m" if coloured else text) + "\n")
    sys.stderr.flush()
