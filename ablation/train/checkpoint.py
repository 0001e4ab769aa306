"""Checkpoints: written whole or not at all, read without running anything that they might contain."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ablation.record import SCHEMA_VERSION
from ablation.store import replace

_MALFORMED = (RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, pickle.UnpicklingError)

T = TypeVar("T", Tensor, Any)


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint of tensors and plain values in the place of the old one."""
    replace(path, lambda file: torch.save({"schema_version": SCHEMA_VERSION, **content}, file))


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The checkpoint at `path`, or None where there is none.

    One that cannot be read is moved aside as `<name>.unreadable`, and the answer is None: it is never trusted.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {content['schema_version']}")
    except _MALFORMED:
        path.replace(path.with_name(f"{path.name}.unreadable"))
        return None
    return dict(content)


def share(path: Path, twin: Path) -> None:
    """Let `twin` be the very file at `path`, where the file system can; elsewhere it stays a file of its own."""
    temporary = twin.with_name(f".{twin.name}.link")
    temporary.unlink(missing_ok=True)
    try:
        temporary.hardlink_to(path)
    except OSError:
        return
    temporary.replace(twin)


def sha256(state: Mapping[str, Tensor]) -> str:
    """The digest of all weights and buffers, by name: equal for equal bits, whatever the device and memory layout."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def snapshot(value: T) -> T:
    """A copy of a state dict (of any nesting) on the CPU that later steps do not touch."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: snapshot(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(snapshot(item) for item in value)
    return value
