"""Named random streams."""

from __future__ import annotations

import torch

from ablation.rng import derive, generator


def draw(*names: str | int, seed: int = 0) -> list[float]:
    return torch.rand(4, generator=generator(seed, *names)).tolist()


def test_a_stream_is_the_same_each_time() -> None:
    assert draw("order", 1) == draw("order", 1)


def test_streams_differ_by_seed_and_by_name() -> None:
    streams = [draw("order", 1), draw("order", 2), draw("split"), draw("order", 1, seed=1), draw("order1")]
    assert len({tuple(stream) for stream in streams}) == len(streams)


def test_names_do_not_run_into_each_other() -> None:
    assert derive(1, "2") != derive(12)
    assert derive(0, "a", "b") != derive(0, "ab")


def test_seeds_are_fixed_for_all_time() -> None:
    # The values themselves: were they to change, every stored run would be another run.
    assert derive(0, "split") == 6812300375708456965
