"""Recorded source values: what `backfill` takes in. The format is described in edge_agent/README.md.

One JSON object a line, gzip if the name ends in .gz. Reading is streaming: one line in memory at a time.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

from edge_agent.contract.names import GapCause
from edge_agent.errors import RecordingInvalid
from edge_agent.pipeline.columns import Value

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Header:
    edge: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Values:
    """Raw values of one metric, in any order."""

    line: int
    device: str
    metric: str
    t_ms: Sequence[int]
    values: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Watched:
    line: int
    device: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Gap:
    line: int
    device: str
    from_ms: int
    to_ms: int
    cause: GapCause
    detail: str


Entry = Values | Watched | Gap


def _open(path: Path, mode: Literal["rt", "wt"]) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, mode, encoding="utf-8") if mode == "rt" else gzip.open(path, mode, encoding="utf-8", compresslevel=2)
    return path.open(mode, encoding="utf-8")


def read(path: Path) -> tuple[Header, Iterator[Entry]]:
    """The header, and the entries as they come. Raises RecordingInvalid that names the line (entries: while iterating), OSError."""
    file = _open(path, "rt")
    lines = _lines(file, path)
    try:
        _, raw = next(lines)
    except StopIteration as error:
        raise _invalid(path, 1, "is empty", "为空") from error
    if raw.get("gemba_recording") != FORMAT or not isinstance(raw.get("edge"), str):
        raise _invalid(path, 1, f'is no header {{"gemba_recording":{FORMAT},"edge":…}}', "不是记录文件头")
    return Header(raw["edge"], int(raw.get("from_ms", 0)), int(raw.get("to_ms", 0))), (_entry(path, number, raw) for number, raw in lines)


def _invalid(path: Path, line: int, en: str, zh: str) -> RecordingInvalid:
    return RecordingInvalid(
        f"{path.name} line {line} {en}.",
        f"{path.name} 第 {line} 行{zh}。",
        "See edge_agent/README.md for the format.",
        "格式见 edge_agent/README.md。",
    )


def _lines(file: IO[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with file:
        number = 0
        while True:
            number += 1
            try:
                line = file.readline()
                if not line:
                    return
                raw = json.loads(line)
            except (UnicodeDecodeError, EOFError, OSError, zlib.error) as error:  # no text; a .gz that is none or was cut off
                raise _invalid(path, number, f"cannot be read: {error}", f"无法读取:{error}") from error
            except ValueError as error:
                raise _invalid(path, number, f"is no JSON: {error}", "不是 JSON") from error
            if not isinstance(raw, dict):
                raise _invalid(path, number, "is no JSON object", "不是 JSON 对象")
            yield number, raw


def _entry(path: Path, number: int, raw: dict[str, Any]) -> Entry:
    try:
        device = str(raw["device"])
        if "watched_ms" in raw:
            return Watched(number, device, int(raw["watched_ms"]))
        if "gap" in raw:
            gap = raw["gap"]
            return Gap(number, device, int(gap["from_ms"]), int(gap["to_ms"]), GapCause(gap["cause"]), str(gap.get("detail", "")))
        times, values = raw["t_ms"], raw["value"]
        if not isinstance(times, list):
            times, values = [int(times)], [values]
        if len(times) != len(values):
            raise ValueError(f"{len(times)} times and {len(values)} values")
        return Values(number, device, str(raw["metric"]), times, values)
    except (KeyError, TypeError, ValueError) as error:
        raise _invalid(path, number, f"lacks or garbles {error}", f"缺少或有误:{error}") from error


class RecordingWriter:
    """Writes a recording: `column` and `watched` per device and stretch of time, in the order of the format's rules."""

    def __init__(self, path: Path, edge: str, from_ms: int, to_ms: int) -> None:
        self._file = _open(path, "wt")
        self._put({"gemba_recording": FORMAT, "edge": edge, "from_ms": from_ms, "to_ms": to_ms})

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def _put(self, raw: dict[str, Any]) -> None:
        self._file.write(json.dumps(raw, ensure_ascii=False, separators=(",", ":")) + "\n")

    def column(self, device: str, metric: str, t_ms: Sequence[int], values: Sequence[Value]) -> None:
        self._put({"device": device, "metric": metric, "t_ms": list(t_ms), "value": list(values)})

    def watched(self, device: str, until_ms: int) -> None:
        self._put({"device": device, "watched_ms": until_ms})

    def gap(self, device: str, from_ms: int, to_ms: int, cause: GapCause, detail: str = "") -> None:
        self._put({"device": device, "gap": {"from_ms": from_ms, "to_ms": to_ms, "cause": cause.value, "detail": detail}})
