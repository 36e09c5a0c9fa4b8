"""The files by which a machine starts the agent itself: a systemd unit, or a Compose file. Printed, for a person to look at and to put in place."""

from __future__ import annotations

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


def _systemd(config: AgentConfig, file: Path, user: str) -> str:
    folders = sorted({str(file.parent), str(config.buffer.path.parent)})
    return f"""# /etc/systemd/system/gemba-edge.service
# systemctl daemon-reload; systemctl enable --now gemba-edge; journalctl -u gemba-edge -f
[Unit]
Description=Gemba edge agent {config.group}/{config.edge}
Wants=network-online.target
After=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
ExecStart={sys.executable} -m edge_agent run --config {file}
User={user}
Restart=always
RestartSec=1
# SIGTERM stores what is known, says good-bye to the broker and ends
TimeoutStopSec=20
# what it writes: buffer, own certificates, control socket
ReadWritePaths={" ".join(folders)}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=true
NoNewPrivileges=true
# serial ports of meters
SupplementaryGroups=dialout

[Install]
WantedBy=multi-user.target
"""


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
    command: ["gemba-edge", "run", "--config", "/data/{file.name}"]
    volumes:
      - "{folder}:/data"
    # the folder must be writable for uid 1000; serial meters: devices: ["/dev/ttyUSB0"]
    network_mode: host
    init: true
    stop_grace_period: 20s
    restart: always
"""
