"""How a running agent is: a snapshot as plain data, and as words for a terminal."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge_agent.contract.clock import iso

if TYPE_CHECKING:
    from edge_agent.agent import Agent
    from edge_agent.sources.source import Source

_PAGE = resource.getpagesize()
Lang = Literal["en", "zh"]


def snapshot(agent: Agent) -> dict[str, Any]:
    """The agent now, as plain data. `*_ms` are plant milliseconds, `*_s` seconds. Another thread writes what is read here: each number is whole."""
    worker, config = agent.worker, agent.config
    node, buffer = worker.node, worker.buffer
    broker = config.brokers[node.broker]
    return {
        "group": config.group,
        "edge": config.edge,
        "pid": os.getpid(),
        "at_s": time.monotonic(),
        "uptime_s": round(time.monotonic() - agent.started_s, 1),
        "rss_bytes": _rss_bytes(),
        "delivery": {
            "phase": node.phase.value,
            "broker": f"{broker.host}:{broker.port}" if broker.credentials_file is None else broker.credentials_file.name,
            "error": node.error,
            "records": buffer.last_n,
            "answered": buffer.answered_n,
            "waiting": buffer.waiting,
            "values": worker.counts["values"],
        },
        "buffer": {
            "path": str(config.buffer.path),
            "bytes": worker.buffer_bytes,
            "max_bytes": buffer.max_bytes,
            "hours_left": worker.pace.hours_left,
            "disk_full": worker.disk_full,
            "full": worker.intake.closed,
        },
        "sources": [_source(agent, source) for source in agent.sources],
    }


def _source(agent: Agent, source: Source) -> dict[str, Any]:
    health, config = source.health, agent.config.sources[source.name]
    now_ms = agent.clock.now_ms()
    devices = []
    for index in source.devices:
        device = agent.worker.pipeline.devices[index]
        proven_ms, gap = device.memory.proven_ms, device.gap
        devices.append(
            {
                "device": device.spec.id,
                "known_until_ms": proven_ms,
                "lag_s": round((now_ms - proven_ms) / 1000.0 / agent.clock.speed, 2) if proven_ms else None,
                "gap": {"from_ms": gap.from_ms, "cause": str(gap.cause.value), "detail": gap.detail} if gap is not None else None,
            }
        )
    return {
        "name": source.name,
        "type": config.type,
        "status": health.status,
        "values": health.values,
        "rate": agent.worker.rates.of(source.name),
        "error": {"en": health.error, "zh": health.error_zh},
        "failed": dict(health.failed),
        "words": health.words(),
        "clock_offset_ms": None if health.clock_offset_ms is None else round(health.clock_offset_ms, 1),
        "devices": devices,
    }


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


# --- for people ----------------------------------------------------------------------------------------------------------------
_WORDS: dict[str, tuple[str, str]] = {
    "born": ("delivering", "投递中"),
    "down": ("no broker", "未连上代理"),
    "connecting": ("connecting", "连接中"),
    "waiting for the host": ("waiting for the server", "等待服务器上线"),
    "connected": ("connected", "已连接"),
    "lost": ("LOST", "断开"),
    "misconfigured": ("MISCONFIGURED", "配置有误"),
}


def _word(text: str, lang: Lang) -> str:
    pair = _WORDS.get(text)
    return text if pair is None else pair[lang == "zh"]


def render(now: dict[str, Any], lang: Lang) -> str:
    """A snapshot as a page of text: what runs, what does not, and the next step. Paces are those of the last minute."""
    zh = lang == "zh"
    delivery, buffer = now["delivery"], now["buffer"]
    hours = buffer["hours_left"]
    left = ("—" if hours is None else f"{hours:,.0f} h") if not zh else ("—" if hours is None else f"{hours:,.0f} 小时")
    fill = 100.0 * buffer["bytes"] / buffer["max_bytes"]
    lines = [
        f"{now['group']}/{now['edge']}  pid {now['pid']}  "
        + (f"已运行 {now['uptime_s'] / 3600:.1f} 小时" if zh else f"up {now['uptime_s'] / 3600:.1f} h")
        + f"  {now['rss_bytes'] / 1e6:.0f} MB",
        (f"投递:{_word(delivery['phase'], lang)}" if zh else f"delivery: {_word(delivery['phase'], lang)}") + f"  {delivery['broker']}",
        (
            f"缓冲:待确认 {delivery['waiting']:,} 条,占用 {fill:.1f}%,服务器不在时还可存 {left}"
            if zh
            else f"buffer: {delivery['waiting']:,} records waiting, {fill:.1f}% full, room for {left} without the server"
        ),
    ]
    if delivery["error"]:
        lines.append(
            f"  ! {delivery['error']}。请检查 gemba-server 是否运行、[[brokers]] 中的地址和登录信息;不会丢失数据。"
            if zh
            else f"  ! {delivery['error']}. Look whether gemba-server runs, and at address and sign-in in [[brokers]]; nothing is lost meanwhile."
        )
    if buffer["disk_full"] or buffer["full"]:
        lines.append("  ! 磁盘或缓冲已满,请清理磁盘或加大 max_mb。" if zh else "  ! disk or buffer is full: free space, or raise max_mb.")
    for source in now["sources"]:
        lines += ["", _source_line(source, lang), *_device_lines(source, lang)]
        words = source["words"].split("\n")
        if source["words"]:
            lines.append(f"  ! {words[-1] if zh else words[0]}")
    return "\n".join(lines)


def _source_line(source: dict[str, Any], lang: Lang) -> str:
    offset = source["clock_offset_ms"]
    off = "—" if offset is None else f"{offset:+,.0f} ms"
    rate = "—" if source["rate"] is None else f"{source['rate']:,}"
    clock = f"时钟偏差 {off}" if lang == "zh" else f"clock {off}"
    return f"{source['name']} ({source['type']})  {_word(source['status'], lang)}  {rate}/s  {clock}"


def _device_lines(source: dict[str, Any], lang: Lang) -> list[str]:
    out = []
    for device in source["devices"]:
        if device["gap"] is not None:
            gap = device["gap"]
            since = iso(gap["from_ms"])
            what = f"无数据,自 {since}({gap['cause']})" if lang == "zh" else f"no data since {since} ({gap['cause']})"
        elif device["lag_s"] is None:
            what = "尚无数据" if lang == "zh" else "nothing yet"
        else:
            what = f"滞后 {device['lag_s']:.1f} s" if lang == "zh" else f"{device['lag_s']:.1f} s behind"
        out.append(f"  {device['device']:<20} {what}")
    return out
