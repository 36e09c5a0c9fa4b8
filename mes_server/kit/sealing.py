"""The journal's sealer: chains new records soon after their commit (≤ 1 s real), and writes the chain's head outside the database now and then.

Whoever can rewrite the database can rewrite the chain too; the anchors (`journal-anchors.jsonl` in the data folder, also in every backup) tell.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from edge_agent.contract.clock import iso
from mes_server.kit import journal
from mes_server.kit.http import Kit
from mes_server.kit.metrics import Metrics
from mes_server.kit.services import Every

BATCH = 2_000
SEAL_S = 0.5
ANCHOR_S = 900.0
ANCHORS_NAME = "journal-anchors.jsonl"


class Sealer(Every):
    """Looks twice a second; a long backlog is sealed in batches so that acts are not kept waiting."""

    def __init__(self, kit: Kit, metrics: Metrics, *, folder: Path) -> None:
        super().__init__("journal-sealer", SEAL_S, self.seal)
        self._kit = kit
        self._metrics = metrics
        self._path = folder / ANCHORS_NAME
        self._sealed_seq = -1
        self._anchored_seq = 0
        self._anchored_at = 0.0

    async def seal(self) -> int:
        """Seals everything that is there; returns how many records."""
        total = 0
        acts = self._kit.acts
        while self._sealed_seq < 0 or acts.journal_seq > self._sealed_seq:
            target = acts.journal_seq
            done = await acts.run_system(lambda session: journal.seal_pending(session, batch_max=BATCH))
            total += done
            if done < BATCH:
                self._sealed_seq = target
                break
        self._metrics.journal_unsealed.set(max(0, acts.journal_seq - self._sealed_seq))
        if time.monotonic() - self._anchored_at >= ANCHOR_S:
            await asyncio.to_thread(self.anchor)
        return total

    def anchor(self) -> None:
        """Writes the chain's head beside the database, if it has moved."""
        self._anchored_at = time.monotonic()
        with self._kit.db.read() as session:
            head = journal.head(session)
        if head is None or head.seq == self._anchored_seq:
            return
        line = json.dumps({"seq": head.seq, "hash": head.hash, "at": iso(self._kit.clock.now_ms())})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._anchored_seq = head.seq

    async def stop(self) -> None:
        await super().stop()
        if self._kit.acts.broken:
            return
        self._sealed_seq = -1
        await self.seal()
        await asyncio.to_thread(self.anchor)


def read_anchors(folder: Path) -> dict[int, str]:
    """Heads of the chain by seq, as they were written down. A torn last line (power cut) is left out."""
    path = folder / ANCHORS_NAME
    found: dict[int, str] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                one = json.loads(line)
                found[int(one["seq"])] = str(one["hash"])
            except (ValueError, KeyError, TypeError):
                continue
    return found
