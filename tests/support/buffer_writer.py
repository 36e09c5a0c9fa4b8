"""A program that writes the product's buffer and says what it has been promised, and the check of what is there afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from edge_agent.buffer.store import Buffer
from edge_agent.contract.payload import DataType
from edge_agent.pipeline.columns import DOUBLE, Columns

# Records carry a serial of their own (numbers begin anew with an epoch). A word is {"serial": newest stored, "answered": newest answered}.
WRITER = """
import json, sys
from pathlib import Path
from edge_agent.buffer.store import Buffer
from edge_agent.contract.payload import DataType
from edge_agent.pipeline.columns import Columns
from edge_agent.pipeline.device import Memory
commits, epochs, reserve_bytes = int(sys.argv[2]), json.loads(sys.argv[4]), int(sys.argv[5])
buffer = Buffer(Path(sys.argv[1]), 10**9, reserve_bytes)
buffer.checkpoint_bytes = int(sys.argv[3])  # small, so that a short run has checkpoints
serial, answered, shift = 0, 0, 0
for k in range(commits):
    device = f"A{k % 7}"
    metric = buffer.catalogue.metric(device, "good_total", DataType.DOUBLE)  # a fact: kept on a full disk too
    records = []
    for _ in range(1 + k % 2):
        serial += 1
        records.append((device, Columns.of([(metric.alias, 1000 + serial, 10, float(serial))] * (20 + 100 * (k % 3)))))
    answered = max(answered, serial - 9)
    word = json.dumps({"serial": serial, "answered": answered})
    buffer.commit(records, [("A", Memory(1000 + serial, {}, {"serial": str(serial)}))], answered_n=max(answered - shift, 0),
                  source_memories=[("PLC", str(serial).encode())])
    print(word, flush=True)  # the acknowledgement: from here on it must be there
    if k in epochs:
        shift = buffer.answered_n + shift
        buffer.begin_epoch()
        print(word, flush=True)
"""


def check(path: Path, said: str, most_in_commit: int = 2) -> None:
    """Raises AssertionError when something acknowledged is missing or anything disagrees."""
    promised = json.loads(said) if said else {"serial": 0, "answered": 0}
    buffer = Buffer(path, 10**9)
    try:
        assert buffer.set_aside is None, "taken for damaged"
        present = [(s.n, s.columns.rows()) for s in buffer.read(0, 10_000)]
        assert [n for n, _ in present] == list(range(buffer.answered_n + 1, buffer.last_n + 1))
        serials = [round(float(rows[0][3] or 0)) for _, rows in present]
        newest = max(serials, default=0)
        assert promised["serial"] <= newest <= promised["serial"] + most_in_commit, f"acknowledged {promised}, there {serials}"
        assert serials == list(range(newest - len(serials) + 1, newest + 1))
        assert not serials or serials[0] <= max(promised["answered"] + most_in_commit, 0) + 1
        remembered = buffer.memories()
        assert (remembered["A"].texts["serial"] if remembered else "0") == str(newest)
        assert buffer.source_memories() == ({"PLC": str(newest).encode()} if newest else {})
        for _, rows in present:
            assert rows == [(rows[0][0], rows[0][1], DOUBLE, rows[0][3])] * len(rows)
            assert buffer.catalogue.by_alias[rows[0][0]].datatype is DataType.DOUBLE
        buffer.commit([("A", Columns.of([(1, 1, DOUBLE, 1.0)]))])
    finally:
        buffer.close()
    again = Buffer(path, 10**9)
    assert again.set_aside is None and again.last_n == buffer.last_n and again.epoch == buffer.epoch
    again.close()
