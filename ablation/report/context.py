"""What a section can draw on: the analysis, and the stored runs behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ablation._util.formatting import accuracy_digits
from ablation.analysis import Analysis
from ablation.analysis.classification.classes import ClassCounts, Labelled, count_classes
from ablation.analysis.measure import successful
from ablation.report.blocks import Block
from ablation.results.predictions import PARTS, Part, read_predictions
from ablation.results.runs import Results
from ablation.storage.manifest import Manifest
from ablation.storage.store import Store
from ablation.study.report_options import ReportOptions

_MOST_CLASSES = 1000
"""A confusion matrix of more classes would fill the memory for a list of twenty lines."""


@dataclass(frozen=True)
class Classes:
    """The counts of each variant on one part of the data set; `confused` names those with a confusion matrix."""

    part: Part
    names: tuple[str, ...]
    counts: Mapping[str, ClassCounts]
    confused: tuple[str, ...]


@dataclass(frozen=True)
class Context:
    """What a section can draw on; `texts` is the Markdown that the author wrote, by the name of the section.

    `shown` names the sections of the report.
    """

    store: Store
    results: Results
    analysis: Analysis
    texts: Mapping[str, str] = field(default_factory=dict)
    options: ReportOptions = field(default_factory=ReportOptions)
    shown: tuple[str, ...] = ()

    @property
    def study(self) -> Manifest:
        return self.results.manifest

    @property
    def recipe(self) -> bool:
        """Whether the recipes are known, as of every study that was trained here."""
        return bool(self.analysis.setup.recipe)

    @property
    def digits(self) -> int:
        """Decimals of a validation accuracy in per cent."""
        return accuracy_digits(self.analysis.setup.val_images)

    @cached_property
    def classes(self) -> tuple[Classes, ...]:
        """Counts by class on the validation images, and on the test set once it was used, where predictions are."""
        finished = {run: record for run, record in self.results.records.items() if record.status == "finished"}
        own = (record for (variant, _), record in finished.items() if variant == self.study.baseline.name)
        base = next(own, None) or next(iter(finished.values()), None)
        if base is None:
            return ()
        names = base.classes
        confused = _confused(self.analysis) if len(names) <= _MOST_CLASSES else ()
        parts = ((part, count_classes(self._labelled(part, names), len(names), confused)) for part in PARTS)
        return tuple(Classes(part, names, counts, confused) for part, counts in parts if counts)

    def _labelled(self, part: Part, classes: tuple[str, ...]) -> Iterator[Labelled]:
        """The predictions of every successful run on the same classes, read one run at a time."""
        kept = set(successful(self.results))
        for (variant, seed), record in self.results.records.items():
            name = self.study.run_folder(variant, seed)
            seen = part != "test" or name in self.results.tested
            if (variant, seed) in kept and record.classes == classes and seen:
                arrays = read_predictions(self.store.run(name), part, "label", "predicted")
                if arrays is not None:
                    yield Labelled(variant, seed, *(array.astype(np.int64) for array in arrays))


def _confused(analysis: Analysis) -> tuple[str, ...]:
    """The baseline, and the variants with the highest and the lowest mean accuracy."""
    known = {effect.variant: effect.mean for effect in analysis.variants if effect.mean is not None}
    ends = [pick(known, key=lambda name: known[name]) for pick in (max, min)] if known else []
    return tuple(dict.fromkeys((analysis.baseline.variant, *ends)))


@dataclass(frozen=True)
class Section:
    """A section of the report: its anchor, its title, its place (lower comes first), and what makes its blocks.

    A section without blocks is left out. Those of the package have the orders 20 to 160; those of the `appendix` come
    after all others and are folded in HTML. An `optional` one is only there where a style or a study names it.
    """

    name: str
    title: str
    order: float
    blocks: Callable[[Context], Iterable[Block]]
    appendix: bool = False
    optional: bool = False


def section(
    *, title: str, order: float = 105, name: str = "", appendix: bool = False
) -> Callable[[Callable[[Analysis], Iterable[Block]]], Section]:
    """Make a section of a function from the analysis to blocks; `order` 105 places it before the interpretation."""

    def decorate(function: Callable[[Analysis], Iterable[Block]]) -> Section:
        anchor = name or function.__name__.replace("_", "-")
        return Section(anchor, title, order, lambda context: function(context.analysis), appendix)

    return decorate
