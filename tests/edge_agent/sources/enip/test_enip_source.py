"""A Logix controller (cpppo's simulator) through the agent; what that cannot do, over a small one of our own."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_agent.__main__ import main
from edge_agent.errors import SourceLost
from edge_agent.sources.enip import cip
from tests.support.edge import config_text
from tests.support.rigs.enip import Logix
from tests.support.rigs.session import Watch
from tests.support.wait import eventually

HEAD = """[sources.PLC]
type = "enip"
host = "127.0.0.1"
port = {port}
period_s = 0.1
timeout_s = 5.0
{more}
[sources.PLC.devices.ASM-01]
kind = "machine"
[sources.PLC.devices.ASM-01.metrics]
"""


def config(folder: Path, port: int, metrics: dict[str, str], more: str = "") -> Path:
    (folder / "broker.json").write_text('{"host": "127.0.0.1", "port": 1}')
    path = folder / "edge.toml"
    text = HEAD.format(port=port, more=more) + "".join(f'{key} = {{ tag = "{tag}" }}\n' for key, tag in metrics.items())
    path.write_text(config_text(folder / "broker.json", text))
    return path


def read(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    code = main(["read-once", "--config", str(path)])
    return code, {row.split("\t")[1]: row.split("\t")[3] for row in capsys.readouterr().out.splitlines() if "\t" in row}


def test_tags_arrays_bits_and_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Logix(Good="DINT", Temps="REAL[8]", Words="INT[600]", Name="SSTRING", Flag="BOOL") as plc:
        plc.write(Good=-6, Temps_3=21.5, Words_599=77)
        wanted = {f"w{n}": f"Words[{n}]" for n in range(60)}  # more than one message holds
        wanted |= {"total": "Good", "bit_1": "Good.1", "bit_2": "Good.2", "temp": "Temps[3]", "last": "Words[599]", "name": "Name", "flag": "Flag"}
        for more in ("", "one_request_per_tag = true", "check_mode = false"):
            code, found = read(config(tmp_path, plc.port, wanted, more), capsys)
            assert code == 0
            assert {key: found[key] for key in ("total", "bit_1", "bit_2", "temp", "last", "name", "flag")} == {
                "total": "-6.0",
                "bit_1": "True",
                "bit_2": "False",
                "temp": "21.5",
                "last": "77.0",
                "name": "''",
                "flag": "False",
            }
        path = config(tmp_path, plc.port, {"total": "Good", "beyond": "Temps[8]", "nowhere": "Nowhere", "no_bit": "Temps[3].1"})
        code, found = read(path, capsys)
        assert code == 1 and found["total"] == "-6.0"
        assert "beyond the end" in found["beyond"] and "no such tag" in found["nowhere"] and "no bit" in found["no_bit"]
        with Watch(path) as watch:
            watch.begin()
            eventually(lambda: watch.value("total", "ASM-01") == -6.0 and len(watch.health.failed) == 3, 20)
            plc.write(Good=5)
            eventually(lambda: watch.value("total", "ASM-01") == 5.0, 20)


@contextmanager
def controller(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """A controller without routing that answers requests by `answer`: a CIP request in, a CIP reply out."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link:
                while len(head := link.recv(24, socket.MSG_WAITALL)) == 24:
                    command, length, _, _, context, _ = cip.HEADER.unpack(head)
                    data = link.recv(length, socket.MSG_WAITALL)
                    if command == cip.REGISTER:
                        link.sendall(cip.frame(command, 7, context, data))
                    else:
                        link.sendall(cip.send(7, context, answer(cip.message_of(data))))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _symbol(instance: int, name: str, kind: int) -> bytes:
    return struct.pack("<IH", instance, len(name)) + name.encode() + struct.pack("<H", kind)


def _browsed(request: bytes) -> bytes:
    """Two pages of controller tags, one program, values of the plain ones."""
    if request[0] == cip.ATTRIBUTE_LIST:
        if b"Program:Main" in request:
            return b"\xd5\x00\x00\x00" + _symbol(4, "Order", 0x8FCE)
        start = int.from_bytes(request[6:8], "little")
        if start == 0:
            return b"\xd5\x00\x06\x00" + _symbol(1, "Good", 0x00C4) + _symbol(2, "__hidden", 0x00C4) + _symbol(9, "Temps", 0x20CA)
        assert start == 10
        return b"\xd5\x00\x00\x00" + _symbol(12, "Program:Main", 0x1068) + _symbol(13, "Local:1:I", 0x8001) + _symbol(14, "Secret", 0x00C3)
    if b"Secret" in request:
        return b"\xcc\x00\x0f\x00"
    return b"\xcc\x00\x00\x00\xc4\x00" + struct.pack("<i", 42)


def test_browse_lists_the_controllers_and_the_programs_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with controller(_browsed) as port:
        path = config(tmp_path, port, {"good": "Good"}, "slot = -1")
        assert main(["browse", "--config", str(path), "--source", "PLC"]) == 0
        rows = [row.split("\t") for row in capsys.readouterr().out.splitlines()]
        assert [row[:3] for row in rows] == [
            ["Good", "Good", "DINT"],
            ["Temps", "Temps[0]", "REAL[]"],
            ["Secret", "Secret", "INT"],
            ["Program:Main.Order", "Program:Main.Order", "STRUCT"],
        ]
        assert rows[0][3] == "42.0" and "External Access" in rows[2][3]


def test_a_controller_in_program_mode_is_lost_in_words(tmp_path: Path) -> None:
    mode = [b"\x70\x20"]

    def answer(request: bytes) -> bytes:
        return b"\x8e\x00\x00\x00" + mode[0] if request[0] == cip.ATTRIBUTE_SINGLE else b"\xcc\x00\x00\x00\xc4\x00" + struct.pack("<i", 3)

    with controller(answer) as port, Watch(config(tmp_path, port, {"good": "Good"}, "slot = -1")) as watch:
        watch.begin()
        error = watch.lost(20)
        assert isinstance(error, SourceLost) and "program mode" in error.en and "Remote Run" in error.next_en and "Remote Run" in error.next_zh
        mode[0] = b"\x60\x10"
        watch.begin()
        eventually(lambda: watch.value("good", "ASM-01") == 3.0, 20)


def test_tags_that_do_not_fit_together_are_asked_for_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(request: bytes) -> bytes:
        if request[0] != cip.MULTIPLE:
            return b"\xcc\x00\x00\x00\xc4\x00" + struct.pack("<i", len(request))
        (count,) = struct.unpack_from("<H", request, 6)
        at, offsets = 2 + 2 * count, []
        for _ in range(count):
            offsets.append(at)
            at += 4
        return b"\x8a\x00\x1e\x00" + struct.pack(f"<H{count}H", count, *offsets) + b"\xcc\x00\x11\x00" * count

    with controller(answer) as port:
        path = config(tmp_path, port, {"a": "AA", "b": "BBBB", "c": "CCCCCC"}, "slot = -1\ncheck_mode = false")
        assert read(path, capsys) == (0, {"a": "8.0", "b": "10.0", "c": "12.0"})


def test_an_answer_to_another_question_ends_the_connection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with controller(lambda request: b"\x8e\x00\x00\x00zz") as port:
        path = config(tmp_path, port, {"a": "AA"}, "slot = -1\ncheck_mode = false")
        assert main(["read-once", "--config", str(path)]) == 1
        assert "a reply to service 0EH" in capsys.readouterr().out


def test_a_wrong_tag_is_an_error_of_the_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(tmp_path, 1, {"a": "A A"})
    assert main(["check-config", str(path)]) == 1
    assert "is no tag name" in capsys.readouterr().out
