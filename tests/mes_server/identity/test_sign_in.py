"""Signing in by badge, PIN and password; what a stranger learns; locks, limits and time-outs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.mes_server.identity.people import BADGE, PASSWORD, PIN, add, bearer, sign_in
from tests.support.server import RunningServer


def test_three_ways_in(any_server: RunningServer) -> None:
    add(any_server, "P-ann", "operator@L1", user="Ann", badge=BADGE, pin=PIN, password=PASSWORD)
    for body in ({"badge": BADGE}, {"badge": f"B*{BADGE}X"}, {"person": "P-ann", "pin": PIN}, {"user": "ann", "password": PASSWORD}):
        answer = any_server.client(None).post("/session", json=body)
        opened = answer.json()
        assert answer.status_code == 200, answer.text
        assert opened["person"]["rights"] == sorted(
            f"{right}@L1" for right in ("read", "floor.report", "floor.start", "floor.stop_reason", "floor.material", "quality.defect")
        )
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        me = bearer(any_server, opened["token"]).get("/me").json()
        assert me == {key: value for key, value in opened.items() if key != "token"}
    records = any_server.client().get("/journal", params={"type": "session.opened"}).json()["items"]
    assert [one["payload"]["means"] for one in records] == ["password", "pin", "badge", "badge"]


@pytest.mark.parametrize(
    "body",
    [
        {"badge": "AAAAAAAAAAAAA"},
        {"person": "P-ann", "pin": "402918"},
        {"person": "nobody", "pin": PIN},
        {"user": "ann", "password": "wrong wrong"},
        {"user": "nobody", "password": PASSWORD},
        {"person": "P-out", "pin": PIN},
    ],
)
def test_a_refusal_says_nothing(server: RunningServer, body: dict[str, Any]) -> None:
    add(server, "P-ann", "operator", user="ann", badge=BADGE, pin=PIN, password=PASSWORD)
    add(server, "P-out", "operator", pin=PIN, active=False)
    answer = server.client(None).post("/session", json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_refused")
    assert answer.json()["params"] == {}


def test_five_wrong_pins_lock_the_pin_and_not_the_badge(server: RunningServer) -> None:
    add(server, "P-ann", "operator", badge=BADGE, pin=PIN)
    nobody = server.client(None)
    for person in ("P-ann", "P-ghost"):  # an unknown person is locked alike: it tells nothing
        codes = [nobody.post("/session", json={"person": person, "pin": "402918"}).status_code for _ in range(6)]
        assert codes == [401] * 5 + [429]
    right = nobody.post("/session", json={"person": "P-ann", "pin": PIN})
    assert right.status_code == 429 and int(right.headers["retry-after"]) <= 301
    assert nobody.post("/session", json={"badge": BADGE}).status_code == 200
    server.real.advance(301)
    assert nobody.post("/session", json={"person": "P-ann", "pin": PIN}).status_code == 200
    locked = server.client().get("/journal", params={"type": "person.locked"}).json()["items"]
    assert len(locked) == 2


def test_an_address_has_a_rate(make_server: Callable[..., RunningServer]) -> None:
    server = make_server(identity__tries_per_minute_max=5)
    add(server, "P-ann", "operator", badge=BADGE)
    nobody = server.client(None)
    codes = [nobody.post("/session", json={"badge": f"AAAAAAAAAAAA{n}"}).status_code for n in range(7)]
    assert codes == [401] * 5 + [429] * 2
    server.real.advance(61)
    assert nobody.post("/session", json={"badge": BADGE}).status_code == 200


def test_sign_in_wants_one_way(server: RunningServer) -> None:
    for body in ({}, {"person": "x"}, {"badge": BADGE, "user": "a", "password": "b"}):
        assert server.client(None).post("/session", json=body).json()["code"] == "bad_request_body"
    secret = server.client(None).post("/session", json={"user": "x", "password": ["hunter2hunter2"]})
    assert "hunter2" not in secret.text


def test_sessions_end_by_idleness_by_age_and_by_signing_out(server: RunningServer) -> None:
    add(server, "P-ann", "operator", badge=BADGE)
    client = sign_in(server, badge=BADGE)
    server.clock.advance(40 * 86_400)
    assert client.get("/me").status_code == 200, "plant time signs nobody out"
    for _ in range(20):
        server.real.advance(3_500)
        answer = client.get("/me").status_code
        if answer != 200:
            break
    assert answer == 401, "12 h is the whole life, whatever is done"
    client = sign_in(server, badge=BADGE)
    server.real.advance(3_601)
    assert client.get("/me").json()["code"] == "session_ended"
    client = sign_in(server, badge=BADGE)
    assert client.delete("/session").status_code == 204
    assert client.get("/me").status_code == 401


def test_sessions_outlive_a_restart_and_hold_only_a_hash(make_server: Callable[..., RunningServer]) -> None:
    server = make_server()
    add(server, "P-ann", "operator", badge=BADGE)
    token = sign_in(server, badge=BADGE).headers["authorization"].partition(" ")[2]
    again = make_server()
    assert bearer(again, token).get("/me").json()["person"]["code"] == "P-ann"
    assert token.encode() not in (server.settings.data_dir / "gemba.db").read_bytes()


def test_the_cookie_needs_a_header_to_write(server: RunningServer) -> None:
    add(server, "P-boss", "admin", user="boss", password=PASSWORD)
    browser = server.client(None)
    browser.post("/session", json={"user": "boss", "password": PASSWORD})
    assert browser.get("/people").status_code == 200
    body = server.envelope(code="P-new", name="New")
    forged = browser.post("/people", json=body)
    assert (forged.status_code, forged.json()["code"]) == (403, "header_missing")
    assert browser.post("/people", json=body, headers={"X-Gemba": "1"}).status_code == 200


def test_a_new_sign_in_ends_the_one_before_on_the_same_tablet(server: RunningServer) -> None:
    add(server, "P-ann", "operator", badge=BADGE)
    add(server, "P-bob", "operator", badge="8Q2K9XH4M3TZ5")
    first = sign_in(server, badge=BADGE)
    answer = first.post("/session", json={"badge": "8Q2K9XH4M3TZ5"})
    assert answer.json()["person"]["code"] == "P-bob"
    assert first.get("/me").status_code == 401
