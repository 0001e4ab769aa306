"""What a data set is, as a short text: the same images give the same fingerprint, wherever they lie. So do weights."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from ablation import archives
from ablation.errors import UserError
from ablation.networks import Model
from ablation.plan import canonical_json, slug
from ablation.registry import DATA, TORCHVISION
from ablation.study import Data, ImageFolder, Synthetic

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm"})
Part = Literal["train", "test"]
BUILTIN_VERSION = 1
"""Raised when the images of a built-in data set would be read differently."""
CACHE_VERSION = 2
"""Raised when the files of decoded images change their form."""


@dataclass(frozen=True)
class ImageFile:
    """One image: its name below the root (`train/<class>/...`), where it lies, and the class that its folder names."""

    name: str
    location: Path | str
    """The file itself, or its name inside the zip file."""
    label: str

    def read(self, archive: zipfile.ZipFile | None) -> bytes:
        """The bytes of the file."""
        return archives.read(archive, str(self.location)) if archive else Path(self.location).read_bytes()


def list_images(root: Path, part: str) -> list[ImageFile]:
    """The images below `<part>/<class>/` of a folder or zip file, in a fixed order. Other files are left alone.

    A zip file may hold everything inside one folder. Raises UserError where there are not at least two classes.
    """
    if root.is_dir():
        files: dict[str, Path | str] = {
            path.relative_to(root).as_posix(): path for path in (root / part).rglob("*") if path.is_file()
        }
    elif zipfile.is_zipfile(root):
        files = dict(archives.members(root))
    else:
        raise UserError(f"{root} is neither a folder nor a zip file", "data.path names the folder that holds train/")
    found = []
    for name in sorted(files):
        path = PurePosixPath(name)
        if path.parts[:1] == (part,) and len(path.parts) >= 3 and path.suffix.lower() in SUFFIXES:
            found.append(ImageFile(name, files[name], _label(path.parts[1])))
    if len({image.label for image in found}) < 2:
        hint = f"put the images of each class into {part}/<class>/ below it"
        raise UserError(f"{root} holds images of fewer than two classes below {part}/", hint)
    return found


def _label(folder: str) -> str:
    """The name of a folder as text that JSON can hold; bytes that are no UTF-8 are spelt out."""
    return os.fsencode(folder).decode("utf-8", "backslashreplace")


def open_archive(root: Path) -> zipfile.ZipFile | None:
    """The zip file at `root`, open for reading; None for a folder."""
    return None if root.is_dir() else archives.open_archive(root)


def class_count(data: Data) -> int:
    """How many classes a data set has. Raises UserError where an image folder has none."""
    if isinstance(data, ImageFolder):
        return len({image.label for image in list_images(Path(data.path), "train")})
    return data.classes if isinstance(data, Synthetic) else DATA[data.name].classes


def cache_folder(name: str, fingerprint: str, part: str) -> str:
    """The folder below results/data/ that holds the decoded images of one part (train, test) of a data set."""
    return slug(f"{name}-{fingerprint}-{part}-v{CACHE_VERSION}")


def fingerprint(data: Data, part: Part = "train") -> str:
    """The fingerprint of one part of a data set. Raises UserError where an image folder does not have it."""
    if isinstance(data, ImageFolder):
        return f"{_folder_digest(Path(data.path), part)}-{data.size}px"
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


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder_digest(root: Path, part: Part) -> str:
    digest = hashlib.sha256()
    images = list_images(root, part)
    archive = open_archive(root)
    try:
        for image in images:
            content = hashlib.sha256(image.read(archive)).digest()
            digest.update(os.fsencode(image.name) + b"\0" + content)
    finally:
        if archive:
            archive.close()
    return digest.hexdigest()[:16]
