"""`ablate export` and `ablate import FILE`: a study with its runs as one file, and back into a results folder.

In an archive, `results/` is what is below the results folder, `report/` the texts that the author wrote beside the
report, and `working/` the logo, whose path the study names.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from filelock import FileLock, Timeout

from ablation._util.files import writing
from ablation._util.formatting import plural
from ablation._util.machine import free_space
from ablation.errors import StorageError, UserError
from ablation.report.sections.gallery import IMAGES_FILE, sample_images
from ablation.report.sections.interpretation import TEXTS
from ablation.results.runs import load_results
from ablation.storage.archive import Archive, Index, is_plain_name, open_archive, write_archive
from ablation.storage.manifest import Manifest, read_manifest
from ablation.storage.sealed import stamp
from ablation.storage.store import Store
from ablation.storage.study_files import in_training, run_files, run_names, study_files

STAGING = ".import-"
"""How the folders begin in which an archive is unpacked; what a killed import left there is removed by the next."""
_LOGO = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Exported:
    """What an archive holds, and what one may expect in it and does not find."""

    index: Index
    runs: int
    notices: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """Where the three parts of an archive are: `store`, the folder of reports, and where `ablate` is started."""

    store: Store
    reports: Path = Path("reports")
    working: Path = Path()

    def of(self, name: str, folder: str) -> Path:
        """Where a file of an archive of the study in `folder` belongs."""
        part, _, rest = name.partition("/")
        roots = {"results": self.store.root, "report": self.reports / folder, "working": self.working}
        return roots[part] / rest


@dataclass(frozen=True)
class Imported:
    """What an import has done: the run folders that are new, and those that were here already."""

    manifest: Manifest
    new: tuple[str, ...]
    known: tuple[str, ...]
    code: tuple[str, ...]
    """The copies of custom code that came with the study."""


def export_study(manifest: Manifest, places: Places, out: Path, *, weights: bool = True) -> Exported:
    """Write the archive `out` of a study, finished or not. The same files give the same bytes.

    Raises UserError while a run of the study is being trained, and StorageError.
    """
    store, names = places.store, run_names(manifest)
    refuse_in_training(manifest, store, names)
    files: dict[str, Path | bytes] = {}
    for path in study_files(store, manifest):
        files[f"results/{path.relative_to(store.root).as_posix()}"] = path
    for name in names:
        for path in run_files(store.run(name), weights=weights):
            files[f"results/{path.relative_to(store.root).as_posix()}"] = path
    images = sample_images(store, load_results(store, manifest))
    if images is not None:
        files[f"results/studies/{manifest.folder}/{IMAGES_FILE}"] = images
    for text in TEXTS:
        if (path := places.reports / manifest.folder / f"{text}.md").is_file():
            files[f"report/{text}.md"] = path
    notices = tuple(_add_logo(manifest, places, files))
    strange = [name for name in files if not all(map(is_plain_name, name.split("/")))]
    if strange:
        raise UserError(f"{strange[0]!r} cannot be a file name on every system", "rename it")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    index = write_archive(out, manifest.name, files, complete=weights)
    return Exported(index, sum(store.run(name).path.is_dir() for name in names), notices)


def refuse_in_training(manifest: Manifest, store: Store, names: Sequence[str]) -> None:
    """Raise UserError where a run of a study is being trained."""
    if busy := in_training(store, names):
        what = f"{plural(len(busy), 'run')} of {manifest.name!r} {'is' if len(busy) == 1 else 'are'} being trained"
        raise UserError(f"{what}: {busy[0]}", "wait until the training has ended, or stop it")


def _add_logo(manifest: Manifest, places: Places, files: dict[str, Path | bytes]) -> Iterator[str]:
    """The logo that the study names, where its path leads to the same place on another machine."""
    logo = manifest.report_options.logo
    if logo is None:
        return
    if not _is_logo_path(logo):
        yield f"the logo {logo} is not in the archive, since it is not below the folder where ablate is started"
    elif (places.working / logo).is_file():
        files[f"working/{PurePath(logo).as_posix()}"] = places.working / logo


def _is_logo_path(logo: str) -> bool:
    path = PurePath(logo)
    return not path.is_absolute() and all(map(is_plain_name, path.parts)) and path.suffix.lower() in _LOGO


def import_study(path: Path, places: Places) -> Imported:
    """Unpack an archive, all or nothing.

    Runs that are here already and are the same are kept. Raises UserError where the archive was changed, does not hold
    a study alone, or would replace something else, and StorageError; then nothing is written.
    """
    with open_archive(path) as archive:
        needed, free = sum(own.bytes for own in archive.index.files.values()), free_space(places.store.root)
        if needed > free:
            raise StorageError(
                f"{path} needs {needed:,} bytes, and {free:,} are free", "free some disk space, and import it again"
            )
        own = _Import(path, archive, places)
        manifest = own.check()
        with _staging(places.store.root) as staged:
            return own.unpack(manifest, staged)


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """An empty folder in a results folder, for the only import into it; removed at the end."""
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / "import.lock", timeout=0):
            for left in root.glob(f"{STAGING}*"):
                shutil.rmtree(left)
            with writing(root):
                folder = Path(tempfile.mkdtemp(dir=root, prefix=STAGING))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        raise UserError(f"another command is importing into {root}/", "wait until it has ended") from None


@dataclass(frozen=True)
class _Import:
    path: Path
    archive: Archive
    places: Places

    def check(self) -> Manifest:
        """The study in the archive. Raises UserError for what may not be unpacked; nothing is written yet."""
        study = self._study_folder()
        with tempfile.TemporaryDirectory(prefix="ablate-import-") as name:
            copy = Path(name) / study / "study.json"
            copy.parent.mkdir()
            self.archive.extract(f"results/studies/{study}/study.json", copy)
            manifest = read_manifest(copy)
        self._refuse_strangers(manifest)
        self._refuse_differences(manifest)
        return manifest

    def unpack(self, manifest: Manifest, staged: Path) -> Imported:
        """Unpack beside the results, then move everything to its place: the study, which names the runs, last."""
        files, store = self.archive.index.files, self.places.store
        for name in files:
            target = staged / name
            with writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                self.archive.extract(name, target)
        runs = [name for name in run_names(manifest) if (staged / "results" / "runs" / name).is_dir()]
        known = [name for name in runs if store.run(name).path.exists()]
        new = [name for name in runs if name not in known]
        for name in new:
            self._move(staged / "results" / "runs" / name, store.run(name).path)
        study = f"results/studies/{manifest.folder}"
        own = [name for name in files if name.startswith(f"{study}/")]
        self._add(manifest, staged, [name for name in files if name not in own])
        if not (place := store.study_file(manifest.folder).parent).exists():
            self._move(staged / study, place)
        self._add(manifest, staged, sorted(own, key=lambda name: name.endswith("/study.json")))
        code = (str(self._target(manifest, name)) for name in own if name.endswith(".py"))
        return Imported(manifest, tuple(new), tuple(known), tuple(code))

    def _add(self, manifest: Manifest, staged: Path, names: Sequence[str]) -> None:
        """Move those of the files that are not here yet; the others are the same."""
        for name in names:
            if not (target := self._target(manifest, name)).exists():
                self._move(staged / name, target)

    def _target(self, manifest: Manifest, name: str) -> Path:
        return self.places.of(name, manifest.folder)

    def _study_folder(self) -> str:
        """The one study folder that the archive has."""
        parts = [name.split("/") for name in self.archive.index.files]
        found = [own[2] for own in parts if own[:2] == ["results", "studies"] and own[3:] == ["study.json"]]
        if len(found) != 1:
            raise UserError(f"{self.path} holds {plural(len(found), 'study', 'studies')}", "export the study again")
        return found[0]

    def _refuse_strangers(self, manifest: Manifest) -> None:
        """Raise UserError for a file that does not belong to the study."""
        allowed = {f"report/{text}.md" for text in TEXTS}
        logo = manifest.report_options.logo
        if logo is not None and _is_logo_path(logo):
            allowed.add(f"working/{PurePath(logo).as_posix()}")
        folders = {("runs", name) for name in run_names(manifest)} | {("studies", manifest.folder)}
        for name in self.archive.index.files:
            root, *rest = name.split("/")
            inside = root == "results" and len(rest) > 2 and tuple(rest[:2]) in folders
            if not (inside or name in allowed) or rest[-1].startswith("state.pickle"):
                raise UserError(f"{self.path} has a file that is not of its study: {name}", "do not use it")

    def _refuse_differences(self, manifest: Manifest) -> None:
        """Raise UserError where something else is already at the place of a file."""
        store, files = self.places.store, self.archive.index.files
        refuse_in_training(manifest, store, run_names(manifest))
        hint = f"import it into another results folder: --results DIR (this one is {store.root}/)"
        for name, known in files.items():
            target = self._target(manifest, name)
            if os.path.lexists(target) and (not target.is_file() or stamp(target) != known):
                raise UserError(f"{target} is here already, and is not the one in {self.path}", hint)
        for name in run_names(manifest):
            begun = store.run(name)
            if begun.path.exists() and not begun.finished and f"results/runs/{name}/run.json" in files:
                raise UserError(f"{begun.path} is here already, and is not finished", hint)

    def _move(self, source: Path, target: Path) -> None:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                source.rename(target)
            except OSError:  # the reports may be on another file system
                if source.is_dir():
                    raise
                shutil.copyfile(source, target)
