"""The versions of the package, of what it stores, and of how it trains."""

__version__ = "0.1.0"

SCHEMA_VERSION = 2
"""Of run and study records. Those of version 1 are read too (`storage.earlier`)."""
CHECKPOINT_VERSION = 1
TEST_LOG_VERSION = 1
"""Of what an evaluation on the test set leaves: openings.jsonl, test.json."""
VERDICT_LEDGER_VERSION = 1
TRAINING_VERSION = 3
"""Raised whenever the same configuration and seed would train to other weights; it is part of each run's hash."""
