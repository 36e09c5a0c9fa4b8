"""The journal's sealer: chains new records soon after their commit (≤ 1 s real)."""

from __future__ import annotations

from mes_server.kit import journal
from mes_server.kit.http import Kit
from mes_server.kit.metrics import Metrics
from mes_server.kit.services import Every

BATCH = 2_000


class Sealer(Every):
    """Looks twice a second; a long backlog is sealed in batches so that acts are not kept waiting."""

    def __init__(self, kit: Kit, metrics: Metrics, *, seconds: float = 0.5) -> None:
        super().__init__("journal-sealer", seconds, self.seal)
        self._kit = kit
        self._metrics = metrics
        self._sealed_seq = -1

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
        return total

    async def stop(self) -> None:
        await super().stop()
        self._sealed_seq = -1
        await self.seal()
