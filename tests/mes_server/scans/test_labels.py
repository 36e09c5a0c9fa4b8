"""Labels are read back by a decoder that nobody here wrote: PDF → picture (pdftoppm) → zxing-cpp."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from mes_server.scans.codes import own_code
from mes_server.scans.service.labels import badge_sheet
from tests.support.orders import do, item, set_up
from tests.support.server import RunningServer

GTIN = "06901234567892"


def _read(pdf: bytes, folder: Path) -> set[tuple[str, str]]:
    """(format, text) of every code on every page."""
    if shutil.which("pdftoppm") is None:
        pytest.skip("pdftoppm is not installed (apt-get install poppler-utils): the printed codes are not read back")
    source = folder / "label.pdf"
    source.write_bytes(pdf)
    subprocess.run(["pdftoppm", "-r", "200", "-png", str(source), str(folder / "page")], check=True)
    found: set[tuple[str, str]] = set()
    for page in sorted(folder.glob("page*.png")):
        with Image.open(page) as picture:
            found |= {(code.format.name, code.text) for code in zxingcpp.read_barcodes(picture.convert("L"))}
    return found


def test_the_traveller_carries_a_code_for_the_order_and_each_operation(server: RunningServer, tmp_path: Path) -> None:
    client = set_up(server)
    answer = client.get("/labels/order/WO-1001.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    texts = {text for _, text in _read(answer.content, tmp_path)}
    assert texts == {own_code("order", "WO-1001"), *(own_code("operation", f"WO-1001/{step}") for step in (10, 20, 40, 90))}
    assert client.get("/labels/order/NONE.pdf").status_code == 404


def test_lot_and_serial_labels_carry_our_code_and_gs1(server: RunningServer, tmp_path: Path) -> None:
    client = set_up(server)
    pump = item()
    server.act(client, "/items/P-310", "PUT", item={**pump, "gtin": GTIN})
    do(server, client, "operation.start", operation="WO-1001/90", machine="EOL-01")
    do(server, client, "material.produce", operation="WO-1001/90", machine="EOL-01", serial="HT-0001")
    do(server, client, "material.receive", lot="批次 7", item="BAR-40", quantity=12.5, supplier="宝钢")
    found = _read(client.get("/labels/serial/HT-0001.pdf").content, tmp_path)
    assert own_code("serial", "HT-0001") in {text for _, text in found}
    assert f"(01){GTIN}(21)HT-0001" in {text for _, text in found}
    scanned = client.get("/scan", params={"code": f"]d201{GTIN}21HT-0001"}).json()
    assert scanned["kind"] == "serial" and scanned["data"]["gs1"]["item"] == "P-310"
    (tmp_path / "lot").mkdir()
    assert {text for _, text in _read(client.get("/labels/lot/批次 7.pdf").content, tmp_path / "lot")} == {own_code("lot", "批次 7")}
    assert client.get("/labels/lot/none.pdf").status_code == 404


def test_badge_cards_scan(tmp_path: Path) -> None:
    pdf = badge_sheet([("P-1", "王小明", "ABCDEFGH23456789"), ("P-2", "Ann", None)], "zh")
    assert {text for _, text in _read(pdf, tmp_path)} == {own_code("badge", "ABCDEFGH23456789")}
