"""What the name of a column in another tool's table says of its metric; metrics of our own are in `registry.metrics`.

Nothing else in the package reads names. They are compared by whole words: `top1_err` is an error, and `acceleration`
is no accuracy.
"""

from __future__ import annotations

import re
from typing import Literal

from ablation.registry.metrics import Direction, Metric, Part

Unit = Literal["percent", "share", "raw"]
"""How values are written: as percentages from 0 to 100, as fractions of 1, or neither."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHARES = _names("""
    acc accuracy accuracies precision recall sensitivity specificity f1 dice iou miou jaccard auc auroc rocauc auprc
    prauc ap map
""")
"""Metrics between 0 and 1, more is better: written as fractions by some and in per cent by others."""
_HIGHER = _SHARES | _names("""
    bleu rouge meteor chrf cider spice r2 mcc kappa ndcg mrr psnr ssim reward throughput speedup likelihood elbo
""")
_LOSSES = _names("loss losses nll xent entropy")
_LOWER = _LOSSES | _names("""
    error errors err mse rmse mae mape smape msle rmsle perplexity ppl bpc bpb wer cer ter eer mer brier ece fid kid
    lpips fpr fnr misclassification seconds secs sec minutes hours ms time runtime duration latency memory
""")
_TURNS = _names("""
    neg negative inv inverse reduction reduced drop decrease improvement gain saved delta diff difference gap ratio
    std sd sem var variance per
""")
"""Words that may turn the direction of the others: `neg_mse`, `error_reduction`, `accuracy_std`."""
_PARTS: dict[Part, frozenset[str]] = {
    "train": frozenset(("train", "training", "tr")),
    "val": frozenset(("val", "valid", "validation", "dev", "eval")),
    "test": frozenset(("test",)),
}
_KNOWN = _HIGHER | _LOWER
_CAMEL = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[^A-Z]+")


def words(name: str) -> tuple[str, ...]:
    """The words of a name in lower case: `val`, `loss` of `val_loss`, `val/loss` and `valLoss`."""
    return tuple(word.lower() for part in re.split(r"[\W_]+", name) if part for word in _split(part))


def _split(part: str) -> list[str]:
    """A stretch of letters and digits: as it is where that is known (`mAP`), else where capitals begin words."""
    return [part] if _plain(part) in _KNOWN else _CAMEL.findall(part)


def _plain(word: str) -> str:
    """In lower case and without a number at its end (`acc1`), unless that is part of what it is called (`f1`)."""
    low = word.lower()
    return low if low in _KNOWN else low.rstrip("0123456789") or low


def _known(name: str) -> list[str]:
    return [_plain(word) for word in words(name)]


def guess(name: str) -> Metric:
    """The metric that a column seems to hold; without a direction where its name does not plainly say one."""
    better, own, (part, stem) = _direction(name), set(_known(name)), _split_part(name)
    share, loss = better == "higher" and bool(_SHARES & own), better == "lower" and bool(_LOSSES & own)
    return Metric(name, better, "share" if share else "raw", part, minimized=loss, words=stem)


def _direction(name: str) -> Direction | None:
    """Which way is better, where the name plainly says so; None where it does not, or says both."""
    own = _known(name)
    if own and own[-1] in ("loss", "losses"):
        return None if _TURNS & set(own) else "lower"  # `dice_loss` is a loss
    if _TURNS & set(own) or bool(_HIGHER & set(own)) == bool(_LOWER & set(own)):
        return None
    return "higher" if _HIGHER & set(own) else "lower"


def _split_part(name: str) -> tuple[Part, tuple[str, ...]]:
    """The part of the data that a name begins or ends with, "" for none, and its other words."""
    own = words(name)
    for place in (0, -1):
        for part, names in _PARTS.items():
            if len(own) > 1 and own[place] in names:
                return part, own[1:] if place == 0 else own[:-1]
    return "", own


_MACHINE = _names("""
    s sec secs second seconds minute minutes hour hours ms time times runtime walltime duration elapsed eta latency
    throughput speed fps ips memory mem ram vram mb gb mib gib gpu cpu utilization watts energy timestamp date
""")
"""Words of metrics that say how fast or large a run was: they differ from run to run."""
_QUALITY = _names("loss error err acc accuracy f1 mae mse rmse")
"""Words that say how good a prediction is, be it of a time."""


def of_machine(name: str) -> bool:
    """Whether a metric measures the machine, as `seconds` and `images_per_second` do."""
    own = set(words(name))
    return bool(_MACHINE & own) and not _QUALITY & own
