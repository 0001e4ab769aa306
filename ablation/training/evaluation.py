"""A network looked at from outside: loss, accuracy and predictions on given images. Training and testing share this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablation.training import precision as arithmetic


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy in nats, accuracy, and for each image the predicted class and the probabilities given to the
    predicted, to the true, and to every class (images, classes) in float16."""

    loss: float
    accuracy: float
    predicted: Tensor
    confidence: Tensor
    true_probability: Tensor
    probabilities: Tensor


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], precision: str, device: torch.device
) -> Evaluation:
    """Evaluate `model` on (images, labels) that are on `device` already; the model is left in evaluation mode."""
    model.eval()
    autocast = arithmetic.autocast(precision, device)
    total = torch.zeros((), device=device, dtype=torch.float64)
    hits = torch.zeros((), device=device, dtype=torch.int64)
    predicted, confidence, true_probability, probabilities = [], [], [], []
    for images, labels in batches:
        with autocast:
            logits = model(images)
        log_probabilities = functional.log_softmax(logits.float(), dim=1)
        of_truth = log_probabilities.gather(1, labels[:, None]).squeeze(1)
        best = log_probabilities.max(1)
        total -= of_truth.sum()
        hits += (best.indices == labels).sum()
        predicted.append(best.indices)
        confidence.append(best.values.exp())
        true_probability.append(of_truth.exp())
        probabilities.append(log_probabilities.exp().half())
    classes = torch.cat(predicted).cpu()
    return Evaluation(
        loss=total.item() / len(classes),
        accuracy=int(hits) / len(classes),
        predicted=classes.to(torch.int16),
        confidence=torch.cat(confidence).cpu(),
        true_probability=torch.cat(true_probability).cpu(),
        probabilities=torch.cat(probabilities).cpu(),
    )
