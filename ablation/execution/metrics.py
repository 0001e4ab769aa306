"""After training: the metrics that a study names are computed for each finished run that lacks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from ablation._util.formatting import plural
from ablation.errors import UnreadableError
from ablation.execution.custom_code import announce_code
from ablation.execution.local import LocalPool
from ablation.execution.progress import Progress
from ablation.planning.run import Run
from ablation.registry.custom_names import is_custom
from ablation.storage.metric_values import MetricValue, read_values, write_values
from ablation.storage.record import RunRecord
from ablation.storage.store import RunFolder, Store
from ablation.storage.stored_run import finished_runs
from ablation.study.custom_code import Code, find
from ablation.study.schema import Study
from ablation.worker import calls
from ablation.worker.calls import Call


def metric_codes(study: Study) -> dict[str, Code]:
    """The code of each custom metric of the study. Raises UserError where there is none."""
    return {name: find(name, Path(study.file).parent) for name in study.metrics if is_custom(name)}


def compute_metrics(study: Study, runs: Sequence[Run], store: Store, folder: Path, progress: Progress) -> None:
    """Compute what finished runs lack, and store it beside them; copies of custom code are kept in `folder`.

    Raises UserError where custom code fails.
    """
    if not study.metrics:
        return
    codes = metric_codes(study)
    records = finished_runs(runs, store)
    folders = {run.key: store.run(run.folder) for run in runs}
    done = {key: record for key, record in records.items() if record.status == "finished"}
    before = {key: _stored(folders[key], record) for key, record in done.items()}
    missing = {key: names for key in done if (names := _missing(study.metrics, before[key], codes))}
    if not missing:
        return
    announce_code(
        codes, folder, lambda text: progress.say(text, "warning"), again="computed again", does="`ablate run`"
    )
    lacking: dict[str, list[str]] = {}
    with LocalPool("cpu", 1, 1) as pool:
        for key, names in missing.items():
            own, record = folders[key], done[key]
            function = partial(
                calls.compute_metrics, folder=own.path.resolve(), classes=len(record.classes), names=names, codes=codes
            )
            found = pool.call(Call(function, "metrics were computed", tuple(codes.values())))
            if found:
                write_values(own, record, {**before[key], **found})
            for name in names:
                if name not in found:
                    lacking.setdefault(name, []).append(own.path.name)
    for name, lack in lacking.items():
        progress.say(
            f"{name} needs the probability of each class, which {plural(len(lack), 'run')} of an earlier version did "
            f"not store: delete {store.root / 'runs' / lack[0]}{' and so on' * (len(lack) > 1)} to train again",
            "warning",
        )
    if counted := len(missing) - len(set().union(*lacking.values()) if lacking else ()):
        progress.say(f"metrics computed for {plural(counted, 'run')}: {', '.join(study.metrics)}")


def _stored(folder: RunFolder, record: RunRecord) -> Mapping[str, MetricValue]:
    try:
        return read_values(folder, record)
    except UnreadableError:  # it is written again
        return {}


def _missing(names: Sequence[str], known: Mapping[str, MetricValue], codes: Mapping[str, Code]) -> tuple[str, ...]:
    """Those without a value, and custom ones whose code has changed since."""
    return tuple(
        name for name in names if name not in known or (name in codes and known[name].code != codes[name].identity)
    )
