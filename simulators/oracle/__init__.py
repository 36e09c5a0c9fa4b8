"""What the figures must be: computed from the ledger of truth with own code, not the product's."""

from simulators.oracle.truth import OeeTruth, Truth

__all__ = ["OeeTruth", "Truth"]
