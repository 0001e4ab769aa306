"""The versions of the package, of what it stores, and of how it trains."""

__version__ = "0.1.0"

SCHEMA_VERSION = 1
TRAINING_VERSION = 3
"""Raised whenever the same configuration and seed would train to other weights; it is part of each run's hash."""
