"""The stages in which the runs of a study are trained: all together, or look by look in a sequential study."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablation.execution.looks import follow, look_line
from ablation.execution.study import given_up, still_to_do, without
from ablation.planning.plan import Plan
from ablation.planning.run import Run
from ablation.storage.manifest import Manifest
from ablation.storage.store import Store
from ablation.storage.stored_run import finished_runs

if TYPE_CHECKING:
    from ablation.analysis.sequential import Followed


@dataclass(frozen=True)
class Stage:
    """The runs that are needed now, and those of them that are still `todo`; `gave_up` failed too often."""

    runs: Sequence[Run]
    todo: Sequence[Run]
    gave_up: Sequence[Run]

    @property
    def size(self) -> int:
        """How many runs are needed, each training once however many variants share it."""
        return len({run.key for run in self.runs})

    @property
    def done(self) -> int:
        """How many of them are finished."""
        return self.size - len(self.todo) - len(self.gave_up)


@dataclass
class Stages:
    """Which of the `chosen` runs of a plan are needed.

    Those of a fixed design all are. A sequential study needs those of the next look, which follow from the finished
    runs alone; `measure` computes the metrics of these that are missing. With `retry` no run is given up.
    """

    plan: Plan
    manifest: Manifest
    store: Store
    chosen: Sequence[Run]
    measure: Callable[[], None]
    retry: bool = False
    followed: Followed | None = None

    @property
    def sequential(self) -> bool:
        return self.manifest.sequential is not None

    @property
    def looks(self) -> int:
        """How many looks are complete."""
        return len(self.followed.found.looks) if self.followed else 0

    @property
    def current(self) -> str:
        """The look that is waited for, or the last one: `look 2 of 4`."""
        assert self.followed is not None
        found = self.followed.found
        return f"look {self.looks + (found.next_look is not None)} of {len(found.design.looks)}"

    def line(self, number: int) -> str:
        """A complete look in a line."""
        assert self.followed is not None
        return look_line(self.followed.found, number)

    def next(self, finished: Collection[str] | None = None, failed: Collection[str] = ()) -> Stage:
        """Judge the finished runs; the runs that are needed now.

        `finished` are the keys of the finished ones where they are known; those with `failed` keys are not tried again.
        """
        if self.sequential:
            self.measure()
            self.followed = follow(self.store, self.manifest)
        runs = [run for run in self.chosen if self._needs(run)]
        done = finished_runs(runs, self.store) if finished is None else finished
        todo = without(runs, {*done, *failed})
        gave_up = [] if self.retry else given_up(todo, self.store)
        return Stage(runs, without(todo, {run.key for run in gave_up}), gave_up)

    def to_come(self) -> list[Run]:
        """The unfinished runs that this stage or a later one may need."""
        runs = list(self.chosen)
        if self.followed:
            names = [variant.name for variant in self.manifest.variants]
            under_way = {names[0], *(names[i + 1] for i in self.followed.found.go_on)}
            runs = [run for run in runs if run.variant in under_way or self._needs(run)]
        return still_to_do(runs, self.store)

    def left_out(self) -> int:
        """How many unfinished runs are needed that are not among the chosen ones."""
        chosen = {run.key for run in self.chosen}
        others = [run for run in self.plan.runs if run.key not in chosen and self._needs(run)]
        return len(still_to_do(others, self.store))

    def _needs(self, run: Run) -> bool:
        return self.followed is None or (run.variant, run.block) in self.followed.needed
