"""How the command line speaks: both languages, one under the other, because whoever installs may read either."""

from __future__ import annotations

import sys
from typing import TextIO

DATA_WRONG, WRONG_USE, IN_USE, STOPPED = 1, 2, 3, 4


class CommandFailed(Exception):
    """What is wrong and the next step, in both languages."""

    def __init__(self, zh: str, en: str, *, exit_code: int = DATA_WRONG) -> None:
        self.zh = zh
        self.en = en
        self.exit_code = exit_code
        super().__init__(en)


def say(*lines: str, to: TextIO | None = None) -> None:
    """Prints lines at once (a supervisor may read them through a pipe)."""
    out = to if to is not None else sys.stdout
    for line in lines:
        out.write(line + "\n")
    out.flush()
