"""Named random streams: one seed drives many generators that never disturb each other.

A stream is derived from (seed, names), so that turning one part of the recipe on or off leaves the random numbers of
every other part as they were. That is what makes two variants of one seed a pair. numpy and torch are imported where
they are used.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Seeds:
    """A seed for each stream: `base`, but for the `streams` that have another (the first of their names -> seed)."""

    base: int
    streams: Mapping[str, int]

    def of(self, stream: str) -> int:
        """The seed of a stream."""
        return self.streams.get(stream, self.base)


Seed = int | Seeds
"""One seed that drives all streams, or a seed for each."""


def derive(seed: Seed, *names: str | int) -> int:
    """The 63-bit seed of the stream `names` under `seed`: the leading bits of a SHA-256 digest."""
    own = seed.of(str(names[0])) if isinstance(seed, Seeds) else seed
    key = "\x1f".join(str(part) for part in (own, *names))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


def generator(seed: Seed, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator at the start of the stream `names`."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(seed, *names))


def seed_layers(seed: Seed, *names: str | int) -> None:
    """Point torch's global generators at a stream: dropout layers draw from these, and nothing else here does."""
    import torch

    torch.manual_seed(derive(seed, *names))


def seed_foreign(seed: int) -> None:
    """Seed Python's and NumPy's global generators, from which nothing here draws, but custom code may."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)


def foreign_state() -> dict[str, Any]:
    """The state of Python's and NumPy's global generators, as plain values."""
    import numpy as np

    kind, keys, *rest = np.random.get_state()
    return {"python": random.getstate(), "numpy": [kind, np.asarray(keys).tolist(), *rest]}


def restore_foreign(state: dict[str, Any]) -> None:
    """Set Python's and NumPy's global generators to a `foreign_state`."""
    import numpy as np

    random.setstate(state["python"])
    np.random.set_state(tuple(state["numpy"]))
