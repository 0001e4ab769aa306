"""What a few words on the command line stand for: a study, one of its variants, or a run.

`STUDY`, `STUDY:VARIANT` and `STUDY:VARIANT:SEED` name what `ablate status` shows; the study may be left out where it is
clear. A run also goes by the beginning of its folder's name, or of the hash at its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ablation.errors import UserError
from ablation.registry.catalog import suggestion
from ablation.storage.find import find_study
from ablation.storage.manifest import Manifest, StoredVariant, read_studies
from ablation.storage.store import Store
from ablation.storage.stored_run import Identity

_SHORTEST = 4
"""Characters of a run's name or hash that are not taken for a mistyped word."""


@dataclass(frozen=True)
class Use:
    """A place that a run has in a study: its variant and the seed of the study; and what must be in its folder."""

    study: str
    variant: str
    seed: int
    identity: Identity


@dataclass(frozen=True)
class StudyChoice:
    """A whole study."""

    manifest: Manifest


@dataclass(frozen=True)
class VariantChoice:
    """A variant of a study."""

    manifest: Manifest
    variant: StoredVariant


@dataclass(frozen=True)
class RunChoice:
    """A run; `manifest` is the study that it was named by, None where it was named by its folder."""

    folder: str
    manifest: Manifest | None = None


Choice = StudyChoice | VariantChoice | RunChoice


def select(store: Store, text: str, default: Manifest | None = None) -> Choice:
    """What `text` stands for; names without a study are those of `default`, or of the most recent study.

    Raises UserError for what is not there, and for a beginning that several runs have.
    """
    if text.endswith((".yaml", ".yml")) and Path(text).exists():
        return StudyChoice(find_study(store, text, lambda _: None))
    studies, _ = read_studies(store)
    for own in studies:
        if text in (own.name, own.folder):
            return StudyChoice(own)
    for own in studies:
        for name in dict.fromkeys((own.name, own.folder)):
            if text.startswith(f"{name}:"):
                return _required(own, text.removeprefix(f"{name}:"))
    recent = default or next(iter(studies), None)
    if recent and (found := _inside(recent, text)):
        return found
    return _by_folder(store, text, studies, recent)


def select_run(store: Store, text: str) -> RunChoice:
    """The run that `text` stands for. Raises UserError for anything else."""
    choice = select(store, text)
    match choice:
        case RunChoice():
            return choice
        case VariantChoice(manifest, variant):
            if len(manifest.seeds) == 1:
                return RunChoice(manifest.run_folder(variant.name, manifest.seeds[0]), manifest)
            names = ", ".join(f"{manifest.name}:{variant.name}:{seed}" for seed in manifest.seeds[:3])
            raise UserError(f"{text!r} is a variant with {len(manifest.seeds)} runs", f"name one of them: {names}")
        case StudyChoice(manifest):
            hint = f"name one of its runs: {manifest.name}:{manifest.baseline.name}:{manifest.seeds[0]}"
            raise UserError(f"{text!r} is a study", hint)


def _required(manifest: Manifest, text: str) -> Choice:
    if found := _inside(manifest, text):
        return found
    names = [variant.name for variant in manifest.variants]
    raise UserError(f"{manifest.name} has no variant {text!r}", suggestion(text, names))


def _inside(manifest: Manifest, text: str) -> Choice | None:
    """`VARIANT` or `VARIANT:SEED` of a study; None for anything else. Raises UserError for a seed that it lacks."""
    variants = {variant.name: variant for variant in manifest.variants}
    if text in variants:
        return VariantChoice(manifest, variants[text])
    name, _, seed = text.rpartition(":")
    if name in variants and seed.isdecimal():
        if int(seed) in manifest.seeds:
            return RunChoice(manifest.run_folder(name, int(seed)), manifest)
        raise UserError(f"{manifest.name} has no seed {seed}", f"its seeds: {', '.join(map(str, manifest.seeds))}")
    return None


def _by_folder(store: Store, text: str, studies: list[Manifest], recent: Manifest | None) -> RunChoice:
    runs = store.root / "runs"
    names = sorted(path.name for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []
    found = [name for name in names if name.startswith(text) or name.rpartition("-")[2].startswith(text)]
    if text in names:
        return RunChoice(text)
    if len(text) >= _SHORTEST and len(found) == 1:
        return RunChoice(found[0])
    if len(text) >= _SHORTEST and found:
        more = ", ..." if len(found) > 3 else ""
        raise UserError(f"{text!r} is the beginning of {len(found)} runs", f"{', '.join(found[:3])}{more}")
    known = [study.name for study in studies] + [own.name for own in (recent.variants if recent else ())]
    what = f"no study, variant or run {text!r} in {store.root}/"
    raise UserError(what, suggestion(text, known) if known else "start with: ablate run STUDY.yaml")


def uses_of_runs(studies: Iterable[Manifest]) -> dict[str, list[Use]]:
    """Run folder -> the places that it has in studies; runs that no study uses are not in it."""
    found: dict[str, list[Use]] = {}
    for study in studies:
        for variant, seed, folder, identity in study.runs():
            found.setdefault(folder, []).append(Use(study.name, variant.name, seed, identity))
    return found
