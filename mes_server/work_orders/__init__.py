"""Orders and their operations: life-cycle, starts and stops of work, reports, machine counts and whose they are.

Knows products (what an order makes) and plant (where); knows nothing of lots, quality, ERP messages or HTTP doors of the tablets.
"""
