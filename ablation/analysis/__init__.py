"""Results -> Analysis: for each variant what changed, what was measured, and what can be claimed of its difference."""

from ablation.analysis.changes import describe_change
from ablation.analysis.compare import Predicted
from ablation.analysis.describe import describe
from ablation.analysis.export import to_json
from ablation.analysis.measure import Measure
from ablation.analysis.types import (
    Analysis,
    Caution,
    Confound,
    DataCurve,
    Design,
    Effect,
    Facts,
    Interaction,
    SeedResult,
    Selection,
    Setup,
    Sweep,
    TestSet,
    TrendTest,
    Trouble,
    Verdict,
)

__all__ = [
    "Analysis",
    "Caution",
    "Confound",
    "DataCurve",
    "Design",
    "Effect",
    "Facts",
    "Interaction",
    "Measure",
    "Predicted",
    "SeedResult",
    "Selection",
    "Setup",
    "Sweep",
    "TestSet",
    "TrendTest",
    "Trouble",
    "Verdict",
    "describe",
    "describe_change",
    "to_json",
]
