"""What `train.precision` means where: what is refused, float32 without TF32, and the scaled loss of fp16."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ablation.errors import UserError
from ablation.execution.study import plan_study
from ablation.planning.job import Job
from ablation.planning.plan import Plan
from ablation.storage.record import Environment, EpochRow
from ablation.storage.store import RunFolder
from ablation.study.load import load_study
from ablation.study.schema import Study
from ablation.tasks.hooks import Hooks
from ablation.training import checkpoint, device, precision
from ablation.training.loop import Training, train
from tests.conftest import TINY, Ablate

CUDA = torch.device("cuda:0")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _torch_s_default() -> Iterator[None]:
    yield
    precision.set_float32_arithmetic("fp32")


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Study]:
    def make(*overrides: str) -> Study:
        path = tmp_path / "study.yaml"
        path.write_text(TINY.replace("[0, 1]", "[0]"))
        return load_study(path, overrides=("train.epochs=4", *overrides))

    return make


# What is refused


@pytest.mark.slow
def test_a_precision_that_needs_a_gpu_is_refused_on_a_cpu_before_anything_is_trained(
    ablate: Ablate, study_file: Callable[..., Path]
) -> None:
    path = study_file(TINY.replace("model.norm: [none]", "train.precision: [tf32]"))
    result = ablate("run", str(path), "--device", "cpu")
    assert result.returncode == 1, result.stdout + result.stderr
    error = "error: precision=tf32: train.precision: tf32 needs a GPU, and these runs train on the CPU"
    assert result.stderr.splitlines()[-2:] == [error, "use precision: fp32 or bf16, or --device cuda"]
    assert not list(path.parent.glob("results/runs/*/*"))


@pytest.mark.parametrize(("name", "refused"), [("fp32", False), ("bf16", False), ("tf32", True), ("fp16", True)])
def test_a_cpu_trains_in_fp32_and_bf16_only(name: str, refused: bool) -> None:
    if not refused:
        precision.check_training(name, "default", CPU)
        return
    with pytest.raises(UserError, match=f"{name} needs a GPU"):
        precision.check_training(name, "none", CPU)


def gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")


@pytest.mark.parametrize("name", ["tf32", "bf16"])
def test_a_gpu_before_compute_capability_8_is_refused_what_it_only_emulates(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(monkeypatch, (7, 5))
    with pytest.raises(UserError) as told:
        precision.check_training(name, "none", CUDA)
    what = f"train.precision: {name} needs compute capability 8.0, and cuda:0 (Tesla T4) has 7.5"
    assert str(told.value) == f"{what}\nuse precision: fp16, which scales the loss, or fp32"
    for other in ("fp32", "fp16"):
        precision.check_training(other, "none", CUDA)
    gpu(monkeypatch, (8, 0))
    precision.check_training(name, "none", CUDA)


def test_a_torch_that_tunes_compiled_networks_by_time_is_refused_on_cuda_only(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, (9, 0))
    monkeypatch.setattr(device, "compiles_deterministically", lambda: True)  # an older torch does not
    precision.check_training("fp32", "default", CUDA)
    monkeypatch.setattr(device, "compiles_deterministically", lambda: False)
    precision.check_training("fp32", "none", CUDA)
    precision.check_training("fp32", "default", CPU)
    with pytest.raises(UserError, match="tunes compiled networks by time on CUDA, so that runs would not repeat"):
        precision.check_training("fp32", "default", CUDA)


# float32


@pytest.mark.parametrize(("name", "allowed"), [("fp32", False), ("tf32", True), ("bf16", False), ("fp16", False)])
def test_only_tf32_computes_products_in_tf32(name: str, allowed: bool) -> None:
    torch.backends.cudnn.allow_tf32 = True  # as torch has it
    precision.set_float32_arithmetic(name)
    assert torch.backends.cudnn.allow_tf32 == allowed
    assert torch.backends.cuda.matmul.allow_tf32 == allowed


def test_a_run_says_what_float32_is_whatever_the_run_before_it_said(study, jobs) -> None:  # type: ignore[no-untyped-def]
    precision.set_float32_arithmetic("tf32")
    Training(jobs(study())[0])
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("name", ["fp32", "tf32"])
def test_float32_is_trained_without_autocast(name: str) -> None:
    with precision.autocast(name, CPU):
        assert not torch.is_autocast_enabled("cpu")


def test_one_autocast_can_be_entered_for_every_step() -> None:
    autocast = precision.autocast("bf16", CPU)
    layer, x = nn.Linear(4, 4), torch.ones(2, 4)
    for _ in range(3):
        with autocast:
            assert layer(x).dtype == torch.bfloat16
        assert layer(x).dtype == torch.float32


# fp16, with the CPU in the place of a GPU


@pytest.fixture
def _fp16_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "check_training", lambda *_: None)


def run(job: Job, stop_after: int | None = None) -> Any:
    seen: list[EpochRow] = []
    stop = Hooks(lambda row, _: seen.append(row), lambda *_: None, lambda: len(seen) == stop_after)
    return train(job, stop)


@pytest.mark.usefixtures("_fp16_on_the_cpu")
@pytest.mark.parametrize(
    "recipe", [[], ["train.clip_norm=1", "optimizer={name: adamw, lr: 0.003}"]], ids=["sgd", "adamw"]
)
def test_an_interrupted_fp16_run_ends_with_the_same_bits(recipe: list[str], study, jobs, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The scale changes within the run: it is halved in the first steps, and doubled soon after."""
    made = {"init_scale": 2.0**24, "growth_interval": 3}
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda kind, enabled: scaler(kind, enabled=enabled, **made))
    chosen = study("train.precision=fp16", *recipe)
    whole, parts = jobs(chosen, "a")[0], jobs(chosen, "b")[0]
    expected = run(whole)
    for _ in range(3):
        assert run(parts, stop_after=1) is None
        saved = checkpoint.load(RunFolder(parts.folder).last)
        assert saved is not None
        assert saved["scaler"]["scale"] != made["init_scale"]
    record = run(parts)
    assert record.weights_sha256 == expected.weights_sha256
    rows, others = (RunFolder(job.folder).epochs() for job in (whole, parts))
    assert [row.skipped_steps for row in rows] == [row.skipped_steps for row in others]
    assert rows[0].skipped_steps > 0
    assert sum(row.skipped_steps for row in rows) < sum(row.step for row in rows)
    last = checkpoint.load(RunFolder(parts.folder).last)
    assert last is not None
    assert "scaler" not in last


@pytest.mark.usefixtures("_fp16_on_the_cpu")
def test_a_step_with_infinite_gradients_is_counted_and_changes_no_weight(study, jobs, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(
        torch.amp, "GradScaler", lambda kind, enabled: scaler(kind, enabled=enabled, init_scale=2.0**120)
    )
    (job,) = jobs(study("train.precision=fp16", "train.epochs=1", "train.clip_norm=1"))[:1]
    training = Training(job)
    before = {name: value.clone() for name, value in training.model.named_parameters()}
    training.train_pass(1, Hooks(lambda *_: None, lambda *_: None, lambda: False))
    assert int(training.step.skipped) == len(training.budget.steps(1))
    assert all(torch.equal(before[name], value) for name, value in training.model.named_parameters())


def test_other_precisions_have_no_scaler_in_their_checkpoints_and_skip_nothing(study, jobs) -> None:  # type: ignore[no-untyped-def]
    job = jobs(study())[0]
    run(job, stop_after=1)
    saved = checkpoint.load(RunFolder(job.folder).last)
    assert saved is not None
    assert "scaler" not in saved
    assert [row.skipped_steps for row in RunFolder(job.folder).epochs()] == [0]


# Keys and records


def keys(study: Study) -> set[str]:
    plan: Plan = plan_study(study)
    return {run.key for run in plan.runs}


def test_the_key_of_a_run_is_that_of_its_precision(study) -> None:  # type: ignore[no-untyped-def]
    assert len({frozenset(keys(study(f"train.precision={name}"))) for name in ("fp32", "tf32", "bf16", "fp16")}) == 4
    assert keys(study()) == keys(study("train.precision=fp32"))


def test_a_record_says_cudnn_driver_and_capability_and_earlier_ones_are_read_without(trained: Path) -> None:
    path = next(trained.glob("results/runs/*/run.json"))
    own = json.loads(path.read_text("utf-8"))["environment"]
    assert {own[key] for key in ("cudnn", "driver", "capability")} == {""}
    earlier = {key: value for key, value in own.items() if value != ""}
    assert Environment(**earlier) == Environment(**own)


@pytest.mark.parametrize(("number", "release"), [(91002, "9.10.2"), (90100, "9.1.0"), (8907, "8.9.7")])
def test_the_number_of_cudnn_is_told_as_its_release(number: int, release: str) -> None:
    assert device.cudnn_version(number) == release


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Mon Mar 18 16:45:28 UTC 2024\n", "535.161.08"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65  Release Build  (x@y)\n", "580.65"),
        ("something else", ""),
    ],
)
def test_the_driver_is_told_as_its_release(text: str, release: str) -> None:
    assert device.driver_version(text) == release
