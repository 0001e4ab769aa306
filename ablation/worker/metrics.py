"""Metrics of a finished run, computed from its stored predictions; here custom metrics and torchmetrics are run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ablation.errors import UserError
from ablation.registry.metrics import DECLARED, EXTRAS, Declared, known
from ablation.results.predictions import Array, read_predictions, read_probabilities
from ablation.storage.metric_values import MetricValue
from ablation.storage.store import RunFolder
from ablation.study.custom_code import Code
from ablation.study.import_code import explained, load_attribute

_FORM = (
    "return one number; labels and predicted are (n,), probabilities (n, classes), or None where the run stored none"
)


def compute(folder: Path, classes: int, names: Sequence[str], codes: Mapping[str, Code]) -> dict[str, MetricValue]:
    """The metrics `names` of the run in `folder`; `codes` are those of custom ones.

    Metrics that need probabilities which the run did not store are left out. Raises UserError where predictions cannot
    be read, and where custom code fails or returns no number.
    """
    run = RunFolder(folder)
    arrays = read_predictions(run, "validation", "label", "predicted")
    if arrays is None:
        raise UserError(f"{run.predictions} cannot be read", "run the study again")
    labels, predicted = (array.astype(np.int64) for array in arrays)
    probabilities = read_probabilities(run)
    probabilities = None if probabilities is None else probabilities.astype(np.float32)
    found = {}
    for name in names:
        if name in codes:
            found[name] = _custom(name, codes[name], labels, predicted, probabilities)
        elif probabilities is not None or not EXTRAS[name].probabilities:
            found[name] = MetricValue(_extra(name, classes, labels, predicted, probabilities), "higher", "share")
    return found


def _extra(name: str, classes: int, labels: Array, predicted: Array, probabilities: Array | None) -> float:
    import torchmetrics.functional.classification as functions

    truth, chosen = torch.from_numpy(labels), torch.from_numpy(predicted)
    of_each = chosen if probabilities is None else torch.from_numpy(probabilities)
    match name:
        case "f1_macro":
            value = functions.multiclass_f1_score(chosen, truth, classes, average="macro")
        case "auroc_macro":
            value = functions.multiclass_auroc(of_each, truth, classes, average="macro")
        case _:
            value = functions.multiclass_accuracy(of_each, truth, classes, average="micro", top_k=min(5, classes))
    return float(value)


def _custom(name: str, code: Code, *arrays: Array | None) -> MetricValue:
    with explained(code, name, "labels (n,), predicted (n,) and probabilities (n, classes), or None for the last"):
        function = load_attribute(code, name)
        declared = getattr(function, DECLARED, None)
        value = function(*arrays) if isinstance(declared, Declared) else None
    if not isinstance(declared, Declared):
        what = f"{name} does not say which way is better"
        raise UserError(what, 'put @ablation.metric(direction="higher", unit="share") above the function')
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise UserError(f"{name} returned {value!r}", _FORM)
    if not known(name, declared.direction, declared.unit).possible(float(value)):
        raise UserError(f"{name} returned {value}", 'a share is between 0 and 1; or declare unit="raw"')
    return MetricValue(float(value), declared.direction, declared.unit, code.identity)
