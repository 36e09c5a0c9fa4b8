"""Messages of single records (tests/support/ingest.py) put together as an edge bundles its backlog."""

from __future__ import annotations

import random
from collections.abc import Sequence

from edge_agent.contract.delivery import Mark, Marks
from edge_agent.contract.sparkplug_b_pb2 import Payload

Message = tuple[str, bytes]


def bundle(messages: Sequence[Message]) -> Message:
    """One message of several records of one device."""
    parts = [Payload.FromString(payload) for _, payload in messages]
    marks = [Mark.parse(part.uuid) for part in parts]
    whole = Payload(timestamp=max(part.timestamp for part in parts))
    whole.uuid = str(Marks(marks[0].epoch, [mark.n for mark in marks], [len(part.metrics) for part in parts]))
    for part in parts:
        for metric in part.metrics:
            whole.metrics.add().CopyFrom(metric)
            whole.metrics[-1].is_historical = True
    assert len({topic for topic, _ in messages}) == 1
    return messages[0][0], whole.SerializeToString()


def bundled(messages: Sequence[Message], dice: random.Random, window_max: int = 25) -> list[Message]:
    """Windows of random size; in each, a device's records in messages of random size, by their first record."""
    out: list[Message] = []
    at = 0
    while at < len(messages):
        window = list(enumerate(messages[at : at + dice.randint(1, window_max)], at))
        at += len(window)
        made: list[tuple[int, Message]] = []
        for topic in {topic for _, (topic, _) in window}:
            mine = [(place, one) for place, one in window if one[0] == topic]
            while mine:
                some, mine = mine[: (size := dice.randint(1, window_max))], mine[size:]
                made.append((some[0][0], bundle([one for _, one in some])))
        out += [one for _, one in sorted(made, key=lambda pair: pair[0])]
    return out
