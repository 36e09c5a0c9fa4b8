"""The MES server: work orders, scans, quality, traceability, OEE, energy, and the ERP kept in step. Importing this loads nothing."""

__version__ = "0.1.0"
