"""Figures, read off their axes."""

from __future__ import annotations

import gettext
import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ablation._util.language import Language, use_language
from ablation.analysis import Analysis, describe
from ablation.report import drawing, figures
from ablation.report.figures import style
from ablation.report.figures.forest import COLUMN, WIDE
from ablation.results.runs import Results, load_results
from tests.stored import ARMS, BASELINE, StoredVariant, amend_epochs, with_metrics, write_study

VERDICTS = ("better", "worse", "no clear effect", "equivalent", "unstable", "no claim")


def study(folder: Path, *args: Any, **options: Any) -> tuple[Results, Analysis]:
    stored = write_study(folder, *args, **options)
    results = load_results(stored.store, stored.manifest)
    return results, describe(results)


def only(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def line(axes: Axes, colour: str, dashed: bool = False) -> Any:
    (found,) = [
        own
        for own in axes.lines
        if own.get_color() == colour and own.is_dashed() == dashed and len(own.get_xdata()) > 1
    ]
    return found


def test_a_forest_plot_has_a_dot_for_each_seed_and_a_bar_at_their_mean(tmp_path: Path) -> None:
    _, analysis = study(tmp_path)
    axes = only(figures.forest(analysis.variants, analysis.measure))
    bars = [own for own in axes.lines if own.get_linewidth() == 3.2]
    for y, (effect, dots, bar) in enumerate(zip(analysis.variants, axes.collections, bars, strict=True)):
        offsets = np.asarray(dots.get_offsets())
        assert offsets[:, 0] == pytest.approx([100 * d for d in effect.differences.values()])
        assert np.all(abs(offsets[:, 1] - y) < 0.4)
        assert bar.get_xdata()[0] == pytest.approx(100 * effect.difference)
    assert "dropout=0.5" in texts(axes)
    low, high = axes.get_xlim()
    assert low < 0 < high


def test_a_forest_row_shows_the_interval_and_nothing_behind_it(tmp_path: Path) -> None:
    _, analysis = study(tmp_path)
    axes = only(figures.forest(analysis.variants, analysis.measure))
    lines = [own for own in axes.lines if own.get_linewidth() == 1.6]
    for y, (effect, line) in enumerate(zip(analysis.variants, lines, strict=True)):
        assert line.get_xdata() == pytest.approx([100 * effect.low, 100 * effect.high])
        assert list(line.get_ydata()) == [y, y]
        colours = {"better": style.MARK, "worse": style.WORSE}
        assert line.get_color() == colours.get(effect.verdict, style.MUTED)
    assert not axes.patches


def test_an_unstable_variant_has_a_dashed_interval(tmp_path: Path) -> None:
    _, analysis = study(tmp_path, seeds=range(4), fates={("dropout=0", 1): "diverged"})
    axes = only(figures.forest(analysis.variants, analysis.measure))
    (line,) = [own for own in axes.lines if own.get_linewidth() == 1.6 and own.is_dashed()]
    assert line.get_color() == style.WARN
    assert line.get_ydata()[0] == [effect.variant for effect in analysis.variants].index("dropout=0")


def test_a_variant_far_away_gets_an_arrow_and_does_not_flatten_the_others(tmp_path: Path) -> None:
    variants = [*ARMS, StoredVariant("far", {"model.activation": "sigmoid"}, accuracy=0.3)]
    _, analysis = study(tmp_path, variants)
    axes = only(figures.forest(analysis.variants, analysis.measure))
    assert axes.get_xlim()[0] > -20
    (arrow,) = [own for own in axes.lines if own.get_marker() == "<"]
    assert arrow.get_xdata()[0] == axes.get_xlim()[0]
    assert f"−{abs(100 * analysis.effect('far').difference):.1f}" in texts(axes)


def test_an_interval_that_goes_on_beyond_the_axis_ends_in_an_arrow(tmp_path: Path) -> None:
    _, analysis = study(tmp_path)
    effect = max((own for own in analysis.variants if own.low is not None), key=lambda own: own.low or 0.0)
    assert effect.low is not None
    assert effect.high is not None
    assert effect.difference is not None
    middle, scale = effect.difference, analysis.measure.scale
    inside = (scale * (effect.low + middle) / 2, scale * (effect.high + middle) / 2)
    assert list(figures.sides_beyond(effect, scale, inside)) == [(effect.low, "<"), (effect.high, ">")]
    assert list(figures.sides_beyond(effect, scale, (scale * effect.low, inside[1]))) == [(effect.high, ">")]
    assert not list(figures.sides_beyond(effect, scale, (scale * effect.low, scale * effect.high)))
    beyond = (scale * effect.high, scale * effect.high + 1)
    assert list(figures.sides_beyond(effect, scale, beyond)) == [(middle, "<")]
    axes = only(figures.forest([effect], analysis.measure, inside))
    assert sorted(str(own.get_marker()) for own in axes.lines if own.get_marker() in "<>") == ["<", ">"]


@pytest.mark.parametrize(("accuracy", "whole"), [(0.88, True), (0.8, False)])
def test_a_variant_leaves_the_axis_only_where_it_would_flatten_the_others(
    tmp_path: Path, accuracy: float, whole: bool
) -> None:
    others = [StoredVariant(f"dropout={x:g}", {"model.dropout": x}, 0.9) for x in (0.1, 0.2, 0.3, 0.4)]
    _, analysis = study(tmp_path, [*others, StoredVariant("far", {"model.activation": "sigmoid"}, accuracy)])
    low, _ = figures.forest_range(analysis.variants, analysis.measure)
    far = analysis.effect("far").low
    assert far is not None
    assert (low < 100 * far) is whole


def test_a_forest_row_without_a_difference_says_why(tmp_path: Path) -> None:
    fates: Any = {("dropout=0", s): "diverged" for s in range(3)} | {("constant", s): "missing" for s in range(3)}
    _, analysis = study(tmp_path, fates=fates)
    shown = texts(only(figures.forest(analysis.variants, analysis.measure)))
    assert "3 of 3 diverged" in shown
    assert "no result" in shown


def test_forest_rows_run_from_top_to_bottom_in_the_order_given(tmp_path: Path) -> None:
    _, analysis = study(tmp_path)
    axes = only(figures.forest(analysis.variants, analysis.measure))
    names = [effect.variant for effect in analysis.variants]
    assert [text for text in texts(axes) if text in names] == names
    assert [text for text in texts(axes) if text in VERDICTS] == [figures.verdict_label(e) for e in analysis.variants]
    bottom, top = axes.get_ylim()
    assert bottom > top


def test_curves_are_the_mean_and_the_range_over_the_finished_seeds(tmp_path: Path) -> None:
    results, _ = study(tmp_path)
    curves = figures.study_curves(results)
    table = results.epochs[results.epochs["variant"] == "norm=batch"].groupby("epoch")
    axes = only(figures.CurvePanels(figures.ACCURACY, curves["baseline"], "epoch").draw(curves["norm=batch"]))
    assert list(line(axes, style.MARK).get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert line(axes, style.MARK).get_ydata() == pytest.approx(100 * table["val_accuracy"].mean())
    assert line(axes, style.MARK, dashed=True).get_ydata() == pytest.approx(100 * table["train_accuracy"].mean())
    band = axes.collections[0].get_paths()[0].vertices
    for epoch, low, high in zip(range(1, 7), table["val_accuracy"].min(), table["val_accuracy"].max(), strict=True):
        heights = band[band[:, 0] == epoch, 1]
        assert (heights.min(), heights.max()) == pytest.approx((100 * low, 100 * high))


def test_the_baseline_stands_in_grey_behind_every_other_variant(tmp_path: Path) -> None:
    results, _ = study(tmp_path)
    curves = figures.study_curves(results)
    base = results.epochs[results.epochs["variant"] == "baseline"].groupby("epoch")["val_loss"].mean()
    axes = only(figures.CurvePanels(figures.LOSS, curves["baseline"], "epoch").draw(curves["constant"]))
    assert line(axes, style.BASELINE).get_ydata() == pytest.approx(base)
    alone = only(figures.CurvePanels(figures.LOSS, curves["baseline"], "epoch").draw(curves["baseline"]))
    assert not [own for own in alone.lines if own.get_color() == style.BASELINE]


def test_what_a_panel_says_where_it_is_pointed_at_is_measured_and_not_read_off_the_drawing() -> None:
    epochs = np.arange(1.0, 1001.0)
    high, low = np.full(1000, 0.5), np.full(1000, np.nan)
    high[1] = 5000.0  # far above the axis

    def curves(name: str, x: Any, val: Any, train: Any) -> figures.Curves:
        table = {"val_loss": val, "train_loss": train}
        return figures.Curves(name, x, table, table, table, (), {column: np.zeros((0, 2)) for column in table})

    base = curves("baseline", epochs[:500], epochs[:500], epochs[:500])
    panels = figures.CurvePanels(figures.LOSS, base, "epoch", figures.Limits(0.0, 1.0, True))
    figure = panels.draw(curves("long", epochs, high, low))
    x0, dx, xs, val, train, baseline = json.loads(panels.readings(curves("long", epochs, high, low)))
    left, right = (only(figure).transData.transform((x, 0))[0] * 72 / figure.dpi for x in (1, 1000))
    assert (x0 + left * dx, x0 + right * dx) == pytest.approx((1, 1000), abs=0.01)
    assert (len(xs), xs[0], xs[-1]) == (100, 1, 1000)
    assert baseline == [x if x <= 500 else None for x in xs]
    assert set(val) == {0.5}
    assert set(train) == {None}
    few = curves("short", epochs[:3], high[:3], low[:3])
    panels.draw(few)
    assert json.loads(panels.readings(few))[2:4] == [[1, 2, 3], [0.5, 5000, 0.5]]
    assert panels.readings(curves("none", epochs[:0], high[:0], low[:0])) == ""


def test_the_reported_epochs_are_dots_on_the_accuracy_curve(tmp_path: Path) -> None:
    results, analysis = study(tmp_path)
    curves = figures.study_curves(results)
    axes = only(figures.CurvePanels(figures.ACCURACY, curves["baseline"], "epoch").draw(curves["constant"]))
    found = np.asarray(axes.collections[-1].get_offsets())
    expected = [[run.selected_epoch, 100 * run.accuracy] for run in analysis.effect("constant").runs]
    assert found == pytest.approx(np.array(expected))


def test_a_diverged_run_ends_in_a_cross_at_its_last_finite_loss(tmp_path: Path) -> None:
    results, _ = study(tmp_path, fates={("dropout=0", 1): "diverged"})
    curves = figures.study_curves(results)
    axes = only(figures.CurvePanels(figures.LOSS, curves["baseline"], "epoch").draw(curves["dropout=0"]))
    (cross,) = [own for own in axes.lines if own.get_marker() == "x"]
    assert list(cross.get_xdata()) == [2]
    assert len(line(axes, style.MARK).get_xdata()) == 6


def test_an_unfinished_run_is_a_line_of_its_own_and_not_in_the_mean(tmp_path: Path) -> None:
    results, _ = study(tmp_path, fates={("dropout=0", 1): "interrupted"})
    own = figures.study_curves(results)["dropout=0"]
    assert [(status, list(x)) for status, x, _ in own.strays] == [("interrupted", [1, 2, 3])]
    done = results.epochs[(results.epochs["variant"] == "dropout=0") & (results.epochs["seed"] != 1)]
    assert own.mean["val_loss"] == pytest.approx(done.groupby("epoch")["val_loss"].mean())


def test_a_variant_without_epochs_has_empty_curves(tmp_path: Path) -> None:
    results, _ = study(tmp_path, everywhere="missing")
    curves = figures.study_curves(results)
    assert all(not len(own.x) and not own.strays for own in curves.values())
    assert figures.loss_limits(list(curves.values())) == (0.0, 1.0, False)


def test_a_budget_in_steps_is_drawn_over_steps(tmp_path: Path) -> None:
    results, _ = study(tmp_path, baseline=BASELINE | {"train": {"steps": 1500, "eval_every": 300}})
    assert list(figures.study_curves(results)["baseline"].x) == [300, 600, 900, 1200, 1500]


def test_a_few_huge_losses_do_not_flatten_the_loss_panels(tmp_path: Path) -> None:
    results, _ = study(tmp_path)
    results.epochs.loc[3, "val_loss"] = 1e6
    low, high, cut = figures.loss_limits(list(figures.study_curves(results).values()))
    assert low == 0
    assert high < 10
    assert cut


def test_a_panel_shows_nothing_of_the_one_that_was_drawn_before_it(tmp_path: Path) -> None:
    results, _ = study(tmp_path, fates={("dropout=0", 1): "diverged", ("norm=batch", 0): "missing"})
    curves = figures.study_curves(results)
    for chart in (figures.LOSS, figures.ACCURACY, figures.RATE):
        for limits in (None, figures.Limits(0.0, 0.1, True)):
            panels = figures.CurvePanels(chart, curves["baseline"], "epoch", limits)
            repeated = drawing.SvgPanels(panels.figure)
            grid = figures.CurveGrid(1, chart, curves["baseline"], "epoch", limits)
            for name, own in curves.items():
                panels.draw(own)
                again = repeated.inline_svg("panel", "", "")
                alone = figures.CurvePanels(chart, curves["baseline"], "epoch", limits).draw(own)
                assert again == drawing.inline_svg(alone, "panel", "", "")
                alone = figures.CurveGrid(1, chart, curves["baseline"], "epoch", limits).draw([(name, own)])
                assert drawing.png(grid.draw([(name, own)])) == drawing.png(alone)


def test_a_panel_does_not_say_how_far_the_one_before_it_goes(tmp_path: Path) -> None:
    def curves(loss: float) -> figures.Curves:
        table = {"val_loss": np.full(5, loss), "train_loss": np.full(5, 0.1)}
        return figures.Curves("", np.arange(5.0), table, table, table, (), {name: np.zeros((0, 2)) for name in table})

    panels = figures.CurvePanels(figures.LOSS, curves(0.2), "epoch", figures.Limits(0.0, 1.0, True))
    assert "up to 50, off scale" in drawing.inline_svg(panels.draw(curves(50.0)), "panel", "", "")
    assert "off scale" not in drawing.inline_svg(panels.draw(curves(0.3)), "panel", "", "")


def test_variants_with_the_same_learning_rates_share_a_panel(tmp_path: Path) -> None:
    results, _ = study(tmp_path, fates={("norm=batch", seed): "missing" for seed in range(3)})
    groups = figures.rate_groups(list(figures.study_curves(results).values()))
    assert [names for _, names in groups] == [("baseline", "dropout=0", "dropout=0.5"), ("constant",)]


def test_a_grid_holds_a_titled_panel_for_each_variant(tmp_path: Path) -> None:
    results, _ = study(tmp_path)
    curves = figures.study_curves(results)
    grid = figures.CurveGrid(len(curves), figures.RATE, curves["baseline"], "epoch")
    figure = grid.draw([(name, own) for name, own in curves.items()])
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(curves)
    boxes = [axes.get_position() for axes in figure.axes]
    assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)


def weight_decays(folder: Path) -> tuple[Analysis, Axes]:
    variants = [StoredVariant(f"wd={x:g}", {"optimizer.weight_decay": x}, 0.9) for x in (0.0, 1e-2, 5e-2)]
    _, analysis = study(folder, variants)
    return analysis, only(figures.sweep_panel(analysis, analysis.sweeps[0], figures.primary(analysis.measure)))


def test_a_sweep_over_more_than_a_decade_is_logarithmic_and_still_shows_zero(tmp_path: Path) -> None:
    analysis, axes = weight_decays(tmp_path)
    assert axes.get_xscale() == "log"
    places = axes.get_xticks()
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0", "0.0005", "0.01", "0.05"]
    assert 0 < places[0] < 5e-4
    assert list(places[1:]) == [5e-4, 1e-2, 5e-2]
    dots = np.asarray(axes.collections[0].get_offsets())
    assert dots[:, 0] == pytest.approx([places[0]] * 3)
    assert dots[:, 1] == pytest.approx([100 * run.accuracy for run in analysis.effect("wd=0").runs])


def test_the_level_of_the_baseline_is_marked_in_a_sweep(tmp_path: Path) -> None:
    analysis, axes = weight_decays(tmp_path)
    (mark,) = [own for own in axes.lines if own.get_marker() == "o" and own.get_color() == style.BASELINE]
    assert mark.get_xydata()[0] == pytest.approx([5e-4, 100 * analysis.baseline.mean])


def test_a_sweep_within_a_decade_is_linear(tmp_path: Path) -> None:
    _, analysis = study(tmp_path, ARMS[:2])
    axes = only(figures.sweep_panel(analysis, analysis.sweeps[0], figures.primary(analysis.measure)))
    assert axes.get_xscale() == "linear"
    assert list(axes.get_xticks()) == [0.0, 0.2, 0.5]


def test_a_level_that_only_diverged_is_a_cross_in_a_sweep(tmp_path: Path) -> None:
    _, analysis = study(tmp_path, ARMS[:2], fates={("dropout=0.5", seed): "diverged" for seed in range(3)})
    axes = only(figures.sweep_panel(analysis, analysis.sweeps[0], figures.primary(analysis.measure)))
    (cross,) = [own for own in axes.lines if own.get_marker() == "x"]
    assert cross.get_xdata()[0] == 0.5


def test_time_and_memory_are_drawn_against_the_data_fraction(tmp_path: Path) -> None:
    variants = [StoredVariant(f"f={x:g}", {"data.fraction": x}) for x in (0.01, 0.1, 0.5)]
    _, analysis = study(tmp_path, variants)
    sweep = analysis.sweeps[0]
    metrics = (figures.primary(analysis.measure), *figures.METRICS.values())
    figure = figures.sweep_grid(analysis, [(sweep, metric) for metric in metrics])
    assert [axes.get_xscale() for axes in figure.axes] == ["log"] * 3
    seconds = line(figure.axes[1], style.MARK).get_xydata()
    assert seconds[:, 0] == pytest.approx([0.01, 0.1, 0.5, 1.0])
    assert seconds[-1, 1] == pytest.approx(analysis.baseline.epoch_seconds)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb\tc", "a b c"), ("x" * 300, "x" * 19 + "…" + "x" * 10), ("\x00\x1bbell\x07", "bell"), ("$x^2$", "$x^2$")],
)
def test_a_label_is_one_short_line(name: str, shown: str) -> None:
    assert style.label(name) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("dropout=0.5", "dropout=0.5"),
        ("optimizer=adamw, schedule=one-cycle", "optimizer=adamw,\nschedule=one-cycle"),
        ("x" * 60, "x" * 20 + "\n" + "x" * 12 + "…" + "x" * 7),
        ("optimizer.weight_decay=0.0005", "optimizer.weight_\ndecay=0.0005"),
        ("学习率=0.1，权重衰减=0.0005", "学习率=0.1，权重衰减\n=0.0005"),
        ("", ""),
    ],
)
def test_a_long_label_takes_a_second_line(name: str, shown: str) -> None:
    assert style.two_lines(name, 20) == shown


LONG = [f"optimizer={name}, schedule={schedule}" for name in ("adamw", "lion") for schedule in ("step", "cosine")]


@pytest.mark.parametrize("layout", [WIDE, COLUMN])
def test_long_names_stand_beside_their_rows_complete_and_apart(tmp_path: Path, layout: Any) -> None:
    _, analysis = study(tmp_path, [StoredVariant(name, {"model.dropout": 0.1 * i}) for i, name in enumerate(LONG)])
    figure = figures.forest(analysis.variants, analysis.measure, layout=layout)
    names = [text for text in only(figure).texts if "optimizer" in text.get_text()]
    assert [" ".join(text.get_text().split()) for text in names] == LONG
    boxes = [text.get_window_extent(FigureCanvasAgg(figure).get_renderer()) for text in names]
    assert all(box.x0 >= -1 for box in boxes)
    assert all(above.y0 >= below.y1 for above, below in itertools.pairwise(boxes))


def test_titles_of_panels_do_not_run_into_their_neighbours(tmp_path: Path) -> None:
    results, analysis = study(tmp_path, [StoredVariant("a" * 80, {"model.dropout": 0.0}), *ARMS])
    chart = figures.difference_chart(figures.study_charts(results, analysis.measure), analysis.measure)
    assert chart is not None
    curves = figures.difference_curves(results, chart)
    titled = [(figures.panel_title(chart, name), own) for name, own in curves.items()]
    figure = figures.CurveGrid(len(titled), chart, curves["a" * 80], "epoch", lines=2).draw(titled)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axes._left_title.get_window_extent(renderer) for axes in figure.axes]
    right = figure.bbox.width / 3
    assert all(box.x1 <= right * (place % 3 + 1) for place, box in enumerate(boxes))
    assert all(box.y1 <= figure.bbox.height for box in boxes)


def test_the_settings_of_the_user_do_not_reach_a_figure(tmp_path: Path) -> None:
    _, analysis = study(tmp_path)
    with matplotlib.rc_context({"text.usetex": True, "figure.facecolor": "red"}):
        figure = figures.forest(analysis.variants, analysis.measure)
        assert matplotlib.rcParams["text.usetex"]
    assert figure.get_facecolor() == (0, 0, 0, 0)
    assert not any(text.get_usetex() for text in only(figure).texts)


def test_one_variant_with_a_huge_loss_does_not_flatten_the_panels_of_the_others(tmp_path: Path) -> None:
    variants = [*ARMS, StoredVariant("lr=50", {"optimizer.lr": 50.0})]
    stored = write_study(tmp_path / "results", variants)
    amend_epochs(stored, "lr=50", lambda row, of: with_metrics(row, val_loss=130.0, train_loss=140.0))
    results = load_results(stored.store, stored.manifest)
    every = figures.study_curves(results)
    limits = figures.loss_limits(list(every.values()))
    assert limits.cut
    assert limits.high < 10
    axes = only(figures.CurvePanels(figures.LOSS, every["baseline"], "epoch", limits).draw(every["lr=50"]))
    assert "up to 140, off scale" in texts(axes)
    axes = only(figures.CurvePanels(figures.LOSS, every["baseline"], "epoch", limits).draw(every["constant"]))
    assert not any("off scale" in text for text in texts(axes))


def test_a_panel_says_how_far_a_difference_goes_beyond_its_axis(tmp_path: Path) -> None:
    fraction = {"data.fraction": 0.01}
    stored = write_study(tmp_path / "results", [*ARMS, StoredVariant("fraction=0.01", fraction)])
    amend_epochs(stored, "fraction=0.01", lambda row, of: with_metrics(row, val_accuracy=(72 + 6 * row.epoch) / 360))
    results = load_results(stored.store, stored.manifest)
    measure = describe(results).measure
    chart = figures.difference_chart(figures.study_charts(results, measure), measure)
    assert chart is not None
    every = figures.difference_curves(results, chart)
    limits = figures.limits(chart, list(every.values()))
    assert limits is not None
    assert limits.cut
    far, near = (
        texts(only(figures.CurvePanels(chart, every[name], "epoch", limits).draw(every[name])))
        for name in ("fraction=0.01", "constant")
    )
    assert [text for text in far if "off scale" in text] == ["down to \u221260.6, off scale"]
    assert not any("off scale" in text for text in near)


def test_runs_at_chance_are_no_part_of_the_mean_curve(tmp_path: Path) -> None:
    rows = {"constant": [0.9, 0.9, 0.1]}
    stored = write_study(tmp_path / "results", exact=rows)
    own = figures.study_curves(load_results(stored.store, stored.manifest))["constant"]
    assert own.mean["val_accuracy"][-1] == pytest.approx(0.9)
    assert [status for status, _, _ in own.strays] == ["at chance"]


class Marked(gettext.NullTranslations):
    """A catalog that puts every text in corner brackets."""

    def gettext(self, message: str) -> str:
        return f"\u300c{message}\u300d"


CHINESE = Language("zh-CN", catalog=Marked())


@pytest.mark.parametrize(
    ("font", "axis", "family"),
    [
        (None, "difference from the baseline, percentage points", ["DejaVu Sans"]),
        (
            "DejaVu Serif",
            "\u300cdifference from the baseline, percentage points\u300d",
            ["DejaVu Sans", "DejaVu Serif"],
        ),
    ],
)
def test_a_file_is_in_chinese_only_where_a_font_has_its_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, font: str | None, axis: str, family: list[str]
) -> None:
    monkeypatch.setattr(style, "chinese_font", lambda: font)
    _, analysis = study(tmp_path)
    draw = partial(figures.forest, analysis.variants, analysis.measure)
    with use_language(CHINESE):
        label = only(style.drawable(draw)()).xaxis.label
        assert (label.get_text(), label.get_fontfamily()) == (axis, family)
        assert only(draw()).get_xlabel() == "\u300cdifference from the baseline, percentage points\u300d"
    assert only(style.drawable(draw)()).get_xlabel() == "difference from the baseline, percentage points"


@pytest.mark.parametrize(
    ("installed", "font"),
    [
        (["DejaVu Sans"], None),
        (["DejaVu Sans", "SimHei", "Noto Sans CJK SC"], "Noto Sans CJK SC"),
        (["Droid Sans Fallback"], "Droid Sans Fallback"),
    ],
)
def test_the_best_installed_chinese_font_is_taken(
    monkeypatch: pytest.MonkeyPatch, installed: list[str], font: str | None
) -> None:
    monkeypatch.setattr(style.font_manager, "get_font_names", lambda: installed)
    style.chinese_font.cache_clear()
    try:
        assert style.chinese_font() == font
    finally:
        style.chinese_font.cache_clear()


def test_curves_and_sweeps_are_labelled_in_the_current_language(tmp_path: Path) -> None:
    results, analysis = study(tmp_path)
    curves = figures.study_curves(results)
    with use_language(CHINESE):
        panel = only(figures.CurvePanels(figures.LOSS, curves["baseline"], "epoch").draw(curves["constant"]))
        metric = figures.METRICS["epoch_seconds"]
        sweep = only(figures.sweep_panel(analysis, analysis.sweeps[0], metric))
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("\u300cepoch\u300d", "\u300closs\u300d")
    assert sweep.get_ylabel() == "\u300cseconds per epoch\u300d"
    assert "\u300c" in sweep.get_xlabel()
