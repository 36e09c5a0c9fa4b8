"""What another config would change in a running agent. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.config import AgentConfig

FIXED = ("group", "edge", "host", "brokers", "buffer", "delivery")  # what the agent is; the rest is what it reads


@dataclass(frozen=True, slots=True)
class Change:
    """Names, each in the order of its config. A source is `changed` when any key of it or of its devices is other than before."""

    needs_restart: tuple[str, ...]  # keys that cannot change while the agent runs
    sources_added: tuple[str, ...]
    sources_removed: tuple[str, ...]
    sources_changed: tuple[str, ...]
    devices_added: tuple[str, ...]
    devices_removed: tuple[str, ...]
    devices_changed: tuple[str, ...]
    devices_interrupted: tuple[str, ...]  # untouched themselves, on a source that connects anew: a short gap, no new birth
    devices_untouched: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        return not (self.needs_restart or self.sources_added or self.sources_removed or self.sources_changed)

    @property
    def all_born_anew(self) -> bool:
        """A node names every source's health in its NBIRTH (tck-id-topics-nbirth-metric-reqs), and after an NBIRTH every device is born again."""
        return bool(self.sources_added or self.sources_removed)


def difference(old: AgentConfig, new: AgentConfig) -> Change:
    """From `old` (running) to `new`."""
    common = {name for name in new.sources if name in old.sources}
    touched = {name for name in common if old.sources[name] != new.sources[name]}
    was = {device_id: (name, device) for name, source in old.sources.items() for device_id, device in source.devices.items()}
    now = {device_id: (name, device) for name, source in new.sources.items() for device_id, device in source.devices.items()}
    same = {device_id for device_id in now if was.get(device_id) == now[device_id]}
    interrupted = {device_id for device_id in same if now[device_id][0] in touched}
    return Change(
        tuple(key for key in FIXED if getattr(old, key) != getattr(new, key)),
        tuple(name for name in new.sources if name not in old.sources),
        tuple(name for name in old.sources if name not in new.sources),
        tuple(name for name in new.sources if name in touched),
        tuple(device_id for device_id in now if device_id not in was),
        tuple(device_id for device_id in was if device_id not in now),
        tuple(device_id for device_id in now if device_id in was and device_id not in same),
        tuple(device_id for device_id in now if device_id in interrupted),
        tuple(device_id for device_id in now if device_id in same - interrupted),
    )
