"""First set-up, enrolled devices, API tokens."""

from __future__ import annotations

from mes_server.identity import access
from mes_server.kit.ids import uuid7
from tests.mes_server.identity.people import BADGE, PASSWORD, PIN, add, bearer, sign_in
from tests.support.server import RunningServer


def token_for_setup(server: RunningServer) -> str:
    now = server.real.now_ms()
    token = server.kit.acts.run_system_sync(lambda session: access.issue_setup_token(session, now, 1_800))
    assert token is not None
    return token


def test_set_up_once_and_for_ever(any_server: RunningServer) -> None:
    nobody = any_server.client(None)
    assert nobody.get("/setup").json() == {"needed": True}
    body = {"token": token_for_setup(any_server), "name": "Boss", "user": "boss", "password": PASSWORD, "lang": "zh"}
    assert nobody.post("/setup", json={**body, "token": "guess"}).json()["code"] == "setup_token_wrong"
    assert nobody.post("/setup", json={**body, "password": "12345678"}).json()["code"] == "password_weak"
    opened = nobody.post("/setup", json=body)
    assert opened.status_code == 200
    assert bearer(any_server, opened.json()["token"]).get("/people").json()["items"][0]["code"] == "boss"
    for token in (body["token"], "guess"):
        again = any_server.client(None).post("/setup", json={**body, "token": token})
        assert (again.status_code, again.json()["code"]) == (409, "setup_closed")
    assert any_server.client(None).get("/setup").json() == {"needed": False}
    none = any_server.kit.acts.run_system_sync(lambda session: access.issue_setup_token(session, 0, 1))
    assert none is None


def test_a_setup_token_runs_out(server: RunningServer) -> None:
    body = {"token": token_for_setup(server), "name": "Boss", "user": "boss", "password": PASSWORD}
    server.real.advance(1_801)
    assert server.client(None).post("/setup", json=body).json()["code"] == "setup_token_wrong"


def test_a_tablet_is_enrolled_used_and_lost(any_server: RunningServer) -> None:
    admin = any_server.client()
    add(any_server, "P-ann", "operator", badge=BADGE, pin=PIN)
    asked = admin.post("/devices/enrolment", json={"name": "Tablet saw", "station": "ST-SAW", "kind": "tablet"}).json()
    assert asked["code_url"].endswith("/scanner/?enrol=" + asked["code"])
    got = any_server.client(None).post("/devices/enrol", json={"code": asked["code"]}).json()
    assert got["station"] == "ST-SAW"
    twice = any_server.client(None).post("/devices/enrol", json={"code": asked["code"]})
    assert (twice.status_code, twice.json()["code"]) == (401, "enrolment_wrong")

    people = any_server.client(None).get("/people/on-shift", params={"station": "ST-SAW"}, headers={"X-Device": got["device_token"]}).json()
    assert people == [{"code": "P-ann", "name": "Name of P-ann", "initials": "NOP"}]
    assert any_server.client(None).get("/people/on-shift").status_code == 401, "no list of names for strangers"

    client = sign_in(any_server, badge=BADGE, device=got["device_token"])
    assert client.get("/me").json()["station"] == "ST-SAW"
    assert client.get("/me").json()["device"] == got["device"]
    assert [one["code"] for one in admin.get("/devices").json()["items"]] == [got["device"]]
    assert admin.delete(f"/devices/{got['device']}").status_code == 204
    assert client.get("/me").status_code == 401, "its sessions end at once"
    lost = any_server.client(None).post("/session", json={"badge": BADGE}, headers={"X-Device": got["device_token"]})
    assert lost.json()["code"] == "device_unknown"
    assert admin.delete(f"/devices/{got['device']}").status_code == 404


def test_an_enrolment_code_lasts_ten_minutes(server: RunningServer) -> None:
    asked = server.client().post("/devices/enrolment", json={"name": "T"}).json()
    server.real.advance(601)
    assert server.client(None).post("/devices/enrol", json={"code": asked["code"]}).status_code == 401


def test_api_tokens(server: RunningServer) -> None:
    admin = server.client()
    made = admin.post("/api-tokens", json={"name": "simulator", "roles": [{"role": "integration"}], "days": 30}).json()
    program = bearer(server, made["token"])
    me = program.get("/me").json()
    assert me["person"]["code"] == made["code"] and "plan.orders" in me["person"]["rights"]
    assert "token" not in admin.get("/api-tokens").json()["items"][0]
    server.real.advance(29 * 86_400)
    assert program.get("/me").status_code == 200
    assert admin.delete(f"/api-tokens/{made['code']}").status_code == 204
    assert program.get("/me").status_code == 401
    short = admin.post("/api-tokens", json={"name": "s", "roles": [{"role": "erp"}], "days": 1}).json()
    server.real.advance(86_401)
    assert bearer(server, short["token"]).get("/me").status_code == 401
    assert admin.post("/api-tokens", json={"name": "s", "roles": [{"role": "king"}]}).json()["code"] == "role_unknown"


def test_a_wall_reads_alone_and_does_nothing_else(any_server: RunningServer) -> None:
    """A TV has nobody before it: its device token shows the plant until the device is removed; a tablet's token alone shows nothing."""
    admin, nobody = any_server.client(), any_server.client(None)
    tokens = {}
    for kind in ("wall", "tablet"):
        asked = admin.post("/devices/enrolment", json={"name": kind, "kind": kind}).json()
        tokens[kind] = nobody.post("/devices/enrol", json={"code": asked["code"]}).json()
    wall = bearer(any_server, tokens["wall"]["device_token"])
    assert wall.get("/plant").status_code == 200
    assert wall.get("/people").status_code == 403
    refused = wall.post("/acts", json=any_server.envelope(type="help.call", machine="SAW-01", kind="leader"))
    assert refused.status_code in (401, 403)
    assert bearer(any_server, tokens["tablet"]["device_token"]).get("/plant").status_code == 401

    assert admin.delete(f"/devices/{tokens['wall']['device']}").status_code == 204
    assert wall.get("/plant").status_code == 401


def test_a_request_with_its_key_makes_one_token_however_often_it_is_sent(any_server: RunningServer) -> None:
    """The answer got lost: the token cannot be shown again, so the second try says which one to remove."""
    admin = any_server.client("admin")
    for path, body in (
        ("/api-tokens", {"name": "erp", "roles": [{"role": "erp"}]}),
        ("/devices/enrolment", {"name": "Tablet", "kind": "tablet"}),
        ("/edges/EDGE-K1/enrolment", {}),
    ):
        key = {"Idempotency-Key": str(uuid7(any_server.clock.now_ms()))}
        made = admin.post(path, json=body, headers=key)
        assert made.status_code == 200, made.text
        again = admin.post(path, json=body, headers=key)
        assert (again.status_code, again.json()["code"]) == (409, "shown_once")
        subject = next(made.json()[name] for name in ("device", "edge", "code") if name in made.json())
        assert subject in again.json()["title"] and subject in again.json()["next_step"]
        assert admin.post(path, json=body, headers={"Idempotency-Key": "no uuid"}).status_code == 422
    assert len(admin.get("/api-tokens").json()["items"]) == 1


def test_devices_come_in_pages(server: RunningServer) -> None:
    admin = server.client("admin")
    for number in range(5):
        admin.post("/devices/enrolment", json={"name": f"Tablet {number}", "kind": "tablet"})
    found, cursor = [], None
    for _ in range(9):
        page = admin.get("/devices", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found += [one["code"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert (len(found), found) == (5, sorted(found)) and cursor is None
    assert admin.get("/devices", params={"cursor": "bm9uc2Vuc2U"}).json()["code"] == "bad_cursor"
    assert admin.get("/devices", params={"cursor": "WzFd"}).json()["code"] == "bad_cursor", "a number where codes are"
