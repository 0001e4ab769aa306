"""Which files beside the code of a study change while its runs are trained."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from ablation.planning.run import Run
from ablation.study.code_files import SKIPPED, code_files, script_of
from ablation.study.custom_code import beside
from ablation.study.tasks import CommandTask

MOST_FILES = 20_000
"""That are looked at, those nearest to the code first."""
Snapshot = Mapping[Path, tuple[int, int]]
"""File -> its time of change and size."""


def code_folders(run: Run) -> list[Path]:
    """The folders with the code that trains a run: that of its script or function, and those that the study lists."""
    task = run.task
    files = [Path(name) for name in (task.code if task else ())]
    if isinstance(task, CommandTask) and (script := script_of(task)):
        files.append(Path(script))
    files += [Path(code.file) for code in run.codes.values() if not code.release]
    return list(dict.fromkeys((path if path.is_dir() else path.parent).resolve() for path in files))


def hashed_files(run: Run) -> frozenset[Path]:
    """The files whose content is part of the key of a run."""
    named = [path for _, path in code_files(run.task)] if run.task else []
    own = [Path(part.file) for code in run.codes.values() for part in (code, *code.helpers)]
    packages = [path for code in run.codes.values() for path in beside(code)]
    return frozenset(path.resolve() for path in (*named, *own, *packages))


def snapshot(folders: Iterable[Path], without: Collection[Path]) -> Snapshot:
    """The files below the folders as they are now; hidden ones, caches and the folders `without` are left out."""
    found: dict[Path, tuple[int, int]] = {}
    todo, seen = deque(folders), set(without)
    while todo and len(found) < MOST_FILES:
        folder = todo.popleft()
        if folder in seen:
            continue
        seen.add(folder)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # not readable, or gone: nothing can be said of it
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name in SKIPPED:
                continue
            if entry.is_dir(follow_symlinks=False):
                todo.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                with suppress(OSError):  # it has just gone
                    status = entry.stat(follow_symlinks=False)
                    found[Path(entry.path)] = (status.st_mtime_ns, status.st_size)
    return found


def changed(before: Snapshot, after: Snapshot) -> list[Path]:
    """The files that are new, changed or gone."""
    return sorted(path for path in {**before, **after} if before.get(path) != after.get(path))
