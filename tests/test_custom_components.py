"""Optimizers, schedules and augmentations of custom code: `optimizer: {name: "my_parts:Lion", beta1: 0.9}`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ablation
from ablation.data import sources
from ablation.errors import FileError, UserError
from ablation.execution.study import plan_study
from ablation.planning.job import Job
from ablation.registry.options import Custom
from ablation.storage.record import RunRecord
from ablation.study.load import load_study
from ablation.tasks.hooks import Hooks
from ablation.training import components, device, finetune
from ablation.training.data import Loader
from ablation.training.loop import Training, train
from tests.conftest import Ablate

CODE = """\
from pathlib import Path
Path("imported").touch()

import numpy as np
import torch

import ablation


@ablation.optimizer
class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr: float, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "betas": (beta1, beta2), "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is not None:
                    momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                    update = momentum.lerp(parameter.grad, 1 - beta1).sign_()
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"])
                    momentum.lerp_(parameter.grad, 1 - beta2)


@ablation.schedule
def sqrt_decay(progress: float, *, power: float = 0.5) -> float:
    return (1 - progress) ** power


@ablation.augmentation
def solarize(images, generator, *, threshold: float = 0.5, probability: float = 0.2):
    chosen = torch.rand((len(images), 1, 1, 1), generator=generator, device=images.device) < probability
    return torch.where(chosen & (images >= 255 * threshold), 255 - images, images)


def numpy_noise(images, generator, sd=2.0):
    noise = torch.from_numpy(np.random.normal(0, sd, images.shape)).to(images.device)
    return (images + noise).clamp(0, 255).to(torch.uint8)


@ablation.augmentation(normalised=True)
def dropped(images, generator, *, share: float = 0.1):
    return images * (torch.rand(images.shape, generator=generator, device=images.device) >= share)


class Halving(ablation.Schedule):
    patience: int = 1

    def after_warmup(self, at):
        return at.base * 0.5 ** (at.epoch // self.patience) if len(at.losses) == at.epoch else -1.0


def without_bias(parameters, *, lr: float):
    matrices = [own for own in parameters if own.ndim > 1]
    vectors = [own for own in parameters if own.ndim == 1]
    return torch.optim.SGD([{"params": matrices}, {"params": vectors, "lr": lr / 10}], lr)
"""
STUDY = """\
study: own
baseline:
  data: {name: digits, validation: 0.2, limit: 200, augment: [{name: "my_parts:solarize", threshold: 0.8}]}
  model: {name: lenet5, hidden: [32]}
  optimizer: {name: "my_parts:Lion", lr: 0.002, beta1: 0.9}
  schedule: {name: "my_parts:sqrt_decay", power: 0.5}
  train: {epochs: 3, batch_size: 32}
seeds: [0]
"""
VARY = """\
vary:
  optimizer.beta1: [0.5]
  optimizer: [{name: adam, lr: 0.002}, {name: "torch.optim:Adagrad", lr: 0.01}]
  schedule.power: [2]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_parts.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "own.yaml").write_text(STUDY + VARY, encoding="utf-8")
    return tmp_path


@pytest.fixture
def jobs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Job]]:
    """The runs of the study with `overrides`, as jobs under the folder `runs`."""
    monkeypatch.chdir(folder)
    device.set_up_process(1)

    def make(*overrides: str, runs: str = "runs", study: str = STUDY) -> list[Job]:
        (folder / "own.yaml").write_text(study, encoding="utf-8")
        planned = plan_study(load_study(folder / "own.yaml", overrides=overrides)).runs
        data = [sources.prepare(run.recipe.data, "d", folder / "data", lambda *_: None) for run in planned]
        return [Job(run, folder / runs / run.folder, own, "cpu", 1) for run, own in zip(planned, data, strict=True)]

    return make


def run_to_end(job: Job, stop_after: int | None = None) -> RunRecord | None:
    seen: list[int] = []
    stop = Hooks(lambda row, _: seen.append(row.epoch), lambda *_: None, lambda: len(seen) == stop_after)
    return train(job, stop)


def records(folder: Path) -> dict[str, Any]:
    """Variant -> its run.json."""
    manifest = json.loads((folder / "results" / "studies" / "own" / "study.json").read_text(encoding="utf-8"))
    runs = folder / "results" / "runs"
    return {v: json.loads((runs / own["0"] / "run.json").read_text("utf-8")) for v, own in manifest["folders"].items()}


@pytest.mark.slow
def test_a_custom_optimizer_schedule_and_augmentation_are_trained_tested_and_reported(
    ablate: Ablate, folder: Path
) -> None:
    shown = ablate("validate", "own.yaml")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert not (folder / "imported").exists()
    first = ablate("run", "own.yaml", "--device", "cpu", "--per-device", "1")
    assert first.returncode == 0, first.stdout + first.stderr
    names = "my_parts:solarize, my_parts:Lion, my_parts:sqrt_decay"
    assert first.stdout.count(f"the code of {names} is named by this study: training runs {folder}") == 1
    found = records(folder)
    variants = ["baseline", "beta1=0.5", "optimizer=adam", "optimizer=Adagrad", "power=2"]
    assert list(found) == variants
    assert len({own["weights_sha256"] for own in found.values()}) == len(variants)
    (folder / "imported").unlink()
    assert "nothing left to train" in ablate("run", "own.yaml", "--device", "cpu").stdout
    assert ablate("status").returncode == ablate("report").returncode == 0
    report = (folder / "reports" / "own" / "report.md").read_text(encoding="utf-8")
    assert "beta1 0.9 \u2192 0.5" in report
    assert "optimizer my\\_parts:Lion \u2192 adam (beta2 0.999, eps 1e-8)" in report
    assert not (folder / "imported").exists()
    (folder / "my_parts.py").unlink()
    tested = ablate("test", "own", "--device", "cpu")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_lion_learns_and_follows_the_custom_schedule(jobs: Callable[..., list[Job]]) -> None:
    (job,) = jobs("train={epochs: 12, batch_size: 16}", "data.limit=1000")
    record = run_to_end(job)
    assert record is not None
    rows = [json.loads(line) for line in (job.folder / "epochs.jsonl").read_text("utf-8").splitlines()]
    assert max(row["metrics"]["val_accuracy"] for row in rows) > 0.85
    steps = rows[-1]["step"]
    assert [row["lr"] for row in rows] == pytest.approx(
        [0.002 * (1 - (row["step"] - 1) / steps) ** 0.5 for row in rows]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ('data.augment=[{name: "my_parts:numpy_noise"}]', "optimizer=sgd", "schedule=constant"),
        ('data.augment=[crop, {name: "my_parts:dropped"}]', 'schedule={name: "my_parts:Halving", patience: 2}'),
        ('optimizer={name: "torch.optim:NAdam", lr: 0.002, betas: [0.8, 0.9], weight_decay: 0.1}',),
    ],
)
def test_an_interrupted_run_of_custom_code_ends_with_the_same_bits(
    overrides: tuple[str, ...], jobs: Callable[..., list[Job]]
) -> None:
    (whole,), (parts,), (again,) = (jobs(*overrides, runs=own) for own in ("a", "b", "c"))
    expected, repeated = run_to_end(whole), run_to_end(again)
    for _ in range(2):
        assert run_to_end(parts, stop_after=1) is None
    record = run_to_end(parts)
    assert record is not None
    assert expected is not None
    assert repeated is not None
    assert record.resumed == 2
    assert record.weights_sha256 == expected.weights_sha256 == repeated.weights_sha256


def test_stages_have_custom_optimizers_and_schedules_of_their_own(jobs: Callable[..., list[Job]]) -> None:
    stages = """\
  train:
    stages:
      - {epochs: 2, optimizer: {beta2: 0.9}}
      - {epochs: 2, optimizer: sgd, schedule: {name: "my_parts:sqrt_decay", power: 1, warmup_epochs: 1}}
"""
    stages = stages.replace("optimizer: sgd", 'optimizer: {name: "my_parts:without_bias"}')
    (job,) = jobs(study=STUDY.replace("  train: {epochs: 3, batch_size: 32}\n", stages))
    first, second = job.run.recipe.stages(4)
    assert (first.optimizer.name, first.optimizer.lr, first.optimizer.options) == (  # type: ignore[attr-defined]
        "my_parts:Lion",
        0.002,
        {"beta1": 0.9, "beta2": 0.9},
    )
    assert (second.optimizer.lr, second.schedule.warmup) == (0.002, 1)
    assert run_to_end(job) is not None
    training = Training(job)
    training._enter(second)
    assert [group["lr_multiplier"] for group in training.optimizer.param_groups] == pytest.approx([1, 0.1])


def test_the_head_of_a_custom_optimizer_has_a_rate_of_its_own(jobs: Callable[..., list[Job]]) -> None:
    (job,) = jobs("optimizer.head_lr_multiplier=10")
    groups = Training(job).optimizer.param_groups
    assert [group["lr_multiplier"] for group in groups] == [1, 10]


def test_a_normalised_augmentation_gets_floats_and_another_one_bytes(jobs: Callable[..., list[Job]]) -> None:
    (job,) = jobs('data.augment=[{name: "my_parts:solarize"}, {name: "my_parts:dropped", share: 0.9}]')
    data = components.bound_data(job.run.recipe.data, job.run.codes)
    assert [part.normalised for part in data.augment] == [False, True]
    training = Training(job)
    assert isinstance(training.loader, Loader)
    images, _ = next(iter(training.loader.train(training.budget, 1)))
    assert images.dtype == torch.float32
    assert 0.8 < (images == 0).float().mean() < 1


@pytest.mark.slow
def test_the_weight_decay_of_a_custom_optimizer_is_that_of_the_study(jobs: Callable[..., list[Job]]) -> None:
    for overrides, expected in (("", 0), ("weight_decay: 0.3, ", 0.3)):
        (job,) = jobs(f'optimizer={{name: "torch.optim:AdamW", {overrides}lr: 0.1}}')
        assert Training(job).optimizer.param_groups[0]["weight_decay"] == expected


@pytest.mark.slow
def test_the_key_of_a_run_follows_the_code_and_the_options(folder: Path) -> None:
    def keys() -> list[str]:
        return [run.key for run in plan_study(load_study(folder / "own.yaml")).runs]

    before = keys()
    assert len(set(before)) == 5
    (folder / "my_parts.py").write_text(CODE + "#", encoding="utf-8")
    assert not set(before) & set(keys())


def fault(folder: Path, section: str, code: str, options: str = "") -> str:
    """The error of a component `part` in bad.py, as the trial before the runs raises it."""
    (folder / "bad.py").write_text(f"import ablation\nimport torch\n\n\n{code}\n", encoding="utf-8")
    part = f'{{name: "bad:part"{options}}}'
    setting = f"data.augment=[{part}]" if section == "augment" else f"{section}={part}"
    (folder / "own.yaml").write_text(STUDY, encoding="utf-8")
    (run,) = plan_study(load_study(folder / "own.yaml", overrides=[setting])).runs
    data = sources.prepare(run.recipe.data, "d", folder / "data", lambda *_: None)
    with pytest.raises(UserError) as raised:
        finetune.try_weights(run, sources.load(data))
    return f"{raised.value.message}\n{raised.value.hint}"


LR = ", lr: 0.1"
FAULTY = {
    "nothing returned": ("optimizer", "def part(p, lr): pass", LR, ["bad:part (bad.py:5) returned NoneType"]),
    "an exception": (
        "optimizer",
        "def part(p, lr):\n    raise KeyError('boom')",
        LR,
        ["bad:part fails at bad.py:6: KeyError: 'boom'", "Traceback"],
    ),
    "an exception in a step": (
        "optimizer",
        "class part(torch.optim.SGD):\n    def step(self):\n        return self.unknown",
        LR,
        ["bad:part fails at bad.py:7: AttributeError"],
    ),
    "no rate": ("optimizer", "def part(p): pass", LR, ["bad:part (bad.py:5) has no option 'lr'"]),
    "no group rate": (
        "optimizer",
        "class part(torch.optim.Optimizer):\n    def __init__(self, p, lr): super().__init__(p, {})",
        LR,
        ["has a parameter group without lr"],
    ),
    "a state that is no data": (
        "optimizer",
        "class part(torch.optim.SGD):\n    def step(self): self.state['x'] = {'f': open}",
        LR,
        ["the state of bad:part cannot be stored", "keep tensors, numbers"],
    ),
    "a closure": ("optimizer", "part = torch.optim.LBFGS", LR, ["bad:part cannot be built", "'closure'"]),
    "an unknown option": (
        "optimizer",
        "def part(p, lr, beta1=0.9): pass",
        LR + ", betta1: 1",
        ["bad:part (bad.py:5) has no option 'betta1'", "did you mean 'beta1'? (known: lr, beta1)"],
    ),
    "a weight decay": ("optimizer", "def part(p, lr): pass", LR + ", weight_decay: 0.1", ["no option 'weight_decay'"]),
    "an option that is needed": ("optimizer", "def part(p, lr, beta): pass", LR, ["needs the option 'beta'"]),
    "a wrong type": (
        "optimizer",
        "def part(p, lr, betas: tuple[float, float]): pass",
        LR + ", betas: [0.9, x]",
        ["bad:part (bad.py:5) refuses betas: [0.9, 'x']", "it is declared as tuple[float, float]"],
    ),
    "no such name": (
        "optimizer",
        "def prat(p, lr): pass",
        LR,
        ["bad:part: bad.py has no 'part'", "did you mean 'prat'?"],
    ),
    "no code": ("optimizer", "part = 3", LR, ["bad:part cannot be the optimizer: it is int"]),
    "another kind": ("optimizer", "@ablation.schedule\ndef part(p): pass", LR, ["it is marked as schedule"]),
    "a class of another kind": ("optimizer", "class part(ablation.Schedule): pass", LR, ["it is marked as schedule"]),
    "no arguments": ("schedule", "def part(): return 1", "", ["does not take progress as its first arguments"]),
    "arguments by name": ("augment", "def part(images, *, generator): pass", "", ["does not take images, generator"]),
    "below zero": (
        "schedule",
        "def part(x): return -x",
        "",
        ["bad:part (bad.py:5) returned -0.01 at the progress 0.01"],
    ),
    "no number": ("schedule", "def part(x): return str(x)", "", ["returned str at the progress 0"]),
    "not finite": ("schedule", "def part(x): return float('nan')", "", ["returned nan at the progress 0"]),
    "an abstract class": ("schedule", "class part(ablation.Schedule): pass", "", ["abstract"]),
    "an import": ("schedule", "import nothing_like_it", "", ["fails at bad.py:5: ModuleNotFoundError"]),
    "other images": (
        "augment",
        "def part(images, generator): return images.float()",
        "",
        ["bad:part (bad.py:5) returned torch.float32 (2, 1, 8, 8) on cpu for torch.uint8 (2, 1, 8, 8) on cpu"],
    ),
    "no images": ("augment", "def part(images, generator): images.zero_()", "", ["returned NoneType for torch.uint8"]),
    "the end of the process": (
        "augment",
        "import sys\ndef part(i, g): sys.exit(3)",
        "",
        ["fails at bad.py:6: SystemExit"],
    ),
}


@pytest.mark.parametrize("what", FAULTY)
def test_a_fault_of_the_code_is_one_error_with_its_place(
    what: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    section, code, options, expected = FAULTY[what]
    message = fault(folder, section, code, options)
    for part in expected:
        assert part in message


def test_a_normalised_augmentation_before_others_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = STUDY.replace("augment: [", 'augment: [{name: "my_parts:dropped"}, ')
    (folder / "own.yaml").write_text(text, encoding="utf-8")
    (run,) = plan_study(load_study(folder / "own.yaml")).runs
    with pytest.raises(
        UserError, match="my_parts:dropped is applied to the normalised pixels, after my_parts:solarize"
    ):
        components.bound_data(run.recipe.data, run.codes)


@pytest.mark.slow
def test_a_fault_of_the_code_ends_the_command_before_anything_is_trained(ablate: Ablate, folder: Path) -> None:
    (folder / "own.yaml").write_text((STUDY + VARY).replace("power: [2]", "powr: [2]"), encoding="utf-8")
    result = ablate("run", "own.yaml", "--device", "cpu", "--per-device", "1")
    assert result.returncode == 1
    assert "error: my_parts:sqrt_decay (my_parts.py:27) has no option 'powr'" in result.stderr
    assert "did you mean 'power'?" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (folder / "results" / "runs").exists()


MISTAKES = {
    "no such file": ("my_parts:Lion", "my_prats:Lion", ["5:21: there is no my_prats.py in", "next to the study file"]),
    "no form": ("my_parts:Lion", "my parts:Lion", ["5:21", "is named module:attribute", "my_parts:Lion"]),
    "no rate": ("lr: 0.002, ", "", ["5:3: baseline.optimizer has no 'lr'", "for example lr: 0.001"]),
    "a rate below zero": ("lr: 0.002, ", "lr: -1, ", ["5:42: baseline.optimizer.lr is -1; it must be above 0"]),
    "not a number": ("power: 0.5", "power: .nan", ["6:50: baseline.schedule.power: nan is not a finite number"]),
    "the name of code": ("power: 0.5", "code: x", ["6:49: baseline.schedule.code: 'code' is passed by ablate"]),
    "no keyword": ("threshold: 0.8", "a b: 1", ["3:96: ", "'a b' is not a keyword name"]),
    "another optimizer": ('"my_parts:Lion"', "sgd", ["5:37: unknown key 'beta1' in baseline.optimizer (sgd)"]),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_found_without_running_the_code(what: str, folder: Path) -> None:
    old, new, said = MISTAKES[what]
    assert STUDY.count(old) == 1
    (folder / "own.yaml").write_text(STUDY.replace(old, new), encoding="utf-8")
    with pytest.raises(FileError) as refused:
        load_study(folder / "own.yaml")
    for part in said:
        assert part in str(refused.value)
    assert not (folder / "imported").exists()


def test_an_option_of_no_component_is_an_error_of_its_variant(folder: Path) -> None:
    study = STUDY.replace('{name: "my_parts:Lion", lr: 0.002, beta1: 0.9}', "sgd")
    (folder / "own.yaml").write_text(study + "vary: {optimizer.momentm: [0.5]}\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"9:28: unknown key 'momentm' in optimizer \(sgd\)"):
        load_study(folder / "own.yaml")


def test_what_is_decorated_stays_what_it_is() -> None:
    @ablation.schedule
    def decay(progress: float, *, power: float = 0.5) -> float:
        return math.pow(1 - progress, power)

    assert decay(0.75) == 0.5
    assert not isinstance(decay, Custom)


PLUGIN = """

class Linear(torch.nn.Sequential):
    def __init__(self, in_channels: int, classes: int, side: int = 8) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(in_channels * side**2, classes))


@ablation.metric(direction="higher", unit="share")
def worst_class(labels, predicted, probabilities):
    return float(min((predicted[labels == own] == own).mean() for own in set(labels.tolist())))
"""


@pytest.mark.slow
def test_an_installed_plug_in_gives_a_name_to_a_component(
    ablate: Ablate, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = folder / "installed"
    about = installed / "lion_plugin-1.2.dist-info"
    about.mkdir(parents=True)
    (installed / "lion_plugin.py").write_text(CODE + PLUGIN, encoding="utf-8")
    (folder / "my_parts.py").unlink()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lion-plugin\nVersion: 1.2\n", encoding="utf-8")
    (about / "top_level.txt").write_text("lion_plugin\n", encoding="utf-8")
    points = "[ablation.{}]\n{} = lion_plugin:{}\n"
    named = (
        *(("optimizer", "lion", "Lion"), ("schedule", "sqrt", "sqrt_decay"), ("augmentation", "sun", "solarize")),
        *(("model", "flat", "Linear"), ("metric", "worst", "worst_class")),
    )
    (about / "entry_points.txt").write_text("".join(points.format(*own) for own in named), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(installed))
    study = STUDY.replace("my_parts:Lion", "lion").replace("my_parts:sqrt_decay", "sqrt")
    study = study.replace("my_parts:solarize", "sun").replace('"lion", lr: 0.002, beta1', "sgd, lr: 0.002, momentum")
    study += "metrics: [worst]\nvary: {optimizer: [lion], data.augment: [[sun]], model: [flat]}\n"
    (folder / "own.yaml").write_text(study, encoding="utf-8")
    listed = ablate("list").stdout
    assert "lion             lion_plugin:Lion\n" in listed
    assert "flat             lion_plugin:Linear\n" in listed
    assert "worst            lion_plugin:worst_class\n" in listed
    for option, wrong, meant in (
        ("optimizer", "lino", "lion"),
        ("model", "flatt", "flat"),
        ("metrics", "wrst", "worst"),
    ):
        said = ablate("validate", "own.yaml", "--set", f"{option}={f'[{wrong}]' if option == 'metrics' else wrong}")
        assert f"did you mean '{meant}'?" in said.stderr
    assert ablate("validate", "own.yaml").returncode == 0
    assert not (folder / "imported").exists()
    result = ablate("run", "own.yaml", "--device", "cpu", "--per-device", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "(lion-plugin 1.2)" in result.stdout
    assert list(records(folder)) == ["baseline", "optimizer=Lion", "augment=sun", "model=lion_plugin:Linear"]
    assert "metrics computed for 4 runs: lion_plugin:worst_class" in result.stdout
