"""The bad link itself: the fault proxy does what its switches say, or every test over it proves nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.proxy import FaultProxy
from tests.support.wait import eventually


@contextmanager
def echo() -> Iterator[int]:
    """Sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(sock: socket.socket) -> None:
            with suppress(OSError), sock:
                while data := sock.recv(65536):
                    sock.sendall(data)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        yield sock


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with echo() as port, FaultProxy(port, seed=1) as made:
        yield made


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def test_a_good_link_changes_nothing(proxy: FaultProxy) -> None:
    data = bytes(range(256)) * 4000
    with client(proxy) as sock:
        threading.Thread(target=sock.sendall, args=(data,), daemon=True).start()
        assert read(sock, len(data)) == data
        assert proxy.living == 1
    eventually(lambda: proxy.living == 0)
    assert (proxy.bytes_up, proxy.bytes_down, proxy.resets) == (len(data), len(data), 0)


def test_slices_and_bandwidth_keep_every_byte(proxy: FaultProxy) -> None:
    proxy.slice_bytes, proxy.bytes_per_s = 1, 20_000.0
    with client(proxy) as sock:
        began = time.monotonic()
        sock.sendall(b"abcdefghij" * 60)
        assert read(sock, 600) == b"abcdefghij" * 60
        assert time.monotonic() - began >= 0.03


def test_delay_is_late_and_not_slow(proxy: FaultProxy) -> None:
    proxy.delay_s = 0.15
    with client(proxy) as sock:
        began = time.monotonic()
        for k in range(20):
            sock.sendall(b"%02d" % k)
        assert read(sock, 40) == b"".join(b"%02d" % k for k in range(20))
        assert time.monotonic() - began >= 0.3


def test_reset_after_bytes(proxy: FaultProxy) -> None:
    proxy.reset_after_bytes = 100
    with client(proxy) as sock:
        sock.sendall(b"x" * 50)
        assert read(sock, 50) == b"x" * 50
        with pytest.raises(ConnectionResetError):
            for _ in range(100):
                sock.sendall(b"x" * 50)
                sock.recv(50)
    assert proxy.resets == 1


def test_random_resets_are_the_seed_s(proxy: FaultProxy) -> None:
    proxy.reset_chance = 0.3
    for _ in range(40):
        with suppress(OSError), client(proxy) as sock:
            sock.sendall(b"y" * 30_000)
            read(sock, 30_000)
    assert 4 <= proxy.resets <= 22


def test_half_open_says_nothing_and_goes_on_later(proxy: FaultProxy) -> None:
    with client(proxy) as sock:
        sock.sendall(b"one")
        assert read(sock, 3) == b"one"
        proxy.half_open("up")
        sock.sendall(b"two")
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(3)
        assert proxy.living == 1
        sock.settimeout(10)
        proxy.pass_on()
        assert read(sock, 3) == b"two"


def test_half_open_fills_the_sender_s_buffers(proxy: FaultProxy) -> None:
    """The stall trap of a peer: a sender that does not look never learns that nothing arrives."""
    with client(proxy) as sock:
        proxy.half_open()
        sock.setblocking(False)
        sent = 0
        with suppress(BlockingIOError):
            while sent < 1 << 30:
                sent += sock.send(b"z" * 65536)
        assert 0 < sent < 1 << 26


def test_black_hole_swallows(proxy: FaultProxy) -> None:
    with client(proxy) as old:
        old.sendall(b"a")
        assert read(old, 1) == b"a"
        proxy.black_hole()
        with client(proxy) as new:
            for sock in (old, new):
                sock.sendall(b"b" * 100_000)
                sock.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    sock.recv(1)
    assert proxy.bytes_up == 1


def test_refuse_and_back(proxy: FaultProxy) -> None:
    with client(proxy) as sock:
        sock.sendall(b"a")
        assert read(sock, 1) == b"a"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    proxy.pass_on()
    with client(proxy) as sock:
        sock.sendall(b"again")
        assert read(sock, 5) == b"again"
