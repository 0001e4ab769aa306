"""All that is known of a metric: which way is better, its unit, the value of guessing, its best value, its words."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeVar

from ablation._util.language import tr, tr_noop
from ablation.errors import UserError

Direction = Literal["higher", "lower"]
Unit = Literal["share", "raw"]
"""A share is stored as a fraction of 1 and shown in per cent and points; anything else is shown as it is stored."""
Part = Literal["train", "val", "test", ""]
_PARTS: Mapping[str, Part] = MappingProxyType({"train": "train", "val": "val", "test": "test"})
_IN_WORDS = {"val": "validation", "eval": "evaluation", "train": "training"}
_ACRONYMS: Mapping[str, str] = MappingProxyType(
    {
        **{own.lower(): own for own in ("AUC", "AUROC", "AUPRC", "AP", "mAP", "MAE", "MAPE", "MSE", "RMSE", "RMSLE")},
        **{own.lower(): own for own in ("NLL", "MCC", "ECE", "IoU", "mIoU", "PSNR", "SSIM", "LPIPS", "FID", "KID")},
        **{own.lower(): own for own in ("BLEU", "WER", "CER", "MRR", "NDCG")},
        "r2": "R²",
        "f1": "F1",
    }
)
"""Words of names that are written in another way."""


def in_words(words: Iterable[str]) -> str:
    """The words of a name as a text, acronyms as the field writes them."""
    return " ".join(_ACRONYMS.get(word, word) for word in words).strip()


_LABELS = frozenset((
    tr_noop("accuracy"), tr_noop("training accuracy"), tr_noop("validation accuracy"), tr_noop("test accuracy"),
    tr_noop("loss"), tr_noop("training loss"), tr_noop("validation loss"), tr_noop("test loss"),
    tr_noop("error"), tr_noop("training error"), tr_noop("validation error"), tr_noop("test error"),
    tr_noop("evaluation accuracy"), tr_noop("evaluation loss"), tr_noop("perplexity"), tr_noop("validation perplexity"),
    tr_noop("macro F1"), tr_noop("validation macro F1"), tr_noop("macro AUROC"), tr_noop("validation macro AUROC"),
    tr_noop("top-5 accuracy"), tr_noop("validation top-5 accuracy"),
))  # fmt: skip
"""Labels that another language has words for."""
_PREFIXES: Mapping[str, str] = MappingProxyType(
    {
        "training ": tr_noop("training {metric}"),
        "validation ": tr_noop("validation {metric}"),
        "evaluation ": tr_noop("evaluation {metric}"),
        "test ": tr_noop("test {metric}"),
    }
)
"""How labels begin that name the part of the data, and the label around the rest, which is a name."""


def _spoken(label: str) -> str:
    """A label in the current language."""
    prefix = next((prefix for prefix in _PREFIXES if label.startswith(prefix)), "")
    if prefix and label not in _LABELS:
        return tr(_PREFIXES[prefix], metric=label.removeprefix(prefix))
    return tr(label) if label in _LABELS else label


@dataclass(frozen=True)
class Metric:
    """A metric of a run; `name` is its column in `Results.runs`, `val_accuracy` for one.

    `chance` gives the value of guessing among so many classes, None where it is not known; `ceiling` is the best value
    that there can be. `minimized` marks a loss, which training reduces. `direction` is None for the column of a table
    that does not say it.
    """

    name: str
    direction: Direction | None
    unit: Unit = "raw"
    part: Part = ""
    """The part of the data that it is measured on; empty where its name does not say."""
    chance: Callable[[int], float] | None = None
    ceiling: float | None = None
    minimized: bool = False
    probabilities: bool = False
    """Whether it is computed from the probabilities of all classes."""
    title: str = ""
    """Its words without the part of the data; by default those of its name."""
    words: tuple[str, ...] = ()
    """The words of its name without the part of the data: metrics that differ in the part alone share a figure."""

    @property
    def share(self) -> bool:
        return self.unit == "share"

    @property
    def scale(self) -> float:
        """What a stored value is multiplied by to be shown."""
        return 100.0 if self.share else 1.0

    @property
    def label(self) -> str:
        """As `validation accuracy`, in the current language."""
        return _spoken(self._english)

    @property
    def _english(self) -> str:
        """The label in English."""
        if self.title:
            return f"{_IN_WORDS.get(self.part, self.part)} {self.title}".strip()
        first, _, rest = self.name.partition("_")
        words = [_IN_WORDS.get(first, first), *rest.split("_")]
        return in_words(words)

    @property
    def axis(self) -> str:
        """What an axis of its values is called."""
        return tr("{metric}, %", metric=self.label) if self.share else self.label

    @property
    def heading(self) -> str:
        """The head of its column in a table."""
        own = _spoken(self._english.removeprefix("validation ")) if self.share else self.label
        first = own.partition(" ")[0]
        shown = own if any(map(str.isupper, first)) else own[:1].upper() + own[1:]
        return tr("{metric}, %", metric=shown) if self.share else shown

    def possible(self, value: float) -> bool:
        """Whether it can have this value; only what is no share may be NaN."""
        if math.isnan(value):
            return not self.share
        beyond = self.ceiling is not None and (
            value > self.ceiling if self.direction == "higher" else value < self.ceiling
        )
        return not beyond and not (self.share and not 0 <= value <= 1)


def _one_of(classes: int) -> float:
    return 1 / classes


def _five_of(classes: int) -> float:
    return min(5, classes) / classes


def _coin(_: int) -> float:
    return 0.5


def _extra(name: str, chance: Callable[[int], float], title: str, *, probabilities: bool) -> Metric:
    words = tuple(name.split("_"))
    return Metric(name, "higher", "share", "val", chance, 1.0, probabilities=probabilities, title=title, words=words)


_BUILT_IN = (
    Metric("accuracy", "higher", "share", chance=_one_of, ceiling=1.0),
    Metric("loss", "lower", chance=math.log, ceiling=0.0, minimized=True),
)
"""Those of every run: accuracy, and cross-entropy in nats."""
OF_EPOCHS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""The metrics of each epoch of an image classifier."""
SELECTION = "val_accuracy"
"""The metric by which the best epoch of a run is chosen."""


def _of_parts() -> dict[str, Metric]:
    return {
        f"{part}_{own.name}": replace(own, name=f"{part}_{own.name}", part=part, title=own.name, words=(own.name,))
        for own in _BUILT_IN
        for part in _PARTS.values()
    }


EXTRAS: Mapping[str, Metric] = MappingProxyType(
    {
        own.name: own
        for own in (
            _extra("f1_macro", _one_of, "macro F1", probabilities=False),
            _extra("auroc_macro", _coin, "macro AUROC", probabilities=True),
            _extra("top5_accuracy", _five_of, "top-5 accuracy", probabilities=True),
        )
    }
)
"""Name -> metric that torchmetrics computes from the predictions of a finished run on its validation images."""
METRICS: Mapping[str, Metric] = MappingProxyType({**_of_parts(), **EXTRAS})
"""Name -> each metric that is built in."""


def known(name: str, direction: Direction | None = None, unit: Unit = "raw") -> Metric:
    """A built-in metric, or the custom one `module:attribute` of this direction and unit."""
    title = name.partition(":")[2].replace("_", " ")
    return METRICS.get(name) or Metric(name, direction, unit, "val", title=title, words=(name,))


@dataclass(frozen=True)
class Declared:
    """What `@ablation.metric` says of a function."""

    direction: Direction
    unit: Unit


Function = TypeVar("Function", bound=Callable[..., float])


def metric(*, direction: Direction, unit: Unit = "raw") -> Callable[[Function], Function]:
    """Make a metric of a function `(labels, predicted, probabilities) -> float` of NumPy arrays.

    `labels` and `predicted` are class indices (n,), `probabilities` is (n, classes), or None where a run stored none.
    A `unit` of share is a fraction of 1, shown in per cent. docs/study-files.md has an example.
    """
    if direction not in ("higher", "lower") or unit not in ("share", "raw"):
        raise ValueError("a metric has direction='higher' or 'lower', and unit='share' or 'raw'")

    def decorate(function: Function) -> Function:
        function.__dict__[DECLARED] = Declared(direction, unit)
        return function

    return decorate


DECLARED = "__ablation_metric__"
"""The attribute of a function that `metric` sets."""


def check_packages(names: Iterable[str]) -> None:
    """Raise UserError where torchmetrics is not installed and a metric needs it; nothing is imported."""
    needed = [name for name in names if name in EXTRAS]
    if needed and importlib.util.find_spec("torchmetrics") is None:
        raise UserError(
            f"the metric {needed[0]} needs torchmetrics, which is not installed", "pip install 'ablation-lab[metrics]'"
        )
