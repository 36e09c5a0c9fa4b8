"""Keeps an ERP in step: orders, items, routings, BOMs and lots in; confirmations out, once each, in order per work order.

The journal is the outbox's source: its records say which orders were touched; what is sent is the difference between what the book of record
holds and what was already handed over, computed and stored in one transaction with the journal's cursor. Nothing on the floor waits for the ERP.
"""
