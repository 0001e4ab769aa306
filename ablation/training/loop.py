"""The training of one run: epochs, evaluation, checkpoints, resuming, and the record at the end."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ablation._util.files import replace
from ablation.data import sources
from ablation.planning.job import Job
from ablation.registry.metrics import OF_EPOCHS
from ablation.rng import foreign_state, restore_foreign, seed_layers
from ablation.storage.record import Environment, EpochRow, RunRecord
from ablation.storage.store import RunFolder, share
from ablation.study.stages import ResolvedStage
from ablation.tasks.hooks import Hooks
from ablation.training import checkpoint, compiling, components, determinism, device, finetune, precision
from ablation.training.budget import make_budget
from ablation.training.checks import FEW, self_checks
from ablation.training.data import Loader
from ablation.training.evaluation import Evaluation, evaluate
from ablation.training.models.counting import count_macs, count_parameters
from ablation.training.progress import Progress, integrity_error, ticking
from ablation.training.saving import Saving
from ablation.training.sizes import input_shape
from ablation.training.step import Step
from ablation.training.targets import Mixup
from ablation.versions import __version__

PREDICTIONS = ("predicted", "confidence", "true_probability", "probabilities")
"""The arrays of an evaluation that are stored; an earlier version kept no probabilities of all classes."""


def train(job: Job, hooks: Hooks) -> RunRecord | None:
    """Train a run to its end, from its last checkpoint where there is one; None when asked to stop before.

    The result depends on nothing but the run, the kind of device and the number of threads: it is the same, to the bit,
    however often the run was interrupted.
    """
    training = Training(job)
    return training.until_end(hooks)


class Training:
    """One run in memory."""

    def __init__(self, job: Job) -> None:
        recipe = job.run.image_recipe
        self.job = job
        self.recipe = recipe
        self.folder = RunFolder(job.folder)
        self.device = device.open_device(job.device)
        precision.check_training(recipe.train.precision, recipe.train.compile, self.device)
        precision.set_float32_arithmetic(recipe.train.precision)
        self.autocast = precision.autocast(recipe.train.precision, self.device)
        self.memory = device.MemoryMeter(self.device)
        images = sources.load(job.prepared)
        self.classes = images.classes
        channels, height, width = images.images.shape[1:]
        self.image = (int(channels), int(height), int(width))
        start = finetune.start(job.run, self.image, self.classes)
        device.place(start.classifier.network, self.device)
        self.classifier, self.forward = compiling.for_training(start.classifier, job.run, self.image, len(self.classes))
        self.model = self.classifier.network
        given = start.input
        del start  # a network that was not needed, where a compiled one is kept
        self.memory.leave_out_others(self.model)
        data = components.bound_data(recipe.data, job.run.codes)
        self.loader = Loader(images, data, recipe.train, job.run.seeds, self.device, given)
        self.labels = images.labels[self.loader.split.val]
        self.data_summary = images.summary
        self.per_class = [
            tuple(torch.bincount(images.labels[part], minlength=len(self.classes)).tolist())
            for part in (self.loader.split.train, self.loader.split.val)
        ]
        self.budget = make_budget(recipe.train, len(self.loader.split.train), self.loader.split.available)
        self.stages = recipe.stages(self.budget.rows)
        self.progress = Progress()
        self.saving = Saving()
        self._enter(self.stages[0])
        with self._naming_layers():
            self.checks = self_checks(self.model, self.loader, images)

    def _enter(self, stage: ResolvedStage) -> None:
        """Freeze what the stage freezes, and give it an optimizer and a loss scaler of its own."""
        self.stage = stage
        finetune.freeze(self.classifier, stage.freeze)
        self.trained = finetune.trained_parameters(self.classifier)
        groups = finetune.parameter_groups(self.classifier, stage.optimizer.head_lr_multiplier)
        fused = device.has_fused_optimizers(self.device)
        codes, optimizer = self.job.run.codes, stage.optimizer.name
        self.optimizer = components.bound(stage.optimizer, codes).build(groups, fused=fused)
        self.schedule = components.bound(stage.schedule, codes)
        self.scaler = precision.loss_scaler(self.recipe.train.precision, self.device)
        self.step = Step(
            self.forward,
            self.trained,
            self.optimizer,
            self.scaler,
            self.autocast,
            self.recipe.train,
            self.device,
            recordable=self.recipe.train.compile == "none" and not codes.keys() & {self.recipe.model.name, optimizer},
        )

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
        self.folder.open({"recipe": self.recipe.canonical(), **self.job.run.identity})
        self._resume(hooks)
        while not self._over():
            if hooks.should_stop():
                self._save()
                return None
            with self._naming_layers():
                row = self._epoch(hooks)
            hooks.on_epoch(row, self.budget.rows)
        return self._finish()

    @contextmanager
    def _naming_layers(self) -> Iterator[None]:
        """Raise UserError that names the layer where torch refuses to run one in deterministic mode."""
        try:
            yield
        except RuntimeError as error:
            if not determinism.refused(error):
                raise
            images, labels = (part[:FEW] for part in next(iter(self.loader.val())))
            again = partial(determinism.gradient_pass, self.model, images, labels)
            raise determinism.explain(error, self.model, self.recipe.model.name, again) from error

    def _over(self) -> bool:
        """Whether the budget is spent, the loss is no number, or validation has not got better for too long."""
        progress, patience = self.progress, self.recipe.train.patience
        waited = progress.epoch - (progress.best_epoch or 0)
        return progress.epoch >= self.budget.rows or progress.diverged or (patience is not None and waited >= patience)

    def _resume(self, hooks: Hooks) -> None:
        """Go on from the last checkpoint; where it, or what belongs to it, cannot be trusted, start again."""
        begun, saved = self.folder.last.exists(), checkpoint.load(self.folder.last)
        if saved:
            fault = integrity_error(saved, self.folder, self.job.run.key)
        else:
            fault = "its checkpoint cannot be read" if begun else ""
        if fault:
            hooks.on_notice(f"{fault}: set aside, the run starts again")
            self.folder.start_over()
        elif saved:
            self.model.load_state_dict(saved["model"])
            self._enter(self._stage_of(saved["progress"]["epoch"]))
            if "optimizer" in saved:  # a run that was about to finish has done without it already
                checkpoint.load_optimizer(self.optimizer, saved["optimizer"])
            if "scaler" in saved:
                self.scaler.load_state_dict(saved["scaler"])
            if "generators" in saved:
                restore_foreign(saved["generators"])
            self.progress = Progress(**saved["progress"])
            self.progress.resumed += 1
        self.folder.keep_epochs(self.progress.epoch)
        self._note_setting(hooks)

    def _note_setting(self, hooks: Hooks) -> None:
        """Keep what this process trains with; where epochs were trained with something else, the run says so."""
        threads, settings = self.job.threads, self.progress.settings
        name = device.describe(self.job.device)[0]
        setting = f"{name}, {threads} thread{'s' * (threads > 1)}, PyTorch {torch.__version__}"
        if setting not in settings:
            settings.append(setting)
        if len(settings) > 1:
            self.checks["mixed_settings"] = f"epochs were trained on {'; then on '.join(settings)}"
        if len(settings) > 1 and settings[-1] == setting:
            hooks.on_notice(f"{self.checks['mixed_settings']}: the run cannot be reproduced to the bit")

    def _epoch(self, hooks: Hooks) -> EpochRow:
        """One row of the budget: train, evaluate, write the row, save where that is due."""
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
            metrics=dict(zip(OF_EPOCHS, (loss, accuracy, result.loss, result.accuracy), strict=True)),
            seconds=trained,
            eval_seconds=time.perf_counter() - start - trained,
            images_per_second=seen / trained,
            peak_memory_mb=self.memory.peak(),
            stage=self.stage.number,
            skipped_steps=int(self.step.skipped),
        )
        self.progress.epoch = number
        self.progress.train_seconds += trained
        self.progress.val_losses.append(result.loss)
        self.progress.diverged = not (math.isfinite(loss) and math.isfinite(result.loss))
        self.folder.append(row)
        self._keep(result)
        if self._over() or number == self.stage.last or self.saving.due():
            self._save()
        self._note_memory(hooks)
        return row

    def _note_memory(self, hooks: Hooks) -> None:
        """Say once that the memory of the device is nearly full."""
        text = device.nearly_full(self.device)
        if text and "memory_nearly_full" not in self.checks:
            self.checks["memory_nearly_full"] = text
            hooks.on_notice(f"{text}, so that the run may not repeat to the bit: use fewer workers (--per-device)")

    def train_pass(self, number: int, hooks: Hooks) -> tuple[float, float, int, float]:
        """(mean loss, accuracy, images seen, last learning rate). The device is waited for only at the end."""
        finetune.train_mode(self.classifier, self.stage.freeze)
        seed_layers(self.job.run.seeds, "layers", number)
        steps = self.budget.steps(number)
        self.step.start()
        mixup = Mixup(self.recipe.train.mixup, self.job.run.seeds, number, self.device)
        seen, rate, start = 0, 0.0, time.perf_counter()

        def report(step: int) -> None:
            hooks.on_step(number, step, len(steps), seen / (time.perf_counter() - start))

        planned = zip(self._rates(steps), self.loader.train(self.budget, number), strict=True)
        for rate, (images, labels) in ticking(planned, report):
            self.step(*mixup(images, labels), rate)
            seen += len(labels)
        device.synchronize(self.device)
        return self.step.loss.item() / seen, self.step.hits.item() / seen, seen, rate

    def _rates(self, steps: range) -> list[float]:
        """The learning rates of the steps of a row; the schedule starts again in each stage."""
        stage, budget = self.stage, self.budget
        first, end = budget.steps(stage.first).start, budget.steps(stage.last).stop
        warm = self.schedule.warmup_steps(budget.per_epoch) // budget.every  # epochs that end with it or before
        losses = self.progress.val_losses[stage.first - 1 + warm :]
        base, per_epoch, total = stage.optimizer.lr, budget.per_epoch, end - first
        return [self.schedule.rate(base, step - first, per_epoch, total, losses) for step in steps]

    def _keep(self, result: Evaluation) -> None:
        """Keep what the checkpoints of this epoch need until they are saved."""
        progress = self.progress
        if result.accuracy > progress.best_accuracy:
            progress.best_epoch, progress.best_accuracy = progress.epoch, result.accuracy
            self.saving.best = self._with_predictions(checkpoint.snapshot(self.model.state_dict()), result)
        self.saving.result = result

    def _save(self) -> None:
        """The best checkpoint first, then the last one, which is what a resumed run goes by."""
        saving = self.saving
        if saving.result is None:
            return
        with saving.timed():
            best = saving.best
            if best is not None:
                checkpoint.save(self.folder.best, best)
            if best is not None and best["epoch"] == self.progress.epoch:
                state = dict(best)
            else:
                state = self._with_predictions(checkpoint.snapshot(self.model.state_dict()), saving.result)
            state["progress"] = vars(self.progress).copy()
            if not self._over():
                state |= self._what_training_needs()
            checkpoint.save(self.folder.last, state)
        saving.best = saving.result = None

    def _what_training_needs(self) -> dict[str, object]:
        """What a resumed run needs besides its weights, to train on as if it had not been interrupted."""
        state: dict[str, object] = {"optimizer": checkpoint.snapshot(self.optimizer.state_dict())}
        if self.scaler.is_enabled():
            state["scaler"] = self.scaler.state_dict()
        if self.job.run.codes:
            state["generators"] = foreign_state()
        return state | self._start_of_next_stage()

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
            "key": self.job.run.key,
            "model": weights,
            "classes": list(self.classes),
            "statistics": list(self.loader.statistics),
            "epoch": self.progress.epoch,
            "predicted": result.predicted,
            "confidence": result.confidence,
            "true_probability": result.true_probability,
            "probabilities": result.probabilities,
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
        self._drop_probabilities()
        return self.folder.finish(self._record(selected, digest))

    def _drop_probabilities(self) -> None:
        """The predictions have them: keep the weights of the last epoch, once where it is the best."""
        saved = checkpoint.load(self.folder.last)
        if saved is None:
            raise RuntimeError(f"the last checkpoint is missing from {self.folder.path}")
        for key in ("optimizer", "scaler", "start", "generators", "probabilities"):  # an older version saved them all
            saved.pop(key, None)
        checkpoint.save(self.folder.last, saved)
        if self.progress.best_epoch == self.progress.epoch:
            share(self.folder.last, self.folder.best)

    def _write_predictions(self, chosen: dict[str, Tensor]) -> None:
        arrays = {
            "index": self.loader.split.val.numpy(),
            "label": self.labels.numpy(),
            **{name: chosen[name].numpy() for name in PREDICTIONS if name in chosen},
        }
        replace(self.folder.predictions, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    def _trainable_parameters(self) -> int:
        """Of those that are trained in any stage."""
        return finetune.count_trainable(self.classifier, all(stage.freeze == "features" for stage in self.stages))

    def _record(self, selected: int | None, digest: str | None) -> RunRecord:
        name, processor = device.describe(self.job.device)
        return RunRecord(
            status="diverged" if self.progress.diverged else "finished",
            key=self.job.run.key,
            recipe=self.recipe.canonical(),
            seed=self.job.run.seed,
            data_fingerprint=self.job.run.data_fingerprint,
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
            metrics={} if selected is None else self.folder.epoch(selected).metrics,
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
                threads=self.job.threads,
                **device.recorded(self.device),
                streamed=self.loader.placed.streamed,
            ),
            checks=self.checks,
            host=platform.node(),
            data_summary=self.data_summary,
            train_per_class=self.per_class[0],
            val_per_class=self.per_class[1],
            streams=self.job.run.streams,
        )
