"""One run folder at two places: trained in at one, kept at the other. What changes there is written here, in order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ablation._util.files import replace
from ablation.storage.store import RunFolder, share

FILES = (
    "config.json", "epochs.jsonl", "predictions.npz", "best.pt", "last.pt", "state.pickle", "log.txt", "run.json",
)  # fmt: skip
"""In the order in which they are written. A resumed run goes by `last.pt`, and `run.json` declares the end: what they
speak of stands before them, so that the copy can be gone on with whichever file was the last to arrive."""


class Mirror:
    """Follows what changes in a run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, int, int]] = {}

    def changes(self) -> dict[str, bytes]:
        """The content of the files that are new or changed since the last call, in the order in which to write them.

        Checkpoints that were moved aside as unreadable come first.
        """
        unreadable = sorted(path.name for path in self._folder.path.glob("*.unreadable*"))
        found: dict[str, bytes] = {}
        for path in (self._folder.path / name for name in (*unreadable, *FILES)):
            if path.exists() and self._seen.get(path.name) != (stamp := _stamp(path)):
                self._seen[path.name] = stamp
                found[path.name] = path.read_bytes()
        return found


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def contents(folder: RunFolder) -> dict[str, bytes]:
    """What another place needs to go on with a run."""
    return {name: (folder.path / name).read_bytes() for name in FILES if (folder.path / name).exists()}


def write(folder: RunFolder, files: Mapping[str, bytes]) -> None:
    """Put changed files into their places, one after another; each is replaced whole."""
    for name, content in files.items():
        if name == "run.json":
            folder.failure_file.unlink(missing_ok=True)
        replace(folder.path / name, lambda file, content=content: file.write(content), durable=name == "run.json")  # type: ignore[misc]
        if name == "last.pt" and files.get("best.pt") == content:
            share(folder.last, folder.best)
