"""`ablate follow-up`: the study that would decide what a study leaves open, as its user types and sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ablation.cli.main import main
from ablation.execution.study import plan_study
from ablation.stats import smallest_detectable_contrast, smallest_detectable_effect
from ablation.storage.manifest import Manifest, read_manifest
from ablation.storage.store import Store
from ablation.study.load import load_study
from ablation.study.strict_yaml import parse
from tests.conftest import Ablate
from tests.stored import ARMS, Stored, StoredVariant, write_study
from tests.test_tasks import COMMAND

SOURCE = """\
# What does dropout do?
study: dropout study
title: Dropout
question: Which single change moves validation accuracy?
baseline:
  data: {name: digits, validation: 0.2}   # the embedded digits
  model: {name: lenet5, dropout: 0.2}
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 5e-4}
  schedule: cosine
  train: {epochs: 6, batch_size: 64}

# as in the course
seeds: [0, 1, 2]
vary:
  model.dropout: [0.0, 0.5]
  model.norm: [batch]
  schedule: [constant]
controls: [a/a]
log: [tensorboard]
"""
KEPT = SOURCE[SOURCE.index("question:") : SOURCE.index("\n# as in")]
"""What the follow-up has in the words of the study."""
EXACT = {
    "baseline": (0.900, 0.910, 0.905),
    "dropout=0": (0.903, 0.906, 0.907),
    "dropout=0.5": (0.931, 0.938, 0.934),
    "norm=batch": (0.949, 0.961, 0.957),
    "constant": (0.894, 0.909, 0.899),
}
"""dropout=0.5 and norm=batch are clearly better, the others are not."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(folder: Path, source: str = SOURCE, exact: dict[str, Any] | None = None, **options: Any) -> Stored:
    (folder / "dropout.yaml").write_text(source, encoding="utf-8")
    own = write_study(folder / "results", exact=EXACT | (exact or {}), source=source, **options)
    return _named(own, "../dropout.yaml")


def _named(own: Stored, file: str) -> Stored:
    """The study with the path of its file, as `ablate run` writes it."""
    path = own.store.study_file(own.manifest.folder)
    values = {**own.manifest.to_json(), "file": file}
    path.write_text(json.dumps(values), encoding="utf-8")
    return Stored(own.store, read_manifest(path))


def follow_up(*arguments: str) -> int:
    return main(["follow-up", "dropout study", *arguments])


def written(path: str | Path = "dropout-follow-up.yaml") -> Any:
    """The file as a study file is read, where `on` is no boolean."""
    return parse(Path(path).read_text(encoding="utf-8"), str(path)).value


def test_what_is_open_is_written_as_a_study_of_fresh_seeds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(here)
    assert follow_up("--detect", "1.5") == 0
    shown, text, study = capsys.readouterr().out, Path("dropout-follow-up.yaml").read_text(), written()
    assert study["vary"] == {"model.dropout": [0.0, 0.5], "model.norm": ["batch"], "schedule": [{"name": "constant"}]}
    assert study["combine"] == {"dropout=0.5 + norm=batch": {"model.dropout": 0.5, "model.norm": "batch"}}
    assert study["follow_up"] == {"of": "dropout study", "spent": 0.05, "seeds": [0, 1, 2]}
    assert study["seeds"][0] == 3
    assert study["seeds"] == list(range(3, 3 + len(study["seeds"])))
    assert study["study"] == "dropout study-follow-up"
    assert study["analysis"] == {"alpha": 0.05}
    assert "controls" not in study
    assert KEPT in text, "the baseline is in the words of the study, its comments included"
    assert "# as in the course" not in text
    assert "- 0.0  # +0.0 points" in text or "- 0.0  # 0.0" in text or "- 0.0  # " in text
    assert "wrote dropout-follow-up.yaml: 5 variants and the baseline" in shown
    assert "at most 0.05 so far (dropout study), 0.05 in this study on its own seeds, and 0.1 over all of them" in shown
    assert "next: ablate run dropout-follow-up.yaml" in shown


def test_the_file_is_a_valid_study_that_can_be_planned(here: Path) -> None:
    stored(here)
    assert follow_up("--detect", "1.5") == 0
    assert main(["validate", "dropout-follow-up.yaml"]) == 0
    study = load_study(Path("dropout-follow-up.yaml"))
    names = [own.name for own in study.variants]
    assert names == [
        "baseline", "dropout=0", "dropout=0.5", "schedule=constant", "norm=batch", "dropout=0.5 + norm=batch",
    ]  # fmt: skip
    assert len(plan_study(study).runs) == 6 * len(study.seeds)


def test_the_seeds_are_the_fewest_that_find_what_matters(here: Path) -> None:
    own = stored(here)
    assert follow_up("--detect", "1.5", "--no-interaction") == 0
    study = written()
    assert set(study["vary"]) == {"model.dropout", "schedule"}
    assert study["vary"]["model.dropout"] == [0.0], "what is decided is not trained again"
    sd = _residual_sd(own)
    n = len(study["seeds"])
    assert smallest_detectable_effect(n, 2) * sd <= 0.015
    assert n == 3 or smallest_detectable_effect(n - 1, 2) * sd > 0.015


def test_an_interaction_has_the_seeds_that_it_needs(here: Path) -> None:
    own = stored(here)
    assert follow_up("--detect", "1.0") == 0
    n, sd = len(written()["seeds"]), _residual_sd(own)
    needed = max(smallest_detectable_effect(n, 5), smallest_detectable_contrast(n, 5, 4.0))
    fewer = max(smallest_detectable_effect(n - 1, 5), smallest_detectable_contrast(n - 1, 5, 4.0))
    assert needed * sd <= 0.01 < fewer * sd


def test_a_smaller_difference_needs_more_seeds_and_the_margin_is_what_matters(here: Path) -> None:
    stored(here, SOURCE + "analysis: {margin: 0.006}\n", analysis={"margin": 0.006})
    assert follow_up("--no-interaction") == 0
    assert written()["analysis"] == {"margin": 0.006, "alpha": 0.05}
    assert follow_up("--no-interaction", "--detect", "0.6", "--out", "same.yaml") == 0
    assert follow_up("--no-interaction", "--detect", "0.45", "--out", "finer.yaml") == 0
    seeds = [len(written(name)["seeds"]) for name in ("dropout-follow-up.yaml", "same.yaml", "finer.yaml")]
    assert seeds[0] == seeds[1] < seeds[2]


def test_what_would_need_too_many_seeds_is_left_out_and_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(here)
    assert follow_up() == 0
    shown = capsys.readouterr().out
    assert "not decided by it: dropout=0: a difference of 0.0" in shown
    assert "(the measured one) needs more than 20 seeds" in shown
    assert "model.dropout" in written()["vary"], "it is there for the interaction, with its other value"
    assert written()["vary"]["model.dropout"] == [0.5]


def test_where_all_need_too_many_seeds_nothing_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(here)
    assert follow_up("--detect", "0.01") == 1
    error = capsys.readouterr().err
    assert "what is open in dropout study needs more than 20 seeds" in error
    assert "allow more with --seeds-max" in error
    assert not Path("dropout-follow-up.yaml").exists()


def test_nothing_is_written_where_everything_is_decided(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    better = dict.fromkeys(("dropout=0", "dropout=0.5", "constant"), EXACT["norm=batch"])
    stored(here, exact=better)
    assert follow_up("--no-interaction") == 1
    assert "nothing is open in dropout study: every variant is decided" in capsys.readouterr().err
    assert not Path("dropout-follow-up.yaml").exists()


def test_an_unfinished_study_is_finished_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(here, fates={("norm=batch", 2): "missing", ("dropout=0", 1): "crashed"})
    assert follow_up() == 1
    error = capsys.readouterr().err
    assert "2 of 15 runs of dropout study have no result yet" in error
    assert "finish the study first: ablate run" in error


def test_a_smoke_run_and_a_single_seed_decide_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(here, smoke=True)
    assert follow_up() == 1
    assert "is a smoke run, which decides nothing" in capsys.readouterr().err
    other = here / "other"
    other.mkdir()
    one = {name: values[:1] for name, values in EXACT.items()}
    write_study(other / "results", seeds=(0,), exact=one, source=SOURCE)
    assert main(["follow-up", "--results", str(other / "results")]) == 1
    assert "no residual SD" in capsys.readouterr().err


def test_a_file_that_is_there_is_not_replaced(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(here)
    Path("dropout-follow-up.yaml").write_text("mine")
    assert follow_up("--detect", "1.5") == 1
    assert "dropout-follow-up.yaml exists already" in capsys.readouterr().err
    assert Path("dropout-follow-up.yaml").read_text() == "mine"
    assert follow_up("--detect", "1.5", "--out", "next.yaml") == 0
    assert Path("next.yaml").exists()


def test_what_the_command_line_changed_of_the_baseline_stays_changed(here: Path) -> None:
    own = stored(here, overrides=("model.dropout=0.3", "seeds=[0, 1, 2]"))
    assert own.manifest.overrides
    assert follow_up("--detect", "1.5") == 0
    study = written()
    assert study["baseline"]["model"] == {"name": "lenet5", "dropout": 0.3}
    assert study["baseline"]["train"] == {"epochs": 6, "batch_size": 64}
    assert study["question"] == "Which single change moves validation accuracy?"


def test_a_file_in_braces_is_written_out(here: Path) -> None:
    source = json.dumps(parse(SOURCE, "study").value)
    stored(here, source)
    assert follow_up("--detect", "1.5") == 0
    assert written()["baseline"] == json.loads(source)["baseline"]


def test_an_unstable_variant_is_named_and_not_followed_up(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(here, fates={("constant", 1): "diverged"})
    assert follow_up("--detect", "2") == 0
    assert "not decided by it: constant: unstable (1/3 diverged)" in capsys.readouterr().out
    assert "schedule" not in written()["vary"]


def test_seeds_of_the_first_study_are_refused_in_its_follow_up(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(here)
    assert follow_up("--detect", "1.5") == 0
    path = Path("dropout-follow-up.yaml")
    assert main(["validate", str(path)]) == 0
    assert main(["run", str(path), "--seeds", "2-4"]) == 1
    assert "--seeds: seed 2 was used before" in capsys.readouterr().err
    lines = ["seeds: [2, 3]" if line.startswith("seeds:") else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines))
    assert main(["validate", str(path)]) == 1
    error = capsys.readouterr().err
    assert "seed 2 was used before" in error
    assert "a follow-up needs seeds that are not in the results of dropout study" in error


def test_alpha_can_be_set_aside(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(here, SOURCE + "analysis: {alpha: 0.04}\n", analysis={"alpha": 0.04})
    assert follow_up("--detect", "1.5", "--alpha", "0.01") == 0
    assert written()["analysis"]["alpha"] == 0.01
    assert "0.05 over all of them" in capsys.readouterr().out
    for wrong in ("0", "0.5", "x", "nan"):
        assert follow_up("--alpha", wrong) == 1
        assert "is not a family-wise error above 0 and below 0.5" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--detect", "0"), ("--detect", "-1"), ("--detect", "inf"), ("--seeds-max", "0")])
def test_wrong_sizes_are_refused(here: Path, words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    stored(here)
    assert follow_up(*words) == 1
    assert words[0] in capsys.readouterr().err


FUNCTION = """\
study: waves
task: {function: "train:main"}
metrics: {score: {direction: higher}}
baseline: {a: 0, b: 0, c: 0}
seeds: 4
vary: {a: [1], b: [1], c: [1]}
"""
TRAIN = """\
def main(options, run):
    own = run.generator(str(sorted(options.items()))).normal()
    a, b, c = (options[name] for name in "abc")
    return {"score": 50 + 5 * run.generator("shared").normal() + 6 * a + 4 * b + 0.5 * c + 3 * a * b + own}
"""


def train(folder: Path, study: str, code: str = TRAIN, name: str = "waves") -> None:
    """Write a study of the user's own code and train its runs."""
    (folder / "train.py").write_text(code, encoding="utf-8")
    (folder / f"{name}.yaml").write_text(study, encoding="utf-8")
    assert main(["run", f"{name}.yaml", "--workers", "0"]) == 0


def test_a_study_is_followed_up_from_its_runs_to_the_report_of_the_second(here: Path) -> None:
    train(here, FUNCTION)
    assert main(["follow-up", "waves.yaml", "--detect", "2"]) == 0
    study = written("waves-follow-up.yaml")
    assert study["combine"] == {"a=1 + b=1": {"a": 1, "b": 1}}
    assert main(["run", "waves-follow-up.yaml", "--workers", "0"]) == 0
    assert main(["report", "--format", "md"]) == 0
    folder = here / "reports" / "waves-follow-up"
    found = json.loads((folder / "analysis.json").read_text())
    assert found["follow_up"] == {"of": "waves", "spent": 0.05, "seeds": [0, 1, 2, 3], "bound": 0.1}
    assert set(found["seeds"]).isdisjoint(range(4))
    (interaction,) = found["interactions"]
    assert interaction["low"] <= 3 <= interaction["high"]
    text = (folder / "report.md").read_text("utf-8")
    assert "This study follows up waves on seeds of its own, on which alone its verdicts rest." in text
    assert "the family-wise error is at most 0.1 (0.05 before it, union bound)" in text
    assert "follow-up of waves: family-wise error over all studies at most 0.1" in text
    assert main(["follow-up", "waves", "--detect", "2", "--out", "third.yaml"]) == 0
    third = written("third.yaml")
    assert third["follow_up"]["spent"] == 0.1, "the first follow-up counts"
    assert set(third["seeds"]).isdisjoint({*range(4), *study["seeds"]})
    assert third["study"] == "waves-follow-up-2"


@pytest.mark.slow
def test_a_follow_up_away_from_its_code_is_not_written(here: Path, ablate: Ablate) -> None:
    train(here, FUNCTION)
    (here / "away").mkdir()
    done = ablate("follow-up", "waves", "--detect", "2", "--out", "away/next.yaml")
    assert done.returncode == 1
    assert "the follow-up would not be a valid study at away/next.yaml" in done.stderr
    assert "nothing was written" in done.stderr
    assert not (here / "away" / "next.yaml").exists()


def test_the_open_interaction_of_a_factorial_is_followed_up_by_a_factorial(here: Path) -> None:
    parts = "".join(f"  {name}: {{on: {{{name}: 1}}}}\n" for name in "abc")
    study = FUNCTION.replace("vary: {a: [1], b: [1], c: [1]}", f"components:\n{parts}design: factorial")
    train(here, study, TRAIN.replace("3 * a * b", "a * c"))
    assert main(["follow-up", "waves", "--detect", "2"]) == 0
    found = written("waves-follow-up.yaml")
    assert found["design"] == "factorial"
    assert len(found["components"]) == 2
    assert all(own == {"on": {name: 1}} for name, own in found["components"].items())
    assert main(["validate", "waves-follow-up.yaml"]) == 0


SCRIPT = """\
import argparse, random
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--amp", action=argparse.BooleanOptionalAction)
parser.add_argument("--seed", type=int)
given = parser.parse_args()
noise = random.Random(f"{given.seed} {given.lr} {given.amp}").gauss(0, 1)
print(f"val_accuracy: {60 + 5 * given.amp + noise:.3f}")
"""


def test_a_command_is_followed_up_too(here: Path) -> None:
    train(here, COMMAND, SCRIPT, "script")
    assert main(["follow-up", "--detect", "3"]) == 0
    found = written("script-follow-up.yaml")
    assert found["task"] == {"command": "python train.py {args}", "seed": "--seed"}
    assert found["baseline"] == {"lr": 0.1, "amp": True}
    assert 0.3 in found["vary"]["lr"]
    assert main(["validate", "script-follow-up.yaml"]) == 0
    assert main(["plan", "script-follow-up.yaml"]) == 0


def test_a_stored_study_of_an_earlier_version_follows_up_nothing(tmp_path: Path) -> None:
    own = write_study(tmp_path / "results", ARMS, source=SOURCE)
    values = own.manifest.to_json()
    assert values.pop("follow_up") is None
    assert Manifest.from_json(values).follow_up is None
    kept = {**values, "follow_up": {"of": "x", "spent": 0.05, "seeds": [1]}}
    again = Manifest.from_json(kept)
    assert again.to_json()["follow_up"] == kept["follow_up"]


def test_a_combination_that_was_tried_is_not_proposed_again(here: Path) -> None:
    both = StoredVariant("both", {"model.dropout": 0.5, "model.norm": "batch"}, kind="combine")
    source = SOURCE.replace("controls:", "combine: {both: {model.dropout: 0.5, model.norm: batch}}\ncontrols:")
    stored(here, source, {"both": (0.98, 0.985, 0.981)}, variants=(*ARMS, both))
    assert follow_up("--detect", "1.5") == 0
    combined = [set(changes) for changes in written()["combine"].values()]
    assert {"model.dropout", "model.norm"} not in combined


def _residual_sd(own: Stored) -> float:
    from ablation.library import analyze, load_results

    sd = analyze(load_results(own.manifest.name, own.store.root)).design.residual_sd
    assert sd
    assert isinstance(own.store, Store)
    return sd


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{of: x, spend: 0.05, spent: 0.05, seeds: [7]}", "unknown key 'spend' in follow_up"),
        ("{of: x, spent: 0.05, seeds: [7], more: 1}", "known: of, spent, seeds"),
        ("{of: x, spent: 2, seeds: [7]}", "follow_up.spent is 2; it must be at most 1"),
        ("{of: x, spent: 0.05, seeds: []}", "follow_up.seeds is empty"),
        ("x", "follow_up is 'x'; it must be a mapping"),
    ],
)
@pytest.mark.parametrize("study", [SOURCE, FUNCTION], ids=["images", "function"])
def test_a_mistake_in_the_mark_has_its_place(
    here: Path, study: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "train.py").touch()
    Path("study.yaml").write_text(f"{study}follow_up: {value}\n")
    assert main(["validate", "study.yaml"]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert f"study.yaml:{study.count(chr(10)) + 1}:" in error
