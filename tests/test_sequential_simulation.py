"""The promises of sequential studies, simulated through the functions that `ablate run` calls."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from .conftest import ROOT

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not in a source distribution", allow_module_level=True)

from ablation.stats import SequentialDesign, detection_power
from benchmarks.sequential import studies, tables
from benchmarks.sequential.simulate import Cell, simulate

pytestmark = pytest.mark.slow

REPLICATES = 600
LIMIT = 0.05 + 3 * math.sqrt(0.05 * 0.95 / REPLICATES)
CELLS = {
    f"{k}, {len(looks)} looks, {spread}, {name}": cell
    for k, looks, spread, name, cell in tables.null_cells()
    if (k, len(looks)) == (8, 4) and (spread == "equal" or name == "Pocock")
}


@pytest.mark.parametrize("name", CELLS)
def test_the_family_wise_error_and_the_intervals_hold_over_all_looks(name: str) -> None:
    found = simulate(CELLS[name], REPLICATES)
    assert found.false <= LIMIT
    assert found.covered >= 1 - LIMIT


@pytest.mark.parametrize("effects", tables.EFFECTS)
@pytest.mark.parametrize("name", tables.DESIGNS)
def test_variants_with_effects_bring_no_false_claims_of_the_others(effects: str, name: str) -> None:
    cell = Cell(tables._design((3, 5, 8, 12), name), tables.EFFECTS[effects])
    found = simulate(cell, REPLICATES // 4)
    limit = 0.05 + 3 * math.sqrt(0.05 * 0.95 * 4 / REPLICATES)
    assert found.false <= limit
    assert found.misplaced <= limit
    assert found.covered >= 1 - limit


def test_large_effects_cost_fewer_runs_at_the_power_of_a_fixed_design() -> None:
    cell = Cell(SequentialDesign((3, 5, 8, 12)), tables.EFFECTS["6, -5, 4, -3, 3, 2.5, two null"])
    found = simulate(cell, REPLICATES // 4)
    assert found.runs < 0.8
    assert found.detected[5] > detection_power(2.5, 8, 8)


@pytest.mark.parametrize("name", ["Pocock", "O'Brien-Fleming"])
def test_the_adjusted_estimate_is_nearly_without_bias(name: str) -> None:
    for effect in (1.0, 2.0, 3.0):
        cell = Cell(tables._design((3, 5, 8, 12), name), (effect,) * 4, estimates=True)
        found = simulate(cell, REPLICATES // 4)
        raw, adjusted = np.mean(found.raw) - effect, np.mean(found.adjusted) - effect
        assert abs(adjusted) < max(0.06, 0.6 * abs(raw))


def test_the_same_numbers_come_from_any_number_of_processes() -> None:
    cell = Cell(SequentialDesign((3, 5)), (0.0, 2.0))
    assert simulate(cell, 1200) == simulate(cell, 1200, processes=2)


def test_whole_studies_through_the_command_line_claim_what_is_true(tmp_path: Path) -> None:
    tally = studies.run_studies(6, tmp_path)
    assert tally.studies == 6
    assert tally.false <= 2  # three of six would come by chance in one of 500
    assert tally.detected[3.0] >= 4
    assert max(tally.runs) <= 7 * 12
