"""What a telemetry store can refuse, in words a person can act on."""

from __future__ import annotations

from mes_server.kit.errors import MesError, Refused


class TelemetryFailed(MesError):
    """The engine could not write or read; the book of record goes on without it."""

    code = "telemetry_failed"
    status = 503
    en = "The telemetry store does not answer: {why}"
    zh = "时序数据库无响应：{why}"
    next_en = (
        "Counts and states are booked all the same; samples are kept by the edges and follow. Check disk space and the store, see system health."
    )
    next_zh = "产量和状态照常记录；采样由边缘网关保存，恢复后自动补传。请检查磁盘空间和时序数据库，详见系统健康页。"


class TelemetryInUse(MesError):
    """DuckDB has one writing process."""

    code = "telemetry_in_use"
    status = 409
    en = "Another process uses the telemetry file {path}."
    zh = "时序文件 {path} 正被另一个进程使用。"
    next_en = "Stop the other server, or give this one its own data folder. Several servers need InfluxDB (telemetry.kind = 'influx')."
    next_zh = "请停止另一个服务器进程，或为本进程设置单独的数据目录。多台服务器请使用 InfluxDB（telemetry.kind = 'influx'）。"


class BadWindow(Refused):
    code = "bad_window"
    en = "The time window is empty or longer than {days} days."
    zh = "时间范围为空，或超过 {days} 天。"
    next_en = "Choose a start before the end, and a shorter stretch."
    next_zh = "请确认开始时间早于结束时间，并缩短范围。"
