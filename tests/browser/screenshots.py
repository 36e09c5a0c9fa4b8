"""`make screenshots`: every screen of both apps, zh and en, from a living demo with a week of history, into docs/screens/.

Starts the demo as a person would, reads the sign-ins it prints, waits until its history is complete, takes the pictures, ends it as Ctrl-C does.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.browser.dashboards.shots import shoot, shoot_arrival
from tests.browser.scanner.shots import take

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "docs" / "screens"
HISTORY_DAYS = 7
READY_S = 900.0


@dataclass(frozen=True)
class Demo:
    """What the demo printed: its address, the administrator, badges on shift with their first station."""

    url: str
    user: str
    password: str
    badges: list[tuple[str, str]]


def greeting(text: str) -> Demo | None:
    """The demo's sign-ins once it has printed them all, else None."""
    url = re.search(r"Dashboards\s+(http\S+?)/dashboards/", text)
    who = re.search(r"Sign in\s+(\S+) / (\S+)", text)
    badges = re.findall(r"Badge\s+(\S+)\s+PIN \S+\s+\(\S+ [^,]+, on shift: ([A-Z-]+)", text)
    if url is None or who is None or not badges or "Ctrl-C ends it" not in text:
        return None
    return Demo(url.group(1), who.group(1), who.group(2), badges)


@contextmanager
def living_demo(folder: Path, arriving: Callable[[Demo], None] = lambda demo: None) -> Iterator[Demo]:
    """A demo with its history complete; `arriving` is called as soon as one can sign in.

    Raises RuntimeError with what it said when it does not come up.
    """
    log = folder / "demo.log"
    command = [sys.executable, "-m", "simulators", "run", "--scenario", "demo", "--data", str(folder / "demo"), "--history-days", str(HISTORY_DAYS)]
    with log.open("wb") as out:
        child = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + READY_S
        demo: Demo | None = None
        while time.monotonic() < end:
            said = log.read_text(errors="replace")
            if child.poll() is not None:
                raise RuntimeError(f"the demo ended by itself:\n{said[-2000:]}")
            if demo is None and (demo := greeting(said)) is not None:
                arriving(demo)
            if demo is not None and complete(demo):
                break
            time.sleep(1.0)
        if demo is None:
            raise RuntimeError(f"the demo did not come up within {READY_S:.0f} s:\n{log.read_text(errors='replace')[-2000:]}")
        yield demo
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(60)


def complete(demo: Demo) -> bool:
    with httpx.Client(base_url=f"{demo.url}/api/v1", headers={"X-Gemba": "1"}, timeout=30) as client:
        client.post("/session", json={"user": demo.user, "password": demo.password})
        answer = client.get("/history/progress")
        return answer.status_code == 200 and bool(answer.json()["done"])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(f"» starting a demo with {HISTORY_DAYS} days of history")
        written: list[Path] = []
        with living_demo(Path(folder), lambda demo: written.extend(shoot_arrival(demo.url, SCREENS, demo.user, demo.password))) as demo:
            print("» dashboards")
            written += shoot(demo.url, SCREENS, demo.user, demo.password)
            print("» scanner")
            badge, station = demo.badges[0]
            written += take(demo.url, SCREENS, badges={"zh": badge, "en": badge}, station=station)
    print(f"» {len(written)} pictures in {SCREENS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
