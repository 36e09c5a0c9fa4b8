"""A small HTTP ERP of its own kind: the other side of the desk, with the habits of real ones (refuses, times out after commit, changes its mind)."""

from simulators.erp.app import build_app
from simulators.erp.books import Books, Refused

__all__ = ["Books", "Refused", "build_app"]
