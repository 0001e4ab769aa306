"""The setup of a study, and the recipe of its baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import ablation.report.captions as captions
from ablation._util import formatting
from ablation._util.formatting import count, plural
from ablation.analysis import Analysis, Setup
from ablation.data import summary as data_summary
from ablation.data.summary import DataSummary
from ablation.report.blocks import Block, Columns, Pairs, Paragraph
from ablation.report.context import Context, Section
from ablation.storage.manifest import Manifest
from ablation.storage.record import Environment

PRECISIONS = {
    "fp32": "fp32",
    "tf32": "fp32, with TF32 in matrix products and convolutions",
    "bf16": "bf16 (autocast)",
    "fp16": "fp16 (autocast, with loss scaling)",
}


def _setup(context: Context) -> Iterator[Block]:
    """Data, training, hardware and software, as far as they are known."""
    analysis, baseline = context.analysis, context.study.baseline.recipe
    if not context.recipe:
        return
    if context.study.of_images:
        data, training = tuple(_data(analysis.setup, baseline)), tuple(_training(analysis, context.study))
        parts = [("Data", data), ("Training", training)]
    else:
        parts = [("Training", tuple(_task(analysis, context)))]
    if analysis.setup.environments:
        parts.append(("Hardware and software", tuple(_environments(analysis))))
    yield Columns(tuple((title, (Pairs(rows),)) for title, rows in parts))
    if not analysis.setup.environments:
        yield Paragraph("Hardware and versions are known once a run is done.", "none")


def _data(setup: Setup, recipe: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    data: list[tuple[str, str]] = [("Data set", str(recipe["data"]["name"]))]
    if setup.image:
        channels, height, width = setup.image
        data.append(("Images", f"{height} \u00d7 {width} pixels, {plural(channels, 'channel')}"))
        data.append(("Classes", _classes(setup.classes)))
        data.append(("Training images", f"{setup.train_images:,}"))
        data.append(("Validation images", f"{setup.val_images:,}"))
    if setup.data_summary:
        data += _files(setup.data_summary, setup.classes)
    data.append(("Augmentation", formatting.value(recipe["data"]["augment"])))
    return data


def _files(summary: DataSummary, classes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """What was read of an image folder; what was skipped or converted only where anything was."""
    rows = (
        ("Files read", data_summary.read_line(summary, classes)),
        ("Files skipped", data_summary.skipped_line(summary)),
        ("Pixels converted", data_summary.converted_line(summary)),
    )
    return ((title, text) for title, text in rows if text)


def _classes(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:12]) + (", \u2026" if len(names) > 12 else "")
    return f"{len(names):,}: {shown}"


def _training(analysis: Analysis, manifest: Manifest) -> Iterator[tuple[str, str]]:
    recipe, baseline = manifest.baseline.recipe, analysis.baseline
    size = f" ({count(baseline.parameters)} parameters, {count(baseline.macs)} MACs)"
    yield "Model", str(recipe["model"]["name"]) + (size if baseline.parameters else "")
    yield "Budget", f"{analysis.setup.budget}, batches of {formatting.value(recipe['train']['batch_size'])}"
    yield "Precision", PRECISIONS[recipe["train"]["precision"]]
    yield "Optimizer", formatting.value(recipe["optimizer"])
    yield "Schedule", formatting.value(recipe["schedule"])
    yield "Primary metric", captions.metric(analysis)
    yield "Seeds", captions.seeds(analysis.facts.seeds)


def _task(analysis: Analysis, context: Context) -> Iterator[tuple[str, str]]:
    """What trained the runs of a function or a command."""
    task = context.study.task
    yield str(task["kind"]).capitalize(), str(task[task["kind"]])
    sources = {
        record.checks["metrics_from"] for record in context.results.records.values() if "metrics_from" in record.checks
    }
    if sources:
        yield "Metrics read from", ", ".join(sorted(sources))
    yield "Primary metric", analysis.measure.name
    row = "its best row by the primary metric" if "by" in task else "the last value of each metric"
    yield "Result of a run", f"what it returned, or else {row}" if task["kind"] == "function" else row
    yield "Seeds", captions.seeds(analysis.facts.seeds)


def _environments(analysis: Analysis) -> Iterator[tuple[str, str]]:
    found = analysis.setup.environments
    for environment, runs in found:
        share = f" ({plural(runs, 'run')})" if len(found) > 1 else ""
        yield "Hardware", hardware(environment) + share
        yield "Software", software(environment)
    if analysis.setup.started and analysis.setup.finished:
        yield "Trained", f"{_when(analysis.setup.started)} to {_when(analysis.setup.finished)} UTC"
    if analysis.setup.fingerprints:
        yield "Data fingerprint", ", ".join(print_[:16] for print_ in analysis.setup.fingerprints)


def _when(stamp: str) -> str:
    """A time stamp of a record (ISO 8601), to the minute."""
    return datetime.fromisoformat(stamp).astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def hardware(environment: Environment) -> str:
    """Device, processor and threads."""
    threads = plural(environment.threads, "thread")
    capability = f" (compute capability {environment.capability})" if environment.capability else ""
    parts = [f"{environment.device}{capability}", environment.processor, f"{threads} a run"]
    parts += ["images copied from the host block by block"] if environment.streamed else []
    return " \u00b7 ".join(parts)


def software(environment: Environment) -> str:
    """Versions and platform."""
    versions = f"ablation-lab {environment.ablation}, Python {environment.python}"
    versions += f", PyTorch {environment.torch}" if environment.torch else ""
    cuda = (("cuDNN", environment.cudnn), ("NVIDIA driver", environment.driver))
    return ", ".join([versions, *(f"{name} {version}" for name, version in cuda if version), environment.platform])


def _recipe(context: Context) -> Iterator[Block]:
    """The options of the baseline by section, the name of each part first."""
    parts: dict[str, list[tuple[str, str]]] = {}
    for path, value in context.analysis.setup.recipe:
        part, _, key = path.partition(".") if context.study.of_images else ("Hyperparameters", "", path)
        parts.setdefault(part, []).insert(0 if key == "name" else len(parts.get(part, ())), (key, value))
    if parts:
        yield Paragraph(
            "Every hyperparameter of the baseline, the defaults filled in; each variant differs from it by its change."
            if context.study.of_images
            else "The hyperparameters in the study file; each variant differs from the baseline by its change."
        )
        yield Columns(tuple((part, (Pairs(tuple(rows), options=True),)) for part, rows in parts.items()), "recipe")


SETUP = Section("setup", "Setup", 140, _setup)
RECIPE = Section("recipe", "Baseline recipe", 145, _recipe, appendix=True)
