"""Talking with a running agent on its own box: status, and another config without a restart. A Unix socket beside the buffer, for its owner alone."""
