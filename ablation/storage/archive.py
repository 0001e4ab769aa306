"""One file that holds a study: a ZIP archive with the SHA-256 of each of its files, and of itself as a whole.

Its members are stored, not compressed: nothing in it can grow, and the same files give the same bytes whatever
compression library is installed.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from ablation._util.files import replace
from ablation._util.strict_json import parse
from ablation.errors import UserError
from ablation.storage.sealed import FileStamp, seal, stamp, typed, verify
from ablation.storage.store import is_folder_name

ENDING = ".ablation"
VERSION = 1
_INDEX = "index.json"
_BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX, _REGULAR_FILE = 3, 0o100644 << 16
_MARK = b"ablation archive 1, SHA-256 "
_COMMENT = len(_MARK) + 64
_CHUNK = 1 << 20
_COPY = "copy the archive again, or export the study again"


@dataclass(frozen=True)
class Index:
    """What an archive holds: the study, whether it has all files of its runs, and each file by its name."""

    study: str
    complete: bool
    files: Mapping[str, FileStamp]


def write_archive(path: Path, study: str, files: Mapping[str, Path | bytes], *, complete: bool) -> Index:
    """Write `files` (name -> where it is, or its content) into an archive at `path`, which is replaced as a whole.

    Files of equal content are stored once. Raises UserError where a file changes meanwhile, and StorageError.
    """
    stamps = {name: _stamp(files[name]) for name in sorted(files)}
    index = Index(study, complete, stamps)
    content = {"schema_version": VERSION, **asdict(index)}
    text = json.dumps(seal(content), indent=1, sort_keys=True).encode()

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.comment = b"0" * _COMMENT
            _add(archive, _INDEX, text, len(text))
            for name in _places(index).values():
                if _add(archive, name, files[name], stamps[name].bytes) != stamps[name].sha256:
                    raise UserError(f"{name} has changed while it was archived", "export the study again")
        file.flush()
        file.seek(-_COMMENT, 2)
        file.write(_comment(Path(file.name)))

    replace(path, write, durable=True)
    return index


def _stamp(content: Path | bytes) -> FileStamp:
    if isinstance(content, Path):
        return stamp(content)
    return FileStamp(len(content), hashlib.sha256(content).hexdigest())


def _places(index: Index) -> dict[str, str]:
    """SHA-256 -> the name under which a content is stored: the first one that has it."""
    return {own.sha256: name for name, own in sorted(index.files.items(), reverse=True)}


def _add(archive: zipfile.ZipFile, name: str, content: Path | bytes, size: int) -> str:
    """Store a member; the SHA-256 of what was stored."""
    info = zipfile.ZipInfo(name, _BEGINNING_OF_TIME)
    info.create_system, info.external_attr, info.file_size = _UNIX, _REGULAR_FILE, size
    digest = hashlib.sha256()
    with archive.open(info, "w", force_zip64=size >= 2**31) as member:
        for part in [content] if isinstance(content, bytes) else _parts(content):
            digest.update(part)
            member.write(part)
    return digest.hexdigest()


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            yield part


def _comment(path: Path) -> bytes:
    """The comment of an archive: the SHA-256 of all that is before it."""
    digest, left = hashlib.sha256(), path.stat().st_size - _COMMENT
    with path.open("rb") as file:
        while left > 0 and (part := file.read(min(_CHUNK, left))):
            digest.update(part)
            left -= len(part)
    return _MARK + digest.hexdigest().encode()


@dataclass(frozen=True)
class Archive:
    """An archive that is as it was written, and is open."""

    index: Index
    _zip: zipfile.ZipFile

    def extract(self, name: str, target: Path) -> None:
        """Write a file of the archive to `target`. Raises UserError where it is not the one in the index."""
        digest = hashlib.sha256()
        place = _places(self.index)[self.index.files[name].sha256]
        with _reading(name), self._zip.open(place) as member, target.open("xb") as file:
            while part := member.read(_CHUNK):
                digest.update(part)
                file.write(part)
        if digest.hexdigest() != self.index.files[name].sha256:
            raise UserError(f"{name} in the archive is not the file that was exported", _COPY)


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive for reading.

    Raises UserError for a file that is no archive of ours, that has changed since it was written, or that holds
    anything but the plain files of its index.
    """
    if not path.is_file():
        raise UserError(f"there is no archive {path}", "`ablate export STUDY` writes one")
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _COMMENT))
        comment = file.read()
    if not comment.startswith(_MARK):
        raise UserError(f"{path} is no archive of a study, or its end is missing", _COPY)
    if comment != _comment(path):
        raise UserError(f"{path} is not what was exported: its SHA-256 does not match", _COPY)
    with _reading(str(path)), zipfile.ZipFile(path) as archive:
        index = _read_index(archive, path)
        _check_members(archive, index, path)
        yield Archive(index, archive)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn whatever a crafted archive makes of its reader into a UserError."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        struct.error,
    ) as error:
        raise UserError(f"{what} cannot be read: {error}", _COPY) from None


def _read_index(archive: zipfile.ZipFile, path: Path) -> Index:
    what = f"{_INDEX} in {path}"
    info = archive.getinfo(_INDEX)
    if info.compress_type != zipfile.ZIP_STORED:
        raise UserError(f"{what} is compressed", _COPY)
    values = parse(archive.read(_INDEX), what, _COPY)
    if values.get("schema_version") != VERSION:
        raise UserError(f"{what} has version {values.get('schema_version')!r}", "update ablation-lab to read it")
    verify(values, what, _COPY)
    return typed(Index, values, what, _COPY)


def _check_members(archive: zipfile.ZipFile, index: Index, path: Path) -> None:
    """Raise UserError unless the members are the files of the index, each a plain one that leads nowhere else."""
    for name in index.files:
        if not all(map(is_plain_name, name.split("/"))):
            raise UserError(f"{path} has a file that leads elsewhere: {name!r}", "do not use it")
    expected = {name: index.files[name].bytes for name in _places(index).values()}
    infos = [info for info in archive.infolist() if info.filename != _INDEX]
    if sorted(info.filename for info in infos) != sorted(expected) or len(archive.infolist()) != len(infos) + 1:
        raise UserError(f"{path} does not hold the files of its index", "do not use it")
    for info in infos:
        plain = (info.compress_type, info.external_attr) == (zipfile.ZIP_STORED, _REGULAR_FILE)
        if not plain or info.file_size != expected[info.filename]:
            raise UserError(f"{info.filename} in {path} is not a regular file", "do not use it")
    if sum(expected.values()) > path.stat().st_size:
        raise UserError(f"the files of {path} would be larger than it is", "do not use it")


def is_plain_name(part: str) -> bool:
    """Whether a part of a file's name is one on every system."""
    return is_folder_name(part) and part.isprintable() and ":" not in part
