"""The figures of a report with their captions, each as inline SVG and as PNG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import ablation.report.captions as captions
import ablation.report.drawing as drawing
import ablation.report.figures as figures
import ablation.report.figures.style as style
import ablation.report.looks as look_words
from ablation._util.formatting import value
from ablation._util.language import clauses, commas, tr
from ablation.analysis import Analysis, Effect, Sweep
from ablation.report.blocks import Figure, Panel, Picture
from ablation.report.figures.sweeps import Metric

_FOREST_ROWS = 36
MOST_ROWS = 4 * _FOREST_ROWS
"""Rows of the plot of differences; of more variants, those with the largest differences are shown."""
_MOST_PATHS = 24
"""Variants whose path over the looks is drawn."""


def forest(effects: Sequence[Effect], analysis: Analysis) -> tuple[Picture, ...]:
    """The interval plots of these variants as files; none before any difference is known."""
    if not any(effect.pairs for effect in effects):
        return ()
    measure, shown = analysis.measure, largest(effects)
    limits = figures.forest_range(shown, measure)
    return tuple(
        drawing.picture(
            f"figures/forest-{number}.png",
            tr("Difference from the baseline. {rows}", rows=captions.describe_forest(part, measure)),
            style.drawable(partial(figures.forest, part, measure, limits)),
        )
        for number, part in enumerate(_parts(shown, _FOREST_ROWS), 1)
    )


def paper_forest(effects: Sequence[Effect], analysis: Analysis) -> Figure | None:
    """The same in a figure that fits a column; None before any difference is known."""
    shown = tuple(largest(effects))
    if not any(effect.pairs for effect in shown):
        return None
    measure = analysis.measure
    draw = partial(figures.forest, shown, measure, figures.forest_range(shown, measure), figures.COLUMN)
    title, rows = tr("Differences from the baseline"), captions.describe_forest(shown, measure)
    panel = Panel("", "", drawing.inline_svg(draw(), "forest", title, rows))
    alt = tr("Differences from the baseline. {rows}", rows=rows)
    pictures = (drawing.picture("figures/forest-1.png", alt, style.drawable(draw)),)
    return Figure("forest", title, captions.paper_forest(analysis), pictures, (panel,))


def largest(effects: Sequence[Effect]) -> Sequence[Effect]:
    """The variants whose intervals are drawn, in the order given: all of them where they are not too many."""
    if len(effects) <= MOST_ROWS:
        return effects
    kept = sorted(range(len(effects)), key=lambda i: -abs(effects[i].difference or 0.0))[:MOST_ROWS]
    return [effects[i] for i in sorted(kept)]


def _parts(effects: Sequence[Effect], most: int) -> Iterator[tuple[Effect, ...]]:
    """The rows in figures of about equal height, none above `most`."""
    figures_needed = -(-len(effects) // most)
    size = -(-len(effects) // figures_needed)
    for start in range(0, len(effects), size):
        yield tuple(effects[start : start + size])


def looks(effects: Sequence[Effect], analysis: Analysis) -> Figure | None:
    """The path of each estimate over the looks of a sequential study; None before the first look."""
    own = analysis.sequential
    if own is None or not any(variant.path for variant in own.variants.values()):
        return None
    shown = [effect for effect in effects if own.variants[effect.variant].path]
    shown = sorted(shown, key=lambda effect: -abs(effect.difference or 0.0))[:_MOST_PATHS]
    panels, pictures = [], []
    for number, effect in enumerate(shown, 1):
        path = look_words.describe_path(effect, analysis, own)
        svg = drawing.inline_svg(figures.look_panel(analysis, own, effect), f"looks-{number}", effect.variant, path)
        panels.append(Panel(effect.variant, look_words.stopped(effect, analysis), svg))
    for number, start in enumerate(range(0, len(shown), 6), 1):
        part = shown[start : start + 6]
        alt = clauses([look_words.describe_path(effect, analysis, own) for effect in part])
        draw = style.drawable(partial(figures.look_grid, analysis, own, part))
        pictures.append(drawing.picture(f"figures/looks-{number}.png", alt, draw))
    number = sum(bool(variant.path) for variant in own.variants.values())
    caption = look_words.figure_caption(analysis, len(shown), number)
    return Figure("looks", tr("Paths over the looks"), caption, tuple(pictures), panels=tuple(panels))


def sweeps(analysis: Analysis) -> Figure | None:
    """The primary metric against each numeric hyperparameter with three levels."""
    shown = [(sweep, figures.primary(analysis.measure)) for sweep in analysis.sweeps]
    return _sweep_figure("sweep", captions.sweep(analysis), shown, analysis)


def cost_sweeps(analysis: Analysis) -> Figure | None:
    """Time and memory against the data fraction, where that is swept."""
    swept = [sweep for sweep in analysis.sweeps if sweep.path == "data.fraction"]
    shown = [(sweep, metric) for sweep in swept for metric in figures.METRICS.values()]
    return _sweep_figure("cost-sweep", tr("Means over the finished seeds."), shown, analysis)


def _sweep_figure(key: str, caption: str, shown: Sequence[tuple[Sweep, Metric]], analysis: Analysis) -> Figure | None:
    if not shown or not any(effect.n for effect in analysis.effects):
        return None
    panels, pictures = [], []
    for number, (sweep, metric) in enumerate(shown, 1):
        drawn = figures.sweep_panel(analysis, sweep, metric)
        svg = drawing.inline_svg(drawn, f"{key}-{number}", _against(sweep, metric, analysis), _levels(sweep))
        name = captions.first_up(figures.metric_name(metric, analysis.measure))
        panels.append(Panel(tr("{metric} against {option}", metric=name, option=sweep.name), "", svg))
    for number, start in enumerate(range(0, len(shown), 6), 1):
        part = shown[start : start + 6]
        alt = clauses([_against(sweep, metric, analysis) for sweep, metric in part])
        draw = style.drawable(partial(figures.sweep_grid, analysis, part))
        pictures.append(drawing.picture(f"figures/{key}-{number}.png", alt, draw))
    return Figure(f"{key}s", tr("Sweeps"), caption, tuple(pictures), panels=tuple(panels))


def _against(sweep: Sweep, metric: Metric, analysis: Analysis) -> str:
    return tr("{metric} against {option}", metric=figures.metric_axis(metric, analysis.measure), option=sweep.name)


def _levels(sweep: Sweep) -> str:
    return tr("Levels: {levels}", levels=commas([value(level) for level, _ in sweep.levels]))
