"""Power cuts by rebuilding the disk: a recorded program's system calls, and every state a disk may be in when the power goes.

The method of "All File Systems Are Not Created Equal" (ALICE, OSDI '14). strace records what a real program writes. What was flushed by fsync or
fdatasync is on the disk. Of what was not, each write may be there or not, whatever the order, and any may be torn at a sector; names made or
removed in a folder follow in their order and are sure after the folder itself was flushed. `Recording.images` yields these states; a test
opens each with the product.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STRACE = shutil.which("strace")
ROOT = Path(__file__).parents[2]
SECTOR = 512
ALL_SUBSETS_UP_TO = 8  # unflushed writes whose every combination is tried; of more a sample
CALLS = "openat,close,pwrite64,write,ftruncate,fallocate,fsync,fdatasync,unlink,rename"
STDOUT = 1
_LINE = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call on the watched folder: `name` is the file's name in it ("" = the folder itself)."""

    kind: str  # make | write | cut | flush | remove | rename | say
    name: str
    offset: int = 0
    data: bytes = b""


@dataclass(slots=True)
class _File:
    """Contents: `sure` is flushed, `pending` is not: (offset, bytes), or (size, None) for a cut."""

    sure: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def flush(self) -> None:
        for one in self.pending:
            _apply(self.sure, *one)
        self.pending.clear()


@dataclass(frozen=True, slots=True)
class Image:
    """A disk after a power cut: contents by file name, and the last word the program had said before."""

    files: dict[str, bytes]
    said: str
    why: str

    def put(self, folder: Path) -> None:
        """Makes `folder` hold exactly these files."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(max(0, offset - len(content))))
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def scratch(tmp_path: Path) -> Path:
    """A folder for images: in memory where there is such a place (a flush there costs nothing), else `tmp_path`."""
    shared = Path("/dev/shm")
    where = shared if os.access(shared, os.W_OK) else tmp_path
    return where / f"gemba-{os.getpid()}-{tmp_path.name}"


def record(program: str, folder: Path, *arguments: str) -> Recording:
    """Runs a Python program (source text) that works in `folder`; raises AssertionError when it does not end well."""
    trace = folder.parent / f"{folder.name}.trace"
    command = [str(STRACE), "-qq", "-xx", "-s", "10000000", "-e", f"trace={CALLS}", "-o", str(trace)]
    command += [sys.executable, "-c", program, *arguments]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    with trace.open() as lines:
        calls = list(_calls(lines, str(folder)))
    trace.unlink()
    return Recording(calls)


def _calls(lines: Iterator[str], folder: str) -> Iterator[Call]:
    """The calls on files in `folder`, and what went to standard output."""
    open_files: dict[int, str] = {}
    at: dict[int, int] = {}
    for line in lines:
        found = _LINE.match(line)
        if found is None or int(found[3]) < 0:
            continue
        kind, inside, result = found[1], found[2], int(found[3])
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(inside)]
        if kind in ("openat", "unlink", "rename"):
            names = [_inside(folder, text.decode()) for text in texts]
            if kind == "openat" and names[0] is not None:
                open_files[result], at[result] = names[0], 0
                if "O_CREAT" in inside:
                    yield Call("make", names[0])
            elif kind == "unlink" and names[0] is not None:
                yield Call("remove", names[0])
            elif kind == "rename" and None not in names:
                yield Call("rename", str(names[0]), data=str(names[1]).encode())
            continue
        number = int(inside.split(",")[0])
        if kind == "write" and number == STDOUT:
            yield Call("say", "", data=texts[0])
            continue
        if number not in open_files:
            continue
        name = open_files[number]
        if kind == "close":
            del open_files[number]
        elif kind == "pwrite64":
            yield Call("write", name, int(inside.rsplit(",", 1)[1]), texts[0][:result])
        elif kind == "write":
            yield Call("write", name, at[number], texts[0][:result])
            at[number] += result
        elif kind == "ftruncate":
            yield Call("cut", name, int(inside.split(",")[1]))
        elif kind == "fallocate":
            yield Call("write", name, int(inside.split(",")[2]) + int(inside.split(",")[3]))  # no bytes, but as long as that
        else:
            yield Call("flush", name)


def _inside(folder: str, path: str) -> str | None:
    if path == folder:
        return ""
    return path[len(folder) + 1 :] if path.startswith(folder + "/") else None


@dataclass(slots=True)
class Recording:
    calls: list[Call]

    @property
    def flushes(self) -> int:
        return sum(call.kind == "flush" for call in self.calls)

    def images(self, rng: random.Random, per_flush: int | None = None) -> Iterator[Image]:
        """Every state the disk may be in, just before each flush (which covers every moment since the one before) and at the end.

        `per_flush`: at most so many a flush, drawn by `rng`; None: all.
        """
        files: dict[str, _File] = {}  # by name now
        sure_names: dict[str, _File] = {}  # names the flushed folder holds
        folder_ops: list[dict[str, _File]] = []  # what the folder would hold after each operation that is not flushed
        said = ""
        for number, call in enumerate(self.calls):
            if call.kind in ("flush", "say"):
                # What was said before these writes is bound to be there; a word is only said when nothing of it is pending.
                yield from self._states(number, files, [sure_names, *folder_ops], said, rng, per_flush)
            if call.kind == "say":
                said = next(reversed(call.data.decode().strip().splitlines()), said)
            elif call.kind == "flush" and call.name == "":
                sure_names, folder_ops = dict(files), []
            elif call.kind == "flush":
                files[call.name].flush()
            elif call.kind == "make":
                if call.name not in files:
                    files[call.name] = _File()
                    folder_ops.append(dict(files))
            elif call.kind == "remove":
                del files[call.name]
                folder_ops.append(dict(files))
            elif call.kind == "rename":
                files[call.data.decode()] = files.pop(call.name)
                folder_ops.append(dict(files))
            else:
                files[call.name].pending.append((call.offset, call.data if call.kind == "write" else None))
        yield from self._states(len(self.calls), files, [sure_names, *folder_ops], said, rng, per_flush)

    def _states(
        self, number: int, files: dict[str, _File], folders: Sequence[dict[str, _File]], said: str, rng: random.Random, most: int | None
    ) -> Iterator[Image]:
        every = {id(one): one for folder in folders for one in folder.values()} | {id(one): one for one in files.values()}
        pending = [(key, at) for key, one in every.items() for at in range(len(one.pending))]
        choices = [(folder, chosen) for folder in folders for chosen in _choices(every, pending, rng)]
        if most is not None and len(choices) > most:
            choices = rng.sample(choices, most)
        for folder, chosen in choices:
            contents = {}
            for name, one in folder.items():
                content = bytearray(one.sure)
                for at, (offset, data) in enumerate(one.pending):
                    part = chosen.get((id(one), at))
                    if part is not None:
                        _tear(content, offset, data, part)
                contents[name] = bytes(content)
            yield Image(contents, said, f"call {number}: {len(chosen)} of {len(pending)} unflushed writes, files {sorted(contents)}")


Chosen = dict[tuple[int, int], tuple[int, int]]
WHOLE = (0, 1 << 40)


def _tear(content: bytearray, offset: int, data: bytes | None, part: tuple[int, int]) -> None:
    """Only the sectors [part) of a write reached the disk."""
    if data is None or part == WHOLE:
        _apply(content, offset, data)
        return
    first = offset // SECTOR * SECTOR
    a, b = max(offset, first + part[0] * SECTOR), min(offset + len(data), first + part[1] * SECTOR)
    if b > a:
        _apply(content, a, data[a - offset : b - offset])


def _choices(files: dict[int, _File], pending: list[tuple[int, int]], rng: random.Random) -> list[Chosen]:
    """Which unflushed writes are there: every combination of few, of many the telling ones and a sample; and each write torn among its neighbours."""
    if len(pending) <= ALL_SUBSETS_UP_TO:
        subsets = [set(some) for size in range(len(pending) + 1) for some in itertools.combinations(pending, size)]
    else:
        subsets = [set(pending[:size]) for size in range(len(pending) + 1)]
        subsets += [set(pending) - {one} for one in pending] + [{one} for one in pending]
        subsets += [{one for one in pending if rng.random() < 0.5} for _ in range(2**ALL_SUBSETS_UP_TO)]
    chosen: list[Chosen] = [dict.fromkeys(some, WHOLE) for some in subsets]
    for one in pending:
        offset, data = files[one[0]].pending[one[1]]
        sectors = 0 if data is None else (offset + len(data) - 1) // SECTOR - offset // SECTOR + 1
        for cut in range(1, sectors):
            before = pending[: pending.index(one)]
            for around in (before, [other for other in pending if other != one]):
                chosen.append({**dict.fromkeys(around, WHOLE), one: (0, cut)})
                chosen.append({**dict.fromkeys(around, WHOLE), one: (cut, sectors)})
    return chosen
