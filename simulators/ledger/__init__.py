"""The ledger of truth: what really happened, written by the simulator alone into one SQLite file. The product never sees it."""

from simulators.ledger.store import Ledger

__all__ = ["Ledger"]
