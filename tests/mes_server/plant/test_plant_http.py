"""The plant model through HTTP, over both databases."""

from __future__ import annotations

from typing import Any

from mes_server.plant import service
from tests.support.plant_model import SMALL_PLANT
from tests.support.server import RunningServer


def test_put_get_retire_and_come_back(any_server: RunningServer) -> None:
    admin = any_server.client("read", "model.edit")
    empty = admin.get("/plant").json()
    assert empty["site"] is None and empty["machines"] == []
    first = any_server.act(admin, "/plant", "PUT", model=SMALL_PLANT)
    assert "machines.SAW-01" in first["changed"]
    read = admin.get("/plant").json()
    assert {key: value for key, value in read.items() if key in ("lines", "stations")} == {key: SMALL_PLANT[key] for key in ("lines", "stations")}
    again = any_server.act(admin, "/plant", "PUT", model=SMALL_PLANT)
    assert again == {"revision": first["revision"], "changed": []}, "the same model is no change"

    without = {**SMALL_PLANT, "machines": SMALL_PLANT["machines"][:1], "stations": []}
    gone = any_server.act(admin, "/plant", "PUT", model=without)
    assert "-machines.LAT-01" in gone["changed"]
    with any_server.kit.db.read() as session:
        plant = service.model(session)
        assert "LAT-01" not in plant.machines
        assert plant.machine("LAT-01").name_en == "Lathe 1", "history keeps its names"
    any_server.act(admin, "/plant", "PUT", model=SMALL_PLANT)
    assert len(admin.get("/plant").json()["machines"]) == 2


def test_faults_in_both_languages_and_nothing_changed(server: RunningServer) -> None:
    bad: dict[str, Any] = {**SMALL_PLANT, "lines": []}
    for lang, word in (("en", "there is no line L1"), ("zh", "没有产线 L1")):
        answer = server.client(lang=lang).put("/plant", json=server.envelope(model=bad))
        assert answer.status_code == 422
        assert answer.json()["code"] == "plant_model_invalid"
        assert word in answer.json()["title"]
    assert server.client().get("/plant").json()["site"] is None


def test_a_stale_editor_and_a_wrong_zone_are_told(server: RunningServer) -> None:
    admin = server.client()
    first = server.act(admin, "/plant", "PUT", model=SMALL_PLANT)
    server.act(admin, "/plant", "PUT", model={**SMALL_PLANT, "stations": []}, revision=first["revision"])
    late = admin.put("/plant", json=server.envelope(model=SMALL_PLANT, revision=first["revision"]))
    assert (late.status_code, late.json()["code"]) == (409, "plant_changed_meanwhile")
    site = {**SMALL_PLANT["site"], "zone": "Europe/Berlin"}
    wrong = admin.put("/plant", json=server.envelope(model={**SMALL_PLANT, "site": site}))
    assert wrong.json()["code"] == "plant_zone_differs"


def test_shifts_are_resolved_in_utc(server: RunningServer) -> None:
    admin = server.client()
    server.act(admin, "/plant", "PUT", model=SMALL_PLANT)
    found = admin.get("/shifts", params={"from": "2026-03-02T00:00:00+08:00", "to": "2026-03-02T12:00:00+08:00"}).json()
    assert [(one["shift"], one["day"]) for one in found] == [("night", "2026-03-01"), ("early", "2026-03-02")]
    assert found[1] == {
        "shift": "early", "day": "2026-03-02", "from": "2026-03-01T22:00:00.000Z", "to": "2026-03-02T06:00:00.000Z", "planned_s": 27000.0,
        "breaks": [{"from": "2026-03-02T02:00:00.000Z", "to": "2026-03-02T02:30:00.000Z"}],
    }  # fmt: skip
    wide = admin.get("/shifts", params={"from": "2020-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"})
    assert wide.json()["code"] == "window_too_wide"


def test_model_lookups(server: RunningServer) -> None:
    server.act(server.client(), "/plant", "PUT", model=SMALL_PLANT)
    with server.kit.db.read() as session:
        plant = service.model(session)
        assert service.model(session) is plant, "cached"
    assert [one.code for one in plant.machines_in("line:L1")] == ["SAW-01", "LAT-01"]
    assert [one.code for one in plant.machines_in("machine:LAT-01")] == ["LAT-01"]
    assert plant.machine_at("EDGE-L1", "SAW-01") is plant.machines["SAW-01"]
    assert plant.meter_at("EDGE-L1", "M-SAW-01") is plant.meters["M-SAW-01"]
    assert [one.code for one in plant.scrap_reasons("saw")] == ["SC-DIM", "SC-BURR"]
    assert [one.code for one in plant.stop_reasons("lathe")] == ["ST-TOOL"]
    alarm = plant.alarm("saw", "17")
    assert alarm is not None and alarm.reason == "ST-TOOL"
    assert plant.alarm("saw", "18") is None
