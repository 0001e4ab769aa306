"""The typed study: what a study file may say (pydantic models), and the variants that it declares.

The models are frozen and hold no derived values. `None` for an option of a model means "the model's own default"; it is
filled in by `Recipe.canonical`, which is what gets trained and hashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from ablation.registry.custom_names import ExtraMetric, PrimaryMetric
from ablation.registry.datasets import Data
from ablation.registry.metrics import SELECTION, known
from ablation.registry.optimizers import AnyOptimizer
from ablation.registry.options import (
    Count,
    NotNegative,
    Positive,
    Probability,
    Section,
    named,
)
from ablation.registry.schedules import AnySchedule, Constant
from ablation.study.designs import Component, Components, Designs, Grids
from ablation.study.follow_up import FollowUp
from ablation.study.lasting_keys import lasting
from ablation.study.networks import Choice, Model
from ablation.study.report_options import ReportOptions
from ablation.study.seeds import Looks, Seeds
from ablation.study.stages import ResolvedStage, Stage, check_stages, resolve_stages
from ablation.study.tasks import AnyTask, MetricOptions, TaskRecipe

Path = tuple[str | int, ...]
LogTarget = Literal["tensorboard", "mlflow"]
"""What runs can be logged to while they are trained, besides the results."""
Spending = Literal["obrien_fleming", "pocock"]
Futility = Literal["none", "conditional_power"]


class Train(Section):
    """The budget, in `epochs` or in `steps`, and how each step is made; `select` says which epoch is reported.

    `hold` says what a smaller `data.fraction` leaves as it is: the number of epochs, or that of steps. After `patience`
    epochs without a higher validation accuracy the run is over. `mixup` is the alpha of Zhang et al. 2018.
    """

    epochs: Count | None = None
    steps: Count | None = None
    eval_every: Count | None = None
    hold: Literal["epochs", "steps"] = "epochs"
    patience: Count | None = None
    batch_size: Count = 128
    label_smoothing: Probability = 0.0
    mixup: NotNegative = 0.0
    clip_norm: Positive | None = None
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    compile: Literal["none", "default", "reduce-overhead"] = "none"
    select: Literal["best", "last"] = "best"
    stages: Annotated[tuple[Stage, ...], Strict(False)] = ()

    @model_validator(mode="before")
    @classmethod
    def _sum_of_stages(cls, raw: Any) -> Any:
        """With stages, the epochs are theirs together and need not be given."""
        stages = raw.get("stages") if isinstance(raw, Mapping) else None
        if not stages or not isinstance(stages, list | tuple) or raw.get("epochs") is not None:
            return raw
        epochs = [stage.get("epochs") if isinstance(stage, Mapping) else None for stage in stages]
        whole = [number for number in epochs if isinstance(number, int)]
        return {**raw, "epochs": sum(whole)} if len(whole) == len(epochs) else {**raw, "epochs": 1}

    @model_validator(mode="after")
    def _whole_stages(self) -> Self:
        total = sum(stage.epochs for stage in self.stages)
        if self.stages and (self.steps is not None or self.epochs != total):
            hint = f"leave out epochs and steps: the stages have {total} epochs in total"
            raise PydanticCustomError("stages", "the budget differs from the sum of the stages", {"hint": hint})
        if self.stages and self.patience is not None:
            hint = "remove one of them"
            raise PydanticCustomError("stages", "patience cannot be combined with stages", {"hint": hint})
        return self

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            what = "both epochs and steps are given" if self.epochs else "neither epochs nor steps is given"
            raise PydanticCustomError(
                "budget", f"{what}: the budget is one of them", {"hint": "for example epochs: 30"}
            )
        if self.eval_every and self.steps is None:
            hint = "remove it, or give the budget as steps"
            raise PydanticCustomError("budget", "eval_every needs a budget in steps", {"hint": hint})
        return self


class Recipe(Section):
    """One complete training configuration, without its seed. A section is given by its name alone, or with options."""

    data: Data
    model: Annotated[Model, BeforeValidator(named, json_schema_input_type=Model | Choice)]
    optimizer: AnyOptimizer
    schedule: AnySchedule = Constant()
    train: Train

    @model_validator(mode="after")
    def _sound_stages(self) -> Self:
        check_stages(self.train.stages, self.optimizer)
        return self

    def flat(self) -> dict[str, object]:
        """Every option by its dotted path, as plain values."""
        sections = self.model_dump(mode="json") | {"model": self.model.flat()}
        flat = {f"{part}.{key}": value for part, options in sections.items() for key, value in options.items()}
        own: dict[str, object] = flat.pop("data.options", {})
        return flat | {f"data.options.{key}": value for key, value in own.items()}

    def stages(self, epochs: int) -> tuple[ResolvedStage, ...]:
        """The stages of the training, which has so many epochs; a single one where none are declared."""
        return resolve_stages(self.train.stages, epochs, self.model.freeze, self.optimizer, self.schedule)

    def canonical(self) -> dict[str, dict[str, Any]]:
        """What is trained: a model's own defaults filled in, options without effect on it unset, no place of the data.

        Options that were added after the first release are left out at their default (`lasting_keys`).

        Two recipes are the same training exactly when these are equal.
        """
        sections = self.model_dump(mode="json")
        sections["data"].pop("path", None)
        if self.data.fraction == 1:
            sections["train"]["hold"] = "epochs"
        stages = self.stages(0) if self.train.stages else ()
        sections["train"]["stages"] = [stage.model_dump(mode="json") for stage in stages]
        train = self.train.model_copy(update={"stages": stages})
        sections["model"] = self.model.canonical()
        return {
            key: lasting(key, train if key == "train" else getattr(self, key), own) for key, own in sections.items()
        }


class AnalysisOptions(Section):
    """How the study speaks.

    `metric` is the primary one, `direction` says which way is better, differences within `margin` do not matter (in the
    metric's unit: 0.01 is one point of accuracy), and `alpha` is the family-wise error. `spending` and `futility` say
    how a study with looks stops.
    """

    metric: PrimaryMetric | None = None
    direction: Literal["higher", "lower"] | None = None
    margin: Positive | None = None
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    spending: Spending | None = None
    futility: Futility | None = None

    @model_validator(mode="after")
    def _known_direction(self) -> Self:
        if self.metric and known(self.metric, self.direction).direction is None:
            what = f"whether more or less of {self.metric} is better is not known"
            raise PydanticCustomError("direction", "{what}", {"what": what, "hint": "add direction: higher, or lower"})
        return self

    @property
    def stopping(self) -> tuple[Spending, Futility]:
        """How alpha is spent over the looks of a study, and whether it stops for futility."""
        return self.spending or "obrien_fleming", self.futility or "none"

    def resolved(self) -> dict[str, Any]:
        """The options as plain values; a direction that is not given is that of the metric."""
        metric = self.metric or SELECTION
        direction = self.direction or known(metric).direction
        stated = self.metric is not None
        own = {"metric": metric, "metric_stated": stated, "direction": direction}
        return own | {"margin": self.margin, "alpha": self.alpha}


class CommonStudyFile(Section):
    """What every study file may say, whatever trains its runs."""

    study: Annotated[str, Field(min_length=1, max_length=200)] = ""
    title: str = ""
    question: str = ""
    seeds: Seeds
    vary: dict[str, list[Any]] = Field(default_factory=dict)
    combine: dict[str, dict[str, Any]] = Field(default_factory=dict)
    components: Components = Field(default_factory=dict)
    design: Designs = ()
    grid: Grids = Field(default_factory=dict)
    controls: Annotated[tuple[Literal["a/a"], ...], Strict(False)] = ()
    follow_up: FollowUp | None = None
    log: Annotated[tuple[LogTarget, ...], Strict(False)] = ()
    report: ReportOptions = ReportOptions()

    @property
    def every_seed(self) -> tuple[int, ...]:
        """The seeds, of a study with looks those of the last one."""
        return tuple(range(self.looks[-1])) if isinstance(self.seeds, Looks) else self.seeds

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of seeds at which variants are decided; none for a study of a fixed number."""
        return self.seeds.looks if isinstance(self.seeds, Looks) else ()


class StudyFile(CommonStudyFile):
    """The whole study file of an image classifier, as written."""

    baseline: Recipe
    metrics: Annotated[tuple[ExtraMetric, ...], Strict(False)] = ()
    analysis: AnalysisOptions = AnalysisOptions()


AnyRecipe = Recipe | TaskRecipe
VariantKind = Literal["baseline", "vary", "combine", "leave_one_out", "add_one_in", "factorial", "grid", "control"]


@dataclass(frozen=True)
class Variant:
    """One variant of the study: its name, the options that it changes (path -> value), and the recipe that results."""

    name: str
    changes: Mapping[str, object]
    recipe: AnyRecipe
    kind: VariantKind = "vary"
    where: Path = ()
    """Where the study file declares it."""
    seed_offset: int = 0
    """Added to each seed of the study to get the seed that is trained under; not 0 only for a control."""
    components: Mapping[str, bool] = field(default_factory=dict)
    """Which components of the study are on in it; empty for a variant that no design has."""

    @property
    def image_recipe(self) -> Recipe:
        """Its recipe, in a study of image classifiers."""
        assert isinstance(self.recipe, Recipe)
        return self.recipe


@dataclass(frozen=True)
class Study:
    """A checked study: the baseline first, then every variant, each under every seed."""

    name: str
    title: str
    question: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    source: str
    """The text of the study file."""
    overrides: tuple[str, ...] = ()
    """Command-line overrides of the file (`--set`, `--seeds`)."""
    smoke: bool = False
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)
    report: ReportOptions = field(default_factory=ReportOptions)
    metrics: tuple[str, ...] = ()
    """Those that are computed from the predictions of finished runs, the primary one among them where it is one."""
    components: Mapping[str, Component] = field(default_factory=dict)
    design: tuple[str, ...] = ()
    grids: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)
    """Grid -> variant -> the values of the options of the grid (path -> value), also for points declared elsewhere."""
    file: str = "study.yaml"
    """The path of the study file; the code that it names is next to it."""
    missing: tuple[str, ...] = ()
    """The data and weights that are not on this machine, each in words."""
    task: AnyTask | None = None
    """The function or command that trains its runs; None for the built-in image classifier."""
    declared: Mapping[str, MetricOptions] = field(default_factory=dict)
    """The metrics that a function or a command reports, the first of them the primary one unless it is stated."""
    follow_up: FollowUp | None = None
    """The study that it follows up."""
    log: tuple[LogTarget, ...] = ()
    """What runs are logged to; it changes nothing of them."""
    looks: tuple[int, ...] = ()
    """The numbers of seeds at which variants are decided; none for a study of a fixed number of seeds."""

    @property
    def baseline(self) -> Variant:
        return self.variants[0]


def changed(first: AnyRecipe, second: AnyRecipe) -> list[str]:
    """Paths of the options in which two recipes differ, as declared (a model's own defaults are not filled in)."""
    a, b = first.flat(), second.flat()
    return [path for path in {**a, **b} if a.get(path) != b.get(path)]
