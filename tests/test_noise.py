"""`ablate noise` as a user types it: which runs it trains, what it says, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablation.execution.study import plan_study
from ablation.planning.noise import image_sources
from ablation.planning.plan import with_streams
from ablation.stats import variance_components
from ablation.study.load import load_study

from .conftest import ABLATE, ROOT, TINY, Ablate
from .test_run import wait_for

STUDY = """\
study: own
task: {function: "train:main"}
metrics: {score: {direction: higher}}
baseline: {shift: 0.0}
seeds: [0, 1, 2]
vary: {shift: [1.0]}
"""
TRAIN = """\
def main(options, run):
    split = run.generator("split").normal()
    order = sum(run.generator(f"order {epoch}").normal() for epoch in range(4))
    return {"score": 2.0 * split + 0.1 * order + options["shift"]}
"""
SLOW = """\
import time

def main(options, run):
    time.sleep(0.2)
    return {"score": run.generator("split").normal() + 0.1 * run.generator("order").normal()}
"""


def write(folder: Path, code: str = TRAIN, study: str = STUDY) -> None:
    (folder / "own.yaml").write_text(textwrap.dedent(study), encoding="utf-8")
    (folder / "train.py").write_text(textwrap.dedent(code), encoding="utf-8")


def stored(folder: Path, name: str = "noise", study: str = "own") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "reports" / study / f"{name}.json").read_text(encoding="utf-8"))
    return found


def finished(folder: Path) -> int:
    return len(list(folder.glob("results/runs/*/run.json")))


def rows(printed: str) -> dict[str, str]:
    """The rows of the table by their source."""
    _, table = re.split(r"Share of the variance *\n", printed)
    cells = (re.split(r" {2,}", line.rstrip(), maxsplit=1) for line in table.splitlines())
    return {own[0]: own[1] for own in cells if len(own) == 2}


@pytest.mark.slow
def test_the_sources_of_a_function_are_the_streams_that_it_draws_from(tmp_path: Path, ablate: Ablate) -> None:
    write(tmp_path)
    result = ablate("noise", "own.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "own: 25 runs of baseline, 1 finished; 5 seeds for each of split, order" in result.stdout
    assert "25 runs trained" in result.stdout
    assert [*rows(result.stdout)] == ["split", "order", "interactions", "total"]
    assert "The largest source is split" in result.stdout
    assert finished(tmp_path) == 25
    noise = stored(tmp_path)
    own = {source["source"]: source for source in noise["sources"]}
    assert own["split"]["share"] > 0.9
    assert noise["interactions"]["variance"] == 0.0  # the two are added
    page = (tmp_path / "reports" / "own" / "noise.md").read_text(encoding="utf-8")
    assert "| **split** |" in page
    assert "<title>Noise of baseline</title>" in (tmp_path / "reports" / "own" / "noise.html").read_text("utf-8")


@pytest.mark.slow
def test_a_second_command_trains_nothing_and_more_seeds_only_what_is_missing(tmp_path: Path, ablate: Ablate) -> None:
    write(tmp_path)
    assert ablate("run", "own.yaml", "--seeds", "0-4").returncode == 0
    assert finished(tmp_path) == 10
    first = ablate("noise", "own.yaml")
    assert "25 runs of baseline, 5 finished" in first.stdout  # those of the study
    assert finished(tmp_path) == 30
    again = ablate("noise", "own.yaml")
    assert "trained" not in again.stdout
    assert rows(again.stdout) == rows(first.stdout)
    more = ablate("noise", "own.yaml", "--seeds", "10")
    assert "50 runs of baseline, 25 finished; 10 seeds" in more.stdout
    assert finished(tmp_path) == 55
    other = ablate("noise", "own.yaml", "--variant", "shift=1")
    assert other.returncode == 0, other.stderr
    (path,) = (tmp_path / "reports" / "own").glob("noise-*.json")
    shifted = [run["value"] for run in stored(tmp_path, path.stem)["runs"]]
    assert shifted == pytest.approx([run["value"] + 1 for run in stored(tmp_path)["runs"][:25]])


@pytest.mark.slow
def test_the_run_itself_is_a_source_where_the_function_reads_its_seed(tmp_path: Path, ablate: Ablate) -> None:
    code = """\
    import random

    def main(options, run):
        return {"score": random.Random(run.seed).random() + run.torch_generator("init").initial_seed() / 2**63}
    """
    write(tmp_path, code)
    result = ablate("noise", "own.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [*rows(result.stdout)] == ["run.seed", "init", "interactions", "total"]
    assert stored(tmp_path)["interactions"]["variance"] == 0.0


@pytest.mark.slow
def test_a_killed_command_goes_on_and_comes_to_the_same(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        write(folder, SLOW)
    done = [subprocess.run([*ABLATE, "noise", "own.yaml"], cwd=whole, capture_output=True, text=True, check=True)]
    process = subprocess.Popen([*ABLATE, "noise", "own.yaml"], cwd=killed, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: finished(killed) > 3)
    process.kill()
    process.communicate()
    kept = finished(killed)
    assert 3 < kept < 25
    done.append(subprocess.run([*ABLATE, "noise", "own.yaml"], cwd=killed, capture_output=True, text=True, check=True))
    assert stored(killed) == stored(whole)
    assert rows(done[1].stdout) == rows(done[0].stdout)


def refused(ablate: Ablate, *arguments: str) -> str:
    result = ablate("noise", "own.yaml", *arguments)
    assert result.returncode == 1, result.stdout
    assert result.stderr.startswith("error: ")
    return result.stderr


@pytest.mark.slow
def test_a_function_with_one_stream_is_told_how_to_name_more(tmp_path: Path, ablate: Ablate) -> None:
    write(tmp_path, "def main(options, run):\n    return {'score': run.seed}\n")
    error = refused(ablate)
    assert "the function draws everything from run.seed: its sources of noise cannot be told apart" in error
    assert 'run.generator("order")' in error
    assert finished(tmp_path) == 1


def test_a_function_with_too_many_streams_is_told_what_belongs_together(tmp_path: Path, ablate: Ablate) -> None:
    code = "def main(options, run):\n    return {'score': sum(run.generator(f's{n}').normal() for n in range(12))}\n"
    write(tmp_path, code)
    error = refused(ablate)
    assert "from 12 streams or more (s0, s1, s2, s3, ...), and 11 are the most that can be told apart" in error
    assert "the same first word" in error


@pytest.mark.slow
def test_a_function_without_randomness_is_refused(tmp_path: Path, ablate: Ablate) -> None:
    write(tmp_path, "def main(options, run):\n    return {'score': 1.0}\n")
    assert "the function draws nothing from its seed" in refused(ablate)


@pytest.mark.slow
def test_a_run_that_does_not_say_its_streams_asks_for_their_names(tmp_path: Path, ablate: Ablate) -> None:
    write(tmp_path)
    assert ablate("run", "own.yaml", "--only", "baseline", "--seeds", "0").returncode == 0
    (path,) = tmp_path.glob("results/runs/*/run.json")
    record = json.loads(path.read_text())
    del record["drawn"], record["sha256"]  # as an earlier version wrote it
    path.write_text(json.dumps(record))
    error = refused(ablate)
    assert "does not say which random streams the function draws from" in error
    assert "--streams" in error
    named = ablate("noise", "own.yaml", "--streams", "split,order")
    assert named.returncode == 0, named.stderr
    assert [*rows(named.stdout)] == ["split", "order", "interactions", "total"]


@pytest.mark.slow
def test_a_command_is_refused(tmp_path: Path, ablate: Ablate) -> None:
    study = STUDY.replace('{function: "train:main"}', '{command: "python train.py {args}", seed: --seed}')
    write(tmp_path, "print('score: 1')\n", study)
    error = refused(ablate)
    assert "a command draws everything from the seed that it is given" in error
    assert "task: {function: ...}" in error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "7"), "--seeds 7: the runs are planned in squares of 5 seeds\nuse 5, 10, 20, ..."),
        (("--variant", "shfit=1"), "--variant shfit=1: no such variant in own\ndid you mean 'shift=1'?"),
        (("--metric", "scor"), "training reports no finite 'scor', whose noise is to be measured\nchoose another"),
    ],
)
def test_a_wrong_option_is_one_error(arguments: tuple[str, ...], message: str, tmp_path: Path, ablate: Ablate) -> None:
    write(tmp_path)
    assert message in refused(ablate, *arguments)
    assert finished(tmp_path) <= 1


@pytest.mark.slow
def test_runs_that_diverge_have_no_components(tmp_path: Path, ablate: Ablate) -> None:
    code = TRAIN.replace('"score": 2.0', '"score": float("nan") if split > 0 else 2.0')
    write(tmp_path, code)
    error = refused(ablate)
    assert re.search(r"\d+ of 25 runs of baseline diverged: its noise has no finite variance", error)


@pytest.mark.slow
def test_runs_that_fail_leave_no_table(tmp_path: Path, ablate: Ablate) -> None:
    code = TRAIN.replace("    return", "    assert not any(run.folder.parent.parent.glob('*/run.json'))\n    return")
    write(tmp_path, code)
    result = ablate("noise", "own.yaml")
    assert result.returncode == 2, result.stdout + result.stderr
    assert "1 run trained" in result.stdout
    assert "the table needs all of the runs" in result.stdout
    assert not (tmp_path / "reports").exists()


def test_an_image_classifier_knows_its_sources(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.partition("vary:")[0], encoding="utf-8")

    def names(*overrides: str, drawn: bool = True) -> list[str]:
        return [source.name for source in image_sources(baseline(tmp_path, *overrides)) if source.drawn == drawn]

    assert names() == ["split", "order", "initial weights", "dropout"]
    assert names(drawn=False) == ["augmentation"]
    assert names("model.dropout=0", drawn=False) == ["augmentation", "dropout"]
    assert names("model.dropout=0", "model.feature_dropout=0.1", "train.mixup=0.2", drawn=False) == []
    streams = {source.name: source.streams for source in image_sources(baseline(tmp_path, "data.fraction=0.5"))}
    assert streams["split"] == ("limit", "split", "fraction")


def baseline(folder: Path, *overrides: str) -> Any:
    return load_study(folder / "tiny.yaml", overrides=overrides).baseline.image_recipe


def test_other_streams_give_another_key_and_the_same_ones_the_same_run() -> None:
    run = plan_study(load_study(ROOT / "studies" / "smoke.yaml")).runs[0]
    assert with_streams(run, {"order": run.seed}) is run
    other = with_streams(run, {"order": 7, "split": run.seed})
    assert other == with_streams(run, {"order": 7})
    assert other.key != run.key
    assert other.folder == run.folder.removesuffix(run.key) + other.key
    assert other.label == "baseline · seed 0, order 7"
    known = replace(run, key="eeb7df2603900aba", folder="lenet5-digits-s0-eeb7df2603900aba")
    assert with_streams(known, {"order": 7}).key == "2fc5451d03c44306"  # for all time: stored runs have it
    keys = {with_streams(run, streams).key for streams in ({"order": 7}, {"order": 8}, {"init": 7}, {})}
    assert len(keys) == 4


@pytest.mark.slow
def test_planted_components_are_found_through_the_command(tmp_path: Path, ablate: Ablate) -> None:
    code = """\
    import numpy as np

    def main(options, run):
        drawn = [run.generator(name).normal() for name in ("split", "order", "init")]
        chaos = np.random.default_rng([int(abs(own) * 2**40) for own in drawn]).normal()  # new for any change
        return {"score": 2.0 * drawn[0] + drawn[1] + chaos}
    """
    write(tmp_path, code)
    result = ablate("noise", "own.yaml", "--seeds", "100", timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    noise = stored(tmp_path)
    parts = {own["source"]: own for own in noise["sources"]} | {"interactions": noise["interactions"]}
    truth = {"split": 4.0, "order": 1.0, "init": 0.0, "interactions": 1.0}
    for name, own in parts.items():
        assert own["low"] <= truth[name] <= own["high"]
        assert own["share_low"] <= truth[name] / 6 <= own["share_high"]
    assert noise["total"]["low"] <= 6.0 <= noise["total"]["high"]
    values = np.array([run["value"] for run in noise["runs"]]).reshape(20, 1, 5, 5)
    found = [variance_components(square, 3) for square in values]  # twenty studies with five seeds each
    for place, true in enumerate(truth.values()):
        held = [own.low <= true <= own.high for own in ((*one.sources, one.interactions)[place] for one in found)]
        assert sum(held) >= 17


@pytest.mark.slow
def test_the_noise_of_an_image_classifier(tmp_path: Path, ablate: Ablate) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    assert ablate("run", "tiny.yaml", "--only", "baseline").returncode == 0
    result = ablate("noise", "tiny.yaml", timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "25 runs of baseline, 2 finished; 5 seeds for each of split, order, initial weights" in result.stdout
    found = rows(result.stdout)
    assert [*found] == ["split", "order", "initial weights", "dropout", "augmentation", "interactions", "total"]
    assert found["augmentation"].strip() == "draws nothing"
    assert "On 40 validation images, an accuracy of" in result.stdout
    noise = stored(tmp_path, study="tiny")
    assert sum(source["share"] for source in noise["sources"]) + noise["interactions"]["share"] == pytest.approx(1)
    assert {run["value"] for run in noise["runs"]} <= {number / 40 for number in range(41)}


@pytest.mark.slow
def test_the_page_is_in_the_language_of_the_study(tmp_path: Path, ablate: Ablate) -> None:
    write(tmp_path, study=STUDY + "report: {language: zh}\n")
    result = ablate("noise", "own.yaml")
    assert "The largest source is split" in result.stdout  # the command line speaks English
    page = (tmp_path / "reports" / "own" / "noise.md").read_text(encoding="utf-8")
    assert not re.search(r"[a-z]{3,} [a-z]{3,} [a-z]{3,}", page)
