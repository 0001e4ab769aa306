"""Tidy data -> matplotlib `Figure` objects: no pyplot, no files. One unit of a figure is one CSS pixel."""

from ablation.analysis.charts import ACCURACY, LOSS, RATE, Chart, difference_chart, study_charts
from ablation.analysis.learning import unit_of_budget
from ablation.report.figures.components import component_effects, interaction
from ablation.report.figures.curves import (
    Curves,
    Limits,
    difference_curves,
    limits,
    log_limits,
    loss_limits,
    rate_groups,
    study_curves,
)
from ablation.report.figures.forest import (
    COLUMN,
    MOST_DOTS,
    drawn_seeds,
    forest,
    forest_range,
    sides_beyond,
    signed,
    verdict_label,
)
from ablation.report.figures.looks import look_grid, look_panel
from ablation.report.figures.panels import CurveGrid, CurvePanels, draw_curves, panel_title
from ablation.report.figures.sweeps import (
    METRICS,
    draw_sweep,
    metric_axis,
    metric_name,
    primary,
    sweep_grid,
    sweep_panel,
)

__all__ = [
    "ACCURACY",
    "COLUMN",
    "LOSS",
    "METRICS",
    "MOST_DOTS",
    "RATE",
    "Chart",
    "CurveGrid",
    "CurvePanels",
    "Curves",
    "Limits",
    "component_effects",
    "difference_chart",
    "difference_curves",
    "draw_curves",
    "draw_sweep",
    "drawn_seeds",
    "forest",
    "forest_range",
    "interaction",
    "limits",
    "log_limits",
    "look_grid",
    "look_panel",
    "loss_limits",
    "metric_axis",
    "metric_name",
    "panel_title",
    "primary",
    "rate_groups",
    "sides_beyond",
    "signed",
    "study_charts",
    "study_curves",
    "sweep_grid",
    "sweep_panel",
    "unit_of_budget",
    "verdict_label",
]
