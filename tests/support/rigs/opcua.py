"""OPC UA: an asyncua server, without security or with user, password and SignAndEncrypt."""

from __future__ import annotations

from pathlib import Path

from asyncua import ua

from tests.support.edge import NAMESPACE, Plc


class OpcUaRig:
    kind, fact, factor, sample = "opcua", "good_total", 1.0, "temp_c"

    def __init__(self, folder: Path, secure: bool) -> None:
        self._plc = Plc(secure=folder if secure else None)
        self._password = folder / "plc.password"
        self._password.write_text("secret\n")
        self._known = False
        self.port = self._plc.port

    def start(self) -> None:
        self._plc.start()
        if not self._known:
            self._plc.add("D-1.Good", 100, ua.VariantType.UInt32)
            self._plc.add("D-1.Temp", 20.0, ua.VariantType.Float)
            self._known = True

    def stop(self) -> None:
        self._plc.stop()

    def put(self, total: int, sample: float) -> None:
        self._plc.set_many([("D-1.Good", total, None), ("D-1.Temp", sample, None)])

    def text(self, port: int, *, bad: bool = False) -> str:
        security = 'security = "none"' if self._plc.secure is None else f'trust = "first_use"\nuser = "edge"\npassword_file = "{self._password}"'
        wrong = 'wrong = { node = "s=Nowhere" }\n' if bad else ""
        return (
            f'[sources.SRC]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:{port}/test/"\n{security}\n'
            "publishing_interval_s = 0.05\nsettle_s = 0.15\ntimeout_s = 0.6\n"
            f'[sources.SRC.devices.D-1]\nkind = "machine"\nnamespace = "{NAMESPACE}"\nnode_prefix = "D-1."\n'
            f'[sources.SRC.devices.D-1.metrics]\ngood = {{ node = "s=Good" }}\ntemp_c = {{ node = "s=Temp" }}\n{wrong}'
        )


def rig(folder: Path, *, secure: bool = False) -> OpcUaRig:
    return OpcUaRig(folder, secure)
