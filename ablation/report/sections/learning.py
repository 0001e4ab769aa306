"""The section on training dynamics: accuracy during training, epochs to a target, and what followed the best epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import ablation._util.counted as counted
from ablation._util.formatting import ABSENT, count, percent, points, value
from ablation._util.language import listing, sentences, tr, tr_noop, trn
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
    planned = Counter(map(str, context.results.runs["variant"]))
    score = _names(found)[0]
    about = tr("Accuracy") if context.study.of_images or not score else _first_up(score)
    title = tr("{metric} during training", metric=about)
    speed = _table("milestones", title, found, planned, tuple(_speed(found, digits)))
    fit = _table("fit", tr("Training against validation"), found, planned, tuple(_fit(found, digits)))
    for table, said in ((speed, _compared(found)), (fit, _long_after(found))):
        if len(table.columns) > 1:
            yield Heading(table.label)
            yield from map(Paragraph, said)
            yield table


def _table(key: str, title: str, found: Learning, planned: Mapping[str, int], columns: Sequence[_Column]) -> Table:
    kept = [column for column in columns if any(cell.text != ABSENT or cell.notes for cell in column.cells)]
    shown = [i for i, own in enumerate(found.lessons) if own.n or found.ours or i == 0]
    rows = tuple(
        _row(own, planned[own.variant], [column.cells[i] for column in kept], i == 0)
        for i, own in ((i, found.lessons[i]) for i in shown)
    )
    caption = sentences(list(dict.fromkeys(column.about for column in kept)))
    heads = (Column(tr("Variant")), *(Column(column.head, number=True) for column in kept))
    return Table(title, heads, rows, caption, key, "course")


def _cell(text: str, note: str = "") -> Cell:
    return Cell(text, (Note(note, "aside"),) if note else ())


def _row(own: Lesson, planned: int, cells: Sequence[Cell], first: bool) -> Row:
    """The row of a variant; dashes where none of its seeds finished."""
    notes = (Note(_share(own.n, planned), "aside"),) if own.n < planned else ()
    return Row((Cell(name(own.variant), notes), *(cells if own.n else [Cell(ABSENT)] * len(cells))), first)


def _names(found: Learning) -> tuple[str, str, str]:
    """What the tables call accuracy, training accuracy and loss: the columns of results from elsewhere as they are."""
    accuracy, loss = found.accuracy, found.loss
    score = tr("validation accuracy") if accuracy == ACCURACY else accuracy.line if accuracy else ""
    train = tr("training accuracy") if accuracy == ACCURACY else (accuracy.dashed or "") if accuracy else ""
    return score, train, tr("validation loss") if loss == LOSS else loss.line if loss else ""


def _speed(found: Learning, digits: int) -> Iterator[_Column]:
    score, _, loss = _names(found)
    epochs = found.unit == "epoch"
    caption = _milestones_caption(found, score)
    for number, place in enumerate(found.milestones):
        cells = tuple(_milestone(own, number, digits) for own in found.lessons)
        head = tr("Epoch {n}", n=count(place)) if epochs else tr("Step {n}", n=count(place))
        yield _Column(head, cells, caption)
    if found.target:
        goal, units = f"{100 * found.target:.0f}", tr("Epochs") if epochs else tr("Steps")
        about = tr(
            "{units} to {goal} %: mean and range where all seeds reach it, the highest round figure of the baseline's "
            "mean curve.",
            units=units,
            goal=goal,
        )
        head = tr("{units} to {goal}\u00a0%", units=units, goal=goal)
        yield _Column(head, tuple(_reached(own, found.unit) for own in found.lessons), about)
    yield _fluctuation(found, loss)


def _fluctuation(found: Learning, loss: str) -> _Column:
    cells = tuple(_cell(_loss(own.fluctuation)) for own in found.lessons)
    if found.unit == "epoch":
        about = tr("Epoch-to-epoch change: mean absolute change over the second half of a run.")
        return _Column(tr("Epoch-to-epoch change of {loss}", loss=loss), cells, about)
    about = tr("Evaluation-to-evaluation change: mean absolute change over the second half of a run.")
    return _Column(tr("Evaluation-to-evaluation change of {loss}", loss=loss), cells, about)


def _milestones_caption(found: Learning, score: str) -> str:
    said = [tr("{metric}, %, mean over seeds.", metric=_first_up(score))]
    if any(span and span.n < own.n for own in found.lessons for span in own.at):
        said.append(tr("Of runs that stopped earlier, the seeds that got that far."))
    return sentences(said)


def _first_up(name: str) -> str:
    """With a capital, unless it is the name of a column."""
    return name[:1].upper() + name[1:] if " " in name else name


def _milestone(own: Lesson, number: int, digits: int) -> Cell:
    span = own.at[number]
    fewer = tr("{n} of {total} seeds", n=span.n, total=own.n) if span and span.n < own.n else ""
    return _cell(percent(span.mean if span else None, digits), fewer)


def _loss(span: Span | None) -> str:
    """A loss with two digits: more would be noise."""
    return ABSENT if span is None else value(float(f"{span.mean:.2g}"))


def _reached(own: Lesson, unit: str) -> Cell:
    """When every seed reached the target; where only some did, how many: a mean over these would mislead."""
    if own.reached is None:
        return _cell(tr("not reached"), tr("in any of {total} seeds", total=own.n) if own.n > 1 else "")
    if own.reached.n < own.n:
        return _cell(tr("only in {n} of {total} seeds", n=own.reached.n, total=own.n), _at(unit, _range(own.reached)))
    return _cell(_places(own.reached, unit))


def _at(unit: str, places: str) -> str:
    return tr("at epoch {range}", range=places) if unit == "epoch" else tr("at step {range}", range=places)


def _share(part: int, of: int) -> str:
    if part == of:
        return counted.seeds(of)
    return trn("{part} of {n:,} seed", "{part} of {n:,} seeds", of, part=part)


def _places(span: Span, unit: str) -> str:
    """Epochs or steps: the mean, and the range where the seeds differ."""
    text = _place(span.mean, unit)
    return tr("{place} ({range})", place=text, range=_range(span)) if span.low < span.high else text


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
        score, goal = _first_up(_names(found)[0]), f"{100 * found.target:.0f}"
        reached = [_in_the_baseline(_place(start, unit), unit)]
        reached += [tr("after {n} in {variant}", n=_place(away[name], unit), variant=name) for name in named]
        yield tr("{metric} first reaches {goal} % {reached}.", metric=score, goal=goal, reached=listing(reached))


def _in_the_baseline(place: str, unit: str) -> str:
    if unit == "epoch":
        return tr("after {n} epochs in the baseline", n=place)
    return tr("after {n} steps in the baseline", n=place)


def _fit(found: Learning, digits: int) -> Iterator[_Column]:
    score, train, _ = _names(found)

    def column(head: str, cell: Callable[[Lesson], str], about: str) -> _Column:
        return _Column(head, tuple(_cell(cell(own)) for own in found.lessons), about)

    about = tr("Means over seeds at the epoch reported.")
    yield column(tr("{metric},\u00a0%", metric=_first_up(train)), lambda own: _percent(own.train, digits), about)
    yield column(tr("{metric},\u00a0%", metric=_first_up(score)), lambda own: _percent(own.val, digits), about)
    yield column(tr("Gap, points"), lambda own: _points(own.gap, digits), _gap(score, train, found.ours))
    best, after, about = _best(found, score)
    yield column(best, lambda own: _places(own.best, "epoch") if own.best else ABSENT, about)
    yield column(after, _after, about)
    yield column(tr("Last minus best, points"), lambda own: _points(own.fall, digits), about)


def _best(found: Learning, score: str) -> tuple[str, str, str]:
    """The heads of the columns on the best epoch, and what the caption says of them."""
    if found.unit == "epoch":
        about = tr("Best epoch: highest {metric}, mean and range.", metric=score)
        return tr("Best epoch"), tr("Epochs after it"), about
    about = tr("Best evaluation: highest {metric}, mean and range.", metric=score)
    return tr("Best evaluation"), tr("After it"), about


def _gap(score: str, train: str, ours: bool) -> str:
    if not ours:
        return tr("Gap: {train} minus {validation}.", train=train, validation=score)
    return tr(
        "Gap: training minus validation accuracy. Training accuracy is a running average with augmentation and "
        "dropout on."
    )


def _percent(span: Span | None, digits: int) -> str:
    return percent(span.mean if span else None, digits)


def _points(span: Span | None, digits: int) -> str:
    return points(span.mean if span else None, digits)


def _after(own: Lesson) -> str:
    if own.after is None:
        return ABSENT
    text = _place(own.after.mean, "epoch")
    return tr("{n} ({share:.0f}\u00a0%)", n=text, share=100 * own.share) if own.share else text


def _long_after(found: Learning) -> Iterator[str]:
    late = [own for own in found.lessons if own.late]
    if not late:
        return
    named = [(own.variant, _share(own.late, own.n)) for own in late[:_MOST_NAMED]]
    names = [tr("{variant} ({seeds})", variant=variant, seeds=seeds) for variant, seeds in named]
    if len(late) > _MOST_NAMED:
        names.append(trn("{n:,} more variant", "{n:,} more variants", len(late) - _MOST_NAMED))
    yield tr(
        "Training went on for more than a third of its epochs after the best one in {variants}.",
        variants=listing(names),
    )


LEARNING = Section("learning", tr_noop("Training dynamics"), 70, _learning, appendix=True)
