"""Studies that ask the same, or nearly the same, with other seeds, fewer epochs, or fewer variants."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ablation.planning.plan import Plan, make_plan, source_key, weights_key
from ablation.study.load import CONTROL_OFFSET, load_study
from ablation.study.schema import Recipe, Study
from ablation.study.tasks import TaskRecipe


def with_seeds(study: Study, count: int) -> Study:
    """The study under so many seeds: its own first, then the smallest numbers that are none of them."""
    own = study.seeds[:count]
    taken = {*study.seeds, *(seed + CONTROL_OFFSET for seed in study.seeds)}
    free = (n for n in itertools.count() if n not in taken and n + CONTROL_OFFSET not in taken)
    return replace(study, seeds=(*own, *itertools.islice(free, count - len(own))))


def seed_list(seeds: Sequence[int]) -> str:
    """Seeds as `--seeds` takes them: `0-4`, or `0,1,7-9`."""
    parts: list[str] = []
    for _, group in itertools.groupby(enumerate(seeds), key=lambda pair: pair[1] - pair[0]):
        run = [seed for _, seed in group]
        parts += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run)
    return ",".join(parts)


def budget_option(study: Study) -> str:
    """The option that holds the length of the training; empty where there is none, or where it is that of stages."""
    recipe = study.baseline.recipe
    if isinstance(recipe, TaskRecipe) or recipe.train.stages:
        return ""
    return "train.epochs" if recipe.train.epochs else "train.steps"


def shortened(study: Study, divisor: int) -> tuple[Study, int] | None:
    """The study with a fraction of its epochs or steps, and how many these are; None where it cannot have fewer.

    Variants that have a length of their own keep it. Raises UserError where the shorter study is not valid.
    """
    option, recipe = budget_option(study), study.baseline.recipe
    if not option or not isinstance(recipe, Recipe):
        return None
    length = (recipe.train.epochs or recipe.train.steps or 0) // divisor
    if not length:
        return None
    shorter = load_study(Path(study.file), overrides=(*study.overrides, f"{option}={length}"))
    return replace(shorter, seeds=study.seeds), length


def plan_again(plan: Plan, study: Study) -> Plan:
    """The plan of a study of the same data, weights and code as that of `plan`: these are not looked at again."""
    images = [run for run in plan.runs if not run.task]
    prints = {source_key(run.image_recipe.data): run.data_fingerprint for run in images}
    weights = {weights_key(run.image_recipe.model): run.weights for run in images if run.weights}
    return make_plan(study, prints, weights, {name: code for run in plan.runs for name, code in run.codes.items()})
