"""Naughty strings wherever a person or a scanner can put text: an answer in words, never a 5xx, and what is stored comes back sign for sign."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.data import SHARED
from tests.support.orders import do, set_up
from tests.support.server import RunningServer

OWN = [
    *(
        "",
        " ",
        "\x00",
        "\ud83d",
        "工单\u202e",
        "'; DROP TABLE journal; --",
        "%s%n",
        "../../etc/passwd",
        "\n",
        "a" * 300,
        "{{7*7}}",
        "ʻōlelo",
        "𝕏" * 20,
    ),
]


def _strings() -> list[str]:
    path = SHARED / "badinput/naughty-strings/blns.json"
    return [*OWN, *json.loads(path.read_text())] if path.exists() else OWN


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    """Escapes everything, so that half characters reach the server too."""
    return client.post(path, content=json.dumps(body, ensure_ascii=True), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("where", ["scan", "lot", "note", "acts"])
def test_naughty_strings_are_answered_in_words(any_server: RunningServer, where: str) -> None:
    server = any_server
    client = set_up(server)
    do(server, client, "operation.start", operation="WO-1001/90", machine="EOL-01")
    kept = 0
    strings = _strings()
    for index, text in enumerate(strings[:: 3 if server.kit.db.is_sqlite else 15]):
        if where == "scan":
            answer = client.get("/scan", params={"code": text.encode("utf-8", "replace").decode()})
        elif where == "lot":
            answer = _post(client, "/acts", server.envelope(type="material.receive", lot=text, item="BAR-40", quantity=1))
            if answer.status_code == 200:
                kept += 1
                assert client.get("/lots", params={"limit": 1}).json()["items"][0]["lot"] == text
        elif where == "note":
            do(server, client, "material.produce", operation="WO-1001/90", machine="EOL-01", serial=f"S-{index}", confirmed=True)
            subject = {"kind": "serial", "code": f"S-{index}"}
            answer = _post(client, "/acts", server.envelope(type="hold.place", subject=subject, reason="size", note=text))
            if answer.status_code == 200:
                kept += 1
                assert client.get("/holds", params={"limit": 1}).json()["items"][0]["note"] == text
        else:
            act = server.envelope(type="production.report", operation=text, machine=text, good=text)
            answer = _post(client, "/acts/batch", {"device_time": server.now(), "acts": [act, {"type": text}, {text: text}]})
            assert [one["status"] for one in answer.json()["results"]] == ["refused"] * 3
        assert answer.status_code < 500, (text, answer.text[:300])
    assert where in ("scan", "acts") or len(strings) < 100 or kept > index * 0.7
