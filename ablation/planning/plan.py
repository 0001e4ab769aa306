"""Study -> Plan: the ordered runs, each with the content hash that names its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ablation._util.hashing import canonical_json, slug
from ablation._util.sanitize import one_line
from ablation.planning.fixes import fixes_of
from ablation.registry.datasets import Data
from ablation.study.custom_models import Code
from ablation.study.networks import Model
from ablation.study.schema import Recipe, Study, Variant
from ablation.versions import TRAINING_VERSION


@dataclass(frozen=True)
class Run:
    """One variant under one seed. Runs of equal `key` are the same training, whichever study asks for them."""

    variant: str
    block: int
    """The seed of the study that this run belongs to: runs of one block are compared with each other."""
    seed: int
    """The seed that it is trained under: that of its block, but for a control."""
    recipe: Recipe
    data_fingerprint: str
    key: str
    folder: str
    weights: str = ""
    """What the weights that it starts from are (`fingerprint.weights_digest`); empty where it starts from none."""
    code: Code | None = None
    """The code of its network, where that is the user's own."""
    earlier: tuple[str, ...] = ()
    """The folders that it had before corrections that change its weights (`fixes`), the oldest first."""

    @property
    def label(self) -> str:
        return f"{one_line(self.variant)} · seed {self.block}"


@dataclass(frozen=True)
class Plan:
    """All runs of a study, seed by seed, so that a study cut short still has whole pairs."""

    study: Study
    runs: tuple[Run, ...]


def source_key(data: Data) -> str:
    """What tells two data sources apart: the options that decide which images there are (not how they are used)."""
    used = {"validation", "augment", "fraction", "limit"}
    return canonical_json({k: v for k, v in data.model_dump(mode="json").items() if k not in used})


def data_sources(study: Study) -> dict[str, Data]:
    """Every distinct data source of the study, by `source_key`."""
    return {source_key(variant.recipe.data): variant.recipe.data for variant in reversed(study.variants)}


def weights_key(model: Model) -> str:
    """What tells two weights to start from apart: the file, or the network whose DEFAULT they are; empty for none."""
    return "" if model.weights == "none" else model.checkpoint or model.name


def weights_sources(study: Study) -> dict[str, Model]:
    """A model for each of the weights that the study starts from, by `weights_key`."""
    models = {weights_key(variant.recipe.model): variant.recipe.model for variant in reversed(study.variants)}
    return {key: model for key, model in models.items() if key}


def code_sources(study: Study) -> list[str]:
    """The names of the networks of the user's own, in the order of the study."""
    names = (variant.recipe.model.name for variant in study.variants if variant.recipe.model.is_own)
    return list(dict.fromkeys(names))


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
    prepared = [
        _prepare(
            variant,
            fingerprints[source_key(variant.recipe.data)],
            known[weights_key(variant.recipe.model)],
            code[variant.recipe.model.name] if variant.recipe.model.is_own else None,
        )
        for variant in study.variants
    ]
    runs = [_run(*parts, block) for block in study.seeds for parts in prepared]
    return Plan(study, tuple(runs))


def _prepare(
    variant: Variant, fingerprint: str, weights: str, code: Code | None
) -> tuple[Variant, str, str, Code | None, str, str]:
    """The variant, its data, weights and code, the start of its folders' names, and what is trained.

    Weights and code are part of that by their content, wherever they lie.
    """
    sections = variant.recipe.canonical()
    if weights:
        sections["model"]["weights"] = weights
    if code:
        sections["model"]["code"] = code.identity
    name = f"{slug(variant.recipe.model.name)}-{slug(variant.recipe.data.name)}"
    return variant, fingerprint, weights, code, name, canonical_json(sections)


def _run(
    variant: Variant, fingerprint: str, weights: str, code: Code | None, name: str, configuration: str, block: int
) -> Run:
    seed = block + variant.seed_offset
    parts = (configuration, str(seed), fingerprint, str(TRAINING_VERSION))
    markers = [fix.marker for fix in fixes_of(variant.recipe)]
    keys = [_key(*parts, *markers[:count]) for count in range(len(markers) + 1)]
    *earlier, folder = (f"{name}-s{seed}-{key}" for key in keys)
    own = (variant.name, block, seed, variant.recipe, fingerprint)
    return Run(*own, keys[-1], folder, weights, code, tuple(earlier))


def _key(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
