"""A cheap and fast OPC UA server for one client: what it publishes is encoded once, and numpy patches values and times into the bytes.

The session (hello, channel, session, subscription, items) is answered with asyncua's own types; the hot loop knows no object a value. Every
publishing interval each tick's notifications go out as far as the client has sent PublishRequests; the rest waits (and is counted in `behind`).
With a folder for its certificate it offers Basic256Sha256 alone, signed and encrypted, with asyncua's own policy; without one no security.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256, SecurityPolicyFactory, SecurityPolicyNone
from asyncua.ua.ua_binary import header_from_binary, nodeid_from_binary, struct_from_binary, struct_to_binary, uatcp_to_binary

NAMESPACE = "urn:gemba:bench"
APPLICATION = "urn:gemba:bench:server"
INTERVAL_S = 0.02
KEEP_ALIVE_TICKS = 20
EPOCH_100NS = 116_444_736_000_000_000
_RESPONSE = struct.Struct("<BBHqIIBiBBB")  # type id, ResponseHeader without diagnostics and strings
_MESSAGE = struct.Struct("<IiBIqi")  # subscription, no available numbers, more, number, time, one notification
_CHANGES = struct.Struct("<BBHBii")  # type id and size of the DataChangeNotification, number of items
_TAIL = struct.pack("<ii", -1, -1)  # results; diagnostics of the response
VALUE_OF = {11: "<f8", 10: "<f4", 6: "<i4", 5: "<u2", 1: "u1"}  # UA types that are offered


@dataclass(frozen=True)
class Shape:
    """What is offered. `depth`: values of a tag in one notification, one after the other as a server empties its queues; `mixed`: see notifications.

    `pki`: folder for the server's certificate; None: no security.
    """

    tags: int
    mixed: bool = False
    depth: int = 1
    interval_s: float = INTERVAL_S
    pki: Path | None = None


class Notification:
    """One DataChangeNotification of `handles` (status Good and a source time each), whose values and times can be patched.

    `place`: the how-manieth value of its tag a row is; `step`: 100 ns between two of them.
    """

    def __init__(self, handles: np.ndarray[Any, Any], types: np.ndarray[Any, Any], depth: int = 1, step: int = 0) -> None:
        self._depth, self._step = depth, step
        self._place = np.tile(np.arange(depth, dtype=np.int64), len(handles))
        handles, types = np.repeat(handles, depth), np.repeat(types, depth)
        sizes = np.array([np.dtype(VALUE_OF[int(kind)]).itemsize for kind in types])
        ends = np.cumsum(18 + sizes)
        starts = ends - 18 - sizes
        self.count = len(handles)
        self.bytes = bytearray(int(ends[-1]))
        for start, size, handle, kind in zip(starts.tolist(), sizes.tolist(), handles.tolist(), types.tolist(), strict=True):
            struct.pack_into("<IBB", self.bytes, start, handle, 7, kind)
            struct.pack_into("<I", self.bytes, start + 6 + size, 0)
        raw = np.frombuffer(self.bytes, np.uint8)
        self._patches = []
        for kind in np.unique(types).tolist():
            mine = np.flatnonzero(types == kind)
            places = self._places(starts[mine] + 6, np.dtype(VALUE_OF[kind]).itemsize)
            self._patches.append((np.dtype(VALUE_OF[kind]), places, handles[mine] + self._place[mine]))
        self._times = self._places(ends - 8, 8)
        self._raw = raw

    @staticmethod
    def _places(at: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
        return (at[:, None] + np.arange(size)).ravel()

    def patch(self, round_: int, stamp: int) -> None:
        """Value k of item h in round r: (r * depth + h + k) modulo what its type holds; the newest at source time `stamp` (100 ns since 1601)."""
        for dtype, places, base in self._patches:
            values = (base + round_ * self._depth) % (2 if dtype.itemsize == 1 else 60_000)
            self._raw[places] = values.astype(dtype).view(np.uint8)
        self._raw[self._times] = (stamp - (self._depth - 1 - self._place) * self._step).view(np.uint8)


def notifications(handles: list[int], shape: Shape) -> tuple[Notification, list[Notification]]:
    """The one with everything that comes first, and those that follow in turn.

    Plain: all tags as Double in one order. Mixed: 32 random orders of random halves, of five types.
    """
    all_, rng = np.array(handles), np.random.default_rng(7)
    types = rng.choice([11, 10, 6, 5, 1], len(all_), p=[0.3, 0.3, 0.2, 0.1, 0.1]) if shape.mixed else np.full(len(all_), 11)
    first = Notification(all_, types)
    if not shape.mixed:
        return first, [Notification(all_, types, shape.depth, round(shape.interval_s / shape.depth * 1e7)) if shape.depth > 1 else first]
    picks = [rng.permutation(len(all_))[: len(all_) // 2] for _ in range(32)]
    return first, [Notification(all_[pick], types[pick]) for pick in picks]


class Source(asyncio.Protocol):
    """One client's connection. `sent` counts values given to the wire."""

    def __init__(self, url: str, shape: Shape, rate: Any, sent: Any, behind: Any, own: tuple[Any, Any] | None) -> None:
        self._url, self._rate, self._sent, self._behind = url, rate, sent, behind
        self._shape, self._interval_s = shape, shape.interval_s
        self._connection = SecureConnection(SecurityPolicyNone(), TransportLimits())
        self._own = own
        if own is not None:
            secured = SecurityPolicyFactory(SecurityPolicyBasic256Sha256, ua.MessageSecurityMode.SignAndEncrypt, *own)
            self._connection.set_policy_factories([secured])
        self._buffer = b""
        self._waiting: deque[tuple[int, int]] = deque()  # PublishRequests: request id, handle
        self._handles: list[int] = []
        self._channel = 0
        self._number = 0
        self._quiet_ticks = 0
        self._owed = 0.0
        self._feeding: asyncio.Task[None] | None = None

    def get_new_channel_id(self) -> int:
        self._channel += 1
        return self._channel

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._feeding is not None:
            self._feeding.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            (size,) = struct.unpack_from("<I", self._buffer, 4)
            if len(self._buffer) < size:
                return
            whole = Buffer(self._buffer[:size])
            self._buffer = self._buffer[size:]
            header = header_from_binary(whole)
            self._message(header, self._connection.receive_from_header_and_body(header, whole))

    def _message(self, header: Any, message: Any) -> None:
        if isinstance(message, ua.Hello):
            limits = self._connection._limits.create_acknowledge_and_set_limits(message)
            self._transport.write(uatcp_to_binary(ua.MessageType.Acknowledge, limits))
        elif header.MessageType == ua.MessageType.SecureOpen:
            request = struct_from_binary(ua.OpenSecureChannelRequest, message.body())
            response = ua.OpenSecureChannelResponse()
            response.Parameters = self._connection.open(request.Parameters, self)
            self._answer(message.SequenceHeader().RequestId, request.RequestHeader, response, ua.MessageType.SecureOpen)
        elif header.MessageType == ua.MessageType.SecureMessage:
            body = message.body()
            type_id = nodeid_from_binary(body).Identifier
            request_header = struct_from_binary(ua.RequestHeader, body)
            request_id = message.SequenceHeader().RequestId
            if type_id == ua.ObjectIds.PublishRequest_Encoding_DefaultBinary:
                self._waiting.append((request_id, request_header.RequestHandle))
                self._feed()
            else:
                self._answer(request_id, request_header, self._service(type_id, body))
        else:
            self._transport.close()

    def _answer(self, request_id: int, request_header: Any, response: Any, kind: Any = ua.MessageType.SecureMessage) -> None:
        response.ResponseHeader.RequestHandle = request_header.RequestHandle
        self._transport.write(self._connection.message_to_binary(struct_to_binary(response), kind, request_id))

    def _service(self, type_id: int, body: Any) -> Any:
        ids = ua.ObjectIds
        response: Any
        if type_id == ids.CreateSessionRequest_Encoding_DefaultBinary:
            response = self._session(struct_from_binary(ua.CreateSessionParameters, body))
        elif type_id == ids.GetEndpointsRequest_Encoding_DefaultBinary:
            response = ua.GetEndpointsResponse()
            response.Endpoints = [self._endpoint()]
        elif type_id == ids.ActivateSessionRequest_Encoding_DefaultBinary:
            response = ua.ActivateSessionResponse()
        elif type_id == ids.ReadRequest_Encoding_DefaultBinary:
            response = ua.ReadResponse()
            names = ua.Variant(["http://opcfoundation.org/UA/", NAMESPACE], ua.VariantType.String)
            response.Results = [ua.DataValue(names) for _ in struct_from_binary(ua.ReadParameters, body).NodesToRead]
        elif type_id == ids.CreateSubscriptionRequest_Encoding_DefaultBinary:
            response = ua.CreateSubscriptionResponse()
            response.Parameters = ua.CreateSubscriptionResult(1, self._interval_s * 1000, 10_000, KEEP_ALIVE_TICKS)
        elif type_id == ids.CreateMonitoredItemsRequest_Encoding_DefaultBinary:
            response = self._items(struct_from_binary(ua.CreateMonitoredItemsParameters, body))
        elif type_id == ids.CloseSessionRequest_Encoding_DefaultBinary:
            response = ua.CloseSessionResponse()
        else:
            response = ua.ServiceFault()
            response.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadServiceUnsupported)
        return response

    def _endpoint(self) -> Any:
        endpoint = ua.EndpointDescription()
        endpoint.EndpointUrl, endpoint.SecurityMode = self._url, ua.MessageSecurityMode.None_
        endpoint.SecurityPolicyUri = SecurityPolicyNone.URI
        endpoint.UserIdentityTokens = [ua.UserTokenPolicy("anonymous", ua.UserTokenType.Anonymous)]
        endpoint.Server.ApplicationUri = APPLICATION
        if self._own is not None:
            endpoint.SecurityMode, endpoint.SecurityPolicyUri = ua.MessageSecurityMode.SignAndEncrypt, SecurityPolicyBasic256Sha256.URI
            endpoint.ServerCertificate = uacrypto.der_from_x509(self._own[0])
        return endpoint

    def _session(self, asked: Any) -> Any:
        response = ua.CreateSessionResponse()
        response.Parameters.SessionId = response.Parameters.AuthenticationToken = ua.NodeId(1, 1)
        response.Parameters.RevisedSessionTimeout = asked.RequestedSessionTimeout
        response.Parameters.ServerNonce = bytes(32)
        response.Parameters.ServerEndpoints = [self._endpoint()]
        policy = self._connection.security_policy
        if self._own is not None:
            response.Parameters.ServerCertificate = policy.host_certificate
            signed = policy.asymmetric_cryptography.signature(policy.peer_certificate + (asked.ClientNonce or b""))
            response.Parameters.ServerSignature = ua.SignatureData(policy.AsymmetricSignatureURI, signed)
        return response

    def _items(self, asked: Any) -> Any:
        response = ua.CreateMonitoredItemsResponse()
        for item in asked.ItemsToCreate:
            self._handles.append(item.RequestedParameters.ClientHandle)
            queue = item.RequestedParameters.QueueSize
            response.Results.append(
                ua.MonitoredItemCreateResult(ua.StatusCode(ua.StatusCodes.Good), len(self._handles), self._interval_s * 1000, queue)
            )
        if len(self._handles) == self._shape.tags:
            self._feeding = asyncio.ensure_future(self._run())
        return response

    # --- the hot loop --------------------------------------------------------------------------------------------------------
    async def _run(self) -> None:
        """Owes `rate` values a second, in whole notifications every publishing interval; the first are the initial values of all."""
        self._first, self._news = notifications(self._handles, self._shape)
        self._owed = 1.0
        due = time.monotonic()
        while True:
            self._feed()
            due += self._interval_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._quiet_ticks += 1
            self._owed += self._rate.value * self._interval_s / self._news[0].count
            self._behind.value = max(self._behind.value, int(self._owed * self._news[0].count))

    def _feed(self) -> None:
        while self._waiting and self._owed >= 1.0:
            self._owed -= 1.0
            self._number += 1
            news = self._news[self._number % len(self._news)] if self._number > 1 else self._first
            now = EPOCH_100NS + time.time_ns() // 100
            news.patch(self._number, now)
            self._publish(now, _CHANGES.pack(1, 0, 811, 1, 8 + len(news.bytes), news.count), news.bytes, b"\xff\xff\xff\xff")
            self._sent.value += news.count
            self._quiet_ticks = 0
        if self._waiting and self._quiet_ticks >= KEEP_ALIVE_TICKS:
            self._publish(EPOCH_100NS + time.time_ns() // 100)
            self._quiet_ticks = 0

    def _publish(self, now: int, *notification: bytes | bytearray) -> None:
        """Answers the oldest PublishRequest; without a notification it is a keep-alive and bears the number of the next one."""
        request_id, handle = self._waiting.popleft()
        head = _RESPONSE.pack(1, 0, 829, now, handle, 0, 0, -1, 0, 0, 0)
        number = self._number if notification else self._number + 1
        message = _MESSAGE.pack(1, 0, bool(notification) and self._owed >= 1.0, number, now, bool(notification))
        body = b"".join((head, message, *notification, _TAIL))
        self._transport.write(self._connection.message_to_binary(body, request_id=request_id))


def serve(port: int, shape: Shape, rate: Any, sent: Any, behind: Any) -> None:
    """Child process. `rate` (values/s) is read every tick; `sent` and `behind` are written: multiprocessing values."""
    url = f"opc.tcp://127.0.0.1:{port}/bench/"

    async def main() -> None:
        own = await _identity(shape.pki) if shape.pki is not None else None
        server = await asyncio.get_running_loop().create_server(lambda: Source(url, shape, rate, sent, behind, own), "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(main())


async def _identity(pki: Path) -> tuple[Any, Any]:
    """The server's certificate and key."""
    from edge_agent.sources.opcua.certificates import own_certificate

    own = own_certificate(pki, APPLICATION, "127.0.0.1")
    return await uacrypto.load_certificate(own.certificate), await uacrypto.load_private_key(own.key)
