"""What a scanned code means, whatever it is: an own code, a GS1 message, an EAN, or the plain code of something that exists once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from mes_server.identity import service as identity
from mes_server.kit.errors import NotFound
from mes_server.materials import service as materials
from mes_server.plant import service as plant
from mes_server.products import service as products
from mes_server.scans import codes, gs1
from mes_server.scans.schemas import ScanView
from mes_server.work_orders import service as work_orders

CODE_MAX = 400


def resolve(session: Session, scanned: str, now_ms: int) -> ScanView:
    """Never raises: what is not known is kind "unknown", a torn own or GS1 code "misread"."""
    if any(sign < " " and sign != gs1.FNC1 for sign in scanned.strip()):
        return _misread(scanned, "control characters")
    text = _bare(scanned)
    if codes.looks_own(text):
        own = codes.parse(text)
        if own is None:
            return _misread(text)
        return _FINDERS[own.kind](session, own.text, now_ms) or _unknown(text, own.kind)
    try:
        elements = gs1.read(scanned)
    except gs1.Gs1Error as error:
        return _misread(scanned, str(error))
    if elements is not None:
        return _gs1(session, scanned, elements, now_ms)
    if text.isascii() and text.isdigit() and len(text) in (8, 12, 13, 14) and gs1.check_digit_fits(text):
        item = products.item_by_gtin(session, text)
        if item is not None:
            return _item_view(item)
    return _plain(session, text, now_ms)


def _bare(scanned: str) -> str:
    """Without the symbology identifier that some scanners send first."""
    text = scanned.strip()
    return text[3:] if len(text) > 3 and text[0] == "]" and text[1].isalpha() and text[2].isalnum() else text


def _misread(text: str, why: str = "check character") -> ScanView:
    return ScanView(kind="misread", code=text, label_zh="没读全，请再扫一次", label_en="Not read completely, scan again", data={"why": why})


def _unknown(text: str, expected: str | None = None) -> ScanView:
    return ScanView(kind="unknown", code=text, label_zh=f"未知条码 {text}", label_en=f"Unknown code {text}", data={"expected": expected})


def _plain(session: Session, text: str, now_ms: int) -> ScanView:
    """A code typed or printed by somebody else: accepted where only one kind of thing has it."""
    found = [view for finder in _FINDERS.values() if (view := finder(session, text, now_ms)) is not None]
    found += [view for finder in (_station, _item) if (view := finder(session, text)) is not None]
    if len(found) == 1:
        return found[0]
    if not found:
        return _unknown(text)
    kinds = [view.kind for view in found]
    return ScanView(kind="unknown", code=text, label_zh=f"{text} 有多种含义", label_en=f"{text} has several meanings", data={"candidates": kinds})


# --- one finder a kind ----------------------------------------------------------------------------------------------------------------------
def _order(session: Session, text: str, now_ms: int) -> ScanView | None:
    try:
        order = work_orders.order_view(session, text, now_ms)
    except NotFound:
        return None
    label = f"{order.number} · {order.quantity}"
    data = {"order": order.model_dump(by_alias=True)}
    return ScanView(
        kind="order", code=text, label_zh=f"工单 {label} · {order.item.name_zh}", label_en=f"Order {label} · {order.item.name_en}", data=data
    )


def _operation(session: Session, text: str, now_ms: int) -> ScanView | None:
    number, slash, step = text.rpartition("/")
    if not slash or not (step.isascii() and step.isdigit()):
        return None
    try:
        order = work_orders.order_view(session, number, now_ms)
    except NotFound:
        return None
    operation = next((one for one in order.operations if one.number == int(step)), None)
    if operation is None:
        return None
    head = order.model_dump(exclude={"operations"}, by_alias=True)
    return ScanView(
        kind="operation",
        code=operation.id,
        label_zh=f"{operation.id} {operation.name_zh}",
        label_en=f"{operation.id} {operation.name_en}",
        data={"operation": operation.model_dump(by_alias=True), "order": head},
    )


def _lot(session: Session, text: str, _now_ms: int) -> ScanView | None:
    lot = materials.find_lot(session, text)
    if lot is None:
        return None
    return ScanView(kind="lot", code=text, label_zh=f"批次 {text} · {lot.item}", label_en=f"Lot {text} · {lot.item}", data={"lot": lot.model_dump()})


def _serial(session: Session, text: str, _now_ms: int) -> ScanView | None:
    row = materials.find_serial(session, text)
    if row is None:
        return None
    data = {"serial": row.code, "item": row.item, "order": row.order_number, "status": row.status, "on_hold": row.holds > 0}
    return ScanView(kind="serial", code=text, label_zh=f"序列号 {text}", label_en=f"Serial {text}", data=data)


def _machine(session: Session, text: str, _now_ms: int) -> ScanView | None:
    machine = plant.model(session).machines.get(text)
    if machine is None:
        return None
    data = {"machine": machine.code, "line": machine.line, "machine_class": machine.machine_class}
    return ScanView(kind="machine", code=text, label_zh=machine.name_zh, label_en=machine.name_en, data=data)


def _reason(session: Session, text: str, _now_ms: int) -> ScanView | None:
    reason = plant.model(session).reasons.get(text)
    if reason is None:
        return None
    return ScanView(kind="reason", code=text, label_zh=reason.zh, label_en=reason.en, data={"reason": reason.code, "reason_kind": reason.kind})


def _badge(session: Session, text: str, _now_ms: int) -> ScanView | None:
    person = identity.person_of_badge(session, text)
    if person is None:
        return None
    return ScanView(kind="badge", code=person.code, label_zh=person.name, label_en=person.name, data={"person": person.code, "active": person.active})


def _station(session: Session, text: str) -> ScanView | None:
    station = plant.model(session).stations.get(text)
    if station is None:
        return None
    data = {"station": station.code, "machines": list(station.machines)}
    return ScanView(kind="station", code=text, label_zh=station.name_zh, label_en=station.name_en, data=data)


def _item(session: Session, text: str) -> ScanView | None:
    item = products.find_item(session, text)
    return None if item is None else _item_view(item)


def _item_view(item: Any) -> ScanView:
    data = {"item": item.code, "unit": item.unit, "tracking": item.tracking, "box_quantity": item.box_quantity, "gtin": item.gtin}
    return ScanView(kind="item", code=item.code, label_zh=item.name_zh, label_en=item.name_en, data=data)


_FINDERS: dict[str, Callable[[Session, str, int], ScanView | None]] = {
    "order": _order,
    "operation": _operation,
    "lot": _lot,
    "serial": _serial,
    "machine": _machine,
    "reason": _reason,
    "badge": _badge,
}


# --- GS1 ------------------------------------------------------------------------------------------------------------------------------------
def _gs1(session: Session, scanned: str, elements: list[gs1.Element], now_ms: int) -> ScanView:
    """A serial or lot we know becomes that; the rest keeps what the label says: item, lot, serial, quantity, expiry."""
    values = {element.ai: element.value for element in elements}
    item = products.item_by_gtin(session, values["01"]) if "01" in values else None
    said = {
        "elements": [{"ai": element.ai, "value": element.value} for element in elements],
        "gtin": values.get("01"),
        "item": item.code if item is not None else None,
        "lot": values.get("10"),
        "serial": values.get("21"),
        "quantity": int(values["30"]) if "30" in values else int(values["37"]) if "37" in values else None,
        "expires": _day(values.get("17")),
        "produced": _day(values.get("11")),
    }
    for ai, finder in (("21", _serial), ("10", _lot), ("400", _order)):
        known = finder(session, values[ai], now_ms) if ai in values else None
        if known is not None and _same_item(known, item):
            return known.model_copy(update={"data": {**(known.data or {}), "gs1": said}})
    name_zh, name_en = (item.name_zh, item.name_en) if item is not None else (values.get("01", ""), values.get("01", ""))
    rest = " ".join(f"({element.ai}){element.value}" for element in elements if element.ai != "01")
    return ScanView(kind="gs1", code=scanned, label_zh=f"{name_zh} {rest}".strip(), label_en=f"{name_en} {rest}".strip(), data=said)


def _same_item(known: ScanView, item: Any) -> bool:
    """A supplier's lot 1 of another item is not our lot 1."""
    data = known.data or {}
    own = data["lot"]["item"] if known.kind == "lot" else data.get("item") if known.kind == "serial" else None
    return item is None or own is None or own == item.code


def _day(value: str | None) -> str | None:
    found = gs1.day(value) if value is not None else None
    return found.isoformat() if found is not None else None
