"""What selection adds to a score: the optimism of choosing the best of several variants or epochs.

The best of several noisy scores overstates its candidate: with true means m_i and normal noise of SD s, by the mean
noise of whichever candidate comes out on top (Cawley and Talbot 2010, JMLR 11; Dodge et al. 2019, EMNLP). Observed
scores are more spread than true ones, so they are first shrunk towards their mean (Efron and Morris 1973, JASA 68).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from ablation.stats.arrays import FloatArray, as_table, complete_seeds
from ablation.stats.pooling import block_mse

_NOISE_END = 8.5
_NOISE_NODES = 171
"""The integrand is smooth: twice as many change the result for up to 5,000 equal candidates by less than 1e-12."""
MIN_EPOCHS = 5
_TREND_REACH = 2
_SECOND_DIFFERENCE = 0.6744897501960817 * math.sqrt(6.0)
"""Median size of a second difference of independent standard normal noise."""


@dataclass(frozen=True, slots=True)
class Optimism:
    """By how much selection overstates the chosen score, in units of the metric.

    candidates were compared with noise of SD noise each. expected is the estimated overstatement of the winner;
    ceiling that of equally good candidates, which no set of so many independent ones can exceed.
    """

    candidates: int
    noise: float
    expected: float
    ceiling: float


def best_of_variants(y: npt.ArrayLike) -> Optimism:
    """Optimism of the best mean among m variants, larger being better.

    y has shape (m >= 2, seeds >= 2); seeds with a gap are left out. The noise is the SD of a variant's mean, from the
    variant x seed error: what a seed does to all variants alike chooses no winner. Raises ValueError for other shapes.
    """
    table = complete_seeds(y, "selection", 2)
    mse, _ = block_mse(table)
    means, noise = table.mean(axis=1), math.sqrt(mse / table.shape[1])
    return Optimism(len(means), noise, winner_optimism(_shrunk(means, noise), noise), best_of(len(means), noise))


def best_of_epochs(curves: npt.ArrayLike) -> Optimism:
    """Optimism of the best epoch of a run, larger being better; the mean over the runs.

    curves has shape (runs, epochs >= 5), without gaps: the metric after each epoch. The noise is the
    median size of second differences, which a straight trend leaves untouched (Gasser, Sroka and Jennen-Steinmetz 1986,
    Biometrika 73) and the steep start hardly moves; the candidates' true scores are the local mean of five epochs. All
    jitter counts as noise, though a checkpoint may truly be better than its neighbours: an upper estimate. Raises
    ValueError for gaps or too few epochs.
    """
    table = as_table(curves, "curves")
    epochs = table.shape[1]
    if epochs < MIN_EPOCHS or np.isnan(table).any():
        raise ValueError(f"curves need at least {MIN_EPOCHS} epochs and no gaps")
    noise = float(np.median(np.abs(np.diff(table, 2, axis=1)))) / _SECOND_DIFFERENCE
    expected = [winner_optimism(trend, noise) for trend in _local_means(table)]
    return Optimism(epochs, noise, float(np.mean(expected)), best_of(epochs, noise))


def best_of(m: int, noise: float) -> float:
    """Mean of the largest of m independent normal errors of SD noise, in its units: the optimism among equals."""
    return winner_optimism(np.zeros(m), noise)


def winner_optimism(means: npt.ArrayLike, noise: float) -> float:
    """Mean noise of the candidate whose score, its mean plus independent normal noise of the given SD, is largest.

    means has shape (m >= 1,); all in units of the metric. Raises ValueError for no means or a negative or NaN noise.
    """
    centre = np.asarray(means, dtype=np.float64)
    if centre.ndim != 1 or len(centre) == 0 or not noise >= 0:
        raise ValueError(f"the winner needs candidates and a noise of at least 0, not {centre.shape} and {noise}")
    if noise == 0:
        return 0.0
    centre = centre[centre >= centre.max() - 2 * _NOISE_END * noise]  # a score farther below wins once in 1e16 times
    # The winning score lies about the largest mean. Where it is x, candidate i has won with density phi / Phi times the
    # probability that all scores are below x, and its noise is x minus its mean.
    score, step = np.linspace(-_NOISE_END, _NOISE_END, _NOISE_NODES, retstep=True)
    error = score + ((centre.max() - centre) / noise)[:, None]
    below = special.log_ndtr(error)
    won = np.exp(-0.5 * error**2 - 0.5 * math.log(2.0 * math.pi) - below)
    return float(noise * step * (np.exp(below.sum(axis=0)) @ (error * won).sum(axis=0)))


def _shrunk(means: FloatArray, noise: float) -> FloatArray:
    """Means drawn towards their mean by the share of their spread that noise explains."""
    centred = means - means.mean()
    spread = float(centred @ centred)
    explained = (len(means) - 1) * noise**2
    if spread <= explained:
        return np.zeros_like(means)
    return np.asarray(math.sqrt(1.0 - explained / spread) * centred)


def _local_means(table: FloatArray) -> FloatArray:
    """Mean of up to five epochs around each epoch of each run, fewer but still symmetric at the ends."""
    epoch = np.arange(table.shape[1])
    reach = np.minimum(_TREND_REACH, np.minimum(epoch, epoch[::-1]))
    total = np.concatenate([np.zeros((len(table), 1)), table.cumsum(axis=1)], axis=1)
    return np.asarray((total[:, epoch + reach + 1] - total[:, epoch - reach]) / (2 * reach + 1))
