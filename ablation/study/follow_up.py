"""What a study that follows up another one says of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

from ablation.registry.options import Section


class FollowUp(Section):
    """The study that is followed up, and what it and other follow-ups of it have used.

    `spent` is the bound of the family-wise error of all of them, which adds to that of this study; `seeds` are the
    seeds that they were trained under, none of which this study may have.
    """

    of: Annotated[str, Field(min_length=1, max_length=200)]
    spent: Annotated[float, Field(gt=0, le=1)]
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, le=10**16)], ...], Strict(False), Field(min_length=1, max_length=100_000)
    ]
