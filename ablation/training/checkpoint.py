"""Checkpoints: written whole or not at all, read without running anything that they might contain."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ablation._util.files import replace, set_aside
from ablation.versions import CHECKPOINT_VERSION

_MALFORMED = (
    RuntimeError,
    OSError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged archive raises; NotImplementedError, of an unknown compression, is a RuntimeError."""

T = TypeVar("T", Tensor, Any)


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint of tensors and plain values in the place of the old one. Raises StorageError."""
    buffer = BytesIO()  # torch reports a full disk in its own way, so it writes to memory
    torch.save({"schema_version": CHECKPOINT_VERSION, **content}, buffer)
    replace(path, lambda file: file.write(buffer.getbuffer()))


def load(path: Path) -> dict[str, Any] | None:
    """The checkpoint at `path` with its tensors on the CPU, or None where there is none.

    `load_state_dict` moves what belongs on another device there, and leaves the step counters of Adam on the CPU, where
    a new optimizer has them. A checkpoint that cannot be read is set aside, and the answer is None.
    """
    if not path.exists():
        return None
    data = BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(data) as archive:  # torch does not look at the checksums that it writes
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
        data.seek(0)
        content = torch.load(data, map_location="cpu", weights_only=True)
        if content["schema_version"] != CHECKPOINT_VERSION:
            raise ValueError(f"schema version {content['schema_version']}")
    except _MALFORMED:
        set_aside(path)
        return None
    return dict(content)


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


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load the state of an optimizer that was fused, or not, into one that may differ in that.

    A checkpoint may come from another kind of device. The new optimizer's own choice also decides where the step
    counters of Adam are kept: torch takes them to the device only where it is fused.
    """
    pairs = zip(state["param_groups"], optimizer.param_groups, strict=True)
    groups = [saved | {key: own[key] for key in ("fused",) if key in own} for saved, own in pairs]
    optimizer.load_state_dict(state | {"param_groups": groups})
