"""The camera as scanner, in a Chromium whose camera shows a film made here: QR traveller, GS1 DataMatrix with its separators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import segno
import zxingcpp

from tests.browser.scanner.floor import Floor
from tests.browser.scanner.tablet import Tablet

pytestmark = pytest.mark.services
WIDTH, HEIGHT = 640, 480


def film(path: Path, picture: np.ndarray, frames: int = 30) -> Path:
    """A y4m of one grey picture, slightly noisy: raw planes, no encoder needed."""
    noise = np.random.default_rng(4)
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8).tobytes() * 2
    with path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F15:1 Ip A1:1 C420jpeg\n".encode())
        for _ in range(frames):
            noisy = np.clip(picture.astype(np.int16) + noise.integers(-12, 13, picture.shape), 0, 255).astype(np.uint8)
            out.write(b"FRAME\n" + noisy.tobytes() + chroma)
    return path


def on_paper(code: np.ndarray) -> np.ndarray:
    """The code (0 black, 255 white) in the middle of a grey frame."""
    scale = max(1, int(HEIGHT * 0.6) // code.shape[0])
    big = np.kron(code, np.ones((scale, scale), np.uint8))
    frame = np.full((HEIGHT, WIDTH), 200, np.uint8)
    top, left = (HEIGHT - big.shape[0]) // 2, (WIDTH - big.shape[1]) // 2
    frame[top - 20 : top + big.shape[0] + 20, left - 20 : left + big.shape[1] + 20] = 255
    frame[top : top + big.shape[0], left : left + big.shape[1]] = big
    return frame


def qr(text: str) -> np.ndarray:
    return np.array([[0 if dark else 255 for dark in row] for row in segno.make_qr(text).matrix], np.uint8)


@pytest.mark.parametrize("what", ["traveller", "gs1"])
def test_the_camera_reads(camera_tablet: Callable[..., Tablet], floor: Floor, tmp_path: Path, what: str) -> None:
    if what == "traveller":
        picture = qr(floor.code("operation", "WO-1001/40"))
    else:
        made = zxingcpp.create_barcode("(01)06901234567892(10)LOT-7(21)SN-9", zxingcpp.BarcodeFormat.DataMatrix, gs1=True)
        picture = np.array(made.to_image(scale=1))
    one = camera_tablet(film=film(tmp_path / "film.y4m", on_paper(picture)))
    asked: list[str] = []
    one.page.on("request", lambda request: asked.append(request.url) if "/api/v1/scan?" in request.url else None)
    one.tap("strip-camera")
    if what == "traveller":
        one.see("start", timeout_s=20)
    else:
        one.see("consume", timeout_s=20)  # the lot in it is one of ours
        assert any("%1D21SN-9" in url for url in asked), f"the separator between lot and serial is lost: {asked}"
