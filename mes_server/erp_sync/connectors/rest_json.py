"""Connector for an ERP with a plain JSON interface: changes by cursor, confirmations by POST, look-up by our keys.

Paths and fields are those of docs/manual/*/erp.md, "REST/JSON"; the simulated ERP of the demo speaks them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from mes_server.erp_sync.connector import ErpError, ErpRecord, OutMessage, Probe, Step, Verdict

_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class RestError(ErpError):
    """`status` 0: no answer at all (the write may have happened)."""

    def __init__(self, status: int, code: str, message: str, message_zh: str, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.message_zh, self.retry_s = status, code, message, message_zh, retry_s


class RestJsonConnector:
    """`base_url` without a trailing slash, `api_key` for the header X-Api-Key, `timeout_s` real seconds a call."""

    def __init__(self, base_url: str, api_key: str, *, timeout_s: float = 10.0) -> None:
        self._http = httpx.Client(base_url=base_url, headers={"X-Api-Key": api_key}, timeout=timeout_s)

    def probe(self) -> Probe:
        info = self._call("GET", "/api/info")
        return Probe(str(info.get("name", "")), str(info.get("version", "")), frozenset(info.get("capabilities", [])))

    def changes(self, entity: str, cursor: str) -> tuple[list[ErpRecord], str, bool]:
        page = self._call("GET", f"/api/changes/{entity}", params={"cursor": cursor, "limit": 200})
        return [_record(entity, raw) for raw in page["records"]], str(page["cursor"]), bool(page["more"])

    def fetch(self, entity: str, id: str) -> ErpRecord | None:
        try:
            return _record(entity, self._call("GET", f"/api/{entity}/{id}"))
        except RestError as error:
            if error.status == 404:
                return None
            raise

    def plan(self, message: OutMessage) -> Sequence[Step]:
        return [_PostConfirmation(self)]

    def reverse(self, document: str, message: OutMessage) -> Sequence[Step]:
        message.body = {**message.body, "kind": "reversal", "reversal_of": document}
        return [_PostConfirmation(self)]

    def stock(self, item: str | None = None, lot: str | None = None) -> list[dict[str, Any]]:
        params = {name: value for name, value in (("item", item), ("lot", lot)) if value}
        return list(self._call("GET", "/api/stock", params=params)["items"])

    def classify(self, error: ErpError) -> Verdict:
        if not isinstance(error, RestError):
            return Verdict("unknown", "unknown", str(error), str(error))
        if error.status == 0:
            return Verdict("retry", "no_answer", "The ERP does not answer.", "ERP 无响应。", None)
        if error.status in (401, 403):
            return Verdict("config", "not_allowed", f"The ERP refuses our key: {error.message}", f"ERP 拒绝了接口密钥：{error.message_zh}")
        if error.status in _RETRY_STATUS:
            return Verdict("retry", error.code or f"http_{error.status}", error.message, error.message_zh, error.retry_s)
        if error.status in (400, 404, 409, 422):
            return Verdict("refused", error.code or f"http_{error.status}", error.message, error.message_zh)
        return Verdict("unknown", error.code or f"http_{error.status}", error.message, error.message_zh)

    def close(self) -> None:
        self._http.close()

    def lookup(self, message_id: str) -> dict[str, Any] | None:
        found = self._call("GET", "/api/confirmations", params={"message_id": message_id})["items"]
        return dict(found[0]) if found else None

    def _call(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, params=params, json=body)
        except httpx.HTTPError as error:
            raise RestError(0, "no_answer", f"no answer: {type(error).__name__}", "无响应") from error
        if answer.is_success:
            try:
                return dict(answer.json())
            except ValueError as error:
                raise RestError(answer.status_code, "not_json", "the answer is not JSON", "返回内容不是 JSON") from error
        raise _problem(answer)

    def post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._call("POST", "/api/confirmations", body=body)


def _problem(answer: httpx.Response) -> RestError:
    code, message, message_zh = "", answer.text[:300], answer.text[:300]
    try:
        found = answer.json().get("error", {})
        code, message = str(found.get("code", "")), str(found.get("message", message))
        message_zh = str(found.get("message_zh") or message)
    except (ValueError, AttributeError):
        pass  # no JSON: the ERP's own text is what we have
    after = answer.headers.get("retry-after", "")
    return RestError(answer.status_code, code, message, message_zh, float(after) if after.replace(".", "", 1).isdigit() else None)


def _record(entity: str, raw: Mapping[str, Any]) -> ErpRecord:
    return ErpRecord(entity, str(raw["id"]), int(raw["version"]), bool(raw.get("deleted", False)), raw["data"])


class _PostConfirmation:
    """The one write of this ERP: a confirmation, found again by its message id."""

    name = "confirmation"

    def __init__(self, connector: RestJsonConnector) -> None:
        self._erp = connector

    def already_done(self, message: OutMessage) -> bool:
        found = self._erp.lookup(message.message_id)
        if found is not None:
            message.document = str(found["document"])
        return found is not None

    def do(self, message: OutMessage) -> None:
        message.document = str(self._erp.post(message.body)["document"])

    def verify(self, message: OutMessage) -> str:
        found = self._erp.lookup(message.message_id)
        if found is None:
            return "the ERP answered with a document but does not show it"
        message.read_back = dict(found.get("body", {}))
        for part in ("segments", "materials"):
            sent, held = _quantities(message.body.get(part, [])), _quantities(message.read_back.get(part, []))
            if sent != held:
                return f"{part}: sent {sent}, the ERP holds {held}"
        return ""


def _quantities(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Comparable lines: 13 and 13.0 are one quantity, null and absent are one nothing."""
    names = ("operation", "good", "scrap", "rework", "use", "item", "lot", "quantity")
    return sorted(tuple(_said(row.get(name)) for name in names) for row in rows)


def _said(value: Any) -> str:
    if value is None:
        return ""
    return f"{float(value):.6f}" if isinstance(value, int | float) else str(value)
