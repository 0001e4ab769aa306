"""Where the noise of runs comes from, as numbers and in sentences: variance components, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ablation import stats
from ablation._util.language import commas, sentences, tr, tr_noop, trn
from ablation.registry.metrics import SELECTION
from ablation.results.noise import NoiseRuns
from ablation.stats import Component, VarianceComponents

ENOUGH_SEEDS = 20
"""From which on the interval of an SD is taken for narrow enough."""
INTERACTIONS, TOTAL = tr_noop("interactions"), tr_noop("total")


@dataclass(frozen=True)
class Noise:
    """The runs of a design, and the components of their variance."""

    runs: NoiseRuns
    components: VarianceComponents

    @property
    def sampling(self) -> float | None:
        """The binomial variance of an accuracy on so many validation images; None where these are not known."""
        runs, mean = self.runs, self.components.mean
        if runs.study.task or runs.metric.name != SELECTION or runs.images is None:
            return None
        return mean * (1 - mean) / runs.images


def describe_noise(runs: NoiseRuns) -> Noise:
    """The variance components of the runs of a design."""
    values, side = runs.values, runs.design.side
    squares = [values[start : start + side * side] for start in range(0, len(values), side * side)]
    table = [[square[row : row + side] for row in range(0, side * side, side)] for square in squares]
    return Noise(runs, stats.variance_components(table, len(runs.design.sources)))


def size(noise: Noise, sd: float) -> str:
    """A standard deviation with two digits, without its unit."""
    return f"{float(f'{noise.runs.metric.scale * sd:.2g}'):g}"


def with_unit(noise: Noise, sd: float) -> str:
    """A standard deviation with two digits and its unit."""
    own = size(noise, sd)
    if not noise.runs.metric.share:
        return own
    return tr("1 point") if own == "1" else tr("{size} points", size=own)


def interval(noise: Noise, own: Component) -> str:
    """The interval of the standard deviation of a component, without its unit."""
    return f"[{size(noise, own.low**0.5)}, {size(noise, own.high**0.5)}]"


def share(own: Component) -> str:
    """The share of a component in per cent, with its interval where it has one."""
    estimate = f"{100 * own.share:.0f} %"
    if own.share_low == own.share_high:
        return estimate
    return f"{estimate} [{100 * own.share_low:.0f}, {100 * own.share_high:.0f}]"


def advice(noise: Noise) -> tuple[str, ...]:
    """What was measured, what causes most of it, and what would reduce it."""
    if not noise.components.total.variance:
        return (
            tr("All {n:,} runs have the same {metric}: nothing that is drawn at random changes it.", **_counted(noise)),
        )
    found = [_spread(noise), _largest(noise), *_sampling(noise), _seeds(noise), *_width(noise), *_devices(noise)]
    return tuple(found)


def _counted(noise: Noise) -> dict[str, Any]:
    return {"n": len(noise.runs.values), "metric": noise.runs.metric.label}


def _spread(noise: Noise) -> str:
    total = noise.components.total
    return tr(
        "{n:,} runs: the SD of {metric} between runs is {sd} {interval}.",
        sd=with_unit(noise, total.variance**0.5),
        interval=interval(noise, total),
        **_counted(noise),
    )


def _largest(noise: Noise) -> str:
    """Which source has the largest component, or that interactions are larger."""
    rest = noise.components.interactions
    named = zip(noise.runs.design.sources, noise.components.sources, strict=True)
    source, own = max(named, key=lambda part: part[1].variance)
    name = tr(source.name)
    if rest.variance > own.variance:
        return tr(
            "{share} of the variance comes from interactions: what one source does depends on the others. The largest "
            "single source is {source}: {own}.",
            share=share(rest),
            source=name,
            own=share(own),
        )
    if own.low > 0:
        return tr("The largest source is {source}: {own} of the variance.", source=name, own=share(own))
    return tr(
        "The largest source is {source}, {own} of the variance, but so few seeds cannot tell it from none.",
        source=name,
        own=share(own),
    )


def _sampling(noise: Noise) -> Iterator[str]:
    """What more validation images would do: they reduce the binomial part of the variance, and no other.

    Given a trained network, the accuracy on n images drawn at random has the variance p (1 - p) / n.
    """
    variance, mean = noise.sampling, noise.components.mean
    if not variance:
        return
    total = noise.components.total
    part, least, most = (min(1.0, variance / own) for own in (total.variance, total.high, total.low))
    shown, accuracy = f"{100 * part:.0f} % [{100 * least:.0f}, {100 * most:.0f}]", f"{100 * mean:.1f} %"
    half, times = f"{50 * part:.0f} %", f"{1 / (1 - part / 2):.2g}"
    yield tr(
        "On {images:,} validation images, an accuracy of {accuracy} has a sampling SD of {sd} (binomial). That is "
        "about {part} of the variance, counted mostly under split and interactions.",
        images=noise.runs.images,
        accuracy=accuracy,
        sd=with_unit(noise, variance**0.5),
        part=shown,
    )
    yield tr(
        "Twice as many validation images, with no fewer training images, would reduce the variance of a run by about "
        "{half}. For the mean over seeds, that is worth {times} times as many seeds.",
        half=half,
        times=times,
    )


def _seeds(noise: Noise) -> str:
    sd = noise.components.total.variance**0.5
    return tr(
        "More seeds average all sources: the mean over {few} seeds has an SD of {first}, over {many} of {second}. The "
        "SD of differences between variants under the same seed is another one; the report of the study shows it.",
        few=5,
        first=with_unit(noise, sd / 5**0.5),
        many=20,
        second=with_unit(noise, sd / 20**0.5),
    )


def _width(noise: Noise) -> Iterator[str]:
    """How wide the intervals are, and what more seeds would cost, where these are few."""
    design, df = noise.runs.design, noise.components.df
    seeds, side = len(design.seeds), design.side
    if seeds >= ENOUGH_SEEDS:
        return
    more = -(-ENOUGH_SEEDS // side) * side
    now, then = stats.sd_factors(df), stats.sd_factors(more // side * (side - 1))
    yield tr(
        "Intervals from {seeds} seeds are wide: at best, the true SD of a source is {low:.1f} to {high:.1f} times its "
        "estimate. With --seeds {more} it is {less:.1f} to {most:.1f} times, for {runs:,} more runs.",
        seeds=seeds,
        low=now[0],
        high=now[1],
        more=more,
        less=then[0],
        most=then[1],
        runs=(more - seeds) * side,
    )


def _devices(noise: Noise) -> Iterator[str]:
    if len(noise.runs.devices) > 1:
        names = commas(noise.runs.devices)
        yield tr("The runs were trained on several devices ({devices}), which adds noise of its own.", devices=names)


def method(noise: Noise) -> str:
    """How the components were estimated."""
    side = noise.runs.design.side
    squares = len(noise.runs.design.seeds) // side
    design = trn(
        "The runs are {n:,} square of {side} x {side}, an orthogonal array of the seeds of the sources.",
        "The runs are {n:,} squares of {side} x {side}, each an orthogonal array of the seeds of the sources.",
        squares,
        side=side,
    )
    estimates = tr(
        "The components of the sources and of their interactions add up to the variance of a run. They are estimated "
        "by restricted maximum likelihood; their {level:g} % intervals are generalized confidence intervals, which "
        "assume normal effects.",
        level=100 * noise.components.level,
    )
    return sentences([design, estimates])


def noise_to_json(noise: Noise) -> dict[str, Any]:
    """Everything as plain values, in squared units of the metric as stored; an accuracy is a fraction of 1."""
    runs, components = noise.runs, noise.components
    names = [source.name for source in runs.design.sources]
    rows = zip(runs.design.runs, runs.design.levels, runs.values, strict=True)
    return {
        "schema_version": 1,
        "study": runs.study.name,
        "variant": runs.design.variant,
        "metric": runs.metric.name,
        "unit": runs.metric.unit,
        "seeds": list(runs.design.seeds),
        "level": components.level,
        "mean": components.mean,
        "sources": [
            {"source": name, "streams": list(source.streams), **asdict(own)}
            for name, source, own in zip(names, runs.design.sources, components.sources, strict=True)
        ],
        "idle": [source.name for source in runs.design.idle],
        "interactions": asdict(components.interactions),
        "total": asdict(components.total),
        "sampling_variance": noise.sampling,
        "validation_images": runs.images,
        "runs": [
            {"folder": run.folder, "seeds": dict(zip(names, seeds, strict=True)), "value": value}
            for run, seeds, value in rows
        ],
    }
