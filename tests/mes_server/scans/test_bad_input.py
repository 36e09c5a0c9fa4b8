"""Naughty strings wherever a person or a scanner can put text: an answer in words, never a 5xx, and what is stored comes back sign for sign."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.orders import do, set_up
from tests.support.server import RunningServer

SHARED = Path(os.environ.get("GEMBA_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
OWN = [
    "",
    " ",
    "\x00",
    "\ud83d\ude00"[:2],
    "工单\u202e",
    "'; DROP TABLE journal; --",
    "%s%n",
    "../../etc/passwd",
    "\n",
    "a" * 300,
    "{{7*7}}",
    "ʻōlelo",
    "𝕏" * 20,
]


def _strings() -> list[str]:
    path = SHARED / "badinput" / "naughty-strings" / "blns.json"
    if not path.exists():
        return OWN
    return OWN + [text for text in json.loads(path.read_text())]


@pytest.mark.parametrize("where", ["scan", "lot", "note", "acts"])
def test_naughty_strings_are_answered_in_words(any_server: RunningServer, where: str) -> None:
    server = any_server
    client = set_up(server)
    do(server, client, "operation.start", operation="WO-1001/90", machine="EOL-01")
    kept = 0
    strings = _strings()
    for index, text in enumerate(strings[:: 2 if where == "acts" else 1]):
        if where == "scan":
            answer = client.get("/scan", params={"code": text})
        elif where == "lot":
            answer = client.post("/acts", json=server.envelope(type="material.receive", lot=text, item="BAR-40", quantity=1))
            if answer.status_code == 200:
                kept += 1
                assert client.get("/lots", params={"limit": 1}).json()["items"][0]["lot"] == text
        elif where == "note":
            do(server, client, "material.produce", operation="WO-1001/90", machine="EOL-01", serial=f"S-{index}", confirmed=True)
            subject = {"kind": "serial", "code": f"S-{index}"}
            answer = client.post("/acts", json=server.envelope(type="hold.place", subject=subject, reason="size", note=text))
            if answer.status_code == 200:
                kept += 1
                assert client.get("/holds", params={"limit": 1}).json()["items"][0]["note"] == text
        else:
            act = server.envelope(type="production.report", operation=text, machine=text, good=text)
            answer = client.post("/acts/batch", json={"device_time": server.now(), "acts": [act, {"type": text}, {text: text}]})
            assert [one["status"] for one in answer.json()["results"]] == ["refused"] * 3
        assert answer.status_code < 500, (text, answer.text[:300])
    assert where in ("scan", "acts") or kept > len(strings) * 0.7
