"""The files by which a machine starts the agent itself: a systemd unit, or a Compose file. Printed, for a person to look at and to put in place."""

from __future__ import annotations

import grp
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from edge_agent.config import AgentConfig
from edge_agent.errors import ConfigInvalid

Kind = Literal["systemd", "compose"]


def unit(kind: Kind, config: AgentConfig, file: Path, user: str) -> str:
    """`file` is the config itself. Raises ConfigInvalid where the buffer is not below its folder (a container is shown that folder only)."""
    return _systemd(config, file.resolve(), user) if kind == "systemd" else _compose(config, file.resolve())


SERIAL_GROUP = "dialout"


def _quoted(path: Path | str) -> str:
    """As a word in a unit: blanks, and % that is no specifier (systemd.unit(5), systemd.syntax(7))."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _program(path: Path | str) -> str:
    """As the program of ExecStart or one of its arguments, where $ begins a variable."""
    return _quoted(path).replace("$", "$$")


def _systemd(config: AgentConfig, file: Path, user: str) -> str:
    folders = sorted({file.parent, config.buffer.path.parent})
    try:  # a unit with a group that is not there does not start
        grp.getgrnam(SERIAL_GROUP)
        serial = f"# serial ports of meters\nSupplementaryGroups={SERIAL_GROUP}"
    except KeyError:
        serial = "# serial ports of meters: SupplementaryGroups= the group that owns /dev/ttyUSB0 here"
    return f"""# /etc/systemd/system/gemba-edge.service
# systemctl daemon-reload; systemctl enable --now gemba-edge; journalctl -u gemba-edge -f
[Unit]
Description=Gemba edge agent {config.group}/{config.edge}
Wants=network-online.target
After=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
ExecStart={_program(sys.executable)} -m edge_agent run --config {_program(file)}
User={user}
Restart=always
RestartSec=1
# SIGTERM stores what is known, says good-bye to the broker and ends
TimeoutStopSec=20
# what it writes: buffer, own certificates, control socket
ReadWritePaths={" ".join(_quoted(folder) for folder in folders)}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=true
NoNewPrivileges=true
{serial}

[Install]
WantedBy=multi-user.target
"""


def _yaml(text: str) -> str:
    """As a string of YAML (which reads JSON's), where Compose takes $ for a variable."""
    return json.dumps(text, ensure_ascii=False).replace("$", "$$")


def _compose(config: AgentConfig, file: Path) -> str:
    folder = file.parent
    if config.buffer.path.parent != folder and folder not in config.buffer.path.parents:
        raise ConfigInvalid(
            f"The buffer {config.buffer.path} does not stand below {folder}.",
            f"缓冲文件 {config.buffer.path} 不在 {folder} 之下。",
            "Put the buffer beside the config: the container sees this folder only.",
            "请把缓冲放在配置文件旁边:容器只能看到该目录。",
        )
    try:
        wanted = f"gemba-mes[edge]=={version('gemba-mes')}"
    except PackageNotFoundError:
        wanted = "gemba-mes[edge]"
    return f"""# compose.yaml; docker compose up -d; docker compose logs -f
services:
  gemba-edge:
    build:
      dockerfile_inline: |
        FROM python:3.11-slim
        RUN pip install --no-cache-dir "{wanted}" && useradd --uid 1000 gemba
        USER gemba
    command: ["gemba-edge", "run", "--config", {_yaml(f"/data/{file.name}")}]
    volumes:
      - type: bind
        source: {_yaml(str(folder))}
        target: /data
    # the folder must be writable for uid 1000; serial meters: devices: ["/dev/ttyUSB0"]
    network_mode: host
    init: true
    stop_grace_period: 20s
    restart: always
"""
