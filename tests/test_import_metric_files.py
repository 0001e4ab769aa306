"""Metrics as training code writes them, read value by value; what is damaged is named with its place."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from ablation.errors import UserError
from ablation.results.foreign.event_files import _masked, read_events
from ablation.results.foreign.metric_files import (
    Point,
    find_metrics,
    json_lines,
    lightning_csv,
    printed,
    tensorboard,
    trainer_state,
)

from .logged_runs import RUNS


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def error(read, path: Path) -> str:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError) as caught:
        read(path)
    return str(caught.value)


def test_json_lines_are_read_by_step_with_nested_names_and_what_is_not_finite(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.jsonl",
        '{"step": 10, "epoch": 1, "loss": 0.5, "val": {"acc": 0.8}, "tag": "a", "ok": true, "lr": null}\n'
        '\n{"step": 20, "epoch": 2, "loss": NaN, "val": {"acc": 1}}\n',
    )
    found = json_lines(path)
    assert {name: points for name, points in found.items() if name != "loss"} == {
        "epoch": [(10, 1.0), (20, 2.0)],
        "val.acc": [(10, 0.8), (20, 1.0)],
    }
    assert found["loss"][0] == Point(10, 0.5)
    assert math.isnan(found["loss"][1].value)


@pytest.mark.parametrize(
    ("lines", "steps"),
    [
        ('{"epoch": 1, "a": 1}\n{"epoch": 2, "a": 2}\n', [1, 2]),
        ('{"a": 1}\n{"a": 2}\n{"a": 3}', [1, 2, 3]),
        ('{"step": 5, "a": 1}\n{"step": 5, "a": 2}\n{"step": 3, "a": 3}\n', [3, 5]),
    ],
    ids=["the epoch", "the number of the row", "a step that is logged again counts once"],
)
def test_rows_without_a_step_are_read_by(lines: str, steps: list[int], tmp_path: Path) -> None:
    assert [point.step for point in json_lines(write(tmp_path / "m.jsonl", lines))["a"]] == steps


def test_a_last_line_that_was_cut_off_is_left_out_and_any_other_is_an_error_with_its_line(tmp_path: Path) -> None:
    assert json_lines(write(tmp_path / "m.jsonl", '{"a": 1}\n{"a": 2')) == {"a": [(1, 1.0)]}
    message = error(json_lines, write(tmp_path / "m.jsonl", '{"a": 1}\n{"a": \n{"a": 3}\n'))
    assert "m.jsonl:2:" in message
    assert "m.jsonl:2:1: this is not a JSON object" in error(json_lines, write(tmp_path / "m.jsonl", '{"a": 1}\n[1]\n'))


def test_the_state_of_the_last_checkpoint_of_a_trainer_has_the_whole_history(tmp_path: Path) -> None:
    history = [{"epoch": 1.0, "step": 8, "loss": 0.7}, {"epoch": 1.0, "step": 8, "eval_acc": 0.5, "eval_loss": 0.6}]
    later = [*history, {"epoch": 2.0, "step": 16, "eval_acc": 0.75}]
    for step, rows in ((8, history), (16, later)):
        write(tmp_path / f"checkpoint-{step}" / "trainer_state.json", json.dumps({"log_history": rows}))
    found = trainer_state(tmp_path)
    assert found["eval_acc"] == [(8, 0.5), (16, 0.75)]
    assert found["loss"] == [(8, 0.7)]
    assert "it has no log_history" in error(trainer_state, write(tmp_path / "trainer_state.json", "{}"))


def test_the_csv_of_lightning_has_empty_cells_where_a_metric_was_not_logged(tmp_path: Path) -> None:
    text = "epoch,step,train_loss,val_acc\n0,9,0.7,\n0,9,,0.5\n1,19,nan,\n1,19,,0.75\n"
    found = lightning_csv(write(tmp_path / "metrics.csv", text))
    assert found["val_acc"] == [(9, 0.5), (19, 0.75)]
    assert found["epoch"] == [(9, 0.0), (19, 1.0)]
    assert math.isnan(found["train_loss"][1].value)
    message = error(lightning_csv, write(tmp_path / "metrics.csv", "a,b\n1\n2,3\n"))
    assert "metrics.csv:2:1: 1 cell in this row, 2 in the header" in message


def test_files_that_lightning_and_the_trainer_of_transformers_wrote_are_read_value_by_value(logged: Path) -> None:
    values = RUNS[1].values
    found = lightning_csv(logged / "lightning" / "v" / "metrics.csv")
    assert found == {
        "train_loss": [(10 * epoch + 5, 1 - value) for epoch, value in enumerate(values)],
        "val_acc": [(10 * epoch + 9, value) for epoch, value in enumerate(values)],
        "epoch": [(10 * epoch + 9, float(epoch)) for epoch in range(3)],
    }
    found = trainer_state(logged / "trainer")
    assert found["eval_acc"] == [(10 * epoch + 10, value) for epoch, value in enumerate(values)]
    state = find_metrics(logged / "trainer")
    assert state
    assert (state.kind, state.series) == ("trainer_state.json", found)


PRINTED = """\
2026-11-27 12:30:05 INFO:root:device: cuda:0
lr=1e-3 epochs: 3
Epoch 1/3 | train_loss: 0.71  val_acc = 0.5
Epoch 2/3 | train_loss: nan  val_acc=62.5%
Train accuracy: 0.9, Val accuracy: 0.8
see http://127.0.0.1:8080 and C:1x
final score: -1.5e-2
"""


def test_printed_pairs_are_found_anywhere_in_a_line_with_the_epoch_that_the_output_names() -> None:
    found = printed(PRINTED)
    loss = found.pop("train_loss")
    assert loss[0] == (1, 0.71)
    assert math.isnan(loss[1].value)
    assert found == {
        "lr": [(1, 0.001)],
        "epochs": [(1, 3.0)],
        "val_acc": [(1, 0.5), (2, 62.5)],
        "Train_accuracy": [(2, 0.9)],
        "Val_accuracy": [(2, 0.8)],
        "score": [(2, -0.015)],
    }
    assert printed("a: 1\ra: 2\na: 3\n") == {"a": [(1, 1.0), (2, 2.0), (3, 3.0)]}


def test_the_first_kind_of_metric_file_in_the_folder_of_a_run_counts(tmp_path: Path) -> None:
    assert find_metrics(tmp_path) is None
    write(tmp_path / "logs" / "metrics.csv", "step,a\n1,2\n")
    found = find_metrics(tmp_path)
    assert found
    assert (found.kind, found.series) == ("metrics.csv", {"a": [(1, 2.0)]})
    write(tmp_path / "metrics.jsonl", '{"a": 3}\n')
    found = find_metrics(tmp_path)
    assert found
    assert (found.kind, found.path.name) == ("json lines", "metrics.jsonl")


def test_scalars_of_summary_writer_are_those_that_were_written(tmp_path: Path) -> None:
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        for step in range(300):
            writer.add_scalar("loss/train", 1 / (step + 1), step)
        writer.add_scalar("double", math.pi, 2**40, new_style=True, double_precision=True)
        writer.add_scalar("nan", math.nan, 7)
        writer.add_text("note", "no scalar", 1)
        writer.add_histogram("weights", np.array([1.0, 2.0]), 1)
    found = tensorboard(tmp_path)
    assert set(found) == {"loss/train", "double", "nan"}
    assert found["double"] == [(2**40, math.pi)]
    assert math.isnan(found["nan"][0].value)
    expected = [(step, struct.unpack("f", struct.pack("f", 1 / (step + 1)))[0]) for step in range(300)]
    assert found["loss/train"] == expected


def test_tensors_of_every_numeric_type_are_scalars_if_they_have_one_element(tmp_path: Path) -> None:
    import numpy as np
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    values = {
        "float": np.float32(0.1), "double": np.float64(0.1), "int32": np.int32(-3), "int64": np.int64(-(2**40)),
        "half": np.float16(0.1), "zero": np.float32(0), "one": np.array([[2.5]], np.float32),
        "vector": np.zeros(3, np.float32), "text": np.array(b"x"),
    }  # fmt: skip
    writer = EventFileWriter(str(tmp_path))
    for tag, value in values.items():
        summary = Summary(value=[Summary.Value(tag=tag, tensor=make_tensor_proto(value))])
        writer.add_event(Event(step=1, wall_time=5.0, summary=summary))
    writer.close()
    found = {tag: points[0].value for tag, points in tensorboard(tmp_path).items()}
    assert found == {tag: float(np.ravel(values[tag])[0]) for tag in values if tag not in ("vector", "text")}


def events(folder: Path, count: int) -> Path:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        for step in range(count):
            writer.add_scalar("a", step, step)
    (path,) = folder.glob("events*")
    return path


def test_a_record_that_was_cut_off_is_left_out_and_a_damaged_one_is_an_error_with_its_byte(tmp_path: Path) -> None:
    path = events(tmp_path, 5)
    whole = path.read_bytes()
    for lost in (1, 5, 20):
        path.write_bytes(whole[:-lost])
        assert tensorboard(path) == {"a": [(step, float(step)) for step in range(4)]}
    place = len(whole) // 2
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    message = error(tensorboard, path)
    assert path.name in message
    assert "the record at byte " in message
    assert "is damaged" in message
    path.write_bytes(b"this is no event file at all")
    assert "the record at byte 0 is damaged" in error(tensorboard, path)


def test_the_checksum_is_crc_32c_as_rfc_3720_gives_it() -> None:
    crc = 0x8A9136AA  # of 32 bytes of zero
    assert _masked(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_run_that_was_resumed_has_one_value_for_each_step(tmp_path: Path) -> None:
    events(tmp_path, 3).rename(tmp_path / "events.out.tfevents.1")
    events(tmp_path / "b", 2).rename(tmp_path / "events.out.tfevents.2")
    (tmp_path / "b").rmdir()
    assert tensorboard(tmp_path) == {"a": [(0, 0.0), (1, 1.0), (2, 2.0)]}
    assert read_events(tmp_path).started > 1.6e9


def test_readers_load_neither_torch_nor_pandas_nor_any_of_the_tools() -> None:
    heavy = ("torch", "pandas", "numpy", "tensorboard", "google.protobuf", "mlflow", "wandb", "trackio", "yaml")
    script = f"import sys, ablation.results.foreign.metric_files; print(*[n for n in {heavy!r} if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
