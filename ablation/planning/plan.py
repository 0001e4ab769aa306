"""Study -> Plan: the ordered runs, each with the content hash that names its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from ablation._util.hashing import canonical_json, slug
from ablation.planning.fixes import fixes_of
from ablation.planning.run import Run
from ablation.registry.datasets import Data
from ablation.study.code_files import code_digest
from ablation.study.custom_code import Code, custom_names, custom_parts
from ablation.study.networks import Model
from ablation.study.schema import AnyRecipe, Recipe, Study, Variant
from ablation.study.tasks import FunctionTask, TaskRecipe
from ablation.versions import TRAINING_VERSION


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
            prepared.append(_Prepared(variant, variant.recipe.task.label, configuration, codes=dict(code)))
        else:
            data, model = variant.recipe.data, variant.recipe.model
            prepared.append(_prepare(variant, fingerprints[source_key(data)], known[weights_key(model)], code))
    runs = [own.run(block, digest) for block in study.seeds for own in prepared]
    return Plan(study, tuple(runs))


def _trained(recipe: AnyRecipe, code: Mapping[str, Code], digest: str) -> str:
    """What of a function or a command decides what its runs train, its code included; empty for image classifiers."""
    if isinstance(recipe, Recipe):
        return ""
    own = [own.identity for own in code.values()]
    return canonical_json({**recipe.key_fields(), "code": [*own, digest]})


@dataclass(frozen=True)
class _Prepared:
    """What all runs of a variant have in common: how the names of their folders begin, and what is trained on what."""

    variant: Variant
    name: str
    configuration: str
    data_fingerprint: str = ""
    weights: str = ""
    codes: Mapping[str, Code] = field(default_factory=dict)
    markers: tuple[str, ...] = ()
    """Of the corrections that change what its runs train, the oldest first."""

    def run(self, block: int, digest: str) -> Run:
        """The run of a seed of the study; `digest` is that of the code files of a function or a command."""
        seed = block + self.variant.seed_offset
        parts = (self.configuration, str(seed), self.data_fingerprint, str(TRAINING_VERSION))
        keys = [_key(*parts, *self.markers[:count]) for count in range(len(self.markers) + 1)]
        *earlier, folder = (f"{self.name}-s{seed}-{key}" for key in keys)
        own = (self.variant.name, block, seed, self.variant.recipe, self.data_fingerprint)
        return Run(*own, keys[-1], folder, self.weights, self.codes, digest, tuple(earlier))


def _prepare(variant: Variant, fingerprint: str, weights: str, code: Mapping[str, Code]) -> _Prepared:
    """A variant of image classifiers. Weights and code are part of what it trains by content, wherever they are."""
    recipe = variant.image_recipe
    sections = recipe.canonical()
    if weights:
        sections["model"]["weights"] = weights
    codes = {name: code[name] for name in custom_names(sections)}
    for _, part in list(custom_parts(sections)):
        part["code"] = codes[part["name"]].identity
    name = f"{slug(recipe.model.name)}-{slug(recipe.data.name)}"
    markers = tuple(fix.marker for fix in fixes_of(recipe))
    return _Prepared(variant, name, canonical_json(sections), fingerprint, weights, codes, markers)


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
