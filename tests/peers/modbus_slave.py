"""A meter that nobody of this project wrote: pyModbusTCP's slave, values put into registers by that library's own tools.

    python modbus_slave.py PORT - '{"energy": 1000}'

Prints {"ready": true} when it listens. Then one JSON order a line on stdin, one JSON answer a line on stdout after "= ":
    {"set": {"energy": 1234}}   puts values;        {"get": ["energy"]} -> {"energy": {"value": 1234}}, read back from the registers
    {"refuse": ["power"]}       these registers give exception 2 (illegal data address) from now on
    {"busy": 2}                 the next requests give exception 6 (device busy)
    {"asked": true}             -> how many requests came
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pyModbusTCP import utils
from pyModbusTCP.constants import EXP_DATA_ADDRESS, EXP_SLAVE_DEVICE_BUSY
from pyModbusTCP.server import DataHandler, ModbusServer

# name -> (holding or input register, address, float or whole, 32 or 64 bit, most significant word first)
MAP: dict[str, tuple[str, int, type, int, bool]] = {
    "power": ("holding", 10, float, 32, True),
    "voltage": ("holding", 20, float, 32, False),
    "energy": ("holding", 30, int, 64, True),
    "energy_back": ("input", 40, int, 64, False),
    "frequency": ("input", 50, float, 32, False),
}


class Handler(DataHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.refused: set[int] = set()
        self.busy = 0
        self.asked = 0

    def _exception(self, address: int, count: int) -> Any:
        self.asked += 1
        if self.busy:
            self.busy -= 1
            return DataHandler.Return(exp_code=EXP_SLAVE_DEVICE_BUSY)
        if self.refused & set(range(address, address + count)):
            return DataHandler.Return(exp_code=EXP_DATA_ADDRESS)
        return None

    def read_h_regs(self, address: int, count: int, srv_info: Any) -> Any:
        return self._exception(address, count) or super().read_h_regs(address, count, srv_info)

    def read_i_regs(self, address: int, count: int, srv_info: Any) -> Any:
        return self._exception(address, count) or super().read_i_regs(address, count, srv_info)


def put(bank: Any, name: str, value: float) -> None:
    table, address, kind, bits, big = MAP[name]
    whole = utils.encode_ieee(value) if kind is float else utils.get_2comp(value, bits)
    words = utils.long_list_to_word([whole], big_endian=big, long_long=bits == 64)
    set_registers = bank.set_holding_registers if table == "holding" else bank.set_input_registers
    assert set_registers(address, words)


def held(bank: Any, name: str) -> float:
    table, address, kind, bits, big = MAP[name]
    registers = bank.get_holding_registers if table == "holding" else bank.get_input_registers
    (whole,) = utils.word_list_to_long(registers(address, bits // 16), big_endian=big, long_long=bits == 64)
    return float(utils.decode_ieee(whole)) if kind is float else int(utils.get_2comp(whole, bits))


def answer(handler: Handler, order: dict[str, Any]) -> Any:
    if "get" in order:
        return {name: {"value": held(handler.data_bank, name)} for name in order["get"]}
    if "asked" in order:
        return handler.asked
    for name, value in order.get("set", {}).items():
        put(handler.data_bank, name, value)
    if "refuse" in order:
        handler.refused = {MAP[name][1] for name in order["refuse"]}
    handler.busy = order.get("busy", 0)
    return {"ok": True}


def main() -> None:
    handler = Handler()
    answer(handler, {"set": json.loads(sys.argv[3])})
    server = ModbusServer(host="127.0.0.1", port=int(sys.argv[1]), data_hdl=handler, no_block=True)
    server.start()
    print("=", json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print("=", json.dumps(answer(handler, json.loads(line))), flush=True)
    server.stop()


if __name__ == "__main__":
    main()
