"""Results from elsewhere: `ablate report --from`, read as its readers' programs read it."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ablation import metrics
from ablation.analysis import describe, to_json
from ablation.cli import main
from ablation.csv_files import disarmed, rearmed
from ablation.tables import read_results
from tests.conftest import ROOT, Ablate
from tests.stored import ARMS, Arm, write_study
from tests.test_report import Element, Page, section, sections

NOT_KNOWN = ("augment", "dropout", "batches", "validation image", "measured on", "clip_norm", "McNemar", "not started")


@dataclass(frozen=True)
class Reported:
    """A report as written: its folder, the printed lines, and what its files hold."""

    folder: Path
    html: str
    markdown: str
    analysis: dict[str, Any]

    @property
    def root(self) -> Element:
        return Page(self.folder / "report.html").root


Report = Callable[..., Reported]
Refused = Callable[..., str]


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Report:
    """Writes the report of a table by the real command line and reads it back."""
    monkeypatch.chdir(tmp_path)

    def call(
        table: str | bytes, *arguments: str, epochs: str = "", name: str = "runs.csv", base: str = "base"
    ) -> Reported:
        write(tmp_path / name, table)
        if epochs:
            write(tmp_path / "epochs.csv", epochs)
            arguments = (*arguments, "--epochs", "epochs.csv")
        capsys.readouterr()
        code = main(["report", "--from", name, "--baseline", base, *arguments])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        folder = Path(printed.out.splitlines()[0]).parent
        html, markdown = ((folder / file).read_text(encoding="utf-8") for file in ("report.html", "report.md"))
        return Reported(folder, html, markdown, json.loads((folder / "analysis.json").read_text(encoding="utf-8")))

    return call


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The error of a table that is refused, with nothing written."""
    monkeypatch.chdir(tmp_path)

    def call(table: str | bytes, *arguments: str, epochs: str = "", base: str = "base") -> str:
        write(tmp_path / "runs.csv", table)
        if epochs:
            write(tmp_path / "epochs.csv", epochs)
            arguments = (*arguments, "--epochs", "epochs.csv")
        assert main(["report", "--from", "runs.csv", "--baseline", base, *arguments]) == 1
        assert not (tmp_path / "reports").exists()
        printed = capsys.readouterr()
        assert not printed.out
        return printed.err

    return call


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def table(
    metric: str = "accuracy",
    values: Sequence[float] = (0.9, 0.93),
    seeds: Iterable[int] = range(4),
    *,
    noise: float = 0.002,
    names: Sequence[str] = ("base", "a", "b", "c", "d"),
    separator: str = ",",
    form: Callable[[float], str] = "{:.5f}".format,
) -> str:
    """A table with a variant for each value; the noise is a hundredth of a point for shares."""
    draw = random.Random(1)
    rows = [separator.join(("variant", "seed", metric))]
    for name, value in zip(names, values, strict=False):
        rows += [separator.join((quoted(name), str(seed), form(value + draw.gauss(0, noise)))) for seed in seeds]
    return "\n".join(rows) + "\n"


def quoted(name: str) -> str:
    return f'"{name.replace(chr(34), chr(34) * 2)}"' if set(name) & set(',;\t"\n\r') else name


def epochs_of(columns: str, rows: Callable[[str, int, int], Sequence[object]], last: int = 4) -> str:
    lines = [f"variant,seed,epoch,{columns}"]
    for name in ("base", "a"):
        for seed in range(4):
            lines += [",".join(map(str, (name, seed, n, *rows(name, seed, n)))) for n in range(1, last + 1)]
    return "\n".join(lines)


HIGHER, LOWER = ("--direction", "higher"), ("--direction", "lower")
HOSTILE = "<b>x</b> | `y` & \"z\" 'q' $k$ \\n \U0001f600"
FORTY = tuple(f"v{i}" for i in range(40))
PLAIN_EPOCHS = epochs_of("val_acc,f1,train_loss", lambda v, s, n: (0.5 + 0.1 * n, 0.4 + 0.05 * n, 2 / n))


@dataclass(frozen=True)
class Case:
    """A table that is reported, and what analysis.json must say of its metric and its first variant."""

    text: str | bytes
    metric: str = "accuracy"
    direction: str = "higher"
    unit: str = "share"
    verdict: str = "better"
    arguments: tuple[str, ...] = ()
    epochs: str = ""
    says: tuple[str, ...] = ()
    base: str = "base"
    first: str = "a"


MISSING = "\n".join(line for line in table().splitlines() if line[:4] not in ("a,1,", "a,2,", "a,3,"))
CASES = {
    "fractions": Case(table()),
    "percentages": Case(table(values=(90, 93), noise=0.2), says=("Accuracy, %", "+3.")),
    "percent signs": Case(table("score", (90, 93), noise=0.2, form="{:.2f}%".format), "score", arguments=HIGHER),
    "loss": Case(table("val_loss", (0.5, 0.4)), "val_loss", "lower", "raw", says=("−0.10",)),
    "rmse": Case(table("rmse", (3.0, 2.5)), "rmse", "lower", "raw"),
    "perplexity": Case(table("perplexity", (30.0, 25.0)), "perplexity", "lower", "raw"),
    "nll": Case(table("val_nll", (0.9, 0.7)), "val_nll", "lower", "raw"),
    "top-1 error": Case(table("top1_err", (0.3, 0.2)), "top1_err", "lower", "raw"),
    "error in per cent": Case(
        table("error_rate", (30, 20), noise=0.2),
        "error_rate", "lower", arguments=("--unit", "percent"), says=("points",),
    ),
    "seconds": Case(table("seconds", (61.0, 47.0), noise=0.5), "seconds", "lower", "raw"),
    "f1": Case(table("macro_F1"), "macro_F1"),
    "an unknown name": Case(table("score", (1.0, 2.0)), "score", "higher", "raw", arguments=HIGHER),
    "an unknown name, lower": Case(
        table("score", (2.0, 1.0)), "score", "lower", "raw", arguments=LOWER
    ),
    "an acceleration": Case(
        table("acceleration", (30, 35), noise=0.2), "acceleration", "higher", "raw", arguments=HIGHER
    ),
    "a share as it is": Case(table(), unit="raw", arguments=("--unit", "raw")),
    "the second column": Case(
        re.sub(r"(?m)$", ",0.5", table().strip()).replace("accuracy,0.5", "accuracy,rmse"),
        "rmse", "lower", "raw", "no_claim", ("--metric", "rmse"), says=("all values are equal",),
    ),
    "missing seeds": Case(MISSING, verdict="no_claim", says=("Some runs are missing.",)),
    "one seed": Case(table(seeds=[7]), verdict="no_claim"),
    "two seeds": Case(table(seeds=[1, 2]), verdict="no_claim"),
    "two seeds of many variants": Case(table(values=(0.9, 0.93, 0.9, 0.91, 0.9), seeds=[1, 2])),
    "one variant": Case(table(values=(0.9,)), first=""),
    "forty variants": Case(table(values=[0.9 + 0.0005 * i for i in range(40)], names=FORTY), base="v0", first="v39"),
    "a constant": Case(table(values=(0.5, 0.5), noise=0), verdict="no_claim", says=("all values are equal",)),
    "diverged runs": Case(table() + "b,0,nan\nb,1,inf\nb,2,0.9\nb,3,0.91\n", says=("diverged",)),
    "an empty cell": Case(table() + "b,0,\nb,1,0.9\nb,2,0.91\nb,3,0.92\n"),
    "Unicode names": Case(table(names=("基线", "mit Umläuten ÄÖÜ ☃")), base="基线", first="mit Umläuten ÄÖÜ ☃"),
    "markup names": Case(table(names=("base", HOSTILE)), first=HOSTILE),
    "long names": Case(table(names=("base", "x" * 200)), first="x" * 200),
    "formula names": Case(table(names=("base", "=cmd()")), first="=cmd()"),
    "semicolons": Case(table(separator=";")),
    "decimal commas": Case(table(separator=";", form=lambda v: f"{v:.5f}".replace(".", ","))),
    "tabs": Case(table(separator="\t", form=lambda v: f"{v:.5f}".replace(".", ","))),
    "Excel's hint": Case("sep=;\n" + table(separator=";")),
    "UTF-16": Case(table(separator="\t").encode("utf-16")),
    "a byte order mark": Case(b"\xef\xbb\xbf" + table().encode()),
    "Windows line ends": Case(table().replace("\n", "\r\n")),
    "an index and empty rows": Case(
        "".join(f"{'' if i == 0 else i},{line}\n" for i, line in enumerate(table().splitlines())) + ",,,\n\n"
    ),
    "a metric named line": Case(table("line", (1.0, 2.0)), "line", "higher", "raw", arguments=HIGHER),
    "seeds as decimals": Case(table().replace(",0,", ",0.0,")),
    "tiny values": Case(table("val_loss", (3e-9, 2e-9), noise=1e-11, form="{:.5g}".format), "val_loss", "lower", "raw"),
    "huge values": Case(table("val_loss", (3e60, 2e60), noise=1e58, form="{:.5g}".format), "val_loss", "lower", "raw"),
    "negative values": Case(table("R2", (-0.5, -0.2)), "R2", "higher", "raw"),
    "sizes": Case(
        re.sub(r"(?m)$", ",1200", table().strip()).replace("accuracy,1200", "accuracy,parameters"), says=("Parameters",)
    ),
    "epochs": Case(table(), epochs=PLAIN_EPOCHS, says=("train_loss", "val_acc")),
    "epochs with gaps": Case(
        table(),
        epochs=epochs_of("val_loss,val_acc", lambda v, s, n: ("nan" if n == 1 else 1 / n, "" if v == "a" else 0.5)),
    ),
    "epochs without a known name": Case(
        table(), epochs=epochs_of("x", lambda v, s, n: (n,)), says=("Learning curves",)
    ),
    "epochs of a loss": Case(
        table("val_loss", (0.5, 0.4)), "val_loss", "lower", "raw",
        epochs=epochs_of("loss,val_loss,lr", lambda v, s, n: (1 / n, 1.1 / n, 0.1)), says=("loss dashed",),
    ),
    "epochs like ours": Case(
        table(),
        epochs=epochs_of("train_loss,val_loss,train_accuracy,val_accuracy", lambda v, s, n: (2 / n, 3 / n, 0.6, 0.5)),
        says=("train_loss dashed", "train_accuracy dashed"),
    ),
    "columns called as ours": Case(
        re.sub(r"(?m)$", ",3,4", table().strip()).replace("accuracy,3,4", "accuracy,time,steps"),
        epochs=epochs_of("selected_epoch,time,status,steps", lambda v, s, n: (1, n, 2, 3)),
    ),
    "one epoch": Case(table(), epochs=epochs_of("accuracy", lambda v, s, n: (0.4,), last=1)),
    "epochs in per cent": Case(
        table(values=(90, 93), noise=0.2), epochs=epochs_of("accuracy,train_accuracy", lambda v, s, n: (n / 2, 20 * n))
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_table_is_reported_with_what_is_known_of_it_and_no_more(case: Case, report: Report) -> None:
    found = report(case.text, *case.arguments, epochs=case.epochs, base=case.base)
    own = found.analysis
    assert (own["metric"], own["direction"], own["unit"]) == (case.metric, case.direction, case.unit)
    verdicts = {effect["variant"]: effect["verdict"] for effect in own["effects"]}
    assert not case.first or verdicts[case.first] == case.verdict
    for text in (re.sub(r"<style>.*?</style>", "", found.html, flags=re.DOTALL), found.markdown):
        assert re.findall(r"(?i:\bnan\b|\binf\b)|\bNone\b(?! of)", text) == []
        assert [words for words in NOT_KNOWN if words in text] == []
    assert [words for words in case.says if words not in found.root.words] == []
    assert_no_empty_part(found.root)


def assert_no_empty_part(root: Element) -> None:
    """No table has a column of dashes, and no panel axes without a line."""
    for own in root.all("table"):
        rows = [[cell.words for cell in row.all("td")] for body in own.all("tbody") for row in body.all("tr")]
        for column in zip(*rows, strict=True) if len(rows) > 1 else ():
            assert set(column) - {"–", ""}, column
    for panel in root.all("div", class_="panel"):
        coloured = [path for path in panel.all("path") if "--mark" in (path.attributes.get("style") or "")]
        red = [path for path in panel.all("path") if "--warn" in (path.attributes.get("style") or "")]
        assert coloured or red


REFUSED = {
    "an unknown name": (
        table("score"), (),
        ["whether more or less of 'score' is better", "--direction higher or --direction lower"],
    ),
    "an acceleration": (table("acceleration"), (), ["'acceleration'", "--direction"]),
    "both in one name": (table("accuracy_error"), (), ["'accuracy_error'", "--direction"]),
    "a turned direction": (table("neg_mse"), (), ["'neg_mse'", "--direction"]),
    "one typo": (
        table() + "b,0,95.1\nb,1,0.9\n", (),
        ["runs.csv:10:5: accuracy is 95.1 among fractions of 1", "--unit"],
    ),
    "just above one": (
        table() + "b,0,1.0000001\nb,1,0.9\n", (),
        ["runs.csv:10:5: accuracy is 1.0000001 among fractions"],
    ),
    "one fraction": (table(values=(90, 93)) + "b,0,0.9\n", (), ["runs.csv:10:5: accuracy is 0.9 among percentages"]),
    "above a hundred": (table() + "b,0,120\n", (), ["runs.csv:10:5: accuracy is 120;", "--unit raw"]),
    "negative": (table() + "b,0,-0.1\n", (), ["runs.csv:10:5: accuracy is -0.1;"]),
    "no fraction": (table(values=(90, 93)), ("--unit", "share"), ["accuracy is 90", "lies between 0 and 1"]),
    "no percentage": (table(values=(90, 193)), ("--unit", "percent"), ["accuracy is 193", "lies between 0 and 100"]),
    "signs of some": (
        table() + "b,0,90%\n", (),
        ["runs.csv:10:5: accuracy has a per cent sign here, but not elsewhere"],
    ),
    "signs and a share": (
        table(form=lambda v: f"{v}%"), ("--unit", "share"),
        ["per cent signs", "leave out --unit share"],
    ),
    "a decimal comma": (
        'variant,seed,accuracy\nbase,0,"0,95"\nbase,1,0.9\n', (),
        ["runs.csv:2:8: accuracy is '0,95'", "write 0.95"],
    ),
    "bare decimal commas": (
        "variant,seed,accuracy\nbase,0,0,95\n", (),
        ["runs.csv:2:1: 4 cells in this row, 3 in the header", "semicolons"],
    ),
    "commas and points": (
        "variant;seed;loss\nbase;0;1,5\nbase;1;1.234\n", (),
        ["runs.csv:3:8: loss has decimal commas, and a decimal point here"],
    ),
    "thousands": (
        'variant,seed,loss\nbase,0,"1,234.5"\nbase,1,2\n', (),
        ["runs.csv:2:8:", "without marks for thousands"],
    ),
    "a word among numbers": (table() + "b,0,good\n", (), ["runs.csv:10:5: accuracy is 'good'; it must be a number"]),
    "an empty column": (
        "variant,seed,accuracy\nbase,0,\na,0,\n", ("--metric", "accuracy"),
        ["runs.csv:1:14: the column 'accuracy' has no value"],
    ),
    "no numbers": ("variant,seed,note\nbase,0,x\na,0,y\n", (), ["no column of runs.csv holds numbers", "it has: note"]),
    "a huge number": (table("loss") + "b,0,1e308\n", (), ["runs.csv:10:5: loss is 1e+308; at most 1e+100"]),
    "a number beyond floats": (table("loss") + "b,0,1e999\n", (), ["runs.csv:10:5: loss is beyond"]),
    "a huge cell": (table() + f"b,0,{'9' * 140_000}\n", (), ["runs.csv:10:1: a cell has more than 131,072 characters"]),
    "an open quote": (table() + 'b,0,"0.9\n', (), ["runs.csv:10:1: this is not valid CSV"]),
    "a newline in a name": (table(names=("base", "a\nb")), (), ["runs.csv:6:1: the name 'a\\nb' has a line break"]),
    "a name of 201": (table(names=("base", "x" * 201)), (), ["runs.csv:6:1: a name of 201 characters; at most 200"]),
    "no name": (table() + ",7,0.9\n", (), ["runs.csv:10:1: variant is ''"]),
    "no whole seed": (table() + "b,one,0.9\n", (), ["runs.csv:10:3: seed is 'one'; it must be a whole number"]),
    "a run twice": (
        table() + "a,0,0.9\n", (),
        ["runs.csv:10:1: a second row of variant a, seed 0", "the first is in line 6"],
    ),
    "no seed column": (
        "variant,accuracy\nbase,0.9\n", (),
        ["the table has no column 'seed'", "the columns are: variant, accuracy"],
    ),
    "another spelling": ("Variant,seed,accuracy\nbase,0,0.9\n", (), ["rename 'Variant' to 'variant'"]),
    "two columns of a name": ("variant,seed,acc,acc\nbase,0,0.9,0.9\n", (), ["runs.csv:1:18: a second column 'acc'"]),
    "no rows": ("variant,seed,accuracy\n", (), ["the table has no rows"]),
    "nothing": ("", (), ["the table is empty", "variant, seed, and a metric"]),
    "a workbook": (b"PK\x03\x04 and so on", (), ["runs.csv is a workbook", "save it as CSV"]),
    "Latin-1": ("variant,seed,accuracy\nä,0,0.9\n".encode("latin-1"), (), ["runs.csv is not UTF-8 text (byte 22)"]),
    "UTF-16 without a mark": (table().encode("utf-16-le"), (), ["NUL bytes", "save it as CSV in UTF-8"]),
    "another baseline": (table(names=("bass", "a")), (), ["no variant 'base'", "did you mean 'bass'?"]),
    "another metric": (table(), ("--metric", "acuracy"), ["no column 'acuracy'", "did you mean 'accuracy'?"]),
    "a part of a count": (
        table().replace("accuracy", "threads"), ("--direction", "higher"),
        ["threads is 0.9", "rename the column"],
    ),
    "too many runs": (
        "variant,seed,accuracy\n" + "".join(f"{'base' if i == 0 else i},{i},0.9\n" for i in range(1100)), (),
        ["1,100 variants and 1,100 different seeds"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "arguments", "says"), REFUSED.values(), ids=REFUSED)
def test_a_table_that_cannot_be_read_is_one_located_error(
    text: str | bytes, arguments: tuple[str, ...], says: list[str], refused: Refused
) -> None:
    printed = refused(text, *arguments)
    assert [words for words in says if words not in printed] == []
    assert printed.count("error: ") == 1
    assert "Traceback" not in printed


def test_of_very_many_faults_the_first_are_listed(refused: Refused) -> None:
    printed = refused(table() + "".join(f"x,{seed},bad\n" for seed in range(8)) + "y,z,1\n" * 300)
    assert printed.count("it must be") == 20
    assert "and 288 more" in printed


@pytest.mark.parametrize(
    ("epochs", "says"),
    [
        (
            "variant,seed,epoch,loss\nbase,9,1,0.5\n",
            "epochs.csv:2:1: variant 'base', seed 9, is not in the table of runs"),
        (
            "variant,seed,epoch,loss\nbose,0,1,0.5\n",
            "epochs.csv:2:1: variant 'bose', seed 0, is not in the table of runs"),
        ("variant,seed,step,loss\nbase,0,1,0.5\n", "epochs.csv:1:1: the table has no column 'epoch'"),
        (
            "variant,seed,epoch,loss\nbase,0,1,0.5\nbase,0,1,0.4\n",
            "epochs.csv:3:1: a second row of variant base, seed 0, epoch 1"),
        ("variant,seed,epoch,loss\nbase,0,1,low\nbase,0,2,0.3\nbase,0,3,0.2\n", "epochs.csv:2:10: loss is 'low'"),
        ("variant,seed,epoch\nbase,0,1\n", "the table has no metric"),
    ],
)  # fmt: skip
def test_epochs_that_do_not_fit_the_runs_are_one_located_error(epochs: str, says: str, refused: Refused) -> None:
    assert says in refused(table(), epochs=epochs)


def own_verdicts(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    keys = ("verdict", "difference", "low", "high", "p", "n", "pairs", "diverged", "at_chance", "crashed")
    return {effect["variant"]: {key: effect[key] for key in keys} for effect in found["effects"]}


def test_the_tables_of_a_report_give_the_same_verdicts_again(report: Report, tmp_path: Path) -> None:
    fates: Any = {("dropout=0", 1): "diverged", ("constant", 2): "missing", ("norm=batch", 3): "crashed"}
    arms = [*ARMS, Arm("=lost", {"optimizer.lr": 0.1}, accuracy=0.1, noise=0), Arm("-x, @y", {"optimizer.lr": 0.2})]
    write_study(tmp_path / "results", arms, range(4), fates=fates)
    assert main(["report", "--results", "results"]) == 0
    (first,) = (tmp_path / "reports").iterdir()
    texts = [(first / name).read_text(encoding="utf-8") for name in ("runs.csv", "epochs.csv")]
    again = report(texts[0], epochs=texts[1], base="baseline")
    assert again.folder != first
    assert own_verdicts(again.folder) == own_verdicts(first)
    assert again.analysis["metric"] == "val_accuracy"
    assert own_verdicts(first)["=lost"]["at_chance"] > 0
    assert {"curves", "learning", "cost"} <= set(sections(again.root))
    assert [p.words for p in section(again.root, "curves").all("h3")] == ["Accuracy", "Loss", "Learning rate"]
    third = report((again.folder / "runs.csv").read_text(encoding="utf-8"), name="third.csv", base="baseline")
    assert own_verdicts(third.folder) == own_verdicts(first)


def test_no_cell_of_text_is_a_formula(report: Report) -> None:
    names = ("base", "=cmd()", "+1", "-1", "@x", "'quoted", "'=x", "plain-1")
    found = report(table(values=[0.9 + 0.01 * i for i in range(8)], names=names))
    with (found.folder / "runs.csv").open(encoding="utf-8", newline="") as file:
        cells = {row["variant"] for row in csv.DictReader(file)}
    assert cells == {"base", "'=cmd()", "'+1", "'-1", "'@x", "'quoted", "'=x", "plain-1"}
    assert {effect["variant"] for effect in found.analysis["effects"]} == {*names[1:6], "=x", "plain-1"} - {"base"}


def test_the_command_in_the_report_writes_it_again(report: Report, tmp_path: Path) -> None:
    name, options = (
        "my runs; $x.csv",
        ("--metric", "val_acc", "--direction", "higher", "--unit", "share", "--title", "it's"),
    )
    found = report(table("val_acc"), *options, name=name, epochs=PLAIN_EPOCHS)
    (command,) = section(found.root, "reproduce").all("code")
    assert shlex.split(command.text) == [
        *("ablate", "report", "--from", name, "--baseline", "base"),
        *options,
        *("--epochs", "epochs.csv"),
    ]
    assert main(shlex.split(command.text)[1:]) == 0
    assert (found.folder / "report.html").read_text(encoding="utf-8") == found.html


def test_another_table_of_the_same_name_is_not_written_over_the_first(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = report(table())
    (first.folder / "interpretation.md").write_text("Mine.", encoding="utf-8")
    write(tmp_path / "other" / "runs.csv", table(values=(0.7, 0.6)))
    arguments = ["report", "--from", "other/runs.csv", "--baseline", "base"]
    assert main(arguments) == 1
    printed = capsys.readouterr().err
    assert "reports/runs holds the report of another table, runs.csv" in printed
    assert "--title TEXT" in printed
    assert "--out DIR" in printed
    assert (first.folder / "report.html").read_text(encoding="utf-8") == first.html
    for way_out in (["--title", "Other"], ["--out", "elsewhere"]):
        assert main([*arguments, *way_out]) == 0
        written = Path(capsys.readouterr().out.splitlines()[0])
        assert "Mine." not in written.read_text(encoding="utf-8")
        assert main([*arguments, *way_out]) == 0


def test_a_table_keeps_its_folder_when_it_grows_or_moves(report: Report, tmp_path: Path) -> None:
    first = report(table())
    (first.folder / "interpretation.md").write_text("Mine.", encoding="utf-8")
    grown = report(table(seeds=range(6)))
    assert grown.folder == first.folder
    assert "Mine." in grown.markdown
    moved = report(table(seeds=range(6)), name="moved/runs.csv")
    assert moved.folder == first.folder


def test_study_and_table_of_the_same_name_do_not_share_a_folder(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path / "results", name="runs")
    report(table(), "--out", "a")
    assert main(["report", "--out", "a"]) == 1
    assert "a/runs holds the report of the table runs.csv" in capsys.readouterr().err
    assert main(["report", "--out", "b"]) == 0
    assert main(["report", "--from", "runs.csv", "--baseline", "base", "--out", "b"]) == 1
    assert "b/runs holds the report of 'runs'" in capsys.readouterr().err


def test_a_report_is_not_written_over_its_own_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "reports/runs/runs.csv", table())
    assert main(["report", "--from", "reports/runs/runs.csv", "--baseline", "base"]) == 1
    assert "would be written over reports/runs/runs.csv" in capsys.readouterr().err
    assert (tmp_path / "reports/runs/runs.csv").read_text(encoding="utf-8") == table()


@pytest.mark.parametrize("option", ["--baseline", "--epochs", "--metric", "--direction", "--unit", "--title"])
def test_options_of_a_table_without_one_are_refused(ablate_here: Callable[..., tuple[int, str]], option: str) -> None:
    code, printed = ablate_here("report", option, "higher" if option == "--direction" else "raw")
    assert code == 1
    assert f"{option} is for a table" in printed


@pytest.fixture
def ablate_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """The command in this process: its exit code, and what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str]:
        code = main(arguments)
        return code, "".join(capsys.readouterr())

    return call


def test_the_command_reports_a_table_and_refuses_another(ablate: Ablate, tmp_path: Path) -> None:
    write(tmp_path / "runs.csv", table())
    done = ablate("report", "--from", "runs.csv", "--baseline", "base")
    assert (done.returncode, done.stdout) == (0, "reports/runs/report.html\nreports/runs/report.md\n")
    assert not done.stderr
    write(tmp_path / "wrong.csv", table("score"))
    failed = ablate("report", "--from", "wrong.csv", "--baseline", "base")
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == [
        "error: wrong.csv: whether more or less of 'score' is better cannot be told from its name",
        "add --direction higher or --direction lower",
    ]


@pytest.mark.parametrize(
    ("name", "direction", "share"),
    [
        ("accuracy", "higher", True), ("val_acc", "higher", True), ("acc1", "higher", True), ("mAP50", "higher", True),
        ("ROC-AUC", "higher", True), ("testF1", "higher", True), ("bleu", "higher", False), ("r2", "higher", False),
        ("val/loss", "lower", False), ("dice_loss", "lower", False), ("top5_err", "lower", False),
        ("WER", "lower", False),
        ("peak_memory_mb", "lower", False), ("epoch_seconds", "lower", False), ("FID", "lower", False),
        ("acceleration", None, False), ("lossless", None, False), ("accuracy_error", None, False),
        ("score", None, False),
        ("accuracy_drop", None, False), ("accuracy_std", None, False), ("neg_loss", None, False), ("", None, False),
        ("images_per_second", None, False), ("timeline", None, False), ("terror", None, False),
    ],
)  # fmt: skip
def test_the_name_of_a_metric_is_read_by_whole_words(name: str, direction: str | None, share: bool) -> None:
    assert (metrics.direction(name), metrics.is_share(name)) == (direction, share)


def test_the_example_of_the_documentation_runs_as_it_is(tmp_path: Path, ablate: Ablate) -> None:
    page = (ROOT / "docs" / "results-from-elsewhere.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"`([a-z]+\.csv)`[^`]*:\n\n```csv\n(.*?)```", page, flags=re.DOTALL):
        write(tmp_path / name, text)
    (command,) = re.findall(r"```sh\n(.*?)\n```", page)
    done = ablate(*shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "reports" / "runs" / "analysis.json").read_text(encoding="utf-8"))
    assert {effect["variant"]: effect["verdict"] for effect in found["effects"]} == {
        "no-dropout": "worse",
        "wider": "not_detected",
    }
    curves = section(Page(tmp_path / "reports" / "runs" / "report.html").root, "curves")
    assert [title.words for title in curves.all("h3")] == ["Acc", "Loss"]


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
    assert not re.search(r"\bnan\b", re.sub(r'"(?:variant|message|words|verdict)": "[^"]*"', "", text), re.IGNORECASE)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(made=made_tables())
def test_any_table_is_read_as_it_was_written(made: Made, tmp_path_factory: pytest.TempPathFactory) -> None:
    assume(len({rearmed(name) for name, _ in made.values}) == len({name for name, _ in made.values}))
    check_made(made, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(made=made_tables(12, 30))
def test_thousands_of_tables_are_read_as_they_were_written(
    made: Made, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assume(len({rearmed(name) for name, _ in made.values}) == len({name for name, _ in made.values}))
    check_made(made, tmp_path_factory.getbasetemp())


@given(text=st.text(st.sampled_from("'=+-@\t\rx"), max_size=6))
def test_text_that_was_disarmed_comes_back_as_it_was(text: str) -> None:
    assert rearmed(disarmed(text)) == text
    assert not disarmed(text).startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.slow
@pytest.mark.parametrize(("variants", "seeds"), [(1000, 3), (2, 50_000)])
def test_large_tables_are_reported_within_seconds(report: Report, variants: int, seeds: int) -> None:
    names = ("base", *(f"v{i}" for i in range(1, variants)))
    text = table(values=[0.9] * variants, seeds=range(seeds), names=names)
    start = time.process_time()
    found = report(text)
    assert len(found.analysis["effects"]) == variants - 1
    assert time.process_time() - start < 10
