"""Predictions -> accuracy of each class, its change against the baseline, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_LEAST = 5e-4
"""A smaller change would be printed as 0.0 points."""
Counts = np.ndarray[tuple[Any, ...], np.dtype[np.int64]]
Array = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class Labelled:
    """One run's predictions on a part of the data: true and predicted class of each image, as indices (images,)."""

    variant: str
    seed: int
    label: Counts
    predicted: Counts


@dataclass(frozen=True)
class ClassCounts:
    """Counts of one variant: `images` and `correct` (seeds, classes), and `confusion` (true, predicted) where wanted.

    The confusion matrix is pooled over the seeds.
    """

    variant: str
    seeds: tuple[int, ...]
    images: Counts
    correct: Counts
    confusion: Counts | None

    @property
    def by_seed(self) -> Array:
        """Accuracy (seeds, classes) as a fraction of 1; NaN where a seed had no image of a class."""
        shares: Array = np.divide(
            self.correct, self.images, out=np.full(self.images.shape, np.nan), where=self.images > 0
        )
        return shares

    @property
    def accuracy(self) -> Array:
        """Accuracy of each class (classes,), mean over seeds; NaN where no seed had an image of it."""
        return _mean(self.by_seed)


@dataclass(frozen=True)
class Confusion:
    """Images of class `true` that were taken for `predicted`: how many, and as a share of those of class `true`."""

    true: int
    predicted: int
    count: int
    share: float


def count_classes(runs: Iterable[Labelled], classes: int, confused: Collection[str]) -> dict[str, ClassCounts]:
    """Variant -> its counts; the confusion matrix only of those in `confused`, since it grows as classes squared.

    Runs are taken one at a time, so that an iterator can read them from disk.
    """
    seeds: dict[str, list[int]] = {}
    pairs: dict[str, list[tuple[Counts, Counts]]] = {}
    matrices: dict[str, Counts] = {}
    for run in runs:
        right = run.label[run.label == run.predicted]
        own = np.bincount(run.label, minlength=classes), np.bincount(right, minlength=classes)
        seeds.setdefault(run.variant, []).append(run.seed)
        pairs.setdefault(run.variant, []).append(own)
        if run.variant in confused:
            matrices[run.variant] = matrices.get(run.variant, 0) + _matrix(run, classes)
    return {
        name: ClassCounts(
            name,
            tuple(seeds[name]),
            np.stack([images for images, _ in own]),
            np.stack([correct for _, correct in own]),
            matrices.get(name),
        )
        for name, own in pairs.items()
    }


def _matrix(run: Labelled, classes: int) -> Counts:
    flat = np.bincount(run.label * classes + run.predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


def change(variant: ClassCounts, baseline: ClassCounts) -> Array | None:
    """Accuracy of each class minus that of the baseline, mean over the seeds of both; None where they share none."""
    shared = [seed for seed in variant.seeds if seed in baseline.seeds]
    if not shared:
        return None
    own = variant.by_seed[[variant.seeds.index(seed) for seed in shared]]
    reference = baseline.by_seed[[baseline.seeds.index(seed) for seed in shared]]
    return _mean(own - reference)


def _mean(by_seed: Array) -> Array:
    """Mean over the seeds that have a value; NaN where none has."""
    known = np.isfinite(by_seed)
    number = known.sum(axis=0)
    total = np.where(known, by_seed, 0.0).sum(axis=0)
    mean: Array = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return mean


def extremes(values: Array, most: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The classes with the `most` highest values above zero and with the lowest below it, the farthest first."""
    order = np.argsort(np.where(np.isfinite(values), values, 0.0), kind="stable")
    low = tuple(int(i) for i in order[:most] if values[i] <= -_LEAST)
    high = tuple(int(i) for i in order[::-1][:most] if values[i] >= _LEAST)
    return high, low


def frequent_confusions(confusion: Counts, most: int) -> tuple[Confusion, ...]:
    """The mistakes made most often, the most frequent first; ties keep the order of the classes."""
    totals = confusion.sum(axis=1)
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = [divmod(int(flat), len(confusion)) for flat in order]
    return tuple(
        Confusion(true, taken, int(wrong[true, taken]), float(wrong[true, taken] / totals[true]))
        for true, taken in places
        if wrong[true, taken]
    )


def class_rows(part: str, counts: Mapping[str, ClassCounts], names: tuple[str, ...]) -> Iterator[tuple[object, ...]]:
    """(part, variant, seed, class, images, correct) of every run and class: the raw counts, as a table."""
    for variant, own in counts.items():
        for row, seed in enumerate(own.seeds):
            for place, name in enumerate(names):
                yield part, variant, seed, name, int(own.images[row, place]), int(own.correct[row, place])
