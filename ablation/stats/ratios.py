"""How far off estimates were, and what that says about the next one."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import special

COVERAGE = 0.8
PRIOR_SD = 0.15
"""Of the logarithm of a ratio, before any is known."""
PRIOR_DF = 2
"""How many ratios that guess of the spread counts as; the guess that estimates are right on average counts as one."""


class Correction(NamedTuple):
    """What the next estimate is to be multiplied by, and the factors between which `COVERAGE` of results should be."""

    factor: float
    low: float
    high: float


def correction(ratios: Sequence[float]) -> Correction:
    """The correction that past ratios of a result to its estimate suggest, drawn towards 1 where these are few.

    Logarithms of ratios are taken as normal, with the conjugate prior: mean 0 worth one ratio, SD `PRIOR_SD` worth
    `PRIOR_DF`. The factor is the posterior mean, the range is predictive (Gelman et al., Bayesian Data Analysis, 3rd
    ed., section 3.3). Raises ValueError for a ratio that is not positive and finite.
    """
    if not all(0 < ratio < math.inf for ratio in ratios):
        raise ValueError("ratios must be positive and finite")
    logs, n = [math.log(ratio) for ratio in ratios], len(ratios)
    mean = math.fsum(logs) / max(1, n)
    centre = mean * n / (n + 1)
    squares = math.fsum((log - mean) ** 2 for log in logs) + mean**2 * n / (n + 1)
    df = PRIOR_DF + n
    spread = math.sqrt((PRIOR_DF * PRIOR_SD**2 + squares) / df * (1 + 1 / (n + 1)))
    reach = float(special.stdtrit(df, (1 + COVERAGE) / 2)) * spread
    return Correction(math.exp(centre), math.exp(centre - reach), math.exp(centre + reach))
