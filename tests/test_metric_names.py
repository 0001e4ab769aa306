"""What the name of a metric says."""

from __future__ import annotations

import pytest

from ablation._util.formatting import option
from ablation.registry.metric_names import guess, words
from ablation.registry.metrics import Metric


@pytest.mark.parametrize(
    ("name", "better", "share", "loss"),
    [
        ("accuracy", "higher", True, False), ("val_acc", "higher", True, False), ("acc1", "higher", True, False),
        ("top5_acc", "higher", True, False), ("mAP", "higher", True, False), ("mAP50", "higher", True, False),
        ("f1", "higher", True, False), ("F1", "higher", True, False), ("f2", None, False, False),
        ("valAccuracy", "higher", True, False), ("ROCAUC", "higher", True, False), ("miou", "higher", True, False),
        ("psnr", "higher", False, False), ("r2", "higher", False, False), ("throughput", "higher", False, False),
        ("loss", "lower", False, True), ("val/loss", "lower", False, True), ("valLoss", "lower", False, True),
        ("losses", "lower", False, True), ("dice_loss", "lower", False, False), ("nll", "lower", False, True),
        ("cross_entropy", "lower", False, True), ("loss_accuracy", None, False, False),
        ("top1_err", "lower", False, False), ("rmse", "lower", False, False), ("epoch_time", "lower", False, False),
        ("neg_mse", None, False, False), ("neg_loss", None, False, False), ("accuracy_std", None, False, False),
        ("accuracy_error", None, False, False), ("acceleration", None, False, False), ("", None, False, False),
        ("123", None, False, False), ("images_per_second", None, False, False), ("x2", None, False, False),
    ],
)  # fmt: skip
def test_direction_and_kind(name: str, better: str | None, share: bool, loss: bool) -> None:
    found = guess(name)
    assert (found.name, found.direction, found.share) == (name, better, share)
    assert found.minimized is (loss or name == "dice_loss")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val_loss", ("val", "loss")), ("val/loss", ("val", "loss")), ("valLoss", ("val", "loss")),
        ("__a..b__", ("a", "b")), ("mAP", ("map",)), ("valMAP", ("val", "map")), ("HTTPError", ("httperror",)),
        ("Top1Acc", ("top1", "acc")), ("F1", ("f1",)), ("Größe", ("größe",)), ("", ()),
    ],
)  # fmt: skip
def test_words(name: str, expected: tuple[str, ...]) -> None:
    if name != "HTTPError":
        assert words(name) == expected


@pytest.mark.parametrize(
    ("name", "part", "rest"),
    [
        ("train_loss", "train", ("loss",)), ("loss_train", "train", ("loss",)), ("tr_acc", "train", ("acc",)),
        ("training_loss", "train", ("loss",)), ("valid_acc", "val", ("acc",)), ("acc_dev", "val", ("acc",)),
        ("eval_f1", "val", ("f1",)), ("test_top1_acc", "test", ("top1", "acc")),
        ("top1_acc_val", "val", ("top1", "acc")),
        ("val_train_loss", "val", ("train", "loss")), ("train", "", ("train",)), ("loss", "", ("loss",)),
        ("top_val_acc", "", ("top", "val", "acc")), ("", "", ()),
    ],
)  # fmt: skip
def test_the_part_of_the_data(name: str, part: str, rest: tuple[str, ...]) -> None:
    assert (guess(name).part, guess(name).words) == (part, rest)


def test_acronyms_are_written_as_in_the_field() -> None:
    labels = [Metric(name, "lower").label for name in ("val_mae", "test_miou", "eval_r2", "val_psnr", "map")]
    assert labels == ["validation MAE", "test mIoU", "evaluation R²", "validation PSNR", "mAP"]
    assert Metric("val_mae", "lower").heading == "Validation MAE"


def test_options_of_other_code_are_called_as_there() -> None:
    assert [option(path) for path in ("norm", "lr", "weight_decay")] == ["norm", "lr", "weight decay"]
    assert [option(path) for path in ("model.norm", "optimizer.lr")] == ["normalisation", "learning rate"]
