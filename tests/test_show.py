"""`ablate show` and `ablate diff`: one run as it is stored, and what differs between two of anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablation.cli.main import main

from .stored import Stored, StoredVariant, write_study

EXACT = {"baseline": (0.90, 0.80, 0.85), "dropout=0": (0.88, 0.79, 0.80), "norm=batch": (0.95, 0.85, 0.92)}


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    monkeypatch.chdir(tmp_path)
    other = (StoredVariant("dropout=0", {"model.dropout": 0.0}), StoredVariant("wide", {"model.width": 2.0}))
    write_study(tmp_path / "results", other, seeds=(0, 1), name="other")
    variants = (
        StoredVariant("dropout=0", {"model.dropout": 0.0}),
        StoredVariant("norm=batch", {"model.norm": "batch"}),
    )
    return write_study(tmp_path / "results", variants, seeds=(0, 1, 2), name="dropout", exact=EXACT, val_images=100)


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main([*words]) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_a_run_says_who_uses_it_what_it_trains_and_what_came_of_it(
    stored: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    name = stored.manifest.run_folder("dropout=0", 1)
    out = printed(capsys, "show", "dropout:dropout=0:1")
    lines = {line.split("  ")[0]: line for line in out.splitlines() if line.strip()}
    assert out.startswith(f"{name}: finished\n")
    assert "dropout: dropout=0 · seed 1" in lines["used by"]
    assert "other: dropout=0 · seed 1" in out
    assert "model.dropout: 0" in lines["changes"]
    assert "results/runs/" in lines["folder"]
    assert "cpu, 1 thread; Intel Xeon, 2 cores" in lines["on"]
    assert "name: lenet5" in lines["model"]
    assert "* the selected epoch" in out


@pytest.mark.parametrize("words", ["dropout=0:1", "dropout:dropout=0:1", "FOLDER", "HASH"])
def test_a_run_has_many_names(stored: Stored, capsys: pytest.CaptureFixture[str], words: str) -> None:
    name = stored.manifest.run_folder("dropout=0", 1)
    words = {"FOLDER": name, "HASH": name.rpartition("-")[2][:6]}.get(words, words)
    values = json.loads(printed(capsys, "show", words, "--json"))
    assert (values["run"], values["seed"], values["state"]) == (name, 1, "finished")
    assert {"study": "other", "variant": "dropout=0", "seed": 1} in values["used_by"]
    assert values["recipe"]["model"]["dropout"] == 0.0
    assert values["changes"] == {"model.dropout": 0.0}
    assert len(values["epochs"]) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("dropuot", "no study, variant or run 'dropuot'"),
        ("dropout", "'dropout' is a study"),
        ("norm=batch", "'norm=batch' is a variant with 3 runs"),
        ("dropout:norm", "dropout has no variant 'norm'"),
        ("norm=batch:7", "dropout has no seed 7"),
        ("lenet5-digits", "'lenet5-digits' is the beginning of "),
    ],
)
def test_what_is_no_run_is_said_so(
    stored: Stored, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    assert message in printed(capsys, "show", words, code=1)


def test_a_run_without_a_study_says_what_it_is(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    name = stored.manifest.run_folder("norm=batch", 0)
    stored.store.study_file("dropout").unlink()
    out = printed(capsys, "show", name)
    assert "used by    no study" in out
    assert "norm: batch" in out


def test_a_damaged_run_says_why(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored.store.run(stored.manifest.run_folder("norm=batch", 0)).history
    path.write_text(path.read_text().replace("0.", "0.1", 1))
    out = printed(capsys, "show", "dropout:norm=batch:0")
    assert ": damaged\n" in out
    assert "SHA-256 does not match" in out


def test_a_variant_and_the_baseline_differ_as_in_the_report(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    from ablation.analysis import describe
    from ablation.results.runs import load_results

    effect = describe(load_results(stored.store, stored.manifest)).effect("norm=batch")
    values = json.loads(printed(capsys, "diff", "dropout:baseline", "norm=batch", "--json"))
    assert values["options"] == [{"path": "model.norm", "first": "none", "second": "batch"}]
    own = values["comparison"]
    assert own["declared"]
    assert (own["difference"], own["low"], own["high"], own["p"]) == pytest.approx(
        (effect.difference, effect.low, effect.high, effect.p)
    )
    back = json.loads(printed(capsys, "diff", "dropout:norm=batch", "baseline", "--json"))["comparison"]
    assert (back["difference"], back["low"], back["high"]) == pytest.approx(
        (-own["difference"], -own["high"], -own["low"])
    )
    out = printed(capsys, "diff", "dropout:baseline", "norm=batch")
    assert "95 % interval [" in out
    assert "as in the report of dropout: simultaneous over its variants" in out


def test_two_variants_that_are_no_baseline_are_compared_by_a_test_of_their_own(
    stored: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    own = json.loads(printed(capsys, "diff", "dropout=0", "norm=batch", "--json"))["comparison"]
    assert not own["declared"]
    assert own["difference"] == pytest.approx((0.07 + 0.06 + 0.12) / 3)
    assert own["low"] == pytest.approx(0.25 / 3 - 0.0798, abs=2e-4)  # t(0.975, 2) = 4.3027, standard error 0.01856
    assert "did not declare it, and nothing adjusts for choosing it now" in printed(
        capsys, "diff", "dropout=0", "norm=batch"
    )


def test_variants_of_different_studies_have_no_interval(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "diff", "dropout:norm=batch", "other:wide")
    assert "model.width" in out
    assert "nothing pairs their runs" in out


def test_two_runs_differ_in_options_and_bits(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    values = json.loads(printed(capsys, "diff", "dropout:baseline:0", "norm=batch:0", "--json"))
    assert [own["path"] for own in values["options"]] == ["model.norm"]
    assert values["equal"] is False
    assert any(line.startswith("epoch 1: ") for line in values["differences"])
    same = printed(capsys, "diff", "dropout:baseline:0", "baseline:0")
    assert "weights, metrics and predictions are equal, to the bit" in same


def test_two_studies_differ_in_variants_seeds_and_results(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    values = json.loads(printed(capsys, "diff", "dropout", "other", "--json"))
    assert (values["only_first"], values["only_second"]) == (["norm=batch"], ["wide"])
    assert {"path": "seeds", "first": [0, 1, 2], "second": [0, 1]} in values["settings"]
    assert [own["variant"] for own in values["variants"]] == ["baseline", "dropout=0"]
    assert values["runs"] == {"only_first": 5, "only_second": 2, "both": 4}
    out = printed(capsys, "diff", "dropout", "other")
    assert "only in other: wide" in out


def test_a_run_is_not_compared_with_a_study(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    assert "name two studies, two variants or two runs" in printed(capsys, "diff", "dropout", "norm=batch:0", code=1)
