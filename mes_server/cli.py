"""The command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_agent.contract.clock import PlantClock
from mes_server import migrations
from mes_server.app import create_app, make_server
from mes_server.config import load
from mes_server.kit.db import Database


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("gemba-server")
    parser.add_argument("command", choices=["serve", "migrate"])
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--clock-start")
    parser.add_argument("--clock-anchor", type=float)
    parser.add_argument("--speed", type=float, default=1.0)
    args = parser.parse_args(argv)
    settings = load(args.config, overrides={"data_dir": args.data, "http.port": args.port})
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    db = Database(settings.database_url)
    migrations.upgrade(db.writer)
    db.close()
    if args.command == "serve":
        app = create_app(settings, clock=PlantClock.parse(args.clock_start, args.clock_anchor, args.speed))
        make_server(app, settings, log_level="info").run()
    return 0
