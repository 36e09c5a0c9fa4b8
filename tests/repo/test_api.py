"""Promises of the whole API, read from its description: lists page by cursor, writes name their act, nothing answers errors in a shape of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.repo.tree import text

API = json.loads(text("docs/openapi.json"))
# Figures over a window that the endpoint bounds (or, the last, people of one station, 60 at most): they answer whole.
BOUNDED = {
    "list_states", "list_shifts", "list_oee_shifts", "list_oee_days", "list_energy_months", "get_energy_load", "list_on_shift",
}  # fmt: skip
# Writes that are no acts: they spend a secret, or end what the path names; sent again they change nothing more.
SPENT_ONCE = {"set_up", "sign_in", "sign_out", "enrol_device", "enrol_edge", "revoke_device", "revoke_api_token"}
ENVELOPES = {"post_act", "post_acts_batch"}  # each act inside has its event_id; checked below


def operations(*methods: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, found in API["paths"].items():
        yield from ((path, operation) for method, operation in found.items() if method in methods)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = API["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def answer_of(operation: dict[str, Any]) -> dict[str, Any]:
    good = next(answer for code, answer in operation["responses"].items() if code.startswith("2"))
    return resolved(good.get("content", {}).get("application/json", {}).get("schema", {}))


def test_every_list_pages_by_cursor() -> None:
    lists, pages = set(), set()
    for _, operation in operations("get"):
        answer = answer_of(operation)
        if answer.get("type") == "array":
            lists.add(operation["operationId"])
        elif {"items", "next"} <= set(answer.get("properties", {})):
            pages.add(operation["operationId"])
            assert {"limit", "cursor"} <= {one["name"] for one in operation["parameters"]}, operation["operationId"]

    assert lists == BOUNDED
    assert len(pages) >= 20


def test_every_write_names_its_act_or_takes_a_key() -> None:
    without = set()
    for _, operation in operations("post", "put", "patch", "delete"):
        body = resolved(operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}))
        headers = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"}
        if "event_id" not in body.get("required", ()) and not headers & {"Idempotency-Key", "X-Event-Id"}:
            without.add(operation["operationId"])

    assert without == SPENT_ONCE | ENVELOPES


def test_every_act_of_a_tablet_has_its_id() -> None:
    one_of = resolved(API["paths"]["/api/v1/acts"]["post"]["requestBody"]["content"]["application/json"]["schema"])["oneOf"]

    assert len(one_of) > 10
    assert [act for act in one_of if not {"event_id", "occurred_at"} <= set(resolved(act)["required"])] == []
