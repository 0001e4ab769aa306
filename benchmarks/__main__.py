"""`python -m benchmarks [--quick] [--only PARTS] [--against COMMITS]`: measure what is claimed about speed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from ablation.execution.devices import available_cores
from ablation.training.device import describe
from ablation.versions import __version__
from benchmarks import earlier, loop, memory, operations, profile, studies, tasks
from benchmarks.rows import Part, table

HERE = Path(__file__).parent
PARTS = ("loop", "studies", "tasks", "memory", "scale", "profile", "operations", "earlier")
RIVALS = ("torch", "torchvision", "lightning", "hydra-core", "hydra-joblib-launcher", "mushin-py")
WITH_RIVALS = {"studies", "tasks"}


def main() -> None:
    options = _arguments()
    rivals = _versions(options.rivals) if WITH_RIVALS & set(options.only) else {}
    head = _head(options.quick, rivals)
    measures: dict[str, Callable[[], Part]] = {
        "loop": lambda: loop.measure(options.quick),
        "studies": lambda: studies.measure(options.quick, options.rivals),
        "tasks": lambda: tasks.measure(options.quick, options.rivals),
        "memory": lambda: memory.measure(options.quick),
        "scale": lambda: _scale(options.quick),
        "profile": lambda: profile.measure(options.quick),
        "operations": lambda: operations.measure(options.quick),
        "earlier": lambda: earlier.measure(options.quick, options.against),
    }
    parts: list[Part] = []
    for name in options.only:
        print(f"== {name}", flush=True)
        parts.append(measures[name]())
        options.output.write_text(_document(head, parts), encoding="utf-8")  # what is measured is not lost
    print(f"wrote {options.output}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: only shows that everything works")
    parser.add_argument("--only", default=",".join(PARTS), metavar="LIST", help=f"some of {','.join(PARTS)}")
    parser.add_argument(
        "--rivals",
        type=Path,
        default=HERE.parent / ".venv-bench" / "bin" / "python",
        metavar="PYTHON",
        help="the Python that the rivals are installed for (default: that of .venv-bench, which `make bench` makes)",
    )
    parser.add_argument(
        "--against", default="", metavar="COMMITS", help="commits, separated by commas, that the code is compared with"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: benchmarks/RESULTS.md")
    options = parser.parse_args()
    options.only, options.against = options.only.split(","), list(filter(None, options.against.split(",")))
    if not options.against and "earlier" in options.only:
        options.only.remove("earlier")
    options.rivals = options.rivals.absolute()  # scripts are started in folders of their own; a link is left a link
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"--only: no such part: {', '.join(sorted(unknown))}")
    if WITH_RIVALS & set(options.only) and not options.rivals.exists():
        parser.error(f"{options.rivals} does not exist: run `make bench`, or name another with --rivals")
    options.output = options.output or HERE / ("RESULTS-quick.md" if options.quick else "RESULTS.md")
    return options


def _versions(python: Path) -> dict[str, str]:
    """The versions of the rivals. Raises SystemExit where their torch is not ours."""
    code = (
        f"import json; from importlib.metadata import version; print(json.dumps({{n: version(n) for n in {RIVALS}}}))"
    )
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(answer.stdout)
    for name in ("torch", "torchvision"):
        if found[name] != version(name):
            sys.exit(f"the rivals have {name} {found[name]}, we have {version(name)}: install the same")
    return found


def _scale(quick: bool) -> Part:
    """The command line at scale."""
    from benchmarks.scale.measure import measure

    notes = (
        "Medians of interleaved rounds, each command in a process of its own.",
        "*Times as many*: the seconds of the larger study over those of the smaller, start-up and all; the goal is what"
        " linear growth from nothing would be, and quadratic growth would tend to its square.",
    )
    return Part("The command line at scale", notes, measure(10 if quick else 1))


def _head(quick: bool, rivals: dict[str, str]) -> list[str]:
    """What was measured on, with what, and when."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    _, processor = describe("cpu")
    ours = [f"ablation {__version__}", f"Python {platform.python_version()}", f"torch {version('torch')}"]
    others = [f"{name} {number}" for name, number in rivals.items() if name != "torch"]
    return [
        "# Benchmarks",
        "",
        *(["**A quick run: it shows that everything works; the figures mean nothing.**", ""] if quick else []),
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}.",
        "",
        f"- Machine: {processor}, {available_cores()} cores, {memory_gib:.0f} GiB, {platform.platform()}; load average"
        f" before: {os.getloadavg()[0]:.2f}",
        f"- Versions: {', '.join([*ours, *others])}",
    ]


def _document(head: list[str], parts: list[Part]) -> str:
    blocks = ["\n".join(head)]
    for part in parts:
        notes = "\n".join(f"- {note}" for note in part.notes)
        blocks += [f"## {part.title}", notes, table(part.rows)]
    blocks.append((HERE / "gpu" / "RESULTS.md").read_text(encoding="utf-8").rstrip())  # of another machine
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    main()
