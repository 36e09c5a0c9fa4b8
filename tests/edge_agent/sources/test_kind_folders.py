"""Every kind of source explains itself: a README, and a sample that check-config accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent import config_text
from edge_agent.sources.kinds import BY_TYPE

SOURCES = Path(config_text.__file__).parent / "sources"
SAMPLES = sorted(SOURCES.glob("*/sample.toml"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.parent.name)
def test_the_folders_sample_is_accepted(sample: Path) -> None:
    config, problems = config_text.check(sample)
    assert problems == [] and config is not None
    assert sample.parent.name in {source.type for source in config.sources.values()}
    assert len((sample.parent / "README.md").read_text(encoding="utf-8")) > 300


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("kind", BY_TYPE.values(), ids=lambda kind: kind.type)
def test_the_generated_sample_is_accepted(tmp_path: Path, kind: object, lang: str) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(config_text.sample(lang, (kind.type,)), encoding="utf-8")  # type: ignore[arg-type, attr-defined]
    config, problems = config_text.check(path)
    assert problems == [] and config is not None
