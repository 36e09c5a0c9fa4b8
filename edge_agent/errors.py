"""The edge agent's error tree: what happened and what to do next, in both languages."""

from __future__ import annotations


class EdgeError(Exception):
    """One sentence of what happened and one of what to do, in English and Chinese. `str()` gives the English one."""

    def __init__(self, en: str, zh: str, next_en: str = "", next_zh: str = "") -> None:
        super().__init__(en)
        self.en, self.zh, self.next_en, self.next_zh = en, zh, next_en, next_zh

    def text(self, lang: str = "en") -> str:
        """What happened, then the next step, in `lang` (zh or en)."""
        what, then = (self.zh, self.next_zh) if lang == "zh" else (self.en, self.next_en)
        return f"{what} {then}".strip() if lang == "en" else f"{what}{then}"


class ConfigInvalid(EdgeError):
    """The config file cannot be used as it is."""


class SourceLost(EdgeError):
    """A PLC or meter cannot be reached, refuses us, or stopped answering; it will be tried again."""


class SourceMisconfigured(EdgeError):
    """The source answers, but not to what the config asks; a person has to act."""


class BufferUnusable(EdgeError):
    """The buffer file cannot be opened or written."""


class BufferLocked(BufferUnusable):
    """Another agent holds the buffer file."""


class Fenced(EdgeError):
    """Another agent holds this edge's identity; the server told us to be silent."""


class RecordingInvalid(EdgeError):
    """A line of a recording cannot be used; the text names it."""
