"""DL/T 645-2007 meters of our own for tests: they answer on a TCP port or a pseudo terminal as the standard says.

with Dlt645Slave({"123456789012": {}}) as slave: slave.put("123456789012", "00010000", 12345.67); slave.port
The frames are built here by hand, not by the product's codec, so that the two do not agree on a mistake.
"""

from __future__ import annotations

from tests.support.bus_slave import Slave

FORMATS = {"00": (8, 2), "0201": (4, 1), "0202": (6, 3), "0203": (6, 4), "0204": (6, 4), "0206": (4, 3), "02800002": (4, 2), "02FE": (8, 2)}


def bcd(value: float, digits: int, decimals: int) -> bytes:
    raw = bytearray.fromhex(f"{round(abs(value) * 10**decimals):0{digits}d}")
    if value < 0:
        raw[0] |= 0x80
    return bytes(reversed(raw))


def frame(address: str, control: int, data: bytes) -> bytes:
    body = b"\x68" + bytes(reversed(bytes.fromhex(address))) + b"\x68" + bytes([control, len(data)]) + bytes((x + 0x33) % 256 for x in data)
    return body + bytes([sum(body) % 256, 0x16])


class Dlt645Slave(Slave):
    """`meters`: address -> identifier -> data bytes. A meter in `silent` says nothing; `split` cuts answers into blocks of so many bytes."""

    def __init__(self, addresses: tuple[str, ...] = ("123456789012",), *, use_pty: bool = False) -> None:
        super().__init__(self._respond, use_pty=use_pty)
        self.meters: dict[str, dict[str, bytes]] = {address: {} for address in addresses}
        self.silent: set[str] = set()
        self.mute: set[str] = set()  # identifiers that get no answer at all
        self.split = 0
        self.echo = False  # a two-wire converter that gives back what was sent
        self.asked: list[tuple[str, int, str]] = []

    def put(self, address: str, data_id: str, value: float) -> None:
        digits, decimals = next(form for prefix, form in FORMATS.items() if data_id.startswith(prefix))
        self.meters[address][data_id] = bcd(value, digits, decimals)

    def _respond(self, buffer: bytearray) -> bytes:
        out = b""
        while True:
            start = buffer.find(0x68)
            if start < 0 or len(buffer) < start + 12 or len(buffer) < start + 12 + buffer[start + 9]:
                return out
            raw = bytes(buffer[start : start + 12 + buffer[start + 9]])
            del buffer[: start + len(raw)]
            out += (raw if self.echo else b"") + self._answer_to(raw)

    def _answer_to(self, raw: bytes) -> bytes:
        if raw[-1] != 0x16 or sum(raw[:-2]) % 256 != raw[-2]:
            return b""
        wanted = bytes(reversed(raw[1:7])).hex().upper()
        fits = [one for one in self.meters if all(a in ("A", b) for a, b in zip(wanted, one, strict=True))]
        if len(fits) != 1 or fits[0] in self.silent:
            return b""
        address, control = fits[0], raw[8]
        data = bytes((x - 0x33) % 256 for x in raw[10:-2])
        if control == 0x13:
            return b"\xfe" * 4 + frame(address, 0x93, bytes(reversed(bytes.fromhex(address))))
        data_id = bytes(reversed(data[:4])).hex().upper()
        self.asked.append((address, control, data_id))
        if data_id in self.mute:
            return b""
        value = self.meters[address].get(data_id)
        if value is None:
            return b"\xfe\xfe" + frame(address, control | 0xC0, b"\x02")
        block = data[4] if control == 0x12 else 0
        size = self.split or len(value)
        part, rest = value[block * size : (block + 1) * size], value[(block + 1) * size :]
        number = bytes([block]) if control == 0x12 else b""
        return b"\xfe" * 4 + frame(address, control | 0x80 | (0x20 if rest else 0), data[:4] + part + number)
