"""multipart/x-mixed-replace, as an agent streams it: bytes in, documents out. Pure; bounded by the longest document that is taken."""

from __future__ import annotations

import re

from edge_agent.sources.mtconnect.documents import DocumentInvalid

HEAD_MAX = 8192
_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,10})", re.IGNORECASE)


def boundary_of(content_type: str) -> str | None:
    """The boundary, or None where the answer is no stream of parts."""
    kind, _, parameters = content_type.partition(";")
    if not kind.strip().lower().startswith("multipart/"):
        return None
    found = re.search(r'boundary="?([^";,]{1,200})"?', parameters, re.IGNORECASE)
    return found[1].strip() if found else None


class Parts:
    """Feeds on chunks of any size. A part says its length, else it ends at the next boundary."""

    def __init__(self, boundary: str, longest: int) -> None:
        self._mark = b"--" + boundary.removeprefix("--").encode()
        self._longest = longest
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Bodies of the parts that are complete now. Raises DocumentInvalid."""
        self._buffer += chunk
        out: list[bytes] = []
        while (body := self._next()) is not None:
            out.append(body)
        if len(self._buffer) > self._longest + HEAD_MAX:
            raise DocumentInvalid(f"it is longer than {self._longest} bytes (max_document_mb)")
        return out

    def _next(self) -> bytes | None:
        start = self._buffer.find(self._mark)
        if start < 0:
            return None
        head_end, gap = self._head_end(start)
        if head_end < 0:
            if len(self._buffer) - start > HEAD_MAX:
                raise DocumentInvalid("a part of the stream has no end of its header")
            return None
        length = _LENGTH.search(self._buffer, start, head_end)
        at = head_end + gap
        if length is not None:
            end = at + int(length[1])
            if int(length[1]) > self._longest:
                raise DocumentInvalid(f"it is longer than {self._longest} bytes (max_document_mb)")
            if len(self._buffer) < end:
                return None
        else:
            end = self._buffer.find(self._mark, at)
            if end < 0:
                return None
        body = bytes(self._buffer[at:end])
        del self._buffer[:end]
        return body.strip()

    def _head_end(self, start: int) -> tuple[int, int]:
        """Where the header ends and how long its empty line is; (-1, 0): not yet here."""
        found = [(at, len(end)) for end in (b"\r\n\r\n", b"\n\n") if (at := self._buffer.find(end, start)) >= 0]
        return min(found, default=(-1, 0))
