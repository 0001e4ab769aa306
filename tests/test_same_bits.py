"""The same run gives the same weights, however it comes to be trained."""

from __future__ import annotations

import json
import shutil
import signal
import sysconfig
from pathlib import Path

import pytest

from ablation.results.runs import TIMINGS
from ablation.storage.store import Store

from .conftest import Ablate
from .test_run import start, wait_for

STUDY = """\
study: bits
baseline:
  data: {name: digits, validation: 0.2, limit: 300, augment: [{name: crop, padding: 1}, flip]}
  model: {name: lenet5, norm: batch, dropout: 0.3}
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
  train: {epochs: 20, batch_size: 16}
seeds: [0, 1]
vary:
  train.precision: [bf16]
  model.width: [2]
"""

Digests = dict[str, tuple[str, list[dict[str, object]]]]


def trained(folder: Path, runs: int = 6) -> Digests:
    """Run folder -> digest of its weights, and its epochs without what they took."""
    found: Digests = {}
    store = Store(folder / "results")
    for path in sorted((store.root / "runs").iterdir()):
        run = store.run(path.name)
        record = run.record()
        assert record is not None
        assert record.weights_sha256 is not None
        rows = [{key: value for key, value in row.to_json().items() if key not in TIMINGS} for row in run.epochs()]
        found[path.name] = record.weights_sha256, rows
    assert len(found) == runs
    assert len({digest for digest, _ in found.values()}) == runs
    return found


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Digests:
    """What one worker makes of the study, run after run."""
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "bits.yaml").write_text(STUDY, encoding="utf-8")
    command = start(folder, "bits.yaml", "--per-device", "1")
    command.communicate(timeout=120)
    assert command.returncode == 0
    return trained(folder)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_whatever_the_size_of_the_pool(workers: int, quiet: Digests, ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "bits.yaml").write_text(STUDY, encoding="utf-8")
    assert ablate("run", "bits.yaml", "--per-device", str(workers)).returncode == 0
    assert trained(tmp_path) == quiet


@pytest.mark.slow
def test_whatever_the_order_and_in_a_fresh_worker_each(quiet: Digests, ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "bits.yaml").write_text(STUDY, encoding="utf-8")
    for seed in ("1", "0"):
        for variant in ("width=2", "precision=bf16", "baseline"):
            result = ablate("run", "bits.yaml", "--seeds", seed, "--only", variant)
            assert result.returncode == 0, result.stdout + result.stderr
    assert trained(tmp_path) == quiet


@pytest.mark.slow
def test_whether_or_not_it_was_interrupted(quiet: Digests, ablate: Ablate, tmp_path: Path) -> None:
    """Every run is stopped after its first epoch, then all of them go on."""
    (tmp_path / "bits.yaml").write_text(STUDY, encoding="utf-8")
    store = Store(tmp_path / "results")
    command = start(tmp_path, "bits.yaml")
    wait_for(lambda: any(len(store.run(path.name).epochs()) for path in (store.root / "runs").glob("*")))
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)
    assert ablate("run", "bits.yaml").returncode == 0
    assert trained(tmp_path) == quiet
    resumed = [json.loads(path.read_text())["resumed"] for path in (store.root / "runs").glob("*/run.json")]
    assert max(resumed) == 1


COMPILED = """\
study: compiled
baseline:
  data: {name: digits, validation: 0.2, limit: 200, augment: [flip]}
  model: {name: lenet5, norm: batch, dropout: 0.3, hidden: [16]}
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
  train: {epochs: 3, batch_size: 32, compile: default}
seeds: SEEDS
"""
HEADER = Path(sysconfig.get_path("include"), "Python.h")
needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") and HEADER.exists()), reason="no C++ compiler, or none of Python's headers"
)


@needs_compiler
@pytest.mark.slow
def test_whether_its_network_was_compiled_for_it_or_for_an_earlier_run(
    ablate: Ablate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each seed comes first in one worker and second in another, where it finds the network of the first."""
    found = []
    for number, seeds in enumerate([[0, 1], [1, 0]]):
        study = COMPILED.replace("SEEDS", str(seeds))
        (tmp_path / "compiled.yaml").write_text(study, encoding="utf-8")
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / f"cache{number}"))
        folder = tmp_path / f"results{number}"
        result = ablate("run", "compiled.yaml", "--per-device", "1", "--results", str(folder))
        assert result.returncode == 0, result.stdout + result.stderr
        records = [json.loads(path.read_text()) for path in folder.glob("runs/*/run.json")]
        found.append({record["seed"]: record["weights_sha256"] for record in records})
        times = {record["seed"]: record["train_seconds"] for record in records}
        first, second = (times[seed] for seed in seeds)
        assert second < first / 4, "the second run compiled its network anew"
    assert found[0] == found[1]
    assert len(set(found[0].values())) == 2
    assert ablate("run", "compiled.yaml", "--set", "train.compile=none").returncode == 0
    eager = {digest for digest, _ in trained(tmp_path, runs=2).values()}
    assert not eager & set(found[0].values())
