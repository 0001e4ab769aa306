"""Under which seeds a study trains: a list, a number of them, or looks, which say when variants are decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Strict, Tag
from pydantic_core import PydanticCustomError

from ablation.registry.options import Section

MOST_SEEDS = 100_000
MOST_LOOKS = 20
_EXAMPLE = "for example looks: [3, 5, 8, 12]"


def _count_to_list(value: object) -> object:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        return value
    return list(range(min(value, MOST_SEEDS + 1)))


def _distinct(values: tuple[int, ...]) -> tuple[int, ...]:
    twice = sorted(value for value, number in Counter(values).items() if number > 1)
    if twice:
        raise PydanticCustomError(
            "distinct", "seed {seed} is listed twice", {"seed": twice[0], "hint": "list each seed once"}
        )
    return values


def _growing(looks: tuple[int, ...]) -> tuple[int, ...]:
    if len(looks) < 2:
        hint = f"list two or more, {_EXAMPLE}; for a single one write the number of seeds, as in seeds: 5"
        raise PydanticCustomError("looks", "a study that is looked at once needs no looks", {"hint": hint})
    for place, (before, after) in enumerate(pairwise(looks), start=1):
        if after <= before:
            context = {"seeds": after, "before": before, "hint": f"list growing numbers of seeds, {_EXAMPLE}"}
            raise PydanticCustomError(
                "looks", "a look at {seeds} seeds cannot follow one at {before}", {**context, "place": (place,)}
            )
    if looks[0] < 2:
        context = {"hint": "let the first look have at least 2 seeds; with 3 its verdicts are not tentative"}
        raise PydanticCustomError("looks", "nothing can be decided at a look of one seed", {**context, "place": (0,)})
    return looks


class Looks(Section):
    """The numbers of seeds, counted from 0, at which the variants are judged; those that are decided stop there."""

    looks: Annotated[
        tuple[Annotated[int, Field(ge=1, le=MOST_SEEDS)], ...],
        Strict(False),
        Field(max_length=MOST_LOOKS),
        AfterValidator(_growing),
    ]


Listed = Annotated[
    tuple[Annotated[int, Field(ge=0, le=10**15)], ...],
    Strict(False),
    BeforeValidator(_count_to_list, json_schema_input_type=int | list[int]),
    Field(min_length=1, max_length=MOST_SEEDS),
    AfterValidator(_distinct),
]


def _form(value: object) -> str:
    return "in stages" if isinstance(value, Mapping | Looks) else "listed"


Seeds = Annotated[Annotated[Listed, Tag("listed")] | Annotated[Looks, Tag("in stages")], Discriminator(_form)]
"""The seeds of a study file."""
