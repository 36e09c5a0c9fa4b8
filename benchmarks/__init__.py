"""Benchmarks: each measures one way of the product with a limit or a peer beside it, in one run."""
