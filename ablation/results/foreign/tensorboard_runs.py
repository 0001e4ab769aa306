"""TensorBoard: a folder of run folders with event files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ablation.errors import UserError
from ablation.results.foreign.event_files import EventLog, Series, read_events
from ablation.results.foreign.logged import Declared, LoggedRun, LoggedRuns, Status, canonical, parameters, read_config

CONFIGS = (
    "hparams.yaml", "hparams.yml", "hparams.json", "config.yaml", "config.yml", "config.json", "params.json",
    "params.yaml", "args.json", ".hydra/config.yaml",
)  # fmt: skip
"""Files beside the event files that hold the parameters of a run; the first that is there counts."""
_PARTS = frozenset(("train", "training", "val", "valid", "validation", "test", "dev", "eval"))
"""Folders of a run that Keras and others write for each part of the data."""
_ENDED: dict[str, Status] = {"failure": "crashed"}


def read_tensorboard(path: Path, declared: Declared) -> LoggedRuns:
    """The runs in a folder. The experiment is a folder in it.

    Parameters of a run are those of a file beside its events (`CONFIGS`), then those that the HParams plugin wrote
    (where Lightning joins names by slashes), then those in the names of its folders (`lr=0.1,seed=0`). A folder of
    events inside that of a run belongs to that run, as `add_hparams` and `add_scalars` write them.
    """
    root = path / declared.experiment if declared.experiment else path
    if not root.is_dir():
        raise UserError(f"no folder at {root}", "name the folder that `tensorboard --logdir` is given")
    folders = sorted({file.parent for file in root.rglob("events.out.tfevents.*") if file.is_file()})
    if not folders:
        raise UserError(f"no event files in {root}", "name the folder that `tensorboard --logdir` is given")
    grouped: dict[Path, list[Path]] = {}
    for folder in folders:
        grouped.setdefault(_run_of(folder, folders, root), []).append(folder)
    read = [(folder, [(own, read_events(own)) for own in inside]) for folder, inside in grouped.items()]
    read.sort(key=lambda own: (min(log.started for _, log in own[1]), str(own[0])))
    runs = tuple(_run(folder, logs, root) for folder, logs in read)
    note = "TensorBoard does not say whether a run ended early: runs count as finished if they logged the metric"
    return LoggedRuns(root.resolve().name, runs, (note,))


def _run_of(folder: Path, folders: Sequence[Path], root: Path) -> Path:
    """The folder of the run that a folder of events belongs to: the outermost one with events, below the root."""
    outer = [other for other in folders if other != root and other in folder.parents]
    own = min(outer, key=lambda other: len(other.parts), default=folder)
    return own.parent if own.name.lower() in _PARTS and own.parent != root else own


def _run(folder: Path, logs: Sequence[tuple[Path, EventLog]], root: Path) -> LoggedRun:
    series: Series = {}
    values: dict[str, str] = {}
    ended = ""
    for own, log in logs:
        prefix = "" if own == folder or log.parameters else f"{own.relative_to(folder).as_posix()}/"
        series |= {prefix + tag: points for tag, points in log.series.items()}
        values |= {name: canonical(value) for name, value in log.parameters.items()}
        ended = log.ended or ended
    name = folder.relative_to(root).as_posix() if folder != root else folder.resolve().name
    file = beside(folder)
    values = {own: value for own, value in values.items() if own.replace("/", ".") not in file}
    values = named((name,)) | values | file
    return LoggedRun(name, values, series, _ENDED.get(ended, "finished"))


def beside(folder: Path) -> dict[str, str]:
    """The parameters in a file of a folder (`CONFIGS`); none where there is no such file."""
    files = (folder / name for name in CONFIGS)
    found = next((path for path in files if path.is_file()), None)
    return parameters(read_config(found)) if found else {}


def named(names: Iterable[str]) -> dict[str, str]:
    """The parameters in names of folders such as `lr=0.1,seed=0` or `lr=0.1/seed=0`."""
    pairs = (pair for name in names for part in name.split("/") for pair in part.split(","))
    return {key.strip().lstrip("+"): canonical(value) for key, sign, value in (p.partition("=") for p in pairs) if sign}
