"""What follows from the numbers of an analysis."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ablation.analysis.compare as compare
from ablation.analysis.types import Confound, Facts, method_of
from tests.analysis.made import effect


def test_runs_that_diverged_or_learned_nothing_have_failed() -> None:
    own = effect("a", n=2, diverged=1, at_chance=2)
    assert own.failed == 3
    assert own.conditional
    assert not replace(own, n=0).conditional
    assert not effect("a", n=2).conditional
    assert effect("a", n=1, diverged=1).conditional
    assert effect("a", {0: 0.1, 1: None, 2: -0.2}).differences == {0: 0.1, 2: -0.2}


def test_runs_that_are_not_done_are_open() -> None:
    facts = Facts(2, (0, 1), 6, finished=2, diverged=1, crashed=1, interrupted=1, missing=1, devices=(), seconds=0.0)
    assert (facts.done, facts.open) == (3, 3)


def test_a_confound_is_the_share_of_the_baseline() -> None:
    assert Confound("steps", 30.0, 20.0, False).share == 1.5


@pytest.mark.parametrize(
    ("methods", "text"),
    [
        (("blocked Dunnett", "paired t, Bonferroni", "blocked Dunnett"), "guarded blocked Dunnett"),
        (("paired t, Holm", "paired t, Holm", None), "paired t, Holm"),
        ((None, None), "none"),
        ((), "none"),
    ],
)
def test_the_method_is_the_commonest_of_the_variants(methods: tuple[str | None, ...], text: str) -> None:
    design = compare.design(None, 3, len(methods), False)
    effects = [effect(str(place), method=method) for place, method in enumerate(methods)]
    assert method_of(effects, design) == text
    assert method_of(effects, replace(design, networks=True)) == text


def test_one_seed_is_compared_by_mcnemar_where_there_are_predictions() -> None:
    design = compare.design(None, 1, 2, True)
    assert method_of([effect("a"), effect("b", networks_p=0.3)], design).startswith("exact McNemar")
    assert method_of([effect("a"), effect("b", networks_p=0.3)], replace(design, networks=False)) == "none"
