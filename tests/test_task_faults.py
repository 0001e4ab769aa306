"""What a week may bring to a function or a command: docs/faults.md has their columns from these."""

from __future__ import annotations

import json
import os
import pty
import random
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from .conftest import ABLATE, Ablate
from .processes import descendants
from .test_faults import ended
from .test_run import alive, start, wait_for, workers_of

slow = pytest.mark.slow

FUNCTION = """\
study: own
task: {function: "train:main"}
metrics: {score: {direction: higher}}
baseline: {x: 1}
seeds: 2
vary: {x: [2]}
"""
ONE_FUNCTION = FUNCTION.replace("seeds: 2\nvary: {x: [2]}\n", "seeds: 1\n")
TRAIN = """\
import time
from textwrap import dedent

def main(options, run):
    with open("begun.txt", "a") as file:
        print(options["x"], run.seed, file=file, flush=True)
    before = (run.resume() or {{"total": 0}})["total"]
    for epoch in run.epochs({epochs}):
        time.sleep(0.1)
        before += options["x"] + run.seed
        {order}
"""
SAVES_LAST = TRAIN.format(epochs=10, order='run.log(score=before)\n        run.save({"total": before})')
SAVES_FIRST = TRAIN.format(epochs=10, order='run.save({"total": before})\n        run.log(score=before)')
SAVES_NOTHING = TRAIN.format(epochs=10, order="run.log(score=before)")
ENDLESS = TRAIN.format(epochs=10**6, order='run.log(score=before)\n        run.save({"total": before})')

COMMAND = """\
study: own
task: {command: "python train.py {args}", seed: --seed}
metrics: {score: {direction: higher}}
baseline: {x: 1}
seeds: 2
vary: {x: [2]}
"""
ONE_COMMAND = COMMAND.replace("seeds: 2\nvary: {x: [2]}\n", "seeds: 1\n")
RESUMES = COMMAND.replace("seed: --seed}", "seed: --seed, resume: true}")
SCRIPT = """\
import argparse, json, os, subprocess, sys, time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=int)
parser.add_argument("--seed", type=int)
given = parser.parse_args()
folder = Path(os.environ["ABLATE_RUN_DIR"])
helpers = [subprocess.Popen(["sleep", "600"], start_new_session=own) for own in (False, True)]
with open("begun.txt", "a") as file:
    print(given.x, given.seed, os.environ.get("ABLATE_RESUME", "-"), len(list(folder.glob("*.txt"))), file=file)
with open("pids.txt", "a") as file:
    print(os.getpid(), *(helper.pid for helper in helpers), file=file)
state = folder / "state.txt"
epoch, total = json.loads(state.read_text()) if state.exists() else (0, 0)
while epoch < EPOCHS:
    time.sleep(0.1)
    epoch, total = epoch + 1, total + given.x + given.seed
    with open(os.environ["ABLATE_METRICS"], "a") as file:
        print(json.dumps({"epoch": epoch, "score": total}), file=file)
    state.with_suffix(".new").write_text(json.dumps([epoch, total]))
    state.with_suffix(".new").rename(state)
"""
TEN = SCRIPT.replace("EPOCHS", "10")
WITHOUT_END = SCRIPT.replace("EPOCHS", "10**6")


def given(folder: Path, study: str, code: str) -> Path:
    """A study file and the code that it names."""
    (folder / "own.yaml").write_text(study, encoding="utf-8")
    (folder / "train.py").write_text(code, encoding="utf-8")
    return folder


def again(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The same command, to its end."""
    command = [*ABLATE, "run", "own.yaml", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def records(folder: Path) -> dict[str, dict[str, object]]:
    """Run folder -> its record, of the finished runs."""
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("results/runs/*/run.json")}


def curves(folder: Path) -> list[list[float]]:
    """The scores in the rows of each run, as stored."""
    rows = [path.read_text().splitlines() for path in sorted(folder.glob("results/runs/*/epochs.jsonl"))]
    return [[json.loads(row)["metrics"]["score"] for row in own] for own in rows]


def under_way(folder: Path, rows: int = 2) -> None:
    """Wait until some run has logged so many rows."""
    paths = "results/runs/*/epochs.jsonl"
    wait_for(lambda: any(path.read_bytes().count(b"\n") >= rows for path in folder.glob(paths)))


def lines(folder: Path, name: str) -> list[list[str]]:
    path = folder / name
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def begin(folder: Path) -> subprocess.Popen[str]:
    """The study in a process of its own, once it has started the next run."""
    before = len(lines(folder, "begun.txt"))
    process = start(folder, "own.yaml")
    wait_for(lambda: len(lines(folder, "begun.txt")) > before)
    return process


def nothing_left(folder: Path, seconds: float = 20) -> None:
    """Every process of every command, and all that it has started, is gone."""
    pids = [int(word) for line in lines(folder, "pids.txt") for word in line]
    assert pids
    wait_for(lambda: not any(map(alive, pids)), seconds)


def finish(folder: Path) -> None:
    result = again(folder)
    assert result.returncode == 0, result.stdout + result.stderr


# The command is killed


@slow
@pytest.mark.parametrize("code", [SAVES_LAST, SAVES_FIRST, SAVES_NOTHING], ids=["saves last", "saves first", "no save"])
def test_a_study_of_a_function_that_is_killed_loses_no_row_and_repeats_none(code: str, tmp_path: Path) -> None:
    given(tmp_path, FUNCTION, code)
    for _ in range(3):
        process = start(tmp_path, "own.yaml")
        wait_for(lambda: bool(list(tmp_path.glob("results/runs/*/config.json"))))
        time.sleep(random.uniform(0.1, 0.9))
        process.kill()
        process.communicate()
    before = records(tmp_path)
    finish(tmp_path)
    after = records(tmp_path)
    assert len(after) == 4
    assert {name: after[name] for name in before} == before  # what was finished is left alone
    expected = [[step * each for step in range(1, 11)] for each in (1, 2, 2, 3)]
    assert sorted(curves(tmp_path)) == sorted(expected)
    assert sorted(record["metrics"]["score"] for record in after.values()) == [10, 20, 20, 30]  # type: ignore[index]


@slow
@pytest.mark.parametrize("study", [COMMAND, RESUMES], ids=["starts over", "resumes"])
def test_a_study_of_a_command_that_is_killed_goes_on_and_leaves_no_process(study: str, tmp_path: Path) -> None:
    given(tmp_path, study, TEN)
    for _ in range(2):
        process = begin(tmp_path)
        time.sleep(random.uniform(0.3, 0.8))  # a run takes a second, so this one is not at its end
        process.kill()
        process.communicate()
        nothing_left(tmp_path)
    before = records(tmp_path)
    finish(tmp_path)
    after = records(tmp_path)
    assert {name: after[name] for name in before} == before
    expected = [[step * each for step in range(1, 11)] for each in (1, 2, 2, 3)]
    assert sorted(curves(tmp_path)) == sorted(expected)
    tries = [(resume, int(files)) for _, _, resume, files in lines(tmp_path, "begun.txt")]
    if study is RESUMES:
        resumed = [resume for resume, _ in tries if resume != "-"]
        assert resumed
        assert all(Path(folder).name == "files" and Path(folder).is_dir() for folder in resumed)
        assert any(record["resumed"] for record in after.values())
    else:
        assert len(tries) > 4
        assert set(tries) == {("-", 0)}  # an empty folder each time
    nothing_left(tmp_path)


@slow
def test_a_row_of_metrics_that_a_kill_tore_is_left_out(tmp_path: Path) -> None:
    given(tmp_path, RESUMES, SCRIPT.replace("EPOCHS", "(20 if Path('enough').exists() else 10**6)"))
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    process.kill()
    process.communicate()
    nothing_left(tmp_path)
    for path in tmp_path.glob("results/runs/*/files/metrics.jsonl"):
        with path.open("a") as file:
            file.write('{"epoch": 99, "sco')
    (tmp_path / "enough").touch()
    finish(tmp_path)
    assert sorted(curves(tmp_path)) == sorted([[step * each for step in range(1, 21)] for each in (1, 2, 2, 3)])


# A worker dies, hangs, is told to stop


@slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_takes_its_command_along(number: signal.Signals, tmp_path: Path) -> None:
    given(tmp_path, COMMAND, TEN)
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    (first, *_) = [int(pid) for pid in lines(tmp_path, "pids.txt")[0]]
    (worker,) = [pid for pid in workers_of(process.pid) if first in descendants(pid)]
    os.kill(worker, number)
    wait_for(lambda: not any(alive(int(pid)) for pid in lines(tmp_path, "pids.txt")[0]), 20)
    output = ended(process)
    assert process.returncode == 0, output
    assert f"the worker process died (signal {number.value})" in output
    assert len(records(tmp_path)) == 4
    nothing_left(tmp_path)


@slow
def test_a_worker_that_dies_costs_a_function_its_epoch(tmp_path: Path) -> None:
    given(tmp_path, FUNCTION, SAVES_FIRST)
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    output = ended(process)
    assert process.returncode == 0, output
    assert "the worker process died (signal 9)" in output
    assert sorted(curves(tmp_path)) == sorted([[step * each for step in range(1, 11)] for each in (1, 2, 2, 3)])


@slow
def test_a_command_that_hangs_is_ended_with_all_it_started_and_tried_again(tmp_path: Path) -> None:
    hangs = TEN.replace(
        "while epoch", "if not Path('flag').exists():\n    Path('flag').touch(); time.sleep(600)\nwhile epoch"
    )
    given(tmp_path, ONE_COMMAND, hangs)
    result = again(tmp_path, "--hang-after", "0.05")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "reported no progress for 3.0 s and was ended (--hang-after)" in result.stdout
    assert len(lines(tmp_path, "begun.txt")) == 2
    nothing_left(tmp_path)


@slow
def test_a_function_that_hangs_is_ended_with_the_processes_that_it_started(tmp_path: Path) -> None:
    code = """\
        import multiprocessing, os, time
        from pathlib import Path

        def main(options, run):
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
            child.start()
            with open("pids.txt", "a") as file:
                print(os.getpid(), child.pid, file=file)
            if not Path("flag").exists():
                Path("flag").touch()
                time.sleep(600)
            child.kill()
            return {"score": 1}
        """
    given(tmp_path, ONE_FUNCTION, dedent(code))
    result = again(tmp_path, "--hang-after", "0.05")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "reported no progress for 3.0 s and was ended (--hang-after)" in result.stdout
    nothing_left(tmp_path)


@slow
def test_a_function_that_computes_for_long_without_a_word_does_not_hang(tmp_path: Path) -> None:
    code = """\
        import time

        def main(options, run):
            end = time.monotonic() + 8
            while time.monotonic() < end:
                sum(range(1000))
            return {"score": 1}
        """
    given(tmp_path, ONE_FUNCTION, dedent(code))
    result = again(tmp_path, "--hang-after", "0.08")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "--hang-after" not in result.stdout


@slow
def test_what_a_function_started_does_not_keep_its_run_locked_when_the_worker_dies(tmp_path: Path) -> None:
    code = """\
        import multiprocessing, os, signal, time
        from pathlib import Path

        def main(options, run):
            if not Path("flag").exists():
                Path("flag").touch()
                child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
                child.start()
                Path("child").write_text(str(child.pid))
                os.kill(os.getpid(), signal.SIGKILL)
            return {"score": 1}
        """
    given(tmp_path, ONE_FUNCTION, dedent(code))
    with (tmp_path / "output.txt").open("w") as file:  # a pipe would stay open for as long as the child lives
        code = subprocess.run([*ABLATE, "run", "own.yaml"], cwd=tmp_path, stdout=file, timeout=120).returncode
    output = (tmp_path / "output.txt").read_text()
    assert code == 0, output
    assert "the worker process died (signal 9)" in output
    assert "another process is training it" not in output
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


@slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_function_at_its_next_epoch(number: signal.Signals, tmp_path: Path) -> None:
    given(tmp_path, FUNCTION, SAVES_LAST)
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    os.killpg(process.pid, number)
    output = ended(process)
    assert process.returncode == 1
    assert "saved; the same command resumes it" in output
    assert "stopped; the same command resumes from here" in output
    finish(tmp_path)
    assert sorted(curves(tmp_path)) == sorted([[step * each for step in range(1, 11)] for each in (1, 2, 2, 3)])
    assert any(record["resumed"] for record in records(tmp_path).values())


@slow
def test_a_function_that_saved_nothing_is_not_said_to_be_resumed(tmp_path: Path) -> None:
    given(tmp_path, FUNCTION, SAVES_NOTHING)
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    process.send_signal(signal.SIGINT)
    output = ended(process)
    assert "the same command starts it again" in output
    assert "the same command resumes it" not in output


@slow
def test_ctrl_c_ends_a_command_by_sigterm(tmp_path: Path) -> None:
    given(tmp_path, COMMAND, "import signal\nsignal.signal(signal.SIGTERM, lambda *_: print('bye') or exit(0))\n" + TEN)
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output = ended(process)
    assert process.returncode == 1
    assert time.monotonic() - began < 5
    assert "the same command starts it again" in output
    assert any("bye" in path.read_text() for path in tmp_path.glob("results/runs/*/log.txt"))
    assert not any("KeyboardInterrupt" in path.read_text() for path in tmp_path.glob("results/runs/*/log.txt"))
    nothing_left(tmp_path)
    finish(tmp_path)


@slow
def test_a_command_that_ignores_sigterm_is_killed_after_ten_seconds(tmp_path: Path) -> None:
    given(tmp_path, ONE_COMMAND, "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WITHOUT_END)
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    ended(process)
    assert 9 < time.monotonic() - began < 20
    nothing_left(tmp_path)


@slow
@pytest.mark.parametrize("kind", ["function", "command"])
def test_ctrl_c_twice_leaves_at_once_and_leaves_nothing_behind(kind: str, tmp_path: Path) -> None:
    if kind == "function":
        given(
            tmp_path,
            FUNCTION,
            "import time\ndef main(options, run):\n    run.log(score=1)\n    run.log(score=1)\n    time.sleep(600)\n",
        )
    else:
        given(tmp_path, COMMAND, "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WITHOUT_END)
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    workers = workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    wait_for(lambda: "stopping after" in (process.stdout.readline() if process.stdout else ""))
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert "stopped immediately" in ended(process)
    assert process.returncode == 1
    assert time.monotonic() - began < 5
    assert not any(map(alive, workers))
    if kind == "command":
        nothing_left(tmp_path)


# What fails


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param("print('layer 3 is odd'); raise SystemExit(3)", "the command ended with exit code 3", marks=slow),
        (
            "print('layer 3 is odd', flush=True); import os; os.kill(os.getpid(), 11)",
            "the command ended with signal 11",
        ),
    ],
    ids=["exit code", "SIGSEGV"],
)
def test_a_command_that_crashes_is_reported_with_the_end_of_its_output(
    code: str, message: str, ablate: Ablate, tmp_path: Path
) -> None:
    given(tmp_path, ONE_COMMAND, code)
    result = ablate("run", "own.yaml")
    assert result.returncode == 2
    assert message in result.stdout
    assert "layer 3 is odd" in result.stdout
    status = ablate("status").stdout
    assert "1 crashed" in status
    assert "layer 3 is odd" in status


@slow
@pytest.mark.parametrize("kind", ["function", "command"])
def test_what_fails_three_times_waits_until_it_is_asked_for(kind: str, ablate: Ablate, tmp_path: Path) -> None:
    if kind == "function":
        given(tmp_path, ONE_FUNCTION, "def main(options, run):\n    raise ValueError('no such layer')\n")
    else:
        given(tmp_path, ONE_COMMAND, "raise ValueError('no such layer')\n")
    for _ in range(3):
        result = ablate("run", "own.yaml")
        assert result.returncode == 2
        assert "no such layer" in result.stdout
    resting = ablate("run", "own.yaml")
    assert resting.returncode == 2
    assert "1 run has failed 3 times and is left out" in resting.stdout
    assert "no such layer" in ablate("run", "own.yaml", "--retry", "failed").stdout
    assert ablate("report").returncode == 0
    assert "no such layer" in (tmp_path / "reports" / "own" / "report.md").read_text()


@slow
@pytest.mark.parametrize(
    ("kind", "once"),
    [
        ("function", "raise MemoryError('no room')"),
        ("function", "bytearray(2**60)"),
        ("command", "raise MemoryError('no room')"),
        ("command", "os.kill(os.getpid(), 9)"),
    ],
)
def test_what_runs_out_of_memory_is_tried_once_more_alone(kind: str, once: str, tmp_path: Path) -> None:
    guarded = (
        f"import os\nfrom pathlib import Path\nif not Path('flag').exists():\n    Path('flag').touch()\n    {once}\n"
    )
    if kind == "function":
        body = "".join(f"    {line}\n" for line in guarded.splitlines())
        given(tmp_path, ONE_FUNCTION, f"def main(options, run):\n{body}    return {{'score': 1}}\n")
    else:
        given(tmp_path, ONE_COMMAND, guarded + "print('score: 1')\n")
    result = again(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "failed" in result.stdout
    assert len(records(tmp_path)) == 1


@slow
def test_a_command_under_an_address_limit_is_tried_alone_and_then_reported(tmp_path: Path) -> None:
    limited = "\"bash -c 'ulimit -v 300000; exec python train.py $0 $@' {args}\""
    study = ONE_COMMAND.replace('"python train.py {args}"', limited + ", code: [train.py]")
    given(tmp_path, study, "print('begun')\ndata = bytearray(10**9)\n")
    result = again(tmp_path)
    assert result.returncode == 2
    assert result.stdout.count("MemoryError") == 3  # twice as it happened, once in the end


def test_a_function_that_calls_sys_exit_is_named_with_its_line(ablate: Ablate, tmp_path: Path) -> None:
    given(tmp_path, ONE_FUNCTION, "import sys\ndef main(options, run):\n    sys.exit(4)\n")
    result = ablate("run", "own.yaml")
    assert result.returncode == 2
    assert "fails at train.py:3: SystemExit: 4" in result.stdout


@slow
def test_a_function_that_calls_os_exit_is_tried_three_times(ablate: Ablate, tmp_path: Path) -> None:
    given(tmp_path, ONE_FUNCTION, "import os\ndef main(options, run):\n    os._exit(3)\n")
    result = ablate("run", "own.yaml")
    assert result.returncode == 2
    assert result.stdout.count("the worker process died (exit code 3)") == 4  # three tries, and once in the end


def test_a_command_that_reports_nothing_is_told_where_metrics_are_looked_for(ablate: Ablate, tmp_path: Path) -> None:
    given(tmp_path, ONE_COMMAND, "pass")
    result = ablate("run", "own.yaml")
    assert result.returncode == 2
    hint = "print `score: value`, or write it to the file that ABLATE_METRICS names"
    assert f"the run reported no metrics; {hint}" in result.stdout


def test_when_the_first_runs_all_fail_of_the_same_no_other_is_started(ablate: Ablate, tmp_path: Path) -> None:
    given(tmp_path, FUNCTION.replace("seeds: 2", "seeds: 20"), "def main(options, run):\n    1 / 0\n")
    result = ablate("run", "own.yaml")
    assert result.returncode == 2
    assert "the first 4 runs failed with the same error; the rest are not started" in result.stdout
    assert len(list(tmp_path.glob("results/runs/*/failure.json"))) <= 6  # those under way end by themselves


def test_runs_that_fail_each_in_its_own_way_keep_no_other_from_starting(ablate: Ablate, tmp_path: Path) -> None:
    given(
        tmp_path, FUNCTION.replace("seeds: 2", "seeds: 4"), "def main(options, run):\n    raise ValueError(run.seed)\n"
    )
    result = ablate("run", "own.yaml")
    assert result.returncode == 2
    assert "the rest are not started" not in result.stdout
    assert len(list(tmp_path.glob("results/runs/*/failure.json"))) == 8


@slow
def test_a_command_whose_primary_metric_is_nan_has_diverged(ablate: Ablate, tmp_path: Path) -> None:
    for code in ("print('score: nan')", "import os; open(os.environ['ABLATE_METRICS'], 'w').write('{\"score\": NaN}')"):
        given(tmp_path, ONE_COMMAND, code)
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        result = ablate("run", "own.yaml")
        assert result.returncode == 0, result.stdout + result.stderr
        assert "1 of them diverged" in result.stdout


@pytest.mark.parametrize("line", ["{nonsense", pytest.param("[1, 2]", marks=slow)])
def test_a_line_of_metrics_that_cannot_be_read_is_one_error(line: str, ablate: Ablate, tmp_path: Path) -> None:
    code = f"import os\nopen(os.environ['ABLATE_METRICS'], 'w').write({line!r} + '\\n' + '{{\"score\": 1}}\\n')\n"
    given(tmp_path, ONE_COMMAND, code)
    result = ablate("run", "own.yaml")
    assert result.returncode == 2
    assert "metrics.jsonl" in result.stdout
    assert line in result.stdout
    assert "Traceback" not in result.stdout


def test_a_last_row_without_an_end_of_line_counts(ablate: Ablate, tmp_path: Path) -> None:
    rows = '{"score": 1}\\n{"val": {"score": 3}, "score": 2}'
    code = f"import os\nopen(os.environ['ABLATE_METRICS'], 'w').write('{rows}')\n"
    given(tmp_path, ONE_COMMAND, code)
    result = ablate("run", "own.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert curves(tmp_path) == [[1, 2]]
    (record,) = records(tmp_path).values()
    assert record["metrics"] == {"score": 2, "val.score": 3}


# What a function may do


def test_what_a_function_prints_is_kept_in_its_log(ablate: Ablate, tmp_path: Path) -> None:
    code = """\
        import os

        def main(options, run):
            print("hello", options["x"])
            os.system("echo from a shell")
            return {"score": 1}
        """
    given(tmp_path, FUNCTION.replace("seeds: 2", "seeds: 1"), dedent(code))
    result = ablate("run", "own.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "hello" not in result.stdout + result.stderr
    logs = [path.read_text() for path in (tmp_path / "results" / "runs").glob("*/log.txt")]
    assert sorted(logs) == ["hello 1\nfrom a shell\n", "hello 2\nfrom a shell\n"]


@slow
def test_a_function_may_use_processes_and_loaders(tmp_path: Path) -> None:
    code = """\
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        import torch
        from torch.utils.data import DataLoader, TensorDataset

        def double(value):
            return 2 * value

        def main(options, run):
            for _ in range(10):  # a pool that cannot end its processes hangs now and then only
                loader = DataLoader(TensorDataset(torch.arange(8.0)), num_workers=2)
                total = sum(float(batch[0]) for batch in loader)
                with multiprocessing.Pool(2) as pool:
                    total += sum(pool.map(double, range(4)))
                with ProcessPoolExecutor(2) as pool:
                    total += sum(pool.map(double, range(4)))
            return {"score": total}
        """
    given(tmp_path, ONE_FUNCTION, dedent(code))
    result = again(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [record["metrics"] for record in records(tmp_path).values()] == [{"score": 52.0}]


@slow
def test_a_state_of_the_users_own_classes_is_resumed(tmp_path: Path) -> None:
    code = SAVES_LAST.replace("import time\n", "import time\n\nclass State(dict):\n    pass\n").replace(
        'run.save({"total": before})', "run.save(State(total=before))"
    )
    given(tmp_path, ONE_FUNCTION, code)
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    process.kill()
    process.communicate()
    result = again(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [record["resumed"] for record in records(tmp_path).values()] == [1]
    assert curves(tmp_path) == [list(range(1, 11))]


@slow
def test_a_function_that_does_not_ask_for_its_state_starts_again(tmp_path: Path) -> None:
    given(tmp_path, ONE_FUNCTION, SAVES_LAST.replace('(run.resume() or {"total": 0})["total"]', "0"))
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    process.kill()
    process.communicate()
    result = again(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "run.resume() was not called" in result.stdout
    assert curves(tmp_path) == [list(range(1, 11))]


@slow
def test_two_commands_at_once_train_each_run_of_a_function_once(tmp_path: Path) -> None:
    given(tmp_path, FUNCTION, SAVES_NOTHING)
    both = [start(tmp_path, "own.yaml") for _ in range(2)]
    outputs = [ended(process) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert len(lines(tmp_path, "begun.txt")) == 4


# The disk is full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], bool]]:
    """results/ on a small file system of its own: gives it another size, False where more is used already."""
    place = tmp_path / "results"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("may not mount a file system here")

    def resize(size: int) -> bool:
        return subprocess.run(["mount", "-o", f"remount,size={size}", place], capture_output=True).returncode == 0

    yield resize
    subprocess.run(["umount", "-l", place], check=True)


@slow
@pytest.mark.parametrize("kind", ["function", "command"])
def test_a_full_disk_is_said_and_loses_nothing_that_was_finished(
    kind: str, tmp_path: Path, small_disk: Callable[[int], bool]
) -> None:
    if kind == "function":
        writes = SAVES_LAST.replace(
            "time.sleep(0.1)", "time.sleep(0.1); (run.folder / str(epoch)).write_bytes(bytes(100_000))"
        )
        given(tmp_path, FUNCTION, writes)
    else:
        given(tmp_path, RESUMES, TEN.replace("time.sleep(0.1)", "time.sleep(0.1); print('x' * 100_000)"))
    process = start(tmp_path, "own.yaml")
    under_way(tmp_path)
    sizes = (shutil.disk_usage(tmp_path / "results").used + 8192 for _ in range(100))
    assert any(small_disk(size) for size in sizes)  # runs write meanwhile
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 1, output
    assert "cannot be written: No space left on device" in output
    assert small_disk(2**26)
    finish(tmp_path)
    assert sorted(curves(tmp_path)) == sorted([[step * each for step in range(1, 11)] for each in (1, 2, 2, 3)])


# Without workers


def in_terminal(folder: Path, *options: str) -> tuple[int, int]:
    """`ablate run own.yaml` on a terminal of its own: its process and the terminal."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(folder)
        os.environ |= {"COLUMNS": "200", "TERM": "xterm"}
        os.execv(ABLATE[0], [*ABLATE, "run", "own.yaml", *options])
    return pid, terminal


def read_until(terminal: int, wanted: str, seconds: float = 60) -> str:
    """What the terminal shows until it shows `wanted`, or the process is gone."""
    shown, end = "", time.monotonic() + seconds
    while wanted not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                break
    assert wanted in shown, shown
    return shown


@slow
def test_a_breakpoint_in_a_function_gets_the_terminal(tmp_path: Path) -> None:
    code = "def main(options, run):\n    score = 20\n    breakpoint()\n    return {'score': score}\n"
    given(tmp_path, ONE_FUNCTION, code)
    pid, terminal = in_terminal(tmp_path, "--workers", "0")
    read_until(terminal, "(Pdb) ")
    os.write(terminal, b"p score + 21\n")
    read_until(terminal, "41")
    os.write(terminal, b"score = 7\n")
    read_until(terminal, "(Pdb) ")
    os.write(terminal, b"c\n")
    read_until(terminal, "1 run trained")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(records(tmp_path)) == 1


@slow
def test_ctrl_c_without_workers_stops_at_the_next_epoch_and_twice_at_once(tmp_path: Path) -> None:
    given(tmp_path, ONE_FUNCTION, ENDLESS)
    pid, terminal = in_terminal(tmp_path, "--workers", "0")
    under_way(tmp_path)
    os.write(terminal, b"\x03")
    read_until(terminal, "stopped; the same command resumes from here")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    given(
        tmp_path,
        ONE_FUNCTION.replace("study: own", "study: other"),
        "import time\ndef main(options, run):\n    run.log(score=1)\n    time.sleep(600)\n",
    )
    pid, terminal = in_terminal(tmp_path, "--workers", "0")
    wait_for(lambda: len(list(tmp_path.glob("results/runs/*/epochs.jsonl"))) == 2)
    os.write(terminal, b"\x03")
    read_until(terminal, "stopping after")
    os.write(terminal, b"\x03")
    read_until(terminal, "stopped immediately")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


@slow
def test_a_command_without_workers_is_ended_with_the_process(tmp_path: Path) -> None:
    given(tmp_path, ONE_COMMAND, WITHOUT_END)
    process = start(tmp_path, "own.yaml", "--workers", "0")
    under_way(tmp_path)
    process.kill()
    process.communicate()
    nothing_left(tmp_path)
