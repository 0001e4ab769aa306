"""Sequential studies as a user types and sees them: looks in the study file, `run`, `status`, `plan`, `report`."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ablation
from ablation import stats
from ablation.analysis import describe
from ablation.cli.main import main
from ablation.errors import FileError, UserError
from ablation.execution.study import plan_study
from ablation.report import write_report
from ablation.results.runs import Results, load_results
from ablation.stats import SeedTable, SequentialDesign
from ablation.storage.manifest import Manifest, Sequential, make_manifest, read_manifest
from ablation.storage.store import Store
from ablation.study.load import load_study

from .conftest import ABLATE, ROOT, TINY, Ablate
from .stored import StoredVariant, write_study
from .test_cluster import loopback, needs_ray
from .test_run import results, same

STUDY = """\
study: draws
task: {function: "train:main"}
metrics: {score: {direction: higher}}
baseline: {effect: 0.0, copy: 0}
seeds: {looks: [3, 5, 8]}
analysis: {spending: pocock}
vary: {effect: [20.0, -2.0], copy: [1]}
"""
TRAIN = """\
import numpy as np

def main(options, run):
    own = np.random.default_rng([run.seed, int(10 * abs(options["effect"])), options["copy"]])
    shared = np.random.default_rng(run.seed).normal()
    return {"score": shared + own.normal() + options["effect"]}
"""
NAMES = ("baseline", "effect=20", "effect=-2", "copy=1")
DESIGN = SequentialDesign((3, 5, 8), spending="pocock")


def truth() -> np.ndarray:
    """What the function returns for each variant and seed."""
    rows = []
    for effect, copy in ((0.0, 0), (20.0, 0), (-2.0, 0), (0.0, 1)):
        drawn = [np.random.default_rng([seed, int(10 * abs(effect)), copy]).normal() for seed in range(8)]
        rows.append([np.random.default_rng(seed).normal() + own + effect for seed, own in enumerate(drawn)])
    return np.array(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "draws.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    return tmp_path


def run(ablate: Ablate, *arguments: str, code: int = 0) -> str:
    done = ablate("run", "draws.yaml", "--workers", "0", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def manifest(folder: Path, name: str = "draws") -> Manifest:
    return read_manifest(Store(folder / "results").study_file(name))


def finished(folder: Path, name: str = "draws") -> dict[str, int]:
    """How many runs of each variant are finished."""
    found = load_results(Store(folder / "results"), manifest(folder, name)).runs
    return found[found["status"] == "finished"].groupby("variant").size().to_dict()


@pytest.mark.slow
def test_run_trains_each_variant_until_it_is_decided(folder: Path, ablate: Ablate) -> None:
    expected = stats.replay(SeedTable.complete(truth()), DESIGN)
    needed = dict(zip(NAMES, expected.required.sum(axis=1).tolist(), strict=True))
    assert needed["effect=20"] == 3 < needed["baseline"] == 8  # of what the draws of this test decide
    printed = run(ablate)
    assert "draws: 4 variants x up to 8 seeds, 0 of 12 runs up to look 1 of 3 finished" in printed
    assert "look 1 of 3 (3 seeds): 1 of 3 variants decided; 2 go on" in printed
    assert f"{sum(needed.values())} runs trained" in printed
    assert finished(folder) == needed
    again = run(ablate)
    assert "nothing left to train" in again
    assert "look 3 of 3 (8 seeds)" in again
    status = ablate("status").stdout
    (row,) = (line for line in status.splitlines() if line.startswith("effect=20"))
    assert "detected at look 1" in row
    assert "not started" not in status
    assert "look 3 of 3 (8 seeds)" in status

    assert ablate("report").returncode == 0
    own = json.loads((folder / "reports" / "draws" / "analysis.json").read_text())
    looks = own["sequential"]
    assert (looks["looks"], looks["done"], looks["next_look"]) == ([3, 5, 8], 3, None)
    assert looks["levels"] == pytest.approx(DESIGN.shares)
    strong = looks["variants"]["effect=20"]
    assert (strong["look"], strong["seeds"], strong["decision"]) == (1, 3, "detected")
    (point,) = strong["path"]
    (effect,) = (own for own in own["effects"] if own["variant"] == "effect=20")
    assert (effect["verdict"], effect["pairs"], effect["n"]) == ("better", 3, 3)
    assert (point["difference"], point["low"], point["high"]) == (effect["difference"], effect["low"], effect["high"])
    assert effect["difference"] == pytest.approx(np.mean(truth()[1, :3] - truth()[0, :3]))
    assert effect["p"] <= 0.05
    assert strong["adjusted"] == pytest.approx(effect["difference"], rel=0.05)
    assert {warning["code"] for warning in own["warnings"]}.isdisjoint({"missing_runs", "baseline_missing_runs"})
    page = (folder / "reports" / "draws" / "report.md").read_text(encoding="utf-8")
    assert "decided at look 1 (3 seeds)" in page
    assert "3 of 3 looks were needed, at 3, 5 and 8 seeds" in page
    assert "repeated confidence intervals (Jennison and Turnbull 1989" in page
    assert "![" in page.split("## Looks")[1].split("\n## ")[0]
    assert "not started" not in page


@pytest.mark.slow
def test_an_interrupted_study_decides_what_an_uninterrupted_one_does(folder: Path, ablate: Ablate) -> None:
    """Stopped before its first look is complete, with a finished run lost, and with runs that no look needs."""
    expected = stats.replay(SeedTable.complete(truth()), DESIGN)
    first = run(ablate, "--only", "baseline", "--only", "copy=1")
    assert "6 runs trained" in first
    assert "6 runs of the study are not finished: leave out --only" in first
    assert "nothing is decided yet" in ablate("status").stdout
    assert "look 1 of 3" in run(ablate)
    before = finished(folder)
    lost = manifest(folder).run_folder("copy=1", 0)
    shutil.rmtree(folder / "results" / "runs" / lost)
    assert "nothing is decided yet" in ablate("status").stdout
    assert "1 run trained" in run(ablate)
    assert finished(folder) == before == dict(zip(NAMES, expected.required.sum(axis=1).tolist(), strict=True))


@pytest.mark.slow
def test_a_fixed_study_of_the_same_seeds_shares_its_runs(folder: Path, ablate: Ablate) -> None:
    run(ablate)
    (folder / "draws.yaml").write_text(STUDY.replace("{looks: [3, 5, 8]}", "8").replace("{spending: pocock}", "{}"))
    used = sum(finished(folder).values())
    assert f"{used} of 32 runs finished" in run(ablate)
    assert manifest(folder).sequential is None
    assert manifest(folder).looks == 2  # it was judged before, by other rules
    (folder / "draws.yaml").write_text(STUDY)
    assert "nothing left to train" in run(ablate)  # and all runs that the looks need are there
    assert ablate("report").returncode == 0
    found = json.loads((folder / "reports" / "draws" / "analysis.json").read_text())
    assert (found["looks"], found["family_wise_bound"]) == (3, pytest.approx(0.15))
    (warning,) = (own for own in found["warnings"] if own["code"] == "changed_looks")
    assert "judged 3 times at 0.05 each" in warning["message"]
    assert {own["variant"]: own["n"] for own in found["effects"]}["effect=20"] == 3


@pytest.mark.slow
def test_a_crash_holds_the_look_up_until_the_run_is_given_up(folder: Path, ablate: Ablate) -> None:
    broken = TRAIN.replace(
        "    own =", "    if options['copy'] == 1 and run.seed == 1:\n        raise OSError('no room')\n    own ="
    )
    (folder / "train.py").write_text(broken)
    for attempt in range(3):
        printed = run(ablate, code=2)
        assert "1 failed" in printed
        if attempt < 2:
            assert "look 1 of 3 (3 seeds)" not in printed
    assert "look 1 of 3 (3 seeds)" in printed  # given up by its third failure
    assert "look 2 of 3 (5 seeds)" in printed
    assert finished(folder)["copy=1"] > 3
    assert "failed 3 times and is left out" in run(ablate, code=2)


@pytest.mark.slow
def test_a_variant_that_diverges_is_trained_no_further(folder: Path, ablate: Ablate) -> None:
    diverging = TRAIN.replace("return {", "return {'score': float('nan')} if options['copy'] else {")
    (folder / "train.py").write_text(diverging)
    run(ablate)
    status = ablate("status").stdout
    (row,) = (line for line in status.splitlines() if line.startswith("copy=1"))
    assert "unstable at look 1" in row
    assert "3 diverged" in status
    found = ablation.analyze(ablation.load_results("draws", folder / "results"))
    own = found.effect("copy=1")
    assert (own.verdict, own.diverged, len(own.runs)) == ("unstable", 3, 3)


def test_plan_and_validate_say_what_to_expect(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["validate", "draws.yaml"]) == 0
    assert "4 variants x up to 8 seeds = at most 32 runs" in capsys.readouterr().out
    assert main(["plan", "draws.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "Looks at 3 (2.5 %), 5 (1.2 %), 8 (1.4 %) seeds, each with its part of the 5 % family-wise error." in printed
    none, *others = (round(stats.expected_runs(DESIGN, 3, effect)) for effect in (0.0, 1.0, 2.0, 3.0))
    line = f"Runs to expect, of 32 at most: {none} if no variant has an effect; if all have one, "
    line += f"{others[0]} of 1 SD, {others[1]} of 2 SDs, {others[2]} of 3 SDs (simulated)."
    assert line in printed


@pytest.mark.slow
def test_the_library_gives_only_the_runs_that_are_needed(folder: Path, ablate: Ablate) -> None:
    run(ablate)
    found = ablation.load_results("draws", folder / "results")
    assert found.complete
    assert len(found.runs) == sum(finished(folder).values())
    assert "effect=20" in repr(ablation.analyze(found))
    for options in ({"margin": 0.1}, {"metric": "score"}):
        with pytest.raises(UserError, match="cannot be changed afterwards"):
            ablation.analyze(found, **options)  # type: ignore[arg-type]


IMAGES = TINY.replace("seeds: [0, 1]", "seeds: {looks: [2, 3]}")
MISTAKES: dict[str, tuple[str, str, list[str]]] = {
    "one look": ("[2, 3]", "[5]", ["7:16: seeds.looks: a study that is looked at once needs no looks", "seeds: 5"]),
    "no look": ("[2, 3]", "[]", ["7:16: seeds.looks: a study that is looked at once needs no looks"]),
    "a look of one seed": ("[2, 3]", "[1, 3]", ["7:17: seeds.looks[0]: nothing can be decided at a look of one seed"]),
    "looks that fall": ("[2, 3]", "[5, 8, 3]", ["7:23: seeds.looks[2]: a look at 3 seeds cannot follow one at 8"]),
    "a look twice": ("[2, 3]", "[5, 5]", ["7:20: seeds.looks[1]: a look at 5 seeds cannot follow one at 5"]),
    "a look of no seed": ("[2, 3]", "[0, 3]", ["7:17: seeds.looks[0] is 0; it must be at least 1"]),
    "a fraction": ("[2, 3]", "[2, 3.5]", ["7:20: seeds.looks[1] is 3.5; it must be a whole number"]),
    "a number": ("[2, 3]", "3", ["7:16: seeds.looks is 3; it must be a list"]),
    "another key": ("looks:", "look:", ["7:9: unknown key 'look' in seeds", "did you mean 'looks'?"]),
    "no looks at all": ("{looks: [2, 3]}", "{}", ["seeds has no 'looks'", "for example looks: [3, 5, 8, 12]"]),
    "a rule without looks": (
        "{looks: [2, 3]}",
        "[0, 1]\nanalysis: {spending: pocock}",
        ["8:12: spending is for a study with looks", "or remove it"],
    ),
    "an unknown rule": (
        "{looks: [2, 3]}",
        "{looks: [2, 3]}\nanalysis: {spending: pococ}",
        ["8:22: analysis.spending is 'pococ'", "did you mean 'pocock'?"],
    ),
    "a metric of the test set": (
        "{looks: [2, 3]}",
        "{looks: [2, 3]}\nanalysis: {metric: test_accuracy}",
        ["8:20: test_accuracy is not known before the last look"],
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_wrong_looks_are_shown_with_their_place(what: str, tmp_path: Path) -> None:
    old, new, expected = MISTAKES[what]
    path = tmp_path / "study.yaml"
    path.write_text(IMAGES.replace(old, new))
    with pytest.raises(FileError) as caught:
        load_study(path)
    for part in expected:
        assert part in str(caught.value)


def test_looks_need_variants(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(IMAGES.split("vary:")[0])
    with pytest.raises(FileError, match="looks decide on variants, and this study has none"):
        load_study(path)


def test_the_runs_of_a_sequential_study_are_those_of_a_fixed_one(tmp_path: Path) -> None:
    keys = []
    for seeds in ("{looks: [2, 3]}", "3"):
        path = tmp_path / "study.yaml"
        path.write_text(TINY.replace("[0, 1]", seeds))
        keys.append([run.key for run in plan_study(load_study(path)).runs])
    assert keys[0] == keys[1]


def test_other_seeds_and_a_smoke_run_make_it_a_fixed_study(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(IMAGES + "analysis: {spending: pocock, futility: conditional_power}\n")
    study = load_study(path)
    assert (study.looks, study.seeds, study.analysis.stopping) == ((2, 3), (0, 1, 2), ("pocock", "conditional_power"))
    assert load_study(path, seeds=[4, 5]).looks == ()
    assert (load_study(path, smoke=True).looks, load_study(path, smoke=True).seeds) == ((), (0, 1))


def test_the_manifest_has_the_looks_and_marks_that_they_were_changed(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"

    def made(text: str, seen: Manifest | None = None) -> Manifest:
        path.write_text(text)
        return make_manifest(plan_study(load_study(path)), "", seen, judged=True)

    first = made(IMAGES)
    assert first.sequential == Sequential((2, 3), "obrien_fleming", "none")
    assert Manifest.from_json(json.loads(json.dumps(first.to_json()))) == first
    assert made(IMAGES, first).looks == 1
    changed = made(IMAGES + "analysis: {margin: 0.01}\n", first)
    assert (changed.looks, changed.added_seeds) == (2, ())
    assert made(IMAGES.replace("[2, 3]", "[2, 3, 4]"), first).looks == 2
    assert made(IMAGES.replace("[2, 3]", "[2, 3, 4]"), first).added_seeds == (3,)
    fixed = made(TINY.replace("[0, 1]", "3"))
    assert "sequential" not in fixed.to_json()
    assert made(IMAGES, fixed).looks == 2
    assert made(TINY.replace("[0, 1]", "3") + "analysis: {margin: 0.01}\n", fixed).looks == 1


@pytest.mark.parametrize(
    ("looks", "message"), [((3, 2), "its looks are not growing"), ((2, 4), "its last look is not at all of its seeds")]
)
def test_damaged_looks_are_refused(looks: tuple[int, ...], message: str, tmp_path: Path) -> None:
    stored = write_study(tmp_path, seeds=(0, 1, 2))
    broken = replace(stored.manifest, sequential=Sequential(looks, "pocock", "none"))
    with pytest.raises(UserError, match=message):
        Manifest.from_json(broken.to_json())


def sequential(tmp_path: Path, looks: tuple[int, ...] = (2, 3), **options: Any) -> Results:
    """A study of stored image classifiers with looks."""
    variants = (
        StoredVariant("strong", {"model.dropout": 0.0}, 0.5),
        StoredVariant("weak", {"model.dropout": 0.3}, 0.9),
        StoredVariant("other", {"model.dropout": 0.4}, 0.9),
        StoredVariant("more", {"model.dropout": 0.5}, 0.9),
    )
    rules = Sequential(looks, "pocock", "none")
    stored = write_study(tmp_path, variants, range(looks[-1]), sequential=rules, **options)
    return load_results(stored.store, stored.manifest)


def test_what_no_look_needs_is_in_no_count_of_the_report(tmp_path: Path) -> None:
    fates: Any = {("strong", 2): "missing", ("strong", 3): "crashed", ("strong", 4): "diverged"}
    found = sequential(tmp_path, (2, 5), fates=fates)
    analysis = describe(found)
    own = analysis.effect("strong")
    assert (own.n, len(own.runs), own.verdict, own.diverged) == (2, 2, "worse", 0)
    assert (analysis.facts.missing, analysis.facts.crashed, analysis.facts.open) == (0, 0, 0)
    assert analysis.facts.runs == 5 * 5 - 3
    assert not [run for run in analysis.problem_runs if run.variant == "strong"]
    assert not any(warning.code in ("missing_runs", "diverged") for warning in analysis.warnings)
    assert analysis.design.n == 5


def test_a_study_between_two_looks_speaks_of_the_last_complete_one(tmp_path: Path) -> None:
    found = sequential(tmp_path, (2, 4, 6), fates={("weak", 3): "missing", ("weak", 2): "interrupted"})
    analysis = describe(found)
    assert analysis.sequential is not None
    assert (analysis.sequential.done, analysis.sequential.next_look) == (1, 4)
    assert analysis.effect("weak").pairs == analysis.effect("weak").n == 2
    assert analysis.effect("other").n == 2  # two more are finished, and wait for the look
    assert analysis.facts.seeds == (0, 1, 2, 3)
    assert (analysis.facts.missing, analysis.facts.interrupted) == (1, 1)
    assert analysis.headline.startswith("So far, ")
    assert analysis.sequential.variants["weak"].goes_on
    assert analysis.sequential.variants["weak"].adjusted is None
    assert analysis.sequential.variants["strong"].adjusted is not None


def test_before_the_first_look_nothing_is_claimed(tmp_path: Path) -> None:
    found = sequential(tmp_path, (3, 5), fates={("weak", 1): "missing"})
    analysis = describe(found)
    assert {own.verdict for own in analysis.variants} == {"no_claim"}
    assert analysis.effect("strong").reason == "the first look is not complete yet"
    assert analysis.effect("strong").n == 3
    assert analysis.sequential is not None
    assert analysis.sequential.variants["strong"].look == 0


@pytest.mark.slow
def test_the_report_shows_the_paths_and_a_later_fixed_one_does_not(tmp_path: Path) -> None:
    rules = Sequential((2, 4), "obrien_fleming", "conditional_power")
    stored = write_study(tmp_path / "results", seeds=range(4), sequential=rules, analysis={"margin": 0.2})
    report = write_report(stored.store, stored.manifest, tmp_path / "report")
    text = report.markdown.read_text(encoding="utf-8")
    section = text.split("## Looks\n")[1].split("\n## ")[0]
    assert "figures/looks-1.png" in section
    assert "Dotted: the margin." in section
    assert "| Variant | Decision | n | Difference | Interval | Adjusted |" in section
    assert "spending function of the type of O'Brien and Fleming" in text
    assert "with a probability below 20 %" in text
    assert (tmp_path / "report" / "figures" / "looks-1.png").exists()
    assert 'id="looks-1-t"' in report.html.read_text(encoding="utf-8")
    fixed = write_report(stored.store, replace(stored.manifest, sequential=None), tmp_path / "report")
    assert "## Looks" not in fixed.markdown.read_text(encoding="utf-8")
    assert not (tmp_path / "report" / "figures" / "looks-1.png").exists()


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*ABLATE, "run", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


@pytest.mark.slow
def test_the_sequential_smoke_study_killed_at_twenty_moments_decides_the_same_with_the_same_bits(
    tmp_path: Path,
) -> None:
    study = str(ROOT / "studies" / "smoke_looks.yaml")
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    for each in (quiet, killed):
        each.mkdir()
    done = subprocess.run([*ABLATE, "run", study], cwd=quiet, capture_output=True, text=True, check=True, timeout=300)
    looks = [line for line in done.stdout.splitlines() if line.startswith("look ")]
    assert len(looks) >= 2
    chance, kills = random.Random(3), 0
    for number in range(60):
        process = start(killed, study)
        patience = chance.uniform(1.5, 5.0)
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < patience:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL if number % 2 else signal.SIGTERM)
            kills += 1
        output = process.communicate(timeout=120)[0]
        assert "Traceback" not in output, output
        if kills == 20:
            break
    last = subprocess.run([*ABLATE, "run", study], cwd=killed, capture_output=True, text=True, check=True, timeout=300)
    assert kills == 20, f"killed {kills} times"
    assert looks[-1] in last.stdout
    name = manifest_name(quiet)
    same(results(quiet, name), results(killed, name))
    runs = [sorted(path.name for path in (each / "results" / "runs").glob("*/run.json")) for each in (quiet, killed)]
    assert len(runs[0]) == len(runs[1])
    pages = []
    for each in (quiet, killed):
        subprocess.run([*ABLATE, "report"], cwd=each, check=True, capture_output=True, timeout=120)
        (page,) = (each / "reports").glob("*/analysis.json")
        pages.append(json.loads(page.read_text())["sequential"])
    assert pages[0] == pages[1]


def manifest_name(folder: Path) -> str:
    (path,) = (folder / "results" / "studies").glob("*/study.json")
    return path.parent.name


@pytest.mark.slow
@needs_ray
def test_a_cluster_decides_what_this_machine_does_with_the_same_bits(tmp_path: Path) -> None:
    folders = tmp_path / "here", tmp_path / "cluster"
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))  # a short name, for Ray makes sockets in it
    try:
        for folder, arguments in zip(folders, ((), ("--backend", "ray")), strict=True):
            folder.mkdir()
            (folder / "tiny.yaml").write_text(IMAGES.replace("[2, 3]", "[2, 3, 4]"))
            environment = loopback() | {"TMPDIR": str(scratch)}
            command = [*ABLATE, "run", "tiny.yaml", *arguments]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "look 1 of 3 (2 seeds)" in done.stdout
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    same(*(results(folder, "tiny") for folder in folders))
