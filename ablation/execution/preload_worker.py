"""Imported by the fork server only: it loads what workers without torch need, once."""

import ablation.worker.worker  # noqa: F401
