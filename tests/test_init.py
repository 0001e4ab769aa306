"""`ablate init`: from what a user has to a study file that is valid, teaches, and trains."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablation.cli.main import main
from ablation.study.load import load_study

from .conftest import ABLATE, Ablate
from .test_script import TRAIN

Init = Callable[..., str]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Init:
    """Runs `ablate init ARGUMENTS...` in the test's folder: what it prints, or its error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if not (Path(each) / "train.py").exists()])
    monkeypatch.delitem(sys.modules, "train", raising=False)  # that of another test

    def call(*arguments: str) -> str:
        code = main(["init", *arguments])
        printed = capsys.readouterr()
        assert (code, bool(printed.err)) in ((0, False), (1, True)), printed
        return printed.err or printed.out

    return call


def images(folder: Path, counts: dict[str, int], size: tuple[int, int] = (40, 36)) -> None:
    generator = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / "train" / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "train" / name / f"{number}.png")


def uncommented(text: str) -> str:
    """The file with the lines of its last part as a user gets them by removing the # in front."""
    head, mark, tail = text.partition("# What to try next")
    return head + mark + re.sub(r"^#( +)?(?=\S)", lambda m: "  " if m[1] == "  " else "", tail, flags=re.MULTILINE)


def test_a_data_set_becomes_a_study_of_the_usual_changes(init: Init, tmp_path: Path) -> None:
    printed = init("--data", "digits")
    assert "wrote digits.yaml: 7 variants x 5 seeds = 35 runs" in printed
    assert [line.split("  #")[0].strip() for line in printed.splitlines()[-2:]] == [
        "ablate run digits.yaml --smoke",
        "ablate run digits.yaml",
    ]
    study = load_study(tmp_path / "digits.yaml")
    names = ["baseline", "dropout=0.2", "dropout=0.5", "norm=batch", "schedule=cosine"]
    names += ["fraction=0.25", "fraction=0.5"]
    assert [variant.name for variant in study.variants] == names
    assert study.title == "What do dropout, normalisation, learning-rate decay and data fraction do for lenet5?"
    assert study.seeds == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("data", ["digits", "cifar100"])
@pytest.mark.parametrize("model", ["lenet5", "vgg13", "resnet34", "torchvision:resnet18"])
def test_every_line_to_try_next_is_valid(init: Init, tmp_path: Path, data: str, model: str) -> None:
    printed = init("--data", data, "--model", model)
    if model == "vgg13" and not data.startswith("cifar"):
        assert "vgg13 needs images of at least 32x32 pixels" in printed
        return
    text = (tmp_path / f"{data}.yaml").read_text(encoding="utf-8")
    (tmp_path / "more.yaml").write_text(uncommented(text), encoding="utf-8")
    more = load_study(tmp_path / "more.yaml", need_data=False)
    assert len(more.variants) > len(load_study(tmp_path / f"{data}.yaml", need_data=False).variants) + 3
    assert more.analysis.margin == 0.01


def test_a_folder_of_images_is_looked_at_and_described(init: Init, tmp_path: Path) -> None:
    images(tmp_path / "data" / "flowers", {"daisy": 6, "rose": 4})
    printed = init("--images", "data/flowers", "--model", "resnet18", "--vary", "augment", "--seeds", "3")
    facts = "data/flowers: 10 training images, 4 to 6 in each of 2 classes, 40 x 36 pixels"
    assert facts in printed
    text = (tmp_path / "flowers.yaml").read_text(encoding="utf-8")
    assert text.startswith(
        "# Written by: ablate init --images data/flowers --model resnet18 --vary augment --seeds 3\n"
    )
    assert f"# {facts}\n" in text
    assert "size: 32" in text
    study = load_study(tmp_path / "flowers.yaml")
    assert [variant.name for variant in study.variants][1:] == ["augment=crop+flip"]
    assert study.baseline.image_recipe.model.name == "resnet18"


def test_large_images_keep_more_pixels_and_get_a_larger_network(init: Init, tmp_path: Path) -> None:
    images(tmp_path / "large", {"a": 2, "b": 2}, (90, 70))
    init("--images", "large")
    recipe = load_study(tmp_path / "large.yaml").baseline.image_recipe
    assert (recipe.data.image_shape(), recipe.model.name) == ((3, 64, 64), "resnet9")


def test_folders_of_classes_without_train_around_them_are_an_error_that_says_where_to_move_them(
    init: Init, tmp_path: Path
) -> None:
    images(tmp_path / "flowers", {"daisy": 2, "rose": 2})
    (tmp_path / "flowers" / "train").rename(tmp_path / "own")
    error = init("--images", "own")
    assert "own has the folders of classes (daisy, rose, ...), but no train/ around them" in error
    assert "move them into own/train/" in error
    assert not list(tmp_path.glob("*.yaml"))


def test_an_image_that_is_none_is_named(init: Init, tmp_path: Path) -> None:
    images(tmp_path / "own", {"a": 2, "b": 2})
    (tmp_path / "own" / "train" / "a" / "0.png").write_bytes(b"text")
    assert "train/a/0.png cannot be read as an image" in init("--images", "own")


def test_changes_are_given_by_name_or_with_values(init: Init, tmp_path: Path) -> None:
    init("--data", "digits", "--vary", "dropout=0,0.1", "--vary", "augment=[],[crop]", "--vary", "optimizer.lr=0.01")
    names = [variant.name for variant in load_study(tmp_path / "digits.yaml").variants]
    assert names == ["baseline", "dropout=0.1", "augment=crop", "lr=0.01"]


def test_where_the_schema_is_installed_the_file_names_it_for_editors(init: Init, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / ".vscode").mkdir()
    (tmp_path / ".vscode" / "study.schema.json").write_text("{}")
    init("--data", "digits")
    init("--data", "digits", "--output", "studies/digits.yaml")
    for name, line in (("digits.yaml", "./.vscode"), ("studies/digits.yaml", "../.vscode")):
        first = (tmp_path / name).read_text().splitlines()[0]
        assert first == f"# yaml-language-server: $schema={line}/study.schema.json"


WRONG = {
    "no terminal": ([], "what is trained? there is no terminal to ask in", "add --data digits"),
    "two sources": (["--data", "digits", "--script", "x.py"], "not allowed with", "see ablate init --help"),
    "an unknown data set": (["--data", "digit"], "unknown data set 'digit'", "did you mean 'digits'?"),
    "an unknown model": (["--data", "digits", "--model", "lenet"], "unknown model 'lenet'", "'lenet5'"),
    "an unknown change": (["--data", "digits", "--vary", "dropuot"], "--vary dropuot: which values?", "dropout, norm"),
    "an unknown option": (["--data", "digits", "--vary", "dropuot=1"], "unknown option 'dropuot'", "model.dropout"),
    "a value that is none": (["--data", "digits", "--vary", "dropout=2"], "model.dropout is 2", "below 1"),
    "nothing to compare": (["--data", "digits", "--vary", "dropout=0"], "nothing to compare", "add other values"),
    "a change given twice": (["--data", "digits", "--vary", "lr", "--vary", "lr"], "twice", "all values together"),
    "a metric of images": (["--data", "digits", "--metric", "loss"], "--metric: not for --data", "for --script"),
    "no folder": (["--images", "nowhere"], "nowhere does not exist", "the folder that holds train/"),
    "no changes of a script": (["--script", "train.py"], "--script needs --vary", "dropout=0,0.5"),
    "no script": (["--script", "x.py", "--vary", "a=1", "--metric", "loss"], "no script at x.py", "path of a Python"),
    "no function": (["--function", "train"], "'train' does not name a function", "train:main"),
    "a metric of a new function": (["--function", "new:main", "--metric", "loss"], "no new.py yet", "leave out"),
    "no folder for it": (["--data", "digits", "--output", "no/x.yaml"], "there is no folder no", "make it first"),
    "no name of a study": (["--data", "digits", "--output", "x.txt"], "x.txt is no name of a study file", ".yaml"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_one_error_and_nothing_is_written(init: Init, tmp_path: Path, mistake: str) -> None:
    arguments, message, hint = WRONG[mistake]
    error = init(*arguments)
    assert error.startswith("error: ")
    assert message in error
    assert hint in error
    assert list(tmp_path.iterdir()) == []


def test_a_study_is_replaced_only_when_told(init: Init, tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text("mine")
    assert "digits.yaml exists already" in init("--data", "digits")
    assert (tmp_path / "digits.yaml").read_text() == "mine"
    assert "wrote digits.yaml" in init("--data", "digits", "--force")
    assert load_study(tmp_path / "digits.yaml").name == "digits"


def test_a_script_becomes_the_study_that_script_writes_with_comments(init: Init, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "helpers.py").touch()
    words = ("train.py", "--vary", "dropout=0,0.5", "--metric", "val_accuracy")
    printed = init("--script", *words, "--", "--lr", "0.3")
    assert "wrote train.yaml: 3 variants x 5 seeds = 15 runs" in printed
    assert "ablate run train.yaml --smoke" in printed
    assert main(["script", *words, "--", "--lr", "0.3"]) == 0
    ours, plain = load_study(tmp_path / "train.yaml"), load_study(tmp_path / "study.yaml")
    assert (ours.variants, ours.task) == (plain.variants, plain.task)
    text = (tmp_path / "train.yaml").read_text()
    assert re.search(r"^vary: +# each value is one variant", text, re.MULTILINE)
    assert load_study(tmp_path / "train.yaml", smoke=True).smoke


FUNCTION = """\
def main(options, run):
    return {"val_loss": options["lr"] * options.get("decay", 0.5) + options["depth"]}
"""


def test_a_function_becomes_a_study_of_the_options_that_it_reads(init: Init, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(FUNCTION)
    words = ("--function", "own:main", "--metric", "val_loss", "--vary", "lr=0.1,0.5")
    error = init(*words)
    assert "own:main reads options whose values are not known: depth" in error
    assert "--set depth=VALUE" in error
    assert "wrote own.yaml: 2 variants" in init(*words, "--set", "depth=3")
    study = load_study(tmp_path / "own.yaml")
    assert study.baseline.recipe.flat() == {"lr": 0.1, "depth": 3, "decay": 0.5}
    words = ("--vary", "lr=1,2", "--metric", "loss", "--force")
    assert "own.py has no function mian" in init("--function", "own:mian", *words)
    assert "which metric does the function return?" in init("--function", "own:main", "--vary", "lr=1,2", "--force")


def test_a_function_that_is_not_there_is_written_next_to_its_study(init: Init, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    printed = init("--function", "train:fit", "--output", "studies/rings.yaml")
    assert "wrote studies/train.py and studies/rings.yaml" in printed
    assert load_study(tmp_path / "studies" / "rings.yaml").name == "rings"
    before = (tmp_path / "studies" / "train.py").read_text()
    assert "rings.yaml exists already" in init("--function", "train:fit", "--output", "studies/rings.yaml")
    assert (tmp_path / "studies" / "train.py").read_text() == before


@pytest.mark.slow
def test_what_is_written_trains_as_it_stands(ablate: Ablate, tmp_path: Path) -> None:
    images(tmp_path / "own", {"a": 30, "b": 30})
    for words in (["--data", "digits"], ["--images", "own"], ["--function", "train:main"]):
        assert ablate("init", *words).returncode == 0
    for name in ("digits", "own", "train"):
        done = ablate("run", f"{name}.yaml", "--smoke")
        assert done.returncode == 0, done.stdout + done.stderr
    done = ablate("run", "train.yaml")  # the example is worth a study: two rings can be told apart
    assert done.returncode == 0, done.stdout + done.stderr
    assert ablate("report", "train").returncode == 0
    assert "hidden=4" in (tmp_path / "reports" / "train" / "report.md").read_text(encoding="utf-8")


def typed(folder: Path, answers: Sequence[tuple[str, str]], *arguments: str) -> tuple[int, str]:
    """`ablate init` in a terminal: after each question its answer is typed. Its exit code and what it showed."""
    here, there = pty.openpty()
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    command = [*ABLATE, "init", *arguments]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=there, stdout=there, stderr=there)
    os.close(there)
    shown, place = "", 0
    waiting = list(answers)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        ready, _, _ = select.select([here], [], [], 0.2)
        try:
            shown += os.read(here, 4096).decode() if ready else ""
        except OSError:  # the terminal is closed
            break
        if waiting and waiting[0][0] in shown[place:]:
            place = len(shown)
            os.write(here, waiting.pop(0)[1].encode() + b"\n")
        if process.poll() is not None and not ready:
            break
    process.kill()
    code = process.wait()
    os.close(here)
    assert not waiting, (waiting, shown)
    return code, shown


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of Unix")
def test_in_a_terminal_it_asks_and_says_what_would_have_done_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "own", {"a": 2, "b": 2})
    answers = [
        ("What is trained?", "images"),
        ("Which folder or zip file?", "nowhere"),
        ("Which folder or zip file?", "own"),
        ("Which model?", ""),
        ("Which changes", "dropout,augment"),
        ("How many seeds?", "2"),
    ]
    code, shown = typed(tmp_path, answers)
    assert code == 0, shown
    assert "nowhere does not exist" in shown
    assert "ablate init --images own --model lenet5 --seeds 2 --vary dropout --vary augment" in shown
    assert load_study(Path("own.yaml")).seeds == (0, 1)


def test_in_a_terminal_a_script_is_asked_for_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "helpers.py").touch()
    answers = [
        ("What is trained?", "script"),
        ("Which script?", ""),
        ("What is varied", "dropout"),
        ("What is varied", "dropout=0,0.5"),
        ("Another one", ""),
        ("Which metric", "score"),
        ("Which way is better?", "higher"),
        ("How many seeds?", ""),
    ]
    code, shown = typed(tmp_path, answers)
    assert code == 0, shown
    assert "its options: lr (0.1), weight-decay" in shown
    assert [variant.name for variant in load_study(tmp_path / "train.yaml").variants][1:] == [
        "dropout=0",
        "dropout=0.5",
    ]
