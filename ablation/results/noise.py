"""The runs of `ablate noise`, and what each of them measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ablation.errors import UserError
from ablation.planning.noise import NoiseDesign
from ablation.registry import metric_names
from ablation.registry.catalog import suggestion
from ablation.registry.metrics import METRICS, OF_EPOCHS, Metric
from ablation.storage.record import RunRecord
from ablation.storage.store import Store
from ablation.storage.stored_run import finished_runs
from ablation.study.schema import Study


@dataclass(frozen=True)
class NoiseRuns:
    """The finished runs of a design: `values` of the metric, as it is analysed, in the order of the design.

    `images` are the validation images of each run; None where they differ or are not known. `devices` are those that
    the runs were trained on.
    """

    study: Study
    design: NoiseDesign
    metric: Metric
    values: tuple[float, ...]
    images: int | None
    devices: tuple[str, ...]


def load_noise(study: Study, design: NoiseDesign, store: Store, metric: str | None = None) -> NoiseRuns:
    """Read the runs of a design, all of which are finished; `metric` is the primary one of the study by default.

    Raises UserError where runs diverged, or do not report the metric.
    """
    found = finished_runs(design.runs, store)
    records = [found[run.key] for run in design.runs]
    lost = sum(record.status == "diverged" for record in records)
    if lost:
        what = f"{lost} of {len(records)} runs of {design.variant} diverged: its noise has no finite variance"
        raise UserError(what, "lower the learning rate, or choose a variant that trains: --variant NAME")
    name = chosen_metric(study, metric)
    values = tuple(value_of(record, name, study) for record in records)
    images = {record.val_images for record in records}
    devices = tuple(dict.fromkeys(record.environment.device for record in records))
    counted = images.pop() if len(images) == 1 else None
    return NoiseRuns(study, design, _described(name, study), values, counted, devices)


def chosen_metric(study: Study, metric: str | None) -> str:
    """The metric whose noise is measured. Raises UserError where no run of an image classifier reports it."""
    name = metric or str(study.analysis.resolved()["metric"])
    if study.task is None and name not in OF_EPOCHS:
        raise _unreported(name, OF_EPOCHS)
    return name


def value_of(record: RunRecord, name: str, study: Study) -> float:
    """The value of a metric, as it is analysed. Raises UserError where the run does not report it, or a finite one."""
    value = record.metrics.get(name, math.nan)
    if not math.isfinite(value):
        raise _unreported(name, [own for own, number in record.metrics.items() if math.isfinite(number)])
    return study.declared[name].read(value) if name in study.declared else value


def _unreported(name: str, known: list[str] | tuple[str, ...]) -> UserError:
    return UserError(
        f"training reports no finite {name!r}, whose noise is to be measured",
        f"choose another metric: --metric NAME; {suggestion(name, known)}",
    )


def _described(name: str, study: Study) -> Metric:
    """What is known of a metric; the primary one has the direction that the study gives it."""
    known = dict(METRICS) | {own: options.metric(own) for own, options in study.declared.items()}
    metric = known.get(name) or metric_names.guess(name)
    options = study.analysis.resolved()
    return replace(metric, direction=options["direction"]) if name == options["metric"] else metric
