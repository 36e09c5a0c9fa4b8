"""Reading a Siemens PLC: every value of a device in as few requests as its PDU allows, each refused address by itself in words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

from edge_agent.errors import SourceMisconfigured
from edge_agent.sources.bus.line import LineBroken
from edge_agent.sources.bus.plc import PlcBus
from edge_agent.sources.bus.polling import Answer, PolledSource, Refused, metrics_of, polled
from edge_agent.sources.kind import Setup
from edge_agent.sources.polled import periods_s
from edge_agent.sources.s7.address import parse
from edge_agent.sources.s7.client import S7Connection, words_of
from edge_agent.sources.s7.codec import ValueInvalid, decode
from edge_agent.sources.s7.config import S7Config, S7Metric
from edge_agent.sources.s7.plan import Field, Plan, plan
from edge_agent.sources.source import Browsed

PLANS_MAX = 64


def make(setup: Setup) -> PolledSource:
    config, metrics = cast("S7Config", setup.config), metrics_of(setup, S7Metric)
    return polled(setup, S7Bus(config, metrics), periods_s(metrics, config))


class S7Bus(PlcBus[S7Connection]):
    """One PLC. `metrics`: device id -> metric key -> where."""

    def __init__(self, config: S7Config, metrics: Mapping[str, Mapping[str, S7Metric]]) -> None:
        super().__init__(S7Connection(config), config.check_cpu)
        self._config, self._metrics = config, metrics
        self._fields = {device: {key: Field(key, parse(metric.address)) for key, metric in mine.items()} for device, mine in metrics.items()}
        self._plans: dict[tuple[str, tuple[str, ...]], Plan] = {}
        self._alone: dict[str, set[str]] = {device: set() for device in metrics}

    async def open(self) -> None:
        await super().open()
        self._plans.clear()
        for alone in self._alone.values():
            alone.clear()

    def where(self, device_id: str, key: str) -> str:
        return self._metrics[device_id][key].address

    async def read(self, device_id: str, keys: Sequence[str]) -> Mapping[str, Answer]:
        await self._check_runs()
        out: dict[str, Answer] = {}
        refused = await self._read(device_id, keys, out)
        again = sorted(refused - self._alone[device_id])
        if again:  # one address may have drawn its neighbours with it: from now on each of them is asked for by itself
            self._alone[device_id] |= refused
            self._plans.clear()
            await self._read(device_id, again, out)
        return out

    async def _stands_still(self) -> bool:
        return await self._link.is_stopped()

    def _stopped(self) -> LineBroken:
        return LineBroken(
            f"The CPU of the PLC {self._link.where} is in STOP: its values stand still.",
            f"PLC {self._link.where} 的 CPU 处于 STOP,数值不再更新。",
            "Switch it to RUN; its diagnostics buffer says why it stopped.",
            "请切换到 RUN;停机原因见 CPU 诊断缓冲区。",
        )

    async def _read(self, device_id: str, keys: Sequence[str], out: dict[str, Answer]) -> set[str]:
        """Fills `out`; the keys whose bytes were refused."""
        wanted = self._plan(device_id, keys)
        data = [bytearray(region.end - region.start) for region in wanted.regions]
        codes: dict[int, int] = {}
        for request in wanted.requests:
            for piece, answer in zip(request, await self._link.read(request), strict=True):
                if isinstance(answer, int):
                    codes.setdefault(piece.region, answer)
                else:
                    data[piece.region][piece.at : piece.at + piece.size] = answer
        refused: set[str] = set()
        for number, region in enumerate(wanted.regions):
            for field in region.fields:
                if number in codes:
                    refused.add(field.key)
                    out[field.key] = Refused(words_of(codes[number]))
                    continue
                at = field.address.byte - region.start
                try:
                    out[field.key] = decode(field.address, bytes(data[number][at : at + field.address.size]))
                except ValueInvalid as error:
                    out[field.key] = Refused(str(error))
        return refused

    def _plan(self, device_id: str, keys: Sequence[str]) -> Plan:
        asked = (device_id, tuple(keys))
        found = self._plans.get(asked)
        if found is None:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            fields = (self._fields[device_id][key] for key in keys)
            found = plan(fields, self._link.pdu, max_hole=self._config.max_hole, alone=frozenset(self._alone[device_id]))
            self._plans[asked] = found
        return found

    async def browse(self) -> AsyncIterator[Browsed]:
        if self._metrics:
            raise SourceMisconfigured(
                "An S7 PLC does not tell the names of its variables over this protocol.",
                "S7 协议不提供变量名,无法浏览。",
                "Take the addresses from the program (TIA Portal: the block's offsets), or use the PLC's OPC UA server.",
                "请从程序中查地址(TIA Portal 数据块的偏移量),或使用 PLC 的 OPC UA 服务器。",
            )
        yield Browsed("", "", "", "")  # never reached: every source has devices; it makes this an async generator
