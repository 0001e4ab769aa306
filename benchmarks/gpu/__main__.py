"""`python -m benchmarks.gpu [--dry-run] [--only CHECKS]`: the checks one after another, one line each.

The exit code is 1 where one failed, and 0 otherwise, also where there is no GPU: then nothing is checked, and that is
what is printed. `--dry-run` shows that the checks themselves work: the CPU plays two GPUs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.gpu.bench import Bench, FailedError, Outcome, last_lines
from benchmarks.gpu.checks import CHECKS

NO_GPU = "no CUDA device here: nothing was checked"
TABLE = "cuda:0=cpu,cuda:1=cpu"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument(
        "--dry-run", action="store_true", help="the CPU plays two GPUs: only shows that the checks work"
    )
    parser.add_argument("--only", default=",".join(CHECKS), metavar="LIST", help=f"some of: {', '.join(CHECKS)}")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in CHECKS]:
        parser.error(f"no check {unknown[0]!r}; there are: {', '.join(CHECKS)}")
    with tempfile.TemporaryDirectory(prefix="ablation-gpu-") as folder:
        bench = Bench(Path(folder), options.dry_run, environment={"ABLATION_DEVICES": TABLE} if options.dry_run else {})
        doctor = bench.ablate(bench.place("doctor"), "doctor", "--json")
        if not doctor.stdout.startswith("{"):
            sys.exit(f"ablate doctor failed: {last_lines(doctor)}")
        findings = json.loads(doctor.stdout)["findings"]
        bench.gpus = tuple(each["name"] for each in findings if re.match(r"cuda:\d", each["name"]) and _ok(each))
        if not bench.gpus:
            return _without_gpu([each for each in findings if not _ok(each)])
        outcomes = [_run(bench, name) for name in names]
    counts = Counter(outcome.status for outcome in outcomes)
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    if options.dry_run:
        print("dry run: the CPU played the GPUs, and no GPU was checked")
    return int(counts["failed"] > 0)


def _ok(finding: dict[str, str]) -> bool:
    return finding["status"] != "problem"


def _without_gpu(problems: list[dict[str, str]]) -> int:
    """Say that nothing is checked, and what `ablate doctor` has found wrong with this machine, such as its driver."""
    for each in problems:
        print(f"{each['name']}: {each['value']} (fix: {each['fix']})")
    print(NO_GPU)
    return int(bool(problems))


def _run(bench: Bench, name: str) -> Outcome:
    """A check, with its line printed."""
    start = time.monotonic()
    try:
        outcome = CHECKS[name](bench)
    except FailedError as error:
        outcome = Outcome("failed", str(error))
    number = list(CHECKS).index(name) + 1
    seconds = time.monotonic() - start
    print(f"{number:>2}  {outcome.status:<11}  {seconds:>5.0f} s  {name}: {outcome.detail}", flush=True)
    return outcome


if __name__ == "__main__":
    raise SystemExit(main())
