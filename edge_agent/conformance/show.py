"""Verdicts in words for a terminal, and the table of statements as a page of the manual."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from edge_agent.conformance.statements import Rule, rules
from edge_agent.conformance.verdicts import Verdict
from edge_agent.contract.clock import iso

_SHOWN_IDS = 3


def report(verdicts: Sequence[Verdict], lang: str) -> list[str]:
    """Lines: for every subject what is broken with its first proofs, then how much held and what was not to be seen."""
    zh = lang == "zh"
    lines: list[str] = []
    for (role, subject), group in groupby(verdicts, key=lambda one: (one.role, one.subject)):
        mine = list(group)
        count = {status: sum(one.status == status for one in mine) for status in ("pass", "fail", "advice", "not seen")}
        what = {"edge": "边缘节点" if zh else "edge node", "host": "主机应用" if zh else "host application"}[role]
        if subject.startswith("→"):
            what = "命令" if zh else "commands"
        lines.append(f"{what} {subject}")
        for verdict in mine:
            if verdict.status in ("fail", "advice"):
                lines += _broken(verdict, zh)
        totals = (
            f"  符合 {count['pass']},违反 {count['fail']},建议 {count['advice']},未观察到 {count['not seen']}"
            if zh
            else f"  {count['pass']} hold, {count['fail']} fail, {count['advice']} advice, {count['not seen']} not seen"
        )
        lines.append(totals)
    if not lines:
        lines = [
            "没有看到边缘节点或主机应用。请检查代理地址、组号与权限。"
            if zh
            else "No edge node or host application was seen. Check address, group and rights."
        ]
    return lines


def _broken(verdict: Verdict, zh: bool) -> list[str]:
    rule = verdict.rule
    mark = {"fail": "违反" if zh else "FAIL", "advice": "建议" if zh else "advice"}[verdict.status]
    ids = ", ".join(rule.ids[:_SHOWN_IDS]) + (" …" if len(rule.ids) > _SHOWN_IDS else "")
    times = f"{verdict.broken} 次" if zh else f"{verdict.broken}×"
    lines = [f"  {mark}  {rule.words('zh' if zh else 'en')}  ({times})  [{ids}]"]
    lines += [f"        {iso(one.at_ms)}  {one.topic}  {one.found}" for one in verdict.evidence]
    return lines


def failures(verdicts: Iterable[Verdict]) -> int:
    return sum(one.status == "fail" for one in verdicts)


_HOW = {
    "passive": ("by listening", "旁听"),
    "rebirth": ("after a rebirth request", "重生请求后"),
    "proxy": ("proxy", "代理模式"),
    "none": ("not graded", "不评分"),
}
_ROLES = {"edge": ("Edge nodes", "边缘节点"), "host": ("Host applications", "主机应用"), "server": ("Brokers", "代理")}
_HEAD = (
    "# Sparkplug B 3.0, statement by statement\n\nMade from `edge_agent/conformance/statements.toml` by `python -m edge_agent.conformance.show en`. "
    "One rule a line;\nlabels are the standard's, without their prefix `tck-id-`. "
    "How to grade a plant: [Sparkplug, brokers and credentials](sparkplug.md).",
    "# Sparkplug B 3.0 逐条对照表\n\n由 `edge_agent/conformance/statements.toml` 生成(`python -m edge_agent.conformance.show zh`)。每行一条规则;\n"
    "编号为标准的标签,省略前缀 `tck-id-`。如何检查一个工厂:[Sparkplug、代理与凭据](sparkplug.md)。",
)
_COLUMNS = ("rule | level | graded | own test / why not | labels", "规则 | 级别 | 如何评分 | 自有测试 / 不评分的原因 | 标准编号")


def page(lang: str) -> str:
    """The table of statements in Markdown."""
    at = int(lang == "zh")
    out = [_HEAD[at]]
    for role, title in _ROLES.items():
        out += ["", f"## {title[at]}", "", f"| {_COLUMNS[at]} |", "|---|---|---|---|---|"]
        out += [_row(rule, _HOW[rule.how][at], bool(at)) for rule in rules().values() if rule.role == role]
    return "\n".join(out) + "\n"


def _row(rule: Rule, how: str, zh: bool) -> str:
    tests = "<br>".join(f"`{one.rpartition('/')[2]}`" for one in rule.tests)
    notes = "<br>".join(one for one in (tests, rule.why) if one)
    return f"| {rule.words('zh' if zh else 'en')} | {rule.level} | {how} | {notes} | {', '.join(rule.ids)} |"


if __name__ == "__main__":
    import sys

    sys.stdout.write(page(sys.argv[1] if len(sys.argv) > 1 else "en"))
