"""`ablate run` from the outside: it trains, goes on, survives being killed, and says what happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ablation.execution.study import plan_study
from ablation.results.runs import TIMINGS, Results, load_results
from ablation.storage.manifest import Manifest
from ablation.storage.store import Store
from ablation.study.load import load_study

from .conftest import ABLATE, ROOT, TINY, Ablate

SMOKE = ROOT / "studies" / "smoke.yaml"
ONE_SEED = ("--seeds", "0")


def results(folder: Path, name: str) -> Results:
    store = Store(folder / "results")
    manifest = Manifest.from_json(json.loads(store.study_file(name).read_text()))
    return load_results(store, manifest)


def same(first: Results, second: Results) -> None:
    """The two studies hold the same values to the bit, timings aside."""
    for table in ("runs", "epochs"):
        frames = [getattr(each, table) for each in (first, second)]
        frames = [frame.drop(columns=[c for c in TIMINGS if c in frame]) for frame in frames]
        pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_every_run_is_finished_with_its_files(trained: Path) -> None:
    found = results(trained, "tiny")
    assert found.complete
    assert set(found.runs.status) == {"finished"}
    for folder in found.runs.folder:
        files = {path.name for path in (trained / "results" / "runs" / folder).iterdir()}
        wanted = {"config.json", "epochs.jsonl", "best.pt", "last.pt", "predictions.npz", "run.json"}
        assert wanted <= files <= wanted | {"lock"}


def test_epoch_rows_hold_what_was_measured(trained: Path) -> None:
    epochs = results(trained, "tiny").epochs
    assert list(epochs.groupby(["variant", "seed"]).epoch.apply(list).iloc[0]) == [1, 2, 3]
    assert epochs.train_loss.between(0, 5).all()
    assert epochs.val_accuracy.between(0, 1).all()
    assert (epochs.images_per_second > 0).all()
    assert (epochs.lr == 0.05).all()


def test_predictions_agree_with_the_accuracy_of_the_selected_epoch(trained: Path) -> None:
    import numpy as np

    found = results(trained, "tiny")
    for row in found.runs.itertuples():
        stored = np.load(trained / "results" / "runs" / row.folder / "predictions.npz", allow_pickle=False)
        assert (stored["predicted"] == stored["label"]).mean() == pytest.approx(row.val_accuracy, abs=1e-12)


def test_variants_of_one_seed_are_validated_on_the_same_images(trained: Path) -> None:
    import numpy as np

    found = results(trained, "tiny").runs
    splits: dict[int, set[bytes]] = {}
    for row in found.itertuples():
        stored = np.load(trained / "results" / "runs" / row.folder / "predictions.npz", allow_pickle=False)
        splits.setdefault(row.seed, set()).add(stored["index"].tobytes())
    assert [len(split) for split in splits.values()] == [1, 1]
    assert splits[0] != splits[1]


def test_a_second_run_trains_nothing(trained: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.glob("results/runs/*/run.json")}
    result = subprocess.run([*ABLATE, "run", "tiny.yaml"], cwd=trained, capture_output=True, text=True, check=True)
    assert "6 of 6 runs finished" in result.stdout
    assert "nothing left to train" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_a_variant_added_later_leaves_the_others_as_they_are(ablate: Ablate, study_file: Callable[..., Path]) -> None:
    study_file(TINY.replace("  model.norm: [none]\n", ""))
    assert ablate("run", "tiny.yaml").returncode == 0
    study_file()
    result = ablate("run", "tiny.yaml")
    assert "4 of 6 runs finished" in result.stdout
    assert "2 runs trained" in result.stdout


@pytest.mark.slow
def test_runs_that_an_earlier_version_trained_to_other_weights_are_trained_again_and_named(
    ablate: Ablate, study_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = study_file(
        TINY.replace("{epochs: 3,", "{stages: [{epochs: 1}, {epochs: 1, freeze: features}], clip_norm: 1,")
        .replace("seeds: [0, 1]", "seeds: [0]")
        .replace("  model.norm: [none]", "  train.clip_norm: [null]")
        .replace("  model.dropout: [0.0]\n", "")
    )
    clipped, unclipped = plan_study(load_study(path)).runs
    for folder in (*clipped.earlier, unclipped.folder):
        (tmp_path / "results" / "runs" / folder).mkdir(parents=True)
        (tmp_path / "results" / "runs" / folder / "run.json").write_text("{}")
    result = ablate("run", "tiny.yaml", "--only", "baseline")
    why = "clip_norm no longer counts gradients of frozen layers, so their weights change"
    assert f"1 run is trained again: {why}" in result.stdout
    assert (tmp_path / "results" / "runs" / clipped.folder / "run.json").exists()
    assert (tmp_path / "results" / "runs" / clipped.earlier[0] / "run.json").exists()
    assert "trained again" not in ablate("run", "tiny.yaml", "--only", "baseline").stdout


def test_only_and_seeds_choose_runs(ablate: Ablate, study_file: Callable[..., Path], tmp_path: Path) -> None:
    study_file()
    result = ablate("run", "tiny.yaml", "--only", "norm=none", "--per-device", "1")
    assert "2 runs trained" in result.stdout
    runs = results(tmp_path, "tiny").runs
    assert dict(zip(runs.variant, runs.status, strict=True)) == {
        "baseline": "missing",
        "dropout=0": "missing",
        "norm=none": "finished",
    }


@pytest.mark.slow
def test_two_commands_at_once_train_each_run_once(
    ablate: Ablate, study_file: Callable[..., Path], tmp_path: Path
) -> None:
    study_file()
    command = [*ABLATE, "run", "tiny.yaml", "--per-device", "1"]
    both = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=200)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    found = results(tmp_path, "tiny")
    assert found.complete
    assert (found.runs.resumed == 0).all()
    assert (found.runs.epochs == 3).all()


def test_a_diverging_run_is_a_result(ablate: Ablate, study_file: Callable[..., Path], tmp_path: Path) -> None:
    study_file(TINY.replace("model.norm: [none]", "optimizer.lr: [1e18]").replace("norm: batch", "norm: none"))
    result = ablate("run", "tiny.yaml", "--seeds", "0")
    assert result.returncode == 0
    assert "1 of them diverged" in result.stdout
    row = results(tmp_path, "tiny").runs.set_index("variant").loc["lr=1e+18"]
    assert row.status == "diverged"
    assert pd.isna(row.selected_epoch)
    assert pd.isna(row.val_accuracy)


@pytest.mark.slow
def test_ctrl_c_saves_the_epoch_and_the_same_command_goes_on(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    process = start(tmp_path, "tiny.yaml")
    wait_for(lambda: any(tmp_path.glob("results/runs/*/epochs.jsonl")))
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "the same command resumes from here" in output
    assert "Traceback" not in output
    subprocess.run([*ABLATE, "run", "tiny.yaml"], cwd=tmp_path, check=True, capture_output=True)
    same(results(trained, "tiny"), results(tmp_path, "tiny"))


@pytest.mark.slow
def test_the_death_of_a_worker_costs_nothing_but_time(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    process = start(tmp_path, "tiny.yaml")
    wait_for(lambda: any(tmp_path.glob("results/runs/*/config.json")))
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    output = process.communicate(timeout=100)[0]
    assert process.returncode == 0, output
    same(results(trained, "tiny"), results(tmp_path, "tiny"))


@pytest.mark.slow
def test_no_worker_outlives_a_killed_command(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    process = start(tmp_path, "tiny.yaml")
    wait_for(lambda: any(tmp_path.glob("results/runs/*/config.json")))
    workers = workers_of(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(alive(worker) for worker in workers), seconds=10)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "times"), [(signal.SIGKILL, 10), (signal.SIGINT, 5)], ids=["kill -9", "Ctrl-C"])
def test_the_smoke_study_stopped_at_random_moments_ends_the_same(
    number: signal.Signals, times: int, smoke: Path, tmp_path: Path
) -> None:
    chance = random.Random(int(number))
    shares = sorted(chance.uniform(0.05, 0.85) for _ in range(times))  # of the study's epochs, wherever reached
    for share in shares:
        with start(tmp_path, str(SMOKE), *ONE_SEED) as process:
            wait_for(lambda share=share: epochs_of(tmp_path) >= share * epochs_of(smoke))
            time.sleep(chance.uniform(0, 0.1))
            assert process.poll() is None, f"the study ended before it was stopped {times} times"
            os.killpg(process.pid, number)
            process.communicate(timeout=120)
    finish(tmp_path)
    same(results(smoke, "smoke"), results(tmp_path, "smoke"))


@pytest.mark.slow
def test_the_smoke_study_that_loses_workers_at_ten_random_moments_ends_the_same(smoke: Path, tmp_path: Path) -> None:
    chance = random.Random(0)
    shares = sorted(chance.uniform(0, 0.85) for _ in range(10))
    with start(tmp_path, str(SMOKE), *ONE_SEED) as process:
        for share in shares:
            wait_for(lambda share=share: epochs_of(tmp_path) >= share * epochs_of(smoke))
            wait_for(lambda: bool(workers_of(process.pid)))
            os.kill(chance.choice(workers_of(process.pid)), signal.SIGKILL)
            assert process.poll() is None, "the study ended before ten workers were killed"
        output = process.communicate(timeout=300)[0]
    assert "Traceback" not in output
    finish(tmp_path)
    same(results(smoke, "smoke"), results(tmp_path, "smoke"))


def epochs_of(folder: Path) -> int:
    """How many epochs the runs of a folder have finished so far."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("results/runs/*/epochs.jsonl"))


def finish(folder: Path) -> None:
    """Run the smoke study to its end."""
    subprocess.run([*ABLATE, "run", str(SMOKE), *ONE_SEED], cwd=folder, check=True, capture_output=True, timeout=300)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the smoke study ran without interruption."""
    folder = tmp_path_factory.mktemp("smoke")
    subprocess.run([*ABLATE, "run", str(SMOKE), *ONE_SEED], cwd=folder, check=True, capture_output=True, timeout=300)
    return folder


@pytest.mark.slow
def test_the_vgg_study_passes_as_a_smoke_run(ablate: Ablate, tmp_path: Path) -> None:
    study = str(ROOT / "studies" / "vgg_regularisation.yaml")
    result = ablate("run", study, "--smoke", "--set", "data.name=synthetic", *ONE_SEED, timeout=600)
    assert result.returncode == 0, result.stderr
    found = results(tmp_path, "vgg_regularisation-smoke")
    assert found.complete
    assert len(found.runs) == 19


def start(folder: Path, study: str, *options: str) -> subprocess.Popen[str]:
    """`ablate run` in a process group of its own, as a terminal would start it."""
    return subprocess.Popen(
        [*ABLATE, "run", study, *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=_reset_hang_up,  # whoever runs the tests may ignore them
    )


def _reset_hang_up() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def workers_of(pid: int) -> list[int]:
    """The worker processes below a command: the children of its fork server."""
    if not sys.platform.startswith("linux"):
        pytest.skip("looks processes up in /proc")
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    children = [child for child, parent in parents.items() if parent == pid]
    return [child for child, parent in parents.items() if parent in children]
