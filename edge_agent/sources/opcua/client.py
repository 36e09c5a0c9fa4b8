"""One OPC UA connection: the only place that touches asyncua's session and its insides."""

from __future__ import annotations

import asyncio
import logging
import struct
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from edge_agent.contract.payload import DataType
from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.health import Standing
from edge_agent.pipeline.columns import Value
from edge_agent.sources.opcua import decode, filters, packml_counts, security
from edge_agent.sources.opcua.config import OpcUaConfig
from edge_agent.sources.opcua.filters import NO_DEADBAND, Deadband, Filters
from edge_agent.sources.opcua.profiles import GENERIC, LIMITS, Profile, profile_of, queue_needed, queue_wanted
from edge_agent.sources.opcua.resume import Run, Subscription

logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it formats whole results at INFO; what matters is in our own errors

LIFETIME_S, LIFETIME_S_MIN = 60.0, 10.0  # without a Publish in that time the server drops the subscription
HISTORY_VALUES = 10_000  # of a node in one answer; the rest comes by its continuation point
KEEP_ALIVE_S = 0.5  # an empty publish response this often proves silence
_LIMITS_AT = "ServerCapabilities_OperationLimits"
_SERVER_NODES = (
    "ServerStatus_StartTime",
    "ServerStatus_CurrentTime",
    "ServerStatus_BuildInfo_ManufacturerName",
    "ServerStatus_BuildInfo_ProductName",
    *(f"{_LIMITS_AT}_{name}" for name in LIMITS),
)
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
T = TypeVar("T")
# What asyncua raises for bytes that are no message, besides its own errors.
_UNREADABLE = (ua.UaError, struct.error, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError, MemoryError)
_TRANSPORT_ERRORS = (OSError, asyncio.TimeoutError, ua.UaError, ConnectionError, struct.error)


class SourceAway(SourceLost):
    """Nobody listens at its address."""


class TooManyPublishes(Exception):
    """The server does not want that many PublishRequests at once."""


@dataclass(frozen=True, slots=True)
class Server:
    """`now_ms`: its clock when it was asked."""

    run: Run
    profile: Profile
    now_ms: int | None


@dataclass(frozen=True, slots=True)
class Watched:
    """What became of items, by handle: the server's own words for those it refuses, its ids of the others; `short`: whose queue it made too short."""

    refused: dict[int, str]
    short: list[str]
    ids: dict[int, int]


@dataclass(frozen=True, slots=True)
class Item:
    """A node to watch. `handle` comes back with every change; it is the item's place in the source's config."""

    handle: int
    node: ua.NodeId
    words: str
    deadband: Deadband = NO_DEADBAND


class Connection:
    """An open session. All methods raise SourceLost when the server stops answering or the transport breaks."""

    def __init__(self, client: Client, policy: str, standing: tuple[Standing, ...] = ()) -> None:
        self.client = client
        self.policy = policy
        self.standing = standing  # what must be said as long as it is open
        self.keeps_subscriptions = False
        self._layouts = decode.Layouts()

    # --- reading and browsing ------------------------------------------------------------------------------------------------
    async def namespaces(self) -> list[str]:
        return list(await _lost_when_broken(self.client.get_namespace_array()))

    async def read(
        self, nodes: Sequence[ua.NodeId], per_call: int = GENERIC.reads_per_call, attribute: ua.AttributeIds = ua.AttributeIds.Value
    ) -> list[ua.DataValue]:
        out: list[ua.DataValue] = []
        for part in _parts(nodes, per_call):
            out += await _lost_when_broken(self.client.uaclient.session.read_attributes(list(part), attribute))
        return out

    async def run_now(self) -> tuple[int, list[str]]:
        """(when the server says it started, its namespaces now)."""
        nodes = [ua.NodeId(ua.ObjectIds.Server_ServerStatus_StartTime), ua.NodeId(ua.ObjectIds.Server_NamespaceArray)]
        started, uris = await self.read(nodes)
        at_ms = plain(started)[1]
        names = uris.Value.Value if uris.Value is not None and isinstance(uris.Value.Value, list) else []
        return at_ms if isinstance(at_ms, int) else 0, [str(name) for name in names]

    async def server(self, items_per_call: int | None) -> Server:
        """Who answers, since when, and what it can do at once."""
        asked = [getattr(ua.ObjectIds, f"Server_{name}") for name in _SERVER_NODES]
        values = dict(zip(_SERVER_NODES, [plain(value)[1] for value in await self.read([ua.NodeId(int(node)) for node in asked], 20)], strict=True))
        uris = await _lost_when_broken(
            self.client.uaclient.session.read_attributes([ua.NodeId(ua.ObjectIds.Server_ServerArray)], ua.AttributeIds.Value)
        )
        variant = uris[0].Value
        uri = str(variant.Value[0]) if variant is not None and isinstance(variant.Value, list) and variant.Value else ""
        limits = {name: value for name in LIMITS if isinstance(value := values[f"{_LIMITS_AT}_{name}"], int)}
        words = [str(values[f"ServerStatus_BuildInfo_{part}"] or "") for part in ("ManufacturerName", "ProductName")]
        started, now = values["ServerStatus_StartTime"], values["ServerStatus_CurrentTime"]
        run = Run(uri, started if isinstance(started, int) else 0)
        return Server(run, profile_of(words[0], words[1], limits, items_per_call), now if isinstance(now, int) else None)

    # --- subscription --------------------------------------------------------------------------------------------------------
    async def subscribe(self, config: OpcUaConfig) -> Subscription:
        request = ua.CreateSubscriptionRequest()
        wanted = request.Parameters
        wanted.RequestedPublishingInterval = config.publishing_interval_s * 1000.0
        keep_alive = max(1, round(KEEP_ALIVE_S / config.publishing_interval_s))
        wanted.RequestedMaxKeepAliveCount = keep_alive
        lifetime_s = max(config.resume_s, LIFETIME_S_MIN) if config.resume_s else LIFETIME_S
        wanted.RequestedLifetimeCount = max(3 * keep_alive, round(lifetime_s / config.publishing_interval_s))
        wanted.MaxNotificationsPerPublish = 10_000
        wanted.PublishingEnabled = True
        data = await self._request(request)
        revised = _read(ua.CreateSubscriptionResponse, data).Parameters
        interval_s = revised.RevisedPublishingInterval / 1000.0
        return Subscription(revised.SubscriptionId, interval_s, interval_s * revised.RevisedMaxKeepAliveCount)

    async def transfer(self, subscription: int) -> tuple[str, list[int]]:
        """Takes a subscription over from an earlier session: ("", the sequence numbers that can be had again), or (the server's words, [])."""
        request = ua.TransferSubscriptionsRequest()
        request.Parameters.SubscriptionIds = [subscription]
        request.Parameters.SendInitialValues = False
        try:
            data = await self.client.uaclient.protocol.send_request(request)
            result = _read(ua.TransferSubscriptionsResponse, data).Parameters.Results[0]
        except ua.UaStatusCodeError as error:
            return ua.StatusCode(error.code).name, []
        except (*_TRANSPORT_ERRORS, IndexError) as error:
            raise _lost(error) from error
        if not result.StatusCode.is_good():
            return str(result.StatusCode.name), []
        return "", list(result.AvailableSequenceNumbers or ())

    async def republish(self, subscription: int, sequence: int) -> decode.Response | None:
        """A notification once more; None when the server does not have it (any more)."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = subscription
        request.Parameters.RetransmitSequenceNumber = sequence
        try:
            data = await self.client.uaclient.protocol.send_request(request)
        except ua.UaStatusCodeError:
            return None
        except _TRANSPORT_ERRORS as error:
            raise _lost(error) from error
        try:
            response = decode.decode_republished(bytes(data), 0, self._layouts, subscription)
        except decode.Unusual as error:
            raise _not_understood(error) from error
        return response if response.sequence == sequence else None

    async def delete(self, subscription: int) -> None:
        """Best effort: what is not deleted ends with its lifetime."""
        with suppress(SourceLost):
            await self._request(ua.DeleteSubscriptionsRequest(Parameters=ua.DeleteSubscriptionsParameters([subscription])))

    async def watch(self, subscription: Subscription, items: Sequence[Item], config: OpcUaConfig, server: Server, refusals: Filters) -> Watched:
        """Creates monitored items, with the strongest deadband filter that the server takes of each."""
        out = Watched({}, [], {})
        refusals.supported = server.profile.has_filter
        left = list(items)
        while left:
            again: list[Item] = []
            for part in _parts(left, server.profile.items_per_call):
                steps = [refusals.step(item.handle, item.deadband) for item in part]
                results = await self._create(subscription, part, steps, config)
                for item, step, result in zip(part, steps, results, strict=True):
                    if result.StatusCode.is_good():
                        out.ids[item.handle] = result.MonitoredItemId
                        needed = queue_needed(subscription.publishing_s, result.RevisedSamplingInterval / 1000.0)
                        if 0 < result.RevisedQueueSize < needed:
                            out.short.append(f"{item.words} ({result.RevisedQueueSize} of {needed})")
                    elif refusals.refused(item.handle, step, result.StatusCode.value):
                        again.append(item)
                    else:
                        out.refused[item.handle] = f"{result.StatusCode.name} ({result.StatusCode.doc})"
            left = again
        return out

    async def _create(self, subscription: Subscription, items: Sequence[Item], steps: Sequence[str], config: OpcUaConfig) -> list[Any]:
        """One call of CreateMonitoredItems; its results."""
        queue = queue_wanted(subscription.publishing_s, config.sampling_interval_s, config.queue_size)
        request = ua.CreateMonitoredItemsRequest()
        params = request.Parameters
        params.SubscriptionId = subscription.id
        params.TimestampsToReturn = ua.TimestampsToReturn.Source
        params.ItemsToCreate = [
            _monitored(item, config.sampling_interval_s, queue, filters.of(step, item.deadband)) for item, step in zip(items, steps, strict=True)
        ]
        results = list(_read(ua.CreateMonitoredItemsResponse, await self._request(request)).Results)
        if len(results) != len(items):
            raise _lost(ua.UaError(f"{len(results)} results for {len(items)} monitored items"))
        return results

    async def unwatch(self, subscription: int, ids: Sequence[int]) -> None:
        """Deletes monitored items; best effort."""
        with suppress(SourceLost):
            await self._request(ua.DeleteMonitoredItemsRequest(Parameters=ua.DeleteMonitoredItemsParameters(subscription, list(ids))))

    def publish(self, subscription: int, acknowledge: Sequence[int]) -> asyncio.Future[Any]:
        """Sends a PublishRequest; the future gives the encoded response."""
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(SubscriptionId=subscription, SequenceNumber=number) for number in acknowledge
        ]
        try:
            future: asyncio.Future[Any] = self.client.uaclient.protocol._send_request(request, timeout=0)
        except _TRANSPORT_ERRORS as error:
            raise _lost(error) from error
        return future

    async def response(self, future: asyncio.Future[Any], timeout_s: float) -> decode.Response:
        """Waits for a publish response and decodes it. Raises SourceLost on silence, fault or a broken transport, TooManyPublishes."""
        try:
            async with asyncio.timeout(timeout_s):
                data = await future
        except TimeoutError as error:
            raise SourceLost(
                f"The server has been silent for {timeout_s:.1f} s.", f"服务器 {timeout_s:.1f} 秒无应答。", "Connecting anew.", "正在重连。"
            ) from error
        except _TRANSPORT_ERRORS as error:
            raise _lost(error) from error
        return decoded(bytes(data), self._layouts)

    # --- history -------------------------------------------------------------------------------------------------------------
    async def history(self, nodes: Sequence[ua.NodeId], from_ms: int, to_ms: int, profile: Profile) -> list[list[ua.DataValue] | None]:
        """Raw history of each node in (from_ms, to_ms]; None for a node whose history the server does not have or not give whole."""
        out: list[list[ua.DataValue] | None] = []
        for part in _parts(nodes, profile.histories_per_call):
            found: list[list[ua.DataValue] | None] = [[] for _ in part]
            open_points: dict[int, bytes | None] = dict.fromkeys(range(len(part)))
            while open_points:
                results = await self._history_call([(part[i], point) for i, point in open_points.items()], from_ms, to_ms)
                open_points = _gathered(dict(zip(open_points, results, strict=True)), found)
            out += found
        return out

    async def _history_call(self, nodes: Sequence[tuple[ua.NodeId, bytes | None]], from_ms: int, to_ms: int) -> list[Any]:
        params = ua.HistoryReadParameters()
        details = ua.ReadRawModifiedDetails()
        details.IsReadModified = False
        details.StartTime, details.EndTime = _EPOCH + from_ms * _MS, _EPOCH + to_ms * _MS
        details.NumValuesPerNode = HISTORY_VALUES
        details.ReturnBounds = False
        params.HistoryReadDetails = details
        params.TimestampsToReturn = ua.TimestampsToReturn.Source
        params.ReleaseContinuationPoints = False
        params.NodesToRead = [ua.HistoryReadValueId(NodeId=node, ContinuationPoint=point) for node, point in nodes]
        try:
            results = list(await self.client.uaclient.session.history_read(params))
        except ua.UaStatusCodeError:
            results = []
        except _TRANSPORT_ERRORS as error:
            raise _lost(error) from error
        return results if len(results) == len(nodes) else [None] * len(nodes)

    async def _request(self, request: Any) -> Any:
        """Sends a request, gives its encoded answer. Raises SourceLost, for a fault in the server's words."""
        return await _lost_when_broken(self.client.uaclient.protocol.send_request(request))

    async def close(self) -> None:
        """Ends the session; with `keeps_subscriptions` the server goes on collecting for the next one."""
        client = self.client
        with suppress(*_TRANSPORT_ERRORS, RuntimeError):
            async with asyncio.timeout(2.0):
                # what Client.disconnect does, which always deletes the subscriptions
                client.uaclient.request_disconnect()
                for task in (client._stale_watchdog_task, client._supervisor_task, client._renew_channel_task):
                    await client._cancel_task(task)
                client.uaclient.pre_request_hook = None
                await client.uaclient.close_session(not self.keeps_subscriptions)
                await client.close_secure_channel()
        client.disconnect_socket()


@asynccontextmanager
async def connect(config: OpcUaConfig, source: str, edge: str) -> AsyncIterator[Connection]:
    """A session from connect to close. Raises SourceLost, SourceMisconfigured."""
    with in_words(config):
        secured = await security.prepare(config, source, edge)
        await secured.client.connect()
    connection = Connection(secured.client, secured.policy, secured.standing)
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def in_words(config: OpcUaConfig) -> Iterator[None]:
    """What goes wrong before a session is open, as SourceLost or SourceMisconfigured."""
    try:
        yield
    except ua.UaStatusCodeError as error:
        raise _refused(error, config) from error
    except _TRANSPORT_ERRORS as error:
        if "No matching endpoints" in str(error):
            raise _not_offered(config) from error
        known = _lost(error, config.url)
        if isinstance(error, OSError):
            raise SourceAway(known.en, known.zh, known.next_en, known.next_zh) from error
        raise known from error


def _refused(error: ua.UaStatusCodeError, config: OpcUaConfig) -> SourceLost | SourceMisconfigured:
    status = ua.StatusCode(error.code)
    who = config.user_certificate.name if config.user_certificate is not None else config.user
    if status.name in ("BadUserAccessDenied", "BadIdentityTokenRejected", "BadIdentityTokenInvalid"):
        return SourceMisconfigured(
            f"The server refuses user {who or 'anonymous'}: {status.name}.",
            f"服务器拒绝用户 {who or '匿名'}:{status.name}。",
            "Correct user and password_file (or user_certificate and user_key).",
            "请修改 user 和 password_file(或 user_certificate 和 user_key)。",
        )
    if status.name in ("BadSecurityChecksFailed", "BadCertificateUntrusted", "BadCertificateUriInvalid"):
        return SourceMisconfigured(
            f"The server does not trust our certificate: {status.name}.",
            f"服务器不信任本机证书:{status.name}。",
            f"Let the server trust {config.pki_dir / 'own' / 'certificate.der'}.",
            f"请让服务器信任 {config.pki_dir / 'own' / 'certificate.der'}。",
        )
    return _lost(error, config.url)


def _not_offered(config: OpcUaConfig) -> SourceMisconfigured:
    wanted = config.security
    return SourceMisconfigured(
        f'The OPC UA server at {config.url} answers, but does not offer security "{wanted}".',
        f'OPC UA 服务器 {config.url} 有应答,但不提供安全级别 "{wanted}"。',
        'Write security = "best" (with browse: leave --security out), or switch that policy on at the server.',
        '请写 security = "best"(browse 时不加 --security),或在服务器上启用该策略。',
    )


def _lost(error: BaseException, where: str = "") -> SourceLost:
    words = str(error) or type(error).__name__
    at = f" at {where}" if where else ""
    return SourceLost(
        f"The OPC UA server{at} cannot be reached: {words}.",
        f"无法连接 OPC UA 服务器{at}:{words}。",
        "Check address, cable and server.",
        "请检查地址、网线和服务器。",
    )


async def _lost_when_broken(call: Any) -> Any:
    try:
        return await call
    except _TRANSPORT_ERRORS as error:
        raise _lost(error) from error


def _monitored(item: Item, sampling_s: float, queue: int, wanted_filter: ua.DataChangeFilter | None) -> ua.MonitoredItemCreateRequest:
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor.NodeId = item.node
    request.ItemToMonitor.AttributeId = ua.AttributeIds.Value
    request.MonitoringMode = ua.MonitoringMode.Reporting
    wanted = request.RequestedParameters
    wanted.ClientHandle = item.handle
    wanted.SamplingInterval = sampling_s * 1000.0
    wanted.QueueSize = queue
    wanted.DiscardOldest = True
    if wanted_filter is not None:
        wanted.Filter = wanted_filter
    # Equal values with a new stamp are not news; the default trigger (status or value) is what every server has.
    return request


def node_id(text: str, default_namespace: str | None, prefix: str, namespaces: Sequence[str]) -> ua.NodeId:
    """From the config's `s=Name`, `i=1`, `nsu=URI;s=Name`. Raises SourceMisconfigured when the server has no such namespace."""
    uri = default_namespace
    if text.startswith("nsu="):
        uri, _, text = text[4:].partition(";")
    elif text.startswith("s=") and prefix:
        text = f"s={prefix}{text[2:]}"
    if uri not in namespaces:
        raise SourceMisconfigured(
            f"The server has no namespace {uri}; it has {', '.join(namespaces)}.",
            f"服务器没有命名空间 {uri};现有:{', '.join(namespaces)}。",
            "Correct `namespace`.",
            "请修改 `namespace`。",
        )
    kind, identifier = text[0], text[2:]
    index = list(namespaces).index(str(uri))
    try:
        if kind == "i":
            return ua.NodeId(int(identifier), index)
        if kind == "g":
            return ua.NodeId(uuid.UUID(identifier), index)
        if kind == "b":
            return ua.NodeId(bytes.fromhex(identifier), index)
    except ValueError as error:
        raise SourceMisconfigured(
            f"{text} is no node id: {error}.",
            f"{text} 不是有效节点号:{error}。",
            "Write i=<number>, g=<uuid> or b=<hex>.",
            "请写 i=数字、g=UUID 或 b=十六进制。",
        ) from error
    return ua.NodeId(identifier, index)


# --- answers -------------------------------------------------------------------------------------------------------------------
def decoded(raw: bytes, layouts: decode.Layouts) -> decode.Response:
    """A publish response. Raises SourceLost for a fault and for nonsense, TooManyPublishes."""
    try:
        return decode.decode(raw, 0, layouts)
    except decode.Unusual as error:
        code = decode.fault(raw)
        if code is None:
            raise _not_understood(error) from error
        if code == ua.StatusCodes.BadTooManyPublishRequests:
            raise TooManyPublishes from error
        raise SourceLost(
            f"The server ended publishing: {ua.StatusCode(code).name}.",
            f"服务器终止发布:{ua.StatusCode(code).name}。",
            "Connecting anew.",
            "正在重连。",
        ) from error


def _not_understood(error: decode.Unusual) -> SourceLost:
    return SourceLost(f"The server's answer cannot be understood ({error}).", f"无法理解服务器的应答({error})。", "Connecting anew.", "正在重连。")


def _read(kind: Any, data: Any) -> Any:
    """asyncua's decoding of a whole response. Raises SourceLost for what is none, and for a bad service result."""
    try:
        response = struct_from_binary(kind, data)
        response.ResponseHeader.ServiceResult.check()
    except _UNREADABLE as error:
        raise _lost(error) from error
    return response


def _gathered(results: dict[int, Any], found: list[list[ua.DataValue] | None]) -> dict[int, bytes | None]:
    """Puts the answers of one HistoryRead into `found`; returns where more is to be had, with its continuation point."""
    left: dict[int, bytes | None] = {}
    for i, result in results.items():
        values = found[i]
        if result is None or values is None or not result.StatusCode.is_good() or not isinstance(result.HistoryData, ua.HistoryData):
            found[i] = None
            continue
        values += result.HistoryData.DataValues or []
        if result.ContinuationPoint:
            left[i] = result.ContinuationPoint
    return left


def _parts(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]


def ms_of(stamp: datetime) -> int:
    """Milliseconds since 1970 (rounded down) of asyncua's datetime; one without a zone means UTC."""
    utc = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
    return (utc - _EPOCH) // _MS


def _node_words(node: ua.NodeId) -> str | None:
    """`ns=4;i=5006`, as `skip.node_words` says it (a state machine's CurrentState/Id); None for a Guid or bytes."""
    if isinstance(node.Identifier, int):
        return f"ns={node.NamespaceIndex};i={node.Identifier}"
    return f"ns={node.NamespaceIndex};s={node.Identifier}" if isinstance(node.Identifier, str) else None


def plain(value: ua.DataValue) -> tuple[int, Value]:
    """(kind, value) of a DataValue; None when it is bad or of a type that is no single value."""
    variant = value.Value
    bad = value.StatusCode is not None and value.StatusCode.is_bad()
    raw = None if variant is None or bad else variant.Value
    if raw is None and not bad and variant is not None and variant.VariantType == ua.VariantType.String:
        raw = ""  # a String that is null is empty, not unknown
    if isinstance(raw, ua.LocalizedText):
        raw = raw.Text
    elif isinstance(raw, ua.NodeId) and variant.VariantType == ua.VariantType.NodeId:
        raw = _node_words(raw)
    elif isinstance(raw, list) and raw and isinstance(raw[0], ua.ExtensionObject):
        raw = packml_counts.counts([one.Body if isinstance(one, ua.ExtensionObject) else None for one in raw])
    if isinstance(raw, bool):
        return int(DataType.BOOLEAN), raw
    if isinstance(raw, int):
        return int(DataType.UINT64 if variant.VariantType == ua.VariantType.UInt64 else DataType.INT64), int(raw)
    if isinstance(raw, float):
        return int(DataType.FLOAT if variant.VariantType == ua.VariantType.Float else DataType.DOUBLE), raw
    if isinstance(raw, str):
        return int(DataType.STRING), raw
    if variant is not None and variant.VariantType == ua.VariantType.DateTime and raw is not None and not isinstance(raw, list):
        return int(DataType.DATETIME), ms_of(raw)
    return int(DataType.STRING), None
