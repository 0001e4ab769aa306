"""The setup of a study, and the recipe of its baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import ablation.report.captions as captions
from ablation._util import formatting
from ablation._util.formatting import count
from ablation._util.language import commas, current, tr, tr_noop, trn
from ablation.analysis import Analysis, Setup
from ablation.data import summary as data_summary
from ablation.data.summary import DataSummary
from ablation.report.blocks import Block, Columns, Pairs, Paragraph
from ablation.report.context import Context, Section
from ablation.storage.manifest import Manifest
from ablation.storage.record import Environment

PRECISIONS = {
    "fp32": "fp32",
    "tf32": tr_noop("fp32, with TF32 in matrix products and convolutions"),
    "bf16": tr_noop("bf16 (autocast)"),
    "fp16": tr_noop("fp16 (autocast, with loss scaling)"),
}
_SOURCES = (tr_noop("standard output"), tr_noop("nowhere"))
"""What metrics can be read from, as records have it, beside names of files and programs."""


def _setup(context: Context) -> Iterator[Block]:
    """Data, training, hardware and software, as far as they are known."""
    analysis, baseline = context.analysis, context.study.baseline.recipe
    if not context.recipe:
        return
    if context.study.of_images:
        data, training = tuple(_data(analysis.setup, baseline)), tuple(_training(analysis, context.study))
        parts = [(tr("Data"), data), (tr("Training"), training)]
    else:
        parts = [(tr("Training"), tuple(_task(analysis, context)))]
    if analysis.setup.environments:
        parts.append((tr("Hardware and software"), tuple(_environments(analysis))))
    yield Columns(tuple((title, (Pairs(rows),)) for title, rows in parts))
    if not analysis.setup.environments:
        yield Paragraph(tr("Hardware and versions are known once a run is done."), "none")


def _data(setup: Setup, recipe: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    data: list[tuple[str, str]] = [(tr("Data set"), str(recipe["data"]["name"]))]
    if setup.image:
        channels, height, width = setup.image
        size = trn(
            "{height} \u00d7 {width} pixels, {n:,} channel",
            "{height} \u00d7 {width} pixels, {n:,} channels",
            channels,
            height=height,
            width=width,
        )
        data.append((tr("Images"), size))
        data.append((tr("Classes"), _classes(setup.classes)))
        data.append((tr("Training images"), f"{setup.train_images:,}"))
        data.append((tr("Validation images"), f"{setup.val_images:,}"))
    if setup.data_summary:
        data += _files(setup.data_summary, setup.classes)
    data.append((tr("Augmentation"), formatting.value(recipe["data"]["augment"])))
    return data


def _files(summary: DataSummary, classes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """What was read of an image folder; what was skipped or converted only where anything was."""
    rows = (
        (tr("Files read"), data_summary.read_line(summary, classes)),
        (tr("Files skipped"), data_summary.skipped_line(summary)),
        (tr("Pixels converted"), data_summary.converted_line(summary)),
    )
    return ((title, text) for title, text in rows if text)


def _classes(names: tuple[str, ...]) -> str:
    shown = commas([*names[:12], "\u2026"] if len(names) > 12 else names)
    return f"{len(names):,}{current().colon}{shown}"


def _training(analysis: Analysis, manifest: Manifest) -> Iterator[tuple[str, str]]:
    recipe, baseline = manifest.baseline.recipe, analysis.baseline
    size = (
        tr(" ({parameters} parameters, {macs} MACs)", parameters=count(baseline.parameters), macs=count(baseline.macs))
        if baseline.parameters
        else ""
    )
    batches = formatting.value(recipe["train"]["batch_size"])
    yield tr("Model"), f"{recipe['model']['name']}{size}"
    yield tr("Budget"), tr("{budget}, batches of {batches}", budget=analysis.setup.budget, batches=batches)
    yield tr("Precision"), tr(PRECISIONS[recipe["train"]["precision"]])
    yield tr("Optimizer"), formatting.value(recipe["optimizer"])
    yield tr("Schedule"), formatting.value(recipe["schedule"])
    yield tr("Primary metric"), captions.metric(analysis)
    yield tr("Seeds"), captions.seeds(analysis.facts.seeds)


def _task(analysis: Analysis, context: Context) -> Iterator[tuple[str, str]]:
    """What trained the runs of a function or a command."""
    task = context.study.task
    kind = str(task["kind"])
    yield tr("Function") if kind == "function" else tr("Command"), str(task[kind])
    sources = {
        record.checks["metrics_from"] for record in context.results.records.values() if "metrics_from" in record.checks
    }
    if sources:
        yield tr("Metrics read from"), commas([tr(source) for source in sorted(sources)])
    yield tr("Primary metric"), analysis.measure.name
    yield tr("Result of a run"), _result(returned=kind == "function", best="by" in task)
    yield tr("Seeds"), captions.seeds(analysis.facts.seeds)


def _result(*, returned: bool, best: bool) -> str:
    """What counts of the metrics that a run of a function or a command reported."""
    if returned and best:
        return tr("what it returned, or else its best row by the primary metric")
    if returned:
        return tr("what it returned, or else the last value of each metric")
    return tr("its best row by the primary metric") if best else tr("the last value of each metric")


def _environments(analysis: Analysis) -> Iterator[tuple[str, str]]:
    found = analysis.setup.environments
    for environment, runs in found:
        share = trn(" ({n:,} run)", " ({n:,} runs)", runs) if len(found) > 1 else ""
        yield tr("Hardware"), hardware(environment) + share
        yield tr("Software"), software(environment)
    if analysis.setup.started and analysis.setup.finished:
        start, end = _when(analysis.setup.started), _when(analysis.setup.finished)
        yield tr("Trained"), tr("{start} to {end} UTC", start=start, end=end)
    if analysis.setup.fingerprints:
        yield tr("Data fingerprint"), commas([print_[:16] for print_ in analysis.setup.fingerprints])


def _when(stamp: str) -> str:
    """A time stamp of a record (ISO 8601), to the minute."""
    return datetime.fromisoformat(stamp).astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def hardware(environment: Environment) -> str:
    """Device, processor and threads."""
    capability = environment.capability
    device = tr(" (compute capability {capability})", capability=capability) if capability else ""
    parts = [
        f"{environment.device}{device}",
        environment.processor,
        trn("{n:,} thread a run", "{n:,} threads a run", environment.threads),
    ]
    parts += [tr("images copied from the host block by block")] if environment.streamed else []
    return " \u00b7 ".join(parts)


def software(environment: Environment) -> str:
    """Versions and platform."""
    versions = [f"ablation-lab {environment.ablation}", f"Python {environment.python}"]
    versions += [f"PyTorch {environment.torch}"] if environment.torch else []
    versions += [f"cuDNN {environment.cudnn}"] if environment.cudnn else []
    versions += [tr("NVIDIA driver {version}", version=environment.driver)] if environment.driver else []
    return commas([*versions, environment.platform])


def _recipe(context: Context) -> Iterator[Block]:
    """The options of the baseline by section, the name of each part first."""
    images = context.study.of_images
    parts: dict[str, list[tuple[str, str]]] = {}
    for path, value in context.analysis.setup.recipe:
        part, _, key = path.partition(".") if images else (tr("Hyperparameters"), "", path)
        parts.setdefault(part, []).insert(0 if key == "name" else len(parts.get(part, ())), (key, value))
    if not parts:
        return
    yield Paragraph(
        tr("Every hyperparameter of the baseline, the defaults filled in; each variant differs from it by its change.")
        if images
        else tr("The hyperparameters in the study file; each variant differs from the baseline by its change.")
    )
    yield Columns(tuple((part, (Pairs(tuple(rows), options=True),)) for part, rows in parts.items()), "recipe")


SETUP = Section("setup", tr_noop("Setup"), 140, _setup)
RECIPE = Section("recipe", tr_noop("Baseline recipe"), 145, _recipe, appendix=True)
