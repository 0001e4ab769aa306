"""Which files belong to a run and to a study, and whether runs are being trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from ablation.storage.manifest import Manifest
from ablation.storage.store import RunFolder, Store

Kind = Literal["weights", "predictions", "rows", "other"]
KINDS: tuple[Kind, ...] = ("weights", "predictions", "rows", "other")
_WEIGHTS = ("best.pt", "last.pt", "state.pickle", "state.pickle.next")
_PREDICTIONS = ("predictions.npz", "test.npz")
_REPORTED = (
    "config.json", "epochs.jsonl", "failure.json", "log.txt", "metrics.json", "run.json", "test.json", *_PREDICTIONS,
)  # fmt: skip
"""What of a run can be in its report."""
_OF_THIS_MACHINE = ("estimate.json", "spent")
"""What of a study says how fast this machine is."""


def kind_of(name: str) -> Kind:
    """What a file of a run folder holds."""
    if name in _WEIGHTS:
        return "weights"
    return "predictions" if name in _PREDICTIONS else "rows" if name == "epochs.jsonl" else "other"


def files_below(folder: Path) -> Iterator[Path]:
    """Every regular file below a folder but for locks and files half written, in order; links are not followed."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from files_below(path)
        elif path.is_file() and not _is_passing(path.name):
            yield path


def _is_passing(name: str) -> bool:
    return name == "lock" or name.endswith(".lock") or (name.startswith(".") and name.endswith((".tmp", ".link")))


def run_names(manifest: Manifest) -> list[str]:
    """The run folders of a study, each once."""
    return list(dict.fromkeys(name for seeds in manifest.folders.values() for name in seeds.values()))


def run_files(folder: RunFolder, *, weights: bool) -> Iterator[Path]:
    """The files of a run that go to another machine; without `weights` those that can be in its report.

    The pickled state of an interrupted function stays here: whoever loads a pickle runs what is in it.
    """
    for path in files_below(folder.path):
        own = path.parent == folder.path
        if own and path.name.startswith("state.pickle"):
            continue
        if weights or (own and (path.name in _REPORTED or ".unreadable" in path.name)):
            yield path


def study_files(store: Store, manifest: Manifest) -> Iterator[Path]:
    """The files beside the study.json of a study, and that one, that go to another machine."""
    folder = store.study_file(manifest.folder).parent
    for path in files_below(folder):
        if path.relative_to(folder).parts[0] not in _OF_THIS_MACHINE and ".unreadable" not in path.name:
            yield path


def in_training(store: Store, names: Iterable[str]) -> list[str]:
    """Those of the run folders that a process holds the lock of, since it trains there."""
    return [name for name in names if store.run(name).locked]
