"""Reading M-Bus meters: greet or select, then REQ_UD2 with its frame count bit, telegram after telegram."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar, cast

from edge_agent.config_model import ROLES
from edge_agent.errors import EdgeError
from edge_agent.sources.bus.line import NoAnswer
from edge_agent.sources.bus.meters import MeterBus, Silent
from edge_agent.sources.bus.polling import Answer, PolledSource, Refused, metrics_of, polled
from edge_agent.sources.kind import Setup
from edge_agent.sources.mbus import frames, records, select
from edge_agent.sources.mbus.config import MbusConfig, MbusDevice, MbusMetric
from edge_agent.sources.mbus.frames import Ack, Frame, Long
from edge_agent.sources.mbus.records import ApplicationError, BadTelegram, Header, Record
from edge_agent.sources.mbus.select import Wanted
from edge_agent.sources.source import Browsed

T = TypeVar("T", bound=Frame)


def make(setup: Setup) -> PolledSource:
    config, metrics = cast("MbusConfig", setup.config), metrics_of(setup, MbusMetric)
    periods_s = {device: dict.fromkeys(mine, config.devices[device].period_s or config.period_s) for device, mine in metrics.items()}
    return polled(setup, MbusBus(config, metrics), periods_s)


class MbusBus(MeterBus):
    """The meters of one line. `metrics`: device id -> its metrics."""

    def __init__(self, config: MbusConfig, metrics: Mapping[str, Mapping[str, MbusMetric]]) -> None:
        super().__init__(config)
        self._config, self._metrics = config, metrics

    def where(self, device_id: str, key: str) -> str:
        metric = self._metrics[device_id][key]
        what = f"record {metric.record}" if metric.record is not None else metric.quantity or select.KNOWN[key].quantity
        return f"{_address(self._config.devices[device_id])} {what}"

    # --- values --------------------------------------------------------------------------------------------------------------
    async def read(self, device_id: str, keys: Sequence[str]) -> Mapping[str, Answer]:
        try:
            _, found = await self._readout(self._config.devices[device_id])
        except (ApplicationError, BadTelegram) as error:
            return dict.fromkeys(keys, Refused(f"the meter answered: {error} / 表计应答:{error}"))
        return {key: _answer(key, self._metrics[device_id][key], found) for key in keys}

    async def browse(self) -> AsyncIterator[Browsed]:
        """Every record of every configured meter; `node` is what the config needs for it."""
        for device_id, device in self._config.devices.items():
            try:
                header, found = await self._readout(device)
            except (ApplicationError, BadTelegram) as error:
                raise EdgeError(f"{device_id}: the meter answered: {error}.", f"{device_id}:表计应答:{error}。") from error
            about = f"{header.manufacturer} {header.medium_name}, version {header.version}".strip()
            yield Browsed(device_id, f'secondary = "{header.id}"', about, header.id)
            for number, record in enumerate(found):
                name = next(iter(select.names_of(found, record)), None)
                unit, value = select.ours(record)
                shown = "" if value is None else f"{value:.12g}" if isinstance(value, float) else value
                yield Browsed(f"{device_id} {select.words(record)}", name or f"record = {number}", unit or "-", shown)

    # --- the exchange --------------------------------------------------------------------------------------------------------
    async def _readout(self, device: MbusDevice) -> tuple[Header, list[Record]]:
        """All telegrams of a meter. Raises NoAnswer, LineBroken, BadTelegram, ApplicationError."""
        found: list[Record] = []
        try:
            address = await self._reach(device)
            control = frames.REQ_UD2 | frames.FCB
            for _ in range(self._config.telegrams_max):
                # The same frame count bit again makes the meter repeat its telegram; the other one asks for the next.
                frame = await self._ask(frames.short(control, address), Long, lambda frame: _answers(frame, address, device))
                telegram = records.decode(frame)
                found += telegram.records
                if not telegram.more:
                    break
                control ^= frames.FCB
        except Silent as error:
            raise self._no_answer(device) from error
        return telegram.header, found

    async def _reach(self, device: MbusDevice) -> int:
        """The address to ask: the meter's own, or 253 once it is selected (which deselects whoever was before)."""
        if device.secondary is None:
            address = device.primary if device.primary is not None else frames.ANY_ONE
            if self._config.greet:
                await self._ask(frames.short(frames.SND_NKE, address), Ack, _any)
            return address
        await self._ask(frames.select(_pack(device.secondary)), Ack, _any)
        return frames.SELECTED

    async def _ask(self, request: bytes, kind: type[T], fits: Callable[[T], bool]) -> T:
        """The answer of this kind that fits; an echo and what fits another question are passed over. Raises Silent, LineBroken."""

        def find(buffer: bytearray) -> T | None:
            while (frame := frames.take(buffer)) is not None:
                if isinstance(frame, kind) and fits(frame):
                    return frame
            return None

        return await self._put(request, find)

    def _no_answer(self, device: MbusDevice) -> NoAnswer:
        address, where = _address(device), self._config.where
        return NoAnswer(
            f"M-Bus meter {address} on {where} does not answer.",
            f"{where} 上的 M-Bus 表 {address} 无应答。",
            "Check its address, the two wires, the level converter's supply, and the baud rate (usually 2400 8E1).",
            "请检查表地址、两线、电平转换器供电和波特率(一般为 2400 8E1)。",
        )


def _any(frame: Ack) -> bool:
    return True


def _address(device: MbusDevice) -> str:
    return device.secondary or str(device.primary)


def _answers(frame: Long, address: int, device: MbusDevice) -> bool:
    """Whether this is the answer of the meter that was asked: by its primary address, or by the id in its header."""
    if not frame.is_answer:
        return False
    if device.secondary is not None:
        if frame.ci not in (0x72, 0x73, 0x76, 0x77):
            return True
        have = frame.data[3::-1].hex().upper()
        return all(want in ("F", digit) for want, digit in zip(device.secondary[:8].upper(), have, strict=False))
    return address == frames.ANY_ONE or frame.address == address


def _pack(secondary: str) -> bytes:
    """8 bytes as on the wire: id low first, then manufacturer, version and medium in the order in which they are written."""
    whole = bytes.fromhex(secondary.ljust(16, "F"))
    return whole[3::-1] + whole[4:]


def _answer(key: str, metric: MbusMetric, found: Sequence[Record]) -> Answer:
    if metric.record is not None:
        record = found[metric.record] if metric.record < len(found) else None
    else:
        try:
            record = select.find(found, _wanted(key, metric))
        except select.SeveralTariffs as error:
            return Refused(str(error))
    if record is None:
        return Refused("the meter has no such record; `browse` lists them / 表计没有该记录,可用 `browse` 查看")
    value = select.ours(record)[1]
    if isinstance(value, str) and key in ROLES and key.startswith("energy"):
        return Refused(f"{value!r} is no number / {value!r} 不是数字")
    return value


def _wanted(key: str, metric: MbusMetric) -> Wanted:
    known = select.KNOWN.get(key)
    qualifiers = known.qualifiers if known is not None and metric.quantity in (None, known.quantity) else ((),)
    if metric.qualifier is not None:
        qualifiers = (tuple(part.strip() for part in metric.qualifier.split(",") if part.strip()),)
    return Wanted(
        metric.quantity or (known.quantity if known is not None else ""),
        qualifiers,
        metric.function,
        metric.storage,
        metric.tariff if metric.tariff is not None else known.tariff if known is not None else None,
        metric.subunit,
    )
