"""A Siemens PLC (python-snap7's server) through the agent's command line and a session."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_agent.__main__ import main
from edge_agent.errors import SourceLost
from tests.support.edge import config_text
from tests.support.rigs.s7 import S7Plc
from tests.support.rigs.session import Watch
from tests.support.wait import eventually

HEAD = """[sources.PLC]
type = "s7"
host = "127.0.0.1"
port = {port}
period_s = 0.1
timeout_s = 1.0
{more}
[sources.PLC.devices.PRS-01]
kind = "machine"
[sources.PLC.devices.PRS-01.metrics]
"""


def config(folder: Path, plc: S7Plc, metrics: dict[str, str], more: str = "") -> Path:
    (folder / "broker.json").write_text('{"host": "127.0.0.1", "port": 1}')
    lines = "".join(f'{key} = {{ address = "{address}" }}\n' for key, address in metrics.items())
    path = folder / "edge.toml"
    path.write_text(config_text(folder / "broker.json", HEAD.format(port=plc.port, more=more) + lines))
    return path


def read(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    code = main(["read-once", "--config", str(path)])
    out = capsys.readouterr().out
    return code, {row.split("\t")[1]: row.split("\t")[3] for row in out.splitlines() if "\t" in row}


@pytest.mark.parametrize("pdu", [240, 960])
def test_every_area_and_type(tmp_path: Path, capsys: pytest.CaptureFixture[str], pdu: int) -> None:
    with S7Plc(db1=400, db2=64) as plc:
        plc.db[1][0:12] = struct.pack(">hHif", -3, 65535, -70000, 1.5)
        plc.db[1][12:20] = struct.pack(">d", 0.25)
        plc.db[1][20:31] = b"\x20\x07WO-4711xx"
        plc.db[1][60:68] = bytes.fromhex("2403151430598765")
        plc.db[1][100:300] = b"\xc8\xc6" + b"x" * 198
        plc.db[2][0] = 0b1000
        plc.marks[10:12] = struct.pack(">h", 77)
        plc.inputs[0], plc.outputs[2] = 1, 9
        wanted = {
            "a_int": ("DB1.DBW0:INT", "-3.0"),
            "a_word": ("DB1.DBW2", "65535.0"),
            "a_dint": ("DB1.DBD4:DINT", "-70000.0"),
            "a_real": ("DB1.DBD8:REAL", "1.5"),
            "a_lreal": ("DB1.DBB12:LREAL", "0.25"),
            "order": ("DB1.DBB20:STRING[32]", "'WO-4711'"),
            "a_time": ("DB1.DBB60:DT", "'2024-03-15T14:30:59.876Z'"),
            "a_long": ("DB1.DBB100:STRING[254]", repr("x" * 198)),
            "a_bit": ("DB2.DBX0.3", "True"),
            "a_mark": ("MW10:INT", "77.0"),
            "an_input": ("E0.0", "True"),
            "an_output": ("QB2", "9.0"),
        }
        path = config(tmp_path, plc, {key: address for key, (address, _) in wanted.items()}, f"pdu = {pdu}")
        code, found = read(path, capsys)
        assert found == {key: value for key, (_, value) in wanted.items()}
        assert code == 0


def test_a_refused_address_does_not_draw_its_neighbours_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with S7Plc(db1=16) as plc:
        plc.db[1][:16] = struct.pack(">ffff", 1, 2, 3, 4)
        wanted = {f"v{n}": f"DB1.DBD{4 * n}:REAL" for n in range(6)} | {"none": "DB9.DBW0:INT", "nan": "DB1.DBB8:STRING[4]"}
        path = config(tmp_path, plc, wanted)
        code, found = read(path, capsys)
        assert code == 1
        assert [found[f"v{n}"] for n in range(4)] == ["1.0", "2.0", "3.0", "4.0"]
        assert "shorter than that" in found["v4"] and "shorter than that" in found["v5"]
        assert "optimised access" in found["none"]
        assert "is no STRING" in found["nan"]
        with Watch(path) as watch:
            watch.begin()
            eventually(lambda: watch.value("v3", "PRS-01") == 4.0 and len(watch.health.failed) == 4, 10)
            plc.db[1][12:16] = struct.pack(">f", 44)
            eventually(lambda: watch.value("v3", "PRS-01") == 44.0, 10)


def test_a_cpu_in_stop_is_lost_in_words_and_comes_back(tmp_path: Path) -> None:
    with S7Plc(db1=16) as plc:
        path = config(tmp_path, plc, {"good": "DB1.DBD0:UDINT"})
        with Watch(path) as watch:
            plc.server.set_cpu_status(4)
            watch.begin()
            error = watch.lost(10)
            assert isinstance(error, SourceLost) and "STOP" in error.en and "RUN" in error.next_en and "RUN" in error.next_zh
            plc.server.set_cpu_status(8)
            watch.begin()
            eventually(lambda: watch.value("good", "PRS-01") == 0, 10)


def test_browse_says_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with S7Plc(db1=16) as plc:
        path = config(tmp_path, plc, {"good": "DB1.DBD0:UDINT"})
        assert main(["browse", "--config", str(path), "--source", "PLC"]) == 1
        assert "OPC UA" in capsys.readouterr().err


def test_a_wrong_address_is_an_error_of_the_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plc = S7Plc(db1=16)
    path = config(tmp_path, plc, {"good": "DB1.DBW0:REAL"})
    assert main(["check-config", str(path)]) == 1
    assert "REAL has 4 bytes" in capsys.readouterr().out
    assert main(["--lang", "zh", "check-config", str(path)]) == 1
    assert "S7 地址格式" in capsys.readouterr().out


def test_without_the_package_the_next_step_is_said() -> None:
    code = "import sys; sys.modules['snap7'] = None; sys.modules['snap7.async_client'] = None\n"
    code += (
        "from edge_agent.errors import EdgeError\ntry:\n import edge_agent.sources.s7.source\nexcept EdgeError as e: print(e.text(), e.text('zh'))"
    )
    done: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[4])
    assert done.stdout.count("pip install gemba-mes[s7]") == 2
