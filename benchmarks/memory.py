"""Peak memory of `ablate run` on images, over all its processes, for 1, 2 and 4 workers. Linux only.

What several processes share is counted once: the proportional set size (PSS) shares it out among them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.rows import Part, Row, row
from benchmarks.sides import ROOT, environment
from benchmarks.work import LENET, Work

IMAGES = "ABLATION_TEST_IMAGES"
"""The environment variable that may name a zip file of real photographs."""
WORKERS = (1, 2, 4)
INTERVAL = 0.2
ARRAY = "images.npy"
HELD_ONCE = 1.05
"""Times the size of the file; the kernel maps whole pages."""


@dataclass(frozen=True)
class Sample:
    """MiB of all processes of a command at one moment: PSS, private, and PSS of the mapped images."""

    pss: float
    private: float
    images: float


def measure(quick: bool) -> Part:
    """The peaks, and the size of the images in memory over that of their file."""
    work = replace(LENET, epochs=2, dropouts=LENET.dropouts, seeds=(0,), data=_data(quick))
    rows: list[Row] = []
    for workers in WORKERS:
        samples, file = watch(work, workers)
        samples = [sample for sample in samples if sample.images]  # a worker trains
        mapped = [sample.images / file for sample in samples]
        name = f"{work.name}, {workers} worker{'s' if workers > 1 else ''}"
        rows += [
            row(f"{name}: peak PSS", [max(sample.pss for sample in samples)], "MiB"),
            row(f"{name}: peak private memory", [max(sample.private for sample in samples)], "MiB"),
            row(f"{name}: mapped images", mapped, "x", HELD_ONCE, against="the data set"),
        ]
        print(f"{name}: {rows[-3].value:.0f} MiB, images {rows[-1].value:.3f} of {file:.1f} MiB", flush=True)
    return Part("Memory of the pool", _notes(work, file), rows)


def _data(quick: bool) -> dict[str, object]:
    if os.environ.get(IMAGES) and not quick:
        return {"name": "image_folder", "path": str(Path(os.environ[IMAGES]).resolve()), "size": 32}
    return {"name": "synthetic", "shape": [3, 32, 32], "samples": 1000 if quick else 12_000}


def _notes(work: Work, file: float) -> tuple[str, ...]:
    what = "real photographs" if work.data["name"] == "image_folder" else "synthetic images"
    return (
        f"Peaks while training, over all processes of one `ablate run` of {work.runs} runs, of samples taken every"
        f" {INTERVAL} s; one measurement each. The data set: {what} of 3x32x32, {file:.1f} MiB as decoded,"
        " training and validation part together.",
        "PSS counts a page that n processes share as 1/n in each; private memory is what a process has for itself."
        " *Mapped images*: the PSS of the file of decoded images, added up over the processes, over its size, over all"
        " samples with its quartiles: 1 where the data set is held once; the number of workers where each has its own.",
    )


def watch(work: Work, workers: int, code: Path = ROOT) -> tuple[list[Sample], float]:
    """Samples from the beginning to the end of a command, and the size of the decoded images in MiB."""
    samples = []
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "study.yaml").write_text(work.study(), encoding="utf-8")
        command = [sys.executable, "-m", "ablation", "run", "study.yaml", "--per-device", str(workers)]
        with subprocess.Popen(command, cwd=name, env=environment(code), stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                samples.append(_sample(process.pid))
                time.sleep(INTERVAL)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} failed")
        (array,) = Path(name).rglob(ARRAY)
        return samples, array.stat().st_size / 2**20


def _sample(root: int) -> Sample:
    pss = private = images = 0
    for process in _tree(root):
        try:
            for key, size, file in _sizes(process):
                pss += size if key == "Pss" else 0
                private += size if key.startswith("Private_") else 0
                images += size if key == "Pss" and file.endswith(ARRAY) else 0
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
    return Sample(pss / 1024, private / 1024, images / 1024)


def _sizes(process: int) -> Iterator[tuple[str, int, str]]:
    """(key, KiB, mapped file) of every figure of every mapping of a process."""
    file = ""
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        key, _, rest = line.partition(": ")
        if rest.endswith(" kB"):
            yield key, int(rest.split()[0]), file
        elif not rest:
            file = line  # the head of a mapping, which ends in the name of its file


def _tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found
