"""What an analysis says of a study, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from ablation.record import Environment


@dataclass(frozen=True)
class SeedResult:
    """One run of a variant. `accuracy` and `difference` are fractions of 1, present only where the run finished.

    `difference` is that to the baseline under the same seed; `epochs` counts the epochs on disk.
    """

    seed: int
    status: str
    accuracy: float | None
    difference: float | None
    epochs: int
    selected_epoch: int | None


@dataclass(frozen=True)
class Effect:
    """One variant: its change, the metric over its seeds, and the cost of training it.

    `mean` and `sd` (ddof 1) are over the `n` finished runs; `difference` is the mean over the `pairs` seeds that both
    the variant and the baseline finished. Metrics are fractions of 1, times seconds, memory MiB; None where unknown.
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

    @property
    def differences(self) -> dict[int, float]:
        """Seed -> difference from the baseline, for the seeds that both finished."""
        return {run.seed: run.difference for run in self.runs if run.difference is not None}

    @property
    def conditional(self) -> bool:
        """Whether the mean stands only for those runs that did not diverge."""
        return self.diverged > 0 and self.n > 0


@dataclass(frozen=True)
class Facts:
    """Counts over the whole study; `seconds` is the training time of all finished and diverged runs together."""

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

    @property
    def done(self) -> int:
        return self.finished + self.diverged

    @property
    def open(self) -> int:
        return self.runs - self.done


@dataclass(frozen=True)
class Trouble:
    """A run that has no result as planned: where it stands and why."""

    variant: str
    seed: int
    status: str
    epoch: int
    reason: str
    folder: str


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


@dataclass(frozen=True)
class Analysis:
    """Everything that the report says, apart from the curves. The baseline is the first of `effects`."""

    metric: str
    effects: tuple[Effect, ...]
    facts: Facts
    setup: Setup
    sweeps: tuple[Sweep, ...]
    troubles: tuple[Trouble, ...]

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
