"""`ablate verdict` as a program uses it: the exit code, the JSON line, and the ledger of its uses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ablation
import ablation.execution.judge
from ablation.cli.main import main
from ablation.stats import level_of_use
from ablation.storage.store import write_record
from ablation.storage.verdict_ledger import Use, next_number, read_uses, references
from tests.conftest import ABLATE, TINY
from tests.stored import BASELINE, Fate, Stored, StoredVariant, amend, amend_epochs, with_metrics, write_study

NOISE = (0.004, -0.003, 0.002, -0.004, 0.001, 0.003, -0.002, 0.0, 0.002, -0.001)
KEYS = {
    *("schema_version", "verdict", "variant", "reason", "difference", "low", "high", "p", "seeds", "study", "metric"),
    *("direction", "unit", "margin", "alpha", "level", "use", "uses", "ledger", "seeds_reused", "warnings", "variants"),
}


def store(
    folder: Path,
    shifts: Mapping[str, float],
    name: str = "first",
    *,
    first_seed: int = 0,
    seeds: int = 10,
    dropout: float = 0.2,
    **options: Any,
) -> Stored:
    """A finished study of a variant for each shift of its accuracy, which varies by about 0.4 points between seeds.

    A variant has a dropout of 0.3, 0.35, ... in the order of the shifts.
    """
    rows = {}
    for place, (variant, shift) in enumerate({"baseline": 0.0, **shifts}.items()):
        noise = [NOISE[(seed * (place + 2) + 3 * place) % 10] for seed in range(seeds)]
        rows[variant] = [0.8 + shift + 0.01 * (seed % 3) + noise[seed] for seed in range(seeds)]
    variants = [
        StoredVariant(variant, {}, kind="control")
        if variant == "again"
        else StoredVariant(variant, {"model.dropout": 0.3 + place / 20})
        for place, variant in enumerate(shifts)
    ]
    baseline = {**BASELINE, "model": {"name": "lenet5", "dropout": dropout}}
    own = range(first_seed, first_seed + seeds)
    return write_study(folder / "results", variants, own, exact=rows, name=name, baseline=baseline, **options)


@pytest.fixture
def verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """`ablate verdict ARGUMENTS...` in the test's folder: its exit code, and its JSON line or else the error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, Any]:
        code = main(["verdict", *arguments])
        printed = capsys.readouterr()
        if code == 2:
            assert printed.out == ""
            return code, printed.err
        (line,) = printed.out.splitlines()
        found = json.loads(line, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
        assert found.keys() == KEYS
        return code, found

    return call


@pytest.mark.parametrize(
    ("shift", "arguments", "analysis", "code", "outcome"),
    [
        (0.02, (), {}, 0, "better"),
        (-0.02, (), {}, 1, "worse"),
        (0.0, (), {}, 3, "undecided"),
        (0.0, (), {"margin": 0.01}, 0, "equivalent"),
        (0.0, ("--not-worse-by", "1"), {}, 0, "not_worse"),
        (-0.008, ("--not-worse-by", "2"), {}, 0, "not_worse"),
        (-0.02, ("--not-worse-by", "1"), {}, 1, "worse"),
        (0.0, ("--not-worse-by", "0.1"), {}, 3, "undecided"),
        (0.0, ("--not-worse-by", "0.1"), {"margin": 0.01}, 3, "undecided"),
        (0.02, ("--not-worse-by", "1"), {}, 0, "better"),
        (-0.02, (), {"direction": "lower"}, 0, "better"),
        (0.02, (), {"direction": "lower"}, 1, "worse"),
        (0.008, ("--not-worse-by", "2"), {"direction": "lower"}, 0, "not_worse"),
    ],
)
def test_the_exit_code_says_what_is_shown(
    tmp_path: Path, verdict: Any, shift: float, arguments: Sequence[str], analysis: Any, code: int, outcome: str
) -> None:
    store(tmp_path, {"new": shift}, analysis=analysis)
    assert verdict("first", *arguments)[0] == code
    _, found = verdict("first", *arguments)
    assert (found["verdict"], found["variant"], found["study"]) == (outcome, "new", "first")


def test_the_line_has_the_numbers_of_the_analysis_at_the_level_of_the_use(tmp_path: Path, verdict: Any) -> None:
    stored = store(tmp_path, {"new": 0.02, "other": 0.001})
    _, found = verdict("first", "--variant", "new", "--not-worse-by", "0.5")
    results = ablation.load_results("first")
    level = level_of_use(0.05, 1)
    settings = {**stored.manifest.analysis, "alpha": level}
    new = ablation.analyze(replace(results, manifest=replace(results.manifest, analysis=settings))).effect("new")
    assert {key: found[key] for key in ("difference", "low", "high", "p")} == {
        "difference": new.difference,
        "low": new.low,
        "high": new.high,
        "p": new.p,
    }
    assert {
        key: value for key, value in found.items() if key not in ("difference", "low", "high", "p", "variants")
    } == {
        "schema_version": 1,
        "verdict": "better",
        "variant": "new",
        "reason": new.words,
        "seeds": 10,
        "study": "first",
        "metric": "val_accuracy",
        "direction": "higher",
        "unit": "share",
        "margin": 0.005,
        "alpha": 0.05,
        "level": level,
        "use": 1,
        "uses": None,
        "ledger": "results/verdicts.jsonl",
        "seeds_reused": 0,
        "warnings": [],
    }
    assert [own["variant"] for own in found["variants"]] == ["new"]


def test_the_library_judges_as_the_command_does(tmp_path: Path, verdict: Any) -> None:
    store(tmp_path, {"new": 0.0})
    _, found = verdict("first", "--not-worse-by", "1")
    judged = ablation.judge_study("first", not_worse_by=1)
    assert json.loads(json.dumps(judged.to_json())) == found
    assert judged.verdict == "not_worse"
    assert judged.variants[0].reason.startswith("not worse by 1.0 points: ")


def test_the_worst_variant_decides_unless_one_is_asked_about(tmp_path: Path, verdict: Any) -> None:
    store(tmp_path, {"up": 0.03, "same": 0.0, "down": -0.03})
    code, found = verdict("first")
    assert (code, found["verdict"], found["variant"]) == (1, "worse", "down")
    assert {own["variant"]: own["verdict"] for own in found["variants"]} == {
        "up": "better",
        "same": "undecided",
        "down": "worse",
    }
    assert found["low"] == found["variants"][2]["low"]
    assert [verdict("first", "--variant", name)[0] for name in ("up", "same", "down")] == [0, 3, 1]
    assert len(read_uses(tmp_path / "results" / "verdicts.jsonl")) == 1


WRONG = {
    "a misspelt variant": (["first", "--variant", "nev"], "no variant 'nev' to judge", "did you mean 'new'?"),
    "the baseline": (["first", "--variant", "baseline"], "no variant 'baseline' to judge", "known: new"),
    "another study": (["frist"], "no study 'frist' in results/", "did you mean 'first'?"),
    "no study": ([], "STUDY is missing", "see ablate verdict --help"),
    "a misspelt option": (
        ["first", "--not-wrose-by", "1"],
        "ablate verdict has no option --not-wrose-by",
        "did you mean '--not-worse-by'?",
    ),
    "no margin": (["first", "--not-worse-by", "0"], "'0' is not a number above 0", ""),
    "a margin that is none": (["first", "--not-worse-by", "nan"], "'nan' is not a number above 0", ""),
    "a margin of everything": (["first", "--not-worse-by", "100"], "above 0 and below 100, in points", ""),
    "no uses": (["first", "--uses", "0"], "'0' is not a whole number of at least 1", ""),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_an_error_of_its_own_exit_code_and_no_use(tmp_path: Path, verdict: Any, mistake: str) -> None:
    store(tmp_path, {"new": 0.02})
    arguments, message, hint = WRONG[mistake]
    code, error = verdict(*arguments)
    assert code == 2
    assert error.startswith("error: ")
    assert message in error
    assert hint in error
    assert not (tmp_path / "results" / "verdicts.jsonl").exists()


def test_a_study_that_was_never_run_is_an_error(tmp_path: Path, verdict: Any) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    code, error = verdict("tiny.yaml")
    assert code == 2
    assert "no study has been run" in error


@pytest.mark.parametrize("what", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_neither_a_bug_nor_an_interruption_looks_like_a_worse_variant(
    tmp_path: Path, verdict: Any, monkeypatch: pytest.MonkeyPatch, what: BaseException
) -> None:
    store(tmp_path, {"new": 0.02})

    def fail(*_: object) -> None:
        raise what

    monkeypatch.setattr(ablation.execution.judge, "judge_study", fail)
    code, error = verdict("first")
    assert code == 2
    assert ("a bug" in error) == isinstance(what, RuntimeError)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"fates": {("new", 3): "missing"}}, "1 of 20 runs not finished"),
        ({"fates": {("baseline", 0): "crashed", ("new", 3): "interrupted"}}, "2 of 20 runs not finished"),
        ({"smoke": True}, "a smoke run: its numbers are meaningless"),
        ({"seeds": 1}, "a single seed allows no claim about the recipe"),
    ],
    ids=["missing", "crashed", "smoke", "single seed"],
)
def test_what_is_too_early_to_judge_is_undecided_and_no_use(
    tmp_path: Path, verdict: Any, options: dict[str, Any], reason: str
) -> None:
    store(tmp_path, {"new": 0.02}, **options)
    code, found = verdict("first")
    assert (code, found["verdict"], found["reason"]) == (3, "undecided", reason)
    assert all(found[key] is None for key in ("difference", "low", "high", "p", "use", "level"))
    assert not (tmp_path / "results" / "verdicts.jsonl").exists()


@pytest.mark.parametrize(
    ("fates", "reason"),
    [
        ({("new", 3): "diverged"}, "unstable: 1/10 diverged"),
        ({("baseline", 3): "diverged"}, "1 of 10 runs of the baseline diverged or ended at chance"),
    ],
)
def test_a_run_that_diverged_leaves_it_undecided_and_is_a_use(
    tmp_path: Path, verdict: Any, fates: dict[tuple[str, int], Fate], reason: str
) -> None:
    store(tmp_path, {"new": 0.02}, fates=fates)
    code, found = verdict("first", "--not-worse-by", "2")
    assert (code, found["verdict"], found["reason"], found["use"]) == (3, "undecided", reason, 1)


def test_nothing_is_decided_where_the_control_differs(tmp_path: Path, verdict: Any) -> None:
    store(tmp_path, {"new": 0.02, "again": 0.03})
    code, found = verdict("first")
    assert code == 3
    assert [own["variant"] for own in found["variants"]] == ["new"]
    assert found["reason"].startswith("the A/A control, ")
    assert "control_differs" in found["warnings"]


def test_the_same_weights_pass(tmp_path: Path, verdict: Any) -> None:
    stored = store(tmp_path, {"new": 0.0, "other": 0.03})
    for seed in stored.manifest.seeds:
        record = stored.store.run(stored.manifest.run_folder("baseline", seed)).record()
        assert record is not None
        amend(stored, "new", seed, weights_sha256=record.weights_sha256)
    code, found = verdict("first", "--variant", "new")
    assert (code, found["verdict"], found["p"]) == (0, "equivalent", None)
    assert found["reason"].startswith("identical: ")


def test_uses_share_one_alpha_and_the_same_results_are_the_same_use(tmp_path: Path, verdict: Any) -> None:
    for place, name in enumerate(("one", "two", "three")):
        store(tmp_path, {"new": 0.02}, name, first_seed=100 * place)
    found = [verdict(name)[1] for name in ("one", "two", "two", "one", "three")]
    assert [own["use"] for own in found] == [1, 2, 2, 1, 3]
    assert [own["level"] for own in found] == [level_of_use(0.05, use) for use in (1, 2, 2, 1, 3)]
    assert found[1] == found[2]
    again = verdict("one", "--not-worse-by", "0.5")[1]
    assert (again["use"], again["level"], again["seeds_reused"]) == (1, found[0]["level"], 0)


def test_results_that_changed_and_seeds_that_come_back_are_a_new_use(tmp_path: Path, verdict: Any) -> None:
    stored = store(tmp_path, {"new": 0.02})
    verdict("first")
    amend_epochs(stored, "new", lambda row, _: with_metrics(row, val_accuracy=row.metrics["val_accuracy"] + 0.001))
    assert verdict("first")[1]["use"] == 2
    store(tmp_path, {"new": 0.02}, "second", first_seed=5, dropout=0.25)
    _, found = verdict("second")
    assert (found["use"], found["seeds_reused"]) == (3, 5)


def test_declared_uses_get_equal_shares_and_come_to_an_end(tmp_path: Path, verdict: Any) -> None:
    for place, name in enumerate(("one", "two", "three")):
        store(tmp_path, {"new": 0.02}, name, first_seed=100 * place)
    assert [verdict(name, "--uses", "2")[1]["level"] for name in ("one", "two")] == [0.025, 0.025]
    assert verdict("two")[1]["uses"] == 2
    code, error = verdict("three")
    assert code == 2
    assert "all of the 2 uses of results/verdicts.jsonl are spent" in error
    assert "--ledger FILE" in error
    assert verdict("one")[0] == 0
    code, error = verdict("one", "--uses", "3")
    assert code == 2
    assert "was started for 2 uses, not for 3" in error
    code, found = verdict("three", "--ledger", "elsewhere/uses.jsonl")
    assert (code, found["use"], found["uses"], found["ledger"]) == (0, 1, None, "elsewhere/uses.jsonl")


def test_a_ledger_has_one_alpha(tmp_path: Path, verdict: Any) -> None:
    store(tmp_path, {"new": 0.02}, "one")
    store(tmp_path, {"new": 0.02}, "two", first_seed=100, analysis={"alpha": 0.1})
    verdict("one")
    code, error = verdict("two")
    assert code == 2
    assert "was started with alpha 0.05, and 'two' has 0.1" in error


def test_with_a_margin_the_baseline_may_only_be_replaced_by_what_was_judged_better(
    tmp_path: Path, verdict: Any
) -> None:
    store(tmp_path, {"equal": 0.0, "up": 0.03}, "one")
    store(tmp_path, {"next": 0.0}, "on equal", first_seed=100, dropout=0.3)
    store(tmp_path, {"next": 0.0}, "on up", first_seed=200, dropout=0.35)
    assert verdict("one", "--variant", "equal", "--not-worse-by", "2")[1]["verdict"] == "not_worse"
    for arguments in (("on equal", "--not-worse-by", "2"), ("on equal", "--not-worse-by", "0.1")):
        code, error = verdict(*arguments)
        assert code == 2
        assert "the baseline of 'on equal' is not the reference of results/verdicts.jsonl" in error
    assert verdict("on equal")[1]["use"] == 2
    code, found = verdict("on up", "--not-worse-by", "2")
    assert (code, found["verdict"], found["use"]) == (0, "not_worse", 3)


def test_a_declared_margin_needs_the_reference_too(tmp_path: Path, verdict: Any) -> None:
    store(tmp_path, {"equal": 0.0}, "one", analysis={"margin": 0.02})
    store(tmp_path, {"next": 0.0}, "two", first_seed=100, dropout=0.3, analysis={"margin": 0.02})
    assert verdict("one")[1]["verdict"] == "equivalent"
    assert verdict("two")[0] == 2
    assert verdict("two", "--ledger", "other.jsonl")[1]["verdict"] == "equivalent"


def test_looks_that_the_ledger_was_not_asked_about_are_uses(tmp_path: Path, verdict: Any) -> None:
    stored = store(tmp_path, {"new": 0.02})
    grown = replace(stored.manifest, looks=3, added_seeds=(8, 9))
    write_record(stored.store.study_file(stored.manifest.folder), grown.to_json())
    assert verdict("first")[1]["use"] == 3


def use(number: int, **fields: Any) -> Use:
    own: dict[str, Any] = {"uses": None, "alpha": 0.05, "level": 0.01, "time": "2026-03-01T09:00:00+00:00"}
    own |= {"study": "s", "look": 1, "results": str(number), "metric": "m", "direction": "higher", "seeds": (0, 1)}
    return Use(**own | {"use": number, "baseline": "a", "better": {}, "command": ""} | fields)


def test_the_number_of_a_use_counts_the_looks_that_were_not_asked_about() -> None:
    assert next_number([], "s", 1) == 1
    assert next_number([], "s", 4) == 4
    asked = [use(1), use(2, study="t"), use(3, look=2)]
    assert next_number(asked, "s", 3) == 4
    assert next_number(asked, "s", 4) == 5
    assert next_number(asked, "t", 3) == 5
    assert next_number(asked, "u", 1) == 4
    assert next_number(asked, "s", 1) == 4


def test_the_reference_moves_only_up() -> None:
    assert references([], "m", "higher") == frozenset()
    uses = [
        use(1, better={"x": "b"}),
        use(2, baseline="z", better={"y": "c"}),
        use(3, baseline="b", better={"y": "d"}),
        use(4, metric="other", baseline="q"),
    ]
    assert references(uses, "m", "higher") == {"a", "b", "d"}
    assert references(uses, "other", "higher") == {"q"}
    assert references(uses, "m", "lower") == frozenset()


DAMAGE = {
    "a line that was changed": lambda text: text.replace('"use": 1', '"use": 3'),
    "a line that was removed": lambda text: "".join(text.splitlines(keepends=True)[1:]),
    "lines in another order": lambda text: "".join(text.splitlines(keepends=True)[::-1]),
    "a line that is cut off": lambda text: text[:-40],
    "an empty file": lambda _: "",
    "another file": lambda _: '{"schema_version": 1}\n',
    "no version": lambda _: "{}\n",
    "no JSON": lambda _: "uses\n",
    "a later version": lambda text: text.replace('"schema_version": 1', '"schema_version": 2'),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_ledger_is_an_error_and_never_a_new_one(tmp_path: Path, verdict: Any, kind: str) -> None:
    for place, name in enumerate(("one", "two", "three")):
        store(tmp_path, {"new": 0.02}, name, first_seed=100 * place)
    verdict("one")
    verdict("two")
    path = tmp_path / "results" / "verdicts.jsonl"
    path.write_text(DAMAGE[kind](path.read_text()))
    damaged = path.read_bytes()
    code, error = verdict("three")
    assert code == 2
    assert "verdicts.jsonl" in error
    assert ("--ledger FILE" in error) == (kind != "a later version")
    assert path.read_bytes() == damaged


def test_a_command_that_ends_before_it_prints_has_made_its_use(
    tmp_path: Path, verdict: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, {"new": 0.02}, "one")
    store(tmp_path, {"new": 0.02}, "two", first_seed=100)
    append = ablation.execution.judge.append_use
    ledger = tmp_path / "results" / "verdicts.jsonl"

    def before(*_: object) -> None:
        raise KeyboardInterrupt

    def after(*arguments: Any) -> None:
        append(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(ablation.execution.judge, "append_use", before)
    assert verdict("one")[0] == 2
    assert not ledger.exists()
    monkeypatch.setattr(ablation.execution.judge, "append_use", after)
    assert verdict("one")[0] == 2
    assert len(read_uses(ledger)) == 1
    monkeypatch.setattr(ablation.execution.judge, "append_use", append)
    assert [verdict(name)[1]["use"] for name in ("one", "two")] == [1, 2]


def test_a_ledger_that_cannot_be_written_is_an_error(tmp_path: Path, verdict: Any) -> None:
    store(tmp_path, {"new": 0.02})
    (tmp_path / "file").write_text("in the way")
    code, error = verdict("first", "--ledger", "file/uses.jsonl")
    assert code == 2
    assert "file/uses.jsonl cannot be written" in error


def test_a_new_ledger_is_announced_beside_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    store(tmp_path, {"new": 0.02})
    said = []
    for _ in range(2):
        main(["verdict", "first"])
        said.append(capsys.readouterr().err)
    assert said == ["notice: results/verdicts.jsonl was started: the uses that it records share an alpha of 0.05\n", ""]


@pytest.mark.slow
def test_commands_at_the_same_time_never_share_a_use(tmp_path: Path) -> None:
    names = ("one", "two", "two")
    for place, name in enumerate(dict.fromkeys(names)):
        store(tmp_path, {"new": 0.02}, name, first_seed=100 * place)
    processes = [
        subprocess.Popen([*ABLATE, "verdict", name], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for name in names
    ]
    printed = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * 3
    assert sorted({own["use"] for own in printed}) == [1, 2]
    assert printed[1] == printed[2]
    assert [own.use for own in read_uses(tmp_path / "results" / "verdicts.jsonl")] == [1, 2]
