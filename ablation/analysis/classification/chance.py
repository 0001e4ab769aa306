"""Accuracy held against guessing: runs that are no better count as diverged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ablation.registry.metrics import METRICS, SELECTION
from ablation.results.runs import Results

AT_CHANCE = "at_chance"
"""The column of a table of runs that says which of them are."""


def at_chance(results: Results) -> frozenset[tuple[str, int]]:
    """The finished runs whose validation accuracy is not above that of guessing: they count as diverged.

    A table from elsewhere may say so in a column `at_chance`, as our own runs.csv does.
    """
    done = results.runs[results.runs["status"] == "finished"]
    lost = set()
    if AT_CHANCE in done:
        lost = {
            (str(v), int(s)) for v, s in done.loc[done[AT_CHANCE] == 1, ["variant", "seed"]].itertuples(index=False)
        }
    for row in done.to_dict("records") if results.records else ():
        run = (str(row["variant"]), int(row["seed"]))
        limit = chance_limit(row, len(results.records[run].classes) if run in results.records else 0)
        if limit is not None and float(row[SELECTION]) <= limit:
            lost.add(run)
    return frozenset(lost)


def chance_limit(row: Mapping[Any, Any], classes: int) -> float | None:
    """The accuracy that guessing one of `classes` stays below in 99 of 100 validation sets of this size."""
    images = row.get("val_images")
    if classes < 2 or images is None or not images > 0:
        return None
    chance = METRICS[SELECTION].chance
    assert chance is not None
    guess = chance(classes)
    return guess + 2.326 * math.sqrt(guess * (1 - guess) / float(images))
