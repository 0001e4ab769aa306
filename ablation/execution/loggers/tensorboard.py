"""TensorBoard: one event file for each run, with its epochs as scalars and its options for the HParams page."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from ablation._util.hashing import slug
from ablation.execution.loggers.base import End, Row, RunInfo

_END = metadata.SESSION_END_INFO_TAG.encode()
"""The tag of the last event of a run that is there to its end."""


class TensorBoardLogger:
    """Writes `<folder>/<study>/<variant>-s<seed>/events.out.tfevents.<time>.ablation.<key>`.

    A run that goes on gets a new file with all its rows, which replaces the one before: no epoch is in it twice. It
    begins with the mark by which a TensorBoard that is open forgets what it has read of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[Path, RecordWriter] = {}

    def open(self, run: RunInfo, rows: Sequence[Row]) -> None:
        """Write a file with these rows, and remove those of earlier commands."""
        place = self._place(run)
        self._close(place)
        place.mkdir(parents=True, exist_ok=True)
        before = list(_files(place))
        writer = RecordWriter((place / f"events.out.tfevents.{time.time_ns()}.ablation.{run.key}").open("xb"))
        self._writers[place] = writer
        began = rows[0].time if rows else time.time()
        _write(writer, Event(wall_time=began, file_version="brain.Event:2"))
        _write(writer, Event(wall_time=began, step=1, session_log=SessionLog(status=SessionLog.START)))
        options = {**run.options, "variant": run.variant, "seed": run.seed}
        summary = hparams_pb({name: _hparam(value) for name, value in options.items()}, start_time_secs=began)
        _write(writer, Event(wall_time=began, summary=summary))
        for row in rows:
            _write(writer, _scalars(row.values, row.epoch, row.time))
        writer.flush()
        for path in before:
            path.unlink()

    def add(self, run: RunInfo, row: Row) -> None:
        """Add the next row, and flush it."""
        writer = self._writers[self._place(run)]
        _write(writer, _scalars(row.values, row.epoch, row.time))
        writer.flush()

    def finish(self, run: RunInfo, end: End) -> None:
        """Add the final metrics and the end of the session."""
        writer = self._writers[self._place(run)]
        _write(writer, _scalars(end.metrics, end.epochs, end.time))
        _write(writer, _session_end(end))
        self._close(self._place(run))

    def suspend(self, run: RunInfo, why: Literal["failed", "stopped"]) -> None:
        """Close the file."""
        self._close(self._place(run))

    def missing(self, ended: Sequence[tuple[RunInfo, End]]) -> list[tuple[RunInfo, End]]:
        """Those whose file lacks the end of the session or a final metric."""
        return [(run, end) for run, end in ended if not self._has(run, end)]

    def _has(self, run: RunInfo, end: End) -> bool:
        files = [path for path in _files(self._place(run)) if path.name.endswith(f".{run.key}")]
        content = files[0].read_bytes() if len(files) == 1 else b""
        return _END in content and all(Summary.Value(tag=name).SerializeToString() in content for name in end.metrics)

    def _place(self, run: RunInfo) -> Path:
        return self._folder / slug(run.study) / f"{_folder_name(run.variant)}-s{run.seed}"

    def _close(self, place: Path) -> None:
        writer = self._writers.pop(place, None)
        if writer:
            writer.close()


def _files(place: Path) -> list[Path]:
    """The event files that were written here, the oldest first."""
    return sorted(place.glob("events.out.tfevents.*.ablation.*"))


def _folder_name(variant: str) -> str:
    """The name of a variant where it can be that of a folder on any system, as `dropout=0.5`; else a slug of it."""
    plain = re.fullmatch(r"[\w=+-][\w=+., -]{0,79}", variant, re.ASCII)
    return variant if plain else slug(variant)


def _write(writer: RecordWriter, event: Event) -> None:
    writer.write(event.SerializeToString())


def _scalars(values: Mapping[str, float], step: int, wall_time: float) -> Event:
    own = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
    return Event(wall_time=wall_time, step=step, summary=Summary(value=own))


def _session_end(end: End) -> Event:
    """The event by which the HParams page knows that a run is over."""
    status = api_pb2.STATUS_SUCCESS if end.status in ("finished", "diverged") else api_pb2.STATUS_FAILURE
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=end.time)
    content = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=info))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=content, tensor=metadata.NULL_TENSOR)
    return Event(wall_time=end.time, summary=Summary(value=[value]))


def _hparam(value: object) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)
