"""Hydra: the run folders of a multirun, each with `.hydra/` and a metric file that the script wrote.

Source: hydra.cc/docs/configure_hydra/workdir; `.hydra/config.yaml` is the job's configuration, `.hydra/overrides.yaml`
the list of what the command line set.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ablation._util.sanitize import read_file
from ablation.errors import UserError
from ablation.results.foreign.logged import Declared, LoggedRun, LoggedRuns, parameters, read_config
from ablation.results.foreign.metric_files import MetricFile, metric_files, printed

_MOST_BYTES = 2**26


def read_hydra(path: Path, declared: Declared) -> LoggedRuns:
    """The runs below a folder. The experiment is a folder in it, as `2026-01-31/12-00-00`.

    The parameters are those of the configuration. Metrics are those of the first metric file in the folder of a run
    that has the declared one (see `metric_files.metric_files`), or printed in its log. Raises UserError where there is
    no run.
    """
    root = path / declared.experiment if declared.experiment else path
    configs = [own for own in root.rglob(".hydra/config.yaml") if own.is_file()] if root.is_dir() else []
    if not configs:
        raise UserError(f"no run of Hydra in {root}", "name the folder multirun: its runs have a folder .hydra each")
    folders = sorted((own.parent.parent for own in configs), key=lambda own: _natural(own.relative_to(root).as_posix()))
    kinds: Counter[str] = Counter()
    runs = []
    for folder in folders:
        found = _metrics(folder, declared.metric)
        kinds[found.kind if found else "no metric file"] += 1
        name = folder.relative_to(root).as_posix()
        values = parameters(read_config(folder / ".hydra" / "config.yaml"))
        runs.append(LoggedRun(name, values, found.series if found else {}))
    where = ", ".join(f"{kind} ({count} of {len(runs)} runs)" for kind, count in kinds.most_common())
    note = "Hydra does not say whether a run ended early: runs count as finished if they logged the metric"
    return LoggedRuns(root.resolve().name, tuple(runs), (f"metrics read from: {where}", note))


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers in names in the order of numbers: job 10 comes after job 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _metrics(folder: Path, metric: str) -> MetricFile | None:
    """The first source with the metric, or else the first with any."""
    first = None
    for own in chain(metric_files(folder), _logs(folder)):
        if metric in own.series:
            return own
        first = first or own
    return first


def _logs(folder: Path) -> Iterator[MetricFile]:
    """What a script printed through `logging`, which Hydra keeps in a file named after the script."""
    for path in sorted(folder.glob("*.log")):
        series = printed(read_file(path, _MOST_BYTES).decode("utf-8", "replace"))
        if series:
            yield MetricFile("printed lines", path, series)
