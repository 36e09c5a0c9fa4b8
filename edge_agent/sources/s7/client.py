"""One connection to a PLC. The only door to snap7 (python-snap7 3, pure Python): its ISO connection and its messages; the waiting is ours.

Its own client raises when one item of many is refused, retries by itself and reads an answer that comes late; here every item has its own
return code, and a time-out or an answer to another question ends the connection.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from typing import Any

try:
    from snap7.async_client import AsyncISOTCPConnection
    from snap7.error import S7Error, S7ProtocolError
    from snap7.s7protocol import S7Protocol
except ImportError as error:
    from edge_agent.errors import SourceMisconfigured

    raise SourceMisconfigured(
        "Siemens S7 needs the package python-snap7, which is not installed.",
        "读取西门子 S7 需要 python-snap7,尚未安装。",
        "Install it: pip install gemba-mes[s7]",
        "请安装:pip install gemba-mes[s7]",
    ) from error

from edge_agent.sources.bus.line import LineBroken
from edge_agent.sources.s7.config import S7Config
from edge_agent.sources.s7.plan import Piece

OK = 0xFF
_CONNECTIONS = {"pg": 1, "op": 2, "basic": 3}
_LOCAL_TSAP = 0x0100
# System status list "CPU mode transition" (Siemens, System Software for S7-300/400, W#16#0424): the low half of the record's 4th byte is the mode.
_SZL_MODE, _MODE_AT = 0x0424, 3
_STANDS_STILL = frozenset({1, 2, 3, 4, 0xA, 0xD, 0xF})  # the STOPs, HOLD, defective, off
_CODES: dict[int, str] = {  # S7 return codes of items; what a person does about them
    0x01: "hardware fault",
    0x03: "access denied: in TIA Portal allow PUT/GET (CPU > Protection & Security) and lower the protection level",
    0x05: "no such address: the block is shorter than that, or it has optimised access (switch it off in the block's attributes)",
    0x06: "the PLC does not know this data type",
    0x07: "wrong length for this data type",
    0x0A: "there is no such data block, or it has optimised access (switch it off in the block's attributes)",
}
_DENIED = (0x8104, 0x8500, 0xD602, 0x8704)  # header errors a CPU answers with where PUT/GET is off or a password is wanted


def words_of(code: int) -> str:
    return _CODES.get(code, f"refused with code {code:02X}H")


class S7Connection:
    def __init__(self, config: S7Config) -> None:
        self._config = config
        self._protocol = S7Protocol()
        self._link: AsyncISOTCPConnection | None = None
        self.pdu = config.pdu

    @property
    def where(self) -> str:
        return f"{self._config.host}:{self._config.port}"

    async def open(self) -> None:
        """Raises LineBroken."""
        config = self._config
        remote = _CONNECTIONS[config.connection] << 8 | config.rack << 5 | config.slot
        link = AsyncISOTCPConnection(config.host, config.port, _LOCAL_TSAP, remote)
        self._link = link
        try:
            await link.connect(config.timeout_s)
        except S7Error as error:
            await self.close()
            raise self._broken(str(error)) from error
        answer = await self._ask(self._protocol.build_setup_communication_request(1, 1, config.pdu))
        granted = (answer.get("parameters") or {}).get("pdu_length", 0)
        if not 112 <= granted <= config.pdu:
            await self.close()
            raise self._broken(f"it grants a PDU of {granted} bytes")
        self.pdu = granted

    async def close(self) -> None:
        """At once: a good-bye over a link that may be dead is not waited for."""
        link, self._link = self._link, None
        writer = getattr(link, "_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def read(self, pieces: Sequence[Piece]) -> list[bytes | int]:
        """Per piece its bytes, or the return code with which it was refused. Raises LineBroken."""
        answer = await self._ask(self._protocol.build_multi_read_request([(p.area, p.db, p.start, p.size) for p in pieces]))
        try:
            return _items(bytes(answer.get("raw_data") or b""), pieces)
        except (struct.error, IndexError, ValueError) as error:
            await self.close()
            raise self._broken(f"an answer that cannot be read ({error})") from error

    async def is_stopped(self) -> bool:
        """Whether the CPU says it is in STOP; a CPU that does not tell is taken for running. Raises LineBroken."""
        try:  # snap7's own get_cpu_state always says RUN
            answer = await self._ask(self._protocol.build_read_szl_request(_SZL_MODE, 0), refused_is_broken=False)
        except S7ProtocolError:
            return False
        record = bytes(self._protocol.parse_read_szl_response(answer)["data"])[4:]  # after length and count of records
        return len(record) > _MODE_AT and record[_MODE_AT] & 0x0F in _STANDS_STILL

    async def _ask(self, request: bytes, *, refused_is_broken: bool = True) -> dict[str, Any]:
        """The parsed answer. Raises LineBroken; with `refused_is_broken` off S7ProtocolError where the PLC refuses."""
        link = self._link
        if link is None:
            raise self._broken("not connected")
        try:
            async with asyncio.timeout(self._config.timeout_s):
                await link.send_data(request)
                data = await link.receive_data()
        except (TimeoutError, OSError, S7Error) as error:
            await self.close()
            raise self._broken("no answer in time" if isinstance(error, TimeoutError) or "imeout" in str(error) else str(error)) from error
        if len(data) >= 6 and data[4:6] != request[4:6]:
            await self.close()
            raise self._broken("an answer to another question")
        try:
            answer: dict[str, Any] = self._protocol.parse_response(data)
        except S7ProtocolError as error:
            if not refused_is_broken:
                raise
            await self.close()
            raise self._refused(error) from error
        except (struct.error, IndexError, ValueError, KeyError, TypeError) as error:
            await self.close()
            raise self._broken(f"an answer that cannot be read ({error})") from error
        return answer

    def _broken(self, words: str) -> LineBroken:
        return LineBroken(
            f"The PLC {self.where} cannot be read: {words}.",
            f"无法读取 PLC {self.where}:{words}。",
            "Check address, cable, rack and slot, and that the PLC has a connection free.",
            "请检查地址、网线、机架号和槽号,以及 PLC 是否还有空闲连接。",
        )

    def _refused(self, error: S7ProtocolError) -> LineBroken:
        if getattr(error, "error_code", 0) not in _DENIED:
            return self._broken(str(error))
        return LineBroken(
            f"The PLC {self.where} refuses to be read ({error}).",
            f"PLC {self.where} 拒绝读取({error})。",
            "In TIA Portal: CPU > Protection & Security > permit access with PUT/GET, and a protection level that allows reading; then download.",
            "请在 TIA Portal 的 CPU“防护与安全”中允许 PUT/GET 访问并设置允许读取的保护级别,然后下载。",
        )


def _items(raw: bytes, pieces: Sequence[Piece]) -> list[bytes | int]:
    """The data part of an answer: return code, transport size, length (bits for 3 to 5, else bytes), data filled to even."""
    out: list[bytes | int] = []
    at = 0
    for piece in pieces:
        code, transport, length = struct.unpack_from(">BBH", raw, at)
        at += 4
        if code != OK:
            out.append(code)
            continue
        size = (length + 7) // 8 if transport in (3, 4, 5) else length
        if size != piece.size or at + size > len(raw):
            raise ValueError(f"{size} bytes instead of {piece.size}")
        out.append(raw[at : at + size])
        at += size + size % 2
    return out
