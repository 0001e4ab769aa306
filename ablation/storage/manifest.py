"""study.json: what a study consists of and which run folders hold it, so that `report` needs no study file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from ablation._util.hashing import canonical_json, slug
from ablation._util.nested import leaves
from ablation.errors import UnreadableError, UserError
from ablation.planning.plan import Plan, source_key
from ablation.storage.record import Number
from ablation.storage.sealed import typed
from ablation.storage.store import Store, is_folder_name, read_json
from ablation.storage.stored_run import Identity
from ablation.study.follow_up import FollowUp
from ablation.study.report_options import ReportOptions
from ablation.study.schema import Study, Variant
from ablation.study.tasks import MetricOptions, TaskRecipe
from ablation.versions import SCHEMA_VERSION

REWRITE = "run the study again: the damaged file is set aside and written again"
_EARLIER_CONTROL = 1_000_000
"""The seed offset of every control in a study.json that does not say it."""


@dataclass(frozen=True)
class StoredVariant:
    """One variant as it was run: its name, kind (`study.VariantKind`), changes (path -> value) and recipe."""

    name: str
    kind: str
    changes: Mapping[str, Any]
    recipe: Mapping[str, Any]
    exploratory: bool = False
    """Whether it was added after results of the study had been seen."""
    components: Mapping[str, bool] = field(default_factory=dict)
    """Which components of the study are on in it; empty for an variant that no design has."""
    seed_offset: int | None = None
    """Added to each seed of the study to get the seed that is trained under; None in a file that does not say it."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Every option of the recipe by its dotted path."""
        return dict(leaves(self.recipe))

    def trained_seed(self, seed: int) -> int:
        """The seed that its run of a seed of the study is trained under."""
        earlier = _EARLIER_CONTROL if self.kind == "control" else 0
        return seed + (earlier if self.seed_offset is None else self.seed_offset)


@dataclass(frozen=True)
class _Settings:
    """What `Manifest.analysis` holds on disk."""

    metric: str
    direction: Literal["higher", "lower"]
    margin: Annotated[float, Field(gt=0)] | None
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    metric_stated: bool = True


@dataclass(frozen=True)
class Sequential:
    """How a sequential study stops: the numbers of seeds at its looks, and the rules (`analysis` of a study file)."""

    looks: tuple[int, ...]
    spending: Literal["obrien_fleming", "pocock"]
    futility: Literal["none", "conditional_power"]


@dataclass(frozen=True)
class _Data:
    name: str
    augment: tuple[Any, ...]


@dataclass(frozen=True)
class _Train:
    batch_size: Number
    select: Literal["best", "last"]
    epochs: Number | None
    steps: Number | None


@dataclass(frozen=True)
class _Part:
    name: str


@dataclass(frozen=True)
class _Recipe:
    """What the report takes by name from a recipe on disk."""

    data: _Data
    model: _Part
    optimizer: _Part
    schedule: _Part
    train: _Train


@dataclass(frozen=True)
class Manifest:
    """A study as it was run: its variants (the baseline first), its seeds, and the folder of each (variant, seed)."""

    name: str
    title: str
    question: str
    variants: tuple[StoredVariant, ...]
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
    """Seeds that were added after results of the study had been seen, also those that are no longer in it."""
    dropped_seeds: tuple[int, ...] = ()
    """Seeds that were taken out of a study with a fixed number of seeds after results of it had been seen."""
    dropped_variants: tuple[str, ...] = ()
    """Variants that were taken out then, but for exploratory ones, which are exploratory again when they come back."""
    looks: Number = 1
    """How often the study could be judged: once, and once more for each time that seeds were added after a look."""
    metrics: tuple[str, ...] = ()
    """Metrics that are computed from the predictions of finished runs."""
    task: Mapping[str, Any] = field(default_factory=dict)
    """What trains its runs (`Task.key_fields`); empty for the built-in image classifier."""
    declared: Mapping[str, MetricOptions] = field(default_factory=dict)
    """The metrics that a function or a command reports."""
    file: str = ""
    """The path of the study file, relative to the results folder; empty where it was not recorded."""
    follow_up: FollowUp | None = None
    """The study that it follows up."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """How the report is written (`ReportOptions`), as far as the study says it."""
    sequential: Sequential | None = None
    """The looks of a sequential study; None where the number of seeds is fixed."""
    schema_version: int = SCHEMA_VERSION

    @property
    def of_images(self) -> bool:
        """Whether its runs were trained by the built-in image classifier."""
        return bool(self.baseline.recipe) and not self.task

    def train_of(self, variant: StoredVariant) -> Mapping[str, Any]:
        """The `train` section of a variant of an image classifier; empty for functions and commands."""
        own: Mapping[str, Any] = {} if self.task else variant.recipe.get("train", {})
        return own

    @property
    def folder(self) -> str:
        return slug(self.name)

    @property
    def baseline(self) -> StoredVariant:
        return self.variants[0]

    @property
    def report_options(self) -> ReportOptions:
        """How the report is written. Raises UnreadableError where that cannot be read."""
        return self._report_options("the study.json")

    def _report_options(self, what: str) -> ReportOptions:
        known = {key: value for key, value in self.report.items() if key in ReportOptions.model_fields}
        return typed(ReportOptions, known, f"report in {what}", REWRITE)

    def run_folder(self, variant: str, seed: int) -> str:
        return self.folders[variant][str(seed)]

    def to_json(self) -> dict[str, Any]:
        """Plain values. On disk the variants are called `arms`, as in every version so far."""
        follow_up = self.follow_up.model_dump(mode="json") if self.follow_up else None
        declared = {name: own.model_dump() for name, own in self.declared.items()}
        plain = {**asdict(self), "declared": declared, "follow_up": follow_up}
        if self.sequential is None:  # as in every version without looks
            del plain["sequential"]
        return {"arms" if key == "variants" else key: value for key, value in plain.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], what: str = "the study.json") -> Self:
        """The inverse of `to_json`. Raises UnreadableError for a manifest of another shape; `what` names it."""
        named = {"variants" if key == "arms" else key: value for key, value in values.items()}
        manifest = typed(cls, named, what, REWRITE)
        typed(_Settings, manifest.analysis, f"analysis in {what}", REWRITE)
        manifest._report_options(what)
        for variant in manifest.variants if not manifest.task else ():
            train = typed(_Recipe, variant.recipe, f"the recipe of {variant.name!r} in {what}", REWRITE).train
            if (train.epochs is None) == (train.steps is None):
                raise UnreadableError(
                    f"{what} is damaged: the budget of {variant.name!r} is not epochs or steps", REWRITE
                )
        if fault := manifest._fault():
            raise UnreadableError(f"{what} is damaged: {fault}", REWRITE)
        return manifest

    def _fault(self) -> str:
        """What is missing of it, or leads elsewhere."""
        names = [variant.name for variant in self.variants]
        if not self.seeds or not names or len(set(names)) < len(names) or len(set(self.seeds)) < len(self.seeds):
            return "its variants or its seeds are missing, or are listed twice"
        for name in names:
            lacking = [seed for seed in self.seeds if str(seed) not in self.folders.get(name, {})]
            if lacking:
                return f"it has no folder for {name!r}, seed {lacking[0]}"
        looks = self.sequential.looks if self.sequential else ()
        if self.sequential and (len(looks) < 2 or looks[0] < 2 or any(b <= a for a, b in pairwise(looks))):
            return "its looks are not growing numbers of seeds"
        if looks and looks[-1] != len(self.seeds):
            return "its last look is not at all of its seeds"
        for own in self.folders.values():
            for folder in own.values():
                if not is_folder_name(folder):
                    return f"{folder!r} is not the name of a run folder"
        return ""

    def runs(self) -> Iterator[tuple[StoredVariant, int, str, Identity]]:
        """Every run: its variant, its seed in the study, the name of its folder, and what must be in there."""
        primary = str(self.analysis["metric"]) if self.task else ""
        for variant in self.variants:
            recipe = canonical_json(variant.recipe)
            for seed in self.seeds:
                folder = self.run_folder(variant.name, seed)
                key, trained = folder.rpartition("-")[2], variant.trained_seed(seed)
                yield variant, seed, folder, Identity(key, trained, recipe, primary)


def read_manifest(path: Path) -> Manifest:
    """The manifest in a study.json.

    Raises UnreadableError where it cannot be trusted, and UserError where it is of another schema version.
    """
    manifest = Manifest.from_json(read_json(path, REWRITE), str(path))
    if manifest.folder != path.parent.name:
        raise UnreadableError(f"{path} is that of another study, {manifest.name!r}", REWRITE)
    return manifest


def read_studies(store: Store) -> tuple[list[Manifest], dict[Path, UserError]]:
    """Every study on disk, the one run last first, and why the study.json of others cannot be read."""
    studies: list[Manifest] = []
    faults: dict[Path, UserError] = {}
    files = list((store.root / "studies").glob("*/study.json"))
    for path in sorted(files, key=lambda p: (-p.stat().st_mtime_ns, p)):
        try:
            studies.append(read_manifest(path))
        except UserError as error:
            faults[path] = error
    return studies, faults


def make_manifest(
    plan: Plan, command: str, seen: Manifest | None = None, *, judged: bool = False, file: str = ""
) -> Manifest:
    """The manifest of a plan; `command` is what the user typed, and `file` the path of the study file.

    `seen` is the manifest that the study had when results of it were there to be seen: variants that it does not have
    are marked as exploratory. `judged` says whether these allowed a verdict: seeds added after that are marked, and
    count as one more look. So do looks, or the rules by which they decide, that were changed then. Seeds and variants
    that were taken out then are marked until they are back.
    """
    study, sequential = plan.study, _sequential(plan.study)
    rules = _rules(sequential, study.analysis.resolved())
    changed = seen is not None and judged and _rules(seen.sequential, seen.analysis) != rules
    new = tuple(seed for seed in study.seeds if seen and judged and seed not in (*seen.seeds, *seen.dropped_seeds))
    before = seen.added_seeds if seen else ()
    known = dict.fromkeys(seen.dropped_variants, False) if seen else {}
    known |= {variant.name: variant.exploratory for variant in seen.variants} if seen else {}
    folders: dict[str, dict[str, str]] = {}
    for run in plan.runs:
        folders.setdefault(run.variant, {})[str(run.block)] = run.folder
    return Manifest(
        name=study.name,
        title=study.title,
        question=study.question,
        variants=tuple(_stored(variant, known.get(variant.name, seen is not None)) for variant in study.variants),
        seeds=study.seeds,
        folders=folders,
        source=study.source,
        overrides=study.overrides,
        smoke=study.smoke,
        command=command,
        analysis=study.analysis.resolved(),
        metrics=study.metrics or tuple(study.declared),
        task=recipe.key_fields() if isinstance(recipe := study.baseline.recipe, TaskRecipe) else {},
        declared=study.declared,
        components={name: component.model_dump(mode="json") for name, component in study.components.items()},
        design=study.design,
        grids=study.grids,
        fingerprints={source_key(run.image_recipe.data): run.data_fingerprint for run in plan.runs if not run.task},
        added_seeds=before + new,
        dropped_seeds=_dropped_seeds(study, seen, judged=judged),
        dropped_variants=_dropped_variants(study, seen, judged=judged),
        looks=(seen.looks if seen else 1) + (bool(new) or changed),
        file=file,
        follow_up=study.follow_up,
        report=study.report.model_dump(mode="json", exclude_defaults=True),
        sequential=sequential,
    )


def _dropped_seeds(study: Study, seen: Manifest | None, *, judged: bool) -> tuple[int, ...]:
    """A change of the looks of a sequential study counts as one more look instead."""
    if seen is None or study.looks or seen.sequential:
        return ()
    known = (*seen.dropped_seeds, *(seen.seeds if judged else ()))
    return tuple(sorted(set(known) - set(study.seeds)))


def _dropped_variants(study: Study, seen: Manifest | None, *, judged: bool) -> tuple[str, ...]:
    if seen is None:
        return ()
    known = (*seen.dropped_variants, *(own.name for own in seen.variants if judged and not own.exploratory))
    there = {own.name for own in study.variants}
    return tuple(name for name in dict.fromkeys(known) if name not in there)


def _sequential(study: Study) -> Sequential | None:
    return Sequential(study.looks, *study.analysis.stopping) if study.looks else None


def _rules(sequential: Sequential | None, analysis: Mapping[str, Any]) -> object:
    """What decides at the looks of a study; nothing where it has none."""
    return (sequential, dict(analysis)) if sequential else None


def _stored(variant: Variant, exploratory: bool) -> StoredVariant:
    recipe = variant.recipe.canonical()
    components = dict(variant.components)
    changes, offset = dict(variant.changes), variant.seed_offset
    return StoredVariant(variant.name, variant.kind, changes, recipe, exploratory, components, offset)
