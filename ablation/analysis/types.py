"""What an analysis says of a study, as frozen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ablation._util.language import tr_noop
from ablation.analysis.look_types import Sequential
from ablation.analysis.measure import Measure
from ablation.data.summary import DataSummary
from ablation.storage.record import Environment
from ablation.study.follow_up import FollowUp

Verdict = Literal["better", "worse", "not_detected", "equivalent", "identical", "unstable", "no_claim"]


@dataclass(frozen=True)
class SeedResult:
    """One run of a variant. `accuracy` is its validation accuracy as a fraction of 1, `value` the primary metric.

    Both are there only where the run finished, `value` only where it is not `chance` either, which counts as diverged.
    `difference` is that of `value` to the baseline under the same seed; `epochs` counts the epochs on disk.
    """

    seed: int
    status: str
    accuracy: float | None
    value: float | None
    difference: float | None
    epochs: int
    selected_epoch: int | None
    chance: bool = False


@dataclass(frozen=True)
class Confound:
    """A quantity in which a variant differs from the baseline beside its change, as `parameters`; both amounts.

    `declared` where the change itself is, or plainly entails, that quantity.
    """

    quantity: str
    own: float
    baseline: float
    declared: bool
    pairs: int = 0
    """Of a time: the pairs of runs, trained side by side, that it was measured on."""

    @property
    def share(self) -> float:
        """Own amount over that of the baseline."""
        return self.own / self.baseline


@dataclass(frozen=True)
class StudyWarning:
    """A warning: `code` names the mistake, `variant` is None where it concerns the whole study."""

    code: str
    variant: str | None
    message: str
    hint: str


@dataclass(frozen=True)
class VerdictText:
    """The verdict on a variant in parts: what a table calls it, and what else is said of it there.

    `size` is by how much a better or worse variant differs, with its interval; `within` where that is in the margin.
    """

    head: str = ""
    size: str = ""
    note: str = ""
    within: bool = False


@dataclass(frozen=True)
class Effect:
    """One variant: its change, the metric over its seeds, and the cost of training it.

    `mean` and `sd` (ddof 1) are over the `n` runs with a value; `difference` is the mean over `pairs` seeds of the
    variant and the baseline. [low, high] is simultaneous over the family and p adjusted for it, by `method`; `reason`
    says why there is none. `paired_p` is the Holm-adjusted paired t on the variant's own variance, `flips_agree`
    whether the sign-flip check comes to the same (from 10 seeds), `networks_p` the Holm-adjusted McNemar p of two
    networks (one seed). `identical`: trained to the very weights of the baseline under every shared seed, so that there
    is nothing to test. `clipped`: an end of the interval was cut at the range of the metric. Metrics are in their own
    unit, times seconds, memory MiB; None where unknown.
    """

    variant: str
    kind: str
    change: str
    runs: tuple[SeedResult, ...]
    n: int
    diverged: int
    crashed: int
    unfinished: int
    mean: float | None
    sd: float | None
    difference: float | None
    pairs: int
    parameters: int | None
    macs: int | None
    train_images: int | None
    train_seconds: float | None
    epoch_seconds: float | None
    images_per_second: float | None
    peak_memory_mb: float | None
    at_chance: int = 0
    exploratory: bool = False
    low: float | None = None
    high: float | None = None
    p: float | None = None
    method: str | None = None
    reason: str | None = None
    paired_p: float | None = None
    sign_flip_p: float | None = None
    flips_agree: bool | None = None
    networks_p: float | None = None
    screened: bool = False
    incomplete: bool = False
    identical: bool = False
    clipped: bool = False
    verdict: Verdict | None = None
    words: str = ""
    """The verdict in words."""
    verdict_text: VerdictText = VerdictText()
    """The same in parts."""
    confounds: tuple[Confound, ...] = ()

    @property
    def failed(self) -> int:
        """Runs that diverged or ended at chance."""
        return self.diverged + self.at_chance

    @property
    def ended(self) -> int:
        """Runs that were trained to their end, whatever came of them."""
        return self.n + self.failed

    @property
    def differences(self) -> dict[int, float]:
        """Seed -> difference from the baseline, for the seeds that both finished."""
        return {run.seed: run.difference for run in self.runs if run.difference is not None}

    @property
    def conditional(self) -> bool:
        """Whether the mean stands only for those runs that did not diverge."""
        return self.failed > 0 and self.n > 0


@dataclass(frozen=True)
class HeldOut:
    """One variant on the test set: mean and SD (ddof 1) of the accuracy over `n` runs, as fractions of 1.

    `difference` is the mean over the `pairs` seeds that the variant and the baseline share; None where there are none.
    """

    variant: str
    n: int
    mean: float | None
    sd: float | None
    difference: float | None
    pairs: int


@dataclass(frozen=True)
class TestSet:
    """What the evaluations on the test set gave: how many images, when (UTC, ISO 8601), and each variant's accuracy."""

    images: int
    times: tuple[str, ...]
    rows: tuple[HeldOut, ...]

    __test__ = False  # not a test, whatever pytest reads from its name


@dataclass(frozen=True)
class Interaction:
    """What two changes do together beyond the sum of what each does alone; NaN-free, None where it was not tested."""

    variant: str
    parts: tuple[str, str]
    n: int
    estimate: float
    low: float | None
    high: float | None
    p: float | None
    detected: bool


@dataclass(frozen=True)
class FactorialEffect:
    """An effect of the components of a factorial, in the unit of the metric, averaged over the other components.

    Of one component it is the main effect, on minus off; of two, by how much the effect of one is larger with the
    other on; and so on. [low, high] is simultaneous over all effects of the factorial, and p is adjusted for them.
    """

    components: tuple[str, ...]
    estimate: float
    low: float
    high: float
    p: float
    detected: bool


@dataclass(frozen=True)
class ShapleyValue:
    """What a component adds, averaged over all orders of switching the components on, with its simultaneous interval.

    `share` is its fraction of the total as (value, low, high); None where the total is not clearly different from 0.
    """

    component: str
    estimate: float
    low: float
    high: float
    share: tuple[float, float, float] | None


@dataclass(frozen=True)
class Factorial:
    """A factorial design: each combination as (variant, components that are on), and the seeds that have all of them.

    `effects` are the main effects in the order of the study file, then the interactions by their number of components.
    `total` is the difference between all components on and all off, as (estimate, low, high). Where `reason` says why
    nothing can be tested, there are no effects.
    """

    components: tuple[str, ...]
    cells: tuple[tuple[str, tuple[str, ...]], ...]
    seeds: tuple[int, ...] = ()
    effects: tuple[FactorialEffect, ...] = ()
    values: tuple[ShapleyValue, ...] = ()
    total: tuple[float, float, float] | None = None
    reason: str = ""

    def of(self, number: int) -> tuple[FactorialEffect, ...]:
        """The effects of so many components."""
        return tuple(own for own in self.effects if len(own.components) == number)


@dataclass(frozen=True)
class TrendTest:
    """The trend of the metric over a sweep.

    `rise` is the change of the fitted straight line from the lowest level to the highest, `bow` by how much the curve
    is above that line's chord halfway; each is (estimate, low, high, p), or None where it was not tested. `page_p` is
    Page's two-sided p. `left_out` are levels without a value that can be trusted.
    """

    path: str
    name: str
    levels: tuple[float, ...]
    left_out: tuple[float, ...]
    n: int
    rise: tuple[float, float, float, float] | None
    bow: tuple[float, float, float, float] | None
    page_p: float | None


@dataclass(frozen=True)
class DataCurve:
    """error = a f^-b + c over the fraction f of the training data: (value, low, high) each, errors in the unit stored.

    `double` is the error predicted at twice the largest fraction observed, `miss` the largest distance of a mean error
    from the curve, at the fraction `miss_at`.
    """

    fractions: tuple[float, ...]
    n: int
    a: tuple[float, float, float]
    b: tuple[float, float, float]
    c: tuple[float, float, float]
    double: tuple[float, float, float]
    miss: float
    miss_at: float
    on_bound: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """By how much choosing the best overstates the chosen, in the unit of the metric; None where it is unknown.

    `epochs` is the optimism of the best of `of_epochs` epochs of a run, `winner` that of the best of `of_variants`.
    """

    epochs: float | None
    of_epochs: int
    winner: float | None
    of_variants: int


@dataclass(frozen=True)
class Design:
    """How the comparison was made, and what it can detect.

    `seeds` and `comparisons` are planned, `n`, `k` and `df` those of the pooled error; `residual_sd` is the SD of the
    variant x seed error of one run. `detectable_sds` is the smallest effect at 80 % power of the planned design in
    residual SDs, `detectable` that of the pool in the unit of the metric; None where nothing can be detected.
    """

    seeds: int
    comparisons: int
    n: int
    k: int
    df: int
    critical_value: float | None
    residual_sd: float | None
    detectable_sds: float | None
    detectable: float | None
    baseline_screened: bool
    networks: bool


@dataclass(frozen=True)
class Facts:
    """Counts over the whole study; `seconds` is the training time of all finished and diverged runs together.

    `test_evaluations` says how often the study was evaluated on the test set.
    """

    variants: int
    seeds: tuple[int, ...]
    runs: int
    finished: int
    diverged: int
    crashed: int
    interrupted: int
    missing: int
    devices: tuple[str, ...]
    seconds: float
    test_evaluations: int = 0
    added_seeds: tuple[int, ...] = ()
    """Seeds that were added after results had been seen."""
    damaged: int = 0

    @property
    def done(self) -> int:
        return self.finished + self.diverged

    @property
    def open(self) -> int:
        return self.runs - self.done


@dataclass(frozen=True)
class ProblemRun:
    """A run that has no result as planned: its state and why."""

    variant: str
    seed: int
    status: str
    epoch: int
    reason: str
    folder: str
    details: str = ""
    """The traceback of a crash."""


@dataclass(frozen=True)
class Sweep:
    """A numeric option that the study tries at three values or more: (value, variant), by rising value."""

    path: str
    name: str
    levels: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Setup:
    """What the baseline was trained on and where; None or empty before any of its runs is done.

    `environments` counts the runs of each distinct environment, the most frequent first.
    """

    recipe: tuple[tuple[str, str], ...]
    budget: str
    select: str
    image: tuple[int, int, int] | None
    classes: tuple[str, ...]
    train_images: int | None
    val_images: int | None
    fingerprints: tuple[str, ...]
    environments: tuple[tuple[Environment, int], ...]
    started: str | None
    finished: str | None
    data_summary: DataSummary | None = None


@dataclass(frozen=True)
class Secondary:
    """A metric beside the primary one: every variant with its mean and its difference, without a verdict."""

    measure: Measure
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class Analysis:
    """Everything that the report says, apart from the curves. The baseline is the first of `effects`."""

    measure: Measure
    alpha: float
    margin: float | None
    headline: str
    effects: tuple[Effect, ...]
    design: Design
    selection: Selection
    interactions: tuple[Interaction, ...]
    trends: tuple[TrendTest, ...]
    data_curve: DataCurve | None
    warnings: tuple[StudyWarning, ...]
    facts: Facts
    setup: Setup
    sweeps: tuple[Sweep, ...]
    problem_runs: tuple[ProblemRun, ...]
    looks: int = 1
    """Numbers of seeds under which the family could be judged: more than one where seeds were added later."""
    test: TestSet | None = None
    """None before the test set was evaluated."""
    secondary: tuple[Secondary, ...] = ()
    sequential: Sequential | None = None
    """The looks of a sequential study; None where the number of seeds is fixed."""
    factorial: Factorial | None = None
    """None unless the design is a factorial of two components or more."""
    follow_up: FollowUp | None = None

    @property
    def family_wise_bound(self) -> float:
        """Upper bound of the family-wise error: alpha for each look (union bound)."""
        return min(1.0, self.looks * self.alpha)

    @property
    def bound_with_earlier(self) -> float:
        """Upper bound of the family-wise error of this study and of those before it (union bound)."""
        return min(1.0, self.family_wise_bound + (self.follow_up.spent if self.follow_up else 0.0))

    @property
    def metric(self) -> str:
        """The column of the primary metric."""
        return self.measure.column

    @property
    def method(self) -> str:
        """How the family was compared, in short."""
        return method_of(self.variants, self.design)

    @property
    def baseline(self) -> Effect:
        return self.effects[0]

    @property
    def variants(self) -> tuple[Effect, ...]:
        return self.effects[1:]

    def effect(self, variant: str) -> Effect:
        """Raises KeyError for a name that is no variant of the study."""
        for effect in self.effects:
            if effect.variant == variant:
                return effect
        raise KeyError(variant)


def method_of(variants: Sequence[Effect], design: Design) -> str:
    """How the family was compared: the commonest method of its variants, or none."""
    if design.networks and any(effect.networks_p is not None for effect in variants):
        return tr_noop("exact McNemar test of two trained networks, Holm")
    used = [effect.method for effect in variants if effect.method]
    common = max(sorted(set(used)), key=used.count, default="none")
    return tr_noop("guarded blocked Dunnett") if common == "blocked Dunnett" else common
