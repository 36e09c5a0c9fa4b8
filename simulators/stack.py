"""The whole plant and the whole product on free ports in one folder: server (with its broker), two edge agents, PLCs, meters, ERP, people.

Starts them in the order a plant would, waits until each can be used, and ends everything by the pids it started.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from edge_agent.contract.clock import PlantClock, iso
from simulators import model
from simulators.field import Field, identity
from simulators.ledger import Ledger
from simulators.link import Link
from simulators.operators import Api, ApiError, Desk, Tablets, UploadMess
from simulators.physics import Plant
from simulators.processes import Child, Ports
from simulators.scenario import Line, Scenario

ADMIN_USER = "admin"
HOST_ID = "gemba"


class StackError(RuntimeError):
    """The stack did not come up; the text says which part and shows the end of its log."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """`fixed_ports`: take 8080 and friends when they are free (demo), else any. `links`: proxies before the broker (fault runs)."""

    speed: float = 1.0
    fixed_ports: bool = False
    links: bool = False
    uploads: UploadMess = field(default_factory=UploadMess)
    desk_every_s: float = 2.0


class Stack:
    def __init__(self, folder: Path, scenario: Scenario, plant: Plant, clock: PlantClock, options: StackOptions, end_ms: int | None = None) -> None:
        self.folder, self.scenario, self.plant, self.clock, self.options = folder, scenario, plant, clock, options
        folder.mkdir(parents=True, exist_ok=True)
        self.secrets = folder / "secrets"
        self.secrets.mkdir(exist_ok=True, mode=0o700)
        self.ports = Ports()
        fixed = options.fixed_ports
        self.http_port = self.ports.take(8080 if fixed else 0)
        self.broker_port = self.ports.take(1883 if fixed else 0)
        self.erp_port = self.ports.take(8090 if fixed else 0)
        plcs = {line.code: self.ports.take(4840 + n if fixed else 0) for n, line in enumerate(scenario.lines)}
        self.modbus = {line.code: self.ports.take(5020 + n if fixed else 0) for n, line in enumerate(scenario.lines)}
        self.admin_password = secrets.token_urlsafe(9)
        self.plc_password, self.erp_key = secrets.token_urlsafe(12), secrets.token_urlsafe(18)
        self.ledger = Ledger(folder / "ledger.db", new=True)
        identities = {code: identity(port, folder / "plc", self.plc_password) for code, port in plcs.items()}
        self.field = Field(scenario, plant, clock, self.ledger, identities, self.modbus, end_ms)
        self.links = {line.code: Link(self.ports.take(), self.broker_port) for line in scenario.lines} if options.links else {}
        self.server = Child("server", "mes_server", self._server_arguments("serve"), folder / "server.log")
        self.edges = {
            line.code: Child(
                line.edge, "edge_agent", ["run", "--config", str(self.edge_file(line.code)), *self._clock()], folder / f"{line.edge}.log"
            )
            for line in scenario.lines
        }
        self.api = Api(self.url, clock)
        self.devices: dict[str, str] = {}  # station -> its tablet's device token
        self.tablets: Tablets | None = None
        self.desk = Desk(self.api, options.desk_every_s)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def _clock(self) -> list[str]:
        if not self.clock.anchor_s:
            return []  # the wall clock itself
        return ["--clock-start", iso(self.clock.start_ms), "--clock-anchor", repr(self.clock.anchor_s), "--speed", repr(self.clock.speed)]

    def _server_arguments(self, command: str) -> list[str]:
        return [command, "--config", str(self.folder / "server.toml"), *self._clock()]

    def _edge(self, line: Line) -> Child:
        arguments = ["run", "--config", str(self.edge_file(line.code)), *self._clock()]
        return Child(line.edge, "edge_agent", arguments, self.folder / f"{line.edge}.log")

    def edge_file(self, line: str) -> Path:
        return self.folder / f"edge-{line}.toml"

    # --- configuration ------------------------------------------------------------------------------------------------------

    def _secret(self, name: str, value: str) -> Path:
        path = self.secrets / name
        path.write_text(value + "\n", encoding="utf-8")
        path.chmod(0o600)
        return path

    def write_server_config(self) -> None:
        token = self._secret("erp.token", self.erp_key)
        poll = max(10.0, self.options.speed)
        text = f"""# Made by the simulators.
data_dir = {json.dumps(str(self.folder / "server"))}
zone = {json.dumps(self.scenario.zone)}
[http]
port = {self.http_port}
[broker]
port = {self.broker_port}
[sparkplug]
group = {json.dumps(self.scenario.site["code"])}
host_id = "{HOST_ID}"
[identity]
tries_per_minute_max = 10000
admin_idle_s = 86400
[erp]
kind = "http"
url = "http://127.0.0.1:{self.erp_port}"
token_file = {json.dumps(str(token))}
poll_s = {poll}
confirm_every_s = {max(300.0, 2 * self.options.speed)}
"""
        (self.folder / "server.toml").write_text(text, encoding="utf-8")

    def write_edge_configs(self) -> None:
        plc_password = self._secret("plc.password", self.plc_password)
        for line in self.scenario.lines:
            user = json.loads((self.folder / "server" / "broker" / "users" / f"{line.edge}.json").read_text(encoding="utf-8"))
            where = model.EdgeAddresses(
                broker_host="127.0.0.1",
                broker_port=self.links[line.code].port if self.links else int(user["port"]),
                broker_user=user["user"],
                broker_password_file=self._secret(f"mqtt-{line.edge}.password", user["password"]),
                plc_url=self.field.plcs[line.code].identity.url,
                plc_user="edge",
                plc_password_file=plc_password,
                modbus_port=self.modbus[line.code],
                host_id=HOST_ID,
            )
            text = model.edge_config(self.scenario, line.code, where, self.options.speed, self.folder / f"{line.edge}.buffer")
            self.edge_file(line.code).write_text(text, encoding="utf-8")

    # --- up -----------------------------------------------------------------------------------------------------------------

    async def start(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Everything up, edges too. Raises StackError."""
        say("server and broker, ERP, PLCs, meters")
        await asyncio.gather(self.start_server(), self.start_field())  # beside each other: a PLC takes a second or two
        say("plant model, people, tablets")
        await self.set_up()
        say("edge agents")
        await self.start_edges()
        self.start_people()

    async def start_server(self) -> None:
        """Data folder, administrator, server with its broker."""
        self.write_server_config()
        await self._init()
        await self.server.start()
        await self.until("the server", self.ready, 60)

    async def start_field(self) -> None:
        """ERP, PLCs, meters, and the links the edges go through."""
        for link in self.links.values():
            await link.start()
        await self.field.start(self.erp_port, self.erp_key)

    async def start_edges(self) -> None:
        for edge in self.edges.values():
            await edge.start()

    def start_people(self) -> None:
        """From now on what the plant's people do goes to their tablets."""
        tablets = self.tablets
        if tablets is None:
            raise RuntimeError("set_up comes first")
        self.field.on_act = tablets.post
        self.field.on_offline = lambda event: tablets.offline(event.station, event.until_ms)
        tablets.start()

    async def _init(self) -> None:
        """`gemba-server init` makes the data folder and, unattended, its administrator."""
        password = self._secret("admin.password", self.admin_password)
        arguments = [*self._server_arguments("init"), "--admin-user", ADMIN_USER, "--admin-password-file", str(password), "--admin-name", "Admin"]
        init = Child("init", "mes_server", arguments, self.folder / "init.log")
        await init.start()
        if await init.wait(40) != 0:
            raise StackError(f"gemba-server init failed:\n{init.tail()}")

    async def ready(self) -> bool:
        self.alive()
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            return (await http.get(f"{self.url}/readyz")).status_code == 200

    def broker_pid(self) -> int | None:
        """The embedded broker's process, from the server's own pid file."""
        path = self.folder / "server" / "broker" / "nats.pid"
        return int(path.read_text(encoding="utf-8").split()[0]) if path.exists() else None

    async def _broker_users(self) -> bool:
        return all((self.folder / "server" / "broker" / "users" / f"{line.edge}.json").exists() for line in self.scenario.lines)

    async def set_up(self) -> None:
        """Plant model, people, tablets, an API token; then the edges' configuration files with the users their broker made."""
        api = self.api
        await api.sign_in(user=ADMIN_USER, password=self.admin_password)
        made = await api.call("POST", "/api-tokens", {"name": "simulators", "roles": [{"role": "admin"}]})
        await api.act("PUT", "/plant", model=model.plant_model(self.scenario))
        for person in model.people(self.scenario):
            await api.act("POST", "/people", **person)
        devices: dict[str, str] = {}
        for station in self.scenario.stations:
            enrolment = await api.call("POST", "/devices/enrolment", {"name": f"Tablet {station.code}", "station": station.code, "kind": "tablet"})
            devices[station.code] = (await api.call("POST", "/devices/enrol", {"code": enrolment["code"]}))["device_token"]
        api.token = made["token"]
        self._secret("api.token", made["token"])
        self.devices = devices
        self.tablets = Tablets(self.url, self.scenario, self.clock, devices, self.options.uploads)
        await self.until("the broker's users", self._broker_users, 20)
        self.write_edge_configs()

    async def ready_for_the_first_event(self) -> None:
        """Orders and lots are in, both edges see their sources."""
        orders = self.field.books.released
        await self.until("the ERP's orders in the server", lambda: self._orders(orders), 60)
        await self.until("the edges' sources", self.edges_connected, 60)

    async def _orders(self, expected: int) -> bool:
        self.alive()
        return len(await self.api.pages("/work-orders", limit=200)) >= expected

    async def edges_connected(self) -> bool:
        self.alive()
        health = await self.api.get("/health/system")
        edges = {edge["edge"]: edge for edge in health["edges"]}
        for line in self.scenario.lines:
            edge = edges.get(line.edge)
            if edge is None or not edge["online"] or not edge["sources"]:
                return False
            if any(source["status"] != "connected" for source in edge["sources"]):
                return False
        return True

    # --- watching -----------------------------------------------------------------------------------------------------------

    def alive(self) -> None:
        """Raises StackError when a part ended that should run."""
        self.field.check()
        self.desk.check()
        if self.tablets is not None:
            self.tablets.check()
        for child in (self.server, *self.edges.values()):
            if child.ended:
                raise StackError(f"{child.name} ended:\n{child.tail()}")

    async def until(self, what: str, done: Callable[[], Any], seconds: float) -> None:
        """Polls `done` (an async function) until true. Raises StackError with what it waited for."""
        deadline = time.monotonic() + seconds
        last = ""
        while time.monotonic() < deadline:
            try:
                if await done():
                    return
            except (httpx.HTTPError, ApiError, KeyError) as error:
                last = f"{type(error).__name__}: {error}"
            await asyncio.sleep(0.2)
        tails = "\n".join(f"--- {child.name}\n{child.tail(12)}" for child in (self.server, *self.edges.values()))
        raise StackError(f"waited {seconds:.0f} s for {what}. {last}\n{tails}")

    # --- down ---------------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        await self.desk.stop()
        if self.tablets is not None:
            await self.tablets.stop()
        for edge in self.edges.values():
            await edge.stop()
        await self.server.stop()
        await self.field.stop()
        for link in self.links.values():
            await link.stop()
        await self.api.close()
        self.ledger.close()
