"""A PublishRequest of ours says byte for byte what asyncua's says."""

from __future__ import annotations

import random

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from edge_agent.sources.opcua import client, publish_request

TOKENS = (ua.NodeId(1, 1), ua.NodeId(70_000, 300), ua.NodeId("session", 2), ua.NodeId(b"\x00\xff" * 16, 0, ua.NodeIdType.ByteString))


@pytest.mark.parametrize("token", TOKENS, ids=str)
@pytest.mark.parametrize("count", [0, 1, 100])
def test_it_is_asyncuas_request_byte_for_byte(token: ua.NodeId, count: int) -> None:
    dice = random.Random(count)
    sequences, handle = [dice.randrange(2**32) for _ in range(count)], dice.randrange(2**32)
    request = ua.PublishRequest()
    request.RequestHeader.AuthenticationToken, request.RequestHeader.RequestHandle = token, handle
    request.RequestHeader.TimeoutHint = 1500
    request.Parameters.SubscriptionAcknowledgements = [ua.SubscriptionAcknowledgement(SubscriptionId=9, SequenceNumber=one) for one in sequences]
    theirs = bytes(struct_to_binary(request))
    header = publish_request.header(token, 1_790_000_000_123_456_700, handle, 1.5)
    ours = publish_request.PUBLISH + header + publish_request.acknowledgements(9, sequences)
    stamp = slice(len(theirs) - len(publish_request.acknowledgements(9, sequences)) - 27, None)
    assert ours[: stamp.start] == theirs[: stamp.start]
    assert ours[stamp.start + 8 :] == theirs[stamp.start + 8 :]  # all but the time
    read = struct_from_binary(ua.RequestHeader, ua.utils.Buffer(header))
    assert client.ms_of(read.Timestamp) == 1_790_000_000_123
