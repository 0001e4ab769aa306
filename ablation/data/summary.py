"""What was read of an image folder: how many images of which kind, and what was skipped or converted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from ablation._util.language import clauses, commas, listing, tr, tr_noop, trn
from ablation._util.sanitize import one_line

_EXAMPLES = 3
_MOST_CLASSES = 6
"""Whose numbers of images are listed one by one."""
_CONVERSIONS = (
    tr_noop("12-bit grey"), tr_noop("16-bit grey"),
    tr_noop("transparent pixels made white"), tr_noop("turned as EXIF says"),
    tr_noop("float 0 to 1"), tr_noop("float 0 to 255"), tr_noop("float, all zero"),
    tr_noop("integer 0 to 255"), tr_noop("integer 0 to 65,535"), tr_noop("integer, all zero"),
)  # fmt: skip
"""How pixels are converted, as `pixels` names it; names of colour spaces apart."""


@dataclass(frozen=True)
class DataSummary:
    """The images of one part of a data set, as they were read.

    - `formats`: format -> images; `conversions`: how pixels were converted -> images.
    - `per_class`: images of each class, in the order of the classes.
    - `skipped`: reason -> files; `examples`: reason -> the names of the first of them.
    - `smallest`, `largest`: width and height, by the number of pixels.
    """

    formats: Mapping[str, int]
    per_class: tuple[int, ...]
    skipped: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]
    conversions: Mapping[str, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`, by way of JSON. Raises KeyError, TypeError or ValueError."""
        numbers = {name: _counts(values[name]) for name in ("formats", "skipped", "conversions")}
        sizes = {name: _whole(values[name]) for name in ("smallest", "largest")}
        if any(len(size) != 2 for size in sizes.values()):
            raise ValueError("a size is not a width and a height")
        examples = {str(reason): tuple(str(name) for name in names) for reason, names in values["examples"].items()}
        return cls(**numbers, **sizes, per_class=_whole(values["per_class"]), examples=examples)  # type: ignore[arg-type]

    @classmethod
    def of(
        cls,
        formats: Mapping[str, int],
        per_class: tuple[int, ...],
        skipped: Mapping[str, tuple[str, ...]],
        conversions: Mapping[str, int],
        sizes: list[tuple[int, int]],
    ) -> Self:
        """The summary of images of these `sizes` (width, height); `skipped` names all files of each reason."""
        ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
        return cls(
            formats=dict(formats),
            per_class=per_class,
            skipped={reason: len(names) for reason, names in skipped.items()},
            examples={
                reason: tuple(printable(name) for name in names[:_EXAMPLES]) for reason, names in skipped.items()
            },
            conversions=dict(conversions),
            smallest=ordered[0],
            largest=ordered[-1],
        )


def printable(name: str) -> str:
    """A file name as text that JSON and a terminal can hold; bytes that are no UTF-8 are spelt out."""
    return one_line(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def _counts(values: Mapping[str, Any]) -> dict[str, int]:
    return dict(zip((str(key) for key in values), _whole(values.values()), strict=True))


def _whole(values: Any) -> tuple[int, ...]:
    found = tuple(values)
    if not all(isinstance(value, int) and value >= 0 for value in found):
        raise ValueError("a count is not a whole number")
    return found


def read_line(summary: DataSummary, classes: tuple[str, ...]) -> str:
    """`12,000 JPEG files of 32 x 32 pixels; 1,200 images in each of 10 classes`."""
    total = sum(summary.formats.values())
    counted = (tr("{number:,} {format}", number=own, format=name) for name, own in sorted(summary.formats.items()))
    formats = listing(list(counted))
    small, large = (f"{width:,} \u00d7 {height:,}" for width, height in (summary.smallest, summary.largest))
    files = (
        trn("{formats} file of {size} pixels", "{formats} files of {size} pixels", total, formats=formats, size=small)
        if small == large
        else trn(
            "{formats} file from {smallest} to {largest} pixels",
            "{formats} files from {smallest} to {largest} pixels",
            total,
            formats=formats,
            smallest=small,
            largest=large,
        )
    )
    return clauses([files, _per_class(summary.per_class, classes)])


def _per_class(counts: tuple[int, ...], classes: tuple[str, ...]) -> str:
    if min(counts) == max(counts):
        return trn(
            "{n:,} image in each of {classes:,} classes",
            "{n:,} images in each of {classes:,} classes",
            counts[0],
            classes=len(counts),
        )
    if len(counts) <= _MOST_CLASSES:
        return commas([f"{name} {count:,}" for name, count in zip(classes, counts, strict=True)])
    return tr(
        "{fewest:,} to {most:,} images in each of {classes:,} classes",
        fewest=min(counts),
        most=max(counts),
        classes=len(counts),
    )


def skipped_line(summary: DataSummary) -> str:
    """`3 (2 not images: notes.txt, a.csv; 1 broken links: x.jpg)`; empty where nothing was skipped."""
    if not summary.skipped:
        return ""
    parts = []
    for reason, count in summary.skipped.items():
        names = summary.examples.get(reason, ())
        shown = commas([*names, "..."] if count > len(names) else names)
        parts.append(tr("{number:,} {reason}: {names}", number=count, reason=tr(reason), names=shown))
    return tr("{total:,} ({parts})", total=sum(summary.skipped.values()), parts=clauses(parts))


def converted_line(summary: DataSummary) -> str:
    """`12 16-bit grey, 3 turned as EXIF says`; empty where nothing was converted."""
    return commas(
        [tr("{number:,} {kind}", number=own, kind=tr(kind)) for kind, own in sorted(summary.conversions.items())]
    )


def lines(summary: DataSummary, classes: tuple[str, ...]) -> Iterator[str]:
    """The summary in plain sentences, for the terminal."""
    yield f"read {read_line(summary, classes)}"
    if skipped := skipped_line(summary):
        yield f"skipped {skipped}"
    if converted := converted_line(summary):
        yield f"converted {converted}"
