"""Zip files of images: read member by member, never unpacked to disk, and refused where they are not plain files."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ablation.errors import UserError

MOST_BYTES = 256 * 2**20
"""Of one image file: far above any image, and far below the memory of a machine."""
LARGE, MOST_RATIO = 16 * 2**20, 500
"""A member above so many bytes must not be so many times as large as its compressed form: a blank bitmap may be."""
MOST_TOTAL, MOST_TOTAL_RATIO = 2**30, 200
"""The same for all members together; images hardly shrink when they are packed."""
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_HINT = "pack the images again, as plain files without a password"


def open_archive(path: Path) -> zipfile.ZipFile:
    """The zip file at `path`, open for reading. Raises UserError where it is damaged."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise UserError(f"{path} is a damaged zip file: {error}", _HINT) from None


def members(path: Path) -> list[tuple[str, str]]:
    """(name, name in the archive) of its files and folders, in the order of the archive; those of folders end in `/`.

    Names that Windows wrote with backslashes get slashes. Raises UserError where a member leads outside, is a link, is
    encrypted, occurs twice, or would fill the memory.
    """
    with open_archive(path) as archive:
        infos = archive.infolist()
    found: dict[str, str] = {}
    for info in infos:
        name = _portable(info.filename)
        if name.endswith("/"):
            found.setdefault(name, info.filename)
            continue
        fault = "occurs twice" if name in found else _fault(info, name)
        if fault:
            raise UserError(f"{path} is refused: its member {info.filename!r} {fault}", _HINT)
        found[name] = info.filename
    _refuse_bomb(path, infos)
    return list(found.items())


def _portable(name: str) -> str:
    name = name if "/" in name else name.replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return name


def _fault(info: zipfile.ZipInfo, name: str) -> str:
    """Why a member is not read; empty for a plain file."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return "leads outside of it"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link, or not a regular file"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in _READABLE:
        return f"is compressed by a method ({info.compress_type}) that cannot be read here"
    if info.file_size > MOST_BYTES:
        return f"has {info.file_size:,} bytes unpacked; the limit is {MOST_BYTES:,}"
    if info.file_size > max(LARGE, MOST_RATIO * info.compress_size):
        return f"unpacks from {info.compress_size:,} to {info.file_size:,} bytes, which no image does"
    return ""


def _refuse_bomb(path: Path, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Members may share their compressed bytes, so that each looks harmless."""
    total, size = sum(info.file_size for info in infos), path.stat().st_size
    if total > max(MOST_TOTAL, MOST_TOTAL_RATIO * size):
        raise UserError(f"{path} is refused: its {size:,} bytes unpack to {total:,}, which images do not", _HINT)


def read(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a member, no more than it declares. Raises UserError where it is damaged."""
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError) as error:
        raise UserError(f"{archive.filename} is damaged: {name!r} cannot be read ({error})", _HINT) from None
