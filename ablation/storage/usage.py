"""The disk usage of a results folder, and the removal of studies and runs."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ablation._util.files import writing
from ablation._util.formatting import plural
from ablation.errors import UserError
from ablation.storage.manifest import Manifest, read_studies
from ablation.storage.select import RunChoice, StudyChoice, VariantChoice, select, uses_of_runs
from ablation.storage.store import Store
from ablation.storage.study_files import KINDS, Kind, in_training, kind_of, run_names

_ASIDE = ".removed-"
"""How folders begin that are being removed: nothing reads them, and the next removal takes them away."""


@dataclass
class Sizes:
    """Bytes by kind of file."""

    kinds: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    @property
    def total(self) -> int:
        return sum(self.kinds.values())

    def add(self, other: Sizes) -> None:
        """Add the bytes of another one."""
        for kind, size in other.kinds.items():
            self.kinds[kind] += size


@dataclass(frozen=True)
class StudyUsage:
    """The disk usage of the runs of a study; `own` is the part that no other study uses."""

    study: str
    runs: int
    room: Sizes
    own: int


@dataclass(frozen=True)
class Usage:
    """The disk usage of a results folder: every run is counted once in `total`, however many studies use it."""

    studies: tuple[StudyUsage, ...]
    orphans: StudyUsage
    caches: int
    other: int
    total: int


def measure_usage(store: Store) -> Usage:
    """Read the sizes of all files below a results folder. Raises UserError where a study.json cannot be read."""
    studies = _readable(store)
    sizes = {name: _sizes(store.root / "runs" / name) for name in _run_folders(store)}
    users = _users(studies)
    found = [_study_usage(own, sizes, users) for own in studies]
    lost = [name for name in sizes if name not in users]
    orphans = StudyUsage("", len(lost), _sum(sizes[name] for name in lost), sum(sizes[name].total for name in lost))
    caches, total = _size(store.data), _size(store.root)
    runs = sum(own.total for own in sizes.values())
    return Usage(tuple(found), orphans, caches, total - caches - runs, total)


def _study_usage(study: Manifest, sizes: Mapping[str, Sizes], users: Mapping[str, set[str]]) -> StudyUsage:
    names = [name for name in run_names(study) if name in sizes]
    own = sum(sizes[name].total for name in names if users[name] == {study.name})
    return StudyUsage(study.name, len(names), _sum(sizes[name] for name in names), own)


def _readable(store: Store) -> list[Manifest]:
    """All studies. Raises UserError where one cannot be read: which runs it uses is not known then."""
    studies, faults = read_studies(store)
    for fault in faults.values():
        raise UserError(f"{fault.message}; which runs that study uses is not known", fault.hint)
    return studies


def _users(studies: Iterable[Manifest]) -> dict[str, set[str]]:
    """Run folder -> the names of the studies that use it."""
    return {folder: {use.study for use in uses} for folder, uses in uses_of_runs(studies).items()}


def _run_folders(store: Store) -> list[str]:
    runs = store.root / "runs"
    return sorted(path.name for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []


def _sizes(folder: Path) -> Sizes:
    sizes = Sizes()
    for path, size in _files(folder):
        sizes.kinds[kind_of(path.name)] += size
    return sizes


def _sum(parts: Iterable[Sizes]) -> Sizes:
    total = Sizes()
    for part in parts:
        total.add(part)
    return total


def _size(folder: Path) -> int:
    return sum(size for _, size in _files(folder))


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Every file below a folder with its bytes; of several names of one file only the first counts."""
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            status = path.lstat()
            known = (status.st_dev, status.st_ino)
            if status.st_nlink == 1 or known not in seen:
                yield path, status.st_size
            seen.add(known)


@dataclass(frozen=True)
class Removal:
    """What would be removed: studies, and run folders with their bytes; `kept` are runs that another study uses."""

    studies: tuple[Manifest, ...]
    runs: Mapping[str, int]
    kept: tuple[str, ...]
    notices: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(self.runs.values())


def plan_removal(store: Store, words: Sequence[str], *, orphans: bool) -> Removal:
    """What `words` stand for (`storage.select`), and with `orphans` every run that no study uses.

    A run that a study uses which is not removed with it stays. Raises UserError for a run that several studies use and
    that was named itself, while one of the runs is being trained, and where a study.json cannot be read.
    """
    all_studies = _readable(store)
    users = _users(all_studies)
    studies: dict[str, Manifest] = {}
    named: list[str] = []
    for word in words:
        match select(store, word):
            case StudyChoice(manifest):
                studies[manifest.name] = manifest
            case VariantChoice(manifest, variant):
                named += [manifest.run_folder(variant.name, seed) for seed in manifest.seeds]
            case RunChoice(folder):
                named.append(folder)
    for name in named:
        if len(own := users.get(name, set()) - studies.keys()) > 1:
            raise UserError(f"{name} is used by {', '.join(sorted(own))}", "remove the studies that no longer need it")
    wanted = [name for own in studies.values() for name in run_names(own)]
    there = set(_run_folders(store))
    kept = [name for name in wanted if name in there and users[name] - studies.keys() and name not in named]
    lost = [name for name in sorted(there) if name not in users] if orphans else []
    runs = [name for name in dict.fromkeys((*wanted, *named, *lost)) if name in there and name not in kept]
    watched = [
        *runs,
        *wanted,
        *(name for own in all_studies if set(named) & {*run_names(own)} for name in run_names(own)),
    ]
    if busy := in_training(store, dict.fromkeys(watched)):
        what = f"{plural(len(busy), 'run')} of it {'is' if len(busy) == 1 else 'are'} being trained: {busy[0]}"
        raise UserError(what, "wait until the training has ended, or stop it")
    sizes = {name: _size(store.root / "runs" / name) for name in runs}
    notices = tuple(_notices(store, studies.values(), lost))
    return Removal(tuple(studies.values()), sizes, tuple(dict.fromkeys(kept)), notices)


def _notices(store: Store, studies: Iterable[Manifest], orphans: Iterable[str]) -> Iterator[str]:
    noise = sum(_is_of_noise(store.run(name).path / "config.json") for name in orphans)
    if noise:
        yield f"{plural(noise, 'run')} of `ablate noise` {'is' if noise == 1 else 'are'} among them: it uses them again"
    for own in studies:
        if store.study_file(own.folder).with_name("openings.jsonl").exists():
            yield f"with {own.name} goes the record of its evaluations on the test set: export it first to keep that"


def _is_of_noise(config: Path) -> bool:
    """Whether a run has seeds of its own for some of its random streams, which no study gives it."""
    return config.exists() and b'"streams"' in config.read_bytes()


def remove(store: Store, removal: Removal) -> None:
    """Remove it, the studies first: each folder is renamed as a whole, then deleted.

    Whenever that is interrupted, a run is there whole or not at all; the next removal deletes what was moved.
    """
    for left in store.root.glob(f"{_ASIDE}*"):
        shutil.rmtree(left)
    aside = store.root / f"{_ASIDE}{secrets.token_hex(4)}"
    with writing(aside):
        aside.mkdir()
        folders = [store.study_file(own.folder).parent for own in removal.studies]
        for number, folder in enumerate([*folders, *(store.run(name).path for name in removal.runs)]):
            folder.rename(aside / str(number))
        shutil.rmtree(aside)
