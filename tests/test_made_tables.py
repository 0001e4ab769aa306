"""Tables made up by the hundred: each is read as it was written, and reported without a gap."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ablation.analysis import describe, to_json
from ablation.cli.main import main
from ablation.results.csv_files import disarmed, rearmed
from ablation.results.tables import read_results
from tests.tables import write


@dataclass(frozen=True)
class Made:
    """A table that was made up, with what it says of each run."""

    text: str
    values: dict[tuple[str, int], float | None]


@st.composite
def made_tables(draw: st.DrawFn, most_variants: int = 5, most_seeds: int = 5) -> Made:
    """Tables of every size, spelling and separator, with gaps and diverged runs, whose metric is a loss."""
    separator = draw(st.sampled_from([",", ";", "\t"]))
    names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30)
    variants = ["base", *draw(st.lists(names.filter(lambda name: name != "base"), max_size=most_variants, unique=True))]
    seeds = draw(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=most_seeds, unique=True))
    number = st.floats(-1e9, 1e9) | st.floats(-1e-9, 1e-9) | st.integers(0, 3).map(float)
    cell = st.one_of(number, number, number, st.none(), st.just(math.nan), st.just(math.inf))
    values = {(variant, seed): draw(cell) for variant in variants for seed in seeds}
    values["base", seeds[0]] = draw(number)
    shown = draw(st.sampled_from([repr, "{:.17e}".format]))
    comma = separator != "," and draw(st.booleans())
    stream = io.StringIO()
    rows = csv.writer(stream, delimiter=separator, lineterminator=draw(st.sampled_from(["\n", "\r\n"])))
    rows.writerow(["variant", "seed", "loss"])
    order = draw(st.permutations(list(values)))
    for variant, seed in order:
        value = values[variant, seed]
        text = "" if value is None else shown(value)
        rows.writerow([variant, seed, text.replace(".", ",") if comma else text])
    return Made(stream.getvalue(), values)


def check_made(made: Made, folder: Path) -> None:
    """What was read is what was written, and every number of the analysis is a number."""
    path = folder / "made.csv"
    path.write_bytes(made.text.encode())
    results = read_results(path, "base")
    names = {rearmed(name) for name, _ in made.values}
    assert set(results.runs["variant"]) == names
    for row in results.runs[["variant", "seed", "status", "loss"]].itertuples(index=False):
        value = made.values[next(name for name, _ in made.values if rearmed(name) == row.variant), row.seed]
        expected = "missing" if value is None else "finished" if math.isfinite(value) else "diverged"
        assert row.status == expected
        assert row.loss == value if expected == "finished" else math.isnan(row.loss)
    text = json.dumps(to_json(describe(results), "made"), allow_nan=False)
    named = r'"(?:variant|message|words|verdict)": "(?:[^"\\]|\\.)*"'  # a variant may be named NaN
    assert not re.search(r"\bnan\b", re.sub(named, "", text), re.IGNORECASE)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(made=made_tables())
def test_any_table_is_read_as_it_was_written(made: Made, tmp_path_factory: pytest.TempPathFactory) -> None:
    assume(len({rearmed(name) for name, _ in made.values}) == len({name for name, _ in made.values}))
    check_made(made, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(made=made_tables(12, 30))
def test_hundreds_of_tables_are_read_as_they_were_written(made: Made, tmp_path_factory: pytest.TempPathFactory) -> None:
    assume(len({rearmed(name) for name, _ in made.values}) == len({name for name, _ in made.values}))
    check_made(made, tmp_path_factory.getbasetemp())


@given(text=st.text(st.sampled_from("'=+-@\t\rx"), max_size=6))
def test_text_that_was_disarmed_comes_back_as_it_was(text: str) -> None:
    assert rearmed(disarmed(text)) == text
    assert not disarmed(text).startswith(("=", "+", "-", "@", "\t", "\r"))


NAMES = [
    *("accuracy", "val_acc", "train_acc", "loss", "val_loss", "train_loss", "f1", "val_f1", "lr", "rmse", "score"),
    *("x", "0", "epochs", "selected_epoch", "best_epoch", "parameters", "macs", "val_images", "train_images"),
    *("train_seconds", "images_per_second", "peak_memory_mb", "seconds", "step", "steps", "time", "at_chance"),
    *("threads", "index", "level_0"),
]  # fmt: skip
COUNTED = {"epochs", "selected_epoch", "best_epoch", "parameters", "macs", "val_images", "train_images", "threads"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_tables_of_any_columns_give_whole_reports(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw = random.Random(seed)
    written = 0
    for _ in range(10):
        runs, epochs = ((*draw.sample(NAMES, draw.randint(1, 5)),) for _ in range(2))
        cells = [(f"v{v}", s) for v in range(draw.randint(1, 4)) for s in range(draw.randint(1, 4))]
        write(tmp_path / "t.csv", csv_of(draw, ("variant", "seed", *runs), cells))
        rows = [(*run, number) for run in cells for number in (1, 2, 3)]
        write(tmp_path / "e.csv", csv_of(draw, ("variant", "seed", "epoch", *epochs), rows))
        options = ("--epochs", "e.csv", "--direction", draw.choice(["higher", "lower"]))
        if main(["report", "--from", "t.csv", "--baseline", "v0", *options]):
            assert capsys.readouterr().err.count("error: ") == 1
            continue
        written += 1
        for name in ("report.html", "report.md"):
            text = re.sub(r"<style>.*?</style>", "", (tmp_path / "reports/t" / name).read_text(), flags=re.DOTALL)
            assert re.findall(r"(?i:.*\bnan\b.*|.*\binf\b.*)", text) == []
    assert written > 0


def csv_of(draw: random.Random, columns: Sequence[str], keys: Sequence[tuple[object, ...]]) -> str:
    def cell(name: str) -> object:
        measured = round(draw.uniform(0.1, 0.9), 3)
        return draw.choice([1, 2, 3, 3, 3]) if name in COUNTED else draw.choice([*[measured] * 6, "", "nan"])

    rows = [(*key, *(cell(name) for name in columns[len(key) :])) for key in keys]
    return "\n".join(",".join(map(str, row)) for row in [columns, *rows])
