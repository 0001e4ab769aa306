"""The section on training dynamics: accuracy during training, epochs to a target, and what followed the best epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ablation._util.formatting import ABSENT, count, percent, plural, points, value
from ablation.analysis.charts import ACCURACY, LOSS
from ablation.analysis.learning import Learning, Lesson, Span, learning
from ablation.report.blocks import Block, Cell, Column, Heading, Note, Paragraph, Row, Table, name
from ablation.report.context import Context, Section

_MOST_NAMED = 8
_MOST_COMPARED = 3


@dataclass(frozen=True)
class _Column:
    """A column of a table, with a cell for each variant, and what the caption says of it."""

    head: str
    cells: tuple[Cell, ...]
    about: str


def _learning(context: Context) -> Iterator[Block]:
    """The tables of the section; none before a run has finished.

    Columns that have no figure for any variant are left out, and so are tables that are left with none.
    """
    found, digits = learning(context.results), context.digits
    if not found:
        return
    planned = len(context.study.seeds)
    score = _names(found)[0]
    about = "Accuracy" if context.study.of_images or not score else _first_up(score)
    speed = _table("milestones", f"{about} during training", found, planned, tuple(_speed(found, digits)))
    fit = _table("fit", "Training against validation", found, planned, tuple(_fit(found, digits)))
    for table, sentences in ((speed, _compared(found)), (fit, _long_after(found))):
        if len(table.columns) > 1:
            yield Heading(table.label)
            yield from map(Paragraph, sentences)
            yield table


def _table(key: str, title: str, found: Learning, planned: int, columns: Sequence[_Column]) -> Table:
    kept = [column for column in columns if any(cell.text != ABSENT or cell.notes for cell in column.cells)]
    shown = [i for i, own in enumerate(found.lessons) if own.n or found.ours or i == 0]
    rows = tuple(_row(found.lessons[i], planned, [column.cells[i] for column in kept], i == 0) for i in shown)
    caption = " ".join(dict.fromkeys(column.about for column in kept))
    heads = (Column("Variant"), *(Column(column.head, number=True) for column in kept))
    return Table(title, heads, rows, caption, key, "course")


def _cell(text: str, note: str = "") -> Cell:
    return Cell(text, (Note(note, "aside"),) if note else ())


def _row(own: Lesson, planned: int, cells: Sequence[Cell], first: bool) -> Row:
    """The row of a variant; dashes where none of its seeds finished."""
    notes = (Note(f"{own.n} of {plural(planned, 'seed')}", "aside"),) if own.n < planned else ()
    return Row((Cell(name(own.variant), notes), *(cells if own.n else [Cell(ABSENT)] * len(cells))), first)


def _names(found: Learning) -> tuple[str, str, str]:
    """What the tables call accuracy, training accuracy and loss: the columns of results from elsewhere as they are."""
    accuracy, loss = found.accuracy, found.loss
    score = "validation accuracy" if accuracy == ACCURACY else accuracy.line if accuracy else ""
    train = "training accuracy" if accuracy == ACCURACY else (accuracy.dashed or "") if accuracy else ""
    return score, train, "validation loss" if loss == LOSS else loss.line if loss else ""


def _speed(found: Learning, digits: int) -> Iterator[_Column]:
    score, _, loss = _names(found)
    unit = found.unit.capitalize()
    caption = _milestones_caption(found, score)
    for number, place in enumerate(found.milestones):
        cells = tuple(_milestone(own, number, digits) for own in found.lessons)
        yield _Column(f"{unit} {count(place)}", cells, caption)
    if found.target:
        goal = f"{100 * found.target:.0f}"
        about = (
            f"{unit}s to {goal} %: mean and range where all seeds reach it, the highest round figure of the baseline's "
            "mean curve."
        )
        yield _Column(f"{unit}s to {goal}\u00a0%", tuple(_reached(own, found.unit) for own in found.lessons), about)
    each = "epoch" if found.unit == "epoch" else "evaluation"
    head = f"{each.capitalize()}-to-{each} change of {loss}"
    about = f"{each.capitalize()}-to-{each} change: mean absolute change over the second half of a run."
    yield _Column(head, tuple(_cell(_loss(own.fluctuation)) for own in found.lessons), about)


def _milestones_caption(found: Learning, score: str) -> str:
    text = f"{_first_up(score)}, %, mean over seeds."
    if any(span and span.n < own.n for own in found.lessons for span in own.at):
        text += " Of runs that stopped earlier, the seeds that got that far."
    return text


def _first_up(name: str) -> str:
    """With a capital, unless it is the name of a column."""
    return name[:1].upper() + name[1:] if " " in name else name


def _milestone(own: Lesson, number: int, digits: int) -> Cell:
    span = own.at[number]
    fewer = f"{span.n} of {own.n} seeds" if span and span.n < own.n else ""
    return _cell(percent(span.mean if span else None, digits), fewer)


def _loss(span: Span | None) -> str:
    """A loss with two digits: more would be noise."""
    return ABSENT if span is None else value(float(f"{span.mean:.2g}"))


def _reached(own: Lesson, unit: str) -> Cell:
    """When every seed reached the target; where only some did, how many: a mean over these would mislead."""
    if own.reached is None:
        return _cell("not reached", f"in any of {own.n} seeds" if own.n > 1 else "")
    if own.reached.n < own.n:
        return _cell(f"only in {own.reached.n} of {own.n} seeds", f"at {unit} {_range(own.reached)}")
    return _cell(_places(own.reached, unit))


def _share(part: int, of: int) -> str:
    return plural(of, "seed") if part == of else f"{part} of {plural(of, 'seed')}"


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
        yield f"{_first_up(_names(found)[0])} first reaches {100 * found.target:.0f} % {_listing([first, *others])}."


def _listing(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _fit(found: Learning, digits: int) -> Iterator[_Column]:
    score, train, _ = _names(found)
    each = "epoch" if found.unit == "epoch" else "evaluation"

    def column(head: str, cell: Callable[[Lesson], str], about: str) -> _Column:
        return _Column(head, tuple(_cell(cell(own)) for own in found.lessons), about)

    about = "Means over seeds at the epoch reported."
    yield column(f"{_first_up(train)},\u00a0%", lambda own: _percent(own.train, digits), about)
    yield column(f"{_first_up(score)},\u00a0%", lambda own: _percent(own.val, digits), about)
    yield column("Gap, points", lambda own: _points(own.gap, digits), _gap(score, train, found.ours))
    about = f"Best {each}: highest {score}, mean and range."
    yield column(f"Best {each}", lambda own: _places(own.best, "epoch") if own.best else ABSENT, about)
    yield column("Epochs after it" if each == "epoch" else "After it", _after, about)
    yield column("Last minus best, points", lambda own: _points(own.fall, digits), about)


def _gap(score: str, train: str, ours: bool) -> str:
    text = f"Gap: {train.removesuffix(' accuracy') if ours else train} minus {score}."
    return f"{text} Training accuracy is a running average with augmentation and dropout on." if ours else text


def _percent(span: Span | None, digits: int) -> str:
    return percent(span.mean if span else None, digits)


def _points(span: Span | None, digits: int) -> str:
    return points(span.mean if span else None, digits)


def _after(own: Lesson) -> str:
    if own.after is None:
        return ABSENT
    text = _place(own.after.mean, "epoch")
    return f"{text} ({100 * own.share:.0f}\u00a0%)" if own.share else text


def _long_after(found: Learning) -> Iterator[str]:
    late = [own for own in found.lessons if own.late]
    if not late:
        return
    names = [f"{own.variant} ({_share(own.late, own.n)})" for own in late[:_MOST_NAMED]]
    if len(late) > _MOST_NAMED:
        names.append(plural(len(late) - _MOST_NAMED, "more variant"))
    yield f"Training went on for more than a third of its epochs after the best one in {_listing(names)}."


LEARNING = Section("learning", "Training dynamics", 70, _learning, appendix=True)
