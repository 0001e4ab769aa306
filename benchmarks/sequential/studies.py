"""`python -m benchmarks.sequential.studies [NUMBER]`: whole sequential studies through the command line.

The task is a function whose truth is known: a run is a normal draw, of SD 1 beside what its seed shares, plus the
effect of its variant. It prints how many claims were false, how often each effect was detected, and how many runs
that took.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import ablation

EFFECTS = (0.0, 0.0, 0.0, 0.0, 1.5, 3.0)
LOOKS = (3, 5, 8, 12)
TRAIN = """\
import numpy as np

def main(options, run):
    own = [options["draw"], options["variant"], run.seed]
    shared = np.random.default_rng([options["draw"], run.seed]).normal()
    return {"score": shared + np.random.default_rng(own).normal() + EFFECTS[options["variant"]]}

EFFECTS = (0.0, *%r)
"""


@dataclass
class Tally:
    """What came of the studies so far: false claims, detections by effect, and runs."""

    studies: int = 0
    false: int = 0
    runs: list[int] = field(default_factory=list)
    detected: Counter[float] = field(default_factory=Counter)
    decided: Counter[int] = field(default_factory=Counter)
    """Look -> variants that were decided at it."""


def run_studies(number: int, folder: Path) -> Tally:
    """Run so many studies in a folder, and count what they claim. Raises CalledProcessError where one fails."""
    (folder / "train.py").write_text(TRAIN % (EFFECTS,), encoding="utf-8")
    tally = Tally()
    for draw in range(number):
        _write(folder, draw)
        command = [sys.executable, "-m", "ablation", "run", f"draw{draw}.yaml", "--workers", "0"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        _count(tally, ablation.load_results(f"draw{draw}", folder / "results"))
    return tally


def _write(folder: Path, draw: int) -> None:
    text = (
        f'study: draw{draw}\ntask: {{function: "train:main"}}\nmetrics: {{score: {{direction: higher}}}}\n'
        f"baseline: {{draw: {draw}, variant: 0}}\nseeds: {{looks: {list(LOOKS)}}}\nanalysis: {{spending: pocock}}\n"
        f"vary: {{variant: {list(range(1, len(EFFECTS) + 1))}}}\n"
    )
    (folder / f"draw{draw}.yaml").write_text(text, encoding="utf-8")


def _count(tally: Tally, results: ablation.Results) -> None:
    found = ablation.analyze(results)
    assert found.sequential is not None
    tally.studies += 1
    tally.runs.append(len(results.runs))
    wrong = False
    for effect, own in zip(EFFECTS, found.variants, strict=True):
        claimed = own.verdict in ("better", "worse")
        wrong |= claimed and (effect == 0 or own.verdict == "worse")
        tally.detected[effect] += claimed
        state = found.sequential.variants[own.variant]
        tally.decided[state.look if state.decision else 0] += 1
    tally.false += wrong


def main(number: int = 200) -> None:
    """Run the studies in a temporary folder and print what they claim."""
    with tempfile.TemporaryDirectory() as name:
        tally = run_studies(number, Path(name))
    most = (len(EFFECTS) + 1) * LOOKS[-1]
    print(f"{tally.studies} studies of {len(EFFECTS)} variants, looks at {', '.join(map(str, LOOKS))} seeds (Pocock)")
    print(f"with a false claim: {tally.false} ({tally.false / tally.studies:.3f})")
    for effect in dict.fromkeys(EFFECTS):
        share = tally.detected[effect] / tally.studies / EFFECTS.count(effect)
        print(f"effect {effect:g}: detected in {share:.3f}")
    mean = sum(tally.runs) / tally.studies
    print(f"runs: {mean:.1f} of {most} on average, {min(tally.runs)} to {max(tally.runs)}")
    print(f"variants decided at each look: {dict(sorted(tally.decided.items()))} (0: never)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
