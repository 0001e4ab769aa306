"""What a study can detect is told before it is trained."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ablation.planning.detectable import Precision, precision, sentences
from ablation.results.tables import read_results
from ablation.study.load import load_study

from .conftest import TINY, Ablate


def study(tmp_path: Path, seeds: str, more: str = ""):  # type: ignore[no-untyped-def]
    path = tmp_path / "study.yaml"
    path.write_text(TINY.replace("seeds: [0, 1]", f"seeds: {seeds}") + more)
    return load_study(path)


EIGHT = "  model.kernel_size: [3]\n  model.width: [2]\n  optimizer.lr: [0.1, 0.2, 0.3]\n  optimizer.momentum: [0.5]\n"


@pytest.mark.parametrize(("seeds", "smallest"), [(2, 15.5), (3, 5.1), (5, 2.9), (10, 1.8)])
def test_the_smallest_effect_is_that_of_the_protocol(seeds: int, smallest: float, tmp_path: Path) -> None:
    found = precision(study(tmp_path, str(seeds), EIGHT))
    assert found.variants == 8
    assert found.smallest == pytest.approx(smallest, abs=0.1)
    assert found.seeds_to_halve is not None
    assert found.seeds_to_halve > seeds


def test_a_control_is_one_of_the_comparisons(tmp_path: Path) -> None:
    assert precision(study(tmp_path, "3", "controls: [a/a]\n")).variants == 3


def test_one_seed_is_told_to_claim_nothing(tmp_path: Path) -> None:
    found = precision(study(tmp_path, "[0]"))
    assert math.isinf(found.smallest)
    assert sentences(found, "val_accuracy") == ["One seed allows no claim about the recipe: give at least 3 seeds."]


def test_of_very_many_seeds_no_larger_number_is_asked_for(tmp_path: Path) -> None:
    (first, _) = sentences(precision(study(tmp_path, "20000")), "val_accuracy")
    assert first.startswith("20,000 seeds detect a difference of 0.0")
    assert "halve" not in first


def test_one_point_and_one_comparison_are_not_told_as_many() -> None:
    own = Precision(seeds=3, variants=1, alpha=0.05, smallest=4.0, seeds_to_halve=9, residual_sd=0.01, df=1)
    first, second = sentences(own, "val_accuracy")
    assert "(5 % family-wise error, 1 comparison)" in first
    assert second == "The runs so far have a residual SD of 1 point (1 degree of freedom): that is 4 points."


@pytest.mark.slow
def test_plan_prints_it_before_any_training(ablate: Ablate, study_file) -> None:  # type: ignore[no-untyped-def]
    study_file(TINY.replace("seeds: [0, 1]", "seeds: 3"))
    printed = ablate("plan", "tiny.yaml").stdout
    assert "3 seeds detect a difference of 5.7" in printed
    assert "seeds would halve that." in printed
    assert "The residual SD is shown here once" in printed


def test_it_is_told_in_points_once_there_are_runs(tmp_path: Path) -> None:
    """The table of the protocol with a mean square of .014444 on 6 degrees of freedom."""
    table = tmp_path / "runs.csv"
    rows = {
        "baseline": [91.8, 92.1, 91.5],
        "dropout=0": [92.4, 92.9, 92.2],
        "norm=none": [90.9, 91.0, 90.3],
        "kernel_size=3": [91.9, 92.0, 91.6],
    }
    lines = [f"{name},{seed},{value}" for name, values in rows.items() for seed, value in enumerate(values)]
    table.write_text("\n".join(["variant,seed,val_accuracy", *lines]))
    found = precision(study(tmp_path, "3", "  model.kernel_size: [3]\n"), read_results(table, "baseline").runs)
    assert found.df == 6
    assert found.residual_sd == pytest.approx(math.sqrt(0.0144444) / 100, rel=1e-4)
    assert found.smallest_in_units == pytest.approx(found.smallest * math.sqrt(0.0144444) / 100, rel=1e-4)
    assert "residual SD of 0.12 points (6 degrees of freedom)" in sentences(found, "val_accuracy")[1]


@pytest.mark.slow
def test_a_probe_estimates_the_time_of_what_is_still_to_do(ablate: Ablate, study_file, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    study_file()
    printed = ablate("plan", "tiny.yaml", "--probe").stdout
    assert "time per run" in printed
    timed = printed.partition("time per run")[2].splitlines()[1:4]
    assert [line.split()[0] for line in timed] == ["baseline", "dropout=0", "norm=none"]
    assert all(float(line.split()[1]) >= 0 and line.split()[2] == "s" for line in timed)
    assert "if nothing else uses the machine" in printed
    assert not list(tmp_path.glob("results/runs/*"))
    ablate("run", "tiny.yaml")
    assert "nothing left to train" in ablate("plan", "tiny.yaml", "--probe").stdout
