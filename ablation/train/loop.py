"""The training of one run: epochs, evaluation, checkpoints, resuming, and the record at the end."""

from __future__ import annotations

import math
import platform
import time
from datetime import UTC, datetime

import numpy as np
import torch
from torch import Tensor, nn

from ablation import __version__
from ablation.protocol import Task
from ablation.record import Environment, EpochRow, RunRecord
from ablation.stages import ResolvedStage
from ablation.store import RunFolder, replace, share
from ablation.train import checkpoint, compiling, device, finetune, sources
from ablation.train.budget import make_budget
from ablation.train.checks import self_checks
from ablation.train.data import Loader
from ablation.train.evaluation import Evaluation, evaluate, precision_of
from ablation.train.models import count_macs, count_parameters
from ablation.train.optim import build_optimizer, learning_rate, warmup_steps
from ablation.train.progress import Hooks, Progress, ticking, trouble
from ablation.train.sizes import input_shape
from ablation.train.streams import foreign_state, restore_foreign, seed_layers
from ablation.train.targets import Mixup, Targets


def train(task: Task, hooks: Hooks) -> RunRecord | None:
    """Train a run to its end, from its last checkpoint where there is one; None when asked to stop before.

    The result depends on nothing but the run, the kind of device and the number of threads: it is the same, to the bit,
    however often the run was interrupted.
    """
    training = Training(task)
    return training.until_end(hooks)


class Training:
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
        start = finetune.start(task.run, self.image, self.classes)
        start.classifier.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classifier, self.forward = compiling.for_training(
            start.classifier, task.run, self.image, len(self.classes)
        )
        self.model = self.classifier.network
        self.loader = Loader(images, recipe.data, recipe.train, task.run.seed, self.device, start.input)
        self.labels = images.labels[self.loader.split.val]
        self.data_summary = images.summary
        self.per_class = [
            tuple(torch.bincount(images.labels[part], minlength=len(self.classes)).tolist())
            for part in (self.loader.split.train, self.loader.split.val)
        ]
        self.budget = make_budget(recipe.train, len(self.loader.split.train), self.loader.split.available)
        self.stages = recipe.stages(self.budget.rows)
        self.progress = Progress()
        self._enter(self.stages[0])
        self.checks = self_checks(self.model, self.loader, images)

    def _enter(self, stage: ResolvedStage) -> None:
        """Freeze what the stage freezes, and give it an optimiser of its own."""
        self.stage = stage
        finetune.freeze(self.classifier, stage.freeze)
        self.trained = finetune.trained_parameters(self.classifier)
        groups = finetune.parameter_groups(self.classifier, stage.optimizer.head_lr_multiplier)
        self.optimizer = build_optimizer(groups, stage.optimizer)

    def _stage_of(self, epoch: int) -> ResolvedStage:
        return next(stage for stage in self.stages if epoch <= stage.last)

    def _go_on_to(self, stage: ResolvedStage) -> None:
        """Begin a later stage from the weights that the last checkpoint keeps for it, resumed or not."""
        saved = checkpoint.load(self.folder.last)
        if saved is None or saved["epoch"] != self.progress.epoch:
            raise RuntimeError(f"the last checkpoint is missing from {self.folder.path}")
        self.model.load_state_dict(saved.get("start", saved["model"]))
        self._enter(stage)

    def until_end(self, hooks: Hooks) -> RunRecord | None:
        self.folder.open({"recipe": self.recipe.canonical(), "seed": self.task.run.seed, "key": self.task.run.key})
        self._resume(hooks)
        while not self._over():
            if hooks.should_stop():
                return None
            hooks.on_epoch(self._epoch(hooks), self.budget.rows)
        return self._finish()

    def _over(self) -> bool:
        """Whether the budget is spent, the loss is no number, or validation has not got better for too long."""
        progress, patience = self.progress, self.recipe.train.patience
        waited = progress.epoch - (progress.best_epoch or 0)
        return progress.epoch >= self.budget.rows or progress.diverged or (patience is not None and waited >= patience)

    def _resume(self, hooks: Hooks) -> None:
        """Go on from the last checkpoint; where it, or what belongs to it, cannot be trusted, begin anew."""
        begun, saved = self.folder.last.exists(), checkpoint.load(self.folder.last)
        if saved:
            fault = trouble(saved, self.folder, self.task.run.key)
        else:
            fault = "its checkpoint cannot be read" if begun else ""
        if fault:
            hooks.on_notice(f"{fault}: set aside, the run begins anew")
            self.folder.start_over()
        elif saved:
            self.model.load_state_dict(saved["model"])
            self._enter(self._stage_of(saved["progress"]["epoch"]))
            if "optimizer" in saved:  # a run that was about to finish has done without it already
                self.optimizer.load_state_dict(saved["optimizer"])
            if "generators" in saved:
                restore_foreign(saved["generators"])
            self.progress = Progress(**saved["progress"])
            self.progress.resumed += 1
        self.folder.keep_epochs(self.progress.epoch)

    def _epoch(self, hooks: Hooks) -> EpochRow:
        """One row of the budget: train, evaluate, write the row, save. What is written last makes it count."""
        number = self.progress.epoch + 1
        if self._stage_of(number) != self.stage:
            self._go_on_to(self._stage_of(number))
        self.memory.reset()
        start = time.perf_counter()
        loss, accuracy, seen, rate = self.train_pass(number, hooks)
        trained = time.perf_counter() - start
        steps = len(self.budget.steps(number))
        held_out = ticking(self.loader.val(), lambda _: hooks.on_step(number, steps, steps, seen / trained))
        result = evaluate(self.model, held_out, self.recipe.train.precision, self.device)
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
            stage=self.stage.number,
        )
        self.progress.epoch = number
        self.progress.train_seconds += trained
        self.progress.val_losses.append(result.loss)
        self.progress.diverged = not (math.isfinite(loss) and math.isfinite(result.loss))
        self.folder.append(row)
        self._save(result)
        return row

    def train_pass(self, number: int, hooks: Hooks) -> tuple[float, float, int, float]:
        """(mean loss, accuracy, images seen, last learning rate). The device is waited for only at the end."""
        finetune.train_mode(self.classifier, self.stage.freeze)
        seed_layers(self.task.run.seed, "layers", number)
        steps = self.budget.steps(number)
        total = torch.zeros((), device=self.device, dtype=torch.float64)
        correct = torch.zeros((), device=self.device, dtype=torch.float64)
        mixup = Mixup(self.recipe.train.mixup, self.task.run.seed, number, self.device)
        seen, rate, start = 0, 0.0, time.perf_counter()

        def tell(step: int) -> None:
            hooks.on_step(number, step, len(steps), seen / (time.perf_counter() - start))

        planned = zip(self._rates(steps), self.loader.train(self.budget, number), strict=True)
        for rate, (images, labels) in ticking(planned, tell):
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["lr_multiplier"]
            loss, hits = self._step(*mixup(images, labels))
            total.add_(loss, alpha=len(labels))
            correct.add_(hits)
            seen += len(labels)
        device.synchronize(self.device)
        return total.item() / seen, correct.item() / seen, seen, rate

    def _rates(self, steps: range) -> list[float]:
        """The learning rates of the steps of a row; the schedule of each stage begins anew."""
        stage, budget = self.stage, self.budget
        first, end = budget.steps(stage.first).start, budget.steps(stage.last).stop
        warm = warmup_steps(stage.schedule, budget.per_epoch) // budget.every  # epochs that end with it or before
        losses = self.progress.val_losses[stage.first - 1 + warm :]
        return [
            learning_rate(stage.schedule, stage.optimizer.lr, step - first, budget.per_epoch, end - first, losses)
            for step in steps
        ]

    def _step(self, images: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        """One update of the weights: (mean loss of the batch, number of right answers), both still on the device."""
        with precision_of(self.recipe.train.precision, self.device):
            logits = self.forward(images)
            loss = targets.loss(logits, self.recipe.train.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.train.clip_norm:
            nn.utils.clip_grad_norm_(self.trained, self.recipe.train.clip_norm)
        self.optimizer.step()
        return loss.detach(), targets.hits(logits.detach())

    def _save(self, result: Evaluation) -> None:
        """The best checkpoint first, then the last one, which is what a resumed run goes by."""
        progress, weights = self.progress, checkpoint.snapshot(self.model.state_dict())
        if result.accuracy > progress.best_accuracy:
            progress.best_epoch, progress.best_accuracy = progress.epoch, result.accuracy
            checkpoint.save(self.folder.best, self._with_predictions(weights, result))
        state = self._with_predictions(weights, result)
        state |= {"optimizer": checkpoint.snapshot(self.optimizer.state_dict()), "progress": vars(progress).copy()}
        state |= self._start_of_next_stage()
        if self.task.run.code:
            state["generators"] = foreign_state()
        checkpoint.save(self.folder.last, state)

    def _start_of_next_stage(self) -> dict[str, object]:
        """At the end of a stage, the weights that the next one starts from, where they are not the last ones.

        They stand in the last checkpoint itself: the best one may be replaced before the next epoch counts.
        """
        last = self.progress.epoch == self.stage.last
        following = next((stage for stage in self.stages if last and stage.number == self.stage.number + 1), None)
        if following is None or following.start == "last" or self.progress.best_epoch in (None, self.progress.epoch):
            return {}
        best = checkpoint.load(self.folder.best)
        if best is None or best["epoch"] != self.progress.best_epoch:
            raise RuntimeError(f"the checkpoint of epoch {self.progress.best_epoch} is missing from {self.folder.path}")
        return {"start": best["model"]}

    def _with_predictions(self, weights: dict[str, Tensor], result: Evaluation) -> dict[str, object]:
        return {
            "key": self.task.run.key,
            "model": weights,
            "classes": list(self.classes),
            "statistics": list(self.loader.statistics),
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
            chosen = checkpoint.load(self.folder.best if use_best else self.folder.last)
            if chosen is None or chosen["epoch"] != selected:
                raise RuntimeError(f"the checkpoint of epoch {selected} is missing from {self.folder.path}")
            digest = checkpoint.sha256(chosen["model"])
            self._write_predictions(chosen)
        self._drop_optimizer_state()
        return self.folder.finish(self._record(selected, digest))

    def _drop_optimizer_state(self) -> None:
        """Nobody trains on from the last checkpoint of a finished run: keep its weights, once where it is the best."""
        saved = checkpoint.load(self.folder.last)
        if saved is None:
            raise RuntimeError(f"the last checkpoint is missing from {self.folder.path}")
        for key in ("optimizer", "start", "generators"):
            saved.pop(key, None)
        checkpoint.save(self.folder.last, saved)
        if self.progress.best_epoch == self.progress.epoch:
            share(self.folder.last, self.folder.best)

    def _write_predictions(self, chosen: dict[str, Tensor]) -> None:
        arrays = {
            "index": self.loader.split.val.numpy(),
            "label": self.labels.numpy(),
            "predicted": chosen["predicted"].numpy(),
            "confidence": chosen["confidence"].numpy(),
            "true_probability": chosen["true_probability"].numpy(),
        }
        replace(self.folder.predictions, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    def _trainable_parameters(self) -> int:
        """Of those that are trained in any stage."""
        return finetune.count_trainable(self.classifier, all(stage.freeze == "features" for stage in self.stages))

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
            trainable_parameters=self._trainable_parameters(),
            macs=count_macs(self.model, input_shape(self.recipe, self.image)),
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
                torch=str(torch.__version__),  # a class of torch's own, which would be imported where this is unpickled
                platform=platform.platform(),
                processor=processor,
                device=name,
                threads=self.task.threads,
                streamed=self.loader.placed.streamed,
            ),
            checks=self.checks,
            host=platform.node(),
            data_summary=self.data_summary,
            train_per_class=self.per_class[0],
            val_per_class=self.per_class[1],
        )
