"""`ablate script`: from a real script with argparse to a study file, or one clear error."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablation.cli.main import main
from ablation.errors import UserError
from ablation.study.strict_yaml import parse
from ablation.tasks.script_options import ScriptOption, inspect_script, script_options

from .conftest import ROOT, Ablate

TRAIN = """\
import argparse
import helpers

parser = argparse.ArgumentParser()
parser.add_argument("--lr", "-l", type=float, default=0.1)
parser.add_argument("--weight-decay", type=float, default=1e-5)
parser.add_argument("--dropout", type=float, default=0.2)
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
parser.add_argument("--layers", type=int, nargs="+", default=[64, 64])
parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True)
parser.add_argument("--nesterov", action="store_true")
parser.add_argument("--no-bn", dest="bn", action="store_false")
parser.add_argument("--warmup", type=int)
parser.add_argument("--tag", default="yes: # no")
parser.add_argument("--note", action="append", default=["x"])
parser.add_argument("-v", action="count", default=0)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
open("trained", "w").write("this must not happen")
"""

Script = Callable[..., Path]
Command = Callable[..., Any]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Writes a script into the test's folder, which becomes the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "helpers.py").write_text("")

    def write(text: str = TRAIN, name: str = "train.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `ablate script train.py ARGUMENTS...`: the study that it writes, or what standard error says."""

    def call(*arguments: str) -> Any:
        code = main(["script", "train.py", "--metric", "val_accuracy", *arguments])
        printed = capsys.readouterr()
        assert code in (0, 1)
        return parse(Path("study.yaml").read_text(), "study.yaml").value if code == 0 else printed.err

    return call


def test_a_module_that_claims_a_file_which_is_not_there_is_no_code_of_the_script(
    script: Script, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "helpers.py").write_text("import sys, types\nsys.modules['ops'] = types.ModuleType('ops')\n")
    script(TRAIN.replace("import helpers", "import helpers, ops; ops.__file__ = 'ops.py'"))  # as torch.ops does
    assert command("--vary", "lr=0.2")["task"]["code"] == ["train.py", "helpers.py"]


def test_the_study_has_the_defaults_as_its_baseline(script: Script, ablate: Ablate, tmp_path: Path) -> None:
    script()
    result = ablate("script", "train.py", "--vary", "dropout=0,0.5", "--vary", "amp=false", "--metric", "val_accuracy")
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "study.yaml").read_text()
    assert parse(text, "study.yaml").value == {
        "study": "train",
        "task": {
            "command": "python train.py {args}",
            "pass": "argparse",
            "seed": "--seed",
            "code": ["train.py", "helpers.py"],
            "smoke": {"epochs": 1},
        },
        "metrics": {"val_accuracy": {"direction": "higher", "unit": "share"}},
        "baseline": {
            "lr": 0.1,
            "weight-decay": 1e-5,
            "dropout": 0.2,
            "epochs": 30,
            "optimizer": "sgd",
            "layers": [64, 64],
            "amp": True,
            "tag": "yes: # no",
        },
        "seeds": 5,
        "vary": {"dropout": [0.0, 0.5], "amp": [False]},
    }
    assert not (tmp_path / "trained").exists()
    assert "next: ablate run study.yaml" in result.stdout
    for line in (
        "--seed sets the seed",
        "more of val_accuracy is better",
        "epochs to 1",
        "give them: --note, -v",
        "defaults: nesterov, no-bn",
    ):
        assert line in result.stdout
        assert line in text


def test_values_are_those_that_the_parser_makes_of_them(script: Script, command: Command) -> None:
    script()
    found = command(
        "--vary", "l=1,1e-2", "--vary", "layers=32,32 32 32", "--vary", "warmup=5,10", "--vary", "no-bn=true"
    )
    assert found["vary"] == {"lr": [1.0, 0.01], "layers": [[32], [32, 32, 32]], "warmup": [10], "no-bn": [True]}
    assert found["baseline"]["warmup"] == 5


def test_a_value_that_equals_the_default_is_the_baseline(script: Script, command: Command) -> None:
    script()
    assert command("--vary", "lr=0.1,0.01,1e-2")["vary"] == {"lr": [0.01]}


def test_arguments_after_two_dashes_are_fixed(script: Script, command: Command) -> None:
    script()
    found = command("--vary", "lr=1", "--seeds", "3", "--", "--epochs", "5", "--drop=0.3", "--tag", "a b")
    assert found["task"]["command"] == "python train.py --epochs 5 --drop=0.3 --tag 'a b' {args}"
    assert "smoke" not in found["task"]
    assert not {"epochs", "dropout", "tag"} & found["baseline"].keys()
    assert found["seeds"] == 3


def test_direction_and_seed_option_can_be_named(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script(TRAIN.replace("--seed", "--rng"))
    words = ["script", "train.py", "--vary", "lr=1", "--metric", "score", "--seed-option", "--rng"]
    assert main([*words, "--direction", "lower", "--output", "other.yaml"]) == 0
    found = parse(Path("other.yaml").read_text(), "other.yaml").value
    assert (found["task"]["seed"], found["metrics"]) == ("--rng", {"score": {"direction": "lower"}})
    assert "next: ablate run other.yaml" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--vary", "drop_out=0"], "train.py has no option --drop_out\ndid you mean 'dropout'?"),
        (["--vary", "lr=fast"], "train.py rejects --lr fast: invalid float value: 'fast'"),
        (["--vary", "optimizer=adamw"], "its values: sgd, adam"),
        (["--vary", "amp=1"], "--amp is a flag and cannot be '1'\nwrite true or false"),
        (["--vary", "lr=0.1"], "there is nothing to compare with the baseline, which has 0.1"),
        (["--vary", "lr"], "'lr' is not OPTION=VALUE,...; write it as dropout=0,0.5"),
        (["--vary", "amp=false", "--vary", "nesterov=true"], "--nesterov cannot be negated, and --amp must be"),
        (["--vary", "note=a"], "the option --note of train.py cannot be varied"),
        (["--vary", "seed=1"], "this is the seed, which is never varied"),
        (["--vary", "lr=1", "--", "--lr", "2"], "--lr is both varied and fixed after --"),
        (["--vary", "lr=1", "--", "--seed", "2"], "the seed of train.py is fixed by --seed"),
        (["--vary", "lr=1", "--", "--epochs", "many"], "rejects its arguments: argument --epochs: invalid int value"),
        (["--vary", "lr=1", "--", "data"], "rejects its arguments: unrecognized arguments: data"),
        (["--vary", "lr=1", "--seed-option", "--sed"], "train.py has no option --sed\ndid you mean 'seed'?"),
        (["--vary", "lr=1", "--metric", "score"], "whether more or less of score is better is not known"),
    ],
)
def test_what_cannot_be_a_study_is_one_error(
    script: Script, command: Command, arguments: list[str], error: str
) -> None:
    script()
    assert error in command(*arguments)
    assert not Path("study.yaml").exists()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("print('trained')", "train.py parses no options with argparse"),
        (TRAIN.replace("helpers", "torchy"), "ModuleNotFoundError: No module named 'torchy'"),
        (TRAIN.replace('"--seed"', '"--rng"'), "no option of train.py is known to set its seed"),
        (TRAIN.replace('"--tag"', '"--data", required=True'), "arguments are required: --data"),
        (TRAIN.replace('"--tag"', '"data"'), "arguments are required: data"),
    ],
)
def test_what_the_script_lacks_is_one_error(script: Script, command: Command, text: str, error: str) -> None:
    script(text)
    assert error in command("--vary", "lr=1")
    assert not Path("study.yaml").exists()


def test_a_file_that_exists_is_not_replaced(script: Script, command: Command) -> None:
    script()
    Path("study.yaml").write_text("mine")
    assert "study.yaml exists already" in command("--vary", "lr=1")
    assert Path("study.yaml").read_text() == "mine"


def test_a_script_that_does_not_exist_is_an_error(script: Script, command: Command) -> None:
    assert "no script at train.py" in command("--vary", "lr=1")


def test_a_script_that_never_parses_is_ended(script: Script, tmp_path: Path) -> None:
    script("import time\ntime.sleep(60)")
    with pytest.raises(UserError, match=r"did not parse its options with argparse within 0\.5 seconds"):
        inspect_script(["train.py"], tmp_path, limit=0.5)


def test_options_of_a_script_in_a_folder_of_its_own(script: Script, tmp_path: Path) -> None:
    text = """\
    import near
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int)
    parser.parse_known_args()
    """
    script(text, "src/train.py")
    (tmp_path / "src" / "near.py").write_text("")
    assert script_options(["src/train.py"], tmp_path) == [ScriptOption(("--n",), "n", type="int")]
    assert inspect_script(["src/train.py"], tmp_path).files == ("src/near.py", "src/train.py")


def test_a_module_in_the_working_folder_is_executed_only_if_the_script_finds_it(script: Script, tmp_path: Path) -> None:
    for name in ("argparse", "json", "runpy", "near"):
        (tmp_path / f"{name}.py").write_text(f"open({name!r} + '.txt', 'w')\nraise SystemExit(1)\n")
    text = """\
    import near
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int)
    parser.parse_args()
    """
    script(text, "src/train.py")
    (tmp_path / "src" / "near.py").write_text("")
    assert inspect_script(["src/train.py"], tmp_path).files == ("src/near.py", "src/train.py")
    assert not list(tmp_path.glob("*.txt"))


def test_options_of_a_subcommand_and_of_a_module(script: Script, tmp_path: Path) -> None:
    text = """\
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", type=int, default=1)
    commands = parser.add_subparsers()
    for name in ("fit", "test"):
        commands.add_parser(name).add_argument(f"--{name}-lr", type=float, default=0.5)
    parser.parse_args()
    """
    script(text, "pkg/train.py")
    found = script_options(["-m", "pkg.train", "fit"], tmp_path)
    assert [(option.name, option.default) for option in found] == [("all", 1), ("fit-lr", 0.5)]


def test_a_pair_of_flags_is_one_option(script: Script, tmp_path: Path) -> None:
    script(
        """\
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--bias", action="store_true", default=True)
        parser.add_argument("--no-bias", dest="bias", action="store_false")
        parser.parse_args()
        """
    )
    (option,) = script_options(["train.py"], tmp_path)
    assert (option.name, option.is_flag, option.negatable, option.default) == ("bias", True, True, True)


def test_a_parser_of_a_library_is_not_that_of_the_script(script: Script, tmp_path: Path) -> None:
    script(
        """\
        import argparse
        other = argparse.ArgumentParser()
        other.add_argument("--other")
        assert other.parse_args(["--other", "1"]).other == "1"
        parser = argparse.ArgumentParser()
        parser.add_argument("--own")
        parser.parse_args()
        """
    )
    assert [option.name for option in script_options(["train.py"], tmp_path)] == ["own"]


DIGITS = ROOT / "tests" / "scripts" / "logistic.py"


@pytest.mark.slow
def test_from_a_script_to_a_report(ablate: Ablate, tmp_path: Path) -> None:
    shutil.copy(DIGITS, tmp_path / "logistic.py")
    words = ("--vary", "weight-decay=0,0.1", "--vary", "shuffle=false", "--metric", "val_accuracy", "--seeds", "3")
    assert ablate("script", "logistic.py", *words, "--", "--epochs", "3").returncode == 0
    trained = ablate("run", "study.yaml")
    assert "12 runs trained" in trained.stdout, trained.stdout + trained.stderr
    reported = ablate("report")
    assert reported.returncode == 0, reported.stderr
    text = (tmp_path / "reports" / "logistic" / "report.md").read_text(encoding="utf-8")
    for variant in ("weight-decay=0", "weight-decay=0.1", "shuffle=off"):
        assert variant in text
