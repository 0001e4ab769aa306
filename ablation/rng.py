"""Named random streams: one seed drives many generators that never disturb each other.

A stream is derived from (seed, names), so that turning one part of the recipe on or off leaves the random numbers of
every other part as they were. That is what makes two variants of one seed a pair.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def derive(seed: int, *names: str | int) -> int:
    """The 63-bit seed of the stream `names` under `seed`: the leading bits of a SHA-256 digest."""
    key = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator at the start of the stream `names`."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(seed, *names))


def seed_layers(seed: int, *names: str | int) -> None:
    """Point torch's global generators at a stream: dropout layers draw from these, and nothing else here does."""
    import torch

    torch.manual_seed(derive(seed, *names))


def seed_foreign(seed: int) -> None:
    """Seed Python's and NumPy's global generators, from which nothing here draws, but custom code may."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def foreign_state() -> dict[str, Any]:
    """The state of Python's and NumPy's global generators, as plain values."""
    kind, keys, *rest = np.random.get_state()
    return {"python": random.getstate(), "numpy": [kind, np.asarray(keys).tolist(), *rest]}


def restore_foreign(state: dict[str, Any]) -> None:
    """Set Python's and NumPy's global generators to a `foreign_state`."""
    random.setstate(state["python"])
    np.random.set_state(tuple(state["numpy"]))
