"""What `train.precision` means on each device: what is refused, TF32, autocast, and the scaling of the loss."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from ablation.errors import UserError
from ablation.training import device


def check_training(precision: str, compile: str, where: torch.device) -> None:
    """Raise UserError where a device cannot train in a `train.precision`, or reproducibly with a `train.compile`.

    TF32 is arithmetic of GPUs only. fp16 is possible on a CPU, but hardly any has it, so that it would be slow. GPUs
    before compute capability 8.0 have no TF32, and only emulate bf16.
    """
    if where.type != "cuda":
        if precision in ("tf32", "fp16"):
            hint = "use precision: fp32 or bf16, or --device cuda"
            raise UserError(f"train.precision: {precision} needs a GPU, and these runs train on the CPU", hint)
        return
    capability = torch.cuda.get_device_capability(where)
    if precision in ("tf32", "bf16") and capability < (8, 0):
        name = f"{where} ({torch.cuda.get_device_name(where)})"
        what = f"train.precision: {precision} needs compute capability 8.0, and {name} has {device.dotted(capability)}"
        raise UserError(what, "use precision: fp16, which scales the loss, or fp32")
    if compile != "none" and not device.compiles_deterministically():
        what = f"train.compile: torch {torch.__version__} tunes compiled networks by time on CUDA"
        raise UserError(f"{what}, so that runs would not repeat", "use compile: none, or a newer torch")


def set_float32_arithmetic(precision: str) -> None:
    """Compute float32 products on CUDA as float32, or with `tf32` in TF32: torch's default has TF32 in convolutions."""
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")


def loss_scaler(precision: str, where: torch.device) -> torch.amp.GradScaler:
    """What keeps small gradients of fp16 above zero; for other precisions it does nothing."""
    return torch.amp.GradScaler(where.type, enabled=precision == "fp16")


def overflows(scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer) -> Tensor:
    """1 where the unscaled gradients of a step are not finite, so that the step is skipped, else 0; on the device.

    GradScaler has no public form of it that does not wait for the device.
    """
    return torch.stack(list(scaler._found_inf_per_device(optimizer).values())).max()


def autocast(name: str, where: torch.device) -> AbstractContextManager[object]:
    """Autocast for `train.precision` bf16 and fp16, nothing for the others; it can be entered again and again."""
    dtype = torch.float16 if name == "fp16" else torch.bfloat16
    return torch.autocast(where.type, dtype=dtype, enabled=name in ("bf16", "fp16"))
