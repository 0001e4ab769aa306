"""Which runs will take longer than others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ablation.planning.job import Job
from ablation.study.load import load_study
from ablation.training import costs, sizes

STUDY = """\
study: lengths
baseline:
  data: {name: digits, validation: 0.2}
  model: {name: lenet5}
  optimizer: {name: sgd, lr: 0.05}
  train: {epochs: 4, batch_size: 32}
seeds: [0]
vary:
  train.epochs: [8]
  data.fraction: [0.5]
  model.width: [8]
"""


@pytest.fixture
def weighed(tmp_path: Path, jobs: Callable[..., list[Job]]) -> Callable[[], dict[str, float]]:
    def weigh() -> dict[str, float]:
        path = tmp_path / "study.yaml"
        path.write_text(STUDY)
        made = jobs(load_study(path))
        found = costs.costs([(job.run, job.data) for job in made])
        return {job.run.variant: cost for job, cost in zip(made, found, strict=True)}

    return weigh


def test_a_run_costs_by_its_steps_and_its_network(weighed: Callable[[], dict[str, float]]) -> None:
    found = weighed()
    assert found["epochs=8"] == 2 * found["baseline"]
    assert found["fraction=0.5"] == pytest.approx(found["baseline"] / 2, rel=0.05)
    assert found["width=8"] > 3 * found["baseline"]


def test_a_network_that_cannot_be_built_costs_as_much_as_the_longest(
    weighed: Callable[[], dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(recipe, *rest):  # type: ignore[no-untyped-def]
        if recipe.data.fraction == 0.5:
            raise RuntimeError("no such layer")
        return sizes.model_size(recipe, *rest)

    monkeypatch.setattr(costs, "model_size", breaking)
    found = weighed()
    assert found["fraction=0.5"] == max(found.values())
