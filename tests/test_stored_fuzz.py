"""Thousands of damaged stored files: each is read with the values that were written, or refused by its name."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ablation._util.sanitize import clean
from ablation.data import arrays
from ablation.errors import UserError
from ablation.report.source import check_folder
from ablation.results.predictions import read_predictions
from ablation.storage.manifest import read_manifest
from ablation.storage.store import RunFolder, read_json
from ablation.storage.stored_run import read_run
from ablation.storage.test_set_log import (
    append_evaluation,
    make_evaluation,
    openings_file,
    outcome_file,
    read_evaluations,
    read_log,
    read_outcome,
)
from ablation.training import checkpoint

from .damage import damaged_bytes, damaged_json
from .test_integrity import folder_of, make, without_digests

SECONDS = 2.0


@dataclass(frozen=True)
class Kind:
    """A stored file, what reads it, and whether a digest vouches for its values.

    `read` returns values that can be compared, or None where the file is refused in another way than by an error.
    `also` are files that reading may move or write.
    """

    path: Path
    read: Callable[[], Any]
    digest: bool = True
    also: tuple[Path, ...] = ()


def kinds(root: Path) -> dict[str, Kind]:
    """Every kind of stored file, with digests and as earlier versions stored it."""
    found: dict[str, Kind] = {}
    for digest in (True, False):
        stored = make(root / ("digests" if digest else "earlier"))
        if not digest:
            without_digests(stored)
        folder = folder_of(stored)
        folder.fail("out of memory", "Traceback")
        identity = next(identity for _, _, name, identity in stored.manifest.runs() if name == folder.path.name)
        records = {name: stored.store.run(name).record() for _, _, name, _ in stored.manifest.runs()}

        def run(folder: RunFolder = folder, identity: Any = identity) -> Any:
            run = read_run(folder, identity)
            assert (run.state == "damaged") == bool(run.reason)
            assert not run.reason or str(folder.path) in run.reason
            clean(run.reason).encode()
            return None if run.state == "damaged" else (run.record, run.epochs)

        def log(stored: Any = stored, records: Any = records) -> Any:
            log = read_log(stored.store, stored.manifest, records)
            assert all(str(stored.store.root) in notice for notice in log.notices)
            return None if log.notices else log

        name = "" if digest else " without digests"
        reads = {
            "run.json": run,
            "epochs.jsonl": run,
            "predictions.npz": run if digest else lambda folder=folder: predictions(folder),
            "failure.json": lambda folder=folder: failure(folder),
            "config.json": lambda folder=folder: read_json(folder.path / "config.json") | {"sha256": ""},
            "test.json": log,
        }
        for file, read in reads.items():
            found[file + name] = Kind(folder.path / file, read, digest)  # type: ignore[arg-type]
        study = stored.store.study_file("small")
        found["study.json" + name] = Kind(study, lambda study=study: read_manifest(study), digest)  # type: ignore[misc]
        outcome = outcome_file(folder)
        found["the outcome" + name] = Kind(outcome, lambda folder=folder: read_outcome(folder), digest)  # type: ignore[misc]
    stored = make(root / "openings")
    append_evaluation(stored.store, "small", make_evaluation(["one"], "test-v1", 60, "second"))
    append_evaluation(stored.store, "small", make_evaluation(["two"], "test-v1", 60, "third"))
    path = openings_file(stored.store, "small")
    whole = [own | {"sha256": ""} for own in read_evaluations(stored.store, "small")]

    def openings() -> Any:
        """Lines that are lost at the end leave no trace in this file: the test.json of their runs restore them."""
        found = [own | {"sha256": ""} for own in read_evaluations(stored.store, "small")]
        return whole if found == whole[: len(found)] else found

    found["openings.jsonl"] = Kind(path, openings)
    found |= prepared(root / "prepared")
    found["analysis.json"] = report(root / "report")
    found["last.pt"] = weights(root / "last.pt")
    return found


def predictions(folder: RunFolder) -> Any:
    own = read_predictions(folder, "validation", "index", "label", "predicted")
    return own and [array.tolist() for array in own]


def failure(folder: RunFolder) -> Any:
    """A failure that cannot be read is one that says so."""
    found = folder.failure()
    if found is None or str(folder.failure_file) in found.message:
        return None
    return found


def prepared(folder: Path) -> dict[str, Kind]:
    """The files of a prepared data set; `verified.json` only says that they need not be read once more."""
    folder.mkdir()
    images = np.arange(48, dtype=np.uint8).reshape(3, 4, 4, 1)
    about = {"labels": np.arange(3), "sums": np.ones((3, 1, 2), dtype=np.int64), "twins": np.arange(3)}
    with arrays.Writer(folder, (3, 4, 4, 1)) as writer:
        writer.add(images)
        writer.finish(about, ["a", "b", "c"], {"classes": ["cat", "dog", "cow"], "summary": None})

    def read() -> Any:
        found = arrays.read_arrays(folder)
        values = [getattr(found, name).tolist() for name in ("images", "labels", "sums", "twins")]
        return values, found.classes, arrays.read_names(folder)

    files = ("meta.json", "names.json", "verified.json", "images.npy", "labels.npy")
    also = (folder / "verified.json",)
    return {f"prepared {name}": Kind(folder / name, read, also=also) for name in files}


def report(folder: Path) -> Kind:
    """What a report says that it is of: another one is not written over it."""
    folder.mkdir()
    path = folder / "analysis.json"
    path.write_text(json.dumps({"study": "small", "table": None, "runs": [{"seed": 0}]}))
    return Kind(path, lambda: check_folder(folder, "small", None), digest=False)


def weights(path: Path) -> Kind:
    checkpoint.save(path, {"model": {"weight": torch.arange(6.0)}, "epoch": 3, "classes": ("a", "b")})

    def read() -> Any:
        found = checkpoint.load(path)
        if found is None:
            path.with_name("last.pt.unreadable").unlink()
            return None
        return found | {"model": {name: value.tolist() for name, value in found["model"].items()}}

    return Kind(path, read)


def fuzz(folder: Path, count: int, seed: int) -> Counter[str]:
    """Damage stored files one after another; how many were read as written, read with other values, and refused."""
    outcomes, draw, began = Counter[str](), random.Random(seed), time.process_time()
    known = kinds(folder)
    values = {name: kind.read() for name, kind in known.items()}
    contents = {name: kind.path.read_bytes() for name, kind in known.items()}
    for number in range(count):
        name = [*known][number % len(known)]
        kind, whole = known[name], contents[name]
        kept = {path: path.read_bytes() for path in kind.also}
        bad = damaged_json(whole, draw) if kind.path.suffix in (".json", ".jsonl") else damaged_bytes(whole, draw)
        kind.path.write_bytes(bad)
        start = time.process_time()
        try:
            sealed = kind.digest and bad.count(b'"sha256"') >= whole.count(b'"sha256"')
            outcomes[outcome(kind, values[name], sealed)] += 1
        except Exception as error:
            raise AssertionError(f"{name}, damage {number} of seed {seed}: {bad!r}") from error
        assert time.process_time() - start < SECONDS
        for path, content in kept.items():
            path.write_bytes(content)
        kind.path.write_bytes(whole)
    for name, kind in known.items():
        assert kind.read() == values[name], name
    print(f"{count:,} stored files, {dict(outcomes)}, {time.process_time() - began:.0f} s of CPU")
    return outcomes


def outcome(kind: Kind, whole: Any, sealed: bool) -> str:
    """`sealed`: the file has its digest, so that it cannot have other values."""
    try:
        found = kind.read()
    except UserError as error:
        check_error(error, kind.path)
        return "refused"
    if found is None and whole is not None:
        return "refused"
    if found == whole or repr(found) == repr(whole):  # NaN is not itself
        return "same"
    assert not sealed, f"{found!r:.2000}\n{whole!r:.2000}"
    return "other values"


def check_error(error: UserError, path: Path) -> None:
    assert str(path) in error.message or str(path.parent) in error.message
    assert error.hint
    clean(str(error)).encode()


def test_a_damaged_stored_file_is_refused_by_its_name_or_changes_nothing(tmp_path: Path) -> None:
    outcomes = fuzz(tmp_path, 300, seed=0)
    assert outcomes["refused"] >= 100
    assert outcomes["same"] >= 10


@pytest.mark.slow
def test_thousands_of_damaged_stored_files(tmp_path: Path) -> None:
    outcomes = fuzz(tmp_path, 3000, seed=1)
    assert outcomes["refused"] >= 800
    assert outcomes["same"] >= 80
