"""The tablets' door: batch, decide list, scan resolver, station home, labels, photos."""

from __future__ import annotations

from edge_agent.contract.clock import iso
from tests.support.orders import do, operation, refused, set_up
from tests.support.server import RunningServer


def test_station_home_shows_the_running_job_in_one_call(any_server: RunningServer) -> None:
    server = any_server
    client = set_up(server)
    do(server, client, "operation.start", operation="WO-1001/40", machine="DEB-01")
    server.clock.advance(600)
    do(server, client, "production.report", operation="WO-1001/40", machine="DEB-01", good=10, scrap=2, reason="burr")
    home = client.get("/stations/ST-FIN/home").json()
    (job,) = home["jobs"]
    assert (job["operation"]["id"], job["machine"], job["operation"]["good"]) == ("WO-1001/40", "DEB-01", 10)
    assert sum(hour["good"] for hour in job["hours"]) == 10 and job["chips"] == [1, 5, 10, 24]
    assert job["eta"] == iso(server.clock.now_ms() + 190 * 60_000), "at a piece a minute since it was begun, not since the shift's start"
    assert [tile["code"] for tile in home["scrap_reasons"]] == ["burr", "size"]
    assert home["last_acts"][0]["text_en"].startswith("Good +10 · Scrap Burr +2") and home["last_acts"][0]["undoable"]
    assert home["machines"][0]["code"] == "DEB-01"
    lathes = client.get("/stations/ST-LAT/home").json()
    assert [one["operation"]["id"] for one in lathes["next"]] == []  # operation 20 waits for 10
    do(server, client, "operation.start", operation="WO-1001/10", machine="SAW-01")
    lathes = client.get("/stations/ST-LAT/home").json()
    assert [one["operation"]["id"] for one in lathes["next"]] == ["WO-1001/20"]


def test_a_refused_act_of_a_batch_waits_for_the_supervisor(any_server: RunningServer) -> None:
    server = any_server
    client = set_up(server)
    acts = [
        server.envelope(type="operation.start", operation="WO-1001/40", machine="DEB-01"),
        server.envelope(type="production.report", operation="WO-1001/40", machine="DEB-01", good=7),
        server.envelope(type="production.report", operation="WO-9999/40", machine="DEB-01", good=7),
        server.envelope(type="nonsense"),
    ]
    answer = client.post("/acts/batch", json={"device_time": server.now(), "acts": acts}).json()
    assert [one["status"] for one in answer["results"]] == ["done", "refused", "refused", "refused"]  # 7 in no time is asked
    server.clock.advance(600)
    again = client.post("/acts/batch", json={"device_time": server.now(), "acts": acts}).json()
    assert [one["status"] for one in again["results"]] == ["replay", "done", "refused", "refused"]
    waiting = client.get("/decide").json()["items"]
    assert {one["problem"]["code"] for one in waiting} == {"operation_unknown", "bad_request_body"}
    assert operation(client, "WO-1001/40")["good"] == 7
    problem = client.post(f"/decide/{acts[2]['event_id']}/retry", json=server.envelope())
    assert problem.status_code == 404 and problem.json()["code"] == "operation_unknown"
    server.act(client, f"/decide/{acts[3]['event_id']}/drop")
    assert len(client.get("/decide").json()["items"]) == 1


def test_scan_resolves_own_codes_and_plain_codes(server: RunningServer) -> None:
    from mes_server.scans.codes import own_code

    client = set_up(server)
    do(server, client, "material.receive", lot="LOT 7/A", item="BAR-40", quantity=120.5, supplier="宝钢")

    def scan(code: str) -> dict[str, object]:
        found: dict[str, object] = client.get("/scan", params={"code": code}).json()
        return found

    assert scan(own_code("order", "WO-1001"))["kind"] == "order"
    assert scan(own_code("operation", "WO-1001/40"))["kind"] == "operation"
    assert scan(own_code("operation", "WO-1001/40")[:-1])["kind"] == "misread"
    assert scan("WO-1001/40")["kind"] == "operation" and scan("WO-1001")["kind"] == "order"
    assert scan("LOT 7/A")["kind"] == "lot" and scan(own_code("lot", "LOT 7/A"))["kind"] == "lot"
    assert scan("LAT-01")["kind"] == "machine" and scan("burr")["kind"] == "reason" and scan("ST-LAT")["kind"] == "station"
    assert scan("P-310")["kind"] == "item" and scan("nothing")["kind"] == "unknown"
    problem = refused(server, client, "material.consume", operation="WO-1001/10", lot="nope", quantity=1)
    assert problem["code"] == "lot_unknown"


def test_the_supervisor_books_a_refused_act_as_its_own_persons(server: RunningServer) -> None:
    client = set_up(server)
    ann = server.client("read", "floor.report", "floor.start", person="P-ann", device="T1")
    do(server, ann, "operation.start", operation="WO-1001/40", machine="DEB-01")
    server.clock.advance(60)
    server.act(client, "/work-orders/WO-1001/complete")
    server.act(client, "/work-orders/WO-1001/close")
    server.clock.advance(600)
    late = server.envelope(type="production.report", operation="WO-1001/40", machine="DEB-01", good=3)
    answer = ann.post("/acts/batch", json={"device_time": server.now(), "acts": [late]}).json()
    assert answer["results"][0]["problem"]["code"] == "order_not_open"
    assert ann.post(f"/decide/{late['event_id']}/retry", json=server.envelope()).status_code == 403
    server.act(client, f"/decide/{late['event_id']}/retry")
    assert operation(client, "WO-1001/40")["good"] == 3
    (record,) = [one for one in client.get("/journal", params={"person": "P-ann"}).json()["items"] if one["event_id"] == late["event_id"]]
    assert record["type"] == "production.reported" and record["device"] == "T1"
    again = ann.post("/acts/batch", json={"device_time": server.now(), "acts": [late]}).json()
    assert again["results"][0]["status"] == "replay"
    assert client.post(f"/decide/{late['event_id']}/drop", json=server.envelope()).json()["code"] == "already_decided"


def test_a_badge_named_in_an_act_counts_for_that_act_only(server: RunningServer) -> None:
    client = set_up(server)
    badge = "BADGE-2000000001-XY"
    people = {"code": "P-bob", "name": "Bob", "lang": "en", "roles": [{"role": "operator"}], "active": True, "badge": badge}
    server.act(client, "/people", **people)
    body = server.act(client, "/acts", type="operation.start", operation="WO-1001/40", machine="DEB-01", as_badge=badge)
    assert body["body"]["runs"][0]["person"] == "P-bob"
    wrong = client.post("/acts", json=server.envelope(type="operation.complete", operation="WO-1001/40", as_badge="NOBODY-0000000000"))
    assert wrong.status_code in (401, 403, 422) and operation(client, "WO-1001/40")["status"] == "running"


def test_a_call_for_help_is_one_call_until_it_is_answered(server: RunningServer) -> None:
    client = set_up(server)
    first = do(server, client, "help.call", machine="DEB-01", kind="maintenance")
    again = do(server, client, "help.call", machine="DEB-01", kind="maintenance")
    assert again["already_called"] and again["call"] == first["call"]
    assert client.get("/stations/ST-FIN/home").json()["calls"][0]["kind"] == "maintenance"
    do(server, client, "help.answer", call=first["call"])
    assert client.get("/stations/ST-FIN/home").json()["calls"] == []


def test_openapi_shows_every_act(server: RunningServer) -> None:
    body = server.client(None).get("/openapi.json").json()
    schema = body["paths"]["/api/v1/acts"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"production.report", "stop.explain", "material.consume", "hold.release", "defect.log"} <= set(schema["discriminator"]["mapping"])


def test_five_hundred_acts_of_a_late_shift_go_up_at_once(server: RunningServer) -> None:
    client = set_up(server, orders=(("WO-1", 900),))
    server.clock.advance(8 * 3600)
    acts = [server.envelope(type="operation.start", operation="WO-1/40", machine="DEB-01")]
    acts += [server.envelope(type="production.report", operation="WO-1/40", machine="DEB-01", good=1, confirmed=True) for _ in range(499)]
    answer = client.post("/acts/batch", json={"device_time": server.now(), "acts": acts}).json()
    assert {one["status"] for one in answer["results"]} == {"done"} and operation(client, "WO-1/40")["good"] == 499
    assert client.post("/acts/batch", json={"device_time": server.now(), "acts": acts * 2}).status_code == 422


def test_what_still_waits_on_a_tablet_is_said_beside_the_figures(server: RunningServer) -> None:
    client = set_up(server)
    ann = server.client("read", "floor.report", "floor.start", person="P-ann", device="T1")

    def upload(waiting: int | None) -> None:
        started = server.envelope(type="operation.start", operation="WO-1001/40", machine="DEB-01")
        assert ann.post("/acts/batch", json={"device_time": server.now(), "acts": [started], "waiting": waiting}).status_code == 200

    assert client.get("/history/progress").json()["acts_waiting"] == 0
    upload(37)
    progress = client.get("/history/progress").json()
    assert (progress["acts_waiting"], progress["done"]) == (37, False)
    assert [(one["device"], one["waiting"]) for one in client.get("/health/system").json()["tablets"]] == [("T1", 37)]
    upload(None)  # an app that does not say leaves what was said
    assert client.get("/history/progress").json()["acts_waiting"] == 37
    upload(0)
    assert client.get("/history/progress").json() == {"expected": None, "stored": 0, "acts_waiting": 0, "done": True}
    assert client.get("/health/system").json()["tablets"] == []
    bad = ann.post("/acts/batch", json={"device_time": server.now(), "acts": [], "waiting": -1})
    assert bad.status_code == 422 and "waiting" in bad.text
