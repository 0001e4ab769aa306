"""Study -> Plan: the ordered runs, each with the content hash that names its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from ablation._util.hashing import canonical_json, slug
from ablation._util.sanitize import one_line
from ablation.planning.fixes import fixes_of
from ablation.registry.datasets import Data
from ablation.rng import Seed, Seeds
from ablation.study.code_files import code_digest
from ablation.study.custom_code import Code, custom_names, custom_parts
from ablation.study.networks import Model
from ablation.study.schema import AnyRecipe, Recipe, Study, Variant
from ablation.study.tasks import AnyTask, FunctionTask, TaskRecipe
from ablation.versions import TRAINING_VERSION

UNNAMED, RUN_SEED = "unnamed", "run.seed"
"""What a random stream without a name is called, and what a function draws from the seed of the run itself."""


@dataclass(frozen=True)
class Run:
    """One variant under one seed. Runs of equal `key` are the same training, whichever study asks for them."""

    variant: str
    block: int
    """The seed of the study that this run belongs to: runs of one block are compared with each other."""
    seed: int
    """The seed that it is trained under: that of its block, but for a control."""
    recipe: AnyRecipe
    data_fingerprint: str
    """The content of the data set that it is trained on; empty for functions and commands."""
    key: str
    folder: str
    weights: str = ""
    """What the weights that it starts from are (`fingerprint.weights_digest`); empty where it starts from none."""
    codes: Mapping[str, Code] = field(default_factory=dict, hash=False)
    """The code of its custom components (`module:attribute` -> code)."""
    code_digest: str = ""
    """That of the code files of a function or a command (`code_files.code_digest`)."""
    earlier: tuple[str, ...] = ()
    """The folders that it had before corrections that change its weights (`fixes`), the oldest first."""
    streams: Mapping[str, int] = field(default_factory=dict, hash=False)
    """The random streams that have another seed than the run (`with_streams`)."""

    @property
    def seeds(self) -> Seed:
        """What its random streams are derived from."""
        return Seeds(self.seed, self.streams) if self.streams else self.seed

    @property
    def identity(self) -> dict[str, Any]:
        """Its key and its seeds, as its folder keeps them."""
        return {"seed": self.seed, "key": self.key} | ({"streams": dict(self.streams)} if self.streams else {})

    @property
    def image_recipe(self) -> Recipe:
        """Its recipe, where the built-in image classifier trains it."""
        assert isinstance(self.recipe, Recipe)
        return self.recipe

    @property
    def task(self) -> AnyTask | None:
        """The function or command that trains it; None for the built-in image classifier."""
        return self.recipe.task if isinstance(self.recipe, TaskRecipe) else None

    @property
    def model_code(self) -> Code | None:
        """The code of its model, where that is a custom one."""
        return self.codes.get(self.image_recipe.model.name)

    @property
    def data_code(self) -> Code | None:
        """The code of its data set, where that is a custom one."""
        return self.codes.get(self.image_recipe.data.name)

    @property
    def label(self) -> str:
        other = "".join(f", {one_line(name) or UNNAMED} {seed}" for name, seed in self.streams.items())
        return f"{one_line(self.variant)} · seed {self.block}{other}"


@dataclass(frozen=True)
class Plan:
    """All runs of a study, seed by seed, so that a study cut short still has whole pairs."""

    study: Study
    runs: tuple[Run, ...]


def source_key(data: Data) -> str:
    """What distinguishes two data sources: the options that decide which images there are (not how they are used)."""
    used = {"validation", "augment", "fraction", "limit"}
    return canonical_json({k: v for k, v in data.model_dump(mode="json").items() if k not in used})


def fingerprint(data: Data, codes: Mapping[str, Code], part: Literal["train", "test"] = "train") -> str:
    """The fingerprint of one part of a data set. Raises UserError where it is not there."""
    code = codes.get(data.name)
    return data.fingerprint(part, code.identity if code else "")


def data_sources(study: Study) -> dict[str, Data]:
    """Every distinct data source of the study, by `source_key`."""
    return {source_key(recipe.data): recipe.data for recipe in _recipes(study)}


def _recipes(study: Study) -> list[Recipe]:
    """The recipes of a study of image classifiers, that of the baseline last; none of functions and commands."""
    return [variant.recipe for variant in reversed(study.variants) if isinstance(variant.recipe, Recipe)]


def weights_key(model: Model) -> str:
    """What distinguishes two sets of initial weights: the file, or the model with DEFAULT weights; empty for none."""
    return "" if model.weights == "none" else model.checkpoint or model.name


def weights_sources(study: Study) -> dict[str, Model]:
    """A model for each of the weights that the study starts from, by `weights_key`."""
    models = {weights_key(recipe.model): recipe.model for recipe in _recipes(study)}
    return {key: model for key, model in models.items() if key}


def code_sources(study: Study) -> list[str]:
    """The names of the custom components, in the order of the study; that of the function that it consists of."""
    if study.task:
        return [study.task.function] if isinstance(study.task, FunctionTask) else []
    return list(dict.fromkeys(name for variant in study.variants for name in custom_names(variant.recipe.canonical())))


def make_plan(
    study: Study,
    fingerprints: Mapping[str, str],
    weights: Mapping[str, str] = MappingProxyType({}),
    code: Mapping[str, Code] = MappingProxyType({}),
) -> Plan:
    """The runs of `study`.

    `fingerprints` gives the content fingerprint of each of its `data_sources`, `weights` that of its `weights_sources`,
    `code` that of its `code_sources`.
    """
    known = {"": "", **weights}
    prepared = []
    digest = code_digest(study.task, code.values()) if study.task else ""
    trained = _trained(study.baseline.recipe, code, digest)
    for variant in study.variants:
        if isinstance(variant.recipe, TaskRecipe):
            configuration = f"{trained}|{canonical_json(variant.recipe.canonical())}"
            prepared.append((variant, "", "", dict(code), variant.recipe.task.label, configuration))
        else:
            data, model = variant.recipe.data, variant.recipe.model
            prepared.append(_prepare(variant, fingerprints[source_key(data)], known[weights_key(model)], code))
    runs = [_run(*parts, block, digest) for block in study.seeds for parts in prepared]
    return Plan(study, tuple(runs))


def _trained(recipe: AnyRecipe, code: Mapping[str, Code], digest: str) -> str:
    """What of a function or a command decides what its runs train, its code included; empty for image classifiers."""
    if isinstance(recipe, Recipe):
        return ""
    own = [own.identity for own in code.values()]
    return canonical_json({**recipe.key_fields(), "code": [*own, digest]})


def _prepare(
    variant: Variant, fingerprint: str, weights: str, code: Mapping[str, Code]
) -> tuple[Variant, str, str, dict[str, Code], str, str]:
    """The variant, its data, weights and code, the start of its folders' names, and what is trained.

    Weights and code are part of that by their content, wherever they are.
    """
    recipe = variant.image_recipe
    sections = recipe.canonical()
    if weights:
        sections["model"]["weights"] = weights
    codes = {name: code[name] for name in custom_names(sections)}
    for _, part in list(custom_parts(sections)):
        part["code"] = codes[part["name"]].identity
    name = f"{slug(recipe.model.name)}-{slug(recipe.data.name)}"
    return variant, fingerprint, weights, codes, name, canonical_json(sections)


def _run(
    variant: Variant,
    fingerprint: str,
    weights: str,
    codes: dict[str, Code],
    name: str,
    configuration: str,
    block: int,
    digest: str,
) -> Run:
    seed = block + variant.seed_offset
    parts = (configuration, str(seed), fingerprint, str(TRAINING_VERSION))
    markers = [fix.marker for fix in fixes_of(variant.recipe)] if isinstance(variant.recipe, Recipe) else []
    keys = [_key(*parts, *markers[:count]) for count in range(len(markers) + 1)]
    *earlier, folder = (f"{name}-s{seed}-{key}" for key in keys)
    own = (variant.name, block, seed, variant.recipe, fingerprint)
    return Run(*own, keys[-1], folder, weights, codes, digest, tuple(earlier))


def with_streams(run: Run, streams: Mapping[str, int]) -> Run:
    """The run with seeds of their own for some of its random streams: another training, under another key.

    It is the run itself where none of them differs from the seed of the run.
    """
    other = {name: seed for name, seed in streams.items() if seed != run.seed}
    if not other:
        return run
    key = _key(run.key, "streams", canonical_json(other))
    return replace(run, key=key, folder=f"{run.folder.removesuffix(run.key)}{key}", earlier=(), streams=other)


def _key(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
