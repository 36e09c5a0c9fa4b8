"""OEE by the time model of ISO 22400-2, with TPM words beside it; every figure says how it came about."""
