"""study.json: what a study consists of and which run folders hold it, so that `report` needs no study file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from ablation.errors import UserError
from ablation.plan import Plan, slug, source_key
from ablation.record import SCHEMA_VERSION
from ablation.study import Variant


@dataclass(frozen=True)
class Arm:
    """One variant as it was run: its name, kind (`study.ArmKind`), changes (path -> value) and recipe."""

    name: str
    kind: str
    changes: Mapping[str, Any]
    recipe: Mapping[str, Mapping[str, Any]]
    exploratory: bool = False
    """Whether it was added after results of the study had been seen."""
    components: Mapping[str, bool] = field(default_factory=dict)
    """Which components of the study are on in it; empty for an arm that no design has."""


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
    analysis: Mapping[str, Any]
    """How the study speaks: metric, metric_stated, direction, margin, alpha."""
    components: Mapping[str, Any] = field(default_factory=dict)
    """Component -> its options when on and when off, and what it needs, as declared."""
    design: tuple[str, ...] = ()
    grids: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Grid -> variant -> the values of the options of the grid (path -> value), also for points declared elsewhere."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Data source (`plan.source_key`) -> the fingerprint of the images that its runs were trained on."""
    added_seeds: tuple[int, ...] = ()
    """Seeds that were added after results of the study had been seen."""
    looks: int = 1
    """How often the study could be judged: once, and once more for each time that seeds were added after a look."""
    file: str = ""
    """The path of the study file, relative to the results folder; empty where it was not recorded."""
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
        """The inverse of `to_json`. Raises UserError for a manifest of another shape."""
        try:
            own: dict[str, Any] = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            own |= {key: tuple(own[key]) for key in ("seeds", "overrides", "design", "added_seeds") if key in own}
            return cls(**own | {"arms": tuple(Arm(**arm) for arm in values["arms"])})
        except (KeyError, TypeError) as error:
            what = f"the study.json of {values.get('name')!r} is of another version ({error})"
            raise UserError(what, "run the study again") from None


def make_manifest(
    plan: Plan, command: str, seen: Manifest | None = None, *, judged: bool = False, file: str = ""
) -> Manifest:
    """The manifest of a plan; `command` is what the user typed, and `file` the path of the study file.

    `seen` is the manifest that the study had when results of it were there to be seen: variants that it does not have
    are marked as exploratory. `judged` says whether these allowed a verdict: seeds added after that are marked, and
    count as one more look.
    """
    study = plan.study
    new = tuple(seed for seed in study.seeds if seen and judged and seed not in seen.seeds)
    before = tuple(seed for seed in study.seeds if seen and seed in seen.added_seeds)
    known = {arm.name: arm.exploratory for arm in seen.arms} if seen else {}
    folders: dict[str, dict[str, str]] = {}
    for run in plan.runs:
        folders.setdefault(run.variant, {})[str(run.block)] = run.folder
    return Manifest(
        name=study.name,
        title=study.title,
        question=study.question,
        arms=tuple(_arm(variant, known.get(variant.name, seen is not None)) for variant in study.variants),
        seeds=study.seeds,
        folders=folders,
        source=study.source,
        overrides=study.overrides,
        smoke=study.smoke,
        command=command,
        analysis=study.analysis.resolved(),
        components={name: component.model_dump(mode="json") for name, component in study.components.items()},
        design=study.design,
        grids=study.grids,
        fingerprints={source_key(run.recipe.data): run.data_fingerprint for run in plan.runs},
        added_seeds=before + new,
        looks=(seen.looks if seen else 1) + bool(new),
        file=file,
    )


def _arm(variant: Variant, exploratory: bool) -> Arm:
    recipe = variant.recipe.canonical()
    components = dict(variant.components)
    return Arm(variant.name, variant.kind, dict(variant.changes), recipe, exploratory, components)
