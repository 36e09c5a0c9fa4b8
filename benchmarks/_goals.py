"""What was set as a goal, by the row that shows it, and whether a run met it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """The figure of row `row` is to be at most `bound`, or at least."""

    benchmark: str
    what: str
    row: str
    bound: float
    unit: str
    at_least: bool = False

    def is_met(self, figure: float) -> bool:
        return figure >= self.bound if self.at_least else figure <= self.bound


HELD = 0.99  # of the rate offered: the clock of the source and ours start and end at different moments
_OPCUA = (
    ("plain_100k", "1,000 notifications a publish", 2.0, 100_000),
    ("queued_100k", "10,000 notifications a publish", 0.6, 100_000),
    ("mixed_50k", "random subsets, five types", 3.0, 50_000),
    ("queued_500k", "500,000 values/s", 2.0, 500_000),
    ("encrypted_100k", "SignAndEncrypt", 2.0, 100_000),
)
GOALS: tuple[Goal, ...] = (
    *(Goal("edge_opcua", f"OPC UA, {what}: CPU a value", f"edge_opcua_{case}_cpu", us, "us") for case, what, us, _ in _OPCUA),
    *(Goal("edge_opcua", f"OPC UA, {what}: held", f"edge_opcua_{case}_arrived", HELD * rate, "values/s", True) for case, what, _, rate in _OPCUA),
    *(Goal("edge_opcua", f"OPC UA, {what}: lost or twice", f"edge_opcua_{case}_lost_or_twice", 0, "values") for case, what, _, _ in _OPCUA),
    Goal("edge_opcua", "OPC UA, 500,000 values/s: cores of the agent", "edge_opcua_queued_500k_cores_of_agent", 1.0, "cores"),
    Goal("edge_devices", "50 devices x 10 Hz x 20 metrics", "edge_devices_cpu", 15.0, "% of a core"),
    *(
        Goal("edge_failures", f"{words} ({server}): {what}", f"edge_failures_{case}{place}_{what}", 0, "values")
        for case, words in (("a", "broker down"), ("b", "agent killed"), ("d", "both"))
        for server, place in (("open62541", "_open62541"), ("node-opcua", ""))
        for what in ("missing", "twice")
    ),
    Goal("edge_failures", "PLC down three times: one gap record each", "edge_failures_c_gap_records", 3, "records"),
    Goal("edge_failures", "PLC (node-opcua) down: values again", "edge_failures_c_values_again_after_accept", 0.2, "s"),
    Goal("edge_failures", "PLC (open62541) down: values again", "edge_failures_c_open62541_values_again_after_accept", 0.2, "s"),
    Goal("edge_modbus", "Modbus reads beside pymodbus", "edge_modbus_ratio_of_goal", 1.5, "x", True),
    Goal("edge_backlog", "288,000 records drained", "edge_backlog_drained", 15.0, "s"),
    Goal("edge_backlog", "live beside the backlog, p95", "edge_backlog_live_p95", 1000.0, "ms"),
    Goal("edge_memory", "memory (RSS) at the end", "edge_memory_rss_at_end", 90.0, "MB"),
    Goal("edge_memory", "memory, slope", "edge_memory_slope", 1.0, "MB/h"),
    Goal("edge_restart", "kill -9 to publishing again", "edge_restart_kill_to_publishing_worst", 3.0, "s"),
    Goal("edge_restart", "1,000 tags subscribed after the start", "edge_restart_1000_tags_after_start_worst", 2.0, "s"),
    Goal("edge_latency", "PLC to broker, 10,000 values/s, p95", "edge_latency_quick_p95", 20.0, "ms"),
    *(Goal("ingest", f"stored, {n:,} values a message", f"ingest_stored_{n}_a_message", 200_000, "values/s", True) for n in (100, 1_000)),
    *(Goal("ingest", f"CPU a value, {n:,} a message", f"ingest_cpu_{n}_a_message", 5.0, "us") for n in (100, 1_000)),
    Goal("report", "durable reports, 50 clients", "report_rate_50_clients", 800.0, "reports/s", True),
    Goal("report", "durable reports, 50 clients, p99", "report_p99_50_clients", 120.0, "ms"),
)


def table(ran: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lines: each goal of the benchmarks that ran, with its figure and "met", "not met" or "not measured"."""
    figures, names = {one["name"]: float(one["figure"]) for one in rows}, set(ran)
    goals = [goal for goal in GOALS if goal.benchmark in names]
    if not goals:
        return []
    lines = [f"{'goal':64} {'figure':>12} {'':3}{'bound':>10} {'unit':12}"]
    for goal in goals:
        figure = figures.get(goal.row)
        verdict = "not measured" if figure is None else "met" if goal.is_met(figure) else "NOT MET"
        shown = "" if figure is None else f"{figure:,.2f}"
        lines.append(f"{goal.what:64} {shown:>12} {'≥' if goal.at_least else '≤':3}{goal.bound:>10,g} {goal.unit:12} {verdict}")
    return lines
