"""Sample images of the baseline with their true and predicted labels, the worst mistakes first."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import ablation._util.counted as counted
import ablation.report.drawing as drawing
import ablation.report.figures.mistakes as mistakes
from ablation._util.language import clauses, current, tr, tr_noop, trn
from ablation.data.fingerprint import cache_folder
from ablation.report.blocks import Block, Heading, Images, Paragraph, Sample
from ablation.report.context import Context, Section
from ablation.results.predictions import read_predictions
from ablation.results.runs import Results
from ablation.storage.record import RunRecord
from ablation.storage.store import RunFolder, Store

MOST_MISTAKES = 24
SAMPLES = 8
IMAGES_FILE = "images.npz"
"""Beside study.json, in a study that came from another machine: see `sample_images`."""
_LARGEST = 96
"""Pixels of the longer side above which an image is made smaller for the page."""
Pixels = np.ndarray[tuple[Any, ...], np.dtype[np.uint8]]
Floats = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class _Seen:
    """What one run predicted, sorted into what is shown; places are rows of the predictions."""

    record: RunRecord
    index: np.ndarray[tuple[int], np.dtype[np.int64]]
    label: np.ndarray[tuple[int], np.dtype[np.int64]]
    predicted: np.ndarray[tuple[int], np.dtype[np.int64]]
    confidence: Floats

    def worst(self) -> list[int]:
        """The mistakes with the highest confidence, the highest first; equal ones in the order of the data."""
        wrong = np.flatnonzero(self.label != self.predicted)
        return [int(i) for i in wrong[np.argsort(-self.confidence[wrong], kind="stable")]]

    def spread(self) -> list[int]:
        """Places at even distances, whatever was predicted there."""
        number = min(SAMPLES, len(self.index))
        return [int(i) for i in np.linspace(0, len(self.index) - 1, number).round()]


def _gallery(context: Context) -> Iterator[Block]:
    """Validation images of the baseline under its first finished seed; nothing where it has no predictions."""
    store, seen = context.store, _seen(context.store, context.results) if context.study.of_images else None
    if seen is None:
        return
    name = cache_folder(str(seen.record.recipe["data"]["name"]), seen.record.data_fingerprint, "train")
    decoded = _decoded(store.data / name, seen)
    images = _pick(decoded, seen) if decoded is not None else _kept(store, context.study.folder, seen)
    if images is not None:
        yield from _groups(seen, images)
        return
    folder = f"{store.data.name}/{name}"
    text = tr(
        "The decoded images are not in {folder} any more, so that none can be shown here. They come back when a run on "
        "this data is trained.",
        folder=folder,
    )
    yield Paragraph(text, "none")


def _seen(store: Store, results: Results) -> _Seen | None:
    manifest = results.manifest
    for seed in manifest.seeds:
        record = results.records.get((manifest.baseline.name, seed))
        if record is not None and record.status == "finished":
            arrays = _predictions(store.run(manifest.run_folder(manifest.baseline.name, seed)))
            return None if arrays is None else _Seen(record, *arrays)
    return None


def _predictions(folder: RunFolder) -> tuple[Any, ...] | None:
    arrays = read_predictions(folder, "validation", "index", "label", "predicted", "confidence")
    if arrays is None or not len(arrays[0]):
        return None
    return (*(array.astype(np.int64) for array in arrays[:3]), arrays[3].astype(np.float64))


def sample_images(store: Store, results: Results) -> bytes | None:
    """The content of images.npz: the images that the report shows, each by its place in the data set.

    Kept beside study.json, it stands in for the decoded images. None where there are no such images.
    """
    seen = _seen(store, results) if results.manifest.of_images else None
    if seen is None:
        return None
    name = cache_folder(str(seen.record.recipe["data"]["name"]), seen.record.data_fingerprint, "train")
    decoded = _decoded(store.data / name, seen)
    if decoded is None:
        return None
    images, file = _pick(decoded, seen), io.BytesIO()
    shown = {str(index): np.asarray(image) for index, image in sorted(images.items())}
    np.savez(file, data=np.array(name), **shown)  # type: ignore[arg-type]
    return file.getvalue()


def _pick(decoded: Pixels, seen: _Seen) -> dict[int, Image.Image]:
    """The images that are shown, by their place in the data set."""
    places = dict.fromkeys((*seen.worst()[:MOST_MISTAKES], *seen.spread()))
    return {int(seen.index[place]): _image(np.asarray(decoded[seen.index[place]])) for place in places}


def _kept(store: Store, folder: str, seen: _Seen) -> dict[int, Image.Image] | None:
    """The images in images.npz; None unless they are those that are shown, of the same data."""
    name = cache_folder(str(seen.record.recipe["data"]["name"]), seen.record.data_fingerprint, "train")
    shown = {int(seen.index[place]) for place in (*seen.worst()[:MOST_MISTAKES], *seen.spread())}
    try:
        with np.load(store.study_file(folder).with_name(IMAGES_FILE), allow_pickle=False) as kept:
            if str(kept["data"]) != name:
                return None
            return {index: Image.fromarray(np.asarray(kept[str(index)], dtype=np.uint8)) for index in sorted(shown)}
    except (OSError, EOFError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


def _decoded(folder: Path, seen: _Seen) -> Pixels | None:
    """The decoded images (n, height, width, channels), mapped into memory; None unless they are those predicted on."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        return None
    fits = images.ndim == 4 and images.dtype == np.uint8 and len(images) == len(labels) > int(seen.index.max())
    return images if fits and np.array_equal(labels[seen.index], seen.label) else None


def _groups(seen: _Seen, images: Mapping[int, Image.Image]) -> Iterator[Block]:
    worst, number = seen.worst(), len(seen.index)
    seed = tr("baseline, seed {seed}", seed=seen.record.seed)
    if worst:
        shown = worst[:MOST_MISTAKES]
        text = tr(
            "{mistakes} on {images} ({seed}), highest confidence first. True class above, predicted class and its "
            "probability below.",
            mistakes=_which(len(shown), len(worst)),
            images=counted.validation_images(number),
            seed=seed,
        )
        yield from _group("mistakes-1", tr("Worst mistakes"), shown, text, seen, images)
    spread = seen.spread()
    text = trn(
        "{n:,} image at even distances through the validation images, right or wrong ({seed}).",
        "{n:,} images at even distances through the validation images, right or wrong ({seed}).",
        len(spread),
        seed=seed,
    )
    yield from _group("mistakes-2", tr("Samples"), spread, text, seen, images)


def _which(shown: int, of: int) -> str:
    if shown == of:
        return tr("The only mistake") if of == 1 else tr("All {n} mistakes", n=of)
    return tr("The {n} worst of {total:,} mistakes", n=shown, total=of)


def _group(
    key: str, title: str, places: list[int], caption: str, seen: _Seen, images: Mapping[int, Image.Image]
) -> Iterator[Block]:
    shown = [(images[int(seen.index[place])], place) for place in places]
    samples = tuple(_sample(place, seen, image) for image, place in shown)
    pixels = [np.asarray(image.convert("RGB")) for image, _ in shown]
    labels = [(s.true, f"{s.predicted} {s.confidence}", s.right, p) for s, p in zip(samples, pixels, strict=True)]
    each = [tr("{true}, predicted {predicted}", true=s.true, predicted=s.predicted) for s in samples]
    alt = f"{title}{current().colon}{clauses(each)}"
    yield Heading(title)
    yield Images(
        caption, samples, (drawing.picture(f"figures/{key}.png", alt, partial(mistakes.image_grid, labels)),), key
    )


def _sample(place: int, seen: _Seen, image: Image.Image) -> Sample:
    classes = seen.record.classes
    return Sample(
        true=classes[seen.label[place]],
        predicted=classes[seen.predicted[place]],
        confidence=tr("{share} %", share=_per_cent(float(seen.confidence[place]))),
        right=bool(seen.label[place] == seen.predicted[place]),
        uri=_data_uri(image),
    )


def _per_cent(share: float) -> str:
    """A probability in per cent that is called 100 only where it is."""
    return "> 99" if 0.995 <= share < 1 else f"{100 * share:.0f}"


def _image(pixels: Pixels) -> Image.Image:
    """(height, width, channels) as a picture: colour from three channels on, else the first one in grey."""
    shown = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
    image = Image.fromarray(np.ascontiguousarray(shown))
    if max(image.size) > _LARGEST:
        image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
    return image


def _data_uri(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


GALLERY = Section("mistakes", tr_noop("Sample images"), 90, _gallery, appendix=True)
