"""The section on the course of training: accuracy on the way, epochs to a target, and what became of the best epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ablation import words
from ablation.analysis.learning import Learning, Lesson, Span, learning
from ablation.results import Results

_MOST_NAMED = 8
_MOST_COMPARED = 3


@dataclass(frozen=True)
class Cell:
    """A figure of a table, with a note in a smaller hand."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class LearningRow:
    """A variant in a table of the section, with a note where not all its seeds are in it."""

    variant: str
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table of variants; `key` names it on the page."""

    key: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[LearningRow, ...]
    caption: str
    sentences: tuple[str, ...]


def learning_tables(results: Results, digits: int) -> tuple[Table, ...]:
    """The tables of the section; none before a run has finished. `digits` are those of an accuracy in per cent."""
    found = learning(results)
    planned = len(results.manifest.seeds)
    return (_speed(found, digits, planned), _fit(found, digits, planned)) if found else ()


def _row(own: Lesson, planned: int, cells: Iterator[Cell], columns: int) -> LearningRow:
    """The row of a variant; dashes where none of its seeds finished."""
    note = f"{own.n} of {words.plural(planned, 'seed')}" if own.n < planned else ""
    return LearningRow(own.variant, note, tuple(cells) if own.n else (Cell(words.ABSENT),) * columns)


def _speed(found: Learning, digits: int, planned: int) -> Table:
    places = tuple(f"{found.unit.capitalize()} {words.count(place)}" for place in found.milestones)
    goal = (f"{found.unit.capitalize()}s to {100 * found.target:.0f}\u00a0%",) if found.target else ()
    heads = (*places, *goal, "Swing of validation loss")
    rows = tuple(_row(own, planned, _speed_cells(own, found, digits), len(heads)) for own in found.lessons)
    return Table("milestones", "On the way", heads, rows, _speed_caption(found), tuple(_compared(found)))


def _speed_cells(own: Lesson, found: Learning, digits: int) -> Iterator[Cell]:
    for span in own.at:
        fewer = f"{span.n} of {own.n} seeds" if span and span.n < own.n else ""
        yield Cell(words.percent(span.mean if span else None, digits), fewer)
    if found.target:
        yield _reached(own, found.unit)
    yield Cell(_loss(own.swing))


def _loss(span: Span | None) -> str:
    """A loss with two digits: more would be noise."""
    return words.ABSENT if span is None else words.value(float(f"{span.mean:.2g}"))


def _reached(own: Lesson, unit: str) -> Cell:
    """When every seed reached the target; where only some did, how many: a mean over these would mislead."""
    if own.reached is None:
        return Cell("not reached", f"in any of {own.n} seeds" if own.n > 1 else "")
    if own.reached.n < own.n:
        return Cell(f"only in {own.reached.n} of {own.n} seeds", f"at {unit} {_range(own.reached)}")
    return Cell(_places(own.reached, unit))


def _share(part: int, of: int) -> str:
    return words.plural(of, "seed") if part == of else f"{part} of {words.plural(of, 'seed')}"


def _places(span: Span, unit: str) -> str:
    """Epochs or steps: the mean, and the range where the seeds differ."""
    text = _place(span.mean, unit)
    return f"{text} ({_range(span)})" if span.low < span.high else text


def _range(span: Span) -> str:
    return f"{span.low:,.0f}\u2013{span.high:,.0f}" if span.low < span.high else f"{span.low:,.0f}"


def _place(number: float, unit: str) -> str:
    return f"{number:,.0f}" if unit == "step" or number == round(number) else f"{number:,.1f}"


def _compared(found: Learning) -> Iterator[str]:
    """One sentence for the variants whose time to the target differs most, where every seed of both reached it."""
    base = found.baseline
    whole = [own for own in found.lessons[1:] if own.reached and own.reached.n == own.n]
    if not (found.target and base.reached and base.reached.n == base.n):
        return
    start, unit = base.reached.mean, found.unit
    away = {own.variant: own.reached.mean for own in whole if own.reached and own.reached.mean != start}
    named = sorted(away, key=lambda name: -abs(away[name] - start))[:_MOST_COMPARED]
    if named:
        others = [f"after {_place(away[name], unit)} in {name}" for name in named]
        first = f"after {_place(start, unit)} {unit}s in the baseline"
        yield f"Validation accuracy first reaches {100 * found.target:.0f} % {_listing([first, *others])}."


def _listing(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _speed_caption(found: Learning) -> str:
    text = (
        f"Validation accuracy in per cent at the end of chosen {found.unit}s (about each third of the baseline's "
        "training), mean over the finished seeds."
    )
    if any(span and span.n < own.n for own in found.lessons for span in own.at):
        text += " Where runs stopped earlier, the seeds that went so far."
    if found.target:
        text += (
            f" {found.unit.capitalize()}s to {100 * found.target:.0f} %: the first {found.unit} at which a seed "
            "reaches that validation accuracy, mean and range where all seeds do; the target is the highest round "
            "figure that the baseline's mean curve reaches."
        )
    each = "epoch" if found.unit == "epoch" else "evaluation"
    return (
        f"{text} Swing of the validation loss: its mean absolute change from one {each} to the next over the second "
        "half of a run, mean over seeds."
    )


_FIT_HEADS = (
    "Training accuracy,\u00a0%",
    "Validation accuracy,\u00a0%",
    "Gap, points",
    "Best epoch",
    "Epochs after it",
    "Last minus best, points",
)


def _fit(found: Learning, digits: int, planned: int) -> Table:
    rows = tuple(_row(own, planned, _fit_cells(own, digits), len(_FIT_HEADS)) for own in found.lessons)
    heads = _FIT_HEADS if found.unit == "epoch" else (*_FIT_HEADS[:3], "Best evaluation", "After it", _FIT_HEADS[-1])
    return Table("fit", "Training against validation", heads, rows, _fit_caption(found), tuple(_long_after(found)))


def _fit_cells(own: Lesson, digits: int) -> Iterator[Cell]:
    yield Cell(words.percent(own.train.mean if own.train else None, digits))
    yield Cell(words.percent(own.val.mean if own.val else None, digits))
    yield Cell(words.points(own.gap.mean if own.gap else None, digits))
    yield Cell(_places(own.best, "epoch") if own.best else words.ABSENT)
    yield Cell(_after(own))
    yield Cell(words.points(own.fall.mean if own.fall else None, digits))


def _after(own: Lesson) -> str:
    if own.after is None:
        return words.ABSENT
    text = _place(own.after.mean, "epoch")
    return f"{text} ({100 * own.share:.0f}\u00a0%)" if own.share else text


def _fit_caption(found: Learning) -> str:
    each = "epoch" if found.unit == "epoch" else "evaluation"
    return (
        "Means over the finished seeds, at the epoch that each run reports. The gap is training minus validation "
        "accuracy; training accuracy is that of the batches as they were met, with augmentation and dropout and with "
        f"the weights of that moment, so that the gap can be negative. Best {each}: that with the highest validation "
        "accuracy (mean, and range over seeds), and how much longer training went on, also as a share of the whole "
        "run; last minus best is the validation accuracy at the end of training minus that of the best."
    )


def _long_after(found: Learning) -> Iterator[str]:
    late = [own for own in found.lessons if own.late]
    if not late:
        return
    names = [f"{own.variant} ({_share(own.late, own.n)})" for own in late[:_MOST_NAMED]]
    if len(late) > _MOST_NAMED:
        names.append(words.plural(len(late) - _MOST_NAMED, "more variant"))
    yield f"Training went on for more than a third of its epochs after the best one in {_listing(names)}."
