"""The weights that runs start from: what they are, as a short text, and where they are on this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ablation._util.hashing import file_sha256
from ablation.errors import UserError
from ablation.registry.catalog import TORCHVISION
from ablation.study.networks import Model


def weights_digest(model: Model) -> str:
    """What the weights are that `model` starts from: for a checkpoint the SHA-256 of its file.

    torchvision's own weights go by the name of their file, which holds the first digits of its SHA-256. Where another
    file stands under that name, it goes by its own SHA-256. Raises UserError where a checkpoint is missing.
    """
    if model.checkpoint:
        path = Path(model.checkpoint)
        if not path.is_file():
            hint = "model.weights names a best.pt or last.pt, seen from where you start `ablate`"
            raise UserError(f"no checkpoint at {model.checkpoint!r}", hint)
        return file_sha256(path)
    name = TORCHVISION[model.name].file
    path = hub_folder() / name
    if not path.is_file():
        return name  # it will be downloaded, and its digest verified then
    digest = file_sha256(path)
    expected = re.search(r"-([0-9a-f]{8,})\.", name)
    return name if expected and digest.startswith(expected.group(1)) else digest


def hub_folder() -> Path:
    """The folder in which torch.hub looks for weights, and into which it downloads them.

    Raises UserError where it would be in the home folder of a user who has none.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or f"{cache}/torch"
    try:
        return Path(home).expanduser() / "hub" / "checkpoints"
    except RuntimeError:
        hint = "set TORCH_HOME to a folder for downloaded weights"
        raise UserError("downloaded weights are kept in the home folder, and this user has none", hint) from None


def weights_file(model: Model, digest: str) -> Path:
    """Where the weights lie that `model` starts from; `digest` is their `weights_digest`.

    A checkpoint that was brought to this machine for a run lies in the hub's folder, under its digest.
    """
    if model.checkpoint is None:
        return hub_folder() / TORCHVISION[model.name].file
    brought = hub_folder() / f"{digest}.pt"
    return brought if brought.is_file() else Path(model.checkpoint)
