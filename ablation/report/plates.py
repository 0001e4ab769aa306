"""The figures of a report with their captions, each as inline SVG and as PNG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

import ablation.report.captions as captions
import ablation.report.drawing as drawing
from ablation import figures, words
from ablation.analysis import Analysis, Effect, Sweep
from ablation.figures import Curves, Limits
from ablation.figures.curves import Quantity, accuracy_limits
from ablation.figures.sweeps import Metric
from ablation.results import Results

MOST_PANELS = 36
"""Small multiples of one quantity; of more variants, those with the largest differences are shown."""
MOST_RATES = 12
"""Panels of the learning rate, whose courses differ less than what comes of them."""
_FOREST_ROWS = 36
_PAGE = 12


@dataclass(frozen=True)
class Panel:
    """A small figure under its own heading; `note` adds to the heading."""

    title: str
    note: str
    svg: Markup


@dataclass(frozen=True)
class Picture:
    """A PNG file beside the Markdown report."""

    file: str
    alt: str
    data: bytes


@dataclass(frozen=True)
class Plate:
    """A figure with its caption: `wide` and `narrow` drawings of the whole, or `panels` that the page arranges."""

    key: str
    title: str
    caption: str
    pictures: tuple[Picture, ...]
    wide: tuple[Markup, ...] = ()
    narrow: tuple[Markup, ...] = ()
    panels: tuple[Panel, ...] = ()


def forest(analysis: Analysis) -> Plate | None:
    """Differences from the baseline; None for a study without variants or before any difference is known."""
    effects = analysis.variants
    if not any(effect.differences for effect in effects):
        return None
    measure = analysis.measure
    limits = figures.forest_range(effects, measure)
    outside = sum(
        e.difference is not None and not limits[0] <= measure.scale * e.difference <= limits[1] for e in effects
    )
    title = "Difference from the baseline"
    wide, narrow, pictures = [], [], []
    for number, part in enumerate(_parts(effects, _FOREST_ROWS), 1):
        text = captions.describe_forest(part, measure)
        drawn = figures.forest(part, measure, limits)
        wide.append(drawing.inline_svg(drawn, f"forest-{number}", title, text))
        phone = figures.forest(part, measure, limits, narrow=True)
        narrow.append(drawing.inline_svg(phone, f"forest-phone-{number}", title, text))
        pictures.append(Picture(f"figures/forest-{number}.png", f"{title}. {text}", drawing.png(drawn)))
    caption = captions.forest(analysis, outside)
    return Plate("forest", title, caption, tuple(pictures), tuple(wide), tuple(narrow))


def _parts(effects: Sequence[Effect], most: int) -> Iterator[tuple[Effect, ...]]:
    """The rows in figures of about equal height, none above `most`."""
    figures_needed = -(-len(effects) // most)
    size = -(-len(effects) // figures_needed)
    for start in range(0, len(effects), size):
        yield tuple(effects[start : start + size])


def curves(results: Results, analysis: Analysis, digits: int) -> list[Plate]:
    """Loss, accuracy and learning rate, a plate each; none before there is a whole epoch."""
    every = figures.study_curves(results)
    seen = [own for own in every.values() if len(own.x) or own.strays]
    if not seen:
        return []
    shown = _most_different(seen, analysis)
    baseline = every[analysis.baseline.variant]
    note = captions.left_out(len(shown), len(seen)) if len(shown) < len(seen) else ""
    loss = figures.loss_limits(shown)
    pairs = [(own.variant, "", own) for own in shown]
    train = results.manifest.baseline.recipe.get("train", {})
    unit = "step" if train.get("steps") is not None else "epoch"
    draw = _Panels(baseline, unit, digits)
    plates = [
        draw.plate("loss", "Loss", captions.loss(loss.cut) + note, pairs, loss),
        draw.plate("accuracy", "Accuracy", captions.accuracy(analysis) + note, pairs, accuracy_limits(shown)),
    ]
    rates = _rates(list(every.values()))
    if rates:
        caption = captions.learning_rate(min(len(rates), MOST_RATES), len(rates))
        plates.append(draw.plate("lr", "Learning rate", caption, rates[:MOST_RATES], None))
    return plates


def _most_different(seen: Sequence[Curves], analysis: Analysis) -> list[Curves]:
    """The baseline and the variants farthest from it, in the order of the study; those without a result come first."""
    if len(seen) <= MOST_PANELS:
        return list(seen)

    def distance(own: Curves) -> float:
        effect = analysis.effect(own.variant)
        if own.variant == analysis.baseline.variant or effect.difference is None:
            return -1000.0
        return -abs(effect.difference)

    kept = {own.variant for own in sorted(seen, key=distance)[:MOST_PANELS]}
    return [own for own in seen if own.variant in kept]


def _rates(every: Sequence[Curves]) -> list[tuple[str, str, Curves]]:
    groups = figures.rate_groups(every)
    if len(groups) == 1:
        return [("all variants", "", groups[0][0])]
    return [(_group_title(names), _also(names[1:]), own) for own, names in groups]


def _also(names: Sequence[str], most: int = 12) -> str:
    if not names:
        return ""
    return f"also {', '.join(names[:most])}" + (f" and {len(names) - most} more" if len(names) > most else "")


def _group_title(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


@dataclass(frozen=True)
class _Panels:
    baseline: Curves
    unit: str
    digits: int

    def plate(
        self,
        quantity: Quantity,
        title: str,
        caption: str,
        shown: Sequence[tuple[str, str, Curves]],
        limits: Limits | None,
    ) -> Plate:
        key = "learning-rate" if quantity == "lr" else quantity
        on = figures.CurvePanels(quantity, self.baseline, self.unit, limits)
        panels = [self._panel(on, quantity, f"{key}-{number}", *item) for number, item in enumerate(shown, 1)]
        pictures = []
        for number, start in enumerate(range(0, len(shown), _PAGE), 1):
            part = [(name, own) for name, _, own in shown[start : start + _PAGE]]
            drawn = figures.curve_grid(quantity, part, self.baseline, self.unit, limits)
            alt = f"{title} over the {self.unit}s: {', '.join(name for name, _ in part)}"
            pictures.append(Picture(f"figures/{key}-{number}.png", alt, drawing.png(drawn)))
        return Plate(key, title, caption, tuple(pictures), panels=tuple(panels))

    def _panel(self, on: figures.CurvePanels, quantity: Quantity, key: str, name: str, note: str, own: Curves) -> Panel:
        text = captions.describe_curve(quantity, own, self.digits)
        title = f"{key.rpartition('-')[0]}: {name}"
        return Panel(name, note, drawing.inline_svg(on.draw(own), key, title, text))


def sweeps(analysis: Analysis) -> Plate | None:
    """Accuracy against each numeric option with three levels; time and memory too where it is the data fraction."""
    shown = [(sweep, metric) for sweep in analysis.sweeps for metric in _metrics(sweep, analysis)]
    if not shown or not any(effect.n for effect in analysis.effects):
        return None
    panels, pictures = [], []
    for number, (sweep, metric) in enumerate(shown, 1):
        title = f"{metric.label} against {sweep.name}"
        drawn = figures.sweep_panel(analysis, sweep, metric)
        svg = drawing.inline_svg(drawn, f"sweep-{number}", title, _levels(sweep))
        panels.append(Panel(f"{metric.label.partition(',')[0].capitalize()} against {sweep.name}", "", svg))
    for number, start in enumerate(range(0, len(shown), 6), 1):
        part = shown[start : start + 6]
        alt = "; ".join(f"{metric.label} against {sweep.name}" for sweep, metric in part)
        pictures.append(Picture(f"figures/sweep-{number}.png", alt, drawing.png(figures.sweep_grid(analysis, part))))
    return Plate("sweeps", "Sweeps", captions.sweep(analysis), tuple(pictures), panels=tuple(panels))


def _metrics(sweep: Sweep, analysis: Analysis) -> Iterator[Metric]:
    yield figures.primary(analysis.measure)
    if sweep.path == "data.fraction":
        yield figures.METRICS["epoch_seconds"]
        yield figures.METRICS["peak_memory_mb"]


def _levels(sweep: Sweep) -> str:
    return "Levels: " + ", ".join(words.value(level) for level, _ in sweep.levels)
