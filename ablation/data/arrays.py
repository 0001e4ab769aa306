"""A prepared data set as arrays, in its folder or on its way to another machine, and never other than it was written.

The folder holds a file for each array, the names of the images, and `meta.json` with the length and SHA-256 of each.
No torch here.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from ablation._util.files import replace, write_json, writing
from ablation._util.hashing import canonical_json, file_sha256
from ablation._util.strict_json import parse
from ablation.data.summary import DataSummary
from ablation.errors import StorageError, UnreadableError, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ARRAYS = ("images", "labels", "sums", "twins")
_IMAGES, _UNFINISHED = "images.npy", ".preparing-"
_META, _NAMES, _VERIFIED = "meta.json", "names.json", "verified.json"


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images (n, height, width, channels) as uint8, labels (n,) as int64, the names of the classes.

    And of each image the sums of its pixels and their squares (n, channels, 2), and the first that is the same (n,).
    `summary` says what was read of an image folder.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    sums: NDArray[np.int64]
    twins: NDArray[np.int64]
    summary: DataSummary | None = None
    digest: str = ""
    """What tells this data set from others; empty where it was not read from a folder."""


class DamagedError(UserError):
    """Prepared data that are not what was written; they are prepared again from their source.

    `earlier`: nothing says what was written, since a version without digests wrote them.
    """

    def __init__(self, folder: Path, fault: str, *, earlier: bool = False) -> None:
        super().__init__(f"the decoded images in {folder} are damaged: {fault}", "run again: they are decoded again")
        self.folder, self.fault, self.earlier = folder, fault, earlier

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.folder, self.fault)


class Writer:
    """Writes a data set into an empty folder, images as they come, so that it survives a loss of power.

    `shape` is that of all images, (n, height, width, channels). A context manager. Raises StorageError.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int, int]) -> None:
        import numpy as np

        self._folder, self._sha = folder, hashlib.sha256()
        header = io.BytesIO()
        values = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, values)
        with writing(folder):
            self._file = (folder / _IMAGES).open("xb")
            self._write(header.getbuffer())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, images: NDArray[np.uint8]) -> None:
        """Write the next images, (count, height, width, channels)."""
        with writing(self._folder):
            self._write(images.data.cast("B"))

    def _write(self, content: memoryview) -> None:
        self._file.write(content)
        self._sha.update(content)

    def finish(self, about: Mapping[str, NDArray[Any]], names: Sequence[str], meta: Mapping[str, Any]) -> None:
        """Write what belongs to the images: the arrays `about` them by name, their names, classes and summary."""
        import numpy as np

        folder = self._folder
        with writing(folder):
            self._file.flush()
            os.fsync(self._file.fileno())
        for name, array in about.items():
            replace(folder / f"{name}.npy", lambda file, a=array: np.save(file, a, allow_pickle=False), durable=True)  # type: ignore[misc]
        replace(folder / _NAMES, lambda file: file.write(json.dumps(list(names)).encode()), durable=True)
        digests = {name: self._sha.hexdigest() if name == _IMAGES else file_sha256(folder / name) for name in _files()}
        files = {name: {"bytes": (folder / name).stat().st_size, "sha256": own} for name, own in digests.items()}
        meta = {**meta, "files": files}
        write_json(folder / _META, {**meta, "digest": _digest(meta)}, durable=True)
        _remember(folder, _stamps(folder))


@contextmanager
def new_folder(cache: Path) -> Iterator[Path]:
    """An empty folder in `cache` to prepare data in, by the holder of its `preparing_lock`; removed at the end.

    What killed processes left of theirs is removed first. Raises StorageError.
    """
    with writing(cache):
        cache.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(cache)
        temporary = Path(tempfile.mkdtemp(dir=cache, prefix=_UNFINISHED))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def preparing_lock(cache: Path) -> FileLock:
    """The lock of whoever prepares data in `cache`: one process at a time, since it uses all cores and much disk."""
    return FileLock(cache.with_name(f"{cache.name}.lock"))


def remove_unfinished(cache: Path) -> None:
    """Remove what a killed process left half prepared, unless another process is preparing there."""
    if any(cache.glob(f"{_UNFINISHED}*")):
        with suppress(Timeout), preparing_lock(cache).acquire(timeout=0):
            _remove_unfinished(cache)


def _remove_unfinished(cache: Path) -> None:
    for left in cache.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def unfinished_bytes(cache: Path) -> int:
    """How much has been written of the images that are being prepared in `cache`."""
    with suppress(OSError):
        return sum(path.stat().st_size for path in cache.glob(f"{_UNFINISHED}*/{_IMAGES}"))
    return 0


def read_arrays(folder: Path) -> Arrays:
    """Map the arrays of a prepared data set into memory: its pages are shared by all processes that do so.

    Raises DamagedError where they are not what was written.
    """
    import numpy as np

    meta = verify(folder)
    try:
        images = np.load(folder / _IMAGES, mmap_mode="c", allow_pickle=False)
        labels, sums, twins = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS[1:])
        summary = DataSummary.from_json(meta["summary"]) if meta["summary"] else None
        return Arrays(np.asarray(images), labels, tuple(meta["classes"]), sums, twins, summary, _digest(meta))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(folder, str(error)) from None


def refuse_changed(prepared: Path, folder: Path) -> None:
    """Raise UserError where code has made other data than when `folder` was prepared first, which is on record.

    The record is next to the folder of all prepared data, which may be deleted; by the holder of its `preparing_lock`.
    """
    record = folder.parent.with_name(f"{folder.parent.name}-digests.json")
    known: dict[str, Any] = {}
    if record.exists():
        known = parse(record.read_bytes(), str(record), "delete it: it is written again")
    meta = _read_meta(prepared)
    content = {name: meta["files"][name]["sha256"] for name in (_IMAGES, "labels.npy")}
    digest = _digest({**content, "classes": meta["classes"]})
    if known.get(folder.name, digest) != digest:
        message = f"the images or labels of {folder.name} have changed, although its code and options have not"
        hint = (
            "return the same data at each call: seed its random numbers, and put changed files back; "
            "data that have changed on purpose get an option of their own, for example options: {version: 2}"
        )
        raise UserError(message, hint)
    write_json(record, {**known, folder.name: digest}, durable=True)


def read_names(folder: Path) -> list[str]:
    """The names of the images of a prepared data set, in their order. Raises DamagedError."""
    verify(folder)
    names: list[str] = json.loads((folder / _NAMES).read_bytes())
    return names


def verify(folder: Path) -> dict[str, Any]:
    """The meta data of a prepared data set whose files are those that were written.

    Their digests are computed once, and again where the system says that a file was touched since. Raises
    DamagedError.
    """
    meta = _read_meta(folder)
    try:
        stamps = _stamps(folder)
        if _remembered(folder) == stamps:
            return meta
        for name in _files():
            known, path = meta["files"][name], folder / name
            if path.stat().st_size != known["bytes"]:
                raise DamagedError(folder, f"{name} has {path.stat().st_size:,} bytes instead of {known['bytes']:,}")
            if file_sha256(path) != known["sha256"]:
                raise DamagedError(folder, f"{name} is not what was written")
    except (OSError, KeyError, TypeError) as error:
        raise DamagedError(folder, str(error)) from None
    with suppress(StorageError):  # where nothing can be written, the next process verifies the files again
        _remember(folder, stamps)
    return meta


def _read_meta(folder: Path) -> dict[str, Any]:
    try:
        meta = parse((folder / _META).read_bytes(), _META)
    except OSError as error:
        raise DamagedError(folder, f"{_META} cannot be read ({error})") from None
    except UnreadableError as error:
        raise DamagedError(folder, error.message) from None
    digest = meta.pop("digest", None)
    if digest is None:
        raise DamagedError(folder, "they have no digests to verify them by", earlier=True)
    if digest != _digest(meta):
        raise DamagedError(folder, f"{_META} is not what was written")
    return meta


def _files() -> list[str]:
    return [*(f"{name}.npy" for name in _ARRAYS), _NAMES]


def _digest(meta: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(meta).encode()).hexdigest()


def _stamps(folder: Path) -> dict[str, list[int]]:
    """What the system says of each file; any write changes it, whatever the time of modification is set to."""
    stats = {name: (folder / name).stat() for name in _files()}
    return {name: [s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for name, s in stats.items()}


def _remembered(folder: Path) -> object:
    """The stamps of the files when their digests were last computed; None where that is not known."""
    try:
        return json.loads((folder / _VERIFIED).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _remember(folder: Path, stamps: Mapping[str, list[int]]) -> None:
    replace(folder / _VERIFIED, lambda file: file.write(json.dumps(stamps).encode()))
