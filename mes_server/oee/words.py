"""Words of losses, causes and the explanation beside every figure, zh and en. Pure."""

from __future__ import annotations

from mes_server.oee.rules import Figures, Parts

# loss class or waterfall key → zh, en
KEYS: dict[str, tuple[str, str]] = {
    "planned": ("计划时间", "Planned time"),
    "no_data": ("无数据", "No data"),
    "planned_stop": ("计划停机", "Planned stops"),
    "breakdown": ("故障", "Breakdowns"),
    "setup": ("换型", "Setup"),
    "material": ("待料/堵料", "Material"),
    "quality": ("质量等待", "Quality"),
    "other": ("其他", "Other"),
    "unexplained": ("未说明", "Unexplained"),
    "no_order": ("无工单", "No order"),
    "minor": ("微停", "Micro-stops"),
    "speed": ("降速", "Speed"),
    "scrap": ("报废", "Scrap"),
    "good": ("合格品理想时间", "Ideal time of good pieces"),
    "running": ("运行（节拍未设）", "Running (no ideal cycle set)"),
    # Pareto rows nobody gave a reason for
    "micro": ("微停", "Micro-stops"),
    "dont_know": ("还不知道", "Not known yet"),
    "state.fault": ("故障（未说明）", "Fault, not explained"),
    "state.setup": ("换型", "Setup"),
    "state.starved": ("待料", "Starved"),
    "state.blocked": ("堵料", "Blocked"),
    "state.maintenance": ("保养", "Maintenance"),
    "state.idle": ("空闲（未说明）", "Idle, not explained"),
    "state.stopped": ("停机（未说明）", "Stopped, not explained"),
    "state.off": ("关机（未说明）", "Switched off, not explained"),
}


def name(key: str) -> tuple[str, str]:
    return KEYS.get(key, (key, key))


def _s(ms: float) -> str:
    return f"{ms / 1000:,.0f} s"


def _pct(value: float | None) -> str:
    return "—" if value is None else f"{value * 100:.1f} %"


def how(parts: Parts, found: Figures, *, machines: int) -> tuple[str, str]:
    """The formula with this case's numbers, zh and en."""
    pbt, run = _s(parts.pbt_ms), _s(parts.pbt_ms - parts.stops_ms)
    if parts.pbt_ms <= 0:
        return (
            f"该时段没有已知的计划时间（计划 {_s(parts.elapsed_ms)}，已知 {_s(parts.known_ms)}），因此不给出 OEE。",
            f"No planned time of this window is known (planned {_s(parts.elapsed_ms)}, known {_s(parts.known_ms)}), so there is no OEE.",
        )
    share_zh = f"{machines} 台设备的时间相加后再相除。" if machines > 1 else ""
    share_en = f"Times of {machines} machines are added first, then divided. " if machines > 1 else ""
    extra = _s(parts.extra_ms)
    known_zh = f"PBT = 计划且已知 {_s(parts.known_ms)}" + (f" + 休息中生产 {extra}" if parts.extra_ms else "") + f" = {pbt}。"
    known_en = f"PBT = planned and known {_s(parts.known_ms)}" + (f" + output in breaks {extra}" if parts.extra_ms else "") + f" = {pbt}. "
    if parts.no_cycle:
        return (
            f"{known_zh}{share_zh}A = ({pbt} − 停机 {_s(parts.stops_ms)}) ÷ {pbt} = {_pct(found.tpm_a)}。"
            f"有 {parts.no_cycle} 件的节拍未设，因此不给出性能和 OEE。",
            f"{known_en}{share_en}A = ({pbt} − stops {_s(parts.stops_ms)}) ÷ {pbt} = {_pct(found.tpm_a)}. "
            f"{parts.no_cycle} pieces have no ideal cycle, so performance and OEE cannot be said.",
        )
    good, total = _s(parts.ideal_good_s * 1000), _s(parts.ideal_total_s * 1000)
    zh = (
        f"OEE = Σ(节拍×合格) {good} ÷ PBT {pbt} = {_pct(found.oee)}。{known_zh}{share_zh}"
        f"TPM：A = ({pbt} − 停机 {_s(parts.stops_ms)}) ÷ {pbt} = {_pct(found.tpm_a)}，P = Σ(节拍×总数) {total} ÷ {run} = {_pct(found.tpm_p)}，"
        f"Q = {good} ÷ {total} = {_pct(found.q)}；短于微停界限的停机计入 P。"
        f"ISO 22400-2：A = 生产 {_s(parts.apt_ms)} ÷ {pbt} = {_pct(found.a)}，P = {total} ÷ {_s(parts.apt_ms)} = {_pct(found.p)}。"
    )
    en = (
        f"OEE = Σ(cycle × good) {good} ÷ PBT {pbt} = {_pct(found.oee)}. {known_en}{share_en}"
        f"TPM: A = ({pbt} − stops {_s(parts.stops_ms)}) ÷ {pbt} = {_pct(found.tpm_a)}, P = Σ(cycle × total) {total} ÷ {run} = {_pct(found.tpm_p)}, "
        f"Q = {good} ÷ {total} = {_pct(found.q)}; stops below the micro-stop limit count in P. "
        f"ISO 22400-2: A = producing {_s(parts.apt_ms)} ÷ {pbt} = {_pct(found.a)}, P = {total} ÷ {_s(parts.apt_ms)} = {_pct(found.p)}."
    )
    return zh, en
