"""One update of the weights; on CUDA its kernels are recorded once, and replayed with one launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from ablation.study.schema import Train
from ablation.training import device, precision
from ablation.training.targets import Targets


class Step:
    """Updates the weights on one batch after another, and adds up what the batches of an epoch had.

    A GPU computes a step of a small network in less time than the host needs to launch its kernels one by one. There
    the step on a full batch is recorded as a CUDA graph, and replayed: the same kernels on the same numbers, so that
    its bits are those of the step that is launched kernel by kernel, which batches of another size still are. Mixup,
    whose share differs from batch to batch, is not recorded, nor is what `recordable` leaves out.

    - `loss`: of each batch its mean loss in nats times its images, added up.
    - `hits`: right answers.
    - `skipped`: steps that an overflow in fp16 has skipped.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        trained: Sequence[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        autocast: AbstractContextManager[object],
        train: Train,
        where: torch.device,
        recordable: bool,
    ) -> None:
        self.forward, self.optimizer, self.scaler, self.device = forward, optimizer, scaler, where
        self._trained, self._autocast, self._train = trained, autocast, train
        self._recordable = recordable and train.mixup == 0 and device.can_record(where, optimizer)
        self._recorded: _Recorded | None = None
        self._steps = 0
        self.loss, self.hits = (torch.zeros((), device=where, dtype=torch.float64) for _ in range(2))
        self.skipped = torch.zeros((), device=where)

    def start(self) -> None:
        """Begin an epoch."""
        for total in (self.loss, self.hits, self.skipped):
            total.zero_()

    def __call__(self, images: Tensor, targets: Targets, rate: float) -> None:
        """Update the weights on images (n, c, h, w) with a learning rate; nothing waits for the device."""
        rates = [device.learning_rate(rate * group["lr_multiplier"], self.device) for group in self._groups]
        if self._recorded is None and self._recordable and self._steps and len(images) == self._train.batch_size:
            self._recorded = _Recorded(self, images, targets, rates)
        self._steps += 1  # the first one lays out the state of the optimizer, which a recorded step finds there
        if self._recorded and self._recorded.fits(images):
            self._recorded(images, targets, rates)
            return
        for group, own in zip(self._groups, rates, strict=True):
            group["lr"] = own
        self.update(images, targets)

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    def update(self, images: Tensor, targets: Targets) -> None:
        """Forward, backward and update, with the learning rates that the optimizer has."""
        with self._autocast:
            logits = self.forward(images)
            loss = targets.loss(logits, self._train.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        if self.scaler.is_enabled():
            self.skipped.add_(precision.overflows(self.scaler, self.optimizer))
        if self._train.clip_norm:
            nn.utils.clip_grad_norm_(self._trained, self._train.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.loss.add_(loss.detach(), alpha=len(images))
        self.hits.add_(targets.hits(logits.detach()))


class _Recorded:
    """The step on batches of one size, from copies of images, labels and learning rates that it always reads."""

    def __init__(self, step: Step, images: Tensor, targets: Targets, rates: Sequence[float]) -> None:
        self._images, self._labels = torch.empty_like(images), torch.empty_like(targets.labels)
        self._rates = [torch.full((), rate, device=step.device) for rate in rates]
        self._known = list(rates)
        groups = step.optimizer.param_groups
        before: list[dict[str, Any]] = [{k: group[k] for k in ("lr", "capturable") if k in group} for group in groups]
        for group, own, rate in zip(groups, before, self._rates, strict=True):
            group.update({"lr": rate, "capturable": True} if "capturable" in own else {"lr": rate})
        step.optimizer.zero_grad(set_to_none=True)
        self._replay = device.record(lambda: step.update(self._images, Targets(self._labels)))
        for group, own in zip(groups, before, strict=True):
            group.update(own)

    def fits(self, images: Tensor) -> bool:
        """Whether a batch has the size of those that were recorded."""
        return images.shape == self._images.shape

    def __call__(self, images: Tensor, targets: Targets, rates: Sequence[float]) -> None:
        self._images.copy_(images)
        self._labels.copy_(targets.labels)
        for number, rate in enumerate(rates):
            if rate != self._known[number]:
                self._rates[number].fill_(rate)
                self._known[number] = rate
        self._replay()
