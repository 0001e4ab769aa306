"""The training of one run: epochs, evaluation, checkpoints, resuming, and the record at the end."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ablation import __version__
from ablation.protocol import Task
from ablation.record import Environment, EpochRow, RunRecord
from ablation.store import RunFolder, replace
from ablation.train import checkpoint, device, sources
from ablation.train.budget import make_budget
from ablation.train.data import Loader
from ablation.train.models import count_macs, count_parameters, initialise
from ablation.train.optim import build_optimizer, learning_rate
from ablation.train.sizes import build_model
from ablation.train.streams import seed_layers

TICK = 0.25
"""Seconds between two progress reports inside an epoch."""


@dataclass(frozen=True)
class Hooks:
    """What the loop tells, and asks, the outside: an epoch done, steps done of the epoch under way, whether to stop."""

    on_epoch: Callable[[EpochRow, int], None]
    on_step: Callable[[int, int, int, float], None]
    should_stop: Callable[[], bool]


@dataclass
class Progress:
    """What a run carries from epoch to epoch besides its weights; it is saved with every checkpoint."""

    epoch: int = 0
    best_epoch: int | None = None
    best_accuracy: float = -1.0
    train_seconds: float = 0.0
    resumed: int = 0
    diverged: bool = False
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy in nats, accuracy, and for each image the predicted class and the probabilities given to the
    predicted and to the true class."""

    loss: float
    accuracy: float
    predicted: Tensor
    confidence: Tensor
    true_probability: Tensor


def train(task: Task, hooks: Hooks) -> RunRecord | None:
    """Train a run to its end, from its last checkpoint where there is one; None when asked to stop before.

    The result depends on nothing but the run, the kind of device and the number of threads: it is the same, to the bit,
    however often the run was interrupted.
    """
    training = _Training(task)
    return training.until_end(hooks)


class _Training:
    """One run in memory."""

    def __init__(self, task: Task) -> None:
        recipe = task.run.recipe
        self.task = task
        self.recipe = recipe
        self.folder = RunFolder(task.folder)
        self.device = device.open_device(task.device)
        self.memory = device.MemoryMeter(self.device)
        images = sources.load(task.data)
        self.classes = images.classes
        channels, height, width = images.images.shape[1:]
        self.image = (int(channels), int(height), int(width))
        self.loader = Loader(images, recipe.data, recipe.train, task.run.seed, self.device)
        self.labels = images.labels[self.loader.split.val]
        self.budget = make_budget(recipe.train, len(self.loader.split.train))
        self.model = self._build()
        self.optimizer = build_optimizer(self.model.parameters(), recipe.optimizer)
        self.progress = Progress()

    def _build(self) -> nn.Module:
        model = build_model(self.recipe, self.image, len(self.classes))
        initialise(model, self.task.run.seed, self.recipe.model.init)
        model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model

    def until_end(self, hooks: Hooks) -> RunRecord | None:
        self.folder.open({"recipe": self.recipe.canonical(), "seed": self.task.run.seed, "key": self.task.run.key})
        self._resume()
        while self.progress.epoch < self.budget.rows and not self.progress.diverged:
            if hooks.should_stop():
                return None
            hooks.on_epoch(self._epoch(hooks), self.budget.rows)
        return self._finish()

    def _resume(self) -> None:
        saved = checkpoint.load(self.folder.last, self.device)
        if saved:
            self.model.load_state_dict(saved["model"])
            if "optimizer" in saved:  # a run that was about to finish has done without it already
                self.optimizer.load_state_dict(saved["optimizer"])
            self.progress = Progress(**saved["progress"])
            self.progress.resumed += 1
        self.folder.keep_epochs(self.progress.epoch)

    def _epoch(self, hooks: Hooks) -> EpochRow:
        """One row of the budget: train, evaluate, write the row, save. What is written last makes it count."""
        number = self.progress.epoch + 1
        self.memory.reset()
        start = time.perf_counter()
        loss, accuracy, seen, rate = self._train_pass(number, hooks)
        trained = time.perf_counter() - start
        result = self._evaluate()
        row = EpochRow(
            epoch=number,
            step=self.budget.steps(number).stop,
            lr=rate,
            train_loss=loss,
            train_accuracy=accuracy,
            val_loss=result.loss,
            val_accuracy=result.accuracy,
            seconds=trained,
            eval_seconds=time.perf_counter() - start - trained,
            images_per_second=seen / trained,
            peak_memory_mb=self.memory.peak(),
        )
        self.progress.epoch = number
        self.progress.train_seconds += trained
        self.progress.diverged = not (math.isfinite(loss) and math.isfinite(result.loss))
        self.folder.append(row)
        self._save(result)
        return row

    def _train_pass(self, number: int, hooks: Hooks) -> tuple[float, float, int, float]:
        """(mean loss, accuracy, images seen, last learning rate). The device is waited for only at the end."""
        self.model.train()
        seed_layers(self.task.run.seed, "layers", number)
        steps = self.budget.steps(number)
        total = torch.zeros((), device=self.device)
        correct = torch.zeros((), device=self.device, dtype=torch.int64)
        seen, rate, start = 0, 0.0, time.perf_counter()
        tick = start
        for step, (images, labels) in zip(steps, self.loader.train(self.budget, number), strict=True):
            rate = self._set_rate(step)
            loss, hits = self._step(images, labels)
            total += loss * len(labels)
            correct += hits
            seen += len(labels)
            now = time.perf_counter()
            if now - tick > TICK:
                tick = now
                hooks.on_step(number, step - steps.start + 1, len(steps), seen / (now - start))
        device.synchronize(self.device)
        return total.item() / seen, correct.item() / seen, seen, rate

    def _set_rate(self, step: int) -> float:
        base = self.recipe.optimizer.lr
        rate = learning_rate(self.recipe.schedule, base, step, self.budget.per_pass, self.budget.total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One update of the weights: (mean loss of the batch, number of right answers), both still on the device."""
        with self._precision():
            logits = self.model(images)
            loss = functional.cross_entropy(logits, labels, label_smoothing=self.recipe.train.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.train.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.train.clip_norm)
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def _precision(self) -> AbstractContextManager[object]:
        enabled = self.recipe.train.precision == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    @torch.no_grad()
    def _evaluate(self) -> Evaluation:
        self.model.eval()
        total = torch.zeros((), device=self.device, dtype=torch.float64)
        predicted, confidence, true_probability = [], [], []
        for images, labels in self.loader.val():
            with self._precision():
                logits = self.model(images)
            log_probabilities = functional.log_softmax(logits.float(), dim=1)
            of_truth = log_probabilities.gather(1, labels[:, None]).squeeze(1)
            best = log_probabilities.max(1)
            total -= of_truth.sum()
            predicted.append(best.indices)
            confidence.append(best.values.exp())
            true_probability.append(of_truth.exp())
        classes = torch.cat(predicted).cpu()
        return Evaluation(
            loss=total.item() / len(classes),
            accuracy=int((classes == self.labels).sum()) / len(classes),
            predicted=classes.to(torch.int16),
            confidence=torch.cat(confidence).cpu(),
            true_probability=torch.cat(true_probability).cpu(),
        )

    def _save(self, result: Evaluation) -> None:
        """The best checkpoint first, then the last one, which is what a resumed run goes by."""
        progress, weights = self.progress, checkpoint.snapshot(self.model.state_dict())
        if result.accuracy > progress.best_accuracy:
            progress.best_epoch, progress.best_accuracy = progress.epoch, result.accuracy
            checkpoint.save(self.folder.best, self._with_predictions(weights, result))
        state = self._with_predictions(weights, result)
        state |= {"optimizer": checkpoint.snapshot(self.optimizer.state_dict()), "progress": vars(progress).copy()}
        checkpoint.save(self.folder.last, state)

    def _with_predictions(self, weights: dict[str, Tensor], result: Evaluation) -> dict[str, object]:
        return {
            "model": weights,
            "epoch": self.progress.epoch,
            "predicted": result.predicted,
            "confidence": result.confidence,
            "true_probability": result.true_probability,
        }

    def _finish(self) -> RunRecord:
        """Write predictions and record of the selected epoch; a diverged run has none."""
        progress = self.progress
        digest, selected = None, None
        if not progress.diverged:
            use_best = self.recipe.train.select == "best"
            selected = progress.best_epoch if use_best else progress.epoch
            chosen = checkpoint.load(self.folder.best if use_best else self.folder.last, torch.device("cpu"))
            if chosen is None or chosen["epoch"] != selected:
                raise RuntimeError(f"the checkpoint of epoch {selected} is missing from {self.folder.path}")
            digest = checkpoint.sha256(chosen["model"])
            self._write_predictions(chosen)
        self._drop_optimizer_state()
        record = self._record(selected, digest)
        self.folder.finish(record)
        return record

    def _drop_optimizer_state(self) -> None:
        """Nobody trains on from the last checkpoint of a finished run: keep its weights, once where it is the best."""
        saved = checkpoint.load(self.folder.last, torch.device("cpu"))
        if saved is None:
            raise RuntimeError(f"the last checkpoint is missing from {self.folder.path}")
        saved.pop("optimizer", None)
        checkpoint.save(self.folder.last, saved)
        if self.progress.best_epoch == self.progress.epoch:
            checkpoint.share(self.folder.last, self.folder.best)

    def _write_predictions(self, chosen: dict[str, Tensor]) -> None:
        arrays = {
            "index": self.loader.split.val.numpy(),
            "label": self.labels.numpy(),
            "predicted": chosen["predicted"].numpy(),
            "confidence": chosen["confidence"].numpy(),
            "true_probability": chosen["true_probability"].numpy(),
        }
        replace(self.folder.predictions, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    def _record(self, selected: int | None, digest: str | None) -> RunRecord:
        name, processor = device.describe(self.device)
        return RunRecord(
            status="diverged" if self.progress.diverged else "finished",
            key=self.task.run.key,
            recipe=self.recipe.canonical(),
            seed=self.task.run.seed,
            data_fingerprint=self.task.run.data_fingerprint,
            image=self.image,
            classes=self.classes,
            train_images=len(self.loader.split.train),
            val_images=len(self.loader.split.val),
            parameters=count_parameters(self.model),
            macs=count_macs(self.model, self.image),
            epochs=self.progress.epoch,
            selected_epoch=selected,
            best_epoch=self.progress.best_epoch,
            weights_sha256=digest,
            started=self.progress.started,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            train_seconds=self.progress.train_seconds,
            resumed=self.progress.resumed,
            environment=Environment(
                ablation=__version__,
                python=platform.python_version(),
                torch=torch.__version__,
                platform=platform.platform(),
                processor=processor,
                device=name,
                threads=self.task.threads,
            ),
        )
