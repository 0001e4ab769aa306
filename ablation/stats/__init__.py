"""Statistics of an ablation study: arrays in, frozen numbers out."""

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
from ablation.stats.power import claims, detection_power, seeds_for, seeds_to_halve, smallest_detectable_effect
from ablation.stats.ratios import Correction, correction
from ablation.stats.selection import Optimism, best_of, best_of_epochs, best_of_variants, winner_optimism

__all__ = [
    "Comparison",
    "Contrast",
    "Correction",
    "Effect",
    "Group",
    "Interval",
    "McNemar",
    "Method",
    "Optimism",
    "PageTrend",
    "PairedT",
    "PooledError",
    "PowerLaw",
    "Reason",
    "Trend",
    "benjamini_hochberg",
    "best_of",
    "best_of_epochs",
    "best_of_variants",
    "claims",
    "compare",
    "contrast_family",
    "correction",
    "detection_power",
    "fit_power_law",
    "holm",
    "interactions",
    "mcnemar",
    "mcnemar_counts",
    "orthogonal_weights",
    "page_trend",
    "paired_t",
    "pooled_error",
    "seeds_for",
    "seeds_to_halve",
    "sign_flip_max_t",
    "smallest_detectable_effect",
    "trends",
    "winner_optimism",
]
