"""A finished run on the test part: the checkpoint chosen on validation, evaluated as the training loop evaluates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ablation.data import sources
from ablation.data.sources import ImageSet
from ablation.planning.run import Run
from ablation.storage.record import RunRecord
from ablation.storage.store import RunFolder
from ablation.storage.stored_run import Identity, StoredRun, check_weights, read_run
from ablation.study.schema import Recipe
from ablation.training import checkpoint, device, precision
from ablation.training.data import Input, View
from ablation.training.evaluation import Evaluation, evaluate
from ablation.training.placement import place
from ablation.training.progress import ticking
from ablation.training.sizes import build_network, network_input
from ablation.worker.protocol import Evaluate, Evaluated


def evaluate_run(job: Evaluate, beat: Callable[[], None]) -> Evaluated:
    """Evaluate one run on the test part; its folder stays as it is. `beat` is called now and then.

    Raises UnreadableError or RuntimeError where the checkpoint is not the one of the run's record.
    """
    folder, test = RunFolder(job.folder), sources.load(job.prepared)
    stored = read_run(folder, Identity.of(job.run), every_epoch=False)
    if stored.record is None:
        raise RuntimeError(stored.reason or f"{folder.path} is not finished")
    where = device.open_device(job.device)
    precision.check_training(job.run.image_recipe.train.precision, "none", where)
    precision.set_float32_arithmetic(job.run.image_recipe.train.precision)
    result = evaluate_on(test, stored, job.run, where, beat)
    arrays = {
        "index": torch.arange(len(test.labels)).numpy(),
        "label": test.labels.numpy(),
        "predicted": result.predicted.numpy(),
        "confidence": result.confidence.numpy(),
        "true_probability": result.true_probability.numpy(),
    }
    return Evaluated(job.run, result.loss, result.accuracy, arrays)


def evaluate_on(
    images: ImageSet, stored: StoredRun, run: Run, where: torch.device, beat: Callable[[], None] = lambda: None
) -> Evaluation:
    """What the selected network of a finished run makes of `images`, in their order.

    They are normalised as the run normalised its own: its checkpoint keeps the mean and standard deviation of the
    images that it was trained on.
    """
    record, recipe = stored.record, run.image_recipe
    assert record is not None
    assert record.image is not None
    saved = _selected(stored.folder, record, recipe)
    network = build_network(recipe, record.image, len(record.classes), run.model_code).network
    network.load_state_dict(saved["model"])
    device.place(network, where)
    mean, deviation = saved["statistics"]
    channels, side = network_input(recipe, record.image)
    view = View(Input(channels, side), (mean, deviation), where)
    batches = view.batches(place(images, where), torch.arange(len(images.labels)), max(images.images.shape[2:]))
    return evaluate(network, ticking(batches, lambda _: beat()), recipe.train.precision, where)


def _selected(folder: RunFolder, record: RunRecord, recipe: Recipe) -> dict[str, Any]:
    """The checkpoint of the selected epoch, held against the record."""
    path = folder.best if recipe.train.select == "best" else folder.last
    check_weights(folder, record, path.name)
    saved = checkpoint.load(path)
    if saved is None or saved["epoch"] != record.selected_epoch:
        raise RuntimeError(f"{path} does not hold epoch {record.selected_epoch}, which was selected")
    if checkpoint.sha256(saved["model"]) != record.weights_sha256:
        raise RuntimeError(f"the weights in {path} are not those that the run ended with")
    return saved
