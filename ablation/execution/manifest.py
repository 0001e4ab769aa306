"""Writes study.json before a study runs, and refuses to mix two studies or two versions of a data set."""

from __future__ import annotations

import os
from pathlib import Path

from ablation._util.files import set_aside, writing
from ablation._util.formatting import plural
from ablation._util.hashing import slug
from ablation._util.sanitize import clean
from ablation.data.fingerprint import DECODED
from ablation.errors import UnreadableError, UserError
from ablation.execution.custom_code import announce_code, announce_command, code_of
from ablation.execution.options import RunOptions
from ablation.execution.progress import Progress
from ablation.planning.plan import Plan
from ablation.storage.manifest import Manifest, make_manifest, read_manifest
from ablation.storage.store import Store, write_record
from ablation.study.load import load_study
from ablation.study.schema import Study
from ablation.study.tasks import CommandTask


def write_manifest(plan: Plan, store: Store, options: RunOptions, progress: Progress) -> Manifest:
    """Write study.json, and copies of custom code beside it; what is in it.

    Raises UserError where another study has that name.
    """
    study = plan.study
    before = _stored(store, slug(study.name), progress)
    if before:
        _refuse_other_study(before, study, store)
    seen = before if before and _any_finished(before, store) else None
    judged = seen is not None and _could_be_judged(seen, store)
    file = os.path.relpath(Path(study.file).resolve(), store.root.resolve())
    manifest = make_manifest(plan, options.command, seen, judged=judged, file=clean(file))
    if before and not options.new_data:
        _refuse_changed_data(before, manifest, store)
    with writing(store.root):
        store.study_file(manifest.folder).parent.mkdir(parents=True, exist_ok=True)
    write_record(store.study_file(manifest.folder), manifest.to_json())
    if isinstance(study.task, CommandTask):
        announce_command(study.task, store.study_file(manifest.folder).parent, progress)
    announce_code(code_of(plan), store.study_file(manifest.folder).parent, lambda text: progress.say(text, "warning"))
    return manifest


def _stored(store: Store, folder: str, progress: Progress) -> Manifest | None:
    """The study's manifest so far; a damaged one is set aside, since this command writes it again."""
    path = store.study_file(folder)
    if not path.exists():
        return None
    try:
        return read_manifest(path)
    except UnreadableError as error:
        place = set_aside(path)
        progress.say(f"{error.message}; set aside as {place.name} and written again", "warning")
        return None


def _refuse_other_study(before: Manifest, study: Study, store: Store) -> None:
    """Raise UserError where another study has the same name or folder, so that its study.json would be replaced."""
    hint = "give one of them another name (study: NAME)"
    if before.name != study.name:
        message = f"the study {study.name!r} would replace {before.name!r}: both have the folder {before.folder}/"
        raise UserError(message, hint)
    other = Path(os.path.normpath(store.root.resolve() / before.file))
    try:
        if not before.file or other.samefile(study.file):
            return
        known = load_study(other, overrides=before.overrides, smoke=before.smoke, need_data=False)
    except (UserError, OSError):  # the study was moved here, or is no longer there
        return
    if known.name == study.name and known.source != study.source:
        raise UserError(f"two study files are named {study.name!r}: {other} was run before {study.file}", hint)


def _refuse_changed_data(before: Manifest, now: Manifest, store: Store) -> None:
    """Raise UserError where runs were started on other images than those that have the same name now."""
    begun = sum(store.run(name).started for seeds in before.folders.values() for name in seeds.values())
    changed = [key for key, mark in now.fingerprints.items() if before.fingerprints.get(key, mark) != mark]
    if begun and changed:
        was, is_now = before.fingerprints[changed[0]], now.fingerprints[changed[0]]
        if is_now == was + DECODED:
            raise UserError(
                f"some images of {now.name} are decoded differently now than when {plural(begun, 'run')} started: "
                "they have transparent pixels, more than 8 bits of grey, or an EXIF orientation",
                "give the study another name, or train all its runs again with --new-data",
            )
        raise UserError(
            f"the images of {now.name} have changed since {plural(begun, 'run')} started (from {was} to {is_now})",
            "restore the old images, give the study another name, or train all its runs again with --new-data",
        )


def _any_finished(manifest: Manifest, store: Store) -> bool:
    """Whether there were results to be seen."""
    return any(store.run(name).finished for seeds in manifest.folders.values() for name in seeds.values())


def _could_be_judged(manifest: Manifest, store: Store) -> bool:
    """Whether the results allowed a verdict: a variant and the baseline had finished two common seeds."""
    done = {
        variant: {seed for seed, name in own.items() if store.run(name).finished}
        for variant, own in manifest.folders.items()
    }
    base = done.pop(manifest.baseline.name)
    return any(len(base & own) > 1 for own in done.values())
