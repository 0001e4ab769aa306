"""Results -> Analysis: for each variant what changed, what was measured, and its difference from the baseline."""

from ablation.analysis.changes import describe_change
from ablation.analysis.describe import METRIC, describe
from ablation.analysis.types import Analysis, Effect, Facts, SeedResult, Setup, Sweep, Trouble

__all__ = [
    "METRIC",
    "Analysis",
    "Effect",
    "Facts",
    "SeedResult",
    "Setup",
    "Sweep",
    "Trouble",
    "describe",
    "describe_change",
]
