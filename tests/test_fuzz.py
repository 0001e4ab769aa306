"""Thousands of damaged study files: each is a study, or is refused with the places of its errors, within seconds."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from ablation._util.sanitize import clean
from ablation.errors import FileError, UserError
from ablation.planning.plan import code_sources, data_sources, make_plan, weights_sources
from ablation.storage.manifest import make_manifest
from ablation.study.custom_code import find
from ablation.study.load import load_study
from ablation.study.strict_yaml import MOST_PROBLEMS
from tests.conftest import TINY
from tests.mutations import study_file, write

SECONDS = 20.0
"""Of processor time, for one file: far more than the slowest takes, far less than an explosion would."""


def validate(path: Path) -> str:
    """What becomes of a file: `sound` where its runs can be planned and stored, `refused` where its faults are told."""
    try:
        study = load_study(path)
    except FileError as error:
        check_places(error, path)
        return "refused"
    known = [dict.fromkeys(sources, "known") for sources in (data_sources(study), weights_sources(study))]
    code = {name: find(name, path.parent) for name in code_sources(study)}
    plan = make_plan(study, *known, code)
    assert len(plan.runs) == len(study.variants) * len(study.seeds)
    json.dumps(make_manifest(plan, "ablate run").to_json(), ensure_ascii=False, allow_nan=False).encode()
    return "sound"


def check_places(error: FileError, path: Path) -> None:
    """Every fault says what is wrong, and where in the file."""
    assert error.problems
    assert error.path == str(path)
    for problem in error.problems:
        assert 1 <= problem.line <= len(error.source) + 1, problem
        assert problem.column >= 1
        assert problem.message.strip()
    clean(str(error)).encode()


def fuzz(folder: Path, count: int, seed: int) -> Counter[str]:
    """Try `count` random files; returns how many were sound, and how many refused."""
    outcomes, draw, began = Counter[str](), random.Random(seed), time.process_time()
    for _ in range(count):
        content = study_file(draw)
        path = write(folder, content)
        start = time.process_time()
        try:
            outcomes[validate(path)] += 1
        except Exception as error:
            raise AssertionError(f"study file of seed {seed}: {content!r}") from error
        assert time.process_time() - start < SECONDS, content
    print(f"{count:,} study files, {dict(outcomes)}, {time.process_time() - began:.0f} s of CPU")
    return outcomes


def many(line: str, count: int = 2000) -> str:
    """A line that many names and values are put into."""
    return "".join(line.format(n=n, share=(n + 1) / 5000) for n in range(count))


HUGE = {
    "more seeds than memory": (TINY.replace("[0, 1]", "99999999999"), "seeds is too long"),
    "a long list of seeds": (TINY.replace("[0, 1]", f"[{many('{n}, ', 15_000)}]"), None),
    "one seed, many times": (TINY.replace("[0, 1]", f"[{many('1, ', 15_000)}]"), "seed 1 is listed twice"),
    "many values": (TINY.replace("[0.0]", f"[{many('{share}, ', 450)}]"), None),
    "many wrong values": (TINY.replace("[0.0]", f"[{many('{n}, ')}]"), "there are more errors"),
    "many combinations": (
        TINY + "combine:\n" + many("  c{n}: {{model.dropout: {share}, optimizer.lr: 0.1}}\n"),
        None,
    ),
    "many unknown keys": (TINY + many("k{n}: 1\n"), "there are more errors"),
    "many unknown variables": (TINY + many("  model.drop{n}: [1]\n"), "there are more errors"),
    "one key many times": (TINY + many("x: 1\n", 15_000), "there are more errors"),
    "many components": (
        TINY + "design: add_one_in\ncomponents:\n" + many("  c{n}: {{off: {{model.dropout: {share}}}}}\n"),
        "components is too long",
    ),
    "many lines": (many("k{n}: 1\n", 90_000), "more than 20,000 values"),
    "many values in one line": (f"[{many('1,', 300_000)}]", "more than 20,000 values"),
    "deep nesting": ("baseline: [" * 10_000, "nests deeper than 40 levels"),
    "aliases of aliases": ("a: &a0 [x]\n" + many("k{n}: &b{n} [*a0, *a0]\n", 30_000), "more than 20,000 values"),
    "a number of a million digits": (TINY.replace("0.05", "7" * 900_000), "it must be a finite number"),
    "a name of a million letters": (TINY.replace("lenet5", "l" * 900_000), "unknown model"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", HUGE)
def test_no_file_is_too_much(what: str, tmp_path: Path) -> None:
    text, fault = HUGE[what]
    path = write(tmp_path, text.encode())
    start = time.process_time()
    if fault is None:
        assert len(load_study(path).variants) >= 3
    else:
        with pytest.raises(FileError, match=fault) as refused:
            load_study(path)
        assert len(refused.value.problems) <= MOST_PROBLEMS + 1
    assert time.process_time() - start < SECONDS


def test_a_file_of_ten_megabytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the limit is 1,000,000"):
        load_study(write(tmp_path, many("x: 1\n", 2_000_000).encode()))


@pytest.mark.slow
def test_thousands_of_damaged_files(tmp_path: Path) -> None:
    outcomes = fuzz(tmp_path, 2000, seed=1)
    assert min(outcomes["sound"], outcomes["refused"]) >= 80
