"""A run: one variant under one seed. It loads nothing that only images need, since workers of functions load it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ablation._util.sanitize import one_line
from ablation.rng import Seed, Seeds
from ablation.study.tasks import AnyTask, TaskRecipe

if TYPE_CHECKING:
    from ablation.study.custom_code import Code
    from ablation.study.schema import AnyRecipe, Recipe

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
        assert not isinstance(self.recipe, TaskRecipe)
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
