"""One OPC UA connection: the only place that touches asyncua's session and its insides."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary

from edge_agent.contract.payload import DataType
from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.health import Standing
from edge_agent.pipeline.columns import Value
from edge_agent.sources.opcua import decode, filters, items, packml_counts, publish_request, security
from edge_agent.sources.opcua.config import OpcUaConfig
from edge_agent.sources.opcua.filters import NO_DEADBAND, Deadband, Filters
from edge_agent.sources.opcua.profiles import GENERIC, LIMITS, Profile, profile_of, queue_needed, queue_wanted
from edge_agent.sources.opcua.resume import Run, Subscription

logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it formats whole results at INFO; what matters is in our own errors

LIFETIME_S, LIFETIME_S_MIN = 60.0, 10.0  # without a Publish in that time the server drops the subscription
KEEP_ALIVE_S = 0.5  # an empty publish response this often proves silence
_LIMITS_AT = "ServerCapabilities_OperationLimits"
_SERVER_NODES = (
    "ServerStatus_StartTime",
    "ServerStatus_CurrentTime",
    "ServerStatus_BuildInfo_ManufacturerName",
    "ServerStatus_BuildInfo_ProductName",
    "ServerArray",
    "NamespaceArray",
    *(f"{_LIMITS_AT}_{name}" for name in LIMITS),
)
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
T = TypeVar("T")
# What asyncua raises for bytes that are no message, besides its own errors.
UNREADABLE = (ua.UaError, struct.error, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError, MemoryError)
_TRANSPORT_ERRORS = (OSError, asyncio.TimeoutError, ua.UaError, ConnectionError, struct.error)
_TOO_MUCH = frozenset(
    {
        ua.StatusCodes.BadTooManyOperations,
        ua.StatusCodes.BadRequestTooLarge,
        ua.StatusCodes.BadResponseTooLarge,
        ua.StatusCodes.BadEncodingLimitsExceeded,
    }
)


class SourceAway(SourceLost):
    """Nobody listens at its address."""


class Broken(SourceLost):
    """The transport broke: nothing was learned about the server."""


class TooManyPublishes(Exception):
    """The server does not want that many PublishRequests at once."""


@dataclass(frozen=True, slots=True)
class Server:
    """`now_ms`: its clock when it was asked."""

    run: Run
    profile: Profile
    now_ms: int | None
    namespaces: tuple[str, ...] = ()


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
    events: ua.EventFilter | None = None  # with it the item tells events, not values


class Connection:
    """An open session. All methods raise SourceLost when the server stops answering or the transport breaks."""

    def __init__(self, client: security.OpenClient, policy: str, standing: tuple[Standing, ...] = ()) -> None:
        self.client = client
        self.policy = policy
        self.standing = standing  # what must be said as long as it is open
        self.keeps_subscriptions = False
        self.is_left = True  # the server was not told that the session is over
        self._layouts = decode.Layouts()

    # --- reading and browsing ------------------------------------------------------------------------------------------------
    async def namespaces(self) -> list[str]:
        return list(await _lost_when_broken(self.client.get_namespace_array()))

    async def read(
        self, nodes: Sequence[ua.NodeId], per_call: int = GENERIC.reads_per_call, attribute: ua.AttributeIds = ua.AttributeIds.Value
    ) -> list[ua.DataValue]:
        out: list[ua.DataValue] = []
        for part in parts(nodes, per_call):
            out += await self._read(list(part), attribute)
        return out

    async def _read(self, nodes: list[ua.NodeId], attribute: ua.AttributeIds) -> list[ua.DataValue]:
        """One request; two where that is too much for the server."""
        try:
            return list(await self.client.uaclient.session.read_attributes(nodes, attribute))
        except ua.UaStatusCodeError as error:
            if error.code not in _TOO_MUCH or len(nodes) < 2:
                raise lost(error) from error
        except _TRANSPORT_ERRORS as error:
            raise lost(error) from error
        half = len(nodes) // 2
        return await self._read(nodes[:half], attribute) + await self._read(nodes[half:], attribute)

    async def run_now(self) -> tuple[int, list[str]]:
        """(when the server says it started, its namespaces now)."""
        nodes = [ua.NodeId(ua.ObjectIds.Server_ServerStatus_StartTime), ua.NodeId(ua.ObjectIds.Server_NamespaceArray)]
        started, uris = await self.read(nodes)
        at_ms = plain(started)[1]
        return at_ms if isinstance(at_ms, int) else 0, _texts(uris)

    async def server(self, items_per_call: int | None) -> Server:
        """Who answers, since when, its namespaces and what it can do at once: one request."""
        asked = [ua.NodeId(int(getattr(ua.ObjectIds, f"Server_{name}"))) for name in _SERVER_NODES]
        found = dict(zip(_SERVER_NODES, await self.read(asked, len(asked)), strict=True))
        values = {name: plain(value)[1] for name, value in found.items()}
        uris = _texts(found["ServerArray"])
        limits = {name: value for name in LIMITS if isinstance(value := values[f"{_LIMITS_AT}_{name}"], int)}
        words = [str(values[f"ServerStatus_BuildInfo_{part}"] or "") for part in ("ManufacturerName", "ProductName")]
        started, now = values["ServerStatus_StartTime"], values["ServerStatus_CurrentTime"]
        run = Run(uris[0] if uris else "", started if isinstance(started, int) else 0)
        profile = profile_of(words[0], words[1], limits, items_per_call)
        return Server(run, profile, now if isinstance(now, int) else None, tuple(_texts(found["NamespaceArray"])))

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
            raise lost(error) from error
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
            raise lost(error) from error
        try:
            response = decode.decode_republished(bytes(data), 0, self._layouts, subscription)
        except decode.Unusual as error:
            raise _not_understood(error) from error
        return response if response.sequence == sequence else None

    async def delete(self, subscription: int) -> None:
        """Best effort: what is not deleted ends with its lifetime."""
        with suppress(SourceLost):
            await self._request(ua.DeleteSubscriptionsRequest(Parameters=ua.DeleteSubscriptionsParameters([subscription])))

    async def watch(self, subscription: Subscription, wanted: Sequence[Item], config: OpcUaConfig, server: Server, refusals: Filters) -> Watched:
        """Creates monitored items, with the strongest deadband filter that the server takes of each."""
        out = Watched({}, [], {})
        refusals.supported = server.profile.has_filter
        left = list(wanted)
        while left:
            steps = [refusals.step(item.handle, item.deadband) for item in left]
            results = await self._create(subscription, left, steps, config, server.profile, refusals)
            again: list[Item] = []
            for item, step, result in zip(left, steps, results, strict=True):
                if ua.StatusCode(result.status).is_good():
                    out.ids[item.handle] = result.id
                    needed = queue_needed(subscription.publishing_s, result.sampling_ms / 1000.0)
                    if 0 < result.queue < needed and item.events is None:
                        out.short.append(f"{item.words} ({result.queue} of {needed})")
                elif refusals.refused(item.handle, step, result.status):
                    again.append(item)
                else:
                    status = ua.StatusCode(result.status)
                    out.refused[item.handle] = f"{status.name} ({status.doc})"
            left = again
        return out

    async def _create(
        self, subscription: Subscription, wanted: Sequence[Item], steps: Sequence[str], config: OpcUaConfig, profile: Profile, refusals: Filters
    ) -> list[items.Made]:
        """Their results, in order. Several calls are on their way at once where the profile says so; a call that is too big is halved."""
        queue = queue_wanted(subscription.publishing_s, config.sampling_interval_s, config.queue_size)
        asked = [
            items.Asked(item.node, item.handle, item.events or filters.of(step, item.deadband)) for item, step in zip(wanted, steps, strict=True)
        ]
        calls = 1 if any(step != filters.NONE for step in steps) else profile.calls  # a filter that is refused shows in the first call
        left = deque(parts(asked, min(profile.items_per_call, refusals.items_per_call or profile.items_per_call)))
        on_way: deque[tuple[Sequence[items.Asked], asyncio.Future[Any]]] = deque()
        out: dict[int, items.Made] = {}
        try:
            while left or on_way:
                while left and len(on_way) < calls:
                    part = left.popleft()
                    body = items.request(subscription.id, part, config.sampling_interval_s * 1000.0, queue)
                    on_way.append((part, self._send(items.REQUEST, body)))
                part, future = on_way.popleft()
                found = await self._made(part, future)
                if found is None:
                    refusals.items_per_call = half = (len(part) + 1) // 2
                    left.extendleft([part[half:], part[:half]])
                    continue
                out.update((one.handle, made) for one, made in zip(part, found, strict=True))
        finally:
            for _, future in on_way:
                future.cancel()
        return [out[item.handle] for item in wanted]

    async def _made(self, asked: Sequence[items.Asked], future: asyncio.Future[Any]) -> list[items.Made] | None:
        """The answer to one call; None when the server wants fewer at once."""
        try:
            data = await self._answer(future)
        except ua.UaStatusCodeError as error:
            if error.code in _TOO_MUCH and len(asked) > 1:
                return None
            raise lost(error) from error
        except _TRANSPORT_ERRORS as error:
            raise lost(error) from error
        found = items.results(bytes(data))
        if found is None:
            found = [items.result_of(one) for one in _read(ua.CreateMonitoredItemsResponse, data).Results]
        if len(found) != len(asked):
            raise lost(ua.UaError(f"{len(found)} results for {len(asked)} monitored items"))
        return found

    def _send(self, kind: bytes, parameters: bytes, timeout_s: float | None = None) -> asyncio.Future[Any]:
        """Sends a request whose parameters are encoded already; the future gives the encoded answer. Raises SourceLost."""
        protocol = self.client.uaclient.protocol
        if protocol is None or protocol.transport is None:
            raise lost(ConnectionError("connection lost"))
        protocol._request_handle += 1
        hint_s = protocol.timeout if timeout_s is None else timeout_s
        now_ns = time.time_ns()  # noqa: TID251 - the request's own time, as asyncua stamps it
        header = publish_request.header(protocol.authentication_token, now_ns, protocol._request_handle, hint_s)
        protocol.revolve_security_token()
        protocol._request_id += 1
        message = protocol._connection.message_to_binary(kind + header + parameters, request_id=protocol._request_id)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        protocol._callbackmap[protocol._request_id] = future
        protocol.transport.write(message)
        return future

    async def _answer(self, future: asyncio.Future[Any]) -> Any:
        """Raises asyncua's error for a fault, TimeoutError, the transport's errors."""
        protocol = self.client.uaclient.protocol
        async with asyncio.timeout(protocol.timeout):
            data = await future
        protocol.check_answer(data, "")
        return data

    async def unwatch(self, subscription: int, ids: Sequence[int]) -> None:
        """Deletes monitored items; best effort."""
        with suppress(SourceLost):
            await self._request(ua.DeleteMonitoredItemsRequest(Parameters=ua.DeleteMonitoredItemsParameters(subscription, list(ids))))

    def publish(self, subscription: int, acknowledge: Sequence[int]) -> asyncio.Future[Any]:
        """Sends a PublishRequest; the future gives the encoded response."""
        return self._send(publish_request.PUBLISH, publish_request.acknowledgements(subscription, acknowledge), 0.0)

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
            raise lost(error) from error
        return decoded(bytes(data), self._layouts)

    async def call(self, method: ua.CallMethodRequest) -> ua.StatusCode:
        """What the server says to a method; its outputs are left."""
        try:
            return (await self.client.uaclient.session.call([method]))[0].StatusCode
        except ua.UaStatusCodeError as error:
            return ua.StatusCode(error.code)
        except (*_TRANSPORT_ERRORS, IndexError) as error:
            raise lost(error) from error

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
                is_open = client.uaclient.protocol is not None and not client.uaclient.protocol.is_closed
                await client.uaclient.close_session(not self.keeps_subscriptions)
                self.is_left = not is_open
                await client.close_secure_channel()
        client.disconnect_socket()


@asynccontextmanager
async def connect(config: OpcUaConfig, source: str, edge: str, met: security.Met | None = None) -> AsyncIterator[Connection]:
    """A session from connect to close. `met`: what held last time, kept up to date. Raises SourceLost, SourceMisconfigured."""
    with in_words(config):
        secured = await security.opened(config, source, edge, met or security.Met())
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
        known = lost(error, config.url)
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
    return lost(error, config.url)


def _not_offered(config: OpcUaConfig) -> SourceMisconfigured:
    wanted = config.security
    return SourceMisconfigured(
        f'The OPC UA server at {config.url} answers, but does not offer security "{wanted}".',
        f'OPC UA 服务器 {config.url} 有应答,但不提供安全级别 "{wanted}"。',
        'Write security = "best" (with browse: leave --security out), or switch that policy on at the server.',
        '请写 security = "best"(browse 时不加 --security),或在服务器上启用该策略。',
    )


def lost(error: BaseException, where: str = "") -> SourceLost:
    words = str(error) or type(error).__name__
    at = f" at {where}" if where else ""
    kind = Broken if isinstance(error, OSError) and not isinstance(error, TimeoutError) else SourceLost
    return kind(
        f"The OPC UA server{at} cannot be reached: {words}.",
        f"无法连接 OPC UA 服务器{at}:{words}。",
        "Check address, cable and server.",
        "请检查地址、网线和服务器。",
    )


async def _lost_when_broken(call: Any) -> Any:
    try:
        return await call
    except _TRANSPORT_ERRORS as error:
        raise lost(error) from error


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
    except UNREADABLE as error:
        raise lost(error) from error
    return response


def _texts(value: ua.DataValue) -> list[str]:
    """An array of strings; empty when the server has none."""
    found = value.Value.Value if value.Value is not None else None
    return [str(one) for one in found] if isinstance(found, list) else []


def parts(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
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
