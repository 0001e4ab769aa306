"""What trains the runs of a study: the built-in image classifier, or a function or a command of the user's own code.

A study file without `task` is about image classifiers. With one, its baseline holds any hyperparameters, and `metrics`
says which of the values that the code reports matter, and which way is better.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Strict, Tag, model_validator
from pydantic_core import PydanticCustomError

from ablation._util.hashing import slug
from ablation._util.nested import leaves
from ablation.errors import UserError
from ablation.registry.custom_names import well_formed
from ablation.registry.metric_names import Unit, guess
from ablation.registry.metrics import Direction, Metric
from ablation.registry.options import Section

RESERVED_METRICS = frozenset((
    "variant", "seed", "status", "epochs", "selected_epoch", "best_epoch", "folder", "device", "threads", "resumed",
    "epoch", "step", "stage", "parameters", "trainable_parameters", "macs", "train_images", "val_images",
    "train_seconds", "weights_sha256", "eval_seconds", "images_per_second", "peak_memory_mb",
    "skipped_steps",
))  # fmt: skip
"""Columns of the tables of runs and epochs that mean something else."""
IMAGES = "image_classification"
LONGEST_NAME = 100
_ROUNDING = 1e-6
"""Of its range, by which a value may be beyond it: in 32 bits, ten times a tenth is more than 1."""


class Task(Section):
    """What a function and a command have in common.

    `code` are files and folders whose content is part of each run's key: changed code is trained again. `smoke` holds
    the hyperparameters that `--smoke` overrides. `select` says which logged row is the result of a run that returns
    none itself: the last one, or the best by the primary metric.
    """

    kind: ClassVar[str]
    code: Annotated[tuple[str, ...], Strict(False)] = ()
    smoke: dict[str, Any] = Field(default_factory=dict)
    select: Literal["best", "last"] = "last"

    def key_fields(self) -> dict[str, Any]:
        """What of it is part of run keys: what decides what a run trains, its code apart."""
        kept = self.model_dump(mode="json", by_alias=True, exclude={"smoke", "code"}, exclude_defaults=True)
        return {"kind": self.kind, **kept}


class FunctionTask(Task):
    """A Python function `module:attribute`, called with the hyperparameters and the run: docs/functions.md."""

    kind = "function"
    function: Annotated[str, AfterValidator(lambda name: well_formed(name, "function", "train:main"))]

    @property
    def label(self) -> str:
        """What names its run folders."""
        return slug(self.function.replace(":", "-"))


class CommandTask(Task):
    """A command in any language, started once a run: docs/commands.md.

    `{args}` in it stands for the hyperparameters, written as `pass` says; `seed` is the name by which it takes the
    seed. `booleans` says how true and false are passed to argparse: `--amp` and `--no-amp` (negatable), `--amp` and
    nothing (flag), or `--amp true` (value). With `resume`, an interrupted run gets its own folder again.
    """

    kind = "command"
    command: Annotated[str, Field(min_length=1)]
    pass_: Annotated[Literal["argparse", "hydra", "env", "json"], Field(alias="pass")] = "argparse"
    seed: Annotated[str, Field(min_length=1)]
    booleans: Literal["negatable", "flag", "value"] = "negatable"
    resume: bool = False

    @model_validator(mode="after")
    def _can_be_passed(self) -> CommandTask:
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise PydanticCustomError(
                "command", "the command cannot be split into words: {e}", {"e": str(error)}
            ) from None
        if self.pass_ in ("argparse", "hydra") and "{args}" not in words:
            hint = f"for example command: {' '.join(words[:2])} {{args}}"
            raise PydanticCustomError("command", "the command has no {args} for its hyperparameters", {"hint": hint})
        return self

    @property
    def label(self) -> str:
        """What names its run folders: the script."""
        words = [word for word in shlex.split(self.command) if not word.startswith(("-", "{"))]
        scripts = [word for word in words if word.endswith(".py")]
        return slug(Path((scripts or words or ["command"])[0]).stem)


def _kind(value: object) -> str | None:
    """The tag of a task: the one of its keys that says what is run."""
    if isinstance(value, Task):
        return value.kind
    named = [kind for kind in ("function", "command") if isinstance(value, Mapping) and kind in value]
    return named[0] if len(named) == 1 else None


_UNKNOWN = "a task has either function or command"
AnyTask = FunctionTask | CommandTask
ChosenTask = Annotated[
    Annotated[FunctionTask, Tag("function")] | Annotated[CommandTask, Tag("command")],
    Discriminator(_kind, custom_error_type="task", custom_error_message=_UNKNOWN),
]
"""The task of a study file: a mapping with `function` or `command`."""


class MetricOptions(Section):
    """What a study says of a metric: which way is better; whether it is a share (0 to 1), a percentage, or neither."""

    direction: Direction
    unit: Unit = "raw"

    def metric(self, name: str) -> Metric:
        """The metric as the analysis knows it; percentages are read as fractions of 1."""
        known = guess(name)
        unit: Literal["share", "raw"] = "raw" if self.unit == "raw" else "share"
        loss = known.minimized and self.direction == "lower"
        return Metric(
            name,
            self.direction,
            unit,
            known.part,
            ceiling=1.0 if unit == "share" and self.direction == "higher" else None,
            minimized=loss,
            words=known.words,
        )

    def fault(self, name: str, value: float) -> str:
        """Why the unit cannot be that of a logged value; empty where it can."""
        top = {"share": 1, "percent": 100}.get(self.unit)
        if top is None or not math.isfinite(value) or -_ROUNDING * top <= value <= (1 + _ROUNDING) * top:
            return ""
        return f"{name} is {value:.9g}; in the unit {self.unit} it is between 0 and {top}"

    def read(self, value: float) -> float:
        """A logged value as it is analysed."""
        return value / 100 if self.unit == "percent" else value


def check_units(metrics: Mapping[str, float], declared: Mapping[str, MetricOptions], file: str) -> None:
    """Raise UserError where a value that a run reported cannot be in the unit that the study file declares."""
    for name, options in declared.items():
        if fault := options.fault(name, metrics.get(name, math.nan)):
            units = "percent, or raw" if options.unit == "share" else "raw"
            hint = (
                f"declare its unit as {units} in {file or 'the study file'} and run it again: nothing is trained again"
            )
            raise UserError(fault, hint)


def _plain_name(name: str) -> str:
    if name in RESERVED_METRICS or not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        context = {"name": name, "hint": "give it another name, also in the code that logs it"}
        raise PydanticCustomError("metric_name", "a metric cannot be named {name}", context)
    return name


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    for path, value in leaves(values):
        if isinstance(value, float) and not math.isfinite(value):
            context = {"what": path, "value": value, "hint": "use a finite number"}
            raise PydanticCustomError("finite", "{what} is {value}", context)
    return values


Hyperparameters = Annotated[dict[str, Any], AfterValidator(_finite)]
MetricTable = Annotated[
    dict[Annotated[str, AfterValidator(_plain_name)], MetricOptions], Field(min_length=1, max_length=50)
]


@dataclass(frozen=True)
class TaskRecipe:
    """The hyperparameters of one variant: what a function or a command is called with, without the seed."""

    task: AnyTask
    values: Mapping[str, Any] = field(hash=False)
    metrics: Mapping[str, MetricOptions] = field(default_factory=dict, hash=False)
    """The metrics that the study declares; they are no part of what is trained."""
    primary: str = ""

    def key_fields(self) -> dict[str, Any]:
        """What of the task decides what a run trains, and which of its rows is its result."""
        chosen = {"by": [self.primary, self.metrics[self.primary].direction]} if self.task.select == "best" else {}
        return {**self.task.key_fields(), **chosen}

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """The hyperparameters as plain values."""
        return dict(self.values)

    def flat(self) -> dict[str, object]:
        """Every hyperparameter by its dotted path."""
        return dict(leaves(self.values))

    def canonical(self) -> dict[str, Any]:
        """What is trained: two recipes are the same training exactly when these are equal."""
        return dict(self.values)


def paths(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every path that can be varied: those of the leaves, and of the mappings that hold them."""
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from paths(value, f"{prefix}{key}.")


def with_value(values: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """`values` with another value at a dotted path; a key that has a dot in it is found as it is."""
    first, _, rest = path.partition(".")
    if path in values or not rest:
        return {**values, path: value}
    inner = values.get(first)
    return {**values, first: with_value(inner if isinstance(inner, Mapping) else {}, rest, value)}
