"""Where the noise of a recipe comes from: what it draws at random, and the runs that tell these sources apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ablation import stats
from ablation._util.language import tr_noop
from ablation.errors import UserError
from ablation.planning.plan import with_streams
from ablation.planning.run import RUN_SEED, UNNAMED, Run
from ablation.registry import catalog
from ablation.registry.torchvision_names import PREFIX
from ablation.study.custom_code import custom_names
from ablation.study.networks import Model
from ablation.study.schema import Recipe

_WITHOUT_DROPOUT = ("resnet", "resnext", "wide_resnet")
"""How the names of torchvision's networks begin that have no dropout and no stochastic depth."""
_DROPOUTS = ("dropout", "feature_dropout", "input_dropout", "dropconnect")


@dataclass(frozen=True)
class Source:
    """A source of randomness, and the random streams that a run draws for it; nothing is drawn where it has none.

    `base` marks what a function draws from the seed of the run itself.
    """

    name: str
    streams: tuple[str, ...]
    base: bool = False

    @property
    def drawn(self) -> bool:
        """Whether a run depends on it."""
        return self.base or bool(self.streams)


@dataclass(frozen=True)
class NoiseDesign:
    """The runs of one variant that tell its `sources` apart, square by square (`stats.square_levels`).

    `levels` has for each run the seeds of the sources, in their order. `idle` are those that draw nothing.
    """

    variant: str
    sources: tuple[Source, ...]
    idle: tuple[Source, ...]
    seeds: tuple[int, ...]
    side: int
    runs: tuple[Run, ...]
    levels: tuple[tuple[int, ...], ...]


def image_sources(recipe: Recipe) -> tuple[Source, ...]:
    """What an image classifier draws at random."""
    data, mixup, custom = recipe.data, recipe.train.mixup > 0, bool(custom_names(recipe.canonical()))
    return (
        _source(tr_noop("split"), {"limit": data.limit is not None, "split": True, "fraction": data.fraction < 1}),
        _source(tr_noop("order"), {"order": True}),
        _source(
            tr_noop("augmentation"), {"augment": bool(data.augment), "mixup share": mixup, "mixup partners": mixup}
        ),
        _source(tr_noop("initial weights"), {"init": True, "custom": custom}),
        _source(tr_noop("dropout"), {"layers": _may_drop(recipe.model)}),
    )


def _source(name: str, streams: Mapping[str, bool]) -> Source:
    """A source with those of its streams that the recipe draws."""
    return Source(name, tuple(stream for stream, drawn in streams.items() if drawn))


def _may_drop(model: Model) -> bool:
    """Whether the layers of a network draw random numbers, or may do so in code that is not ours."""
    if model.name in catalog.MODELS:
        return any(getattr(model, name) > 0 for name in _DROPOUTS)
    known = model.name in catalog.TORCHVISION and model.name.removeprefix(PREFIX).startswith(_WITHOUT_DROPOUT)
    return not known


def function_sources(drawn: Iterable[str]) -> tuple[Source, ...]:
    """What a function draws at random: from each of its named streams, and from the seed of the run itself.

    Raises UserError where there are not two of them to be told apart, or too many.
    """
    names = list(dict.fromkeys(drawn))
    base = [Source(RUN_SEED, (), base=True)] if RUN_SEED in names else []
    sources = (*base, *(Source(name or UNNAMED, (name,)) for name in names if name != RUN_SEED))
    hint = 'draw each source from a stream of its own: run.generator("order"), run.torch_generator("init")'
    if not sources:
        raise UserError("the function draws nothing from its seed", hint)
    if len(sources) == 1:
        what = "run.seed" if base else f"the stream {sources[0].name!r}"
        raise UserError(f"the function draws everything from {what}: its sources of noise cannot be told apart", hint)
    if len(sources) > stats.SQUARE_SIDES[-1]:
        shown, most = ", ".join(source.name for source in sources[:4]), stats.SQUARE_SIDES[-1]
        what = f"the function draws from {len(sources)} streams or more ({shown}, ...)"
        same = "names with the same first word are one stream: run.generator(f'order {epoch}')"
        raise UserError(f"{what}, and {most} are the most that can be told apart", same)
    return sources


def chosen_seeds(own: Sequence[int], sources: Sequence[Source], count: int | None) -> tuple[int, ...]:
    """So many seeds: those of the study, and more after them where it has too few. By default those of one square.

    Raises UserError where they do not fill squares.
    """
    side = stats.square_side(sum(source.drawn for source in sources))
    count = side if count is None else count
    if count % side:
        fitting = ", ".join(str(side * number) for number in (1, 2, 4))
        raise UserError(f"--seeds {count}: the runs are planned in squares of {side} seeds", f"use {fitting}, ...")
    seeds = list(own[:count])
    while len(seeds) < count:
        seeds.append(max(seeds) + 1)
    return tuple(seeds)


def design_noise(variant: str, sources: Sequence[Source], ordinary: Sequence[Run]) -> NoiseDesign:
    """The design for `sources`; `ordinary` are the runs of the variant in which one seed drives all, seed by seed.

    Of each square, the first `side` runs are these.
    """
    active = tuple(source for source in sources if source.drawn)
    seeds, side = tuple(run.seed for run in ordinary), stats.square_side(len(active))
    places = stats.square_levels(side, len(active)).reshape(-1, len(active)).tolist()
    squares = [ordinary[start : start + side] for start in range(0, len(ordinary), side)]
    chosen = [tuple(square[place] for place in own) for square in squares for own in places]
    levels = tuple(tuple(run.seed for run in own) for own in chosen)
    runs = tuple(_run(own[0], active, level) for own, level in zip(chosen, levels, strict=True))
    idle = tuple(source for source in sources if not source.drawn)
    return NoiseDesign(variant, active, idle, seeds, side, runs, levels)


def _run(base: Run, sources: Sequence[Source], seeds: Sequence[int]) -> Run:
    """The run in which each source has its seed; that of the first one is the seed of the run."""
    pairs = zip(sources, seeds, strict=True)
    return with_streams(base, {stream: seed for source, seed in pairs for stream in source.streams})
