"""Which files of a folder or zip file are the images of a data set, and which are skipped and why."""

from __future__ import annotations

import errno
import os
import stat
import zipfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablation._util.language import tr_noop
from ablation.data import archives
from ablation.errors import UserError

Part = Literal["train", "test"]
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".pfm"}
)
LEAST_TO_TRAIN = 2
"""Training images of a class: one to train on, one to validate on."""
_SYSTEM = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin"})
_LEVELS = 2
"""Folders below the one that was given in which train/ is looked for, to name it in a hint."""

HIDDEN = tr_noop("hidden or system files")
OTHER = tr_noop("not images")
LOOSE = tr_noop("images outside of any class folder")
BROKEN = tr_noop("broken links")
AGAIN = tr_noop("links to a folder that is read already")
SPECIAL = tr_noop("not regular files")
_FOLDER, _FILE = "folder", "file"


@dataclass(frozen=True)
class ImageFile:
    """One image: its name below the root (`train/<class>/...`), where it is, and the class that its folder names."""

    name: str
    location: str
    """The path of the file, or its name inside the zip file."""
    label: str

    def read(self, archive: zipfile.ZipFile | None) -> bytes:
        """The bytes of the file. Raises UserError where they cannot be read."""
        if archive:
            return archives.read(archive, self.location)
        try:
            with open(self.location, "rb") as file:
                return file.read()
        except OSError as error:
            raise _unreadable(self.location, error) from None


@dataclass(frozen=True)
class Listing:
    """The images of one part of a data set, ordered by name, and the names of what is skipped, by reason."""

    images: tuple[ImageFile, ...]
    skipped: Mapping[str, tuple[str, ...]]

    @property
    def classes(self) -> list[str]:
        return sorted({image.label for image in self.images})


@dataclass(frozen=True)
class _Entry:
    """Something in a data set: its name below the root, where it is, and whether it is a file, a folder, or skipped."""

    name: str
    location: str
    kind: str


def list_images(root: Path, part: Part) -> Listing:
    """The images below `<part>/<class>/` of a folder or zip file.

    Links are followed, though no folder is read twice within a class. Hidden and system files, and whatever does not
    have the name of an image, are skipped. Raises UserError where there are fewer than two classes, where a class is
    empty or has too few images to be split, and where a file cannot be an image because of its size.
    """
    if root.is_dir():
        entries = _walk(root, part)
    elif root.is_file() and zipfile.is_zipfile(root):
        entries = _members(root, part)
    else:
        raise _not_a_source(root)
    return _checked(root, part, _sorted_out(entries))


def open_archive(root: Path) -> zipfile.ZipFile | None:
    """The zip file at `root`, open for reading; None for a folder."""
    return None if root.is_dir() else archives.open_archive(root)


def is_plain(content: bytes) -> bool:
    """Whether an image is surely decoded as Pillow does it, without a look at its pixels (`pixels`): nearly all are.

    A marker that occurs by chance only costs the longer way.
    """
    if content[:3] == b"\xff\xd8\xff":
        return b"Exif\0\0" not in content and b"Orientation" not in content
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 26:
        return False
    depth, colour = content[24], content[25]
    known = colour == 2 or (colour in (0, 3) and depth <= 8)
    return known and not any(mark in content for mark in (b"tRNS", b"eXIf", b"profile type exif", b"Orientation"))


def _sorted_out(entries: Iterable[_Entry]) -> tuple[Listing, set[str]]:
    """The listing, and the names of the class folders, with images or without."""
    images: list[ImageFile] = []
    skipped: dict[str, dict[str, None]] = {}
    folders: set[str] = set()
    for entry in entries:
        parts = entry.name.split("/")
        reason = _reason(entry, parts)
        if len(parts) > 2 or entry.kind == _FOLDER:
            folders.update([parts[1]] if reason != HIDDEN and len(parts) > 1 else [])
        if reason:
            skipped.setdefault(reason, {})[_hidden_part(parts) or entry.name] = None
        elif entry.kind == _FILE:
            images.append(ImageFile(entry.name, entry.location, _label(parts[1])))
    images.sort(key=lambda image: image.name)
    return Listing(tuple(images), {reason: tuple(sorted(names)) for reason, names in sorted(skipped.items())}), folders


def _reason(entry: _Entry, parts: list[str]) -> str:
    """Why an entry is skipped; empty for images, and for folders, which are read."""
    if _hidden_part(parts):
        return HIDDEN
    if entry.kind == _FOLDER:
        return ""
    if entry.kind != _FILE:
        return entry.kind
    if _suffix(parts[-1]) not in SUFFIXES:
        return OTHER
    return LOOSE if len(parts) < 3 else ""


def _suffix(name: str) -> str:
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def _hidden_part(parts: list[str]) -> str:
    """The first hidden file or folder on the way to an entry; empty where there is none."""
    for place, own in enumerate(parts):
        if own.startswith(".") or own.lower() in _SYSTEM:
            return "/".join(parts[: place + 1])
    return ""


def _label(folder: str) -> str:
    """The name of a folder as text that JSON can hold; bytes that are no UTF-8 are spelt out."""
    return os.fsencode(folder).decode("utf-8", "backslashreplace")


def _checked(root: Path, part: Part, found: tuple[Listing, set[str]]) -> Listing:
    """The listing. Raises UserError where a class lacks images."""
    listing, folders = found
    counts = Counter(image.label for image in listing.images)
    empty = sorted(folders - {image.name.split("/")[1] for image in listing.images})
    if empty:
        names = ", ".join(f"{part}/{name}" for name in empty[:5]) + (", ..." if len(empty) > 5 else "")
        inside = [
            f"{name} ({reason})"
            for reason, names_ in listing.skipped.items()
            for name in names_
            if name.split("/")[1:2] == empty[:1]
        ]
        skipped = f"; skipped there: {', '.join(inside[:3])}" if inside else ""
        what = "class folder without an image" if len(empty) == 1 else "class folders without an image"
        hint = f"add images to each class, or move the folder out of {part}/; read are {_suffixes()}"
        raise UserError(f"{root} has {len(empty)} {what}: {names}{skipped}", hint)
    if len(counts) < 2:
        raise _too_few_classes(root, part, listing)
    lonely = [image for image in listing.images if part == "train" and counts[image.label] < LEAST_TO_TRAIN]
    if lonely:
        names = ", ".join(image.name for image in lonely[:5]) + (", ..." if len(lonely) > 5 else "")
        what = f"{len(lonely)} of {len(counts)} classes of {root} have a single training image: {names}"
        raise UserError(what, "a class needs at least two: one to train on and one to validate on")
    return listing


def _suffixes() -> str:
    return " ".join(sorted(SUFFIXES))


def _too_few_classes(root: Path, part: Part, listing: Listing) -> UserError:
    loose = listing.skipped.get(LOOSE, ())
    also = f"; {len(loose)} images are directly in {part}/" if loose else ""
    if not loose and not listing.images and (hint := _level_hint(root, part)):
        return UserError(f"{root} has no images in {part}/<class>/", hint)
    hint = f"put the images of each class into {part}/<class>/ below it"
    return UserError(f"{root} holds images of fewer than two classes below {part}/{also}", hint)


def _level_hint(root: Path, part: Part) -> str:
    """Which folder was probably meant, where `root` is one too high or too low; empty where nothing is like it."""
    if not root.is_dir():
        return ""
    if root.resolve().name == part:
        return f"data.path names the folder that holds {part}/: {root.parent if root.name == part else root / '..'}"
    level = [root]
    for _ in range(_LEVELS):
        level = [below for folder in level for below in _subfolders(folder)]
        for folder in level:
            if (folder / part).is_dir():
                return f"did you mean data.path: {folder}"
    for folder in _subfolders(root):
        if folder.name.lower() == part and folder.name != part:
            return f"rename {folder} to {part}"
    return ""


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden_part([path.name]))
    except OSError as error:
        raise _unreadable(folder, error) from None


def _not_a_source(root: Path) -> UserError:
    hint = "data.path names the folder that holds train/, seen from where you start `ablate`"
    if os.path.lexists(root):
        return UserError(f"{root} is neither a folder nor a zip file", hint)
    archive = root.with_name(f"{root.name}.zip")
    return UserError(f"{root} does not exist", f"did you mean data.path: {archive}" if archive.is_file() else hint)


def _unreadable(place: str | Path, error: OSError) -> UserError:
    return UserError(f"{place} cannot be read: {error.strerror or error}", "check its permissions and its disk")


def _walk(root: Path, part: Part) -> Iterator[_Entry]:
    """Everything below a part of a folder; what is below a hidden folder is left out."""
    top = root / part
    if not top.is_dir():
        return
    above = {_mark(folder.stat()) for folder in (top, *top.resolve().parents)}
    for entry, info in _scan(top):
        name = f"{part}/{entry.name}"
        if info is None or not stat.S_ISDIR(info.st_mode) or _hidden_part([entry.name]):
            yield _file(name, entry.path, info)
        else:
            yield _Entry(name, entry.path, _FOLDER)
            yield from _walk_class(name, entry.path, info, set(above))


def _walk_class(name: str, path: str, info: os.stat_result, read: set[tuple[int, int]]) -> Iterator[_Entry]:
    """Everything below a class folder; `read` marks the folders that are not read again, those above it to begin with.

    Without that, a link to a folder above would have no end, and links across would be read as often as there are
    ways to them.
    """
    waiting = deque([(name, path, info)])
    while waiting:
        name, path, info = waiting.popleft()
        if _mark(info) in read:
            yield _Entry(name, path, AGAIN)
            continue
        read.add(_mark(info))
        for entry, own in _scan(path):
            below = f"{name}/{entry.name}"
            if own is not None and stat.S_ISDIR(own.st_mode) and not _hidden_part([entry.name]):
                waiting.append((below, entry.path, own))
            else:
                yield _file(below, entry.path, own)


def _mark(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino


def _scan(folder: str | Path) -> list[tuple[os.DirEntry[str], os.stat_result | None]]:
    """The entries of a folder by name, each with what it is or links to; None where that is not there."""
    try:
        with os.scandir(folder) as entries:
            return [(entry, _target(entry)) for entry in sorted(entries, key=lambda entry: entry.name)]
    except OSError as error:
        raise _unreadable(folder, error) from None


def _target(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return None
        raise _unreadable(entry.path, error) from None


def _file(name: str, path: str, info: os.stat_result | None) -> _Entry:
    """An entry that is no folder to be read. Raises UserError where an image file is too large to be one."""
    if info is None:
        return _Entry(name, path, BROKEN)
    if not stat.S_ISREG(info.st_mode):
        return _Entry(name, path, SPECIAL)
    entry = _Entry(name, path, _FILE)
    if info.st_size > archives.MOST_BYTES and not _reason(entry, name.split("/")):
        size = f"has {info.st_size:,} bytes; the limit for an image is {archives.MOST_BYTES:,}"
        raise UserError(f"{path} {size}", "remove it, or replace it by a smaller copy")
    return entry


def _members(root: Path, part: Part) -> Iterator[_Entry]:
    """Everything below a part of a zip file, whichever folders are around it."""
    found = archives.members(root)
    prefix = _prefix(root, [name for name, _ in found], part)
    for name, location in found:
        if name.startswith(f"{prefix}{part}/"):
            own = name.removeprefix(prefix)
            yield _Entry(own.rstrip("/"), location, _FOLDER if own.endswith("/") else _FILE)


def _prefix(root: Path, names: list[str], part: Part) -> str:
    """The folders around train/ (or test/) in an archive, with a slash at the end; empty where there are none.

    Raises UserError where two folders at the same level have one.
    """
    found: dict[str, set[str]] = {"train": set(), "test": set()}
    for name in names:
        parts = name.split("/")
        if not _hidden_part(parts[:-1]):
            for place, own in enumerate(parts[:-1]):
                if own in found:
                    found[own].add("/".join([*parts[:place], ""]))
                    break
    prefixes = found["train"] or found[part]
    least = min((prefix.count("/") for prefix in prefixes), default=0)
    shallow = sorted(prefix for prefix in prefixes if prefix.count("/") == least)
    if len(shallow) > 1:
        folders = ", ".join(f"{prefix}train/" for prefix in shallow[:3])
        raise UserError(f"{root} holds several data sets: {folders}", "pack each into a zip file of its own")
    return shallow[0] if shallow else ""
