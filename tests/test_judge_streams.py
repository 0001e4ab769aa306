"""A hundred uses of `ablate verdict` in a row: what they come to by chance, and what a margin lets through."""

from __future__ import annotations

import json
import math
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from .conftest import ABLATE, ROOT

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not in a source distribution", allow_module_level=True)

from ablation.results.runs import load_results
from ablation.storage.manifest import read_manifest
from ablation.storage.store import Store
from ablation.storage.verdict_ledger import read_uses
from benchmarks.verdicts import (
    ALPHA,
    MARGIN,
    Design,
    equal,
    equal_candidates,
    judge,
    ledger,
    real_stream,
    steps_down,
    unspent,
)

STREAMS = 60
MONTE_CARLO = 2.5 * math.sqrt(ALPHA * (1 - ALPHA) / STREAMS)


def test_the_command_says_what_the_simulated_function_says(tmp_path: Path) -> None:
    """Three studies through the command line, and their values through the function of the simulation."""
    found = real_stream(tmp_path, 3)
    for use, line in enumerate(found, start=1):
        store = Store(tmp_path / "results")
        results = load_results(store, read_manifest(store.study_file(f"use-{use}")))
        y = results.runs.pivot(index="variant", columns="seed", values="score")
        rows = y.loc[[variant.name for variant in results.manifest.variants]].to_numpy()
        (own,) = judge(rows, ledger(use))
        assert (line["use"], line["level"]) == (use, ledger(use))
        assert (line["verdict"], line["low"], line["high"], line["p"]) == (own.verdict, own.low, own.high, own.p)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "level", "new_seeds"),
    [
        (Design(1, 10), ledger, True),
        (Design(1, 10), equal, True),
        (Design(4, 5), ledger, True),
        (Design(1, 10), ledger, False),
    ],
    ids=["any number of uses", "a hundred uses declared", "four variants", "the same seeds"],
)
def test_a_hundred_uses_on_equal_candidates_claim_anything_with_probability_alpha(
    design: Design, level, new_seeds: bool
) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    found = [equal_candidates(rng, design, level, new_seeds=new_seeds) for _ in range(STREAMS)]
    assert np.mean([better + worse > 0 for better, worse in found]) <= ALPHA + MONTE_CARLO


@pytest.mark.slow
def test_without_a_ledger_a_hundred_uses_nearly_always_accept_something() -> None:
    rng = np.random.default_rng(1)
    assert np.mean([equal_candidates(rng, Design(1, 5), unspent, new_seeds=True)[0] > 0 for _ in range(30)]) > 0.7


@pytest.mark.slow
def test_a_margin_from_a_fixed_baseline_is_lost_once_and_not_again_and_again() -> None:
    rng = np.random.default_rng(1)
    fixed = np.array([steps_down(rng, 9, ledger, moving=False) for _ in range(100)])
    assert np.mean(fixed <= -MARGIN) <= ALPHA
    assert max(steps_down(rng, 9, unspent, moving=True) for _ in range(5)) < -10 * MARGIN


@pytest.mark.slow
def test_thirty_equal_candidates_through_the_command_line(tmp_path: Path) -> None:
    found = real_stream(tmp_path, 30)
    assert [line["use"] for line in found] == [*range(1, 31)]
    assert {line["verdict"] for line in found} == {"undecided"}
    assert sum(use.level for use in read_uses(tmp_path / "uses.jsonl")) < ALPHA


@pytest.mark.slow
def test_a_command_that_is_killed_at_any_moment_leaves_a_whole_ledger(tmp_path: Path) -> None:
    real_stream(tmp_path, 1)
    (tmp_path / "uses.jsonl").unlink()
    command = [*ABLATE, "verdict", "use-1", "--ledger", "uses.jsonl"]
    start = time.monotonic()
    done = subprocess.run([*command[:-1], "other.jsonl"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode in (0, 1, 3)
    whole = time.monotonic() - start
    for moment in np.linspace(0.5, 1.05, 10):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment * whole)
        process.kill()
        process.wait()
        assert len(read_uses(tmp_path / "uses.jsonl")) <= 1
    last = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert last.returncode == done.returncode
    assert json.loads(last.stdout)["use"] == 1
