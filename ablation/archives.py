"""Zip files of images: read member by member, never unpacked to disk, and refused where they are not plain files."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ablation.errors import UserError

MOST_BYTES = 256 * 2**20
"""Of one member, unpacked: far above any image, and far below the memory of a machine."""
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_MEND = "pack the images anew, as plain files without a password"


def open_archive(path: Path) -> zipfile.ZipFile:
    """The zip file at `path`, open for reading. Raises UserError where it is damaged."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UserError(f"{path} is a damaged zip file: {error}", _MEND) from None


def members(path: Path) -> Iterator[tuple[str, str]]:
    """(name below the root, name in the archive) of its files; a single folder around everything is the root.

    Raises UserError where a member leads outside, is a link, is locked, stands twice, or would fill the memory.
    """
    with open_archive(path) as archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
    seen: set[str] = set()
    for info in files:
        fault = "stands in it twice" if info.filename in seen else _fault(info)
        if fault:
            raise UserError(f"{path} is refused: its member {info.filename!r} {fault}", _MEND)
        seen.add(info.filename)
    tops = {info.filename.partition("/")[0] for info in files}
    wrapped = len(tops) == 1 and not tops & {"train", "test"}
    for info in files:
        yield (info.filename.partition("/")[2] if wrapped else info.filename), info.filename


def _fault(info: zipfile.ZipInfo) -> str:
    """Why a member is not read; empty for a plain file."""
    path = PurePosixPath(info.filename)
    if path.is_absolute() or ".." in path.parts:
        return "leads outside of it"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link, or no plain file"
    if info.flag_bits & 1:
        return "is locked by a password"
    if info.compress_type not in _READABLE:
        return f"is compressed by a method ({info.compress_type}) that cannot be read here"
    if info.file_size > MOST_BYTES:
        return f"has {info.file_size:,} bytes unpacked; the limit is {MOST_BYTES:,}"
    return ""


def read(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a member, no more than it declares. Raises UserError where it is damaged."""
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError) as error:
        raise UserError(f"{archive.filename} is damaged: {name!r} cannot be read ({error})", _MEND) from None
