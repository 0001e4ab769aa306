"""Runs are logged to TensorBoard and MLflow while they train; the stores are read back with these libraries."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from ablation.errors import FileError
from ablation.execution.study import plan_study
from ablation.results.runs import Results
from ablation.study.load import load_study

from .conftest import ABLATE, TINY, Ablate
from .test_run import results

LOG = "tensorboard,mlflow"
SHORT = (
    TINY.replace("epochs: 3", "epochs: 2").replace("seeds: [0, 1]", "seeds: [3]").replace("  model.norm: [none]\n", "")
)
"""Two runs: the baseline and dropout=0."""
FUNCTION = """\
study: tiny
task: {function: "code:main"}
metrics: {"top@1": {direction: higher}}
baseline: {wait: 0.0, "lr (peak)": 0.1, sizes: [1, 2], tag: null}
seeds: [3]
vary: {wait: [0.001]}
"""
CODE = """\
import random
import time
from pathlib import Path

def main(options, run):
    for epoch in range(40):
        time.sleep(options["wait"])
        run.log(**{"top@1": random.random()})
        while epoch == 20 and Path("hold").exists():
            time.sleep(0.05)
"""
"""It saves no state: an interrupted run starts again, and here comes to other values."""

ROWS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "images_per_second")

Values = dict[tuple[str, int], dict[tuple[str, int], list[float]]]
"""(variant, seed) -> (name, epoch) -> all values that a store holds."""


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a study was trained by the real command, and logged to everything."""
    folder = tmp_path_factory.mktemp("logged")
    write_function(folder, f"log: [{LOG}]\n")
    assert "2 runs trained" in run(folder, "tiny.yaml")
    return folder


def write_function(folder: Path, more: str = "") -> None:
    (folder / "tiny.yaml").write_text(FUNCTION + more, encoding="utf-8")
    (folder / "code.py").write_text(CODE, encoding="utf-8")


def run(folder: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    command = [*ABLATE, "run", *arguments]
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    migrations = re.compile(r".*\bINFO\b.*")  # an older MLflow says how it makes its database
    assert [line for line in result.stderr.splitlines() if not migrations.fullmatch(line)] == []
    return result.stdout


def events(folder: Path) -> Iterator[Any]:
    """What TensorBoard's loader reads of each run: the folder of the run and an event."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    for path in sorted(folder.glob("results/logs/tensorboard/*/*/events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            yield path.parent, event


def of_tensorboard(folder: Path) -> Values:
    found: Values = {}
    for place, event in events(folder):
        variant, _, seed = place.name.rpartition("-s")
        for value in event.summary.value:
            if not value.tag.startswith("_hparams_"):
                own = found.setdefault((variant, int(seed)), {}).setdefault((value.tag, event.step), [])
                own.append(value.tensor.float_val[0])
    return found


def of_mlflow(folder: Path) -> Values:
    found: Values = {}
    client, runs = mlflow_runs(folder)
    for each in runs:
        own = found.setdefault((each.data.params["variant"], int(each.data.params["seed"])), {})
        for name in each.data.metrics:
            for metric in client.get_metric_history(each.info.run_id, name):
                own.setdefault((name, metric.step), []).append(metric.value)
    return found


def mlflow_runs(folder: Path) -> tuple[Any, list[Any]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'results' / 'logs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    return client, list(client.search_runs([experiment.experiment_id]))


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries that MLflow uses

READERS = {"tensorboard": of_tensorboard, "mlflow": of_mlflow}


def stored(found: Results, names: Sequence[str] = ROWS) -> Values:
    """What the results hold, as a logger is to have it."""
    values: Values = {}
    for row in found.epochs.to_dict("records"):
        own = values.setdefault((row["variant"], row["seed"]), {})
        own |= {(name, row["epoch"]): [row[name]] for name in names}
    for row in found.runs.to_dict("records"):
        own = values[row["variant"], row["seed"]]
        last = max(epoch for _, epoch in own)
        own |= {(f"final/{name}", last): [row[name]] for name in names[:4]}
    return values


def of_function(folder: Path, target: str) -> Values:
    """What is stored of the function; MLflow takes no @ in a name."""
    wanted = stored(results(folder, "tiny"), ["top@1"])
    if target == "tensorboard":
        return wanted
    return {run: {(name.replace("@", "_"), epoch): own for (name, epoch), own in wanted[run].items()} for run in wanted}


def same(first: Values, second: Values) -> None:
    assert first.keys() == second.keys()
    for run in first:
        assert first[run].keys() == second[run].keys()
        for place, values in first[run].items():
            assert values == pytest.approx(second[run][place], rel=1e-6, nan_ok=True), (run, place)


@pytest.mark.slow
@pytest.mark.parametrize("target", READERS)
def test_every_epoch_and_the_final_metrics_are_logged_once(logged: Path, target: str) -> None:
    same(READERS[target](logged), of_function(logged, target))


def test_options_are_hyperparameters_in_tensorboard(logged: Path) -> None:
    from tensorboard.plugins.hparams import metadata

    starts, ends = {}, Counter[str]()
    for place, event in events(logged):
        for value in event.summary.value:
            if value.tag == metadata.SESSION_START_INFO_TAG:
                starts[place.name] = metadata.parse_session_start_info_plugin_data(value.metadata.plugin_data.content)
            ends[place.name] += value.tag == metadata.SESSION_END_INFO_TAG
    assert starts.keys() == {"baseline-s3", "wait=0.001-s3"}
    assert ends == Counter(starts.keys())
    slower = starts["wait=0.001-s3"].hparams
    assert (slower["variant"].string_value, slower["seed"].number_value) == ("wait=0.001", 3)
    assert slower["wait"].number_value == pytest.approx(0.001)
    assert slower["lr (peak)"].number_value == pytest.approx(0.1)
    assert slower["sizes"].string_value == "[1, 2]"
    assert "tag" not in slower


def test_options_are_parameters_in_mlflow(logged: Path) -> None:
    _, runs = mlflow_runs(logged)
    assert {each.info.run_name for each in runs} == {"baseline · seed 3", "wait=0.001 · seed 3"}
    assert {each.info.status for each in runs} == {"FINISHED"}
    params = {each.data.params["variant"]: each.data.params for each in runs}
    assert (params["baseline"]["wait"], params["wait=0.001"]["wait"]) == ("0.0", "0.001")
    assert (params["baseline"]["lr _peak_"], params["baseline"]["sizes"]) == ("0.1", "[1, 2]")
    assert "tag" not in params["baseline"]
    assert not list(logged.glob("mlruns/*"))  # an older MLflow makes an empty folder


@pytest.mark.slow
def test_the_same_command_again_logs_nothing_twice(logged: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in logged.glob("results/logs/tensorboard/*/*/*")}
    run(logged, "tiny.yaml")
    assert {path: path.stat().st_mtime_ns for path in logged.glob("results/logs/tensorboard/*/*/*")} == before
    same(of_mlflow(logged), of_function(logged, "mlflow"))


def test_runs_that_were_finished_before_are_logged_too(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    assert "nothing left to train" in run(folder, "tiny.yaml", "--log", "tensorboard")
    same(of_tensorboard(folder), stored(results(folder, "tiny")))
    assert not (folder / "results" / "logs" / "mlflow.db").exists()


@pytest.mark.slow
def test_a_logger_that_fails_is_reported_and_training_goes_on(tmp_path: Path) -> None:
    write_function(tmp_path)
    blocked = tmp_path / "results" / "logs" / "tensorboard"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("not a folder")
    printed = run(tmp_path, "tiny.yaml", "--log", "tensorboard")
    assert "2 runs trained" in printed
    assert printed.count("logging to tensorboard failed and is off from here: NotADirectoryError") == 1
    assert printed.count("not everything was logged to tensorboard: the same command logs what is missing") == 1
    blocked.unlink()
    assert "not everything" not in run(tmp_path, "tiny.yaml", "--log", "tensorboard")
    same(of_tensorboard(tmp_path), of_function(tmp_path, "tensorboard"))


@pytest.mark.parametrize("missing", ["tensorboard", "mlflow"])
def test_a_library_that_is_not_installed_is_an_error_before_anything_is_trained(
    study_file: Callable[..., Path], tmp_path: Path, missing: str
) -> None:
    study_file(SHORT)
    script = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from ablation.cli.main import main; sys.exit(main(['run', 'tiny.yaml', '--log', '{LOG}']))"
    )
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert f"logging to {missing} needs {missing}, which is not installed" in result.stderr
    assert f"pip install 'ablation-lab[{missing}]'" in result.stderr
    assert not (tmp_path / "results").exists()


def test_a_logger_that_does_not_exist_is_an_error_with_its_place(study_file: Callable[..., Path]) -> None:
    path = study_file(f"{SHORT}log: [tensorboard, mlfow]\n")
    with pytest.raises(FileError, match=r"tiny.yaml:10:20: log\[1\] is 'mlfow'") as error:
        load_study(path)
    assert "did you mean 'mlflow'?" in str(error.value)


def test_an_unknown_logger_on_the_command_line_is_an_error(ablate: Ablate, study_file: Callable[..., Path]) -> None:
    study_file(SHORT)
    result = ablate("run", "tiny.yaml", "--log", "wandb")
    assert result.returncode == 1
    assert "--log: 'wandb' cannot be logged to; write tensorboard, mlflow, both, or none" in result.stderr


def test_logging_is_no_part_of_what_is_trained(study_file: Callable[..., Path]) -> None:
    plain = plan_study(load_study(study_file(SHORT)))
    also = plan_study(load_study(study_file(f"{SHORT}log: [{LOG}]\n")))
    assert also.study.log == ("tensorboard", "mlflow")
    assert also.runs == plain.runs


@pytest.mark.slow
@pytest.mark.parametrize("target", READERS)
def test_a_killed_study_goes_on_in_the_same_runs_without_a_row_twice(
    study_file: Callable[..., Path], tmp_path: Path, target: str
) -> None:
    study_file(SHORT.replace("epochs: 2", "epochs: 400"))
    kill_when_logged(tmp_path, target)
    run(tmp_path, "tiny.yaml", "--log", target)
    same(READERS[target](tmp_path), stored(results(tmp_path, "tiny")))


@pytest.mark.slow
def test_rows_of_a_run_that_started_again_are_replaced(tmp_path: Path) -> None:
    write_function(tmp_path)
    (tmp_path / "hold").touch()
    kill_when_logged(tmp_path, "mlflow")
    (tmp_path / "hold").unlink()
    before = of_mlflow(tmp_path)
    run(tmp_path, "tiny.yaml", "--log", "mlflow")
    after = of_mlflow(tmp_path)
    same(after, of_function(tmp_path, "mlflow"))
    assert any(after[own][place] != value for own in before for place, value in before[own].items())


def kill_when_logged(folder: Path, target: str) -> None:
    """Start the study, and kill the command and its workers once some rows are logged."""
    command = [*ABLATE, "run", "tiny.yaml", "--log", target]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not begun(folder, target) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert begun(folder, target), "nothing was logged while the runs were trained"
    assert not any((path / "run.json").exists() for path in folder.glob("results/runs/*"))


def begun(folder: Path, target: str) -> bool:
    """Whether a run that is being trained was logged."""
    if target == "tensorboard":
        return any(path.stat().st_size > 5_000 for path in folder.glob("results/logs/tensorboard/*/*/events*"))
    path = folder / "results" / "logs" / "mlflow.db"
    if not path.exists():
        return False
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database, suppress(sqlite3.OperationalError):
        return bool(database.execute("select count(*) from metrics").fetchone()[0] > 5)
    return False
