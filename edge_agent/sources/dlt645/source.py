"""Reading DL/T 645-2007 meters: one identifier a request, follow-up frames, refusals in words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

from edge_agent.sources.bus.line import NoAnswer
from edge_agent.sources.bus.meters import MeterBus, Silent
from edge_agent.sources.bus.polling import Answer, PolledSource, Refused, metrics_of, polled
from edge_agent.sources.dlt645 import codec
from edge_agent.sources.dlt645.catalogue import KNOWN
from edge_agent.sources.dlt645.codec import ANY_ADDRESS, BadFrame, Format, Frame
from edge_agent.sources.dlt645.config import Dlt645Config, Dlt645Metric
from edge_agent.sources.dlt645.kind import form_of
from edge_agent.sources.kind import Setup
from edge_agent.sources.polled import periods_s
from edge_agent.sources.source import Browsed

BLOCKS_MAX = 255
SILENT_MAX = 2  # values of one device without any answer in a row: it is the device


def make(setup: Setup) -> PolledSource:
    config, metrics = cast("Dlt645Config", setup.config), metrics_of(setup, Dlt645Metric)
    return polled(setup, Dlt645Bus(config, metrics), periods_s(metrics, config))


class Dlt645Bus(MeterBus):
    """The meters of one line. `metrics`: device id -> its resolved metrics."""

    def __init__(self, config: Dlt645Config, metrics: Mapping[str, Mapping[str, Dlt645Metric]]) -> None:
        super().__init__(config)
        self._config, self._metrics = config, metrics

    def where(self, device_id: str, key: str) -> str:
        return f"{self._config.devices[device_id].address} {self._metrics[device_id][key].id}"

    async def read(self, device_id: str, keys: Sequence[str]) -> Mapping[str, Answer]:
        out: dict[str, Answer] = {}
        silent = 0
        address = self._config.devices[device_id].address
        for key in keys:
            metric = self._metrics[device_id][key]
            try:
                out[key] = await self._value(address, str(metric.id), form_of(metric))
                silent = 0
            except Silent as error:
                silent += 1
                if silent >= min(SILENT_MAX, len(keys)):
                    raise self._no_answer(address) from error
                out[key] = Refused("no answer to this identifier / 该数据标识无应答")
        return out

    def _no_answer(self, address: str) -> NoAnswer:
        where = self._config.where
        return NoAnswer(
            f"Meter {address} on {where} does not answer.",
            f"{where} 上的电表 {address} 无应答。",
            "Check its address, the wires A and B, baud rate and parity (usually 2400 8E1).",
            "请检查表地址、A/B 接线、波特率和校验(一般为 2400 8E1)。",
        )

    async def _value(self, address: str, data_id: str, form: Format) -> Answer:
        data = await self._data(address, data_id)
        if isinstance(data, Refused):
            return data
        try:
            return form.decode(data)
        except BadFrame as error:
            return Refused(f"answered {data.hex(' ')}: {error}")

    async def _data(self, address: str, data_id: str) -> bytes | Refused:
        """Data behind the identifier, of all blocks. Raises Silent, LineBroken."""
        wanted = bytes.fromhex(data_id)[::-1]
        frame = await self._ask(address, codec.read_request(address, data_id), codec.READ, wanted)
        data = frame.data[4:]
        for block in range(1, BLOCKS_MAX + 1):
            if frame.is_refused:
                return Refused(" / ".join(codec.refusal(frame)))
            if not frame.more:
                return data
            # A block carries its number behind the data (chapter 7.2.2).
            frame = await self._ask(address, codec.read_request(address, data_id, block), codec.READ_MORE, wanted, bytes((block,)))
            data += frame.data[4:-1]
        return Refused("the answer has no end / 后续帧没有结尾")

    async def _ask(self, address: str, request: bytes, function: int, begins: bytes, ends: bytes = b"") -> Frame:
        """The answer that fits the question; an echo and answers to earlier questions are passed over."""

        def find(buffer: bytearray) -> Frame | None:
            while (frame := codec.take(buffer)) is not None:
                fits = frame.is_refused or (frame.data.startswith(begins) and frame.data[len(begins) :].endswith(ends))
                if frame.is_answer and frame.function == function and fits and _is(frame.address, address):
                    return frame
            return None

        return await self._put((codec.PREAMBLE if self._config.preamble else b"") + request, find)

    async def browse(self) -> AsyncIterator[Browsed]:
        """Each meter's known values; where the address is not known, the meter that is alone on the line says it."""
        for device_id, device in self._config.devices.items():
            address = device.address
            try:
                if "A" in address:
                    frame = await self._ask(ANY_ADDRESS, codec.build(ANY_ADDRESS, codec.READ_ADDRESS), codec.READ_ADDRESS, b"")
                    address = frame.address if frame.is_refused else frame.data[::-1].hex()
                    yield Browsed(device_id, f'address = "{address}"', "address", address)
                for key, known in KNOWN.items():
                    value = await self._value(address, known.id, known.format)
                    if not isinstance(value, Refused) and value is not None:
                        yield Browsed(f"{device_id} {known.en} / {known.zh}", key, "number", f"{float(value) * known.scale:g}")
            except Silent as error:
                raise self._no_answer(address) from error


def _is(address: str, asked: str) -> bool:
    """Whether the answering meter is the one that was asked; A stands for any digit."""
    return all(want in ("A", have) for want, have in zip(asked.rjust(12, "0").upper(), address, strict=True))
