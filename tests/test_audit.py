"""`ablate audit` on real scripts: faults that were planted are found, honest code gives no warning."""

from __future__ import annotations

import re
import signal
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ablation.storage.store import Store
from tests.conftest import ABLATE, Ablate

Audited = Callable[..., CompletedProcess[str]]

FUNCTION = """\
study: own
task: {function: "train:main"}
metrics: {val_loss: {direction: lower}}
baseline: {lr: 0.1, dropout: 0.2}
seeds: [0, 1]
vary: {dropout: [0.5]}
"""
COMMAND = FUNCTION.replace('{function: "train:main"}', '{command: "python train.py {args}", seed: --seed}')
PARSED = """\
import argparse, random
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--dropout", type=float)
parser.add_argument("--optimizer", choices=["sgd", "adam"])
parser.add_argument("--amp", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
"""
HONEST = f"""\
{PARSED}
random.seed(args.seed)
for epoch in range(3):
    print(f"train_loss: {{random.random() / (1 + epoch)}}, val_loss: {{args.dropout + random.random()}}, seconds: 1")
"""


@pytest.fixture
def audit(tmp_path: Path, ablate: Ablate) -> Audited:
    """Audits a study of train.py."""

    def call(study: str, code: str, *options: str) -> CompletedProcess[str]:
        (tmp_path / "study.yaml").write_text(textwrap.dedent(study), encoding="utf-8")
        (tmp_path / "train.py").write_text(textwrap.dedent(code), encoding="utf-8")
        return ablate("audit", "study.yaml", *options)

    return call


def problems(result: CompletedProcess[str]) -> list[str]:
    """The faults and warnings, in order."""
    return [line for line in result.stdout.splitlines() if re.match(r"fault |warning |error", line)] + (
        result.stderr.splitlines()
    )


def only(result: CompletedProcess[str], level: str) -> str:
    """The one line that is not in order; a fault, and nothing else, makes the exit code 1."""
    (line,) = problems(result)
    assert line.startswith(f"{level} "), line
    assert result.returncode == (level == "fault")
    return line


@pytest.mark.slow
def test_the_first_command_of_a_study_says_that_it_was_not_audited(audit: Audited, ablate: Ablate) -> None:
    audited = audit(FUNCTION, "def main(options, run):\n    run.log(val_loss=run.seed)\n")
    assert audited.returncode == 1  # the option has no effect, but it was audited
    hint = "not audited: `ablate audit study.yaml`"
    assert hint not in ablate("run", "study.yaml", "--results", "results").stdout
    assert hint in ablate("run", "study.yaml", "--results", "new", "--only", "baseline").stdout
    assert hint not in ablate("run", "study.yaml", "--results", "new").stdout


@pytest.mark.slow
def test_an_ignored_seed_is_found(audit: Audited) -> None:
    code = "def main(options, run):\n    run.log(val_loss=1.0)\n    return {'val_loss': options['dropout']}\n"
    assert "seeds 0, 1 and 2 give the same metrics: the seed is ignored" in only(audit(FUNCTION, code), "fault")


@pytest.mark.slow
def test_an_option_without_effect_is_found(audit: Audited) -> None:
    code = HONEST.replace("args.dropout + ", "")
    code = code.replace("val_loss: {", "val_loss: {args.lr + ")
    line = only(audit(COMMAND.replace("[0.5]}", "[0.5], lr: [0.2]}"), code), "fault")
    assert "dropout=0.5 gives the metrics of the baseline: what it changes has no effect" in line


@pytest.mark.slow
def test_unseeded_shuffling_is_found_and_measured_against_two_seeds(audit: Audited) -> None:
    code = """\
    import random

    def main(options, run):
        weights = run.generator("init").normal(size=8) / 10
        data = list(range(8))
        for _ in run.epochs(3):
            random.shuffle(data)  # of Python's global generator, which nobody has seeded
            for place, item in enumerate(data):
                weights[place] += item * (1 + options["dropout"])
            run.log(val_loss=float(weights @ range(8)))
    """
    result = audit(FUNCTION, code)
    line = only(result, "fault")
    assert re.search(
        r"seed 0 does not give the same metrics twice: val_loss differs by \S+ \(two seeds: by \S+\)", line
    )
    assert "not seen whether the seed is used" in result.stdout


@pytest.mark.slow
def test_what_a_run_leaves_behind_in_its_process_is_found(audit: Audited) -> None:
    code = """\
    SEEN = []

    def main(options, run):
        SEEN.append(run.seed)  # a fresh process would give the same metrics twice
        return {"val_loss": run.generator().random() + len(SEEN) + options["dropout"]}
    """
    assert "does not give the same metrics twice" in only(audit(FUNCTION, code), "fault")


@pytest.mark.slow
def test_small_differences_are_a_warning(audit: Audited) -> None:
    code = """\
    import random

    def main(options, run):
        return {"val_loss": run.generator().random() + options["dropout"] + random.random() / 1e6}
    """
    line = only(audit(FUNCTION, code), "warning")
    assert "seed 0 does not give quite the same metrics twice" in line


@pytest.mark.slow
def test_a_constant_metric_is_found(audit: Audited) -> None:
    code = HONEST.replace("seconds: 1", "val_f1: 0.5")
    first = COMMAND.replace("{val_loss", "{val_f1: {direction: higher}, val_loss")
    assert "val_f1 is 0.5 in every run" in only(audit(first, code), "fault")
    second = COMMAND.replace("lower}}", "lower}, val_f1: {direction: higher}}")
    assert "val_f1 is 0.5 in every run" in only(audit(second, code), "warning")  # the primary metric varies


@pytest.mark.slow
def test_metrics_of_the_wrong_split_constant_and_missing_ones_and_written_files_are_found(audit: Audited) -> None:
    code = f"""\
{PARSED}
random.seed(args.seed)
for epoch in range(3):
    loss = args.dropout + random.random()
    print(f"train_loss: {{loss}}, val_loss: {{loss}}, val_f1: 0.5")
open("checkpoints.txt", "a").write("x")
"""
    extra = "lower}, val_f1: {direction: higher}, val_los2: {direction: lower}}"
    result = audit(COMMAND.replace("lower}}", extra), code)
    assert result.returncode == 1
    missing, constant, split, written = problems(result)
    what = "fault    val_los2 is declared and not reported; reported are train_loss, val_loss, val_f1"
    assert missing == f"{what}; did you mean val_loss?"
    assert constant.startswith("warning  val_f1 is 0.5 in every run")
    assert split.startswith("fault    val_loss is the same as train_loss in every run")
    assert written.startswith("warning  runs write beside their code")
    assert "checkpoints.txt; write to the folder of the run: {dir} in the command, or ABLATE_RUN_DIR" in written


@pytest.mark.slow
def test_unknown_options_are_found_without_any_run(audit: Audited, ablate: Ablate, tmp_path: Path) -> None:
    study = COMMAND.replace("dropout: 0.2}", "dropout: 0.2, optimiser: adm}")
    result = audit(study, HONEST + "open('ran', 'w')\n")
    assert "train.py has no option --optimiser; did you mean --optimizer?" in only(result, "fault")
    run = ablate("run", "study.yaml")
    assert run.returncode == 1
    assert "error: train.py has no option --optimiser\ndid you mean --optimizer?" in run.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_run_says_all_that_an_argparse_script_would_reject(audit: Audited, ablate: Ablate, tmp_path: Path) -> None:
    study = COMMAND.replace("lr: 0.1, dropout: 0.2}", "optimizer: adm, dropout: low, amp: true, tags: [1]}")
    study = study.replace("[0.5]}", "[0.5], amp: [false]}")
    audit(study, HONEST + "open('ran', 'w')\n")
    run = ablate("run", "study.yaml")
    assert run.returncode == 1
    told = run.stderr
    assert "train.py would reject 5 options, so nothing was started" in told
    assert "train.py has no option --tags: its options: --lr, --dropout," in told
    assert "train.py has no option --no-amp: --amp has no --no-amp form: add `booleans: flag` to the task" in told
    assert "train.py rejects --optimizer adm: invalid choice: 'adm'" in told
    assert "train.py rejects --dropout" in told
    assert "train.py requires --lr: give it in the command, or in the baseline" in told
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        PARSED.replace("args = parser.parse_args()", "args, rest = parser.parse_known_args()"),  # it lets them pass
        "import sys\nclass args:\n    dropout = 0.2\n",  # no argparse at all
    ],
)
def test_a_script_that_may_take_unknown_options_is_run_with_them(audit: Audited, ablate: Ablate, code: str) -> None:
    audit(COMMAND.replace("lr: 0.1", "lr: 0.1, other: 1"), code + "print('val_loss: 1')\n")
    assert ablate("run", "study.yaml").returncode == 0


@pytest.mark.slow
def test_unknown_options_of_a_script_with_its_own_parser_are_named_from_its_error(audit: Audited) -> None:
    code = "import sys\nsys.exit('Error: No such option: --dropout')\n"
    assert "baseline · seed 0: the script does not know --dropout" in only(audit(COMMAND, code), "fault")


@pytest.mark.slow
def test_a_script_that_writes_into_the_code_of_the_study_is_a_fault(audit: Audited, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "table.txt").write_text("1")
    study = COMMAND.replace("seed: --seed}", "seed: --seed, code: [train.py, lib]}")
    line = only(audit(study, HONEST + "open('lib/new.txt', 'a').write('x')\n"), "fault")
    assert "runs write into the code of the study" in line
    assert "lib/new.txt" in line


HONEST_CODE = {
    "run.generator": """\
    def main(options, run):
        random = run.generator("data")
        for epoch in run.epochs(3):
            run.log(train_loss=random.random(), val_loss=random.random() + options["dropout"])
    """,
    "seed_everything": """\
    import random
    import time
    import numpy

    def main(options, run):
        run.seed_everything()
        for epoch in run.epochs(3):
            run.log(train_loss=random.random(), val_loss=numpy.random.rand() * options["dropout"], seconds=time.time())
    """,
    "random.seed": HONEST.replace("seconds: 1", "seconds: {__import__('time').time()}"),
    "numpy": f"""\
{PARSED}
import numpy
draw = numpy.random.default_rng(args.seed)
for epoch in range(3):
    print(f"val_loss: {{draw.random() + args.dropout / (1 + epoch)}}")
""",
}


@pytest.mark.parametrize(
    "name", ["run.generator", *(pytest.param(own, marks=pytest.mark.slow) for own in [*HONEST_CODE][1:])]
)
def test_honest_code_gives_no_warning(audit: Audited, name: str) -> None:
    study = FUNCTION if name in ("run.generator", "seed_everything") else COMMAND
    result = audit(study, HONEST_CODE[name])
    assert problems(result) == []
    assert result.returncode == 0
    assert "ok       seed 0 gives the same metrics twice" in result.stdout
    assert "ok       seeds 0 and 1 give different metrics" in result.stdout
    assert "ok       the variant changes the metrics" in result.stdout


@pytest.mark.slow
def test_runs_are_cut_by_smoke_unless_asked_for_whole_ones(audit: Audited, ablate: Ablate) -> None:
    study = FUNCTION.replace('main"}', 'main", smoke: {epochs: 1}}').replace("0.2}", "0.2, epochs: 5}")
    study = study.replace("[0.5]}", "[0.5], epochs: [3]}")
    code = """\
    def main(options, run):
        noise = run.generator().random()
        for epoch in run.epochs(options["epochs"]):
            run.log(val_loss=noise + (options["dropout"] if epoch > 2 else 0))
    """
    short = audit(study, code)
    line = only(short, "warning")
    assert "no effect in runs cut to epochs=1; does the option reach the code that it is meant to change?" in line
    assert "not seen not tried: epochs=3, which smoke (epochs=1) overrides; --full tries whole runs" in short.stdout
    full = ablate("audit", "study.yaml", "--full")
    assert problems(full) == []
    assert "each of 2 variants changes the metrics" in full.stdout


@pytest.mark.slow
def test_the_time_is_kept_and_what_was_not_tried_is_listed(audit: Audited, ablate: Ablate) -> None:
    code = """\
    import time

    def main(options, run):
        time.sleep(0 if options["dropout"] == 0.2 else 60)
        return {"val_loss": run.generator().random()}
    """
    result = audit(FUNCTION, code, "--minutes", "0.1")
    assert "1 of 1 variant were not tried in the time; more time: --minutes N" in only(result, "warning")
    none = ablate("audit", "study.yaml", "--minutes", "0.05", "--set", "dropout=0.1")
    assert none.returncode == 1
    assert "error: no run ended within 3.0 s\nmore time: --minutes N; or add to the task" in none.stderr


@pytest.mark.slow
def test_a_function_that_computes_without_a_word_is_ended_when_the_time_is_over(audit: Audited) -> None:
    result = audit(FUNCTION, "def main(options, run):\n    while True:\n        pass\n", "--minutes", "0.02")
    assert result.returncode == 1
    assert "error: no run ended within 1.2 s" in result.stderr


@pytest.mark.slow
def test_a_run_that_diverges_is_no_metric_that_is_missing(audit: Audited) -> None:
    code = "def main(options, run):\n    return {'val_loss': float('nan')}\n"
    result = audit(FUNCTION, code)
    assert result.returncode == 1
    assert "ok       the declared metric is reported" in result.stdout
    assert "fault    val_loss is not a number in every run" in result.stdout


@pytest.mark.slow
def test_ctrl_c_ends_an_audit_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(COMMAND, encoding="utf-8")
    (tmp_path / "train.py").write_text("import time\nprint('started', flush=True)\ntime.sleep(600)\n", encoding="utf-8")
    process = subprocess.Popen(
        [*ABLATE, "audit", "study.yaml"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("run "):
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: the audit was stopped, and nothing of it is kept" in errors
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_run_that_fails_is_a_fault_with_its_place(audit: Audited) -> None:
    code = "def main(options, run):\n    return {'val_loss': run.seed + 1 / (0.5 - options['dropout'])}\n"
    result = audit(FUNCTION, code)
    line = only(result, "fault")
    assert "dropout=0.5 · seed 0 failed: train:main fails at train.py:2: ZeroDivisionError" in line
    assert "seeds 0 and 1 give different metrics" in result.stdout


@pytest.mark.slow
def test_an_audit_leaves_one_file_and_the_report_says_it_until_the_code_changes(
    audit: Audited, ablate: Ablate, tmp_path: Path
) -> None:
    code = HONEST_CODE["run.generator"]
    assert audit(FUNCTION, code).returncode == 0
    assert [path.name for path in tmp_path.glob("results/**/*") if path.is_file()] == ["audit.json"]
    assert ablate("run", "study.yaml").returncode == 0
    said = "seed 0 gives the same metrics twice; seeds 0 and 1 give different metrics; the variant changes the metrics"
    assert "The code was audited in 4 runs on " in report(ablate, tmp_path)
    assert said in report(ablate, tmp_path)
    (tmp_path / "train.py").write_text(textwrap.dedent(code).replace("3)", "4)"))
    assert ablate("run", "study.yaml").returncode == 0
    assert "audited" not in report(ablate, tmp_path)


@pytest.mark.slow
def test_the_report_warns_of_what_an_audit_found(audit: Audited, ablate: Ablate, tmp_path: Path) -> None:
    code = """\
    import random

    def main(options, run):
        value = run.seed + random.random()
        return {"val_loss": value, "train_loss": value}
    """
    assert audit(FUNCTION, code).returncode == 1
    assert ablate("run", "study.yaml").returncode == 0
    text = report(ablate, tmp_path)
    assert "One seed does not give the same metrics twice" in text
    assert "Faults that the audit found" in text
    assert "The code was audited" not in text


@pytest.mark.slow
def test_a_changed_audit_is_not_believed(audit: Audited, ablate: Ablate, tmp_path: Path) -> None:
    assert audit(FUNCTION, HONEST_CODE["run.generator"]).returncode == 0
    assert ablate("run", "study.yaml").returncode == 0
    path = Store(tmp_path / "results").study_file("own").with_name("audit.json")
    path.write_text(path.read_text().replace("gives the same", "gives quite the same"))
    text = report(ablate, tmp_path)
    assert "The code was audited" not in text
    assert "audit.json has changed since it was written" in text


@pytest.mark.slow
def test_image_classifiers_need_no_audit(ablate: Ablate, study_file: Callable[..., Path], tmp_path: Path) -> None:
    result = ablate("audit", study_file().name)
    assert result.returncode == 0
    assert result.stdout.startswith("tiny: the built-in trainer draws everything from the seed")
    assert not (tmp_path / "results").exists()


def report(ablate: Ablate, folder: Path) -> str:
    result = ablate("report")
    assert result.returncode == 0, result.stderr
    return (folder / "reports" / "own" / "report.md").read_text(encoding="utf-8")
