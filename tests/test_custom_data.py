"""Data sets of the user's own code: `data: {name: "my_data:Spectrograms"}`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from ablation.data.custom import Returned
from ablation.data.sources import load, prepare
from ablation.errors import FileError, UserError
from ablation.execution.study import plan_study
from ablation.registry.datasets import CustomData
from ablation.study.custom_code import find
from ablation.study.load import load_study
from ablation.worker.custom_data import CustomSource
from tests.conftest import ROOT, Ablate

ARRAYS = """\
from pathlib import Path
Path("imported").touch()

import numpy as np


def spectrograms(part, side=12, classes=3):
    rng = np.random.default_rng({"train": 0, "test": 1}[part])
    labels = np.arange({"train": 90, "test": 30}[part]) % classes
    images = rng.integers(0, 60, (len(labels), side, side), dtype=np.uint8)
    images[np.arange(len(labels)), labels * 2] += 190
    return images, labels, [f"tone {index}" for index in range(classes)]
"""
DATASET = """\
import torch
from torch.utils.data import Dataset


class Stripes(Dataset):
    def __init__(self, part, classes=3):
        self.classes_, self.count = classes, {"train": 90, "test": 30}[part]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        label = index % self.classes_
        image = torch.zeros(3, 12, 10, dtype=torch.uint8)
        image[label, index % 12] = 200
        return image, label
"""
STUDY = """\
study: own
baseline:
  data: {name: "my_data:spectrograms", options: {side: 12}, validation: 0.2}
  model: lenet5
  optimizer: {name: sgd, lr: 0.05}
  train: {epochs: 2, batch_size: 32}
seeds: [0]
vary:
  data.options.side: [16]
  model: [resnet9]
"""
RUN = ("run", "own.yaml", "--device", "cpu", "--per-device", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_data.py").write_text(ARRAYS, encoding="utf-8")
    (tmp_path / "own.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def records(folder: Path) -> dict[str, Any]:
    """Variant -> its run.json."""
    manifest = json.loads((folder / "results" / "studies" / "own" / "study.json").read_text(encoding="utf-8"))
    runs = folder / "results" / "runs"
    return {v: json.loads((runs / own["0"] / "run.json").read_text("utf-8")) for v, own in manifest["folders"].items()}


@pytest.mark.slow
def test_a_data_set_of_numpy_arrays_is_trained_reported_and_tested(ablate: Ablate, folder: Path) -> None:
    for command in (["validate", "own.yaml"], ["plan", "own.yaml"]):
        shown = ablate(*command)
        assert shown.returncode == 0, shown.stdout + shown.stderr
    assert not (folder / "imported").exists()
    first = ablate(*RUN)
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.count("the code of my_data:spectrograms is named by this study: training runs") == 1
    found = records(folder)
    assert list(found) == ["baseline", "side=16", "model=resnet9"]
    assert found["baseline"]["image"] == [1, 12, 12]
    assert found["side=16"]["image"] == [1, 16, 16]
    assert found["baseline"]["classes"] == ["tone 0", "tone 1", "tone 2"]
    (folder / "imported").unlink()
    assert "nothing left to train" in ablate(*RUN).stdout
    assert ablate("status").returncode == ablate("report").returncode == 0
    assert "side 12 \u2192 16" in (folder / "reports" / "own" / "report.md").read_text(encoding="utf-8")
    assert not (folder / "imported").exists()
    tested = ablate("test", "own", "--device", "cpu")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.slow
def test_a_torch_dataset_is_trained_reported_and_tested(ablate: Ablate, folder: Path) -> None:
    (folder / "my_data.py").write_text(DATASET, encoding="utf-8")
    study = STUDY.replace("spectrograms", "Stripes").replace("options: {side: 12}, ", "").split("vary:")[0]
    (folder / "own.yaml").write_text(study + "vary: {model.activation: [tanh]}\n", encoding="utf-8")
    for command in (RUN, ("status",), ("report",), ("test", "own", "--device", "cpu")):
        result = ablate(*command)
        assert result.returncode == 0, result.stdout + result.stderr
    found = records(folder)["baseline"]
    assert found["image"] == [3, 12, 10]
    assert found["classes"] == ["0", "1", "2"]


@pytest.mark.slow
def test_an_exception_in_the_code_is_one_error_with_its_line(ablate: Ablate, folder: Path) -> None:
    (folder / "my_data.py").write_text(ARRAYS.replace("    rng =", "    raise KeyError('boom')\n    rng ="), "utf-8")
    result = ablate(*RUN)
    assert result.returncode == 1
    assert "my_data:spectrograms fails at my_data.py:8: KeyError: 'boom'" in result.stderr
    assert not list((folder / "results" / "data").glob("*"))


@pytest.mark.slow
def test_data_without_a_test_part_are_trained_and_the_test_says_what_is_missing(ablate: Ablate, folder: Path) -> None:
    (folder / "own.yaml").write_text(STUDY.split("vary:")[0], encoding="utf-8")
    (folder / "my_data.py").write_text(ARRAYS.replace('"test": 1', '"none": 1'), encoding="utf-8")
    assert ablate(*RUN).returncode == 0
    result = ablate("test", "own", "--device", "cpu")
    assert result.returncode == 1
    assert "has no test part: my_data:spectrograms fails at my_data.py:8: KeyError: 'test'" in result.stderr


@pytest.mark.slow
def test_images_that_are_too_small_for_a_model_are_refused_before_training(ablate: Ablate, folder: Path) -> None:
    (folder / "own.yaml").write_text(STUDY.replace("[resnet9]", "[vgg11]"), encoding="utf-8")
    result = ablate(*RUN)
    assert result.returncode == 1
    assert "vgg11" in result.stderr
    assert "12x12" in result.stderr
    assert not (folder / "results" / "runs").exists()


def source(folder: Path, **options: Any) -> CustomSource:
    data = CustomData.model_validate({"name": "my_data:spectrograms", "options": options})
    return CustomSource(data, find(data.name, folder))


def test_arrays_that_change_although_the_code_has_not_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    np.save("noise.npy", np.zeros((90, 12, 12), np.uint8))
    (folder / "my_data.py").write_text(ARRAYS.replace("    return", "    images += np.load('noise.npy')\n    return"))
    data, cache = source(folder), folder / "results" / "data"
    prepared = prepare(data, "mark", cache, lambda *_: None)
    shutil.rmtree(prepared)
    assert prepare(data, "mark", cache, lambda *_: None) == prepared
    shutil.rmtree(prepared)
    np.save("noise.npy", np.ones((90, 12, 12), np.uint8))
    with pytest.raises(UserError, match="have changed, although its code and options have not") as caught:
        prepare(data, "mark", cache, lambda *_: None)
    assert "options: {version: 2}" in str(caught.value.hint)
    assert not prepared.exists()


def test_code_and_options_are_part_of_the_fingerprint_and_the_place_of_the_code_is_not(folder: Path) -> None:
    def prints() -> list[str]:
        return list(dict.fromkeys(run.data_fingerprint for run in plan_study(load_study(folder / "own.yaml")).runs))

    first = prints()
    assert len(first) == 2
    with (folder / "my_data.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert not {*first} & {*prints()}


IMAGES, LABELS = np.zeros((12, 8, 9), np.uint8), np.arange(12) % 3
FAULTY: dict[str, tuple[object, str, str]] = {
    "channels first": ((np.zeros((12, 3, 8, 8), np.uint8), LABELS), "shape", "images.transpose(0, 2, 3, 1)"),
    "another shape": ((np.zeros((12, 8, 8, 5), np.uint8), LABELS), "shape", "use 1 or 3 channels"),
    "floats": ((np.zeros((12, 8, 8)), LABELS), "type float64, not uint8", "scale by one fixed range to 0..255"),
    "other integers": ((IMAGES.astype(np.int32), LABELS), "type int32, not uint8", "convert to uint8"),
    "labels of text": ((IMAGES, LABELS.astype(str)), "must be integers", "number the classes from 0"),
    "labels from 1": ((IMAGES, LABELS + 1), "run from 1 to 3", "number the classes from 0"),
    "negative labels": ((IMAGES, LABELS - 1), "run from -1 to 1", "number the classes from 0"),
    "labels without a name": ((IMAGES, LABELS, ["a", "b"]), "there are 2 classes", "number the classes from 0"),
    "names twice": ((IMAGES, LABELS, ["a", "b", "b"]), "must be distinct", "one name for each class"),
    "one class": ((IMAGES, LABELS * 0), "run from 0 to 0", "at least two"),
    "different lengths": ((IMAGES, LABELS[:11]), "are 12 and its labels 11", "one label for each image"),
    "no images": ((IMAGES[:0], LABELS[:0]), "are none", "return (images, labels)"),
    "no data": (None, "are NoneType", "return (images, labels)"),
    "one array": (IMAGES, "are ndarray", "return (images, labels)"),
    "items of floats": ([(torch.zeros(1, 8, 8), 0)], "type float32, not uint8", "scale by one fixed range"),
    "items channels last": ([(torch.zeros(8, 8, 3, dtype=torch.uint8), 0)], "are a tensor", "permute(2, 0, 1)"),
    "items of a palette": ([(Image.new("P", (8, 8)), 0)], "have the mode P", "convert('RGB')"),
    "items of two sizes": ([(IMAGES[0], 0), (IMAGES[0].T, 1)], "item 1", "resize all images to one size"),
    "items without label": ([IMAGES[0]], "not (image, label)", "return a pair"),
    "labels that are no integers": ([(IMAGES[0], 0.5)], "which is not an integer", "number the classes from 0"),
    "an empty data set": ([], "are none", "return (images, labels)"),
}


class Items(TensorDataset):
    """A data set of given items."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


@pytest.mark.parametrize("fault", FAULTY)
def test_what_is_no_data_set_is_refused_with_what_to_write(fault: str) -> None:
    value, message, hint = FAULTY[fault]
    with pytest.raises(UserError) as caught:
        read(Items(value) if isinstance(value, list) else value)
    assert message in caught.value.message
    assert caught.value.message.startswith("my_data:Own: ")
    assert hint in str(caught.value.hint)


TRAIN = Returned("my_data:Own", "train")


def read(value: object, returned: Returned = TRAIN) -> tuple[Any, tuple[str, ...]]:
    """The images and the classes of what code has returned."""
    source = returned.source(value, lambda *_: None)
    images = np.concatenate(list(source.blocks))  # type: ignore[arg-type]
    return images, source.complete(source).classes


def test_items_may_be_pillow_images_arrays_and_tensors() -> None:
    rgb = np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3)
    forms = [Image.fromarray(rgb), rgb, torch.from_numpy(rgb).permute(2, 0, 1)]
    images, classes = read(Items([(form, np.int64(label)) for form in forms for label in (0, 1)]))
    assert images.shape == (6, 8, 9, 3)
    assert all(np.array_equal(image, rgb) for image in images)
    assert classes == ("0", "1")


def test_a_test_part_has_the_classes_of_training() -> None:
    own = Returned("my_data:Own", "test", ("a", "b", "c"))
    assert read((IMAGES[:1], LABELS[:1]), own)[1] == ("a", "b", "c")
    for value, message in [((IMAGES, LABELS + 1), "run from 1 to 3"), ((IMAGES, LABELS, ["b", "a", "c"]), "b, a, c")]:
        with pytest.raises(UserError, match=message):
            read(value, own)


def test_arrays_are_prepared_as_they_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    images = load(prepare(source(folder, side=10), "mark", folder / "data", lambda *_: None))
    assert tuple(images.images.shape) == (90, 1, 10, 10)
    assert images.labels.tolist() == [index % 3 for index in range(90)]


def test_the_example_of_the_documentation_is_a_data_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "custom-data.md").read_text("utf-8"), re.DOTALL)
    (folder / "my_data.py").write_text(code, encoding="utf-8")
    np.savez("spectrograms-64.npz", train_images=IMAGES, train_labels=LABELS)
    images = load(prepare(source(folder), "mark", folder / "data", lambda *_: None))
    assert images.classes == ("speech", "music", "noise")


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (('"my_data:spectrograms"', '"other:spectrograms"'), "there is no other.py", "put other.py next to the study"),
        (('"my_data:spectrograms"', '"my data:x"'), "a custom data set is named module:attribute", "my_data:"),
        (("{side: 12}", "{part: 12}"), "'part' is passed by ablate", "for example options"),
        (("options: {side: 12}", "side: 12"), "unknown key 'side'", "options"),
    ],
)
def test_a_wrong_declaration_is_refused_where_it_is(
    folder: Path, change: tuple[str, str], message: str, hint: str
) -> None:
    (folder / "own.yaml").write_text(STUDY.replace(*change).split("vary:")[0], encoding="utf-8")
    with pytest.raises(FileError) as caught:
        load_study(folder / "own.yaml")
    assert message in caught.value.problems[0].message
    assert hint in str(caught.value.problems[0].hint)
    assert caught.value.problems[0].line == 3
