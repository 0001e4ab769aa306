"""`ablate test`: the test set is opened once, on record, and by no other command."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from ablation.errors import UserError
from ablation.storage.manifest import read_manifest
from ablation.storage.store import Store
from ablation.storage.test_set_log import append_evaluation, make_evaluation, openings_file, read_evaluations

from .conftest import ABLATE, TERMINAL, TINY, Ablate
from .test_run import results

FOLDER = """\
study: folder
baseline:
  data: {name: image_folder, path: images, size: 8, validation: 0.25}
  model: {name: lenet5, hidden: [8]}
  optimizer: {name: sgd, lr: 0.05}
  train: {epochs: 1, batch_size: 8}
seeds: [0]
vary: {model.dropout: [0.5]}
"""
SPY = """\
import sys
def hook(event, arguments):
    if event == "open" and "images/" in str(arguments[0]):
        with_fd = __import__("os").open(LOG, 0o2101, 0o644)
        __import__("os").write(with_fd, (str(arguments[0]) + "\\n").encode())
        __import__("os").close(with_fd)
sys.addaudithook(hook)
"""


def call(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **TERMINAL, **environment}
    return subprocess.run(
        [*ABLATE, *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=200, check=False
    )


@pytest.fixture
def finished(trained: Path, tmp_path: Path) -> Path:
    """A folder of its own in which the tiny study was run to its end."""
    return Path(shutil.copytree(trained, tmp_path / "finished"))


OPEN = """\
import sys
from ablation.cli.main import main
assert main(["test", "tiny"]) == 0
print("LOADED", *[name for name in ("torch", "torchvision") if name in sys.modules])
"""


@pytest.fixture(scope="session")
def first_opening(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the test set of the finished tiny study was opened, and what was printed."""
    folder = tmp_path_factory.mktemp("opened") / "study"
    shutil.copytree(trained, folder)
    answer = subprocess.run(
        [sys.executable, "-c", OPEN], cwd=folder, capture_output=True, text=True, timeout=200, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return folder, answer.stdout


@pytest.fixture
def opened(first_opening: tuple[Path, str], tmp_path: Path) -> Path:
    """A folder of its own in which the test set of the tiny study was opened once."""
    return Path(shutil.copytree(first_opening[0], tmp_path / "opened"))


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_first_opening_says_what_it_means(first_opening: tuple[Path, str]) -> None:
    printed = first_opening[1]
    assert "evaluating tiny on the test set: 6 runs, each at the epoch that validation chose" in printed
    assert "From now on they are known" in printed
    assert printed.splitlines()[-1] == "LOADED"  # torch is for the workers only


def test_an_opening_evaluates_every_run_and_is_put_on_record(trained: Path, opened: Path) -> None:
    before, after = results(trained, "tiny"), results(opened, "tiny")
    assert before.runs.test_accuracy.isna().all()
    assert before.test_evaluations == ()
    (evaluation,) = after.test_evaluations
    assert sorted(evaluation["runs"]) == sorted(after.runs.folder)
    assert (evaluation["fingerprint"], evaluation["images"], evaluation["command"]) == (
        "digits-test-v1",
        360,
        "ablate test tiny",
    )
    assert datetime.fromisoformat(evaluation["time"]).utcoffset() is not None
    assert evaluation["user"]
    assert evaluation["host"]
    for row in after.runs.itertuples():
        folder = opened / "results" / "runs" / row.folder
        stored = np.load(folder / "test.npz", allow_pickle=False)
        assert (stored["predicted"] == stored["label"]).mean() == pytest.approx(row.test_accuracy, abs=1e-12)
        assert -np.log(stored["true_probability"]).mean() == pytest.approx(row.test_loss, rel=1e-4)
        assert len(stored["index"]) == len(stored["confidence"]) == 360
        outcome = json.loads((folder / "test.json").read_text())
        assert (outcome["images"], outcome["fingerprint"]) == (360, "digits-test-v1")
        assert outcome["time"] == evaluation["time"]


def test_an_opening_leaves_the_run_folders_as_they_were(trained: Path, opened: Path) -> None:
    files, grown = (digests(folder / "results" / "runs") for folder in (trained, opened))
    assert {name: grown[name] for name in files} == files
    assert {Path(name).name for name in grown.keys() - files.keys()} == {"test.npz", "test.json"}


@pytest.mark.slow
def test_opening_again_is_refused_and_possible(opened: Path) -> None:
    before = digests(opened)
    answer = call(opened, "test", "tiny")
    assert answer.returncode == 1
    (evaluation,) = results(opened, "tiny").test_evaluations
    who = (
        f"'tiny' was evaluated on the test set on {evaluation['time']} by {evaluation['user']} on {evaluation['host']}"
    )
    assert who in answer.stderr
    assert "--again does it once more" in answer.stderr
    assert digests(opened) == before
    answer = call(opened, "test", "tiny.yaml", "--again")
    assert answer.returncode == 0
    assert "it is evaluation 2" in answer.stdout
    first, second = results(opened, "tiny").test_evaluations
    assert first == evaluation
    assert second["command"] == "ablate test tiny.yaml --again"


@pytest.mark.slow
def test_half_a_study_is_refused_and_a_later_run_needs_another_opening(
    ablate: Ablate, study_file: Callable[..., Path], tmp_path: Path
) -> None:
    study_file()
    assert ablate("run", "tiny.yaml", "--only", "norm=none").returncode == 0
    answer = ablate("test", "tiny")
    assert answer.returncode == 1
    assert "4 of 6 runs of 'tiny' are not finished" in answer.stderr
    assert results(tmp_path, "tiny").test_evaluations == ()

    assert ablate("test", "tiny", "--partial").returncode == 0
    assert ablate("run", "tiny.yaml").returncode == 0
    runs = results(tmp_path, "tiny").runs
    assert set(runs.variant[runs.test_accuracy.notna()]) == {"norm=none"}
    answer = ablate("test", "tiny")
    assert answer.returncode == 1
    assert "4 runs finished since were not" in answer.stderr
    assert ablate("test", "tiny", "--again").returncode == 0
    found = results(tmp_path, "tiny")
    assert found.runs.test_accuracy.notna().all()
    assert len(found.test_evaluations) == 2


def test_a_run_that_another_study_opened_stays_shut_in_this_one(opened: Path) -> None:
    (opened / "other.yaml").write_text(TINY.replace("study: tiny", "study: other"))
    assert call(opened, "run", "other.yaml").returncode == 0
    assert results(opened, "tiny").runs.test_accuracy.notna().all()
    assert results(opened, "other").runs.test_accuracy.isna().all()
    assert results(opened, "other").test_evaluations == ()


@pytest.mark.slow
def test_weights_that_are_not_those_of_the_run_open_nothing(finished: Path) -> None:
    names = read_manifest(finished / "results" / "studies" / "tiny" / "study.json").folders["baseline"]
    first, second = (finished / "results" / "runs" / names[seed] for seed in ("0", "1"))
    content = (first / "best.pt").read_bytes()
    assert len(content) == (second / "best.pt").stat().st_size
    (second / "best.pt").unlink()  # the last checkpoint may be the same file
    (second / "best.pt").write_bytes(content)
    answer = call(finished, "test", "tiny")
    assert answer.returncode == 2
    assert "failed" in answer.stdout
    assert "nothing was recorded" in answer.stdout
    assert results(finished, "tiny").test_evaluations == ()
    assert not list(finished.glob("results/runs/*/test.*"))


@pytest.mark.slow
def test_a_diverged_run_is_finished_but_has_no_test_accuracy(
    ablate: Ablate, study_file: Callable[..., Path], tmp_path: Path
) -> None:
    text = TINY.replace("model.norm: [none]", "optimizer.lr: [1e18]").replace("norm: batch", "norm: none")
    study_file(text)
    assert ablate("run", "tiny.yaml", "--seeds", "0").returncode == 0
    assert ablate("test", "tiny").returncode == 0
    runs = results(tmp_path, "tiny").runs.set_index("variant")
    assert np.isnan(runs.test_accuracy["lr=1e+18"])
    assert runs.test_accuracy["baseline"] > 0


def test_the_evaluation_is_that_of_the_training_loop(finished: Path) -> None:
    """On the validation images it comes to what the loop came to, to the bit."""
    import torch

    from ablation.data import sources
    from ablation.execution.test_set import find_candidates, stored_runs
    from ablation.training.data import split
    from ablation.worker.testing import evaluate_on

    store, found = Store(finished / "results"), results(finished, "tiny")
    images = sources.load(next(store.data.iterdir()))
    torch.set_num_threads(1)
    runs = stored_runs(store, found.manifest)
    for name, candidate in find_candidates(store, found.manifest, runs).items():
        chosen = split(images.labels, candidate.run.recipe.data, candidate.run.seed).val
        shown = replace(images, images=images.images[chosen], labels=images.labels[chosen], digest="")
        result = evaluate_on(shown, runs[name], candidate.run, torch.device("cpu"))
        stored = np.load(store.run(name).predictions, allow_pickle=False)
        assert np.array_equal(stored["predicted"], result.predicted.numpy())
        assert np.array_equal(stored["confidence"], result.confidence.numpy())
        row = found.runs[found.runs.folder == name].iloc[0]
        assert (result.accuracy, result.loss) == (row.val_accuracy, row.val_loss)


def write_images(root: Path, part: str, classes: tuple[str, ...], count: int) -> None:
    from PIL import Image

    for number, name in enumerate(classes):
        folder = root / "images" / part / name
        folder.mkdir(parents=True)
        for index in range(count):
            shade = 40 + 150 * number + index
            Image.new("RGB", (8, 8), (shade, shade, 255 - shade)).save(folder / f"{index}.png")


@pytest.mark.slow
def test_run_and_report_never_read_test_images(tmp_path: Path) -> None:
    """Test images that cannot be read stop neither, and no process of either opens one of them."""
    write_images(tmp_path, "train", ("cat", "dog"), 8)
    write_images(tmp_path, "test", ("cat", "dog"), 3)
    broken = tmp_path / "images" / "test" / "dog" / "1.png"
    broken.write_bytes(b"no image")
    (tmp_path / "folder.yaml").write_text(FOLDER)
    log = tmp_path / "opened.txt"
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy" / "sitecustomize.py").write_text(f"LOG = {str(log)!r}\n{SPY}")
    spied = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "spy"), *filter(None, [os.environ.get("PYTHONPATH")])])}
    for command in (("run", "folder.yaml"), ("report", "folder")):
        answer = call(tmp_path, *command, **spied)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    opened = log.read_text().splitlines()
    assert sum("images/train/" in path for path in opened) >= 16
    assert not any("images/test/" in path for path in opened)

    answer = call(tmp_path, "test", "folder", **spied)
    assert answer.returncode == 1
    assert "test/dog/1.png" in answer.stderr
    assert results(tmp_path, "folder").test_evaluations == ()
    assert any("images/test/" in path for path in log.read_text().splitlines())


@pytest.mark.slow
def test_the_test_folder_must_have_the_classes_of_training(tmp_path: Path) -> None:
    write_images(tmp_path, "train", ("cat", "dog", "fox"), 8)
    (tmp_path / "folder.yaml").write_text(FOLDER)
    assert call(tmp_path, "run", "folder.yaml").returncode == 0
    answer = call(tmp_path, "test", "folder")
    assert answer.returncode == 1
    assert "images holds images of fewer than two classes below test/" in answer.stderr

    write_images(tmp_path, "test", ("cat", "doge"), 3)
    answer = call(tmp_path, "test", "folder")
    assert answer.returncode == 1
    assert "not of the classes that were trained on (missing: dog, fox; unknown: doge)" in answer.stderr
    assert results(tmp_path, "folder").test_evaluations == ()

    shutil.rmtree(tmp_path / "images" / "test")
    write_images(tmp_path, "test", ("cat", "dog", "fox"), 3)
    assert call(tmp_path, "test", "folder").returncode == 0
    found = results(tmp_path, "folder")
    assert found.test_evaluations[0]["images"] == 9
    assert found.runs.test_accuracy.notna().all()


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_the_parts_of_a_data_set_share_no_image(name: str, tmp_path: Path) -> None:
    from ablation.data import sources
    from ablation.registry.datasets import Digits, Synthetic

    data = Digits(name="digits") if name == "digits" else Synthetic(name="synthetic", shape=(1, 8, 8), samples=100)
    train, test = (
        sources.load(sources.prepare(data, data.fingerprint(part), tmp_path, lambda *_: None, part))
        for part in ("train", "test")
    )
    assert data.fingerprint() != data.fingerprint("test")
    assert len(test.labels) == {"digits": 360, "synthetic": 20}[name]
    assert test.classes == train.classes
    seen = {image.numpy().tobytes() for image in train.images}
    assert not any(image.numpy().tobytes() in seen for image in test.images)
    means = [part.images[part.labels == 3].float().mean(0) for part in (train, test)]
    others = train.images[train.labels == 4].float().mean(0)
    assert (means[0] - means[1]).abs().mean() < (means[1] - others).abs().mean()  # the same patterns


def test_torchvision_is_asked_for_its_own_test_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from torchvision import datasets

    from ablation.data import sources
    from ablation.registry.datasets import Cifar10

    class Fake:
        filename, tgz_md5 = "no-such-file", ""

        def __init__(self, _root: str, train: bool, download: bool) -> None:
            self.data = np.full((4, 4, 4, 3), 1 if train else 2, np.uint8)
            self.targets, self.classes = [0, 1, 0, 1], ["a", "b"]

    monkeypatch.setattr(datasets, "CIFAR10", Fake)
    for part, value in (("train", 1), ("test", 2)):
        folder = sources.prepare(Cifar10(name="cifar10"), f"fake-{part}", tmp_path, lambda *_: None, part)  # type: ignore[arg-type]
        assert (sources.load(folder).images == value).all()


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for command in ("first", "second"):
        append_evaluation(store, "study", make_evaluation(["run"], "digits-test-v1", 360, command))
    path = openings_file(store, "study")
    path.write_bytes(path.read_bytes() + b'{"schema_version": 1, "ti')
    assert [evaluation["command"] for evaluation in read_evaluations(store, "study")] == ["first", "second"]
    append_evaluation(store, "study", make_evaluation([], "digits-test-v1", 360, "third"))
    assert [evaluation["command"] for evaluation in read_evaluations(store, "study")] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("line", "message"), [("[]", "is not a record of an evaluation"), ('{"schema_version": 9}', "schema version 9")]
)
def test_a_line_that_is_no_opening_is_told(line: str, message: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    append_evaluation(store, "study", make_evaluation(["run"], "digits-test-v1", 360, "first"))
    path = openings_file(store, "study")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=f"line 2 of .*{message}"):
        read_evaluations(store, "study")


def test_a_study_that_was_never_run_has_no_test_set_to_open(ablate: Ablate) -> None:
    answer = ablate("test", "tiny")
    assert answer.returncode == 1
    assert "start with: ablate run" in answer.stderr


@pytest.mark.slow
def test_the_csv_has_the_test_columns(opened: Path) -> None:
    assert call(opened, "report", "tiny").returncode == 0
    header = (opened / "reports" / "tiny" / "runs.csv").read_text().splitlines()[0].split(",")
    assert {"test_accuracy", "test_loss"} < set(header)


@pytest.mark.slow
def test_the_report_gives_test_accuracies_a_section_and_keeps_its_metric(opened: Path) -> None:
    assert call(opened, "report", "tiny").returncode == 0
    text = (opened / "reports" / "tiny" / "report.md").read_text(encoding="utf-8")
    assert text.splitlines()[2] == "**Validation accuracy, difference from the baseline**"
    assert "*Validation accuracy on 40 validation images, %" in text
    section = text[text.index("## Test set") : text.index("## Warnings")]
    runs = results(opened, "tiny").runs
    mean = runs[runs.variant == "baseline"].test_accuracy.mean()
    row = next(line for line in section.splitlines() if line.startswith("| **baseline**"))
    assert f"| {100 * mean:.1f} ±" in row
    assert "on 360 test images, evaluated once, on " in section
    assert "The verdicts are based on validation accuracy." in section
    found = json.loads((opened / "reports" / "tiny" / "analysis.json").read_text(encoding="utf-8"))
    assert found["metric"] == "val_accuracy"
    assert found["test_set"]["images"] == 360


@pytest.mark.slow
def test_a_study_may_declare_that_its_verdicts_rest_on_the_test_set(opened: Path) -> None:
    (opened / "tiny.yaml").write_text(TINY + "analysis: {metric: test_accuracy}\n")
    assert call(opened, "run", "tiny.yaml").returncode == 0
    assert call(opened, "report", "tiny").returncode == 0
    text = (opened / "reports" / "tiny" / "report.md").read_text(encoding="utf-8")
    assert text.splitlines()[2] == "**Test accuracy, difference from the baseline**"
    assert "*Test accuracy on 360 test images, %" in text
    assert "The primary metric is test accuracy at the epoch with the highest validation accuracy" in text


@pytest.mark.slow
def test_seeds_added_after_a_look_are_recorded_by_the_next_run(
    ablate: Ablate, study_file: Callable[..., Path], tmp_path: Path
) -> None:
    small = TINY.replace("epochs: 3", "epochs: 1")
    study_file(small.replace("seeds: [0, 1]", "seeds: [0]"))
    assert ablate("run", "tiny.yaml").returncode == 0
    study_file(small)
    assert ablate("run", "tiny.yaml").returncode == 0
    assert (results(tmp_path, "tiny").manifest.added_seeds, results(tmp_path, "tiny").manifest.looks) == ((), 1)
    study_file(small.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    for _ in range(2):  # the second run adds nothing
        assert ablate("run", "tiny.yaml").returncode == 0
        assert (results(tmp_path, "tiny").manifest.added_seeds, results(tmp_path, "tiny").manifest.looks) == ((2,), 2)
