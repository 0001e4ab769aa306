"""Results from elsewhere: `ablate report --from`, read as its readers' programs read it."""

from __future__ import annotations

import csv
import json
import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ablation.cli.main import main
from ablation.registry import metric_names
from tests.conftest import ROOT, Ablate
from tests.stored import ARMS, StoredVariant, write_study
from tests.tables import epochs_of, table, write
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


SIZES = {"variant": ",parameters", "base": ",1200", "a": ",2400"}
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
        re.sub(r"(?m)^(?:variant|a|base).*$", lambda m: m[0] + SIZES[m[0].split(",")[0]], table().strip()),
        says=("Parameters",),
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


@pytest.mark.slow
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
        rows = [
            [cell.words or "plot" * len(cell.all("svg")) for cell in row.all("td")]
            for body in own.all("tbody")
            for row in body.all("tr")
        ]
        for column in zip(*rows, strict=True) if len(rows) > 1 else ():
            assert set(column) - {"–", ""}, column
    for panel in root.all("div", class_="panel"):
        coloured = [path for path in panel.all("path") if "--mark" in (path.attributes.get("style") or "")]
        red = [path for path in panel.all("path") if "--warn" in (path.attributes.get("style") or "")]
        assert coloured or red


def own_verdicts(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    keys = ("verdict", "difference", "low", "high", "p", "n", "pairs", "diverged", "at_chance", "crashed")
    return {effect["variant"]: {key: effect[key] for key in keys} for effect in found["effects"]}


@pytest.mark.slow
def test_the_tables_of_a_report_give_the_same_verdicts_again(report: Report, tmp_path: Path) -> None:
    fates: Any = {("dropout=0", 1): "diverged", ("-x, @y", 2): "missing", ("-x, @y", 3): "crashed"}
    variants = [
        ARMS[0],
        StoredVariant("=lost", {"optimizer.lr": 0.1}, accuracy=0.1, noise=0),
        StoredVariant("-x, @y", {"optimizer.lr": 0.2}),
    ]
    write_study(tmp_path / "results", variants, range(4), fates=fates)
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_command_reports_a_table_and_refuses_another(ablate: Ablate, tmp_path: Path) -> None:
    write(tmp_path / "runs.csv", table())
    done = ablate("report", "--from", "runs.csv", "--baseline", "base")
    assert (done.returncode, done.stdout) == (0, "reports/runs/report.html\nreports/runs/report.md\n")
    assert not done.stderr
    write(tmp_path / "wrong.csv", table("score"))
    failed = ablate("report", "--from", "wrong.csv", "--baseline", "base")
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == [
        "error: wrong.csv: whether more or less of 'score' is better is not clear from its name",
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
    assert (metric_names.guess(name).direction, metric_names.guess(name).share) == (direction, share)


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


@pytest.mark.slow
@pytest.mark.parametrize(("variants", "seeds"), [(1000, 3), (2, 50_000)])
def test_the_time_of_a_report_grows_with_the_table_and_no_faster(report: Report, variants: int, seeds: int) -> None:
    def seconds(tenths: int) -> float:
        """CPU time of a report on that many tenths of the variants or seeds."""
        some = [variants * tenths // 10 if variants > 2 else variants, seeds * tenths // 10 if variants == 2 else seeds]
        names = ("base", *(f"v{i}" for i in range(1, some[0])))
        text = table(values=[0.9] * some[0], seeds=range(some[1]), names=names)
        start = time.process_time()
        found = report(text)
        taken = time.process_time() - start
        assert len(found.analysis["effects"]) == some[0] - 1
        return taken

    seconds(1)  # imports, fonts
    assert seconds(10) < 10 * seconds(1)
