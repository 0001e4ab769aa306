"""Statistics of an ablation study: arrays in, frozen numbers out."""

from ablation.stats.adjusted import bias_adjusted
from ablation.stats.blocked import compare
from ablation.stats.contrasts import (
    Contrast,
    PageTrend,
    Trend,
    contrast_family,
    interactions,
    orthogonal_weights,
    page_trend,
    trends,
)
from ablation.stats.curves import Interval, PowerLaw, fit_power_law
from ablation.stats.effects import Comparison, Effect, Group, Method, Reason
from ablation.stats.expected_runs import expected_runs
from ablation.stats.factorial import ShapleyValues, factorial_effects, shapley_values
from ablation.stats.paired import (
    McNemar,
    PairedT,
    benjamini_hochberg,
    holm,
    mcnemar,
    mcnemar_counts,
    paired_t,
    sign_flip_max_t,
)
from ablation.stats.pooling import PooledError, pooled_error
from ablation.stats.power import (
    claims,
    detection_power,
    seeds_for,
    seeds_to_halve,
    smallest_detectable_contrast,
    smallest_detectable_effect,
)
from ablation.stats.ratios import Correction, correction
from ablation.stats.selection import Optimism, best_of, best_of_epochs, best_of_variants, winner_optimism
from ablation.stats.sequential import (
    Decision,
    Futility,
    Look,
    PathPoint,
    SeedTable,
    SequentialDesign,
    SequentialResult,
    Spending,
    at_some_look,
    replay,
)
from ablation.stats.uses import level_of_use
from ablation.stats.variance_components import (
    SQUARE_SIDES,
    Component,
    VarianceComponents,
    sd_factors,
    square_levels,
    square_side,
    variance_components,
)

__all__ = [
    "SQUARE_SIDES",
    "Comparison",
    "Component",
    "Contrast",
    "Correction",
    "Decision",
    "Effect",
    "Futility",
    "Group",
    "Interval",
    "Look",
    "McNemar",
    "Method",
    "Optimism",
    "PageTrend",
    "PairedT",
    "PathPoint",
    "PooledError",
    "PowerLaw",
    "Reason",
    "SeedTable",
    "SequentialDesign",
    "SequentialResult",
    "ShapleyValues",
    "Spending",
    "Trend",
    "VarianceComponents",
    "at_some_look",
    "benjamini_hochberg",
    "best_of",
    "best_of_epochs",
    "best_of_variants",
    "bias_adjusted",
    "claims",
    "compare",
    "contrast_family",
    "correction",
    "detection_power",
    "expected_runs",
    "factorial_effects",
    "fit_power_law",
    "holm",
    "interactions",
    "level_of_use",
    "mcnemar",
    "mcnemar_counts",
    "orthogonal_weights",
    "page_trend",
    "paired_t",
    "pooled_error",
    "replay",
    "sd_factors",
    "seeds_for",
    "seeds_to_halve",
    "shapley_values",
    "sign_flip_max_t",
    "smallest_detectable_contrast",
    "smallest_detectable_effect",
    "square_levels",
    "square_side",
    "trends",
    "variance_components",
    "winner_optimism",
]
