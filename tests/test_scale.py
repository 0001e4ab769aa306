"""What grows with a study: the work is counted, so that these hold on a slow machine as on a fast one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablation.cli.main import main
from ablation.cli.plan_tables import print_plan
from ablation.cli.status_table import print_status
from ablation.execution.study import plan_study, still_to_do
from ablation.report import write_report
from ablation.storage import sealed
from ablation.storage.store import RunFolder, Store
from ablation.study.load import load_study
from ablation.study.schema import Recipe
from ablation.training import sizes
from benchmarks.scale.measure import Command, run_rounds
from benchmarks.scale.stored import write, write_file
from tests.predicted import one_in_ten, write_predictions
from tests.stored import BASELINE, StoredVariant, write_study

STUDY = """\
study: large
baseline:
  data: {{name: digits, validation: 0.2}}
  model: {{name: lenet5, dropout: 0.9}}
  optimizer: {{name: sgd, lr: 0.05}}
  train: {{epochs: 3}}
seeds: {seeds}
vary: {{model.dropout: {values}}}
"""


def large(folder: Path, variants: int, seeds: int) -> Path:
    path = folder / "large.yaml"
    path.write_text(STUDY.format(seeds=seeds, values=[n / 1000 for n in range(variants - 1)]), encoding="utf-8")
    return path


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Lets a function work as ever and notes each call of it."""

    def watch(owner: Any, name: str) -> list[Any]:
        own, calls = getattr(owner, name), []

        def counted(*args: Any, **options: Any) -> Any:
            calls.append(args)
            return own(*args, **options)

        monkeypatch.setattr(owner, name, counted)
        return calls

    return watch


def test_loading_asks_as_much_of_each_variant_however_many_there_are(
    tmp_path: Path, count: Callable[..., list[Any]]
) -> None:
    calls = count(Recipe, "canonical")
    needed = []
    for variants in (51, 101, 201):
        before = len(calls)
        assert len(load_study(large(tmp_path, variants, 2)).variants) == variants
        needed.append(len(calls) - before)
    assert needed[2] - needed[1] == 2 * (needed[1] - needed[0])


def test_many_seeds_are_no_burden(tmp_path: Path) -> None:
    assert len(load_study(large(tmp_path, 2, 50_000)).seeds) == 50_000


def test_a_plan_looks_only_at_the_run_folders_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, store = plan_study(load_study(large(tmp_path, 20, 10))), Store(tmp_path / "results")
    looked_at = []
    own = RunFolder.finished.fget
    assert own is not None
    monkeypatch.setattr(RunFolder, "finished", property(lambda folder: looked_at.append(folder.path) or own(folder)))
    assert still_to_do(plan.runs, store) == list(plan.runs)
    assert looked_at == []
    for run in plan.runs[:3]:
        (store.root / "runs" / run.folder).mkdir(parents=True)
    assert still_to_do(plan.runs, store) == list(plan.runs)
    assert len(looked_at) == 3


def test_a_plan_builds_a_network_for_each_size_only(
    tmp_path: Path, count: Callable[..., list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    built = count(sizes, "model_size")
    plan = plan_study(load_study(large(tmp_path, 30, 2)))
    print_plan(plan.study, plan, Store(tmp_path / "results"))
    assert len(built) == 1
    assert "30 variants x 2 seeds = 60 runs, 0 finished" in capsys.readouterr().out


def test_status_reads_one_record_a_run_however_long_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parsed: list[int] = []
    own = sealed.typed_list
    needed = []

    def counted(kind: type[Any], items: list[bytes]) -> list[Any]:
        parsed.append(len(items))
        return own(kind, items)

    for seeds, epochs in ((2, 4), (4, 4), (4, 40)):
        baseline = {**BASELINE, "train": {"epochs": epochs, "batch_size": 64}}
        stored = write_study(tmp_path / f"{seeds}-{epochs}", seeds=range(seeds), baseline=baseline)
        with monkeypatch.context() as patch:
            patch.setattr(sealed, "typed_list", counted)
            print_status(stored.manifest, stored.store)
        needed.append(sum(parsed))
        parsed.clear()
    assert needed == [5 * 2, 5 * 4, 5 * 4]


@pytest.mark.slow
def test_a_report_reads_the_predictions_of_a_run_once(tmp_path: Path, count: Callable[..., list[Any]]) -> None:
    reads = count(np, "load")
    needed = []
    for seeds in (3, 6):
        stored = write_study(tmp_path / str(seeds), seeds=range(seeds))
        write_predictions(stored, one_in_ten)
        before = len(reads)
        write_report(stored.store, stored.manifest, tmp_path / f"report-{seeds}")
        needed.append(len(reads) - before)
    assert needed[1] - needed[0] == 5 * 3


@pytest.mark.slow
def test_of_many_learning_rates_a_report_shows_a_page_and_says_so(tmp_path: Path) -> None:
    variants = [StoredVariant(f"lr={n / 100:g}", {"optimizer.lr": n / 100}) for n in range(6, 20)]
    stored = write_study(tmp_path / "results", variants, seeds=[0, 1])
    html = write_report(stored.store, stored.manifest, tmp_path / "report").html.read_text(encoding="utf-8")
    assert "Shown: the first 12 of 15; epochs.csv has all." in html
    assert "learning-rate-12-t" in html
    assert "learning-rate-13-t" not in html


def test_the_studies_of_the_benchmark_are_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = load_study(write_file(tmp_path / "large.yaml", 9, 3))
    assert (len(study.variants), len(study.seeds)) == (9, 3)
    write(tmp_path / "results", 9, 3, 5)
    assert main(["status", "--results", str(tmp_path / "results")]) == 0
    assert "27 finished" in capsys.readouterr().out


def test_the_benchmark_does_not_take_a_failure_for_a_time(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="status ended with exit code 1"):
        run_rounds({"status": Command(tmp_path, ("-m", "ablation", "status"))}, 1)
