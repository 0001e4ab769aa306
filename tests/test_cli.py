"""The command line, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablation.cli.main import build_parser

from .conftest import ROOT, Ablate

COMMANDS = (
    "run",
    "plan",
    "validate",
    "audit",
    "status",
    "test",
    "report",
    "verdict",
    "noise",
    "import",
    "init",
    "watch",
    "completion",
    "export",
    "show",
    "diff",
    "verify",
    "du",
    "rm",
    "script",
    "list",
    "schema",
    "doctor",
)


def test_every_command_has_help_and_stands_in_the_overview() -> None:
    overview = (ROOT / "docs" / "overview.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"ablate {command}" in overview
        with pytest.raises(SystemExit) as end:
            build_parser().parse_args([command, "--help"])
        assert end.value.code == 0


def test_list_shows_what_a_study_may_name(ablate: Ablate) -> None:
    result = ablate("list", "models")
    assert result.returncode == 0
    assert "resnet18" in result.stdout
    assert "digits" not in result.stdout


def test_list_of_something_unknown_suggests_the_nearest(ablate: Ablate) -> None:
    result = ablate("list", "model")
    assert result.returncode == 1
    assert "did you mean 'models'?" in result.stderr


def test_schema_is_json_schema(ablate: Ablate) -> None:
    schema = json.loads(ablate("schema").stdout)
    assert schema["type"] == "object"
    assert "baseline" in schema["required"]


def test_validate_counts_the_runs(ablate: Ablate, study_file) -> None:  # type: ignore[no-untyped-def]
    result = ablate("validate", study_file().name)
    assert result.returncode == 0
    assert result.stdout.strip() == "tiny.yaml: valid; 3 variants x 2 seeds = 6 runs"


def test_plan_shows_sizes_and_what_is_done(ablate: Ablate, study_file) -> None:  # type: ignore[no-untyped-def]
    result = ablate("plan", study_file().name)
    assert result.returncode == 0
    assert "3 variants x 2 seeds = 6 runs, 0 finished" in result.stdout
    assert "model.norm: none" in result.stdout
    # LeNet-5 on 8x8 digits with one hidden layer of 16, counted by hand: 156 + 2416 + 44 of the norms + 1040 + 170
    assert "3,826" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "report"])
def test_before_anything_was_run_the_way_to_begin_is_told(command: str, ablate: Ablate) -> None:
    result = ablate(command)
    assert result.returncode == 1
    assert "start with: ablate run" in result.stderr


@pytest.mark.parametrize(("seeds", "count"), [("0,1,2", 3), ("0-4", 5), ("7", 1)])
def test_seeds_can_be_listed_or_given_as_a_range(seeds: str, count: int, ablate: Ablate, study_file) -> None:  # type: ignore[no-untyped-def]
    result = ablate("validate", study_file().name, "--seeds", seeds)
    assert f"3 variants x {count} seed{'' if count == 1 else 's'} =" in result.stdout


def test_an_unknown_variant_is_refused_with_the_nearest_name(ablate: Ablate, study_file) -> None:  # type: ignore[no-untyped-def]
    result = ablate("run", study_file().name, "--only", "norm=nono")
    assert result.returncode == 1
    assert "did you mean 'norm=none'?" in result.stderr


@pytest.mark.slow
def test_a_device_that_is_not_here_is_refused(ablate: Ablate, study_file) -> None:  # type: ignore[no-untyped-def]
    result = ablate("run", study_file().name, "--device", "cuda:7")
    assert result.returncode == 1
    assert "this machine has no cuda:7" in result.stderr


def test_the_tool_shows_no_traceback_for_a_results_folder_that_is_a_file(ablate: Ablate, study_file) -> None:  # type: ignore[no-untyped-def]
    path = study_file()
    (path.parent / "results").write_text("in the way")
    result = ablate("run", path.name)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "results" in result.stderr


def test_status_shows_every_run(trained: Path) -> None:
    import subprocess

    from .conftest import ABLATE

    result = subprocess.run([*ABLATE, "status"], cwd=trained, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "6 finished"
    assert result.stdout.count("%") == 6
