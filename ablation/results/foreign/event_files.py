"""TensorBoard event files without TensorBoard: their scalars, and the hyperparameters of the HParams plugin.

A file is a sequence of records (TFRecord): length (uint64), masked CRC-32C of the length, that many bytes, their masked
CRC-32C. The bytes are an `Event` message. Sources: tensorflow/core/lib/io/record_writer.h; event.proto, summary.proto
and tensor.proto in tensorboard/compat/proto; tensorboard/plugins/hparams/plugin_data.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import ablation.results.foreign.wire as wire
from ablation._util.sanitize import read_file
from ablation.errors import UserError

_PREFIX = "events.out.tfevents."
_MOST_BYTES = 2**32
_LARGE = 2**16
"""Longer records are pictures, histograms or graphs: their checksum would take a second for each few megabytes."""
_HPARAMS = "hparams"
_SUCCESS, _FAILURE = 1, 2


class Point(NamedTuple):
    """A value of a metric, and the step (or epoch, or number of the line) at which it was logged."""

    step: int
    value: float


Series = dict[str, list[Point]]
"""Metric -> its values in the order in which they were logged."""


@dataclass
class EventLog:
    """What the event files of one folder hold."""

    series: Series = field(default_factory=dict)
    parameters: dict[str, object] = field(default_factory=dict)
    """Those that the HParams plugin wrote."""
    ended: str = ""
    """`success` or `failure`, where the HParams plugin says how the session ended."""
    started: float = 0.0
    """Seconds since 1970 of the first event."""


def event_files(folder: Path) -> list[Path]:
    """The event files that lie in a folder itself, the earliest first."""
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_file())


def read_events(path: Path) -> EventLog:
    """What an event file holds, or all those of a folder together; a later value of the same step replaces the first.

    The last record may be cut off, as of a run that was killed. Raises UserError for a damaged record, with its place.
    """
    log = EventLog()
    for file in event_files(path) if path.is_dir() else [path]:
        for offset, record in _records(file):
            try:
                _read_event(record, log)
            except (wire.WireError, struct.error) as error:
                raise _damaged(file, offset, str(error)) from None
    log.series = {name: by_step(points) for name, points in log.series.items()}
    return log


def by_step(points: list[Point]) -> list[Point]:
    """One value for each step, in order: the last one that was logged, as a run that was resumed repeats steps."""
    return [Point(step, value) for step, value in sorted(dict(points).items())]


def _records(path: Path) -> Iterator[tuple[int, bytes]]:
    """The complete records of a file with their places."""
    data = read_file(path, _MOST_BYTES)
    place = 0
    while place + 12 <= len(data):
        (size,) = struct.unpack_from("<Q", data, place)
        if _masked(data[place : place + 8]) != struct.unpack_from("<I", data, place + 8)[0]:
            raise _damaged(path, place, "the checksum of its length is wrong")
        start, end = place + 12, place + 12 + size
        if end + 4 > len(data):
            return
        if size <= _LARGE and _masked(data[start:end]) != struct.unpack_from("<I", data, end)[0]:
            raise _damaged(path, place, "its checksum is wrong")
        yield place, data[start:end]
        place = end + 4


def _damaged(path: Path, place: int, why: str) -> UserError:
    hint = "copy it again from where it was written, or take it out of the folder"
    return UserError(f"{path}: the record at byte {place:,} is damaged: {why}", hint)


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def _masked(data: bytes) -> int:
    """The masked CRC-32C (Castagnoli, reflected 0x82F63B78) of some bytes, as TFRecord stores it."""
    crc, table = 0xFFFFFFFF, _CRC_TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _read_event(event: bytes, log: EventLog) -> None:
    """`Event`: wall_time = 1, step = 2, summary = 5."""
    step, time, summaries = 0, 0.0, []
    for number, _, value in wire.fields(event):
        if number == 1 and isinstance(value, bytes):
            time = wire.float64(value)
        elif number == 2 and isinstance(value, int):
            step = wire.signed(value)
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    log.started = log.started or time
    for summary in summaries:
        for value in wire.parts(summary, 1):
            _read_value(value, step, log)


def _read_value(message: bytes, step: int, log: EventLog) -> None:
    """`Summary.Value`: tag = 1, simple_value = 2, tensor = 8, metadata = 9 {plugin_data = 1 {name = 1, content = 2}}.

    Anything but a scalar or hyperparameters is skipped.
    """
    tag, number_, tensor, plugin = "", None, b"", b""
    for number, kind, value in wire.fields(message):
        if number == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif number == 2 and kind == wire.FIXED32 and isinstance(value, bytes):
            number_ = wire.float32(value)
        elif number == 8 and isinstance(value, bytes):
            tensor = value
        elif number == 9 and isinstance(value, bytes):
            plugin = b"".join(wire.parts(value, 1)[-1:])
    if plugin and wire.text(plugin, 1) == _HPARAMS:
        _read_hparams(b"".join(wire.parts(plugin, 2)[-1:]), log)
        return
    scalar = number_ if number_ is not None else _scalar(tensor) if tensor else None
    if scalar is not None:
        log.series.setdefault(tag, []).append(Point(step, scalar))


_NUMBERS: Mapping[int, tuple[str, int]] = {1: ("f", 5), 2: ("d", 6), 3: ("i", 7), 9: ("q", 10), 19: ("e", 13)}
"""DataType -> how its bytes are read, and the field of `TensorProto` that holds its values one by one."""


def _scalar(tensor: bytes) -> float | None:
    """The number in a tensor of one element; None for any other. dtype = 1, tensor_shape = 2, tensor_content = 4."""
    dtype, sizes, content, values = 0, list[int](), b"", list[int | bytes]()
    for number, _, value in wire.fields(tensor):
        if number == 1 and isinstance(value, int):
            dtype = value
        elif number == 2 and isinstance(value, bytes):
            sizes = [wire.whole(dim, 1) for dim in wire.parts(value, 2)]
        elif number == 4 and isinstance(value, bytes):
            content = value
        elif dtype in _NUMBERS and number == _NUMBERS[dtype][1]:
            values.append(value)
    if dtype not in _NUMBERS or any(size != 1 for size in sizes):
        return None
    code = _NUMBERS[dtype][0]
    if content:
        return float(struct.unpack(f"<{code}", content)[0])
    if len(values) != 1:
        return None if values else 0.0
    return _listed(values[0], code)


def _listed(value: int | bytes, code: str) -> float | None:
    """The only value of a list, which is packed or not."""
    if code in "fd" and isinstance(value, bytes):
        return float(struct.unpack(f"<{code}", value)[0])
    if isinstance(value, bytes):
        value, _ = wire.varint(value, 0)
    if code == "e":
        return float(struct.unpack("<e", struct.pack("<H", value))[0])
    return float(wire.signed(value))


def _read_hparams(content: bytes, log: EventLog) -> None:
    """`HParamsPluginData`: session_start_info = 3 {hparams = 1}, session_end_info = 4 {status = 1}."""
    for number, _, value in wire.fields(content):
        if number == 3 and isinstance(value, bytes):
            for entry in wire.parts(value, 1):
                log.parameters[wire.text(entry, 1)] = _parameter(b"".join(wire.parts(entry, 2)[-1:]))
        elif number == 4 and isinstance(value, bytes):
            status = wire.whole(value, 1)
            log.ended = {_SUCCESS: "success", _FAILURE: "failure"}.get(status, "")


def _parameter(message: bytes) -> object:
    """`google.protobuf.Value`: number_value = 2, string_value = 3, bool_value = 4; anything else is None."""
    for number, _, value in wire.fields(message):
        if number == 2 and isinstance(value, bytes):
            found = wire.float64(value)
            return int(found) if found.is_integer() and abs(found) < 2**53 else found
        if number == 3 and isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if number == 4:
            return bool(value)
    return None
