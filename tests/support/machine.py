"""A machine that makes parts on the test PLC until it is stopped: the truth of the fault tests."""

from __future__ import annotations

import threading
import time

from asyncua import ua

from tests.support.edge import Plc

FIRST = 65_400  # a 16 bit counter rolls over on the way
METRICS = 'state = { node = "s=State" }\ngood = { node = "s=Good", width_bits = 16, decrease = "rollover" }\nspeed_rpm = { node = "s=Speed" }'
METRICS_32 = 'state = { node = "s=State" }\ngood = { node = "s=Good", width_bits = 32 }\nspeed_rpm = { node = "s=Speed" }'
MORE = "min_cycle_s = 0.02"


class Machine(threading.Thread):
    """Makes parts until stopped; `made` is the truth. `bits`: width of the counter, which begins at `first`."""

    def __init__(self, plc: Plc, seconds_a_part: float = 0.02, *, first: int = FIRST, bits: int = 16) -> None:
        super().__init__(daemon=True)
        self._plc, self._pause_s = plc, seconds_a_part
        self._end = threading.Event()
        self.hold = threading.Lock()
        self.first, self._modulus = first, 1 << bits
        self.made = 0
        plc.add("SAW-01.State", 6, ua.VariantType.Int32)
        plc.add("SAW-01.Good", first, ua.VariantType.UInt16 if bits == 16 else ua.VariantType.UInt32)
        plc.add("SAW-01.Speed", 0.0, ua.VariantType.Double)

    def run(self) -> None:
        while not self._end.wait(self._pause_s):
            with self.hold:
                self.made += 1
                now_ms = int(time.time() * 1000)
                producing = 6 if self.made % 7 else 5
                self._plc.set_many(
                    [
                        ("SAW-01.Good", (self.first + self.made) % self._modulus, now_ms),
                        ("SAW-01.State", producing, now_ms),
                        ("SAW-01.Speed", float(self.made), now_ms),
                    ]
                )

    def stop(self) -> None:
        self._end.set()
        if self.ident is not None:
            self.join(10)
