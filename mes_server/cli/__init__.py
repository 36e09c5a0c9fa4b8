"""`gemba-server …`: the command line. Every command says what it did or what is wrong and the next step, in the configured language.

Exit codes: 0 done · 1 something is wrong with the data · 2 wrong configuration or arguments · 3 the data folder is in use · 4 the server had to stop.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mes_server import __version__
from mes_server.cli import backup, brokers, checks, serve
from mes_server.cli.words import DATA_WRONG, IN_USE, WRONG_USE, CommandFailed, say
from mes_server.config import ConfigInvalid, Settings, load
from mes_server.kit.lock import DataFolderInUse

COMMANDS: dict[str, tuple[Callable[[Settings, argparse.Namespace], int], str]] = {
    "init": (serve.init, "make the data folder and tables, and the first administrator or a one-time set-up token"),
    "serve": (serve.serve, "run the server (migrates first)"),
    "migrate": (serve.migrate, "bring the tables to the newest revision; a copy is kept"),
    "add-machine": (serve.add_machine, "add a machine to the plant model, with its line where that is new; the server may run"),
    "invite-edge": (serve.invite_edge, "print a one-time code by which an edge box becomes this plant's; the server may run"),
    "broker-credentials": (brokers.credentials, "let edges in at the broker, or put them out: passwords, rights, files for Mosquitto"),
    "ca": (brokers.authority, "an own certificate authority for TLS: make it, issue certificates for broker and edges"),
    "verify": (checks.verify, "prove the journal's chain and the database's integrity"),
    "backup": (backup.backup, "write a backup with a sha256 manifest; the server may run"),
    "restore": (backup.restore, "check a backup and put it into an empty data folder; the server must be stopped"),
    "check-config": (checks.check_config, "check the configuration: every error at once"),
    "sample-config": (checks.sample_config, "print a documented configuration with every setting"),
    "openapi": (checks.openapi, "print the API's description (OpenAPI JSON)"),
}


class Parser(argparse.ArgumentParser):
    """Wrong usage is said with the way to help, in both languages."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(WRONG_USE, f"{self.prog}: {message}\n参数有误，用法见 / see: {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    top = Parser("gemba-server", description="Gemba MES server", formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"gemba-server {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        one = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
        one.add_argument("--config", type=Path, help="TOML file; without it the defaults and GEMBA_* variables hold")
        if name in ("sample-config", "openapi"):
            continue
        one.add_argument("--data", type=Path, metavar="DIR", help="data folder (data_dir)")
        if name in ("serve", "check-config"):
            one.add_argument("--port", type=int, help="HTTP port (http.port)")
        if name in ("serve", "init", "migrate"):
            one.add_argument("--clock-start", metavar="ISO", help="plant time at the anchor, e.g. 2026-03-02T06:00:00+08:00")
            one.add_argument("--clock-anchor", type=float, metavar="UNIX_S", help="real time of the anchor, unix seconds")
            one.add_argument("--speed", type=float, default=1.0, help="plant seconds per real second")
        _own_options(name, one)
    return top


def _own_options(name: str, one: argparse.ArgumentParser) -> None:
    if name == "init":
        one.add_argument("--admin-user", metavar="NAME", help="make the first administrator now (unattended)")
        one.add_argument("--admin-password-file", type=Path, metavar="FILE", help="file with the administrator's password")
        one.add_argument("--admin-name", default="Administrator", help="the administrator's name")
    if name == "add-machine":
        one.add_argument("code", help="the machine's code (CNC-03)")
        one.add_argument("--line", required=True, metavar="CODE", help="its line (L1); made where it is new")
        one.add_argument("--edge", required=True, metavar="CODE", help="the edge box that will report it (EDGE-L1)")
        one.add_argument("--device", metavar="CODE", help="its name in the edge's config (default: the machine's code)")
        one.add_argument("--name", help="what people call it (default: the code)")
        one.add_argument("--class", dest="machine_class", default="machine", metavar="CODE", help="machines of one kind share reasons and alarms")
    if name == "invite-edge":
        one.add_argument("edge", help="edge id, as in the plant model (EDGE-L1)")
        one.add_argument("--readmit", action="store_true", help="let it in again although it was revoked")
    if name == "broker-credentials":
        brokers.credentials_options(one)
    if name == "ca":
        brokers.ca_options(one)
    if name == "backup":
        one.add_argument("--out", type=Path, metavar="DIR", help="folder to write the backup into (default: <data>/backups)")
    if name == "restore":
        one.add_argument("--from", dest="source", type=Path, metavar="DIR", required=True, help="the backup's folder")
    if name == "serve":
        one.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"], help="how much is logged")


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        settings = load(args.config, overrides={"data_dir": getattr(args, "data", None), "http.port": getattr(args, "port", None)})
        return COMMANDS[args.command][0](settings, args)
    except ConfigInvalid as error:
        say(str(error), to=sys.stderr)
        return WRONG_USE
    except DataFolderInUse as error:
        say(
            f"另一个服务器（进程 {error.pid}）正在使用 {error.folder}。请先停止它，或用 --data 指定其他目录。",
            f"Another server (process {error.pid}) uses {error.folder}. Stop it first, or name another folder with --data.",
            to=sys.stderr,
        )
        return IN_USE
    except CommandFailed as error:
        say(error.zh, error.en, to=sys.stderr)
        return error.exit_code or DATA_WRONG
    except OSError as error:  # a file or folder that somebody named, a full disk
        say(
            f"文件操作失败：{error}。请检查路径、权限与磁盘空间。",
            f"A file could not be used: {error}. Check its path, the rights and the space on the disk.",
            to=sys.stderr,
        )
        return WRONG_USE
