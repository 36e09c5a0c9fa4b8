"""Tests about the repository itself, and tests that these checks bite."""
