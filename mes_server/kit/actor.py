"""Who acts: a person at a device, an integration, or the system itself. Rights are plain words; slices name the ones they ask for."""

from __future__ import annotations

from dataclasses import dataclass

from mes_server.kit.errors import Forbidden, Lang


@dataclass(frozen=True, slots=True)
class Actor:
    """`person` and `device` are codes (None for the system). `rights` holds "right" (everywhere) or "right@area"."""

    person: str | None
    device: str | None
    rights: frozenset[str]
    lang: Lang = "zh"
    via: str = "session"  # session | token | system

    def may(self, right: str, area: str | None = None) -> bool:
        return right in self.rights or (area is not None and f"{right}@{area}" in self.rights) or "*" in self.rights

    def may_somewhere(self, right: str) -> bool:
        return self.may(right) or any(held.startswith(f"{right}@") for held in self.rights)

    def require(self, right: str, area: str | None = None) -> None:
        if not self.may(right, area):
            raise Forbidden(right=right)


SYSTEM = Actor(person=None, device=None, rights=frozenset({"*"}), via="system")
