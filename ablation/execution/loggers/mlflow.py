"""MLflow: a study is an experiment, and a variant under a seed one of its runs."""

from __future__ import annotations

import json
import logging
import os
import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ablation.execution.loggers.base import FINAL, End, Row, RunInfo

# Before mlflow is imported, which reads them then: no usage statistics are sent, and a server that is gone is given up
# after seconds rather than many minutes. What the user has set stays.
for _variable, _value in (
    ("MLFLOW_DISABLE_TELEMETRY", "true"),
    ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"),
    ("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"),
):
    os.environ.setdefault(_variable, _value)

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param  # noqa: E402

KEY, VARIANT, SEED, STATUS = "ablation.key", "ablation.variant", "ablation.seed", "ablation.status"
"""Tags of a run, by which it is found again."""
MOST_METRICS, MOST_PARAMS, MOST_CHARACTERS = 1000, 100, 6000
"""What MLflow takes in one request, and of one value."""
_STATUS = {"failed": "FAILED", "stopped": "KILLED"}


class MLflowLogger:
    """Writes to the tracking server of MLFLOW_TRACKING_URI, or to `mlflow.db` in a folder.

    A run that goes on is the same MLflow run: its metric history is read, and only what it lacks is logged. MLflow
    cannot take back a value, so a run that holds others than the stored ones is deleted there and logged again.
    """

    def __init__(self, folder: Path) -> None:
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic.runtime.migration").addFilter(_is_warning)  # MLflow sets its level to INFO
        uri, self._artifacts = os.environ.get("MLFLOW_TRACKING_URI"), None
        if not uri:
            folder.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
            self._artifacts = (folder / "mlflow-artifacts").resolve().as_uri()
        self._client = MlflowClient(tracking_uri=uri)
        self._experiments: dict[str, str] = {}
        self._open: dict[RunInfo, str] = {}

    def open(self, run: RunInfo, rows: Sequence[Row]) -> None:
        """Find the run, or make it, and log the rows that it lacks."""
        wanted = [metric for row in rows for metric in _metrics(row)]
        found = self._find(run)
        there = self._history(found) if found else Counter()
        if found and (there - Counter(map(_identity, wanted))):
            self._client.delete_run(found.info.run_id)
            found, there = None, Counter()
        if found:
            self._client.update_run(found.info.run_id, status="RUNNING")
            self._open[run] = found.info.run_id
        else:
            self._open[run] = self._create(run, rows)
        self._log(run, [metric for metric in wanted if _identity(metric) not in there])

    def add(self, run: RunInfo, row: Row) -> None:
        """Log the next row."""
        self._log(run, _metrics(row))

    def finish(self, run: RunInfo, end: End) -> None:
        """Log the final metrics that are not there, and end the run."""
        there = self._client.get_run(self._open[run]).data.metrics
        own = {name: value for name, value in end.metrics.items() if _name(name) not in there}
        self._log(run, _metrics(Row(end.epochs, end.time, own)))
        self._client.set_tag(self._open[run], STATUS, end.status)
        self._client.set_terminated(self._open.pop(run), "FINISHED", _milliseconds(end.time))

    def suspend(self, run: RunInfo, why: Literal["failed", "stopped"]) -> None:
        """Mark the run as failed, or as killed."""
        self._client.set_terminated(self._open.pop(run), _STATUS[why])

    def missing(self, ended: Sequence[tuple[RunInfo, End]]) -> list[tuple[RunInfo, End]]:
        """Those that are not among the finished runs of their experiment, or lack a final metric."""
        there = {
            _names(own): set(own.data.metrics)
            for study in {run.study for run, _ in ended}
            for own in self._search(study, "attributes.status = 'FINISHED'")
        }
        return [
            (run, end)
            for run, end in ended
            if (found := there.get(_id(run))) is None or not found.issuperset(map(_name, end.metrics))
        ]

    def _create(self, run: RunInfo, rows: Sequence[Row]) -> str:
        tags = {KEY: run.key, VARIANT: run.variant, SEED: str(run.seed)}
        began = _milliseconds(rows[0].time) if rows else None
        made = self._client.create_run(self._experiment(run.study), began, tags, run.label)
        options = {**run.options, "variant": run.variant, "seed": run.seed}
        params = [Param(_name(name), _text(value)[:MOST_CHARACTERS]) for name, value in options.items()]
        for start in range(0, len(params), MOST_PARAMS):
            self._client.log_batch(made.info.run_id, params=params[start : start + MOST_PARAMS])
        return str(made.info.run_id)

    def _log(self, run: RunInfo, metrics: Sequence[Metric]) -> None:
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self._open[run], metrics[start : start + MOST_METRICS])

    def _find(self, run: RunInfo) -> Any | None:
        """The MLflow run of this training, variant and seed."""
        found = self._search(run.study, f"tags.`{KEY}` = '{run.key}'")
        return next((own for own in found if _names(own) == _id(run)), None)

    def _search(self, study: str, condition: str) -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            page = self._client.search_runs([self._experiment(study)], condition, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _history(self, found: Any) -> Counter[tuple[str, int, str]]:
        """How often each value of an epoch is there."""
        names = [name for name in found.data.metrics if not name.startswith(FINAL)]
        own = (value for name in names for value in self._client.get_metric_history(found.info.run_id, name))
        return Counter(map(_identity, own))

    def _experiment(self, study: str) -> str:
        if study not in self._experiments:
            known = self._client.get_experiment_by_name(study)
            if known and known.lifecycle_stage != "active":
                raise RuntimeError(f"the experiment {study!r} was deleted in MLflow: restore it, or remove it for good")
            made = known.experiment_id if known else self._client.create_experiment(study, self._artifacts)
            self._experiments[study] = str(made)
        return self._experiments[study]


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def _metrics(row: Row) -> list[Metric]:
    return [Metric(_name(name), value, _milliseconds(row.time), row.epoch) for name, value in row.values.items()]


def _identity(metric: Metric) -> tuple[str, int, str]:
    """Name, epoch and value of a metric; as text, in which NaN equals itself."""
    return metric.key, metric.step, repr(float(metric.value))


def _id(run: RunInfo) -> tuple[str, str, str]:
    return run.key, run.variant, str(run.seed)


def _names(run: Any) -> tuple[str, str, str]:
    tags = run.data.tags
    return tags.get(KEY, ""), tags.get(VARIANT, ""), tags.get(SEED, "")


def _name(text: str) -> str:
    """A name of a metric or an option as MLflow takes it: letters, digits, and what paths are made of."""
    plain = re.sub(r"[^\w\-. :/]", "_", text)
    return plain if posixpath.normpath(plain) == plain and plain[0] not in "./" else re.sub(r"[./]", "_", plain)


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
