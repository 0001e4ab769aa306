"""What a report counts, with its number: `3 seeds`."""

from __future__ import annotations

from ablation._util.language import trn


def seeds(number: int) -> str:
    """As `3 seeds`."""
    return trn("{n:,} seed", "{n:,} seeds", number)


def runs(number: int) -> str:
    """As `3 runs`."""
    return trn("{n:,} run", "{n:,} runs", number)


def variants(number: int) -> str:
    """As `3 variants`."""
    return trn("{n:,} variant", "{n:,} variants", number)


def comparisons(number: int) -> str:
    """As `3 comparisons`."""
    return trn("{n:,} comparison", "{n:,} comparisons", number)


def changes(number: int) -> str:
    """As `3 changes`."""
    return trn("{n:,} change", "{n:,} changes", number)


def validation_images(number: int) -> str:
    """As `3 validation images`."""
    return trn("{n:,} validation image", "{n:,} validation images", number)


def test_images(number: int) -> str:
    """As `3 test images`."""
    return trn("{n:,} test image", "{n:,} test images", number)
