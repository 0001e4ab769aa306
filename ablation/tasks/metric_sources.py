"""Where the metrics of a command are: what it wrote into its run folder, else what it printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ablation.results.foreign import metric_files
from ablation.results.foreign.event_files import Series

JSON_LINES = "json lines"
METRICS = "metrics.jsonl"
"""The file that ABLATE_METRICS names."""
MOST_ROWS = 5000
"""That are kept of a source; of more, those with the primary metric first, then an even choice of the others."""


@dataclass(frozen=True)
class Found:
    """The rows of a command, each its step and its metrics, and where they were found."""

    source: str
    rows: tuple[tuple[int, Mapping[str, float]], ...]


def find_metrics(folder: Path, log: Path, primary: str, declared: Iterable[str] = ()) -> Found:
    """The first source that has the primary metric, or else the first that has any.

    The rows of `metrics.jsonl` in `folder`; `trainer_state.json`, `metrics.csv` and TensorBoard events below it; and
    `key: value` pairs in the output `log`, of `declared` metrics also `name value`. Raises UserError for a file that is
    damaged.
    """
    found = []
    for source, series in _sources(folder, log, declared):
        if primary in series:
            return Found(source, rows_of(series, primary))
        if series:
            found.append(Found(source, rows_of(series, primary)))
    return found[0] if found else Found("nowhere", ())


def _sources(folder: Path, log: Path, declared: Iterable[str]) -> Iterable[tuple[str, Series]]:
    own = folder / METRICS
    if own.exists():
        yield JSON_LINES, metric_files.json_lines(own)
    for found in metric_files.metric_files(folder, without=JSON_LINES):  # others may hold predictions
        yield found.kind, found.series
    if log.exists():
        text = log.read_text(encoding="utf-8", errors="replace")
        yield "standard output", metric_files.printed(text, declared)


def rows_of(series: Series, primary: str) -> tuple[tuple[int, Mapping[str, float]], ...]:
    """Series as rows by their steps."""
    rows: dict[int, dict[str, float]] = {}
    for name, points in series.items():
        for step, value in points:
            rows.setdefault(step, {})[name] = value
    ordered = sorted(rows.items())
    if len(ordered) > MOST_ROWS:
        main = [row for row in ordered if primary in row[1]]
        others = [row for row in ordered if primary not in row[1]] if len(main) < MOST_ROWS else []
        kept = _spread(main, MOST_ROWS) + _spread(others, MOST_ROWS - min(len(main), MOST_ROWS))
        ordered = sorted(kept, key=lambda row: row[0])
    return tuple(ordered)


def _spread(rows: list[tuple[int, dict[str, float]]], count: int) -> list[tuple[int, dict[str, float]]]:
    """At most `count` of the rows, evenly, the last one among them."""
    if len(rows) <= count or count < 1:
        return rows[: max(0, count)]
    return [rows[(number + 1) * len(rows) // count - 1] for number in range(count)]
