"""Tables of runs and of epochs, as people write them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def table(
    metric: str = "accuracy",
    values: Sequence[float] = (0.9, 0.93),
    seeds: Iterable[int] = range(4),
    *,
    noise: float = 0.002,
    names: Sequence[str] = ("base", "a", "b", "c", "d"),
    separator: str = ",",
    form: Callable[[float], str] = "{:.5f}".format,
) -> str:
    """A table with a variant for each value; the noise is a hundredth of a point for shares."""
    draw = random.Random(1)
    rows = [separator.join(("variant", "seed", metric))]
    for name, value in zip(names, values, strict=False):
        rows += [separator.join((quoted(name), str(seed), form(value + draw.gauss(0, noise)))) for seed in seeds]
    return "\n".join(rows) + "\n"


def quoted(name: str) -> str:
    return f'"{name.replace(chr(34), chr(34) * 2)}"' if set(name) & set(',;\t"\n\r') else name


def epochs_of(columns: str, rows: Callable[[str, int, int], Sequence[object]], last: int = 4) -> str:
    lines = [f"variant,seed,epoch,{columns}"]
    for name in ("base", "a"):
        for seed in range(4):
            lines += [",".join(map(str, (name, seed, n, *rows(name, seed, n)))) for n in range(1, last + 1)]
    return "\n".join(lines)
