"""CreateMonitoredItems as bytes: what asyncua makes of the same items is the truth, over generated ones; what is not plain is left to it."""

from __future__ import annotations

import random
import uuid

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from edge_agent.sources.opcua import filters, items
from edge_agent.sources.opcua.filters import ABSOLUTE, NONE, PERCENT, Deadband

SEEDS = range(40)


def _node(dice: random.Random) -> ua.NodeId:
    index = dice.choice([0, 1, 2, 300])
    return dice.choice(
        [
            ua.NodeId(dice.choice([1, 255, 256, 70_000]), index),
            ua.NodeId(dice.choice(["T0", "主轴.温度", ""]), index),
            ua.NodeId(uuid.UUID(int=dice.getrandbits(128)), index),
            ua.NodeId(dice.randbytes(5), index),
        ]
    )


def _asked(dice: random.Random) -> items.Asked:
    step = dice.choice([NONE, NONE, PERCENT, ABSOLUTE])
    return items.Asked(_node(dice), dice.randrange(2**32), filters.of(step, Deadband(dice.uniform(0.1, 90.0), 2.5)))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_request_is_byte_by_byte_what_asyncua_makes_of_the_same_items(seed: int) -> None:
    dice = random.Random(seed)
    asked = [_asked(dice) for _ in range(dice.randrange(6))]
    sampling_ms, queue = dice.choice([0.0, 50.0]), dice.randrange(2**31)
    request = ua.CreateMonitoredItemsRequest()
    request.Parameters.SubscriptionId = 7
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    for one in asked:
        made = ua.MonitoredItemCreateRequest()
        made.ItemToMonitor.NodeId, made.ItemToMonitor.AttributeId = one.node, ua.AttributeIds.Value
        made.MonitoringMode = ua.MonitoringMode.Reporting
        wanted = made.RequestedParameters
        wanted.ClientHandle, wanted.SamplingInterval, wanted.QueueSize, wanted.DiscardOldest = one.handle, sampling_ms, queue, True
        if one.filter is not None:
            wanted.Filter = one.filter
        request.Parameters.ItemsToCreate.append(made)
    whole = struct_to_binary(request)
    head = items.REQUEST + struct_to_binary(request.RequestHeader)
    assert head + items.request(7, asked, sampling_ms, queue) == whole


def _response(dice: random.Random, count: int) -> ua.CreateMonitoredItemsResponse:
    response = ua.CreateMonitoredItemsResponse()
    for number in range(count):
        status = dice.choice([ua.StatusCodes.Good, ua.StatusCodes.BadNodeIdUnknown, ua.StatusCodes.BadTooManyMonitoredItems])
        response.Results.append(
            ua.MonitoredItemCreateResult(ua.StatusCode(status), number + 1, dice.choice([0.0, 50.0, 100.0]), dice.randrange(2**32))
        )
    return response


@pytest.mark.parametrize("seed", SEEDS)
def test_an_answer_is_read_as_asyncua_reads_it(seed: int) -> None:
    dice = random.Random(seed)
    response = _response(dice, dice.randrange(8))
    assert items.results(bytes(struct_to_binary(response))) == [items.result_of(one) for one in response.Results]


def test_an_answer_that_is_not_plain_is_left_to_asyncua() -> None:
    dice = random.Random(1)
    with_filter = _response(dice, 3)
    with_filter.Results[1].FilterResult = ua.EventFilterResult()
    fault = _response(dice, 0)
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadTooManyOperations)
    with_words = _response(dice, 2)
    with_words.DiagnosticInfos = [ua.DiagnosticInfo()]
    plain = bytes(struct_to_binary(_response(dice, 3)))
    for raw in (*(bytes(struct_to_binary(one)) for one in (with_filter, fault, with_words)), plain[:-1], plain + b"\0", b"", plain[:20]):
        assert items.results(raw) is None


def test_any_bytes_as_an_answer_are_refused_or_read_and_never_raise() -> None:
    dice = random.Random(5)
    plain = bytes(struct_to_binary(_response(dice, 4)))
    for _ in range(2_000):
        raw = bytearray(plain)
        for _ in range(dice.randrange(1, 4)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        found = items.results(bytes(raw[: dice.choice([len(raw), dice.randrange(len(raw))])]))
        assert found is None or len(found) <= 4
