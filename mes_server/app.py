"""The composition root: the only place that sees every slice and the settings. `create_app` makes, `serve` runs.

To add a slice: its router in `ROUTERS`, what lives long in `_compose` (put it on `app.state`; what must be started and stopped goes into the
returned list, in order), its models in `tables.py`. Nothing happens at import and nothing touches the disk before the application starts.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from edge_agent.contract.clock import Clock, PlantClock, iso
from mes_server import __version__
from mes_server.config import ErpSettings, Settings
from mes_server.energy import routes as energy_routes
from mes_server.erp_sync import routes as erp_routes
from mes_server.erp_sync.connectors.rest_json import RestJsonConnector
from mes_server.erp_sync.runner import ErpSync
from mes_server.identity import routes as identity_routes
from mes_server.identity.hashing import Hasher
from mes_server.identity.limits import Limits
from mes_server.identity.service import Identity, SetupTimes
from mes_server.identity.sessions import IdleTimes, Sessions
from mes_server.ingest import routes as ingest_routes
from mes_server.ingest.booking import SliceBooking
from mes_server.ingest.broker_settings import BrokerLink, BrokerTls
from mes_server.ingest.edge_access import EdgeAccess
from mes_server.ingest.embedded_broker import EmbeddedBroker
from mes_server.ingest.faults import faults as ingest_faults
from mes_server.ingest.figures import IngestFigures
from mes_server.ingest.service import IngestBounds, IngestService, edges_health, history_progress, last_values, quarantine_figures
from mes_server.kit import routes as kit_routes
from mes_server.kit import sealing, spa
from mes_server.kit.acts import Acts
from mes_server.kit.db import Database
from mes_server.kit.errors import MesError
from mes_server.kit.faults import Fault
from mes_server.kit.http import OPEN, Kit, install_problem_handlers
from mes_server.kit.live import Live
from mes_server.kit.metrics import Metrics
from mes_server.kit.services import Background, Every
from mes_server.kit.serving import Server
from mes_server.kit.web import BodyLimit, RequestFigures, SecurityHeaders
from mes_server.machine_states import routes as machine_states_routes
from mes_server.machine_states.watcher import StopWatcher
from mes_server.materials import routes as material_routes
from mes_server.oee import routes as oee_routes
from mes_server.plant import routes as plant_routes
from mes_server.products import routes as product_routes
from mes_server.quality import routes as quality_routes
from mes_server.reports import routes as reports_routes
from mes_server.reports.service import Probes
from mes_server.scans import routes as scan_routes
from mes_server.scans.service import Outboxes
from mes_server.telemetry import routes as telemetry_routes
from mes_server.telemetry.copying import CopyDoor
from mes_server.telemetry.duckdb_store import DuckdbStore
from mes_server.telemetry.memory_store import MemoryStore
from mes_server.telemetry.store import POINTS_MAX, TelemetryStore
from mes_server.traceability import routes as traceability_routes
from mes_server.work_orders import routes as work_order_routes

log = logging.getLogger("gemba.app")
API = "/api/v1"
STATIC = Path(__file__).parent / "static"
KEEP_ALIVE_S = 75  # longer than clients (5 s) and proxies (60 s) keep an idle connection: who closes first must not meet a request on its way

# One line a slice; the tablets' door first: routes are matched one after the other, and POST /acts is the hot one.
ROUTERS: tuple[APIRouter, ...] = (
    scan_routes.router,
    kit_routes.router,
    identity_routes.router,
    plant_routes.router,
    product_routes.router,
    machine_states_routes.router,
    oee_routes.router,
    energy_routes.router,
    work_order_routes.router,
    material_routes.router,
    traceability_routes.router,
    quality_routes.router,
    reports_routes.router,
    erp_routes.router,
    telemetry_routes.router,
    ingest_routes.router,
)


def _compose(app: FastAPI, settings: Settings, kit: Kit, real: Clock) -> list[Background]:
    """Makes what lives as long as the server and puts it on `app.state`. Returns what is started in this order and stopped in reverse."""
    state: Any = app.state
    identity = state.identity = _identity(settings, kit, real)
    state.authenticate = identity.authenticate
    state.photo_folder = settings.photos_dir
    state.settings_public = {"zone": settings.zone, "sparkplug_group": settings.sparkplug.group}
    state.telemetry = make_telemetry(settings)
    state.ingest = make_ingest(settings, kit, state.telemetry, state.metrics)
    state.outboxes = Outboxes()
    state.edges = edge_access(settings, state.ingest.broker)
    state.put_edge_out = state.edges.put_out
    state.reports = _probes(settings, state)
    state.last_power = lambda codes: {code: one.get("power_w") for code, one in last_values(state.ingest, codes).items()}
    stops = Every("stop-watcher", 2.0, StopWatcher(kit).look)
    sealer = sealing.Sealer(kit, state.metrics, folder=settings.data_dir)
    copies = [CopyDoor(state.telemetry, settings.data_dir)] if isinstance(state.telemetry, DuckdbStore) else []
    state.jobs = (sealer, identity.tidy, stops, *copies)
    return [sealer, identity, state.ingest, *copies, stops, *_erp(app, settings.erp, kit)]


def _probes(settings: Settings, state: Any) -> Probes:
    """What ingest and telemetry know and the composed views show."""

    def extremes(device: str, metric: str, from_ms: int, to_ms: int, bucket_ms: int) -> dict[int, tuple[float | None, float | None]]:
        points = min(POINTS_MAX, max(1, -(-(to_ms - from_ms) // bucket_ms)))
        found = state.telemetry.buckets(device, metric, from_ms, from_ms + points * bucket_ms, points)
        return {int(at): (round(float(low), 1), round(float(high), 1)) for at, low, high in zip(found.start, found.low, found.high, strict=True)}

    def broker() -> dict[str, Any]:
        mqtt, own = state.ingest.mqtt, state.ingest.broker
        since = None if mqtt is None else iso(mqtt.since_ms)
        return {"connected": mqtt is not None and mqtt.online, "since": since, "restarts": own.restarts if own is not None else 0}

    def faults() -> list[Fault]:
        parts = [*state.jobs, *([state.erp] if hasattr(state, "erp") else [])]
        return [*ingest_faults(state.ingest), *(found for one in parts if (found := one.fault()) is not None)]

    return Probes(
        edges=lambda session: edges_health(state.ingest, session),
        progress=lambda session: history_progress(state.ingest, session),
        last_values=lambda codes: last_values(state.ingest, codes),
        outboxes=lambda: [asdict(one) for one in state.outboxes.all()],
        acts_coming=state.outboxes.coming,
        broker=broker,
        faults=faults,
        quarantine=quarantine_figures,
        extremes=extremes,
        telemetry=state.telemetry.kind,
        database="postgresql" if settings.database_url.startswith("postgresql") else "sqlite",
        version=__version__,
        started_s=time.monotonic(),
    )


def _erp(app: FastAPI, settings: ErpSettings, kit: Kit) -> list[Background]:
    """The ERP sync, where one is configured."""
    if settings.kind == "none":
        return []
    key = settings.token_file.read_text().strip() if settings.token_file else ""
    connector = RestJsonConnector(settings.url, key, timeout_s=settings.timeout_s)
    app.state.erp = ErpSync(kit, connector, poll_s=settings.poll_s, confirm_every_s=settings.confirm_every_s)
    return [app.state.erp]


def _identity(settings: Settings, kit: Kit, real: Clock) -> Identity:
    own = settings.identity
    times = IdleTimes(tablet_s=own.tablet_idle_s, office_s=own.office_idle_s, admin_s=own.admin_idle_s, whole_s=own.session_s_max)
    return Identity(
        kit,
        real,
        sessions=Sessions(kit, real, times),
        limits=Limits(real, wrong_max=own.wrong_max, locked_s=own.locked_s, per_minute_max=own.tries_per_minute_max),
        hasher=Hasher(memory_kib=own.argon2_memory_kib, passes=own.argon2_passes),
        key_path=settings.data_dir / "badge.key",
        times=SetupTimes(setup_s=own.setup_token_s, enrolment_s=own.enrolment_s),
    )


def make_telemetry(settings: Settings) -> TelemetryStore:
    """The store of samples; it opens its file or connection when the application starts."""
    chosen = settings.telemetry
    if chosen.kind == "memory":
        return MemoryStore()
    if chosen.kind == "duckdb":
        return DuckdbStore(settings.telemetry_path, memory_mib=chosen.memory_mib)
    from mes_server.telemetry.influx_store import InfluxStore  # the client is an extra

    token = chosen.token_file.read_text().strip() if chosen.token_file else ""
    return InfluxStore(chosen.url, token, chosen.org, chosen.bucket)


def make_ingest(settings: Settings, kit: Kit, telemetry: TelemetryStore, metrics: Metrics) -> IngestService:
    """The way in from the edges, over the embedded broker or an external one."""
    broker, link, mqtt = None, None, settings.broker
    if mqtt.kind == "embedded":
        tls = None
        if mqtt.tls_cert is not None and mqtt.tls_key is not None:
            tls = BrokerTls(mqtt.tls_cert, mqtt.tls_key, mqtt.tls_ca if mqtt.client_certificates else None)
        broker = EmbeddedBroker(settings.data_dir / "broker", host=mqtt.host, port=mqtt.port, host_id=settings.sparkplug.host_id, tls=tls)
        link = BrokerLink(mqtt.host, mqtt.port, tls_ca=mqtt.tls_ca, tls_cert=mqtt.tls_cert, tls_key=mqtt.tls_key) if tls else None
    elif mqtt.kind == "external":
        password = mqtt.password_file.read_text().strip() if mqtt.password_file else None
        link = BrokerLink(mqtt.host, mqtt.port, mqtt.user, password, mqtt.client_id, mqtt.keepalive_s, mqtt.tls_ca, mqtt.tls_cert, mqtt.tls_key)
    bounds = IngestBounds(
        commit_s=settings.ingest.commit_s,
        commit_bytes=settings.ingest.commit_bytes,
        inbox_bytes=settings.ingest.waiting_bytes_max,
        records_max=settings.ingest.batch_records_max,
        reorder_s=settings.ingest.reorder_s,
        fence_s=settings.ingest.fence_s,
        fence_twin_s=settings.ingest.fence_twin_s,
        stale_s=settings.ingest.stale_s,
        keep_days=settings.telemetry.keep_days,
    )
    service = IngestService(kit, telemetry, SliceBooking(), host_id=settings.sparkplug.host_id, broker=broker, link=link, bounds=bounds)
    metrics.registry.register(IngestFigures(service))
    return service


def edge_access(settings: Settings, broker: EmbeddedBroker | None) -> EdgeAccess:
    """Who of the edges may sign in at the broker."""
    return EdgeAccess(settings.data_dir / "broker", broker, settings.sparkplug.group, settings.sparkplug.host_id, settings.broker.tls_ca)


def create_app(settings: Settings, *, clock: Clock, real: Clock | None = None) -> FastAPI:
    """The whole application over one store. The store must have its tables already (`python -m mes_server migrate`, or `serve` does it).

    `clock` is plant time; `real` is the wall clock, which only sessions and sign-in limits use.
    """
    metrics = Metrics()
    db = Database(settings.database_url, readers_max=settings.database.readers_max, sqlite_cache_kib=settings.database.cache_kib)
    live = Live(listeners_max=settings.http.live_listeners_max)
    acts = Acts(db, clock, live, queue_max=settings.database.acts_waiting_max, batch_max=settings.database.acts_batch_max, metrics=metrics)
    kit = Kit(db=db, acts=acts, clock=clock, live=live, zone=ZoneInfo(settings.zone), lang=settings.lang)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        acts.start()
        started: list[Background] = []
        try:
            for service in background:
                started.append(service)
                await service.start()
            app.state.ready = True
            yield
        except MesError as error:
            app.state.refused = type(error)(**error.params)  # the command line says why; a copy, which holds no traceback and so no open store
            app.state.telemetry.close()  # nobody who was started does it
            raise
        finally:
            app.state.ready = False
            for service in reversed(started):
                try:
                    await service.stop()
                except Exception:  # supervision boundary: the others are stopped all the same, the broker's process above all
                    log.exception("%s did not stop in good order", type(service).__name__)
            await asyncio.to_thread(acts.stop)
            db.close()

    app = FastAPI(
        title="Gemba MES",
        version=__version__,
        lifespan=lifespan,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.kit = kit
    app.state.metrics = metrics
    app.state.ready = False
    install_problem_handlers(app)
    background = _compose(app, settings, kit, real if real is not None else PlantClock())
    for router in ROUTERS:
        app.include_router(router, prefix=API)
    app.include_router(_root_routes(settings))
    spa.mount(app, STATIC)
    app.add_middleware(RequestFigures, requests=metrics.requests, seconds=metrics.request_seconds)
    app.add_middleware(BodyLimit, limit=settings.http.body_bytes_max, special=((f"{API}/photos", settings.http.photo_bytes_max),))
    app.add_middleware(SecurityHeaders, https=settings.http.tls_cert is not None)
    return app


def _root_routes(settings: Settings) -> APIRouter:
    router = APIRouter(tags=["server"])
    token = settings.http.metrics_token_file.read_text().strip() if settings.http.metrics_token_file else None

    @router.get("/healthz", operation_id="healthz", dependencies=[OPEN])
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok", "version": __version__}

    @router.get("/readyz", operation_id="readyz", dependencies=[OPEN])
    def readyz(request: Request) -> JSONResponse:
        """Ready to book: started, the store can be read, the writer runs and its last commit was good."""
        kit: Kit = request.app.state.kit
        faults = [] if request.app.state.ready else ["starting"]
        faults += kit.acts.faults()
        try:
            kit.db.ping()
        except MesError as error:
            faults.append(error.code)
        return JSONResponse({"status": "ready" if not faults else "not_ready", "faults": faults}, 200 if not faults else 503)

    @router.get("/metrics", operation_id="metrics", dependencies=[OPEN], response_class=PlainTextResponse)
    def metrics(request: Request) -> Response:
        """Prometheus text; this machine only, or whoever holds the metrics token."""
        client = request.client.host if request.client else ""
        if token is not None:
            if not secrets.compare_digest(request.headers.get("authorization", ""), f"Bearer {token}"):
                return PlainTextResponse("metrics need their token\n", 403)
        elif client not in ("127.0.0.1", "::1"):
            return PlainTextResponse("metrics answer this machine only; set http.metrics_token_file\n", 403)
        figures: Metrics = request.app.state.metrics
        kit: Kit = request.app.state.kit
        figures.acts_waiting.set(kit.acts.waiting)
        figures.live_listeners.set(kit.live.listeners)
        return Response(generate_latest(figures.registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/", operation_id="root", dependencies=[OPEN], include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/dashboards/")

    return router


def make_server(app: FastAPI, settings: Settings, *, log_level: str = "warning", on_started: Callable[[int], None] | None = None) -> Server:
    """One process that serves `app`: uvloop, httptools, no access log (figures are in /metrics)."""
    config = uvicorn.Config(
        app,
        host=settings.http.host,
        port=settings.http.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level=log_level,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
        ssl_certfile=settings.http.tls_cert,
        ssl_keyfile=settings.http.tls_key,
    )
    server = Server(config, on_started)
    app.state.kit.acts.on_broken = lambda: setattr(server, "should_exit", True)
    return server
