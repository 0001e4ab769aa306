"""How a test that is used again and again spends its error: each use has a level of its own, and they sum to alpha."""

import math

from ablation.stats.arrays import check_alpha


def level_of_use(alpha: float, use: int, uses: int | None = None) -> float:
    """The level of use 1, 2, ...; the levels of any number of uses sum to at most alpha.

    With `uses` declared, each of them gets alpha / uses. Without, use i gets alpha (1/sqrt i - 1/sqrt(i + 1)): the
    first i uses have spent alpha (1 - 1/sqrt(i + 1)), so that alpha is never used up, and late uses keep more of it
    than under a faster series such as 1/i^2. By Bonferroni's inequality the probability of a false claim in any use is
    at most alpha, however the uses depend on each other (alpha-spending: Foster and Stine 2008, JRSS B 70; Tian and
    Ramdas 2021, Statistical Methods in Medical Research 30). Raises ValueError for alpha outside (0, 1), and for a use
    that is not among the uses.
    """
    check_alpha(alpha)
    if use < 1 or (uses is not None and use > uses):
        raise ValueError(f"there is no use {use}" + ("" if uses is None else f" among {uses}"))
    if uses is not None:
        return alpha / uses
    first, second = math.sqrt(use), math.sqrt(use + 1)
    return alpha / (first * second * (first + second))  # the difference, without its cancellation
