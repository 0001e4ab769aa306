"""In which order runs start, and how long they take together."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from ablation.planning.run import Run


def order_runs(runs: Sequence[Run], costs: Mapping[str, float], workers: int) -> list[Run]:
    """The order in which `workers` take `runs`; `costs` says by key how long each will take, in any unit.

    Seed by seed, so that a study that is stopped early can compare what it has, and within a seed the longest first. A
    run of a later seed goes before its turn only where all would wait for it at the end: where it alone takes as long
    as all that is left, shared out evenly.
    """
    seeds = {block: number for number, block in enumerate(dict.fromkeys(run.block for run in runs))}
    longest = sorted(runs, key=lambda run: -costs[run.key])
    in_turn = deque(sorted(longest, key=lambda run: seeds[run.block]))
    by_length = deque(longest)
    left = sum(costs[run.key] for run in runs)
    ordered: dict[str, Run] = {}
    while in_turn:
        alone = costs[by_length[0].key] * workers >= left
        run = by_length[0] if alone else in_turn[0]
        ordered[run.key] = run
        left -= costs[run.key]
        for queue in (in_turn, by_length):
            _drop_taken(queue, ordered)
    return list(ordered.values())


def wall_seconds(runs: Sequence[Run], seconds: Mapping[str, float], costs: Mapping[str, float], workers: int) -> float:
    """The seconds until the last of `runs` has ended, which take `seconds` each, by key: a free worker takes the next.

    `costs` and `workers` order them as `order_runs` does.
    """
    ends = [0.0] * workers
    for run in order_runs(runs, costs, workers):
        heapq.heapreplace(ends, ends[0] + seconds[run.key])
    return max(ends)


def _drop_taken(queue: deque[Run], taken: Iterable[str]) -> None:
    while queue and queue[0].key in taken:
        queue.popleft()
