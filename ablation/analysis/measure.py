"""The primary metric of a study: which column it is, which way is better, and how its values are written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablation import words
from ablation.results import Results

_PARTS = {"val": "validation", "train": "training"}


@dataclass(frozen=True)
class Measure:
    """A metric: its column in `results.runs`, its name in words, whether higher is better, and its decimals as shown.

    Accuracies are stored as fractions of 1 and shown in per cent, their differences in percentage points; any other
    metric is shown as it is stored.
    """

    column: str
    higher: bool
    digits: int

    @property
    def accuracy(self) -> bool:
        return "acc" in self.column.lower()

    @property
    def direction(self) -> str:
        return "higher" if self.higher else "lower"

    @property
    def sign(self) -> float:
        """+1 where a rise is an improvement, -1 where a fall is."""
        return 1.0 if self.higher else -1.0

    @property
    def scale(self) -> float:
        return 100.0 if self.accuracy else 1.0

    @property
    def farthest(self) -> float:
        """The largest difference that two values of the metric can have, in the unit stored."""
        return 1.0 if self.accuracy else math.inf

    @property
    def name(self) -> str:
        """As `validation accuracy`."""
        first, _, rest = self.column.partition("_")
        return f"{_PARTS.get(first, first)} {rest.replace('_', ' ')}".strip()

    @property
    def heading(self) -> str:
        """The head of its column in a table."""
        return "Accuracy, %" if self.accuracy else self.name.capitalize()

    @property
    def axis(self) -> str:
        return f"{self.name}, %" if self.accuracy else self.name

    @property
    def unit(self) -> str:
        """What its differences are counted in, with a space before it: ` points`, or nothing."""
        return " points" if self.accuracy else ""

    def value(self, value: float | None) -> str:
        """A value, without its unit."""
        return words.ABSENT if value is None else f"{self.scale * value:.{self.digits}f}"

    def difference(self, value: float | None, more: int = 0) -> str:
        """A difference with its sign, unless it rounds to zero; `more` decimals than usual."""
        return words.points(None if value is None else value * self.scale / 100, self.digits + more)

    def size(self, value: float) -> str:
        """The size of a difference with its unit, as `0.9 points`; never a zero for what is not one."""
        size = abs(value) * self.scale
        digits = self.digits
        while size > 0 and digits < self.digits + 3 and float(f"{size:.{digits}f}") == 0:
            digits += 1
        return f"{size:.{digits}f}{self.unit}"

    def interval(self, low: float | None, high: float | None) -> str:
        """As `[−0.2, +1.4]`; one decimal more where an end would round to the zero that the interval does not hold."""
        if low is None or high is None:
            return ""
        nearest = min(abs(low), abs(high)) if low * high > 0 else math.inf
        more = 1 if float(f"{nearest * self.scale:.{self.digits}f}") == 0 else 0
        return f"[{self.difference(low, more)}, {self.difference(high, more)}]"


def primary_measure(results: Results) -> Measure:
    """What the study names, validation accuracy by default; evaluating the test set does not change it."""
    options = results.manifest.analysis
    plain = Measure(str(options["metric"]), options["direction"] == "higher", 1)
    return replace(plain, digits=_digits(plain, results))


def _digits(measure: Measure, results: Results) -> int:
    """Decimals that the images, or for other metrics the spread over seeds, can support."""
    done = results.runs[results.runs["status"] == "finished"]
    if measure.accuracy:
        images = done["val_images"].dropna()
        return words.accuracy_digits(int(images.max()) if len(images) else None)
    spread = done.groupby("variant")[measure.column].std().median() if measure.column in done else math.nan
    return 3 if not spread > 0 else min(6, max(0, 1 - math.floor(math.log10(spread))))


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


def at_chance(results: Results) -> frozenset[tuple[str, int]]:
    """The finished runs whose validation accuracy is not above that of guessing: they count as diverged."""
    lost = set()
    for row in results.runs[results.runs["status"] == "finished"].to_dict("records"):
        run = (str(row["variant"]), int(row["seed"]))
        limit = chance_limit(row, len(results.records[run].classes) if run in results.records else 0)
        if limit is not None and float(row["val_accuracy"]) <= limit:
            lost.add(run)
    return frozenset(lost)


def chance_limit(row: Mapping[Any, Any], classes: int) -> float | None:
    """The accuracy that guessing one of `classes` stays below in 99 of 100 validation sets of this size."""
    images = row.get("val_images")
    if classes < 2 or images is None or not images > 0:
        return None
    guess = 1.0 / classes
    return guess + 2.326 * math.sqrt(guess * (1 - guess) / float(images))


def same_weights(results: Results, variant: str, seeds: Sequence[int]) -> bool:
    """Whether a variant was trained to the very weights of the baseline under each of these seeds; False for none."""
    return bool(seeds) and all(_same_weights(results, variant, seed) for seed in seeds)


def _same_weights(results: Results, variant: str, seed: int) -> bool:
    own, base = (results.records.get((name, seed)) for name in (variant, results.manifest.baseline.name))
    return own is not None and base is not None and None is not own.weights_sha256 == base.weights_sha256
