"""What the product says, through its public HTTP API, in the shapes the comparisons want."""

from __future__ import annotations

from typing import Any

from edge_agent.contract.clock import iso, parse_iso_ms
from simulators.compare import Gap
from simulators.operators import Api
from simulators.oracle import OeeTruth

WINDOW_MS = 20 * 86_400_000  # no endpoint is asked for more at once


async def counts(api: Api, from_ms: int, to_ms: int) -> dict[tuple[str, str], tuple[int, int]]:
    """(machine, operation) -> (good, scrap); the operation is "" for pieces nobody could be found for."""
    window: dict[str, Any] = {"from": iso(from_ms), "to": iso(to_ms)}
    rows = await api.pages("/counts", **window)
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for row in rows:
        key = (row["machine"], row["operation"] or "")
        good, scrap = found.get(key, (0, 0))
        found[key] = (good + row["good"], scrap + row["scrap"])
    return {key: pair for key, pair in found.items() if pair != (0, 0)}


async def orders(api: Api) -> dict[str, dict[str, Any]]:
    return {order["number"]: order for order in await api.pages("/work-orders", limit=200)}


def operations(found: dict[str, dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """ "WO-1001/20" -> (good, scrap), those with pieces."""
    every = {op["id"]: (op["good"], op["scrap"]) for order in found.values() for op in order["operations"]}
    return {key: pair for key, pair in every.items() if pair != (0, 0)}


async def states(api: Api, machine: str, from_ms: int, to_ms: int) -> list[tuple[int, int, str]]:
    """Contiguous stretches of the window; neighbours of the same state joined; `no_data` where the product does not know."""
    rows = await api.get("/states", machine=machine, **{"from": iso(from_ms), "to": iso(to_ms)})
    found: list[tuple[int, int, str]] = []
    for row in rows:
        begin = max(from_ms, parse_iso_ms(row["from"]))
        end = min(to_ms, parse_iso_ms(row["to"])) if row["to"] else to_ms
        state = row["state"] if row["known"] else "no_data"
        if begin >= end:
            continue
        if found and found[-1][2] == state and found[-1][1] == begin:
            found[-1] = (found[-1][0], end, state)
        else:
            found.append((begin, end, state))
    return found


def seconds(stretches: list[tuple[int, int, str]], from_ms: int, to_ms: int) -> dict[str, float]:
    """Seconds by state within a window, unknown ones left out."""
    sums: dict[str, float] = {}
    for begin, end, state in stretches:
        inside = min(end, to_ms) - max(begin, from_ms)
        if inside > 0 and state != "no_data":
            sums[state] = sums.get(state, 0.0) + inside / 1000.0
    return sums


async def oee(api: Api, machine: str, from_ms: int, to_ms: int) -> OeeTruth:
    record = await api.get("/oee", scope=f"machine:{machine}", **{"from": iso(from_ms), "to": iso(to_ms)})
    ratio = record["iso"]
    return OeeTruth(
        planned_s=record["planned_s"],
        pbt_s=record["pbt_s"],
        apt_s=record["apt_s"],
        aust_s=record["aust_s"],
        good=record["good"],
        scrap=record["scrap"],
        a=ratio["a"],
        p=ratio["p"],
        q=ratio["q"],
        oee=ratio["oee"],
    )


async def energy(api: Api, meter: str, from_ms: int, to_ms: int) -> tuple[float | None, float | None]:
    """(Wh, varh) of one meter."""
    summary = await api.get("/energy/summary", **{"from": iso(from_ms), "to": iso(to_ms)})
    row = next((one for one in summary["meters"] if one["meter"] == meter), None)
    return (None, None) if row is None else (row["wh"], row["varh"])


async def genealogy(api: Api, order: str) -> dict[tuple[str, str, str], float]:
    """(parent, child, operation) -> quantity of all edges next to an order."""
    trace = await api.get("/trace", code=order, kind="order", direction="both")
    if trace["truncated"]:
        raise RuntimeError(f"the trace of {order} was cut short")
    names = {node["id"]: node["code"] for node in trace["nodes"]}
    found: dict[tuple[str, str, str], float] = {}
    for edge in trace["edges"]:
        parent, child = names[edge["parent"]], names[edge["child"]]
        if order in (parent, child):
            key = (parent, child, edge["operation"])
            found[key] = found.get(key, 0.0) + edge["quantity"]
    return found


async def lots_of_serial(api: Api, serial: str) -> set[str]:
    """Every component lot that may be in a serial."""
    trace = await api.get("/trace", code=serial, kind="serial", direction="up")
    return {node["code"] for node in trace["nodes"] if node["kind"] == "lot"}


async def gaps(api: Api, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
    return await api.pages("/gaps", limit=500, **{"from": iso(from_ms), "to": iso(to_ms)})


def gap(row: dict[str, Any], from_ms: int, to_ms: int) -> Gap | None:
    """The part of a gap record inside the window; None when there is none."""
    begin, end = max(from_ms, parse_iso_ms(row["from"])), min(to_ms, parse_iso_ms(row["to"]))
    return Gap(row["device"], begin, end, row["cause"]) if begin < end else None
