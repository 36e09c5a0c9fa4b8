"""Reading a Logix controller: tags by name in multiple service packets, each refused tag by itself in words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

from edge_agent.errors import SourceMisconfigured
from edge_agent.sources.bus.line import LineBroken
from edge_agent.sources.bus.plc import PlcBus
from edge_agent.sources.bus.polling import Answer, PolledSource, Refused, metrics_of, polled
from edge_agent.sources.enip import cip
from edge_agent.sources.enip.client import EnipConnection
from edge_agent.sources.enip.config import EnipConfig, EnipMetric
from edge_agent.sources.enip.plan import groups
from edge_agent.sources.enip.tags import TagPath, parse, symbol
from edge_agent.sources.kind import Setup
from edge_agent.sources.polled import periods_s
from edge_agent.sources.source import Browsed

TOO_LARGE = (0x06, 0x11)
LIST_ROUNDS_MAX = 10_000


def make(setup: Setup) -> PolledSource:
    config, metrics = cast("EnipConfig", setup.config), metrics_of(setup, EnipMetric)
    return polled(setup, EnipBus(config, metrics), periods_s(metrics, config))


class EnipBus(PlcBus[EnipConnection]):
    """One controller. `metrics`: device id -> metric key -> tag."""

    def __init__(self, config: EnipConfig, metrics: Mapping[str, Mapping[str, EnipMetric]]) -> None:
        super().__init__(EnipConnection(config), config.check_mode)
        self._config, self._metrics = config, metrics
        self._paths: dict[str, TagPath] = {metric.tag: parse(metric.tag) for mine in metrics.values() for metric in mine.values()}
        self._requests = {tag: cip.read_tag(found.path) for tag, found in self._paths.items()}
        self._asked = {tag: len(request) for tag, request in self._requests.items()}
        self._answered: dict[str, int] = {}  # tag -> bytes of its last answer

    def where(self, device_id: str, key: str) -> str:
        return self._metrics[device_id][key].tag

    async def read(self, device_id: str, keys: Sequence[str]) -> Mapping[str, Answer]:
        await self._check_runs()
        tags = list(dict.fromkeys(self._metrics[device_id][key].tag for key in keys))
        together = [[tag] for tag in tags] if self._config.one_request_per_tag else groups(tags, self._asked, self._answered)
        found: dict[str, Answer] = {}
        for group in together:
            await self._read(group, found)
        return {key: found[self._metrics[device_id][key].tag] for key in keys}

    async def _read(self, group: list[str], found: dict[str, Answer]) -> None:
        answers = await self._link.ask_all([self._requests[tag] for tag in group])
        again = [tag for tag, answer in zip(group, answers, strict=True) if answer.status in TOO_LARGE]
        for tag, answer in zip(group, answers, strict=True):
            self._answered[tag] = len(answer.data) + 4
            found[tag] = self._value(tag, answer)
        if again and len(group) > 1:  # together they did not fit
            for tag in again:
                await self._read([tag], found)

    def _value(self, tag: str, answer: cip.Reply) -> Answer:
        if answer.status != cip.OK:
            return Refused(answer.words())
        try:
            return cip.value(answer.data, self._paths[tag].bit)
        except cip.ValueInvalid as error:
            return Refused(str(error))

    async def _stands_still(self) -> bool:
        answer = await self._link.ask(cip.identity_status())
        return answer.status == cip.OK and cip.in_program_mode(answer.data)

    def _stopped(self) -> LineBroken:
        return LineBroken(
            f"The controller {self._link.where} is in program mode: its values stand still.",
            f"控制器 {self._link.where} 处于编程模式,数值不再更新。",
            "Switch it to Run or Remote Run.",
            "请切换到 Run 或 Remote Run。",
        )

    # --- what there is ---------------------------------------------------------------------------------------------------------
    async def browse(self) -> AsyncIterator[Browsed]:
        """The controller's tags and those of its programs; atomic ones with their value."""
        programs: list[str] = [""]
        while programs:
            program = programs.pop(0)
            for name, kind in await self._symbols(program):
                if name.startswith("Program:"):
                    programs.append(name)
                    continue
                if name.startswith("__") or ":" in name or kind & 0x1000:  # the system's own, modules
                    continue
                tag = f"{program}.{name}" if program else name
                yield Browsed(tag, tag + "[0]" * (kind >> 13 & 3), cip.type_name(kind), await self._shown(tag, kind))

    async def _shown(self, tag: str, kind: int) -> str:
        if kind & 0xE000:
            return ""
        answer = await self._link.ask(cip.read_tag(parse(tag).path))
        try:
            return str(cip.value(answer.data)) if answer.status == cip.OK else answer.words()
        except cip.ValueInvalid as error:
            return str(error)

    async def _symbols(self, program: str) -> list[tuple[str, int]]:
        out: list[tuple[str, int]] = []
        start = 0
        for _ in range(LIST_ROUNDS_MAX):
            answer = await self._link.ask(cip.list_tags(symbol(program) if program else b"", start))
            if answer.status not in (cip.OK, cip.PARTIAL):
                raise SourceMisconfigured(
                    f"The controller {self._link.where} does not list its tags: {answer.words()}.",
                    f"控制器 {self._link.where} 不提供标签列表:{answer.words()}。",
                    "Take the names from the program (Studio 5000: Controller Tags).",
                    "请从程序中查标签名(Studio 5000 的 Controller Tags)。",
                )
            found = cip.symbols(answer.data)
            out += [(name, kind) for _, name, kind in found]
            if answer.status == cip.OK or not found:
                break
            start = found[-1][0] + 1
        return out
