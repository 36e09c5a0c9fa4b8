"""Lots and serials: received, consumed by operations, produced by operations, taken back. Quantities are kept in thousandths of the item's unit.

Knows orders (what an operation needs); knows nothing of genealogy (traceability wraps its acts) or quality (which sets holds through the service).
"""
