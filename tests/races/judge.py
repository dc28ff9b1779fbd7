"""Holds the data against `aegir_support/invariants.sql`."""

from aegir_support.invariants import broken, invariants

__all__ = ["broken", "invariants"]
