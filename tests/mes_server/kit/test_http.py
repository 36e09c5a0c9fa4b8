"""What every request goes through: limits before parsing, headers, problems in two languages, screens as files."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mes_server import app
from tests.support.plant_model import SMALL_PLANT
from tests.support.server import RunningServer
from tests.support.wait import eventually


def test_a_full_queue_is_503_with_retry_after(make_server: Callable[..., RunningServer]) -> None:
    server = make_server(database__acts_waiting_max=10)
    release = threading.Event()
    threads = [threading.Thread(target=lambda: server.kit.acts.run_system_sync(lambda _: release.wait(20))) for _ in range(2)]
    try:
        threads[0].start()
        eventually(lambda: server.kit.acts.waiting == 0)
        waiting = [threading.Thread(target=lambda: server.kit.acts.run_system_sync(lambda _: None)) for _ in range(10)]
        for one in waiting:
            one.start()
        eventually(lambda: server.kit.acts.waiting == 10)
        answer = server.client(lang="zh").put("/plant", json=server.envelope(model=SMALL_PLANT))
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "2", "overloaded")
        assert "服务器繁忙" in answer.json()["title"]
    finally:
        release.set()
        for one in (*threads[:1], *waiting):
            one.join(10)
    assert server.client().put("/plant", json=server.envelope(model=SMALL_PLANT)).status_code == 200


def test_a_body_too_large_is_refused_before_it_is_read(make_server: Callable[..., RunningServer]) -> None:
    server = make_server(http__body_bytes_max=10_000)
    declared = server.client().put("/plant", content=b"x" * 20_000, headers={"Content-Type": "application/json"})
    assert (declared.status_code, declared.json()["code"]) == (413, "body_too_large")
    chunked = server.client().put("/plant", content=(b"x" * 1_000 for _ in range(30)), headers={"Content-Type": "application/json"})
    assert chunked.status_code == 413
    photo = server.client().post("/photos", content=b"x" * 20_000)
    assert photo.status_code != 413, "photos have a limit of their own"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"event_id": 1}', b"\xff\xfe", b'{"a":' * 2_000])
def test_a_body_that_is_no_act_is_422_with_words(server: RunningServer, content: bytes) -> None:
    answer = server.client().put("/plant", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["code"] == "bad_request_body"


def test_security_headers(server: RunningServer) -> None:
    for path in ("/api/v1/clock", "/healthz", "/dashboards/"):
        headers = httpx.get(server.url + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
    assert httpx.get(f"{server.url}/api/v1/clock").headers["cache-control"] == "no-store"


def test_unknown_paths_are_problems(server: RunningServer) -> None:
    answer = server.client().get("/nothing/here")
    assert (answer.status_code, answer.json()["code"]) == (404, "http_404")
    wrong = server.client().delete("/clock")
    assert wrong.status_code == 405


@pytest.fixture
def screens(tmp_path: Path, make_server: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch) -> httpx.Client:
    folder = tmp_path / "static" / "dashboards"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<p>app</p>")
    (folder / "assets" / "app-1a2b.js").write_text("let a = 1")
    (folder / "assets" / "app-1a2b.js.gz").write_bytes(gzip.compress(b"let a = 1"))
    (tmp_path / "static" / "secret.txt").write_text("secret")
    monkeypatch.setattr(app, "STATIC", tmp_path / "static")
    return httpx.Client(base_url=make_server().url)


def test_screens_as_files(screens: httpx.Client) -> None:
    page = screens.get("/dashboards/machines/SAW-01")
    assert (page.text, page.headers["cache-control"]) == ("<p>app</p>", "no-cache")
    asset = screens.get("/dashboards/assets/app-1a2b.js", headers={"Accept-Encoding": "gzip"})
    assert (asset.text, asset.headers["content-encoding"]) == ("let a = 1", "gzip")
    assert "immutable" in asset.headers["cache-control"] and "javascript" in asset.headers["content-type"]
    assert screens.get("/dashboards/assets/app-1a2b.js", headers={"Accept-Encoding": "identity"}).headers.get("content-encoding") is None
    assert screens.get("/dashboards/assets/none.js").status_code == 404
    for path in ("/dashboards/..%2fsecret.txt", "/dashboards/%2e%2e/secret.txt", "/dashboards//etc/passwd"):
        assert "secret" not in screens.get(path).text
    assert screens.get("/dashboards", follow_redirects=False).headers["location"] == "/dashboards/"


def test_screens_that_are_not_built_say_so_in_both_languages(screens: httpx.Client) -> None:
    page = screens.get("/scanner/")
    assert page.status_code == 503
    assert "make build" in page.text and "网页应用尚未构建" in page.text and "are not built" in page.text
