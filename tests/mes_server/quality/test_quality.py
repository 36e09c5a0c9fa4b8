"""Defects with photos, holds and releases through HTTP."""

from __future__ import annotations

import hashlib

from tests.support.orders import do, refused, set_up
from tests.support.server import RunningServer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20


def test_what_is_on_hold_cannot_be_used(any_server: RunningServer) -> None:
    server = any_server
    client = set_up(server)
    do(server, client, "material.receive", lot="BAR-1", item="BAR-40", quantity=30)
    do(server, client, "operation.start", operation="WO-1001/10", machine="SAW-01")
    server.clock.advance(60)
    before = server.envelope(type="material.consume", operation="WO-1001/10", lot="BAR-1", quantity=1)
    server.clock.advance(60)
    hold = server.envelope(type="hold.place", subject={"kind": "lot", "code": "BAR-1"}, reason="size", note="尺寸可疑")
    assert client.post("/acts", json=hold).status_code == 200
    assert refused(server, client, "material.consume", operation="WO-1001/10", lot="BAR-1", quantity=1)["code"] == "lot_held"
    assert client.post("/acts", json=before).status_code == 200  # it was used before the hold; the tablet was only late
    assert client.get("/lots", params={"status": "on_hold"}).json()["items"][0]["lot"] == "BAR-1"
    worker = server.client("read", "floor.material", "quality.hold")
    assert refused(server, worker, "hold.release", hold=hold["event_id"], reason="ok")["code"] == "forbidden"
    do(server, client, "hold.release", hold=hold["event_id"], reason="ok")
    assert refused(server, client, "hold.release", hold=hold["event_id"], reason="ok")["code"] == "already_released"
    do(server, client, "material.consume", operation="WO-1001/10", lot="BAR-1", quantity=1)
    do(server, client, "hold.place", subject={"kind": "operation", "code": "WO-1001/20"}, reason="size")
    assert refused(server, client, "operation.start", operation="WO-1001/20", machine="LAT-01")["code"] == "operation_held"
    assert refused(server, client, "hold.place", subject={"kind": "serial", "code": "none"}, reason="size")["code"] == "serial_unknown"
    assert len(client.get("/holds", params={"open": True}).json()["items"]) == 1


def test_a_defect_keeps_its_photo_and_can_freeze_the_piece(server: RunningServer) -> None:
    client = set_up(server)
    do(server, client, "operation.start", operation="WO-1001/90", machine="EOL-01")
    do(server, client, "material.produce", operation="WO-1001/90", machine="EOL-01", serial="P-1")
    envelope = server.envelope()
    for _ in range(2):  # sent twice: one photo
        answer = client.post("/photos", content=PNG, headers={"X-Event-Id": envelope["event_id"], "Content-Type": "image/png"})
        assert answer.status_code == 201
    photo = answer.json()["photo"]
    assert photo == hashlib.sha256(PNG).hexdigest()
    kept = client.get(f"/photos/{photo}")
    assert kept.content == PNG and kept.headers["content-type"] == "image/png"
    do(server, client, "defect.log", subject={"kind": "serial", "code": "P-1"}, code="burr", quantity=1, photos=[photo], hold=True, note="边角\n毛刺")
    (defect,) = client.get("/defects", params={"kind": "serial", "subject": "P-1"}).json()["items"]
    assert defect["photos"] == [photo] and defect["code_zh"] == "毛刺" and defect["note"] == "边角\n毛刺"
    passport = client.get("/serials/P-1").json()
    assert passport["on_hold"] and passport["defects"][0]["code"] == "burr" and len(passport["holds"]) == 1
    do(server, client, "material.receive", lot="SEAL-1", item="SEAL-01", quantity=50)
    assert refused(server, client, "material.consume", operation="WO-1001/90", lot="SEAL-1", quantity=1, serial="P-1")["code"] == "serial_held"
    assert [one["code"] for one in client.get("/defect-codes").json()["items"]] == ["burr", "size"]
    problem = refused(server, client, "defect.log", subject={"kind": "serial", "code": "P-1"}, code="nothing", quantity=1)
    assert problem["code"] == "defect_code_unknown"


def test_only_pictures_are_photos(server: RunningServer) -> None:
    client = set_up(server)
    headers = {"X-Event-Id": server.envelope()["event_id"]}
    assert client.post("/photos", content=b"<svg onload=alert(1)>", headers={**headers, "Content-Type": "image/png"}).json()["code"] == "not_a_photo"
    assert client.post("/photos", content=PNG, headers={}).status_code == 422
    assert client.post("/photos", content=PNG + bytes(5_000_001), headers=headers).status_code == 413
    assert client.get("/photos/" + "0" * 64).status_code == 404
    assert client.get("/photos/..%2f..%2fgemba.db").status_code in (404, 422)
