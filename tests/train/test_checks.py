"""Mistakes of data handling, committed on purpose: a run notices each before it trains, and says so in its record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ablation.data.sources import ImageSet
from ablation.planning.job import Job
from ablation.storage.record import RunRecord
from ablation.study.load import load_study
from ablation.tasks.hooks import Hooks
from ablation.training import data
from ablation.training.data import Loader, Split
from ablation.training.loop import train

from .test_loop import STUDY


@pytest.fixture
def checked(tmp_path: Path, jobs: Callable[..., list[Job]]) -> Callable[[], dict[str, str]]:
    """Trains one small run and returns what it noticed about itself."""

    def run() -> dict[str, str]:
        path = tmp_path / "study.yaml"
        path.write_text(STUDY)
        (job,) = jobs(load_study(path, overrides=["train.epochs=2"]))
        record = train(job, Hooks(lambda *_: None, lambda *_: None, lambda: False))
        assert isinstance(record, RunRecord)
        return dict(record.checks)

    return run


def test_a_sound_run_notices_nothing(checked: Callable[[], dict[str, str]]) -> None:
    assert checked() == {}


def test_an_image_that_is_trained_on_and_validated_on(
    checked: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(labels: Tensor, options: object, seed: int) -> Split:
        sound = split(labels, options, seed)  # type: ignore[arg-type]
        return replace(sound, train=torch.cat([sound.train, sound.val[:3]]))

    split = data.split
    monkeypatch.setattr(data, "split", leaking)
    assert checked() == {"duplicate_images": "3 of 30 validation images are also trained on"}


def test_validation_images_that_are_augmented(
    checked: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def augmented(self: Loader) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in val(self):
            yield images.flip(3), labels

    val = Loader.val
    monkeypatch.setattr(Loader, "val", augmented)
    assert set(checked()) == {"augmented_validation"}


def test_a_normalisation_fitted_on_all_images(
    checked: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(images: ImageSet, indices: Tensor) -> tuple[Tensor, Tensor]:
        return fit(images, torch.arange(len(images.labels)))

    fit = data.channel_statistics
    monkeypatch.setattr(data, "channel_statistics", leaking)
    assert set(checked()) == {"leaked_normalisation"}


def test_dropout_that_is_left_on_while_evaluating(
    checked: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def always_on(_: nn.Dropout, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, training=True)

    monkeypatch.setattr(nn.Dropout, "forward", always_on)
    assert set(checked()) == {"unstable_evaluation"}
