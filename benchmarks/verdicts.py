"""`python -m benchmarks.verdicts [--replicates N] [--real N]`: a hundred uses of `ablate verdict` in a row.

Streams of studies are drawn, and judged by the functions that the command calls: the comparison, the level of each use,
and the reading of the intervals. `--real N` also runs N studies through the command line itself.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ablation.stats as stats
from ablation.analysis import Effect, Measure, compare
from ablation.analysis.judgement import JudgedVariant, Margins, judge_effects
from ablation.analysis.verdicts import with_verdicts
from ablation.cli.main import main as ablate
from ablation.registry.metrics import Metric

ALPHA = 0.05
USES = 100
MARGIN, STEP = 4.0, 1.0
"""In residual SDs."""
MEASURE = Measure(Metric("score", "higher"), 2)
Level = Callable[[int], float]
Table = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class Design:
    """A study of each use: `variants` beside the baseline, each under `seeds` seeds."""

    variants: int
    seeds: int

    def __str__(self) -> str:
        return f"{self.variants} variant{'s' if self.variants > 1 else ''}, {self.seeds} seeds"


def ledger(use: int) -> float:
    """The level of a use of a ledger for any number of uses."""
    return stats.level_of_use(ALPHA, use)


def equal(use: int) -> float:
    """The level of a use of a ledger for a hundred uses."""
    return stats.level_of_use(ALPHA, use, USES)


def unspent(_use: int) -> float:
    """The level of the report, at every use."""
    return ALPHA


def judge(y: Table, level: float, margins: Margins = Margins()) -> tuple[JudgedVariant, ...]:  # noqa: B008
    """What the command says of a study whose runs came to y, shape (variants + 1, seeds), the baseline in row 0."""
    effects = compare.with_claims(_measured(len(y), y.shape[1]), compare.compare(y, level), math.inf)
    return judge_effects(with_verdicts(effects, MEASURE, level, margins.equivalent, False), MEASURE, margins)


def _measured(rows: int, seeds: int) -> list[Effect]:
    """Effects before anything is claimed of them."""
    unknown = ("mean", "sd", "difference", "parameters", "macs", "train_images", "train_seconds", "epoch_seconds")
    own: dict[str, Any] = dict.fromkeys((*unknown, "images_per_second", "peak_memory_mb"))
    own |= {"kind": "vary", "change": "", "runs": (), "n": seeds, "pairs": seeds}
    own |= dict.fromkeys(("diverged", "crashed", "unfinished"), 0)
    return [Effect(variant=str(row), **own) for row in range(rows)]


def equal_candidates(rng: np.random.Generator, design: Design, level: Level, *, new_seeds: bool) -> tuple[int, int]:
    """In how many uses one of truly equal candidates was judged better, and worse; a better one becomes the baseline.

    Without new seeds, the seeds and the runs of the baseline stay from use to use.
    """
    better = worse = 0
    block, baseline = _block(rng, design)
    for use in range(1, USES + 1):
        if new_seeds:
            block, baseline = _block(rng, design)
        y = np.vstack([baseline, block + rng.normal(size=(design.variants, design.seeds))])
        found = [own.verdict for own in judge(y, level(use))]
        worse += "worse" in found
        if "better" in found:
            better += 1
            baseline = y[1 + found.index("better")]
    return better, worse


def _block(rng: np.random.Generator, design: Design) -> tuple[Table, Table]:
    """What is common to the runs of each seed, and the runs of the baseline; the residual SD is 1."""
    block = rng.normal(size=design.seeds)
    return block, block + rng.normal(size=design.seeds)


def steps_down(rng: np.random.Generator, seeds: int, level: Level, *, moving: bool) -> float:
    """The true quality that `--not-worse-by MARGIN` leads to where each candidate is STEP worse than the last passed.

    It is counted from the first baseline. Candidates are compared with the last passed if the baseline is `moving`, and
    else with the first baseline.
    """
    quality, margins = 0.0, Margins(not_worse_by=MARGIN)
    for use in range(1, USES + 1):
        difference = -STEP if moving else quality - STEP
        block, baseline = _block(rng, Design(1, seeds))
        (judged,) = judge(np.vstack([baseline, block + rng.normal(size=seeds) + difference]), level(use), margins)
        if judged.verdict in ("better", "not_worse"):
            quality -= STEP
    return quality


def detected(rng: np.random.Generator, design: Design, level: float, gain: float) -> bool:
    """Whether one variant that is better by `gain` residual SDs is judged better."""
    block, baseline = _block(rng, design)
    y = np.vstack([baseline, block + rng.normal(size=(design.variants, design.seeds))])
    y[1] += gain
    return judge(y, level)[0].verdict == "better"


def table_of_equal(replicates: int) -> Iterator[str]:
    """False claims of a hundred uses on equal candidates."""
    yield "| studies | seeds | level of a use | a `better` in 100 uses | any claim in 100 uses | `better` on average |"
    yield "|---|---|---|---|---|---|"
    one, four = Design(1, 10), Design(4, 5)
    for design, new_seeds, level, share in (
        (one, True, unspent, 10),
        (one, True, ledger, 1),
        (one, True, equal, 1),
        (four, True, unspent, 10),
        (four, True, ledger, 1),
        (one, False, unspent, 10),
        (one, False, ledger, 1),
    ):
        rng, runs = np.random.default_rng([design.variants, design.seeds, new_seeds]), max(1, replicates // share)
        found = np.array([equal_candidates(rng, design, level, new_seeds=new_seeds) for _ in range(runs)])
        better, claims = np.mean(found[:, 0] > 0), np.mean(found.sum(axis=1) > 0)
        seeds = "new" if new_seeds else "the same"
        yield (
            f"| {design} | {seeds} | {_name(level)} | {better:.3f} | {claims:.3f} | {found[:, 0].mean():.3f} |"
            f" <!-- {runs:,} streams -->"
        )


def table_of_steps(replicates: int) -> Iterator[str]:
    """The quality after a hundred uses with a margin, candidates getting worse by a quarter of it."""
    yield "| baseline | level of a use | true quality after 100 uses, in margins: mean | lowest | below the margin |"
    yield "|---|---|---|---|---|"
    for moving, level in ((True, unspent), (True, ledger), (False, ledger), (False, equal)):
        rng = np.random.default_rng(moving)
        quality = np.array([steps_down(rng, 9, level, moving=moving) for _ in range(max(1, replicates // 4))]) / MARGIN
        place = "the last that passed" if moving else "the first"
        below = np.mean(quality <= -1)  # at the margin, `not worse by` it is false
        yield f"| {place} | {_name(level)} | {quality.mean():.2f} | {quality.min():.2f} | {below:.3f} |"


def table_of_power(replicates: int) -> Iterator[str]:
    """The smallest effect, in residual SDs, that is found with 80 % power; and whether it is, by simulation."""
    yield "| studies | use | level | effect found in 4 of 5 | simulated | 1/(i(i+1)) | 6/(pi i)^2 | 100 equal |"
    yield "|---|---|---|---|---|---|---|---|"
    for design in (Design(1, 5), Design(1, 10), Design(1, 20), Design(4, 5), Design(8, 5)):
        rng = np.random.default_rng([design.variants, design.seeds])
        for use in (1, 10, 100):
            levels = ledger(use), ALPHA / (use * (use + 1)), ALPHA * 6 / (math.pi * use) ** 2, equal(use)
            smallest = [stats.smallest_detectable_effect(design.seeds, design.variants, level, 0.8) for level in levels]
            share = np.mean([detected(rng, design, levels[0], smallest[0]) for _ in range(replicates)])
            others = " | ".join(f"{effect:.1f}" for effect in smallest[1:])
            yield f"| {design} | {use} | {levels[0]:.2g} | {smallest[0]:.1f} | {share:.3f} | {others} |"


def _name(level: Level) -> str:
    return {ledger: "ledger", equal: "ledger, `--uses 100`", unspent: "0.05, no ledger"}[level]


TRAIN = """\
def main(options, run):
    noise = run.generator(f"candidate {options['candidate']}").normal()
    return {"score": run.generator("seed").normal() + noise + options["gain"]}
"""
STUDY = """\
study: use-{use}
task: {{function: "train:main"}}
metrics: {{score: {{direction: higher}}}}
baseline: {{candidate: {baseline}, gain: 0}}
seeds: {seeds}
vary: {{candidate: [{use}]}}
"""


def real_stream(folder: Path, uses: int, seeds: int = 5) -> list[dict[str, Any]]:
    """What `ablate verdict` printed in so many uses in a row, each after an `ablate run` on new seeds.

    All candidates are equal; one that is judged better becomes the baseline.
    """
    (folder / "train.py").write_text(TRAIN, encoding="utf-8")
    baseline, found = 0, []
    with contextlib.chdir(folder):
        for use in range(1, uses + 1):
            own = list(range(use * seeds, (use + 1) * seeds))
            Path("study.yaml").write_text(STUDY.format(use=use, baseline=baseline, seeds=own), encoding="utf-8")
            _command("run", "study.yaml", "--workers", "0")
            found.append(json.loads(_command("verdict", "study.yaml", "--ledger", "uses.jsonl")))
            baseline = use if found[-1]["verdict"] == "better" else baseline
    return found


def _command(*words: str) -> str:
    """What a command prints. Raises RuntimeError where it ends with an error."""
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        code = ablate(words)
    if code not in ((0,) if words[0] == "run" else (0, 1, 3)):
        raise RuntimeError(f"{' '.join(words)} ended with {code}: {errors.getvalue()}")
    return printed.getvalue()


TABLES = {"power": table_of_power, "margin": table_of_steps, "equal": table_of_equal}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts")
    parser.add_argument("--replicates", type=int, default=1000, help="streams of a hundred uses (default: 1000)")
    parser.add_argument("--only", default=",".join(TABLES), metavar="LIST", help=f"some of {','.join(TABLES)}")
    parser.add_argument("--real", type=int, default=0, metavar="N", help="also run N studies through the command line")
    options = parser.parse_args()
    if options.real:
        with tempfile.TemporaryDirectory() as name:
            found = [line["verdict"] for line in real_stream(Path(name), options.real)]
        counts = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in ("better", "worse", "undecided"))
        print(f"{options.real} equal candidates through the command line: {counts}\n", flush=True)
    for name in options.only.split(","):
        for line in TABLES[name](options.replicates):
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
