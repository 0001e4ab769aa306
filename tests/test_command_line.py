"""What a user sees of wrong arguments, of smoke runs, of a plain terminal, and of two studies with one name."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ablation._util.files import write_json
from ablation.cli.console import PlainConsole
from ablation.cli.live import TerminalProgress
from ablation.cli.main import main
from ablation.execution.study import plan_study
from ablation.storage.store import read_json
from ablation.study.load import load_study
from ablation.worker.protocol import Started

from .conftest import ABLATE, TERMINAL, TINY

WRONG = {
    "no command": ([], "COMMAND is missing", "see ablate --help"),
    "a misspelt command": (["rum", "x.yaml"], "unknown command 'rum'", "did you mean 'run'?"),
    "a study file instead of a command": (["x.yaml"], "unknown command 'x.yaml'", "did you mean: ablate run x.yaml"),
    "no study file": (["run"], "STUDY.yaml is missing", "see ablate run --help"),
    "a misspelt option": (["run", "x", "--sede", "0"], "ablate run has no option --sede", "did you mean '--seeds'?"),
    "an option cut short": (["run", "x", "--seed", "5"], "ablate run has no option --seed", "did you mean '--seeds'?"),
    "an option of another command": (["status", "--smoke"], "ablate status has no option --smoke", "known: --help"),
    "an argument too many": (["run", "x", "y"], "unexpected argument 'y'", "quote a name that has spaces"),
    "an option of a script too many": (
        ["script", "t.py", "--metric", "loss", "--vary", "lr=1,2", "hidden=8"],
        "unexpected argument 'hidden=8'",
        "each option needs its own --vary: --vary hidden=8",
    ),
    "an option without its value": (["run", "x", "--seeds"], "--seeds needs a value", "see ablate run --help"),
    "a wrong number of workers": (["run", "x", "--per-device", "x"], "--per-device: 'x' is not a whole", "or auto"),
    "a wrong number of threads": (["run", "x", "--threads", "1.5"], "--threads: '1.5' is not a whole number", ""),
    "a wrong time": (["run", "x", "--hang-after", "soon"], "--hang-after: 'soon' is not a number", "or never"),
    "a wrong backend": (["run", "x", "--backend", "rai"], "--backend rai", "did you mean 'ray'?"),
    "no seeds": (["run", "x", "--seeds", "x"], "--seeds: 'x' is not a list of seeds", "write 0,1,2 or 0-4"),
    "half a range": (["run", "x", "--seeds", "0-"], "--seeds: '0-' is not a list of seeds", "write 0,1,2 or 0-4"),
    "a range from its end": (["run", "x", "--seeds", "4-0"], "the range 4-0 ends before it starts", "write 0-4"),
    "too many seeds": (["run", "x", "--seeds", "0-100000000000"], "100,000,000,001 seeds", "the limit is 100,000"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_command_line_is_one_error_with_a_hint_and_exit_code_1(
    mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message, hint = WRONG[mistake]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert len(printed.err.splitlines()) == 2
    assert message in printed.err
    assert hint in printed.err


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ABLATE, *arguments],
        cwd=folder,
        env={**os.environ, **TERMINAL, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture(scope="module")
def smoked(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a whole study and then its smoke run, made on a terminal of ASCII; and what that printed."""
    folder = tmp_path_factory.mktemp("smoked")
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    result = command(folder, "run", "tiny.yaml", "--smoke", "--seeds", "0", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


@pytest.mark.slow
def test_a_terminal_of_ascii_sees_all_runs_trained(smoked: tuple[Path, str]) -> None:
    assert "3/3  " in smoked[1]
    assert "baseline - seed 0: validation" in smoked[1]
    assert "3 runs trained in" in smoked[1]


@pytest.mark.parametrize("arguments", [["status", "tiny"], ["list"], ["validate", "tiny.yaml"]])
def test_no_command_fails_for_the_encoding_of_the_terminal(arguments: list[str], smoked: tuple[Path, str]) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    result = command(smoked[0], *arguments, **plain)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


def test_a_smoke_run_is_marked_and_the_study_taken_by_default_is_named(smoked: tuple[Path, str]) -> None:
    folder, printed = smoked
    assert printed.startswith("tiny-smoke: 3 variants x 1 seed, 0 of 3 runs finished\nsmoke run:")
    default = command(folder, "status")
    assert default.stderr == "most recent study: tiny-smoke (smoke run: its numbers are meaningless)\n"
    assert default.stdout.splitlines()[:2] == [
        "tiny-smoke: tiny",
        "smoke run: a tiny subset of the data, its numbers are meaningless",
    ]
    named = command(folder, "status", "tiny")
    assert named.stderr == ""
    assert named.stdout.splitlines()[0] == "tiny"
    assert "smoke" not in named.stdout


def test_plan_and_validate_mark_a_smoke_run(
    smoked: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(smoked[0])
    assert main(["plan", "tiny.yaml", "--smoke"]) == 0
    plan = capsys.readouterr().out.splitlines()
    assert plan[:2] == ["tiny-smoke: tiny", "smoke run: a tiny subset of the data, its numbers are meaningless"]
    assert main(["validate", "tiny.yaml", "--smoke"]) == 0
    assert capsys.readouterr().out.strip().endswith("= 6 runs (smoke run)")


@pytest.mark.slow
def test_report_opens_the_page_where_that_is_asked(smoked: tuple[Path, str]) -> None:
    browser = smoked[0] / "browser.sh"
    browser.write_text('#!/bin/sh\nprintf %s "$1" > opened.txt\n', encoding="utf-8")
    browser.chmod(0o755)
    result = command(smoked[0], "report", "--open", BROWSER=f"{browser} %s")
    assert result.returncode == 0, result.stderr
    assert (smoked[0] / "opened.txt").read_text() == (smoked[0] / "reports/tiny-smoke/report.html").resolve().as_uri()


@pytest.mark.slow
def test_report_without_a_name_says_which_study_it_is_of(smoked: tuple[Path, str]) -> None:
    result = command(smoked[0], "report")
    assert result.stderr == "most recent study: tiny-smoke (smoke run: its numbers are meaningless)\n"
    assert result.stdout.splitlines()[0] == "reports/tiny-smoke/report.html"


@pytest.fixture
def finished(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with the finished tiny study, and the working folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_second_file_with_the_name_of_a_study_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "tiny.yaml"]) == 0
    stored = (finished / "results" / "studies" / "tiny" / "study.json").read_bytes()
    (finished / "other.yaml").write_text(TINY.replace("0.05", "0.06"))
    assert main(["run", "other.yaml"]) == 1
    error = capsys.readouterr().err
    assert f"two study files are named 'tiny': {finished / 'tiny.yaml'} was run before other.yaml" in error
    assert "give one of them another name" in error
    assert (finished / "results" / "studies" / "tiny" / "study.json").read_bytes() == stored


@pytest.mark.parametrize("what", ["edited", "moved", "copied", "renamed and replaced"])
def test_the_same_study_goes_on(what: str, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "tiny.yaml"]) == 0
    first, file = finished / "tiny.yaml", "tiny.yaml"
    if what == "edited":
        first.write_text(TINY.replace("  model.norm: [none]\n", ""))
    elif what == "moved":
        (finished / "studies").mkdir()
        first.rename(finished / "studies" / "tiny.yaml")
        file = "studies/tiny.yaml"
    elif what == "copied":
        (finished / "copy.yaml").write_text(TINY)
        file = "copy.yaml"
    else:
        first.write_text(TINY.replace("study: tiny", "study: older"))
        (finished / "new.yaml").write_text(TINY + "title: new\n")
        file = "new.yaml"
    assert main(["run", file]) == 0
    assert "nothing left to train" in capsys.readouterr().out


def test_two_names_with_one_folder_are_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (finished / "a.yaml").write_text(TINY.replace("study: tiny", "study: a b"))
    assert main(["run", "a.yaml"]) == 0
    (folder,) = (path.name for path in (finished / "results" / "studies").iterdir() if path.name != "tiny")
    (finished / "b.yaml").write_text(TINY.replace("study: tiny", f"study: {folder}"))
    assert main(["run", "b.yaml"]) == 1
    assert f"the study '{folder}' would replace 'a b': both have the folder {folder}/" in capsys.readouterr().err


def test_a_manifest_of_before_files_were_recorded_is_still_read(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = finished / "results" / "studies" / "tiny" / "study.json"
    values = read_json(path)
    del values["file"], values["sha256"]
    write_json(path, values)
    assert main(["status"]) == 0
    assert main(["run", "tiny.yaml"]) == 0
    assert read_json(path)["file"] == "../tiny.yaml"


def test_after_only_the_rest_of_the_study_is_what_comes_next(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "tiny.yaml").write_text(TINY.replace("[0.0]", "[0.0, 0.5]"))
    assert main(["run", "tiny.yaml", "--only", "baseline"]) == 0
    printed = capsys.readouterr().out
    assert "nothing left to train; 2 runs of the study are not finished: leave out --only to train the rest" in printed
    assert "ablate report" not in printed


def test_after_a_run_the_report_is_what_comes_next(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (finished / "results").rename(finished / "my runs")
    assert main(["run", "tiny.yaml", "--results", "my runs"]) == 0
    assert "next: ablate report --results 'my runs'" in capsys.readouterr().out


def test_one_is_not_told_as_many(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "tiny.yaml", "--seeds", "0", "--set", "train.epochs=1"]) == 0
    assert "3 variants x 1 seed = 3 runs, 0 finished" in capsys.readouterr().out
    (run, *_) = (finished / "results" / "runs").iterdir()
    (run / "run.json").unlink()
    assert main(["test", "tiny"]) == 1
    assert "1 of 6 runs of 'tiny' is not finished" in capsys.readouterr().err


def test_before_its_first_epoch_a_run_shows_how_many_it_will_have(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    run = plan_study(load_study(tmp_path / "tiny.yaml")).runs[0]
    held = replace(run, recipe=run.recipe.model_copy(update={"train": run.recipe.train.model_copy(
        update={"epochs": None, "steps": 50})}))  # fmt: skip
    for own, shown in ((run, "0/3"), (held, "–")):
        console = PlainConsole(stderr=False, width=150)
        console.file = io.StringIO()
        progress = TerminalProgress(console=console)
        with progress.training("tiny", [own], 5, 1):
            progress.event(Started(own, "cpu"))
        console.print(progress._render())
        assert shown in console.file.getvalue()
        assert "?" not in console.file.getvalue()


def test_a_study_whose_data_are_elsewhere_is_valid_and_can_be_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = TINY.replace("{name: digits,", "{name: image_folder, path: data/images, size: 8,")
    Path("images.yaml").write_text(text)
    assert main(["validate", "images.yaml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "images.yaml: valid; 3 variants x 2 seeds = 6 runs",
        "but its data are not here: no folder or zip file at 'data/images'",
    ]
    assert main(["plan", "images.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "model.norm: none" in printed
    assert "6 runs; the data are not here: no folder or zip file at 'data/images'" in printed
    assert main(["run", "images.yaml"]) == 1
    assert "images.yaml:3:36: no folder or zip file at 'data/images'" in capsys.readouterr().err
    assert not Path("results").exists()


def test_weights_that_are_elsewhere_leave_the_sizes_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tuned.yaml").write_text(TINY.replace("dropout: 0.1", "dropout: 0.1, weights: results/runs/x/best.pt"))
    assert main(["plan", "tuned.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "3,826" in printed
    assert "the data are not here: no checkpoint at 'results/runs/x/best.pt'" in printed


def test_where_nothing_was_run_no_file_is_invented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 1
    assert capsys.readouterr().err.splitlines()[1] == "start with: ablate run STUDY.yaml"


@pytest.mark.parametrize("kind", ["pipe", "folder", "30 GB"])
def test_an_interpretation_that_is_no_small_file_is_refused(
    kind: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = finished / "reports" / "tiny" / "interpretation.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(30 * 10**9)
    assert main(["report", "tiny"]) == 1
    error = capsys.readouterr().err
    assert "interpretation.md" in error
    assert ("the limit is 1,000,000" in error) or ("not a file" in error)
