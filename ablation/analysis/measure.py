"""The primary metric of a study: which column it is, which way is better, and how its values are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ablation._util.formatting import ABSENT, MINUS, accuracy_digits
from ablation._util.language import tr
from ablation.analysis.classification.chance import at_chance
from ablation.registry.metrics import Metric
from ablation.results.runs import Results

_MOST_DIGITS = 12
_LARGE = 1e15


@dataclass(frozen=True)
class Measure:
    """A metric as it is written: with so many decimals, shares in per cent and their differences in points."""

    metric: Metric
    digits: int

    @property
    def column(self) -> str:
        """Its column in `results.runs`."""
        return self.metric.name

    @property
    def higher(self) -> bool:
        return self.metric.direction == "higher"

    @property
    def sign(self) -> float:
        """+1 where a rise is an improvement, -1 where a fall is."""
        return 1.0 if self.higher else -1.0

    @property
    def share(self) -> bool:
        """Whether it is a share."""
        return self.metric.share

    @property
    def scale(self) -> float:
        return self.metric.scale

    @property
    def farthest(self) -> float:
        """The largest difference that two values of the metric can have, in the unit stored."""
        return 1.0 if self.metric.share else math.inf

    @property
    def name(self) -> str:
        """As `validation accuracy`."""
        return self.metric.label

    @property
    def unit(self) -> str:
        """What its differences are counted in, with a space before it: ` points`, or nothing."""
        return tr(" points") if self.metric.share else ""

    def value(self, value: float | None) -> str:
        """A value, without its unit."""
        return ABSENT if value is None else _fixed(self.scale * value, self.digits)

    def difference(self, value: float | None, more: int = 0) -> str:
        """A difference with its sign, unless it rounds to zero; `more` decimals than usual."""
        if value is None:
            return ABSENT
        text = _fixed(abs(self.scale * value), self.digits + more)
        return text if float(text) == 0 else f"{'+' if value > 0 else MINUS}{text}"

    def size(self, value: float) -> str:
        """The size of a difference with its unit, as `0.9 points`; never a zero for what is not one."""
        size = abs(value) * self.scale
        digits = self.digits
        while size > 0 and digits < self.digits + 3 and float(_fixed(size, digits)) == 0:
            digits += 1
        return f"{_fixed(size, digits)}{self.unit}"

    def interval(self, low: float | None, high: float | None) -> str:
        """As `[−0.2, +1.4]`; more decimals where an end would round to the zero that the interval does not hold."""
        if low is None or high is None:
            return ""
        nearest = min(abs(low), abs(high)) if low * high > 0 else math.inf
        shown = (float(f"{nearest * self.scale:.{self.digits + more}f}") for more in range(4))
        more = next((more for more, end in enumerate(shown) if end), 0)
        return f"[{self.difference(low, more)}, {self.difference(high, more)}]"


def _fixed(number: float, digits: int) -> str:
    """With so many decimals; what has more figures before the point than a float is written with an exponent."""
    return f"{number:.{digits}f}" if abs(number) < _LARGE else f"{number:.4g}"


def primary_measure(results: Results) -> Measure:
    """What the study names, validation accuracy by default; evaluating the test set does not change it."""
    options = results.manifest.analysis
    return measure_of(replace(results.metric(str(options["metric"])), direction=options["direction"]), results)


def measure_of(metric: Metric, results: Results) -> Measure:
    """A metric with the decimals that the results can support."""
    return Measure(metric, _digits(metric, results))


def _digits(metric: Metric, results: Results) -> int:
    """Decimals that the images, or for other metrics the spread over seeds, can support."""
    done = results.runs[results.runs["status"] == "finished"]
    if metric.share:
        images = done["val_images"].dropna()
        return accuracy_digits(int(images.max()) if len(images) else None)
    if metric.name not in done:
        return 3
    spread = done.groupby("variant")[metric.name].std().dropna().median()
    if spread > 0:
        return min(_MOST_DIGITS, max(0, 1 - math.floor(math.log10(spread))))
    size = done[metric.name].abs().max()
    return min(_MOST_DIGITS, max(3, 2 - math.floor(math.log10(size)))) if size > 0 else 3


def measured(results: Results, measure: Measure) -> dict[tuple[str, int], float]:
    """(variant, seed) -> the metric at the selected epoch, of the successful runs."""
    if measure.column not in results.runs:
        return {}
    runs = results.runs[["variant", "seed", measure.column]].itertuples(index=False)
    values = {(str(variant), int(seed)): float(value) for variant, seed, value in runs}
    return {run: values[run] for run in successful(results) if math.isfinite(values[run])}


def successful(results: Results) -> tuple[tuple[str, int], ...]:
    """The runs that have a value: finished, and better than guessing. Every mean of the report is over these alone."""
    done = results.runs.loc[results.runs["status"] == "finished", ["variant", "seed"]].itertuples(index=False)
    lost = at_chance(results)
    return tuple(run for variant, seed in done if (run := (str(variant), int(seed))) not in lost)


def same_weights(results: Results, variant: str, seeds: Sequence[int]) -> bool:
    """Whether a variant was trained to the very weights of the baseline under each of these seeds; False for none."""
    return bool(seeds) and all(_same_weights(results, variant, seed) for seed in seeds)


def _same_weights(results: Results, variant: str, seed: int) -> bool:
    own, base = (results.records.get((name, seed)) for name in (variant, results.manifest.baseline.name))
    return own is not None and base is not None and None is not own.weights_sha256 == base.weights_sha256
