"""Custom data sets: their code is run, and its errors are reported with their place in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch

from ablation.data.custom import FORMS, Returned
from ablation.data.decoding import Progress, Source
from ablation.data.image_folder import Part
from ablation.errors import UserError
from ablation.registry.datasets import CustomData
from ablation.rng import seed_foreign
from ablation.study.custom_code import Code
from ablation.study.import_code import explained, load_attribute


@dataclass(frozen=True)
class CustomSource:
    """A custom data set with its code; `classes` are those that its test part must have."""

    data: CustomData
    code: Code
    classes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.data.name

    def open(self, part: Part, progress: Progress) -> Source:
        """Call `attribute(part, **options)`, under fixed seeds.

        Raises UserError with the place in the user's code where it fails, or says what it should return.
        """
        seed_foreign(0)
        torch.manual_seed(0)
        returned = Returned(self.name, part, self.classes)
        try:
            with self._explained(part):
                value = load_attribute(self.code, self.name)(part, **self.data.options)
        except UserError as error:
            if part == "test":
                raise self._no_test_part(error.message) from error
            raise
        if value is None and part == "test":
            raise self._no_test_part("it returned None")
        with self._explained(part):
            source = returned.source(value, progress)
        return replace(source, blocks=self._guarded(source.blocks, part))

    def _guarded(self, blocks: Iterator[Any], part: Part) -> Iterator[Any]:
        """The blocks, which call the code of a Dataset."""
        with self._explained(part):
            yield from blocks

    def _explained(self, part: Part) -> AbstractContextManager[None]:
        return explained(self.code, self.name, f"{part!r} and {dict(self.data.options)}")

    def _no_test_part(self, cause: str) -> UserError:
        return UserError(f"{self.name} has no test part: {cause}", f"for the part 'test', {FORMS}")
