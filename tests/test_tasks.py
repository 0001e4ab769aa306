"""A function or a command as a study, as its user types and sees it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ablation.errors import FileError, UserError
from ablation.execution.study import plan_study
from ablation.results.runs import load_results
from ablation.storage.manifest import read_manifest
from ablation.storage.store import Store, write_record
from ablation.study.load import load_study, study_of
from ablation.study.task_file import TaskStudyFile
from ablation.study.tasks import CommandTask
from ablation.tasks.arguments import invocation
from ablation.tasks.metric_sources import find_metrics
from tests.conftest import ABLATE, TINY, Ablate

FUNCTION = """\
study: waves
task: {function: "train:main", smoke: {epochs: 1}}
metrics:
  val_accuracy: {direction: higher, unit: share}
  train_loss: {direction: lower}
baseline: {lr: 0.3, dropout: 0.2, epochs: 3, optimizer: {name: adam, beta: 0.9}}
seeds: 3
vary: {dropout: [0, 0.8], optimizer.beta: [0.5]}
"""
TRAIN = """\
import sys

def main(options, run):
    own = f"{options['dropout']} {options['optimizer']['beta']}"
    noise = run.generator("shared").normal() / 100 + run.generator(own).normal() / 1000
    for epoch in run.epochs(options["epochs"]):
        accuracy = 0.5 + 0.1 * epoch - 0.2 * options["dropout"] + noise
        run.log(train_loss=1 - accuracy, val_accuracy=accuracy, torch=float("torch" in sys.modules))
"""
COMMAND = """\
study: script
task: {command: "python train.py {args}", seed: --seed}
metrics:
  val_accuracy: {direction: higher, unit: percent}
baseline: {lr: 0.1, amp: true}
seeds: 3
vary: {lr: [0.3], amp: [false]}
"""
SCRIPT = """\
import argparse, random
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--amp", action=argparse.BooleanOptionalAction)
parser.add_argument("--seed", type=int)
given = parser.parse_args()
noise = random.Random(given.seed).gauss(0, 0.1)
for epoch in range(1, 4):
    print(f"epoch {epoch} val_accuracy: {60 + 10 * epoch * given.lr + 5 * given.amp + noise:.3f}")
"""


@pytest.fixture
def function(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TRAIN.replace(', torch=float("torch" in sys.modules)', ""), encoding="utf-8")
    (tmp_path / "waves.yaml").write_text(FUNCTION, encoding="utf-8")
    return tmp_path


@pytest.fixture
def command(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "script.yaml").write_text(COMMAND, encoding="utf-8")
    return tmp_path


def test_a_function_is_a_study_from_its_file_to_its_report(function: Path, ablate: Ablate) -> None:
    run = ablate("run", "waves.yaml")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "the code of train:main is named by this study" in run.stdout
    assert "12 runs trained" in run.stdout
    again = ablate("run", "waves.yaml")
    assert "nothing left to train" in again.stdout
    status = ablate("status")
    assert "12 finished" in status.stdout
    report = ablate("report")
    assert report.returncode == 0, report.stderr
    text = (function / "reports" / "waves" / "report.md").read_text("utf-8")
    assert "Worse" in text
    assert "dropout=0.8" in text
    assert "image" not in text.split("## Appendix")[0].replace("](images", "").replace("](figures", "")


def test_what_a_function_logged_is_in_the_results(function: Path, ablate: Ablate) -> None:
    assert ablate("run", "waves.yaml").returncode == 0
    store = Store(function / "results")
    found = load_results(store, read_manifest(store.study_file("waves")))
    base = found.runs[found.runs["variant"] == "baseline"].set_index("seed")
    rows = found.epochs[(found.epochs["variant"] == "baseline") & (found.epochs["seed"] == 0)]
    assert len(rows) == 3
    assert base["val_accuracy"][0] == rows["val_accuracy"].iloc[-1]
    assert base["train_loss"][0] == pytest.approx(1 - base["val_accuracy"][0])
    assert len(set(base["val_accuracy"])) == 3  # each seed has noise of its own
    low = found.runs[found.runs["variant"] == "dropout=0.8"].set_index("seed")
    difference = low["val_accuracy"] - base["val_accuracy"]
    assert list(difference) == pytest.approx([-0.12] * 3, abs=0.01)  # most of it shared by the variants


def test_no_torch_is_imported_for_a_function_without_it(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(TRAIN, encoding="utf-8")
    assert ablate("run", "waves.yaml").returncode == 0
    files = (function / "results" / "runs").glob("*/epochs.jsonl")
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert len(lines) == 36
    assert all(json.loads(line)["metrics"]["torch"] == 0 for line in lines)


@pytest.mark.slow
def test_the_result_of_a_function_is_what_it_returns(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text("def main(options, run):\n    return {'val_accuracy': options['dropout'] / 2}\n")
    assert ablate("run", "waves.yaml", "--seeds", "0").returncode == 0
    assert "0.4" in next(line for line in ablate("status").stdout.splitlines() if line.startswith("dropout=0.8"))


def test_select_best_takes_the_best_row(function: Path, ablate: Ablate) -> None:
    study = FUNCTION.replace("smoke: {epochs: 1}", "select: best")
    (function / "waves.yaml").write_text(study, encoding="utf-8")
    (function / "train.py").write_text(
        "def main(options, run):\n    for value in (0.2, 0.9, 0.4):\n        run.log(val_accuracy=value)\n"
    )
    assert ablate("run", "waves.yaml", "--seeds", "0", "--only", "baseline").returncode == 0
    (record,) = (json.loads(path.read_text()) for path in (function / "results" / "runs").glob("*/run.json"))
    assert (record["selected_epoch"], record["metrics"]["val_accuracy"]) == (2, 0.9)


@pytest.mark.slow
def test_a_metric_that_is_not_finite_is_a_diverged_run(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(
        "def main(options, run):\n    return {'val_accuracy': float('nan') if options['dropout'] == 0.8 else 0.5}\n"
    )
    assert ablate("run", "waves.yaml", "--seeds", "0").returncode == 0
    assert "1 diverged" in ablate("status").stdout


@pytest.mark.slow
def test_changed_code_is_trained_again_and_a_metric_added_later_is_not(function: Path, ablate: Ablate) -> None:
    (function / "waves.yaml").write_text(FUNCTION.replace("  train_loss: {direction: lower}\n", ""))
    assert ablate("run", "waves.yaml").returncode == 0
    (function / "waves.yaml").write_text(FUNCTION)
    assert "nothing left to train" in ablate("run", "waves.yaml").stdout
    with (function / "train.py").open("a") as file:
        file.write("# changed\n")
    changed = ablate("run", "waves.yaml")
    assert "has changed, and is trained again" in changed.stdout
    assert "12 runs trained" in changed.stdout


@pytest.mark.slow
def test_a_package_beside_the_study_is_imported_and_hashed(function: Path, ablate: Ablate) -> None:
    (function / "parts").mkdir()
    (function / "parts" / "__init__.py").touch()
    (function / "parts" / "model.py").write_text("VALUE = 0.25\n")
    (function / "train.py").write_text(
        "from parts.model import VALUE\ndef main(options, run):\n    return {'val_accuracy': VALUE}\n"
    )
    assert ablate("run", "waves.yaml", "--only", "baseline").returncode == 0
    (function / "parts" / "model.py").write_text("VALUE = 0.75\n")
    again = ablate("run", "waves.yaml", "--only", "baseline")
    assert "3 runs trained" in again.stdout
    assert "val_accuracy 0.75" in again.stdout


@pytest.mark.slow
def test_a_metric_that_no_run_reported_loses_nothing(function: Path, ablate: Ablate) -> None:
    (function / "waves.yaml").write_text(FUNCTION.replace("val_accuracy", "val_acc"))
    wrong = ablate("run", "waves.yaml")
    assert wrong.returncode == 1
    assert "12 finished runs reported no 'val_acc'; reported were: train_loss, val_accuracy" in wrong.stderr
    (function / "waves.yaml").write_text(FUNCTION)
    assert "nothing left to train" in ablate("run", "waves.yaml").stdout


def test_a_function_that_fails_is_named_with_its_line(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text("def main(options, run):\n    return {'val_accuracy': options['momentum']}\n")
    failed = ablate("run", "waves.yaml", "--seeds", "0")
    assert failed.returncode == 2
    assert "train:main fails at train.py:2: KeyError: 'momentum'" in failed.stdout


def test_an_import_error_is_shown_before_the_first_run(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text("import no_such_library\ndef main(options, run): ...\n")
    failed = ablate("run", "waves.yaml")
    assert failed.returncode == 1
    assert "train:main fails at train.py:1: ModuleNotFoundError" in failed.stderr
    assert not list((function / "results").glob("runs/*"))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("return 0.5", "train:main returned float"),
        ("return {'val_accuracy': 'high'}", "the metric 'val_accuracy' is 'high'; a metric is one number"),
        ("return {'val_accuracy': True}", "the metric 'val_accuracy' is True; a metric is one number"),
        ("pass", "the run reported no metrics"),
    ],
)
def test_what_is_no_result_is_one_clear_error(code: str, message: str, function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(f"def main(options, run):\n    {code}\n")
    failed = ablate("run", "waves.yaml", "--seeds", "0", "--only", "baseline")
    assert failed.returncode == 2
    assert message in failed.stdout


@pytest.mark.slow
def test_numbers_of_numpy_and_torch_are_metrics(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(
        "import numpy as np, torch\n"
        "def main(options, run):\n"
        "    run.seed_everything()\n"
        "    run.log(val_accuracy=torch.tensor(0.5), train_loss=np.float32(0.25))\n"
    )
    done = ablate("run", "waves.yaml", "--seeds", "0", "--only", "baseline")
    assert "val_accuracy 0.5" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_saved_predictions_give_the_accuracy_of_each_class(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(
        "import numpy as np\n"
        "def main(options, run):\n"
        "    draw = run.generator(str(options['dropout']))\n"
        "    labels = np.arange(60) % 3\n"
        "    outputs = np.eye(3)[labels] + draw.random((60, 3)) * (1 + options['dropout'])\n"
        "    outputs /= outputs.sum(axis=1, keepdims=True)\n"
        "    run.save_predictions(labels, outputs, classes=['cat', 'dog', 'owl'])\n"
        "    return {'val_accuracy': float((outputs.argmax(axis=1) == labels).mean()), 'train_loss': 0.1}\n"
    )
    done = ablate("run", "waves.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    report = ablate("report")
    assert report.returncode == 0, report.stderr
    text = (function / "reports" / "waves" / "report.md").read_text("utf-8")
    assert "owl" in text


def test_predictions_of_another_shape_are_refused(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text("def main(options, run):\n    run.save_predictions([0, 1], [[0.5, 0.5]])\n")
    failed = ablate("run", "waves.yaml", "--seeds", "0", "--only", "baseline")
    assert "targets are (2,) and outputs (1, 2)" in failed.stdout
    assert "targets are class numbers (n,)" in failed.stdout


@pytest.mark.slow
def test_smoke_uses_what_the_task_says(function: Path, ablate: Ablate) -> None:
    done = ablate("run", "waves.yaml", "--smoke")
    assert done.returncode == 0, done.stderr
    lines = [file.read_text().count("\n") for file in (function / "results" / "runs").glob("*/epochs.jsonl")]
    assert lines == [1] * 8  # 4 variants, two seeds
    (function / "waves.yaml").write_text(FUNCTION.replace(", smoke: {epochs: 1}", ""))
    refused = ablate("run", "waves.yaml", "--smoke")
    assert refused.returncode == 1
    assert "add it to the task, for example smoke: {epochs: 1}" in refused.stderr


def test_without_workers_a_run_is_trained_in_the_process_itself(function: Path) -> None:
    code = "import os\ndef main(options, run):\n    return {'val_accuracy': 0.5, 'process': os.getpid()}\n"
    (function / "train.py").write_text(code)
    command = [*ABLATE, "run", "waves.yaml", "--workers", "0"]
    with subprocess.Popen(
        command, cwd=function, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    records = [json.loads(path.read_text()) for path in (function / "results" / "runs").glob("*/run.json")]
    assert {record["metrics"]["process"] for record in records} == {process.pid}


@pytest.mark.slow
def test_components_grids_and_controls_work_for_a_function(function: Path, ablate: Ablate) -> None:
    study = FUNCTION.replace(
        "vary: {dropout: [0, 0.8], optimizer.beta: [0.5]}\n",
        "components: {drop: {on: {dropout: 0.2}, off: {dropout: 0}}, warm: {on: {lr: 0.3}, off: {lr: 0.1}}}\n"
        "design: factorial\ngrid: {both: {lr: [0.1, 0.3], dropout: [0.2, 0.6]}}\ncontrols: [a/a]\n",
    )
    (function / "waves.yaml").write_text(study)
    done = ablate("run", "waves.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    report = ablate("report")
    assert report.returncode == 0, report.stderr
    text = (function / "reports" / "waves" / "report.md").read_text("utf-8")
    assert "a/a control" in text
    assert "drop" in text


@pytest.mark.slow
def test_a_plan_is_timed_by_finished_runs(function: Path, ablate: Ablate) -> None:
    refused = ablate("plan", "waves.yaml", "--probe")
    assert refused.returncode == 1
    assert "train one first: ablate run waves.yaml --only baseline --seeds 0" in refused.stderr
    assert ablate("run", "waves.yaml", "--only", "baseline", "--seeds", "0").returncode == 0
    assert "about" in ablate("plan", "waves.yaml", "--probe").stdout


@pytest.mark.slow
def test_a_script_is_a_study_by_what_it_prints(command: Path, ablate: Ablate) -> None:
    done = ablate("run", "script.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the command of this study runs with your rights: python train.py {args}" in done.stdout
    assert "9 runs trained" in done.stdout
    store = Store(command / "results")
    found = load_results(store, read_manifest(store.study_file("script")))
    means = found.runs.groupby("variant")["val_accuracy"].mean()
    assert means["lr=0.3"] - means["baseline"] == pytest.approx(0.06)  # per cent are fractions of 1
    assert means["amp=off"] - means["baseline"] == pytest.approx(-0.05)
    assert len(found.epochs) == 27
    report = ablate("report")
    assert report.returncode == 0, report.stderr
    text = (command / "reports" / "script" / "report.md").read_text("utf-8")
    assert "| Metrics read from | standard output |" in text
    assert "none found" in text  # where metrics were read from is no warning
    seconds = found.runs["train_seconds"]
    assert (seconds > 0.01).all(), "rows that are read at the end leave out how long the command took"


def test_a_command_that_fails_shows_the_end_of_its_output(command: Path, ablate: Ablate) -> None:
    with (command / "train.py").open("a") as file:
        file.write("raise SystemExit('the disk of the moon is full')\n")
    failed = ablate("run", "script.yaml", "--seeds", "0", "--only", "baseline")
    assert failed.returncode == 2
    assert "the command ended with exit code 1: python train.py --lr 0.1 --amp --seed 0" in failed.stdout
    assert "the disk of the moon is full" in failed.stdout


def test_a_command_that_fails_without_a_word_is_said_without_gaps(command: Path, ablate: Ablate) -> None:
    (command / "train.py").write_text("raise SystemExit(3)")
    failed = ablate("run", "script.yaml", "--seeds", "0", "--only", "baseline")
    assert "exit code 3: python train.py --lr 0.1 --amp --seed 0; fix it" in " ".join(failed.stdout.split())


def test_rows_of_a_metrics_file_go_before_what_is_printed(command: Path, ablate: Ablate) -> None:
    (command / "train.py").write_text(
        "import json, os\n"
        "print('val_accuracy: 1')\n"
        "with open(os.environ['ABLATE_METRICS'], 'a') as file:\n"
        "    for step in (10, 20):\n"
        "        print(json.dumps({'step': step, 'val_accuracy': step}), file=file)\n"
    )
    done = ablate("run", "script.yaml", "--seeds", "0", "--only", "baseline")
    assert "val_accuracy 20" in done.stdout, done.stdout
    (history,) = (command / "results" / "runs").glob("*/epochs.jsonl")
    assert [json.loads(line)["step"] for line in history.read_text().splitlines()] == [10, 20]


@pytest.mark.parametrize(
    ("passing", "words"),
    [
        ({"pass": "argparse", "seed": "--seed"}, "--lr 0.1 --no-amp --sizes 1 2 --opt.name=-x --seed 7"),
        ({"pass": "argparse", "seed": "--seed", "booleans": "flag"}, "--lr 0.1 --sizes 1 2 --opt.name=-x --seed 7"),
        (
            {"pass": "argparse", "seed": "-s", "booleans": "value"},
            "--lr 0.1 --amp false --sizes 1 2 --opt.name=-x -s 7",
        ),
        ({"pass": "hydra", "seed": "seed"}, "lr=0.1 amp=false sizes=[1,2] none=null opt.name=-x seed=7"),
        ({"pass": "json", "seed": "seed"}, "DIR/params.json"),
    ],
)
def test_hyperparameters_reach_a_command_as_it_takes_them(passing: dict[str, str], words: str, tmp_path: Path) -> None:
    task = CommandTask.model_validate({"command": "prog {args}", **passing})
    values = {"lr": 0.1, "amp": False, "sizes": [1, 2], "none": None, "opt": {"name": "-x"}}
    started = invocation(task, values, 7, tmp_path, "cpu")
    assert " ".join(started.words) == f"prog {words}".replace("DIR", str(tmp_path))
    assert started.environment["ABLATE_SEED"] == "7"
    kept = json.loads((tmp_path / "params.json").read_text())
    assert kept == (values | {"seed": 7} if passing["pass"] == "json" else values)


def test_the_environment_holds_hyperparameters_where_it_is_asked_to(tmp_path: Path) -> None:
    task = CommandTask.model_validate({"command": "prog --out={dir}/x", "pass": "env", "seed": "SEED"})
    started = invocation(task, {"LR": 0.1, "opt": {"name": "adam"}}, 7, tmp_path, "cuda:1")
    assert started.words == ("prog", f"--out={tmp_path}/x")
    assert {
        "LR": "0.1",
        "opt_name": "adam",
        "SEED": "7",
        "CUDA_VISIBLE_DEVICES": "1",
    }.items() <= started.environment.items()


def test_a_declared_metric_is_read_without_a_colon_too(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("epoch 1: loss 0.52 val_acc 0.81\nepoch 2: loss 0.31 val_acc 0.90 (best val_acc 0.9, at 12)\n")
    found = find_metrics(tmp_path, log, "val_acc", ["val_acc"])
    assert found.rows == ((1, {"val_acc": 0.81}), (2, {"val_acc": 0.9}))
    assert find_metrics(tmp_path, log, "val_acc").rows == ()
    log.write_text("epoch 1 acc: 0.5, last acc 0.1\nfinal_acc 0.7\nacc 12:30\n")
    assert find_metrics(tmp_path, log, "acc", ["acc"]).rows == ((1, {"acc": 0.5}),)


def test_the_first_source_with_the_primary_metric_is_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,val_loss\n1,0.5\n2,0.25\n")
    log = tmp_path / "log.txt"
    log.write_text("val_accuracy: 0.9\n")
    assert find_metrics(tmp_path, log, "val_loss").source == "metrics.csv"
    assert find_metrics(tmp_path, log, "val_accuracy").source == "standard output"
    assert find_metrics(tmp_path, log, "val_loss").rows == ((1, {"val_loss": 0.5}), (2, {"val_loss": 0.25}))


MISTAKES = [
    ("task: {function: main}", "a custom function is named module:attribute"),
    ("task: {}", "a task has either function or command"),
    ('task: {function: "train:main", comand: x}', "unknown key 'comand'"),
    ('task: {command: "python train.py", seed: --seed}', "the command has no {args} for its hyperparameters"),
    ('task: {command: "python train.py {args}"}', "task has no 'seed'"),
    ('task: {function: "nowhere:main"}', "there is no nowhere.py"),
    ('task: {function: "train:main", smoke: {epoch: 1}}', "the baseline has no option epoch"),
    ('task: {function: "train:main", code: [missing/]}', "there is no 'missing/'"),
]


@pytest.mark.parametrize(("task", "message"), MISTAKES)
def test_a_wrong_task_is_an_error_with_its_line(
    task: str, message: str, function: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(function)
    text = FUNCTION.replace('task: {function: "train:main", smoke: {epochs: 1}}', task)
    with pytest.raises(FileError) as error:
        study_of(text, Path("waves.yaml"))
    assert message in str(error.value)
    assert "waves.yaml:2:" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{direction: lower}", "{direction: down}", "metrics.train_loss.direction is 'down'"),
        ("{direction: lower}", "{}", "metrics.train_loss has no 'direction'"),
        ("train_loss:", "epochs:", "a metric cannot be named epochs"),
        ("vary: {dropout", "vary: {dropuot", "unknown variable 'dropuot'"),
        ("seeds: 3", "seeds: 3\nanalysis: {metric: loss}", "there is no metric loss"),
        ("lr: 0.3", "lr: .inf", "lr is inf"),
        ("[0, 0.8]", "[0.2]", "this variant equals the baseline"),
    ],
)
def test_a_mistake_in_a_study_of_a_function_is_named(
    old: str, new: str, message: str, function: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(function)
    with pytest.raises(FileError) as error:
        study_of(FUNCTION.replace(old, new), Path("waves.yaml"))
    assert message in str(error.value)


def test_an_override_of_an_unknown_option_says_what_there_is(function: Path) -> None:
    with pytest.raises(UserError, match="--set lrr=1: unknown key 'lrr'") as error:
        study_of(FUNCTION, function / "waves.yaml", overrides=["lrr=1"])
    assert "did you mean 'lr'?" in str(error.value.hint)
    changed = study_of(FUNCTION, function / "waves.yaml", overrides=["optimizer.beta=0.8"])
    assert changed.baseline.recipe.flat()["optimizer.beta"] == 0.8


def test_a_file_without_metrics_is_refused() -> None:
    with pytest.raises(ValidationError):
        TaskStudyFile.model_validate({"task": {"function": "a:b"}, "baseline": {}, "metrics": {}, "seeds": 1})


def test_the_schema_for_editors_has_tasks(ablate: Ablate) -> None:
    schema = json.loads(ablate("schema").stdout)
    text = json.dumps(schema)
    assert "FunctionTask" in text
    assert "lenet5" in text


def test_a_library_user_runs_a_function(function: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ablation

    monkeypatch.chdir(function)
    study = ablation.load_study("waves.yaml", seeds=[0, 1])
    assert textwrap.shorten(study.name, 20) == "waves"
    assert ablation.Run.__module__ == "ablation.tasks.function"


@pytest.mark.slow
def test_a_change_without_effect_is_warned_of(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(
        "import time\ndef main(options, run):\n"
        "    value = 0.5 + run.generator(str(options['dropout'])).normal() / 100\n"
        "    return {'val_accuracy': value, 'fit_seconds': time.perf_counter()}\n"
    )
    assert ablate("run", "waves.yaml").returncode == 0
    assert ablate("report").returncode == 0
    text = (function / "reports" / "waves" / "report.md").read_text("utf-8")
    assert "beta=0.5 has the same value of every metric, times aside, as the baseline in all 3 seeds" in text
    assert "dropout=0 has the same" not in text
    refused = ablate("test", "waves")
    assert refused.returncode == 1
    assert "were trained by a function; `ablate test` evaluates the built-in image classifier" in refused.stderr


@pytest.mark.slow
def test_levels_that_smoke_options_make_equal_are_no_sweep(function: Path, ablate: Ablate) -> None:
    study = FUNCTION.replace("vary: {dropout", "vary: {epochs: [2, 5], dropout")
    (function / "waves.yaml").write_text(study, encoding="utf-8")
    assert ablate("run", "waves.yaml", "--smoke").returncode == 0
    report = ablate("report")
    assert report.returncode == 0, report.stderr


@pytest.mark.slow
def test_a_value_that_cannot_be_in_its_unit_is_refused_and_nothing_is_lost(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(
        "def main(options, run):\n    return {'val_accuracy': 70 + options['dropout'], 'train_loss': -1.0}\n"
    )
    refused = ablate("run", "waves.yaml")
    assert refused.returncode == 1
    assert "val_accuracy is 70.2; in the unit share it is between 0 and 1" in refused.stderr
    assert "declare its unit as percent, or raw in waves.yaml" in refused.stderr
    reported = ablate("report")
    assert reported.returncode == 1
    assert "declare its unit as percent, or raw in waves.yaml" in reported.stderr  # not ../waves.yaml
    (function / "waves.yaml").write_text(FUNCTION.replace("unit: share", "unit: percent"))
    assert "nothing left to train" in ablate("run", "waves.yaml").stdout
    assert ablate("report").returncode == 0


@pytest.mark.slow
def test_a_share_that_is_more_than_1_by_rounding_is_accepted(function: Path, ablate: Ablate) -> None:
    returned = "def main(options, run):\n    return {'val_accuracy': VALUE, 'train_loss': 1.0}\n"
    (function / "train.py").write_text(returned.replace("VALUE", "1.0000000149"))  # float(np.float32(0.1)) * 10
    done = ablate("run", "waves.yaml", "--seeds", "0")
    assert done.returncode == 0, done.stderr
    assert ablate("report").returncode == 0
    (function / "train.py").write_text(returned.replace("VALUE", "1.000002"))
    refused = ablate("run", "waves.yaml", "--seeds", "0")
    assert "val_accuracy is 1.000002; in the unit share it is between 0 and 1" in refused.stderr


@pytest.mark.slow
def test_the_size_of_a_model_that_a_function_returns_is_compared(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(
        "def main(options, run):\n"
        "    size = 5000 if options['dropout'] else 9000\n"
        "    value = 0.5 + run.generator(str(options)).normal() / 100\n"
        "    return {'val_accuracy': value, 'parameters': size, 'macs': float('inf'), 'seed': 9, 'status': 1}\n"
    )
    assert ablate("run", "waves.yaml").returncode == 0
    store = Store(function / "results")
    runs = load_results(store, read_manifest(store.study_file("waves"))).runs
    assert list(runs.loc[runs["variant"] == "dropout=0", "parameters"]) == [9000] * 3
    assert sorted(set(runs["seed"])) == [0, 1, 2]
    assert set(runs["status"]) == {"finished"}
    assert ablate("report").returncode == 0
    text = (function / "reports" / "waves" / "report.md").read_text("utf-8")
    assert "80 % more parameters (9,000 against 5,000)" in text


@pytest.mark.slow
def test_what_a_function_returned_or_could_not_is_said_as_it_is(function: Path, ablate: Ablate) -> None:
    """A value that is no number has no epoch and need be no loss; a function that returns has chosen no row."""
    (function / "waves.yaml").write_text(FUNCTION.replace("smoke:", "select: best, smoke:"), encoding="utf-8")
    (function / "train.py").write_text(
        "def main(options, run):\n"
        "    for epoch in run.epochs(2):\n"
        "        run.log(val_accuracy=0.5, train_loss=1.0)\n"
        "    value = 0.5 + run.generator(str(options)).normal() / 100\n"
        "    return {'val_accuracy': value if options['dropout'] else float('nan')}\n"
    )
    assert ablate("run", "waves.yaml").returncode == 0
    assert ablate("report").returncode == 0
    report = function / "reports" / "waves" / "report.md"
    text = report.read_text("utf-8")
    assert "A run that diverged is a result: its primary metric is not a finite number." in text
    assert "| validation accuracy is not a finite number |" in text
    assert "the loss became" not in text
    assert "| Result of a run | what it returned, or else its best row by the primary metric |" in text
    assert ablate("report", "--style", "paper").returncode == 0
    assert "reports its best row" not in report.read_text("utf-8")
    (function / "train.py").write_text(TRAIN, encoding="utf-8")
    assert ablate("run", "waves.yaml").returncode == 0
    assert ablate("report", "--style", "paper").returncode == 0
    assert "ach run reports its best row" in report.read_text("utf-8")


def test_an_epoch_that_is_logged_among_the_metrics_is_no_metric(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(
        "def main(options, run):\n"
        "    for epoch in run.epochs(3):\n"
        "        run.log(epoch=epoch / 2, lr=0.1, val_accuracy=0.1 * epoch, train_loss=1.0)\n"
    )
    assert ablate("run", "waves.yaml").returncode == 0
    store = Store(function / "results")
    found = load_results(store, read_manifest(store.study_file("waves")))
    rows = found.epochs[(found.epochs["variant"] == "baseline") & (found.epochs["seed"] == 0)]
    assert list(rows["epoch"]) == [1, 2, 3]
    assert list(rows["lr"]) == [0.1] * 3


def test_what_is_printed_counts_where_rows_in_a_file_lack_the_primary_metric(command: Path, ablate: Ablate) -> None:
    with (command / "train.py").open("a") as file:
        file.write("import os\nopen(os.environ['ABLATE_METRICS'], 'w').write('{\"train_loss\": 1}\\n')\n")
    done = ablate("run", "script.yaml", "--seeds", "0", "--only", "baseline")
    assert done.returncode == 0, done.stdout + done.stderr
    (history,) = (command / "results" / "runs").glob("*/epochs.jsonl")
    rows = [json.loads(line)["metrics"] for line in history.read_text().splitlines()]
    assert ["val_accuracy" in row for row in rows] == [True] * 3


@pytest.mark.slow
def test_a_train_option_of_other_code_is_no_budget(function: Path, ablate: Ablate) -> None:
    study = FUNCTION.replace("baseline: {", "baseline: {train: {batch_size: 8}, ")
    (function / "waves.yaml").write_text(study, encoding="utf-8")
    assert ablate("run", "waves.yaml").returncode == 0
    report = ablate("report")
    assert report.returncode == 0, report.stderr


def test_image_classifiers_are_not_trained_in_the_process_itself(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    refused = ablate("run", "tiny.yaml", "--workers", "0")
    assert refused.returncode == 1
    assert "--workers 0 is for studies of a function or a command" in refused.stderr


@pytest.mark.slow
def test_whether_a_run_has_diverged_depends_on_the_primary_metric(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(
        "def main(options, run):\n    return {'val_accuracy': 0.5 + run.seed / 10, 'train_loss': float('inf')}\n"
    )
    assert ablate("run", "waves.yaml").returncode == 0
    assert "12 finished" in ablate("status").stdout
    (function / "waves.yaml").write_text(f"{FUNCTION}analysis: {{metric: train_loss}}\n")
    assert "nothing left to train" in ablate("run", "waves.yaml").stdout
    assert "12 diverged" in ablate("status").stdout


def test_code_that_changes_while_a_study_runs_is_not_stored_under_the_old_key(command: Path, ablate: Ablate) -> None:
    with (command / "train.py").open("a") as file:
        file.write("open('train.py', 'a').write('# one more line\\n')\n")
    failed = ablate("run", "script.yaml", "--per-device", "1", "--only", "baseline")
    assert failed.returncode == 2
    assert "code of the study has changed since the study was planned" in failed.stdout
    assert len(list((command / "results" / "runs").glob("*/run.json"))) == 1


def test_a_module_that_only_a_package_imports_is_part_of_the_code(function: Path) -> None:
    (function / "parts").mkdir()
    (function / "parts" / "__init__.py").write_text("import deeper\n")
    (function / "deeper.py").write_text("VALUE = 1\n")
    (function / "train.py").write_text("import parts\ndef main(options, run): ...\n")
    keys = set()
    for value in (1, 2):
        (function / "deeper.py").write_text(f"VALUE = {value}\n")
        keys.add(plan_study(load_study(function / "waves.yaml")).runs[0].key)
    assert len(keys) == 2


@pytest.mark.parametrize(("unit", "margin"), [("percent", 0.01), ("share", 1.0), ("raw", 1.0)])
def test_a_margin_is_in_the_unit_of_its_metric(unit: str, margin: float, function: Path) -> None:
    text = FUNCTION.replace("unit: share", f"unit: {unit}") + "analysis: {margin: 1}\n"
    assert study_of(text, function / "waves.yaml").analysis.margin == margin


def test_the_seed_of_a_command_is_no_option_of_the_baseline(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(command)
    with pytest.raises(FileError, match="seed is the seed of the command"):
        study_of(COMMAND.replace("{lr: 0.1", "{seed: 1, lr: 0.1"), Path("script.yaml"))


def test_a_command_sees_only_the_device_that_it_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = CommandTask.model_validate({"command": "prog {args}", "seed": "--seed"})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    found = [invocation(task, {}, 0, tmp_path, device).environment for device in ("cuda:1", "cpu")]
    assert [own["CUDA_VISIBLE_DEVICES"] for own in found] == ["3", ""]
    assert [own["ABLATE_DEVICE"] for own in found] == ["cuda:0", "cpu"]


@pytest.mark.slow
def test_a_file_that_a_command_writes_is_no_code_of_it(command: Path, ablate: Ablate) -> None:
    (command / "train.log").write_text("")
    (command / "train.py").write_text(
        SCRIPT.replace("given =", 'parser.add_argument("--log")\ngiven =')
        + "print(given.seed, file=open(given.log, 'a'))\n"
    )
    (command / "script.yaml").write_text(COMMAND.replace("train.py {args}", "train.py --log=train.log {args}"))
    assert "9 runs trained" in ablate("run", "script.yaml").stdout
    assert "nothing left to train" in ablate("run", "script.yaml").stdout


@pytest.mark.parametrize("name", ["conf.yaml", "more.py"])
def test_configuration_and_scripts_that_a_command_names_are_part_of_its_code(
    name: str, command: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(command)
    (command / "script.yaml").write_text(COMMAND.replace("train.py {args}", f"train.py --with {name} {{args}}"))
    keys = set()
    for text in ("a: 1", "a: 2"):
        (command / name).write_text(text)
        keys.add(plan_study(load_study(command / "script.yaml")).runs[0].key)
    assert len(keys) == 2


@pytest.mark.slow
def test_a_package_that_is_a_link_is_code_of_the_study(function: Path, ablate: Ablate, tmp_path: Path) -> None:
    elsewhere = tmp_path / "shared" / "parts"
    elsewhere.mkdir(parents=True)
    (elsewhere / "__init__.py").write_text("VALUE = 0.25\n")
    (function / "parts").symlink_to(elsewhere)
    (function / "train.py").write_text(
        "import parts\ndef main(options, run):\n    return {'val_accuracy': parts.VALUE, 'train_loss': 1}\n"
    )
    ran = ablate("run", "waves.yaml", "--only", "baseline")
    assert "3 runs trained" in ran.stdout, ran.stdout
    (elsewhere / "__init__.py").write_text("VALUE = 0.5\n")
    assert "3 runs trained" in ablate("run", "waves.yaml", "--only", "baseline").stdout


def test_a_module_is_hashed_where_a_folder_without_code_has_its_name(function: Path) -> None:
    (function / "config").mkdir()
    (function / "parts").mkdir()
    (function / "parts" / "__init__.py").write_text("from config import VALUE\n")
    (function / "train.py").write_text("import parts\ndef main(options, run): ...\n")
    keys = set()
    for value in (1, 2):
        (function / "config.py").write_text(f"VALUE = {value}\n")
        keys.add(plan_study(load_study(function / "waves.yaml")).runs[0].key)
    assert len(keys) == 2


def test_an_option_inside_a_mapping_belongs_to_one_component(function: Path) -> None:
    start = FUNCTION.partition("vary:")[0]
    parts = "{adam: {on: {optimizer: {name: adam, beta: 0.9}}}, high: {on: {optimizer.beta: 0.99}}}"
    (function / "waves.yaml").write_text(f"{start}components: {parts}\ndesign: factorial\n")
    with pytest.raises(FileError, match=r"optimizer\.beta belongs to the component 'adam' and to 'high'"):
        load_study(function / "waves.yaml")


@pytest.mark.slow
def test_the_streams_of_a_function_are_those_of_stored_runs(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text(
        "def main(options, run):\n"
        "    import torch\n"
        "    own = torch.rand((), generator=run.torch_generator('x'), dtype=torch.float64)\n"
        "    return {'val_accuracy': run.generator('x').random(), 'train_loss': own.item()}\n"
    )
    assert ablate("run", "waves.yaml", "--only", "baseline", "--seeds", "0").returncode == 0
    (path,) = (function / "results" / "runs").glob("*/run.json")
    seed = int.from_bytes(hashlib.sha256(b"0\x1fx").digest()[:8], "big")
    stream = torch.Generator().manual_seed(seed % 2**63)
    assert json.loads(path.read_text())["metrics"] == {
        "val_accuracy": np.random.default_rng(seed).random(),
        "train_loss": torch.rand((), generator=stream, dtype=torch.float64).item(),
    }


@pytest.mark.slow
def test_a_diverged_run_that_an_earlier_version_stored_without_metrics_is_kept(function: Path, ablate: Ablate) -> None:
    (function / "train.py").write_text("def main(options, run):\n    return {'val_accuracy': float('nan')}\n")
    assert ablate("run", "waves.yaml", "--only", "baseline", "--seeds", "0").returncode == 0
    (path,) = (function / "results" / "runs").glob("*/run.json")
    record = json.loads(path.read_text())
    assert record["status"] == "diverged"
    write_record(path, {**record, "metrics": {}})
    assert "nothing left to train" in ablate("run", "waves.yaml", "--only", "baseline", "--seeds", "0").stdout
    assert "1 diverged" in ablate("status").stdout


def test_whether_a_command_may_resume_is_part_of_its_key_as_it_was() -> None:
    fields = CommandTask(command="python train.py {args}", seed="--seed", resume=True).key_fields()
    assert fields == {"kind": "command", "command": "python train.py {args}", "seed": "--seed", "resume": True}
