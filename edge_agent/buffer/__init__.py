"""Durable store and forward: what was read is on disk before the source hears that it arrived, and goes only when the server says "stored"."""
