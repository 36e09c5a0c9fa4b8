"""What a meter bus is asked to carry."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent import config_text
from edge_agent.sources.kind import Bus, DeviceMetrics
from edge_agent.sources.kinds import BY_TYPE

SOURCES = Path(config_text.__file__).parent / "sources"


def load_of(kind: str) -> Bus:
    config = config_text.load(SOURCES / kind / "sample.toml")
    (source,) = config.sources.values()
    devices: dict[str, DeviceMetrics] = {name: BY_TYPE[kind].metrics(name, source, device) for name, device in source.devices.items()}
    found = BY_TYPE[kind].bus(source, devices)
    assert found is not None
    return found


def test_dlt645() -> None:
    """Five values of one meter and six of the other each minute, one each five minutes; about 0.3 s a question at 2400 baud."""
    found = load_of("dlt645")
    assert found.requests_per_s == pytest.approx(11 / 60 + 1 / 300)
    assert found.busy == pytest.approx(found.requests_per_s * 0.3, rel=0.1)


def test_mbus() -> None:
    """A readout is about 0.6 s on the line."""
    found = load_of("mbus")
    assert found.requests_per_s == pytest.approx(1 / 60 + 1 / 300)
    assert found.busy == pytest.approx(found.requests_per_s * 0.66, rel=0.1)
