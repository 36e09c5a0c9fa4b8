"""What a PLC may refuse: each in words with the next step, one bad node never the others. Against a real secured server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncua import ua

from edge_agent.app import build_sources
from edge_agent.config import AgentConfig
from edge_agent.contract.clock import PlantClock
from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.events import Batch, Resumed
from edge_agent.sources.opcua.security import own_certificate
from edge_agent.sources.source import Browsed, Sink, Source
from edge_agent.worker import Intake
from tests.support.edge import NAMESPACE, Plc


@pytest.fixture(scope="module")
def plc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plc]:
    folder = tmp_path_factory.mktemp("plc")
    with Plc(secure=folder) as made:
        made.add("M.State", 6, ua.VariantType.Int32)
        made.add("M.Good", 3, ua.VariantType.UInt32)
        made.add("M.Curve", [1.0, 2.0], ua.VariantType.Double)
        yield made


def source(plc: Plc, folder: Path, metrics: dict[str, object] | None = None, **more: object) -> Source:
    (folder / "pw").write_text("secret\n")
    settings = {"trust": "first_use", "user": "edge", "password_file": folder / "pw", "pki_dir": folder / "pki"} | more
    device = {"namespace": more.pop("namespace", NAMESPACE), "metrics": metrics or {"state": {"node": "s=M.State"}, "good": {"node": "s=M.Good"}}}
    settings.pop("namespace", None)
    raw = {"group": "P", "edge": "E", "sources": {"PLC": {"type": "opcua", "url": plc.url, **settings, "devices": {"M": device}}}}
    return build_sources(AgentConfig.model_validate(raw), PlantClock())[1][0]


def session(made: Source, seconds: float = 5.0) -> list[object]:
    """Events of a session until its first values have come, or the error that ended it."""
    intake = Intake()

    async def main() -> None:
        task = asyncio.create_task(made.session(Sink(intake)))
        async with asyncio.timeout(seconds):
            while not task.done() and not any(isinstance(event, Batch) and len(event.columns) for event in events):
                while (event := intake.get(0)) is not None:
                    events.append(event)
                await asyncio.sleep(0.02)
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    events: list[object] = []
    asyncio.run(main())
    return events


def test_one_bad_node_is_one_failed_node_with_the_servers_words(plc: Plc, tmp_path: Path) -> None:
    made = source(plc, tmp_path, {"state": {"node": "s=M.State"}, "good": {"node": "s=M.Nowhere"}})
    events = session(made)
    assert isinstance(events[0], Resumed)
    values = next(event for event in events if isinstance(event, Batch) and len(event.columns))
    assert [row[3] for row in values.columns.rows()] == [6]
    assert "BadNodeIdUnknown" in made.health.failed["M.good"]
    assert "M.good" in made.health.words() and made.health.status == "connected"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"namespace": "urn:somebody:else"}, "no namespace urn:somebody:else"),
        ({"security": "Aes128Sha256RsaOaep"}, "offers no SignAndEncrypt"),
        ({"trust": "fingerprint", "server_fingerprint": "00" * 32}, "not the one in server_fingerprint"),
        ({"user": "mallory"}, "refuses user mallory"),
        ({"password_file": Path("/nowhere/pw")}, "password file"),
    ],
)
def test_refusals_in_words(plc: Plc, tmp_path: Path, more: dict[str, object], words: str) -> None:
    made = source(plc, tmp_path, **more)
    with pytest.raises(SourceMisconfigured) as error:
        session(made)
    assert words in error.value.en
    assert error.value.next_en and error.value.next_zh and error.value.zh


def test_no_node_at_all(plc: Plc, tmp_path: Path) -> None:
    with pytest.raises(SourceMisconfigured, match="None of the 1 nodes"):
        session(source(plc, tmp_path, {"good": {"node": "s=M.Nowhere"}}))


def test_the_certificate_met_first_must_stay(plc: Plc, tmp_path: Path) -> None:
    session(source(plc, tmp_path))
    kept = tmp_path / "pki" / "trusted" / "PLC.der"
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(SourceMisconfigured, match="another certificate"):
        session(source(plc, tmp_path))


def test_the_fingerprint_shown_is_the_one_that_is_accepted(plc: Plc, tmp_path: Path) -> None:
    with pytest.raises(SourceMisconfigured) as error:
        session(source(plc, tmp_path, trust="fingerprint", server_fingerprint="00" * 32))
    shown = error.value.en.split("fingerprint ")[1].split(",")[0]
    assert session(source(plc, tmp_path, trust="fingerprint", server_fingerprint=shown))


def test_own_certificate_is_made_once_with_a_private_key(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in own_certificate(tmp_path, "urn:gemba:edge:E")]
    assert [path.read_bytes() for path in own_certificate(tmp_path, "urn:gemba:edge:E")] == first
    assert (tmp_path / "own" / "key.pem").stat().st_mode & 0o077 == 0


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(SourceLost, match="cannot be reached") as error:
        session(source(Plc(secure=tmp_path), tmp_path))
    assert "address" in error.value.next_en


def test_browse_gives_what_goes_into_the_config(plc: Plc, tmp_path: Path) -> None:
    async def all_of(made: Source) -> list[Browsed]:
        return [found async for found in made.browse()]

    found = {one.node: one for one in asyncio.run(all_of(source(plc, tmp_path)))}
    good = found[f"nsu={NAMESPACE};s=M.Good"]
    assert (good.datatype, good.value, good.path) == ("UInt32", "3", "/M.Good")
    values = asyncio.run(source(plc, tmp_path, {"good": {"node": good.node}}).read_once())
    assert [(one.device, one.metric, one.raw, one.error) for one in values] == [("M", "good", 3, "")]
