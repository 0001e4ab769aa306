"""Everything that is stored of one run, for `ablate show` and `ablate diff`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ablation._util.hashing import canonical_json
from ablation.errors import UnreadableError, UserError
from ablation.storage.manifest import Manifest, read_studies
from ablation.storage.record import EpochRow
from ablation.storage.select import RunChoice, Use, uses_of_runs
from ablation.storage.store import Store, read_json
from ablation.storage.stored_run import Identity, StoredRun, read_run
from ablation.storage.study_files import files_below
from ablation.storage.test_set_log import Outcome, read_outcome

SCHEMA_VERSION = 1
_MOST_ROWS = 6


@dataclass(frozen=True)
class Inspected:
    """A run on disk: what it trains, which studies use it, how far it came, and what came of it."""

    name: str
    key: str
    seed: int
    recipe: Mapping[str, Any]
    task: Mapping[str, Any]
    uses: tuple[Use, ...]
    changes: Mapping[str, Any]
    """What it changes of the baseline, in the study that it was named by or the first that uses it."""
    run: StoredRun
    files: Mapping[str, int]
    """File -> bytes."""
    test: Outcome | None = None
    streams: Mapping[str, int] | None = None
    """The random streams with seeds of their own, in a run of `ablate noise`."""
    notices: tuple[str, ...] = ()
    """What is wrong with files that the state does not depend on."""

    def to_json(self) -> dict[str, Any]:
        """What `ablate show --json` prints, documented in docs/managing-results.md."""
        record = self.run.record
        own = record.to_json() if record else {}
        kept = ("data_fingerprint", "metrics", "selected_epoch", "best_epoch", "weights_sha256", "started", "finished")
        more = ("train_seconds", "resumed", "host", "environment", "checks", "parameters", "macs", "train_images")
        return {
            "schema_version": SCHEMA_VERSION,
            "run": self.name,
            "folder": str(self.run.folder.path),
            "key": self.key,
            "state": self.run.state,
            "reason": self.run.reason or (self.run.failure.message if self.run.failure else ""),
            "notices": list(self.notices),
            "seed": self.seed,
            "streams": dict(self.streams or {}),
            "recipe": dict(self.recipe),
            "task": dict(self.task),
            "changes": dict(self.changes),
            "used_by": [{"study": use.study, "variant": use.variant, "seed": use.seed} for use in self.uses],
            **{name: own.get(name) for name in (*kept, *more)},
            "epochs": [row.to_json() for row in self.run.epochs],
            "files": dict(self.files),
            "test": _test(self.test),
        }


def _test(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    kept = {name: value for name, value in asdict(outcome).items() if name not in ("files", "run", "weights_sha256")}
    return {**kept, "loss": outcome.loss if math.isfinite(outcome.loss) else None}


def inspect_run(store: Store, choice: RunChoice) -> Inspected:
    """Read a run. Raises UserError where its folder does not say what it is, or is of another schema version."""
    studies, _ = read_studies(store)
    uses = uses_of_runs(studies).get(choice.folder, [])
    if choice.manifest:
        uses.sort(key=lambda use: use.study != choice.manifest.name if choice.manifest else False)
    folder = store.run(choice.folder)
    config = _config(store, choice.folder)
    identity = uses[0].identity if uses else _identity(choice.folder, config)
    run = read_run(folder, identity)
    changes, recipe, task = _declared(studies, uses[0]) if uses else ({}, config["recipe"], config.get("task", {}))
    test, notices = None, list[str]()
    try:
        test = read_outcome(folder)
    except UnreadableError as error:
        notices.append(error.message)
    files = {path.relative_to(folder.path).as_posix(): path.stat().st_size for path in files_below(folder.path)}
    streams = config.get("streams")
    known = (identity.key, identity.seed, recipe, task, tuple(uses), changes)
    return Inspected(choice.folder, *known, run, files, test, streams, tuple(notices))


def _config(store: Store, name: str) -> dict[str, Any]:
    """What the folder of a run says that it trains; nothing where it was not begun."""
    path = store.run(name).path / "config.json"
    return read_json(path) if path.exists() else {}


def _identity(name: str, config: Mapping[str, Any]) -> Identity:
    """What must be in the folder of a run that no study uses, by its own config.json."""
    if not isinstance(config.get("recipe"), Mapping) or not isinstance(config.get("seed"), int):
        raise UserError(
            f"the run folder {name} does not say what it trains", "no study uses it: see ablate rm --orphans"
        )
    return Identity(name.rpartition("-")[2], config["seed"], canonical_json(config["recipe"]))


def _declared(studies: Iterable[Manifest], use: Use) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """(changes, recipe, task) of the variant of a study."""
    study = next(own for own in studies if own.name == use.study)
    variant = next(own for own in study.variants if own.name == use.variant)
    return variant.changes, variant.recipe, study.task


def curve(run: StoredRun) -> Sequence[EpochRow]:
    """A few epochs of a run at even distances: the first, the last, and the selected one among them."""
    rows = run.epochs
    last, steps = len(rows) - 1, min(_MOST_ROWS, len(rows)) - 1
    places = {round(number * last / steps) for number in range(steps + 1)} if steps > 0 else set(range(len(rows)))
    selected = run.record.selected_epoch if run.record else None
    if selected:
        places.add(selected - 1)
    return [rows[place] for place in sorted(places)]
