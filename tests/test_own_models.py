"""Networks of the user's own: `model: {name: "my_models:SmallNet"}`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ablation.errors import FileError, UserError
from ablation.execution.study import plan_study
from ablation.study.custom_code import custom_parts, find
from ablation.study.load import load_study
from ablation.training.models.custom import own_network
from tests.conftest import Ablate

CODE = """\
from pathlib import Path
Path("imported").touch()

import torch
from torch import nn


class SmallNet(nn.Module):
    def __init__(self, classes, in_channels, width=8, dropout=0.0):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.Dropout(dropout))
        self.scale = nn.Parameter(torch.randn(width, 1, 1))
        self.head = nn.LazyLinear(classes)

    def forward(self, x):
        return self.head((self.scale * self.features(x)).flatten(1))
"""
STUDY = """\
study: own
baseline:
  data: {name: digits, validation: 0.2, limit: 200}
  model: {name: "my_models:SmallNet", options: {width: 8}}
  optimizer: {name: sgd, lr: 0.05}
  train: {epochs: 2, batch_size: 32}
seeds: [0]
vary:
  model.options.width: [4]
  model.options.dropout: [0.2]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_models.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "own.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def records(folder: Path) -> dict[str, Any]:
    """Variant -> its run.json."""
    manifest = json.loads((folder / "results" / "studies" / "own" / "study.json").read_text(encoding="utf-8"))
    runs = folder / "results" / "runs"
    return {v: json.loads((runs / own["0"] / "run.json").read_text("utf-8")) for v, own in manifest["folders"].items()}


@pytest.mark.slow
def test_a_network_of_ones_own_is_trained_tested_and_reported(ablate: Ablate, folder: Path) -> None:
    for command in (["validate", "own.yaml"], ["plan", "own.yaml"]):
        assert ablate(*command).returncode == 0
    assert not (folder / "imported").exists()
    first = ablate("run", "own.yaml", "--device", "cpu", "--per-device", "1")
    assert first.returncode == 0, first.stdout + first.stderr
    assert (folder / "imported").exists()
    assert first.stdout.count("the code of my_models:SmallNet is named by this study: training runs") == 1
    assert f"{folder / 'my_models.py'}, SHA-256 " in first.stdout
    found = records(folder)
    assert list(found) == ["baseline", "width=4", "dropout=0.2"]
    assert found["width=4"]["parameters"] < found["baseline"]["parameters"] == found["dropout=0.2"]["parameters"]
    assert "is named by this study" not in ablate("run", "own.yaml", "--device", "cpu").stdout
    (folder / "imported").unlink()
    assert ablate("status").returncode == ablate("report").returncode == 0
    assert "width 8 \u2192 4" in (folder / "reports" / "own" / "report.md").read_text(encoding="utf-8")
    assert not (folder / "imported").exists()
    assert ablate("test", "own", "--device", "cpu").returncode == 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_changed_code_is_trained_anew(ablate: Ablate, folder: Path) -> None:
    run = ("run", "own.yaml", "--device", "cpu", "--per-device", "1", "--only", "baseline", "--set", "train.epochs=1")
    assert ablate(*run).returncode == 0
    stored = {path.parent.name: path for path in (folder / "results" / "runs").glob("*/run.json")}
    assert len(stored) == 1
    with open(folder / "my_models.py", "a", encoding="utf-8") as file:
        file.write("\n# a comment that changes nothing\n")
    again = ablate(*run)
    assert "the code of my_models:SmallNet has changed, and is trained again" in again.stdout
    weights = [
        json.loads(path.read_text(encoding="utf-8"))["weights_sha256"]
        for path in (folder / "results" / "runs").glob("*/run.json")
    ]
    assert len(weights) == 2
    assert weights[0] == weights[1]


HELPED = CODE.replace("import torch\n", "import torch\nimport random\nfrom helpers import scale\n").replace(
    "torch.randn(", "scale * torch.randn("
)


@pytest.mark.slow
def test_modules_beside_a_custom_model_are_imported_kept_and_part_of_the_run(ablate: Ablate, folder: Path) -> None:
    """They never replace a module of the standard library or an installed one."""
    run = ("run", "own.yaml", "--device", "cpu", "--per-device", "1", "--only", "baseline")
    (folder / "my_models.py").write_text(HELPED, encoding="utf-8")
    (folder / "helpers.py").write_text("import json\nimport numbers_of_mine\nscale = numbers_of_mine.two\n", "utf-8")
    (folder / "numbers_of_mine.py").write_text("import numpy\ntwo = 2.0\n", "utf-8")
    for name in ("json", "numpy", "random"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported')\n", "utf-8")
    (folder / "own.yaml").write_text(STUDY.split("vary:")[0], encoding="utf-8")
    first = ablate(*run)
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"and {folder / 'helpers.py'}, SHA-256" in first.stdout
    assert f"and {folder / 'numbers_of_mine.py'}, SHA-256" in first.stdout
    assert {path.name for path in folder.glob("*.py")} == {path.name for path in folder.iterdir() if ".py" in path.name}
    assert "nothing left to train" in ablate(*run).stdout
    (folder / "numbers_of_mine.py").write_text("two = 3.0\n", "utf-8")
    assert "has changed, and is trained again" in ablate(*run).stdout
    (folder / "helpers.py").unlink()  # the test evaluates what was kept
    tested = ablate("test", "own", "--device", "cpu")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_without_modules_beside_it_the_identity_of_a_custom_model_is_that_of_its_file(folder: Path) -> None:
    code = find("my_models:SmallNet", folder)
    assert code.helpers == ()
    assert code.identity == code.sha256


FAULTY = {
    "raises": ("super().__init__()", "raise KeyError('boom')", ["fails at my_models.py:10: KeyError: 'boom'"]),
    "no such attribute": ("class SmallNet", "class Other", [": my_models.py has no 'SmallNet'", "known: Path, Other"]),
    "an unknown option": ("width=8, ", "", ["cannot be built: TypeError", "unexpected keyword argument 'width'"]),
    "other logits": ("nn.LazyLinear(classes)", "nn.LazyLinear(7)", ["returns (2, 7), not logits of the shape (2, 10)"]),
    "no module": ("class SmallNet(nn.Module)", "class SmallNet(dict)", ["not a torch.nn.Module"]),
    "no Python": ("class SmallNet(nn.Module):", "class SmallNet(", ["fails at my_models.py:8: SyntaxError"]),
    "exits": ("super().__init__()", "raise SystemExit(2)", ["fails at my_models.py:10: SystemExit: 2"]),
    "no such module": ("import torch\n", "import nowhere\n", ["fails at my_models.py:4: ModuleNotFoundError"]),
}


@pytest.mark.parametrize("what", FAULTY)
def test_a_fault_of_the_code_is_told_with_its_place(what: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    old, new, said = FAULTY[what]
    if what == "no module":
        new += ":\n    def __init__(self, **_): pass\nclass Rest(nn.Module)"
    (folder / "my_models.py").write_text(CODE.replace(old, new), encoding="utf-8")
    name = "my_models:SmallNet"
    with pytest.raises(UserError) as told:
        own_network(find(name, folder), name, {"width": 8}, (1, 8, 8), 10)
    for part in ("my_models:SmallNet", *(() if what == "no such attribute" else ["Traceback"]), *said):
        assert part in str(told.value)


@pytest.mark.slow
def test_a_fault_of_the_code_ends_the_command_before_anything_is_trained(ablate: Ablate, folder: Path) -> None:
    (folder / "my_models.py").write_text(CODE.replace("super().__init__()", "raise KeyError('boom')"), encoding="utf-8")
    result = ablate("run", "own.yaml", "--device", "cpu", "--per-device", "1")
    assert result.returncode == 1
    assert "error: my_models:SmallNet fails at my_models.py:10: KeyError: 'boom'" in result.stderr
    assert "raise KeyError('boom')" in result.stderr


MISTAKES = {
    "no such file": ("my_models:", "my_modles:", ["4:17: there is no my_modles.py in", "next to the study file"]),
    "no form": ("my_models:SmallNet", "my models:Net", ["4:17", "is named module:attribute", "my_models:SmallNet"]),
    "a path": ("my_models:SmallNet", "../x.py:Net", ["is named module:attribute"]),
    "an option of ours": ("options: {width: 8}", "norm: batch", ["has no option 'norm'", "as options: {norm: ...}"]),
    "two options of ours": ("options: {width: 8}", "kernel_size: 3", ["has no option 'kernel_size'"]),
    "what is given": ("{width: 8}", "{classes: 3}", ["'classes' is passed by ablate"]),
    "not a number": ("{width: 8}", "{width: .nan}", ["nan is not a finite number"]),
    "an option that is no keyword": ("{width: 8}", "{a b: 1}", ["'a b' is not a keyword name"]),
    "options of a network of ours": ('"my_models:SmallNet"', "lenet5", ["lenet5 has no option 'options'"]),
    "a rate for a head": ("lr: 0.05", "lr: 0.05, head_lr_multiplier: 2", ["5:56: the last layer"]),
    "an equal option": ("width: [4]", "width: [8]", ["this variant equals the baseline"]),
    "two options in one change": (
        "model.options.width: [4]",
        "model.options: [{width: 4, dropout: 0.1}]",
        ["this changes 2 variables: model.options.width, model.options.dropout"],
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_told_without_running_the_code(what: str, folder: Path) -> None:
    old, new, said = MISTAKES[what]
    assert STUDY.count(old) == 1
    (folder / "own.yaml").write_text(STUDY.replace(old, new), encoding="utf-8")
    with pytest.raises(FileError) as refused:
        load_study(folder / "own.yaml")
    for part in said:
        assert part in str(refused.value)
    assert not (folder / "imported").exists()


def test_an_installed_module_is_found_without_importing_it(folder: Path) -> None:
    code = find("torchvision.models.resnet:resnet18", folder)
    assert Path(code.file).name == "resnet.py"
    assert code.release.startswith("torchvision ")


def test_the_key_of_a_run_follows_the_code_and_not_its_place(folder: Path) -> None:
    keys = [run.key for run in plan_study(load_study(folder / "own.yaml")).runs]
    other = folder / "other"
    other.mkdir()
    for name in ("own.yaml", "my_models.py"):
        (folder / name).rename(other / name)
    assert [run.key for run in plan_study(load_study(other / "own.yaml")).runs] == keys
    (other / "my_models.py").write_text(CODE + "#", encoding="utf-8")
    assert not set(keys) & {run.key for run in plan_study(load_study(other / "own.yaml")).runs}


def test_every_custom_component_of_a_recipe_is_found_but_no_option_of_a_custom_model() -> None:
    sections = {
        "data": {"name": "mine:Data", "augment": [{"name": "flip"}, {"name": "mine:Blur"}]},
        "model": {"name": "mine:Net", "options": {"inner": {"name": "not:Code"}}},
        "optimizer": {"name": "torchvision:resnet18"},
        "train": {"stages": [{"optimizer": {"name": "mine:Lion"}}]},
    }
    places = {part["name"]: path for path, part in custom_parts(sections)}
    assert places == {
        "mine:Data": ("data",),
        "mine:Blur": ("data", "augment", 1),
        "mine:Net": ("model",),
        "mine:Lion": ("train", "stages", 0, "optimizer"),
    }
