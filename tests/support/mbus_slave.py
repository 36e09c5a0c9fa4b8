"""M-Bus meters of our own for tests: they answer with recorded telegrams, or with telegrams built here, on a TCP port or a pseudo terminal.

with MbusSlave() as slave: slave.record(5, [telegram_hex, …]) or slave.put(5, energy_wh=1000, power_w=50)
Primary and secondary addressing, SND_NKE, frame count bit. Frames are built by hand here, not by the product's codec.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.support.bus_slave import Slave


def long_frame(control: int, address: int, rest: bytes) -> bytes:
    body = bytes([control, address]) + rest
    return bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) % 256, 0x16])


@dataclass
class Meter:
    """`telegrams`: from CI on. `at`: which one was sent last; `bit`: with which frame count bit."""

    telegrams: list[bytes] = field(default_factory=list)
    at: int = -1
    bit: int | None = None
    greeted: int = 0
    asked: int = 0


class MbusSlave(Slave):
    """`meters` by primary address; those in `silent` say nothing."""

    def __init__(self, *, use_pty: bool = False) -> None:
        super().__init__(self._respond, use_pty=use_pty)
        self.meters: dict[int, Meter] = {}
        self.silent: set[int] = set()
        self.selected: int | None = None
        self.echo = False

    def record(self, address: int, telegrams: list[str]) -> None:
        """Whole recorded frames (hex); they are sent with this slave's address."""
        self.meters.setdefault(address, Meter()).telegrams = [bytes.fromhex(text)[6:-2] for text in telegrams]

    def put(self, address: int, energy_wh: int, power_w: float = 0.0) -> None:
        """An electricity meter with the id 10000000 + address."""
        identity = bytes.fromhex(f"{10_000_000 + address:08d}")[::-1]
        head = b"\x72" + identity + b"\x2d\x2c\x01\x02\x00\x00\x00\x00"
        data = b"\x04\x03" + energy_wh.to_bytes(4, "little") + b"\x05\x2b" + struct.pack("<f", power_w)
        self.meters.setdefault(address, Meter()).telegrams = [head + data]

    def _respond(self, buffer: bytearray) -> bytes:
        out = b""
        while buffer:
            if buffer[0] == 0x10 and len(buffer) >= 5:
                raw = bytes(buffer[:5])
            elif buffer[0] == 0x68 and len(buffer) >= 4 and len(buffer) >= buffer[1] + 6:
                raw = bytes(buffer[: buffer[1] + 6])
            elif buffer[0] in (0x10, 0x68):
                break
            else:
                del buffer[:1]
                continue
            del buffer[: len(raw)]
            out += (raw if self.echo else b"") + (self._short(raw[1], raw[2]) if raw[0] == 0x10 else self._long(raw[4:-2]))
        return out

    def _addressed(self, address: int) -> int | None:
        if address == 253:
            address = self.selected if self.selected is not None else -1
        if address == 254 and len(self.meters) == 1:
            address = next(iter(self.meters))
        return address if address in self.meters and address not in self.silent else None

    def _short(self, control: int, asked: int) -> bytes:
        address = self._addressed(asked)
        if address is None:
            return b""
        meter = self.meters[address]
        if control == 0x40:
            meter.greeted += 1
            meter.at, meter.bit = -1, None
            return b"\xe5"
        if control & 0xCF != 0x4B:
            return b""
        meter.asked += 1
        if meter.bit != control & 0x20:
            meter.at = (meter.at + 1) % len(meter.telegrams)
            meter.bit = control & 0x20
        return long_frame(0x08, address, meter.telegrams[meter.at])

    def _long(self, body: bytes) -> bytes:
        if body[:3] != b"\x53\xfd\x52":
            return b""
        wanted = body[3:11]
        fits = [one for one, meter in self.meters.items() if one not in self.silent and _is(meter.telegrams[0][1:9], wanted)]
        self.selected = fits[0] if len(fits) == 1 else None
        if self.selected is not None:
            self.meters[self.selected].at, self.meters[self.selected].bit = -1, None
        return b"\xe5" if fits else b""


def _is(have: bytes, wanted: bytes) -> bool:
    digits = all(b in ("f", a) for a, b in zip(have[:4].hex(), wanted[:4].hex(), strict=True))
    return digits and all(b in (0xFF, a) for a, b in zip(have[4:], wanted[4:], strict=True))
