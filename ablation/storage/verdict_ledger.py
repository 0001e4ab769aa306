"""The ledger of verdicts: each use of `ablate verdict` on new results, with the level that it was judged at.

The uses of one ledger share one alpha (`stats.level_of_use`). Nothing is ever taken out, and a ledger that cannot be
read is an error, never a new one: with it the error that was spent would be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ablation._util.files import writing
from ablation.errors import UnreadableError
from ablation.storage import chain
from ablation.storage.record import Number, TimeStamp
from ablation.storage.sealed import typed
from ablation.storage.store import Store
from ablation.versions import VERDICT_LEDGER_VERSION

_RESTORE = "restore it from a copy; another ledger (--ledger FILE) starts from the beginning, with an alpha of its own"


@dataclass(frozen=True)
class Use:
    """Number `use` of the `uses` that were declared, None for any number, judged at `level`, a part of `alpha`.

    `results` is the digest of the results that it rests on, `look` how often the study could have been judged by then
    (`Manifest.looks`). `baseline` is the digest of the baseline's recipe; `better` has those of the variants that were
    judged better than it, by name.
    """

    use: Number
    uses: Number | None
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    level: Annotated[float, Field(gt=0, lt=0.5)]
    time: TimeStamp
    study: str
    look: Number
    results: str
    metric: str
    direction: str
    seeds: tuple[int, ...]
    baseline: str
    better: Mapping[str, str]
    command: str
    previous: str = ""


def default_ledger(store: Store) -> Path:
    """The ledger of all studies in a results folder."""
    return store.root / "verdicts.jsonl"


def read_uses(path: Path) -> tuple[Use, ...]:
    """The uses in a ledger, the first one first; none where there is no file.

    Raises UserError for an empty file, and for a line that was changed, cut off or removed.
    """
    lines, torn = chain.read_lines(path)
    if torn:
        raise UnreadableError(f"the last line of {path} is cut off", _RESTORE)
    if path.exists() and not lines:
        raise UnreadableError(f"{path} is empty: the uses that it held are lost", _RESTORE)
    return tuple(_use(line, lines[:place], f"line {place + 1} of {path}") for place, line in enumerate(lines))


def _use(line: bytes, before: Sequence[bytes], what: str) -> Use:
    values = chain.parse_line(line, what, _RESTORE, VERDICT_LEDGER_VERSION)
    if "previous" not in values:
        raise UnreadableError(f"{what} is no use of a ledger of verdicts", _RESTORE)
    chain.check_order(values, before, what, _RESTORE)
    return typed(Use, values, what, _RESTORE)


def append_use(path: Path, use: Use) -> None:
    """Add a use. Raises StorageError."""
    chain.append(path, VERDICT_LEDGER_VERSION, asdict(use))


def make_folder(path: Path) -> None:
    """Make the folder of a ledger. Raises StorageError."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)


def find_use(uses: Sequence[Use], results: str) -> Use | None:
    """The use that rested on these very results, if there is one."""
    return next((use for use in uses if use.results == results), None)


def next_number(uses: Sequence[Use], study: str, look: int) -> int:
    """The number of the next use, which is on look `look` of a study.

    Earlier looks of the study that this ledger was not asked about count as uses: whoever adds seeds because a report
    showed nothing has had those looks.
    """
    asked = {use.look for use in uses if use.study == study and use.look < look}
    return (uses[-1].use if uses else 0) + (look - 1 - len(asked)) + 1


def references(uses: Sequence[Use], metric: str, direction: str) -> frozenset[str]:
    """The recipes that may be the baseline where a margin counts: the reference of a ledger only moves up.

    They are the baseline of its first use of the metric, and what was judged better than one of them.
    """
    own = [use for use in uses if (use.metric, use.direction) == (metric, direction)]
    found = {use.baseline for use in own[:1]}
    for use in own:
        if use.baseline in found:
            found |= set(use.better.values())
    return frozenset(found)
