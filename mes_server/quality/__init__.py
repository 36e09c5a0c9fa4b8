"""Defects with photos, holds and releases of lots, serials and operations. Holds work through materials and orders, which refuse what is held.

Knows nothing of screens or the tablets' door.
"""
