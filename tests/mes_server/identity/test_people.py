"""People, roles and rights: acts, at once, never the last administrator; secrets nowhere in clear."""

from __future__ import annotations

from typing import Any

import pytest

from mes_server.identity import service
from mes_server.identity.errors import SignInRefused
from tests.mes_server.identity.people import BADGE, PASSWORD, PIN, add, sign_in
from tests.support.server import RunningServer


def patch(server: RunningServer, code: str, **fields: Any) -> Any:
    return server.client().patch(f"/people/{code}", json=server.envelope(**fields))


def test_rights_change_at_once(any_server: RunningServer) -> None:
    add(any_server, "P-boss", "admin", user="boss", password=PASSWORD)
    add(any_server, "P-ann", "operator", badge=BADGE)
    client = sign_in(any_server, badge=BADGE)
    assert client.get("/people").status_code == 403
    assert patch(any_server, "P-ann", roles=[{"role": "admin"}]).json()["roles"] == [{"role": "admin", "area": None}]
    assert client.get("/people").status_code == 200, "the same session, the new rights"
    patch(any_server, "P-ann", roles=[{"role": "operator", "area": "L1"}])
    assert client.get("/people").status_code == 403
    patch(any_server, "P-ann", active=False)
    assert client.get("/me").status_code == 401, "inactive: out at once"
    assert any_server.client(None).post("/session", json={"badge": BADGE}).status_code == 401


def test_a_changed_secret_ends_the_sessions(server: RunningServer) -> None:
    add(server, "P-ann", "operator", badge=BADGE, pin=PIN)
    client = sign_in(server, badge=BADGE)
    patch(server, "P-ann", badge="")
    assert client.get("/me").status_code == 401
    assert server.client(None).post("/session", json={"badge": BADGE}).status_code == 401
    assert server.client(None).post("/session", json={"person": "P-ann", "pin": PIN}).status_code == 200


def test_secrets_are_nowhere_in_clear(server: RunningServer) -> None:
    add(server, "P-ann", "operator", user="ann", badge=BADGE, pin=PIN, password=PASSWORD)
    patch(server, "P-ann", pin="817264")
    server.kit.acts.run_system_sync(lambda session: None)
    stored = b"".join(path.read_bytes() for path in server.settings.data_dir.glob("gemba.db*"))
    for secret in (BADGE, PIN, PASSWORD, "817264"):
        assert secret.encode() not in stored
    assert BADGE not in server.client().get("/journal").text


def test_the_server_makes_badges_it_can_print(server: RunningServer) -> None:
    add(server, "P-ann", "operator", issue_badge=True)
    add(server, "P-bob", "operator", badge=BADGE)
    identity = server.app.state.identity
    with server.kit.db.read() as session:
        (ann, code), (_, unknown) = identity.printable_badges(session, ["P-ann", "P-bob"])
        assert (ann.code, unknown) == ("P-ann", None)
        assert len(code) == 16
        assert service.actor_of_badge(session, f"B*{code}", device="T1").person == "P-ann"
        with pytest.raises(SignInRefused):
            service.actor_of_badge(session, "B*AAAAAAAAAAAAAAAA", device="T1")
    client = sign_in(server, badge=code)
    patch(server, "P-ann", issue_badge=True)
    assert client.get("/me").status_code == 401, "the lost badge's session ends"
    assert server.client(None).post("/session", json={"badge": code}).status_code == 401


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"pin": "123456"}, "pin_weak"),
        ({"pin": "000000"}, "pin_weak"),
        ({"pin": "12345"}, "pin_weak"),
        ({"password": "short"}, "password_weak"),
        ({"password": "Password123"}, "password_weak"),
        ({"user": "ann.lee@x", "password": "Ann.Lee@x"}, "password_weak"),
        ({"badge": "4711"}, "badge_weak"),
        ({"roles": [{"role": "king"}]}, "role_unknown"),
    ],
)
def test_weak_secrets_and_unknown_roles(server: RunningServer, fields: dict[str, Any], code: str) -> None:
    answer = server.client().post("/people", json=server.envelope(code="P-x", name="X", **fields))
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_names_are_unique(server: RunningServer) -> None:
    add(server, "P-ann", "operator", user="ann", badge=BADGE)
    other = {"code": "P-bob", "name": "Bob"}
    for fields in ({"user": "ANN"}, {"badge": BADGE}):
        answer = server.client().post("/people", json=server.envelope(**other, **fields))
        assert (answer.status_code, answer.json()["code"]) == (409, "sign_in_name_taken")
    again = server.client().post("/people", json=server.envelope(code="P-ann", name="Ann"))
    assert again.json()["code"] == "person_exists"
    assert patch(server, "P-none", name="x").json()["code"] == "unknown_person"


def test_the_last_administrator_stays(server: RunningServer) -> None:
    add(server, "P-boss", "admin", user="boss", password=PASSWORD)
    for fields in ({"active": False}, {"roles": [{"role": "operator"}]}, {"password": ""}):
        assert patch(server, "P-boss", **fields).json()["code"] == "last_administrator"
    add(server, "P-two", "admin", badge=BADGE)
    assert patch(server, "P-boss", active=False).status_code == 200


def test_only_an_administrator_makes_one(server: RunningServer) -> None:
    clerk = server.client("people.edit")
    answer = clerk.post("/people", json=server.envelope(code="P-x", name="X", roles=[{"role": "admin"}]))
    assert answer.json()["code"] == "forbidden"
    add(server, "P-boss", "admin", user="boss", password=PASSWORD)
    add(server, "P-two", "admin", badge=BADGE)
    assert clerk.patch("/people/P-boss", json=server.envelope(password="another long one")).json()["code"] == "forbidden"


def test_a_right_in_one_area_is_not_the_whole_plant(server: RunningServer) -> None:
    local = server.client("admin@L1", "people.edit@L1", "model.edit@L1")
    for path in ("/people", "/devices", "/api-tokens", "/journal/verify"):
        assert local.get(path).status_code == 403, path
    assert local.put("/plant", json={}).status_code == 403


def test_list_pages(server: RunningServer) -> None:
    for number in range(5):
        add(server, f"P-{number}", "operator")
    first = server.client().get("/people", params={"limit": 3}).json()
    rest = server.client().get("/people", params={"limit": 3, "cursor": first["next"]}).json()
    assert [one["code"] for one in first["items"] + rest["items"]] == [f"P-{number}" for number in range(5)]
    assert rest["next"] is None
    assert "admin" in server.client("read").get("/roles").json()
