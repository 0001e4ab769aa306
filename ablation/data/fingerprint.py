"""What a data set is, as a short text: the same images give the same fingerprint, wherever they lie. So do weights."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from ablation._util.hashing import canonical_json, file_sha256, slug
from ablation.data.image_folder import Part, is_plain, list_images, open_archive
from ablation.errors import UserError
from ablation.registry.catalog import DATA, TORCHVISION
from ablation.study.networks import Model
from ablation.study.schema import Data, ImageFolder, Synthetic

BUILTIN_VERSION = 1
"""Raised when the images of a built-in data set would be read differently."""
CACHE_VERSION = 2
"""Raised when the files of decoded images change their form."""
DECODED = "-d2"
"""Ends the fingerprint of images some of which `pixels` converts: versions before had decoded them to other pixels."""


def class_count(data: Data) -> int:
    """How many classes a data set has. Raises UserError where an image folder has none."""
    if isinstance(data, ImageFolder):
        return len(list_images(Path(data.path), "train").classes)
    return data.classes if isinstance(data, Synthetic) else DATA[data.name].classes


def cache_folder(name: str, fingerprint: str, part: str) -> str:
    """The folder below results/data/ that holds the decoded images of one part (train, test) of a data set."""
    return slug(f"{name}-{fingerprint}-{part}-v{CACHE_VERSION}")


def fingerprint(data: Data, part: Part = "train") -> str:
    """The fingerprint of one part of a data set. Raises UserError where an image folder does not have it."""
    if isinstance(data, ImageFolder):
        digest, converted = _folder_digest(Path(data.path), part)
        return f"{digest}-{data.size}px{DECODED if converted else ''}"
    version = f"v{BUILTIN_VERSION}" if part == "train" else f"{part}-v{BUILTIN_VERSION}"
    if isinstance(data, Synthetic):
        own = {"shape": data.shape, "classes": data.classes, "samples": data.samples}
        return f"synthetic-{hashlib.sha256(canonical_json(own).encode()).hexdigest()[:12]}-{version}"
    return f"{data.name}-{version}"


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


def _is_converted(content: bytes) -> bool:
    from ablation.data import pixels  # Pillow and numpy, which take longer to import than most data sets to be read

    return pixels.is_converted(content)


def _folder_digest(root: Path, part: Part) -> tuple[str, bool]:
    """(digest of the names and bytes of all images, whether the pixels of any are converted by their meaning)."""
    digest, converted = hashlib.sha256(), False
    images = list_images(root, part).images
    archive = open_archive(root)
    try:
        for image in images:
            content = image.read(archive)
            digest.update(os.fsencode(image.name) + b"\0" + hashlib.sha256(content).digest())
            converted = converted or (not is_plain(content) and _is_converted(content))
    finally:
        if archive:
            archive.close()
    return digest.hexdigest()[:16], converted
