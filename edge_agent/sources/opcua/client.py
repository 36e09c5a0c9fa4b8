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
from typing import Any

from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from edge_agent.contract.payload import DataType
from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.health import Standing
from edge_agent.pipeline.columns import Columns, Value
from edge_agent.sources.opcua import decode, security
from edge_agent.sources.opcua.config import OpcUaConfig

logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it formats whole results at INFO; what matters is in our own errors

LIFETIME_S = 60.0
KEEP_ALIVE_S = 0.5  # an empty publish response this often proves silence
_FAULT = 397
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_TRANSPORT_ERRORS = (OSError, asyncio.TimeoutError, ua.UaError, ConnectionError, struct.error)


@dataclass(frozen=True, slots=True)
class Subscription:
    id: int
    publishing_s: float
    keep_alive_s: float


@dataclass(frozen=True, slots=True)
class Item:
    """A node to watch. `handle` comes back with every change."""

    handle: int
    node: ua.NodeId
    words: str


class Connection:
    """An open session. All methods raise SourceLost when the server stops answering or the transport breaks."""

    def __init__(self, client: Client, policy: str, standing: tuple[Standing, ...] = ()) -> None:
        self.client = client
        self.policy = policy
        self.standing = standing  # what must be said as long as it is open
        self._layouts = decode.Layouts()

    # --- reading and browsing ------------------------------------------------------------------------------------------------
    async def namespaces(self) -> list[str]:
        return list(await _lost_when_broken(self.client.get_namespace_array()))

    async def read(self, nodes: Sequence[ua.NodeId]) -> list[ua.DataValue]:
        return list(await _lost_when_broken(self.client.uaclient.session.read_attributes(list(nodes), ua.AttributeIds.Value)))

    # --- subscription --------------------------------------------------------------------------------------------------------
    async def subscribe(self, config: OpcUaConfig) -> Subscription:
        request = ua.CreateSubscriptionRequest()
        wanted = request.Parameters
        wanted.RequestedPublishingInterval = config.publishing_interval_s * 1000.0
        keep_alive = max(1, round(KEEP_ALIVE_S / config.publishing_interval_s))
        wanted.RequestedMaxKeepAliveCount = keep_alive
        wanted.RequestedLifetimeCount = max(3 * keep_alive, round(LIFETIME_S / config.publishing_interval_s))
        wanted.MaxNotificationsPerPublish = 10_000
        wanted.PublishingEnabled = True
        data = await _lost_when_broken(self.client.uaclient.protocol.send_request(request))
        response = struct_from_binary(ua.CreateSubscriptionResponse, data)
        revised = response.Parameters
        interval_s = revised.RevisedPublishingInterval / 1000.0
        return Subscription(revised.SubscriptionId, interval_s, interval_s * revised.RevisedMaxKeepAliveCount)

    async def watch(self, subscription: Subscription, items: Sequence[Item], config: OpcUaConfig) -> dict[int, str]:
        """Creates monitored items; returns handle -> the server's own words for those it refuses."""
        refused: dict[int, str] = {}
        queue = config.queue_size
        if config.sampling_interval_s > 0:
            queue = max(queue, int(subscription.publishing_s / config.sampling_interval_s) + 10)
        for start in range(0, len(items), config.items_per_call):
            part = items[start : start + config.items_per_call]
            params = ua.CreateMonitoredItemsParameters()
            params.SubscriptionId = subscription.id
            params.TimestampsToReturn = ua.TimestampsToReturn.Source
            params.ItemsToCreate = [_monitored(item, config.sampling_interval_s, queue) for item in part]
            results = await _lost_when_broken(self.client.uaclient.session.create_monitored_items(params))
            for item, result in zip(part, results, strict=True):
                if not result.StatusCode.is_good():
                    refused[item.handle] = f"{result.StatusCode.name} ({result.StatusCode.doc})"
                elif result.RevisedQueueSize and result.RevisedQueueSize < min(queue, 2):
                    refused[item.handle] = f"the server keeps only {result.RevisedQueueSize} value(s) between two sendings"
        return refused

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
        """Waits for a publish response and decodes it. Raises SourceLost on silence, fault or a broken transport."""
        try:
            async with asyncio.timeout(timeout_s):
                data = await future
        except TimeoutError as error:
            raise SourceLost(
                f"The server has been silent for {timeout_s:.1f} s.", f"服务器 {timeout_s:.1f} 秒无应答。", "Connecting anew.", "正在重连。"
            ) from error
        except _TRANSPORT_ERRORS as error:
            raise _lost(error) from error
        raw = bytes(data)
        try:
            return decode.decode(raw, 0, self._layouts)
        except decode.Unusual:
            return _decode_slowly(raw, data)

    async def close(self) -> None:
        with suppress(*_TRANSPORT_ERRORS, RuntimeError):
            async with asyncio.timeout(2.0):
                await self.client.disconnect()
        self.client.disconnect_socket()


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
        raise _lost(error, config.url) from error


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


def _monitored(item: Item, sampling_s: float, queue: int) -> ua.MonitoredItemCreateRequest:
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor.NodeId = item.node
    request.ItemToMonitor.AttributeId = ua.AttributeIds.Value
    request.MonitoringMode = ua.MonitoringMode.Reporting
    wanted = request.RequestedParameters
    wanted.ClientHandle = item.handle
    wanted.SamplingInterval = sampling_s * 1000.0
    wanted.QueueSize = queue
    wanted.DiscardOldest = True
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


# --- asyncua's own decoder, for what ours does not know ------------------------------------------------------------------------
def _decode_slowly(raw: bytes, data: Any) -> decode.Response:
    (type_id,) = struct.unpack_from("<H", raw, 2)
    if type_id == _FAULT:
        (code,) = struct.unpack_from("<I", raw, 16)
        raise SourceLost(
            f"The server ended publishing: {ua.StatusCode(code).name}.",
            f"服务器终止发布:{ua.StatusCode(code).name}。",
            "Connecting anew.",
            "正在重连。",
        )
    try:
        response = struct_from_binary(ua.PublishResponse, data.copy())
        response.ResponseHeader.ServiceResult.check()
    except (ua.UaError, struct.error) as error:
        raise _lost(error) from error
    parameters = response.Parameters
    message = parameters.NotificationMessage
    out = decode.Response(parameters.SubscriptionId, message.SequenceNumber, parameters.MoreNotifications, [])
    if message.PublishTime is not None and message.PublishTime.year > 1970:
        out.published_ms = float(ms_of(message.PublishTime))
    for notification in message.NotificationData or ():
        if isinstance(notification, ua.DataChangeNotification):
            rows, overflow = [], []
            for item in notification.MonitoredItems:
                kind, value = plain(item.Value)
                stamp = item.Value.SourceTimestamp
                rows.append((item.ClientHandle, decode.NO_TIME if stamp is None else ms_of(stamp), kind, value))
                if item.Value.StatusCode is not None and item.Value.StatusCode.value & decode.OVERFLOW == decode.OVERFLOW:
                    overflow.append(len(rows) - 1)
            out.changes.append(decode.Changes(Columns.of(rows), overflow))
        elif isinstance(notification, ua.StatusChangeNotification):
            out.status = notification.Status.value
    return out


def ms_of(stamp: datetime) -> int:
    """Milliseconds since 1970 (rounded down) of asyncua's datetime; one without a zone means UTC."""
    utc = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
    return (utc - _EPOCH) // _MS


def plain(value: ua.DataValue) -> tuple[int, Value]:
    """(kind, value) of a DataValue; None when it is bad or of a type that is no single value."""
    variant = value.Value
    bad = value.StatusCode is not None and value.StatusCode.is_bad()
    raw = None if variant is None or bad else variant.Value
    if isinstance(raw, ua.LocalizedText):
        raw = raw.Text
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
