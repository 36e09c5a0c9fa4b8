"""Labels as PDF: the order's traveller, lot and serial labels, badge cards. Codes are drawn by segno (QR) and zxing-cpp (GS1 DataMatrix), text by
reportlab with the CID font STSong-Light, which every PDF viewer brings for Chinese, so that no font file is shipped.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import segno
import zxingcpp
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy.orm import Session

from edge_agent.contract.clock import parse_iso_ms
from mes_server.kit.errors import Lang
from mes_server.materials import service as materials
from mes_server.products import service as products
from mes_server.scans import codes, gs1
from mes_server.work_orders import service as work_orders
from mes_server.work_orders.schemas import OperationView, OrderView

FONT = "STSong-Light"
LATIN = "Helvetica"
LABEL = (100 * mm, 50 * mm)
PER_PAGE = 8  # operations on one page of the traveller
CARD = (85.6 * mm, 54 * mm)


def _canvas(size: tuple[float, float], title: str) -> tuple[io.BytesIO, Canvas]:
    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size, pageCompression=1, invariant=1)
    canvas.setTitle(title)
    return buffer, canvas


def _text(canvas: Canvas, x: float, y: float, text: str, size: float, width: float | None = None) -> None:
    """One line; shrunk to `width` points where it is too long, never cut off."""
    font = LATIN if text.isascii() else FONT
    length = pdfmetrics.stringWidth(text, font, size)
    if width is not None and length > width:
        size = max(4.0, size * width / length)
    canvas.setFont(font, size)
    canvas.drawString(x, y, text)


def _qr(canvas: Canvas, text: str, x: float, y: float, side: float) -> None:
    """A QR code with its quiet zone inside the square (x, y, side)."""
    matrix = segno.make_qr(text, error="m").matrix
    _modules(canvas, [[bool(cell) for cell in row] for row in matrix], x, y, side, quiet=4)


def _datamatrix(canvas: Canvas, elements: Sequence[gs1.Element], x: float, y: float, side: float) -> None:
    """A GS1 DataMatrix (FNC1 first)."""
    for element in elements:
        gs1.check_value(element.ai, element.value)
    text = "".join(f"({element.ai}){element.value}" for element in elements)
    barcode = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.DataMatrix, gs1=True)
    picture: Any = barcode.to_image(scale=1, add_quiet_zones=False)  # speaks the buffer protocol, which its type does not say
    image: Any = memoryview(picture).tolist()  # rows of 0 (dark) and 255
    _modules(canvas, [[value == 0 for value in row] for row in image], x, y, side, quiet=2)


def _modules(canvas: Canvas, dark: list[list[bool]], x: float, y: float, side: float, quiet: int) -> None:
    """Draws modules as rectangles, runs of a row joined: sharp at every printer's resolution."""
    count = max(len(dark), len(dark[0]))
    step = side / (count + 2 * quiet)
    top = y + side - quiet * step
    for row_index, row in enumerate(dark):
        column = 0
        while column < len(row):
            if not row[column]:
                column += 1
                continue
            start = column
            while column < len(row) and row[column]:
                column += 1
            canvas.rect(x + (quiet + start) * step, top - (row_index + 1) * step, (column - start) * step, step, stroke=0, fill=1)


def printable_code(kind: str, text: str) -> str:
    """Our own code of it; where the text cannot stand in one (it holds `*`), the plain text."""
    return text if "*" in text else codes.own_code(kind, text)


# --- the order's traveller ------------------------------------------------------------------------------------------------------------------
def order_traveller(session: Session, number: str, now_ms: int, zone: ZoneInfo, lang: Lang) -> bytes:
    """A4: the order on top, then each operation with its own code. Raises OrderUnknown."""
    order = work_orders.order_view(session, number, now_ms)
    buffer, canvas = _canvas(A4, number)
    pages = [order.operations[start : start + PER_PAGE] for start in range(0, len(order.operations), PER_PAGE)] or [[]]
    for index, operations in enumerate(pages):
        _traveller_head(canvas, order, zone, lang, f"{index + 1}/{len(pages)}")
        for place, operation in enumerate(operations):
            _traveller_operation(canvas, operation, A4[1] - 92 * mm - place * 24 * mm, lang)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _traveller_head(canvas: Canvas, order: OrderView, zone: ZoneInfo, lang: Lang, page: str) -> None:
    top = A4[1]
    item = f"{order.item.code}  {order.item.name_zh if lang == 'zh' else order.item.name_en}"
    due = "–" if order.due is None else _local(order.due, zone)
    _qr(canvas, printable_code("order", order.number), A4[0] - 52 * mm, top - 52 * mm, 40 * mm)
    _text(canvas, 14 * mm, top - 22 * mm, "工单流转卡" if lang == "zh" else "Order traveller", 13)
    _text(canvas, 14 * mm, top - 33 * mm, order.number, 24, 130 * mm)
    _text(canvas, 14 * mm, top - 42 * mm, item, 13, 130 * mm)
    zh = f"数量 {order.quantity}   交期 {due}   优先级 {order.priority}"
    en = f"Qty {order.quantity}   due {due}   priority {order.priority}"
    _text(canvas, 14 * mm, top - 50 * mm, zh if lang == "zh" else en, 12, 130 * mm)
    _text(canvas, A4[0] - 24 * mm, 10 * mm, page, 9)
    canvas.line(14 * mm, top - 60 * mm, A4[0] - 14 * mm, top - 60 * mm)


def _traveller_operation(canvas: Canvas, operation: OperationView, y: float, lang: Lang) -> None:
    _qr(canvas, printable_code("operation", operation.id), A4[0] - 38 * mm, y, 22 * mm)
    name = operation.name_zh if lang == "zh" else operation.name_en
    machines = ", ".join(operation.machines) or operation.machine_class
    cycle, setup = operation.cycle_s or "–", operation.setup_s or "–"
    times = f"节拍 {cycle} 秒 · 换型 {setup} 秒" if lang == "zh" else f"cycle {cycle} s · setup {setup} s"
    _text(canvas, 14 * mm, y + 14 * mm, f"{operation.number}  {name}", 14, 140 * mm)
    _text(canvas, 14 * mm, y + 8 * mm, machines, 11, 140 * mm)
    _text(canvas, 14 * mm, y + 3 * mm, times, 10, 140 * mm)
    canvas.line(14 * mm, y, A4[0] - 14 * mm, y)


def _local(when: str, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(parse_iso_ms(when) / 1000, zone).strftime("%Y-%m-%d %H:%M")


# --- lot and serial -------------------------------------------------------------------------------------------------------------------------
def lot_label(session: Session, code: str, zone: ZoneInfo) -> bytes:
    """100 × 50 mm: our code as QR; with a GTIN and a code that GS1 allows also a GS1 DataMatrix (01)(10). Raises LotUnknown."""
    lot = materials.lot_view(materials.lot_row(session, code))
    item = products.find_item(session, lot.item)
    elements = _elements(item, "10", code)
    lines = [f"{lot.quantity:g} {lot.unit}", lot.supplier or "", _local(lot.received_at, zone)]
    return _label("lot", code, lot.item, item, lines, elements)


def serial_label(session: Session, code: str, zone: ZoneInfo) -> bytes:
    """100 × 50 mm: our code as QR, with a GTIN also a GS1 DataMatrix (01)(21). Raises SerialUnknown."""
    row = materials.serial_row(session, code)
    item = products.find_item(session, row.item)
    made = datetime.fromtimestamp(row.produced_ms / 1000, zone).strftime("%Y-%m-%d %H:%M")
    return _label("serial", code, row.item, item, [row.order_number, made], _elements(item, "21", code))


def _elements(item: Any, ai: str, value: str) -> list[gs1.Element]:
    """(01) and the lot or serial, where both may stand in a GS1 code; else nothing."""
    if item is None or item.gtin is None:
        return []
    elements = [gs1.Element("01", item.gtin.zfill(14)), gs1.Element(ai, value)]
    try:
        for element in elements:
            gs1.check_value(element.ai, element.value)
    except gs1.Gs1Error:
        return []
    return elements


def _label(kind: str, code: str, item_code: str, item: Any, lines: Sequence[str], elements: Sequence[gs1.Element]) -> bytes:
    buffer, canvas = _canvas(LABEL, code)
    _qr(canvas, printable_code(kind, code), 2 * mm, 14 * mm, 34 * mm)
    if elements:
        _datamatrix(canvas, elements, 80 * mm, 3 * mm, 18 * mm)
    _text(canvas, 38 * mm, 40 * mm, code, 16, 59 * mm)
    _text(canvas, 38 * mm, 33 * mm, item_code, 11, 59 * mm)
    if item is not None:
        _text(canvas, 38 * mm, 27.5 * mm, item.name_zh, 10, 59 * mm)
        _text(canvas, 38 * mm, 23 * mm, item.name_en, 9, 59 * mm)
    for index, line in enumerate(one for one in lines if one):
        _text(canvas, 38 * mm, 16 * mm - index * 5 * mm, line, 10, 40 * mm)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


# --- badges -----------------------------------------------------------------------------------------------------------------------------------
def badge_sheet(cards: Sequence[tuple[str, str, str | None]], lang: Lang) -> bytes:
    """A4 with cards of 85.6 × 54 mm: (person's code, name, badge code or None where the server cannot print it)."""
    buffer, canvas = _canvas(A4, "badges")
    for index, (code, name, badge) in enumerate(cards):
        if index and index % 10 == 0:
            canvas.showPage()
        column, row = index % 2, index % 10 // 2
        x, y = 15 * mm + column * (CARD[0] + 6 * mm), A4[1] - 14 * mm - (row + 1) * (CARD[1] + 2 * mm)
        canvas.rect(x, y, *CARD, stroke=1, fill=0)
        _text(canvas, x + 5 * mm, y + CARD[1] - 14 * mm, name, 18, 44 * mm)
        _text(canvas, x + 5 * mm, y + CARD[1] - 22 * mm, code, 11, 44 * mm)
        if badge is not None:
            _qr(canvas, codes.own_code("badge", badge), x + CARD[0] - 36 * mm, y + 9 * mm, 34 * mm)
        else:
            words = "工牌由他处制作" if lang == "zh" else "badge made elsewhere"
            _text(canvas, x + 5 * mm, y + 8 * mm, words, 9, 60 * mm)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()
