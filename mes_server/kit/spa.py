"""The two web apps as files: hashed assets are cached for ever, entry pages never; unknown paths belong to the app; gzipped files go out as such."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from mes_server.kit.http import OPEN, lang_of

APPS = ("scanner", "dashboards")
_FOREVER = "public, max-age=31536000, immutable"
_NOT_BUILT = {
    "zh": ("网页应用尚未构建", "服务器已在运行，但此安装包不含网页应用。请在源码目录运行：", "接口说明"),
    "en": ("The web apps are not built", "The server is running without them. In the source folder run:", "API description"),
}


def mount(app: FastAPI, static: Path) -> None:
    """Serves `static/<app>/` under /<app>/. Paths never leave the folder."""
    router = APIRouter(include_in_schema=False)
    for name in APPS:
        _add(router, name, static / name)
    app.include_router(router)


def _add(router: APIRouter, name: str, folder: Path) -> None:
    @router.api_route(f"/{name}", methods=["GET", "HEAD"], dependencies=[OPEN], operation_id=f"{name}_root")
    async def root() -> Response:
        return RedirectResponse(f"/{name}/")

    @router.api_route(f"/{name}/{{path:path}}", methods=["GET", "HEAD"], dependencies=[OPEN], operation_id=f"{name}_file")
    def file(request: Request, path: str) -> Response:
        if not (folder / "index.html").is_file():
            return _not_built(lang_of(request))
        wanted = (folder / path).resolve()
        if not wanted.is_relative_to(folder.resolve()) or not wanted.is_file():
            if "." in path.rpartition("/")[2]:  # a missing asset is missing; only pages fall back to the app
                return Response(status_code=404)
            wanted = folder / "index.html"
        return _send(wanted, request.headers.get("accept-encoding", ""), hashed="/assets/" in f"/{path}")


def _send(path: Path, accepts: str, *, hashed: bool) -> Response:
    headers = {"Cache-Control": _FOREVER if hashed else "no-cache", "Vary": "Accept-Encoding"}
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix == ".webmanifest":
        kind = "application/manifest+json"
    packed = path.with_name(path.name + ".gz")
    if "gzip" in accepts and packed.is_file():
        headers["Content-Encoding"] = "gzip"
        path = packed
    return FileResponse(path, headers=headers, media_type=kind)


def _not_built(lang: str) -> Response:
    parts = []
    for one in (lang, "en" if lang == "zh" else "zh"):
        title, text, api = _NOT_BUILT[one]
        parts.append(f'<h1>{title}</h1><p>{text}</p><pre>make build</pre><p><a href="/api/v1/openapi.json">{api}</a></p>')
    style = "body{font:18px/1.6 sans-serif;max-width:40em;margin:10vh auto;padding:0 1em}pre{background:#eee;padding:.6em}"
    page = f'<!doctype html><html lang="{lang}"><meta charset="utf-8"><title>Gemba</title><style>{style}</style>{"<hr>".join(parts)}</html>'
    return HTMLResponse(page, 503, headers={"Cache-Control": "no-store"})
