"""Results -> Analysis: for each variant what changed, what was measured, and what can be claimed of its difference."""

from ablation.analysis.changes import describe_change
from ablation.analysis.classification.networks import Predicted
from ablation.analysis.describe import describe
from ablation.analysis.export import to_json
from ablation.analysis.measure import Measure
from ablation.analysis.types import (
    Analysis,
    Confound,
    DataCurve,
    Design,
    Effect,
    Factorial,
    FactorialEffect,
    Facts,
    Interaction,
    ProblemRun,
    SeedResult,
    Selection,
    Setup,
    ShapleyValue,
    StudyWarning,
    Sweep,
    TestSet,
    TrendTest,
    Verdict,
)

__all__ = [
    "Analysis",
    "Confound",
    "DataCurve",
    "Design",
    "Effect",
    "Factorial",
    "FactorialEffect",
    "Facts",
    "Interaction",
    "Measure",
    "Predicted",
    "ProblemRun",
    "SeedResult",
    "Selection",
    "Setup",
    "ShapleyValue",
    "StudyWarning",
    "Sweep",
    "TestSet",
    "TrendTest",
    "Verdict",
    "describe",
    "describe_change",
    "to_json",
]
