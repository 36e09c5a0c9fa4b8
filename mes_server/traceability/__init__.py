"""Genealogy both ways: lots and orders and serials as nodes, one edge an act, written in the act's transaction, with declared precision.

Wraps the material acts (materials knows nothing of genealogy); knows nothing of quality or screens.
"""
