"""Pure rules of quality: what kind of picture some bytes are."""

from __future__ import annotations

PHOTO_BYTES_MAX = 5_000_000


def picture_type(head: bytes) -> str | None:
    """MIME type by the file's own first bytes, whatever the client says; None for anything that is no JPEG, PNG or WebP."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None
