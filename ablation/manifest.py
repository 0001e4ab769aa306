"""study.json: what a study consists of and which run folders hold it, so that `report` needs no study file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from ablation.plan import Plan, slug
from ablation.record import SCHEMA_VERSION
from ablation.study import Variant


@dataclass(frozen=True)
class Arm:
    """One variant as it was run: its name, kind (baseline, vary, combine), changes (path -> value) and whole recipe."""

    name: str
    kind: str
    changes: Mapping[str, Any]
    recipe: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Manifest:
    """A study as it was run: its arms (the baseline first), its seeds, and the folder of each (variant, seed)."""

    name: str
    title: str
    question: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    folders: Mapping[str, Mapping[str, str]]
    """variant -> seed (as text) -> run folder below results/runs."""
    source: str
    overrides: tuple[str, ...]
    smoke: bool
    command: str
    schema_version: int = SCHEMA_VERSION

    @property
    def folder(self) -> str:
        return slug(self.name)

    @property
    def baseline(self) -> Arm:
        return self.arms[0]

    def run_folder(self, variant: str, seed: int) -> str:
        return self.folders[variant][str(seed)]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError or TypeError for a manifest of another shape."""
        own = {f.name: values[f.name] for f in fields(cls)}
        tuples = {key: tuple(values[key]) for key in ("seeds", "overrides")}
        return cls(**own | tuples | {"arms": tuple(Arm(**arm) for arm in values["arms"])})


def make_manifest(plan: Plan, command: str) -> Manifest:
    """The manifest of a plan; `command` is what the user typed, for the reader who wants to do it again."""
    study = plan.study
    folders: dict[str, dict[str, str]] = {}
    for run in plan.runs:
        folders.setdefault(run.variant, {})[str(run.seed)] = run.folder
    return Manifest(
        name=study.name,
        title=study.title,
        question=study.question,
        arms=tuple(_arm(variant) for variant in study.variants),
        seeds=study.seeds,
        folders=folders,
        source=study.source,
        overrides=study.overrides,
        smoke=study.smoke,
        command=command,
    )


def _arm(variant: Variant) -> Arm:
    return Arm(variant.name, variant.kind, dict(variant.changes), variant.recipe.canonical())
