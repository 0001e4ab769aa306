"""`ablate plan --hours`: what is typed with six hours left, what is proposed, and how the next estimate learns."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ablation.stats as stats
from ablation.cli.main import main, parse
from ablation.execution import probing, spending
from ablation.execution.local import LocalPool
from ablation.execution.options import WorkerOptions
from ablation.execution.progress import LineProgress
from ablation.execution.scheduling import wall_seconds
from ablation.execution.study import plan_study
from ablation.planning.alternatives import seed_list, with_seeds
from ablation.planning.choices import Choice, Goal, Kind, recommended
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.results.runs import load_results
from ablation.storage.manifest import read_manifest
from ablation.storage.record import RunRecord
from ablation.storage.spent import (
    Estimate,
    RunTime,
    Setting,
    Spent,
    estimate_file,
    new_spent_file,
    read_estimate,
    read_spent,
    timed_as,
    write_estimate,
    write_spent,
)
from ablation.storage.store import Store
from ablation.study.load import load_study
from ablation.worker.calls import Timing
from ablation.worker.protocol import Done, Event, Started, Stopped

from .conftest import ABLATE, TINY, Ablate

SIX = TINY.replace("epochs: 3", "epochs: 20").replace("study: tiny", "study: six") + (
    "  model.kernel_size: [3]\n  optimizer.lr: [0.1]\n  optimizer.momentum: [0.5]\n"
)
"""Six variants, two seeds, 20 epochs."""
WORKERS = 2


class Pool:
    """A pool whose workers say at once how long each variant takes."""

    places: Sequence[str] = ["cpu"] * WORKERS
    models = ("cpu",)
    seconds: Callable[[Run], float] = staticmethod(lambda _: 60.0)

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None: ...

    def autotune_workers(self, longest: Job, runs: int) -> None: ...

    def time_runs(self, jobs: Sequence[Job]) -> list[Timing]:
        assert len(jobs) == len(self.places)
        return [Timing(0.9 * type(self).seconds(job.run), 0.0, 0.1 * type(self).seconds(job.run)) for job in jobs]


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Seconds of a run by its variant, which the probe finds; a minute by default."""
    own: dict[str, float] = {}
    monkeypatch.setattr(Pool, "seconds", staticmethod(lambda run: own.get(run.variant, 60.0)))
    monkeypatch.setattr(probing, "LocalPool", Pool)
    monkeypatch.setattr(probing, "prepare_data", lambda runs, *_: {run.key: Path() for run in runs})
    monkeypatch.setattr(probing, "relative_costs", lambda runs, *_: dict.fromkeys([run.key for run in runs], 1.0))
    return own


@pytest.fixture
def plan(
    times: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What `ablate plan six.yaml ARGUMENTS` prints."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, text: str = SIX) -> str:
        Path("six.yaml").write_text(text, encoding="utf-8")
        code = main(["plan", "six.yaml", *arguments])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return call


def rows(printed: str) -> list[list[str]]:
    """The cells of the table of choices."""
    lines = printed.splitlines()
    first = next(number for number, line in enumerate(lines) if "runs left" in line)
    table = lines[first + 1 : lines.index("", first)]
    return [re.split(r"\s{2,}", line.strip()) for line in table]


def command_of(printed: str) -> list[str]:
    """The words of the recommended command, which can be run as they are."""
    line = next(line for line in printed.splitlines() if line.startswith("  ablate run"))
    words = shlex.split(line)
    assert parse(words[1:])
    return words


def test_as_many_seeds_as_fit_are_recommended_with_their_command(plan: Callable[..., str]) -> None:
    printed = plan("--hours", "1.1")
    detects = f"{stats.smallest_detectable_effect(14, 5):.2g}"
    assert "1 h 06 min on this machine: cpu, 2 workers" in printed
    assert (
        "recommended: 14 seeds, all 6 variants: 84 runs, about 42 min 00 s (28 min 09 s to 1 h 02 min); "
        f"detects {detects} residual SDs" in printed
    )
    assert command_of(printed) == ["ablate", "run", "six.yaml", "--seeds", "0-13"]
    first, *others = [row for row in rows(printed) if row[2:4] == ["20", "all 6"]]
    assert first[:6] == ["1", "14", "20", "all 6", "84", "42 min 00 s"]
    assert first[-2:] == ["yes", detects]
    assert [(int(row[1]), row[-2]) for row in others] == [
        (2, "yes"), (5, "yes"), (8, "yes"), (12, "yes"), (20, "perhaps"),
    ]  # fmt: skip
    assert "perhaps: the estimate fits, the upper end of its range does not" in printed
    assert "the range is a guess: no estimate for 2 workers has been compared with what runs took yet" in printed


def test_each_choice_detects_what_the_statistics_say(plan: Callable[..., str]) -> None:
    for row in rows(plan("--hours", "1.1")):
        if row[3] == "all 6":
            assert float(row[-1]) == pytest.approx(stats.smallest_detectable_effect(int(row[1]), 5), rel=0.05)


def test_fewer_epochs_are_proposed_with_what_they_answer(plan: Callable[..., str]) -> None:
    printed = plan("--hours", "0.3")
    (half,) = [row for row in rows(printed) if row[2] == "10"]
    (quarter,) = [row for row in rows(printed) if row[2] == "5"]
    assert half[1:6] == ["8", "10", "all 6", "48", "12 min 00 s"]
    assert quarter[1:6] == ["16", "5", "all 6", "96", "12 min 00 s"]
    assert f"{half[0]}  ablate run six.yaml --set train.epochs=10 --seeds 0-7" in printed
    assert "fewer epochs ask another question" in printed
    assert command_of(printed) == ["ablate", "run", "six.yaml", "--seeds", "0-3"]  # what asks the same goes first


def test_a_shorter_study_that_would_be_invalid_is_not_proposed(plan: Callable[..., str]) -> None:
    printed = plan("--hours", "0.3", text=f"{SIX}  train.epochs: [10]\n")
    assert not [row for row in rows(printed) if row[2] == "10"]
    assert [row for row in rows(printed) if row[2] == "5"]
    assert "fewer epochs are not proposed, since the study would not be valid: " in printed
    assert "equals the baseline" in printed


def test_steps_are_cut_as_epochs_are(plan: Callable[..., str]) -> None:
    printed = plan("--hours", "0.3", text=SIX.replace("epochs: 20", "steps: 1000"))
    assert "--set train.steps=500 --seeds 0-7" in printed


def test_what_the_probe_does_not_foresee_is_said(plan: Callable[..., str]) -> None:
    early = plan("--hours", "0.3", text=SIX.replace("epochs: 20", "epochs: 20, patience: 3"))
    assert "runs that train.patience ends early take less time" in early
    stages = "stages: [{epochs: 10}, {epochs: 10, freeze: features}]"
    staged = plan("--hours", "0.3", text=SIX.replace("epochs: 20", stages))
    assert "stages are timed as if they froze nothing" in staged
    assert not [row for row in rows(staged) if row[2] in ("10", "5")]


def test_the_slowest_variants_are_left_out_where_the_whole_study_does_not_fit(
    plan: Callable[..., str], times: dict[str, float]
) -> None:
    times |= {"kernel_size=3": 1500.0, "lr=0.1": 600.0}
    printed = plan("--hours", "0.6")
    assert command_of(printed) == shlex.split(
        "ablate run six.yaml --seeds 0-2 --only baseline --only dropout=0 --only norm=none --only lr=0.1 "
        "--only momentum=0.5"
    )
    assert "recommended: 3 seeds, 5 of 6 variants, without kernel_size=3: 15 runs" in printed
    assert "left out are the slowest variants" in printed
    best = rows(printed)[0]
    assert float(best[-1]) == pytest.approx(stats.smallest_detectable_effect(3, 4), rel=0.05)


def test_variants_that_take_about_as_long_are_said_to(plan: Callable[..., str]) -> None:
    printed = plan("--hours", "0.13")
    assert "all variants take about as long: leave out those that matter least to you" in printed
    (few,) = [row for row in rows(printed) if row[3].startswith("3 of 6")]
    assert few[1] == "3"


def test_the_cheapest_choice_that_detects_a_difference_is_recommended(plan: Callable[..., str]) -> None:
    printed = plan("--hours", "1.1", "--residual-sd", "0.5", "--detect", "1")
    needed = stats.seeds_for(2.0, 5)
    assert command_of(printed) == f"ablate run six.yaml --seeds 0-{needed - 1}".split()
    assert "the recommended choice is the cheapest of its kind that detects 1 point" in printed
    assert "the residual SD is 0.5 points (as given)" in printed
    assert float(rows(printed)[0][-1]) <= 1.0
    assert "detects, points" in printed


def test_a_difference_that_no_choice_detects_is_told_with_what_it_would_take(plan: Callable[..., str]) -> None:
    printed = plan("--hours", "0.3", "--residual-sd", "0.5", "--detect", "0.5")
    needed = stats.seeds_for(1.0, 5)
    assert f"no choice that fits for sure detects 0.5 points: {needed} seeds of all variants would, in about" in printed
    assert command_of(printed) == ["ablate", "run", "six.yaml", "--seeds", "0-3"]
    tiny = plan("--hours", "0.3", "--residual-sd", "0.5", "--detect", "0.01")
    assert "no choice that fits detects 0.01 points: the whole study would need more than 100 seeds" in tiny


def test_without_a_residual_sd_it_is_said_how_to_get_one(plan: Callable[..., str]) -> None:
    printed = plan("--hours", "1.1", "--detect", "0.5", "--set", "train.batch_size=16")
    first = "ablate run six.yaml --set train.batch_size=16 --seeds 0,1"
    how = "give --residual-sd from an earlier study, or train two seeds first, which counts as a look"
    assert f"--detect 0.5 points needs the residual SD: {how} ({first})" in printed
    assert f"to see it in points, the residual SD is needed: {how} (ablate run six.yaml --seeds 0,1)" in plan(
        "--hours", "1.1"
    )


def test_too_little_time_is_told_with_the_least_that_is_needed(plan: Callable[..., str]) -> None:
    printed = plan("--hours", "0.01")
    assert (
        "no choice that allows a claim fits for sure: 3 seeds of all 6 variants take about 9 min 00 s, "
        "of baseline and dropout=0 alone about 3 min 00 s" in printed
    )
    assert "recommended" not in printed


def test_a_hundred_seeds_are_enough(plan: Callable[..., str]) -> None:
    printed = plan("--hours", "9000")
    assert command_of(printed) == ["ablate", "run", "six.yaml", "--seeds", "0-99"]
    assert "more than 100 seeds are not proposed" in printed
    assert {row[2:4] == ["20", "all 6"] for row in rows(printed)} == {True}


def test_the_options_of_the_plan_are_those_of_the_command(plan: Callable[..., str]) -> None:
    printed = plan(
        *("--hours", "1.1", "--seeds", "7,8", "--set", "model.width=2", "--results", "my results"),
        *("--device", "cpu", "--per-device", "2", "--threads", "2"),
    )
    assert command_of(printed) == [
        *["ablate", "run", "six.yaml", "--set", "model.width=2", "--seeds", "7,8,0-6,9-13"],
        *("--results", "my results", "--device", "cpu", "--per-device", "2", "--threads", "2"),
    ]


@pytest.mark.slow
def test_runs_that_are_finished_cost_nothing(plan: Callable[..., str], trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "results", tmp_path / "results")
    printed = plan("--hours", "0.1", text=TINY)
    done = next(row for row in rows(printed) if row[1] == "2")
    assert done[4] == "0"
    assert "finished" in done
    best = rows(printed)[0]
    assert best[1:6] == ["4", "3", "all 3", "6", "3 min 00 s"]  # two seeds more, three runs each
    assert "the finished runs do not give it, as too few of them vary" in printed  # variants without any variation
    little = plan("--hours", "0.0001", text=TINY)
    assert "recommended" not in little
    assert "3 seeds of all 3 variants take about 2 min 00 s" in little


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "six", "1e9", ""])
def test_hours_that_are_none_are_refused(value: str, tmp_path: Path, ablate_here: Callable[..., str]) -> None:
    assert ablate_here("plan", "six.yaml", f"--hours={value}").startswith("error: --hours: ")


@pytest.fixture
def ablate_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What an `ablate` command that is refused says, beside the study six.yaml."""
    (tmp_path / "six.yaml").write_text(SIX, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> str:
        assert main(arguments) == 1
        return capsys.readouterr().err

    return call


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--detect", "1"], "--detect needs --hours"),
        (["--residual-sd", "1"], "--residual-sd needs --hours"),
        (["--hours", "1", "--smoke"], "--hours is about the study itself, not about its smoke run"),
        (["--hours", "1", "--detect", "150"], "--detect 150: two shares differ by 100 points at most"),
        (["--hours", "1", "--set", "vary={}"], "the study has only its baseline: there is nothing to detect"),
    ],
)
def test_what_cannot_be_asked_is_one_error(
    arguments: list[str], message: str, ablate_here: Callable[..., str], tmp_path: Path
) -> None:
    assert message in ablate_here("plan", "six.yaml", *arguments)
    assert not (tmp_path / "results").exists()


# What runs took, and what the next estimate makes of it.

SLEEP = """\
study: naps
task: {function: "naps:main"}
metrics: {error: {direction: lower}}
baseline: {seconds: 0.2, other: 1}
seeds: 4
vary: {seconds: [0.4], other: [2]}
"""
NAPS = """\
import time

def main(options, run):
    time.sleep(options["seconds"])
    return {"error": options["other"] + run.generator(str(options)).normal()}
"""
ONE = ("--per-device", "1")


@pytest.fixture
def naps(tmp_path: Path) -> Path:
    (tmp_path / "naps.py").write_text(NAPS, encoding="utf-8")
    (tmp_path / "naps.yaml").write_text(SLEEP, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_function_is_timed_by_its_finished_runs_and_the_next_estimate_learns(naps: Path, ablate: Ablate) -> None:
    refused = ablate("plan", "naps.yaml", "--hours", "1")
    assert refused.returncode == 1
    assert "train one first: ablate run naps.yaml --only baseline --seeds 0" in refused.stderr
    assert ablate("run", "naps.yaml", "--seeds", "0", *ONE).returncode == 0
    store = Store(naps / "results")
    assert read_spent(store) == ([], [])  # nothing had been estimated
    first = ablate("plan", "naps.yaml", "--hours", "0.01", *ONE)
    assert "cpu, 1 worker" in first.stdout
    assert "the range is a guess" in first.stdout
    estimate = read_estimate(store, "naps")
    assert estimate
    assert [*estimate.variants] == ["baseline", "seconds=0.4", "other=2"]
    assert estimate.variants["seconds=0.4"].seconds >= 0.4
    assert estimate.variants["baseline"].seconds >= 0.2
    assert ablate("run", "naps.yaml", *ONE).returncode == 0
    ((spent,), faults) = read_spent(store)
    assert faults == []
    assert (spent.runs, spent.setting) == (9, estimate.setting)
    assert spent.predicted == pytest.approx(3 * sum(own.seconds for own in estimate.variants.values()))
    assert spent.setup < spent.elapsed
    assert spent.spent < spent.elapsed
    second = ablate("plan", "naps.yaml", "--hours", "0.01", *ONE)
    factor = stats.correction([spent.ratio]).factor
    assert f"times are corrected by {factor:.2f} from 1 earlier `ablate run` with 1 worker on this" in second.stdout
    assert "detects, error" in second.stdout
    found = load_results(store, read_manifest(store.study_file("naps"))).runs
    table = found.pivot(index="variant", columns="seed", values="error").reindex([*estimate.variants])
    sd = stats.pooled_error(table.to_numpy()).mse ** 0.5
    assert f"the residual SD is {sd:.2g} (6 degrees of freedom)" in second.stdout


@pytest.mark.slow
def test_a_killed_command_counts_the_runs_that_it_finished(naps: Path, ablate: Ablate) -> None:
    assert ablate("run", "naps.yaml", "--seeds", "0", *ONE).returncode == 0
    assert ablate("plan", "naps.yaml", "--hours", "0.01", *ONE).returncode == 0
    store = Store(naps / "results")
    killed = subprocess.Popen(
        [*ABLATE, "run", "naps.yaml", *ONE], cwd=naps, stdout=subprocess.DEVNULL, start_new_session=True
    )
    end = time.monotonic() + 60
    while not (found := read_spent(store)[0]) or found[0].runs < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    ((spent,), _) = read_spent(store)
    finished = len(list(store.root.glob("runs/*/run.json"))) - 3
    assert finished - 1 <= spent.runs <= finished  # one may have ended just before
    assert spent.runs < 9
    assert "from 1 earlier `ablate run`" in ablate("plan", "naps.yaml", "--hours", "0.01", *ONE).stdout


SETTING = Setting("here", "cpu", 2, 1, "steps")
THEN = "2026-01-01T00:00:00+00:00"


def spend(store: Store, ratio: float, setting: Setting, study: str = "six") -> None:
    write_spent(new_spent_file(store, study), Spent(THEN, setting, 4, 10.0, 10 * ratio, 1.0, 9.0))


def test_an_estimate_is_corrected_by_earlier_ones_of_any_study_in_the_same_setting(
    plan: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing.platform, "node", lambda: "here")
    store = Store(Path("results"))
    for ratio in (1.2, 1.2, 1.2):
        spend(store, ratio, SETTING, "other")
    for other in (replace(SETTING, workers=1), replace(SETTING, device="gpu"), replace(SETTING, host="there")):
        spend(store, 9.0, other)
    found = stats.correction([1.2] * 3)
    printed = plan("--hours", "1.1")
    assert "times are corrected by 1.15 from 3 earlier `ablate run` with 2 workers on this machine" in printed
    best = rows(printed)[0]
    most = int((3960 - 1) / (180 * found.high))
    assert int(best[1]) == most
    assert command_of(printed)[-1] == f"0-{most - 1}"


def test_a_damaged_record_is_skipped_with_a_notice(plan: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing.platform, "node", lambda: "here")
    store = Store(Path("results"))
    spend(store, 1.5, SETTING)
    (file,) = store.root.glob("studies/six/spent/*.json")
    file.write_text(file.read_text().replace('"spent": 15.0', '"spent": 25.0'))
    printed = plan("--hours", "1.1")
    assert re.search(r"skipped: results/studies/six/spent/\S+ has changed since it was written", printed)
    assert "the range is a guess" in printed


class Mute(LineProgress):
    """Shows what is said, and nothing of runs."""

    def event(self, _: object) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of `spending`, which only the test sets."""
    now = [0.0]
    monkeypatch.setattr(spending, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def record_of(run: Run, **fields: Any) -> RunRecord:
    """The record of a run, as far as time is concerned."""
    environment = type("Environment", (), {"device": fields.pop("device", "cpu"), "threads": 1})()
    own = {"status": "finished", "resumed": 0, "host": "here", "epochs": 20, "environment": environment, **fields}
    return type("Record", (), own)()  # type: ignore[return-value]


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Run, ...]:
    (tmp_path / "six.yaml").write_text(SIX, encoding="utf-8")
    return plan_study(load_study(tmp_path / "six.yaml")).runs


def estimate_of(runs: Sequence[Run], seconds: float = 10.0, fixed: float = 0.0) -> Estimate:
    variants = {run.variant: RunTime(*timed_as(run.recipe), seconds, fixed) for run in runs}
    return Estimate(THEN, SETTING, 1.0, variants)


def test_what_runs_take_is_added_up_over_workers(runs: tuple[Run, ...], tmp_path: Path, clock: list[float]) -> None:
    store = Store(tmp_path / "results")
    write_estimate(store, "six", estimate_of(runs))
    study = load_study(tmp_path / "six.yaml")
    progress = spending.note_spent(Mute(), study, store, WorkerOptions())
    happened: list[tuple[float, Event]] = [(3.0, Started(runs[0], "cpu")), (4.0, Started(runs[1], "cpu"))]
    happened += [(14.0, Done(runs[0], record_of(runs[0]))), (15.0, Started(runs[2], "cpu"))]
    happened += [(20.0, Stopped(runs[2])), (21.0, Done(runs[1], record_of(runs[1])))]
    for now, event in happened:
        clock[0] = now
        progress.event(event)
    ((spent,), _) = read_spent(store)
    assert replace(spent, time="") == Spent("", SETTING, 2, 20.0, 11.0 + 17.0, 3.0, 21.0)


@pytest.mark.parametrize(
    ("fields", "predicted"),
    [
        ({}, 12.0),
        ({"epochs": 5}, 4.5),  # it ended early
        ({"epochs": 5, "status": "diverged"}, 4.5),
        ({"resumed": 1}, None),
        ({"host": "there"}, None),
        ({"device": "NVIDIA H100"}, None),
    ],
)
def test_a_run_is_compared_with_the_estimate_for_the_epochs_that_it_had_here(
    fields: dict[str, Any], predicted: float | None, runs: tuple[Run, ...]
) -> None:
    estimate = estimate_of(runs, 10.0, 2.0)
    assert estimate.seconds_until_end(runs[0], record_of(runs[0], **fields)) == predicted


def test_a_run_of_other_options_is_not_compared_and_one_of_other_epochs_is(
    runs: tuple[Run, ...], tmp_path: Path
) -> None:
    estimate = estimate_of(runs, 10.0, 2.0)
    path = tmp_path / "six.yaml"
    wider = plan_study(load_study(path, overrides=["model.width=2"])).runs[0]
    shorter = plan_study(load_study(path, overrides=["train.epochs=10"])).runs[0]
    assert estimate.seconds_of(wider) is None
    assert estimate.seconds_until_end(wider, record_of(wider)) is None
    assert estimate.seconds_of(shorter) == 7.0


def test_nothing_is_stored_where_nothing_was_estimated_or_elsewhere_is_trained(
    runs: tuple[Run, ...], tmp_path: Path
) -> None:
    store, study, shown = Store(tmp_path / "results"), load_study(tmp_path / "six.yaml"), Mute()
    assert spending.note_spent(shown, study, store, WorkerOptions()) is shown
    write_estimate(store, "six", estimate_of(runs))
    assert spending.note_spent(shown, study, store, WorkerOptions(backend="ray")) is shown
    assert spending.note_spent(shown, replace(study, smoke=True), store, WorkerOptions()) is shown


def test_training_goes_on_where_the_estimate_cannot_be_read(
    runs: tuple[Run, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, shown = Store(tmp_path / "results"), Mute()
    write_estimate(store, "six", estimate_of(runs))
    path = estimate_file(store, "six")
    path.write_text(path.read_text().replace('"workers": 2', '"workers": 3'))
    assert spending.note_spent(shown, load_study(tmp_path / "six.yaml"), store, WorkerOptions()) is shown
    said = capsys.readouterr().out
    assert "what runs take is not compared with an estimate" in said
    assert "its SHA-256 does not match" in said


def test_a_full_disk_does_not_stop_a_study_over_its_times(
    runs: tuple[Run, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "results")
    write_estimate(store, "six", estimate_of(runs))
    (store.root / "studies" / "six" / "spent").write_text("no folder")
    progress = spending.note_spent(Mute(), load_study(tmp_path / "six.yaml"), store, WorkerOptions())
    for run in runs[:2]:
        progress.event(Started(run, "cpu"))
        progress.event(Done(run, record_of(run)))
    assert capsys.readouterr().out.count("what runs take is no longer compared with the estimate") == 1


# The parts.


def test_a_run_that_fails_beside_others_is_tried_alone(
    runs: tuple[Run, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[str] = []
    pool = LocalPool.__new__(LocalPool)
    pool.places = ["cpu", "cpu"]
    monkeypatch.setattr(LocalPool, "_try_together", lambda _, jobs: [None, Timing(2.0)])
    monkeypatch.setattr(LocalPool, "call", lambda _, request: alone.append(request.doing) or Timing(3.0))
    assert pool.time_runs([Job(run, tmp_path, None, "", 1) for run in runs[:2]]) == [Timing(3.0), Timing(2.0)]
    assert alone == ["baseline · seed 0 was tried"]


def test_the_wall_time_is_that_of_the_order_in_which_runs_start(runs: tuple[Run, ...]) -> None:
    one = {run.key: 10.0 for run in runs}
    assert wall_seconds(runs, one, one, 2) == 60
    assert wall_seconds(runs, one, one, 5) == 30
    assert wall_seconds(runs, one, one, 100) == 10
    long = {**one, runs[-1].key: 50.0}
    assert wall_seconds(runs, long, long, 2) == 80  # it starts first, or early enough
    assert wall_seconds(runs, long, one, 2) == 100  # nothing is known of its length: it is the last to start
    assert wall_seconds(runs, long, long, 1) == 160


@pytest.mark.parametrize(
    ("seeds", "text"),
    [([0], "0"), ([0, 1], "0,1"), ([0, 1, 2], "0-2"), ([7, 8, 9, 0, 1], "7-9,0,1"), ([5, 3, 4], "5,3,4")],
)
def test_seeds_are_written_as_the_command_line_takes_them(seeds: list[int], text: str) -> None:
    assert seed_list(seeds) == text
    assert parse(["run", "six.yaml", "--seeds", text]).seeds == seeds


def test_more_seeds_begin_with_those_of_the_study_and_repeat_none(tmp_path: Path) -> None:
    path = tmp_path / "six.yaml"
    path.write_text(SIX.replace("seeds: [0, 1]", "seeds: [2, 1000000]\ncontrols: [a/a]"), encoding="utf-8")
    study = load_study(path)
    assert with_seeds(study, 1).seeds == (2,)
    assert with_seeds(study, 5).seeds == (2, 1_000_000, 1, 3, 4)  # the control of seed 0 would be trained under 1000000


def choice(
    kind: Kind, seeds: int, high: float, smallest: float, length: int | None = None, goal: float = 0.0
) -> Choice:
    times = (high / 2, high / 3, high)
    own = Goal(100.0, goal or None)
    return Choice(kind, tuple(range(seeds)), ("a", "b"), (), length, 9, *times, smallest, own)


@pytest.mark.parametrize(
    ("choices", "best"),
    [
        ([], None),
        ([choice("whole", 3, 101, 3.0)], None),  # it fits by the estimate, not for sure
        ([choice("whole", 2, 50, float("inf"))], None),
        ([choice("whole", 3, 40, 3.0), choice("whole", 5, 90, 2.5)], 1),
        ([choice("whole", 2, 90, 5.0), choice("fewer variants", 3, 90, 3.0)], 1),
        ([choice("whole", 2, 90, 5.0), choice("fewer epochs", 5, 90, 2.5, 10)], 0),
        ([choice("whole", 2, 90, 5.0), choice("fewer variants", 2, 80, 6.0)], 0),
        ([choice("fewer epochs", 8, 90, 2.0, 5), choice("fewer epochs", 5, 90, 2.5, 10)], 1),
        ([choice("whole", 5, 60, 2.5, goal=2.6), choice("whole", 8, 90, 2.0, goal=2.6)], 0),
        ([choice("whole", 5, 60, 2.5, goal=2.1), choice("fewer epochs", 8, 50, 2.0, 5, 2.1)], 1),
        ([choice("whole", 5, 60, 2.5, goal=1.0), choice("fewer variants", 8, 50, 2.0, goal=1.0)], 0),
    ],
)
def test_the_same_question_and_three_seeds_go_first(choices: list[Choice], best: int | None) -> None:
    assert recommended(choices) is (None if best is None else choices[best])


@pytest.mark.slow
def test_a_real_probe_is_about_right_and_is_learned_from(ablate: Ablate, study_file: Callable[..., Path]) -> None:
    text = TINY.replace("limit: 200", "limit: 1500").replace("epochs: 3", "epochs: 10")
    path = study_file(text)
    store = Store(path.parent / "results")
    printed = ablate("plan", "tiny.yaml", "--hours", "0.02", timeout=300)
    assert printed.returncode == 0, printed.stderr
    assert not list(store.root.glob("runs/*"))
    words = command_of(printed.stdout)
    assert ablate(*words[1:], timeout=300).returncode == 0
    ((spent,), faults) = read_spent(store)
    assert not faults
    assert 0.3 < spent.ratio < 3
    assert "from 1 earlier `ablate run`" in ablate("plan", "tiny.yaml", "--hours", "0.02", timeout=300).stdout
