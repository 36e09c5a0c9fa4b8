"""Which edges were let in or put out by a command, beside those the plant model names: `<data>/broker/edges.json`, private files."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel

NAME = "edges.json"


class EdgeLists(BaseModel):
    """`revoked` stands before everything."""

    granted: set[str] = set()
    revoked: set[str] = set()

    @classmethod
    def read(cls, folder: Path) -> EdgeLists:
        """Empty where nothing was written yet."""
        path = folder / NAME
        return cls.model_validate_json(path.read_bytes()) if path.exists() else cls()

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_private(folder / NAME, self.model_dump_json(indent=1) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replaces `path` at once; nobody but the owner ever may read it."""
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
