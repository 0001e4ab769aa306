"""The looks of a sequential study while it is run: which runs are needed, and what is said of each look.

Nothing heavy is imported before there is a sequential study: `status` reads this too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablation._util.formatting import plural
from ablation.storage.manifest import Manifest
from ablation.storage.store import Store

if TYPE_CHECKING:
    from ablation.analysis.sequential import Followed
    from ablation.stats import SequentialResult


def follow(store: Store, manifest: Manifest) -> Followed | None:
    """What the finished runs of a sequential study decide; None for one of a fixed number of seeds."""
    if manifest.sequential is None:
        return None
    from ablation.analysis.sequential import follow  # with pandas and scipy, which other studies do without
    from ablation.results.runs import load_results

    return follow(load_results(store, manifest))


def needed_folders(store: Store, manifest: Manifest) -> frozenset[str] | None:
    """The run folders that the looks of a sequential study need; None where a study needs all of its runs."""
    followed = follow(store, manifest)
    return None if followed is None else frozenset(manifest.run_folder(*run) for run in followed.needed)


def look_line(found: SequentialResult, number: int = 0) -> str:
    """A complete look in a line, the last one by default: `look 2 of 4 (5 seeds): 3 of 8 variants decided; 5 go on`."""
    number = number or len(found.looks)
    look, family = found.looks[number - 1], len(found.required) - 1
    decided = sum(len(own.decided) for own in found.looks[:number])
    head = f"look {number} of {len(found.design.looks)} ({look.seeds} seeds)"
    what = f"{head}: {decided} of {plural(family, 'variant')} decided"
    left = found.looks[number].variants if number < len(found.looks) else found.go_on
    if left:
        return f"{what}; {len(left)} {'goes' if len(left) == 1 else 'go'} on"
    last = number == len(found.design.looks)
    return f"{what}; this was the last look" if last else f"{what}; no more runs are needed"


def status_line(found: SequentialResult) -> str:
    """How far the looks are, in a line."""
    if found.looks:
        return look_line(found)
    return (
        f"look 1 of {len(found.design.looks)} ({found.design.looks[0]} seeds) is not complete: nothing is decided yet"
    )


def decisions(found: SequentialResult) -> tuple[str, ...]:
    """What is decided of the baseline, which is nothing, and of each variant: `detected at look 2`, or nothing."""
    said = [""]
    for variant in range(len(found.required) - 1):
        look, decision = found.last_look(variant), found.decision(variant)
        said.append(f"{decision} at look {look.number}" if look and decision else "")
    return tuple(said)
