"""What differs between studies of image classifiers and of functions and commands while a study file is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError

from ablation._util.nested import leaves
from ablation.errors import UserError
from ablation.registry import catalog
from ablation.registry.custom_names import is_custom
from ablation.registry.metrics import EXTRAS
from ablation.study import code_files, custom_code, designs, task_file, tasks, validation_errors, variants
from ablation.study.schema import AnyRecipe, Recipe, StudyFile, Train
from ablation.study.strict_yaml import Loc
from ablation.study.task_file import TaskStudyFile
from ablation.study.tasks import AnyTask, CommandTask, FunctionTask, TaskRecipe

AnyFile = StudyFile | TaskStudyFile
SMOKE_IMAGES, SMOKE_EPOCHS, SMOKE_BATCH = 40, 1, 16


class RecipeFault(NamedTuple):
    """What is wrong with a recipe: where in the baseline, and whether something is only not on this machine."""

    place: Loc
    message: str
    hint: str | None
    absent: bool = False


class StudyKind(Protocol):
    """A kind of study file."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the file, but for the baseline."""
        ...

    @property
    def example(self) -> str:
        """An override of the baseline."""
        ...

    def file(self, raw: Mapping[str, Any]) -> AnyFile:
        """The file as its schema reads it. Raises ValidationError."""
        ...

    def faults(self, error: ValidationError, raw: Any) -> list[tuple[tuple[str | int, ...], bool, str, str | None]]:
        """Each error as (place in `raw`, whether its key is meant rather than its value, message, hint)."""
        ...

    def is_path(self, path: str) -> bool:
        """Whether it can be varied."""
        ...

    def path_hint(self, path: str) -> str:
        """What an unknown path was probably meant to be."""
        ...

    def with_change(self, sections: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]: ...
    def recipe(self, baseline: AnyRecipe, sections: Mapping[str, Any]) -> AnyRecipe: ...
    def label(self, path: str, value: object, recipe: AnyRecipe) -> str: ...
    def options_of(self, changes: Mapping[str, object]) -> set[str]: ...
    def extra_variables(self, baseline: AnyRecipe, recipe: AnyRecipe, path: str) -> list[str]: ...
    def recipe_faults(self, recipe: AnyRecipe, folder: Path) -> Iterator[RecipeFault]: ...
    def file_faults(self, file: AnyFile, folder: Path) -> Iterator[RecipeFault]: ...
    def smoke(self, recipe: AnyRecipe) -> AnyRecipe: ...


def kind_of(raw: Mapping[str, Any]) -> StudyKind:
    """The kind of a study file, by its `task`."""
    return ImageStudies(raw) if raw.get("task", tasks.IMAGES) == tasks.IMAGES else TaskStudies(raw)


class ImageStudies:
    """Studies of the built-in image classifier."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw

    @cached_property
    def _custom(self) -> bool:
        return validation_errors.names_code(self._raw)

    keys = tuple(name for name in StudyFile.model_fields if name != "baseline")

    example = "model.dropout=0.5"

    def file(self, raw: Mapping[str, Any]) -> StudyFile:
        return StudyFile.model_validate({key: value for key, value in raw.items() if key != "task"})

    def faults(self, error: ValidationError, raw: Any) -> list[tuple[tuple[str | int, ...], bool, str, str | None]]:
        return validation_errors.faults(error, raw)

    def is_path(self, path: str) -> bool:
        return validation_errors.is_known_path(path) or (self._custom and validation_errors.may_be_custom(path))

    def path_hint(self, path: str) -> str:
        known = (*self.keys, *validation_errors.known_paths())
        meant = validation_errors.meant_paths(path)
        hint = f"write {' or '.join(meant)}" if meant else catalog.suggestion(path, known)
        if len(hint) <= 200:
            return hint
        return f"name an option of the baseline, for example {catalog.nearest(path, known) or 'model.dropout'}"

    def with_change(self, sections: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
        return variants.with_change(sections, path, value)

    def recipe(self, baseline: AnyRecipe, sections: Mapping[str, Any]) -> Recipe:
        return Recipe.model_validate(sections)

    def label(self, path: str, value: object, recipe: AnyRecipe) -> str:
        return variants.label(path, value, _image(recipe))

    def options_of(self, changes: Mapping[str, object]) -> set[str]:
        return designs.options_of(changes)

    def extra_variables(self, baseline: AnyRecipe, recipe: AnyRecipe, path: str) -> list[str]:
        return variants.extra_variables(_image(baseline), _image(recipe), path)

    def recipe_faults(self, recipe: AnyRecipe, folder: Path) -> Iterator[RecipeFault]:
        recipe = _image(recipe)
        for path, message, hint in variants.contradictions(recipe):
            yield RecipeFault(tuple(path.split(".")), message, hint)
        for inside, part in custom_code.custom_parts(recipe.canonical()):
            try:
                custom_code.find(part["name"], folder)
            except UserError as error:
                yield RecipeFault((*inside, "name"), error.message, error.hint)
        weights = recipe.model.checkpoint
        if weights and not Path(weights).is_file():
            hint = "name a best.pt or last.pt; a path is relative to where you start `ablate`"
            yield RecipeFault(("model", "weights"), f"no checkpoint at {weights!r}", hint, absent=True)
        if missing := recipe.data.missing():
            yield RecipeFault(("data", "path"), *missing, absent=True)
        elif invalid := recipe.data.invalid():
            yield RecipeFault(("data", "path"), *invalid)

    def file_faults(self, file: AnyFile, folder: Path) -> Iterator[RecipeFault]:
        for path, message, hint in variants.without_effect(_image(file.baseline)):
            yield RecipeFault(("baseline", *path.split(".")), message, hint)

    def smoke(self, recipe: AnyRecipe) -> Recipe:
        recipe = _image(recipe)
        train = recipe.train.model_dump() | {"epochs": SMOKE_EPOCHS, "steps": None, "eval_every": None}
        train["batch_size"] = min(recipe.train.batch_size, SMOKE_BATCH)
        if recipe.train.stages:
            train["stages"] = [stage.model_copy(update={"epochs": SMOKE_EPOCHS}) for stage in recipe.train.stages]
            train["epochs"] = SMOKE_EPOCHS * len(recipe.train.stages)
        data = recipe.data.model_copy(update={"limit": min(recipe.data.limit or SMOKE_IMAGES, SMOKE_IMAGES)})
        return recipe.model_copy(update={"data": data, "train": Train.model_validate(train)})


class TaskStudies:
    """Studies of a function or a command: the baseline holds any hyperparameters, and only these can be varied."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        baseline = raw.get("baseline")
        self._paths = tuple(tasks.paths(baseline)) if isinstance(baseline, Mapping) else ()

    keys = tuple(name for name in task_file.fields() if name != "baseline")

    @property
    def example(self) -> str:
        return f"{next(iter(self._paths), 'lr')}=0.5"

    def file(self, raw: Mapping[str, Any]) -> TaskStudyFile:
        return TaskStudyFile.model_validate(raw)

    def faults(self, error: ValidationError, raw: Any) -> list[tuple[tuple[str | int, ...], bool, str, str | None]]:
        return validation_errors.task_faults(error, raw)

    def is_path(self, path: str) -> bool:
        return path in self._paths

    def path_hint(self, path: str) -> str:
        if not self._paths:
            return "the baseline has no options: add it there with its value"
        return f"{catalog.suggestion(path, self._paths)}; an option that is varied has a value in the baseline"

    def with_change(self, sections: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
        return tasks.with_value(sections, path, value)

    def recipe(self, baseline: AnyRecipe, sections: Mapping[str, Any]) -> TaskRecipe:
        assert isinstance(baseline, TaskRecipe)
        return replace(baseline, values=sections)

    def label(self, path: str, value: object, recipe: AnyRecipe) -> str:
        return f"{path.rpartition('.')[2]}={variants.show(value)}"

    def options_of(self, changes: Mapping[str, object]) -> set[str]:
        return {option for path, value in changes.items() for option, _ in leaves({path: value})}

    def extra_variables(self, baseline: AnyRecipe, recipe: AnyRecipe, path: str) -> list[str]:
        return []  # a change is of the declared path, or of what is in it

    def recipe_faults(self, recipe: AnyRecipe, folder: Path) -> Iterator[RecipeFault]:
        return iter(())

    def file_faults(self, file: AnyFile, folder: Path) -> Iterator[RecipeFault]:
        assert isinstance(file, TaskStudyFile)
        task = file.task
        if isinstance(task, FunctionTask):
            try:
                custom_code.find(task.function, folder)
            except UserError as error:
                yield RecipeFault(("task", "function"), error.message, error.hint)
        if isinstance(task, CommandTask) and not task.code and not code_files.script_of(task):
            hint = "list the files and folders with the code under code, so that changed code is trained again"
            yield RecipeFault(("task", "command"), "the command names no script that could be hashed", hint)
        for number, name in enumerate(task.code):
            if not Path(name).exists():
                hint = "a path is relative to where you start `ablate`"
                yield RecipeFault(("task", "code", number), f"there is no {name!r}", hint)

    def smoke(self, recipe: AnyRecipe) -> TaskRecipe:
        assert isinstance(recipe, TaskRecipe)
        if not recipe.task.smoke:
            hint = "add it to the task, for example smoke: {epochs: 1}"
            raise UserError("this study does not say how it is cut to a smoke run: its task has no `smoke`", hint)
        values = dict(recipe.values)
        for path, value in recipe.task.smoke.items():
            values = tasks.with_value(values, path, value)
        return replace(recipe, values=values)


def computed_metrics(file: AnyFile) -> tuple[str, ...]:
    """The metrics that are computed from stored predictions, each once."""
    if isinstance(file, TaskStudyFile):
        return ()
    primary = file.analysis.metric
    own = (primary,) if primary and (primary in EXTRAS or is_custom(primary)) else ()
    return tuple(dict.fromkeys((*file.metrics, *own)))


def task_of(file: AnyFile) -> AnyTask | None:
    """What trains the runs; None for the built-in image classifier."""
    return file.task if isinstance(file, TaskStudyFile) else None


def _image(recipe: AnyRecipe) -> Recipe:
    assert isinstance(recipe, Recipe)
    return recipe
