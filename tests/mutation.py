"""Mutation testing: change one thing in the code at a time and see whether a fast test fails.

    python -m tests.mutation ablation/stats --sample 200 --seed 0
    python -m tests.mutation ablation/stats/curves.py
    python -m tests.mutation results storage --in-process
    python -m tests.mutation ablation/stats/curves.py#17 ablation/stats/power.py#3

A target is a package, a module, a group of modules, or one mutant by its number in the module. Every survivor is
printed as a diff: either a test is missing, or the mutant is equivalent (no input tells it from the code).

All work happens in a copy of the repository in a temporary folder, which subprocesses of tests import too. One warm
process holds the third-party imports; each mutant is written to the copy and tested in a fork of that process with
`pytest -x`, the test file named after the module first. Strings, annotations, decorators, `zip(strict=...)` and the
text of errors are not mutated.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GROUPS = {
    "results": (
        *(
            "ablation/results/runs.py",
            "ablation/results/tables.py",
            "ablation/results/csv_files.py",
            "ablation/registry/metric_names.py",
        ),
        "ablation/analysis/heldout.py",
    ),
    "storage": (
        *(
            "ablation/storage/store.py",
            "ablation/storage/sealed.py",
            "ablation/storage/stored_run.py",
            "ablation/storage/record.py",
        ),
        *(
            "ablation/storage/manifest.py",
            "ablation/storage/test_set_log.py",
            "ablation/results/predictions.py",
            "ablation/storage/sync.py",
        ),
    ),
}
"""Names of targets -> their modules."""
_RESULTS = (
    *("tests/test_results.py", "tests/test_csv_files.py", "tests/test_metrics.py", "tests/test_heldout.py"),
    *("tests/test_read_tables.py", "tests/test_table_errors.py", "tests/test_table_fuzz.py"),
)
_STORAGE = (
    *("tests/test_store.py", "tests/test_sealed.py", "tests/test_stored_run.py", "tests/test_record.py"),
    *("tests/test_manifest.py", "tests/test_test_sets.py", "tests/test_predictions.py", "tests/test_mirror.py"),
    *("tests/test_results.py", "tests/test_stored_fuzz.py"),
)
TESTS = {
    **dict.fromkeys(GROUPS["results"], _RESULTS),
    **dict.fromkeys(GROUPS["storage"], _STORAGE),
    "ablation/stats": ("tests/stats",),
    "ablation/analysis": (
        *("tests/analysis", "tests/test_analysis.py", "tests/test_verdicts.py", "tests/test_warnings.py"),
        *("tests/test_learning.py", "tests/test_classes.py"),
    ),
}
_SKIPPED = {"annotation", "returns", "decorator_list"}
_SWAPS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    **{ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.Lt)},
    **{ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,)},
    **{ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,)},
    **{ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,), ast.Pow: (ast.Mult,)},
    **{ast.FloorDiv: (ast.Div,), ast.Mod: (ast.Mult,), ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,)},
    **{ast.LShift: (ast.RShift,), ast.RShift: (ast.LShift,)},
}
_NAMES = {"min": "max", "minimum": "maximum", "argmin": "argmax", "nanmin": "nanmax", "any": "all", "floor": "ceil"}
_NAMES |= {after: before for before, after in _NAMES.items()}


@dataclass(frozen=True)
class Mutant:
    """One change: `number` counts the mutants of the module `path`, `line` is that of the original.

    `before` and `after` are the module without and with the change, as `ast.unparse` writes it.
    """

    path: str
    number: int
    line: int
    before: str
    after: str

    @property
    def name(self) -> str:
        return f"{self.path}#{self.number}"

    @property
    def difference(self) -> str:
        """The changed lines, as a diff without context."""
        lines = list(difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), n=0, lineterm=""))[3:]
        return "\n".join(f"    {line[0]} {line[1:].strip()}" for line in lines)


@lru_cache
def mutants(file: Path) -> list[Mutant]:
    """All mutants of a module."""
    path, tree = str(file.relative_to(ROOT)), ast.parse(file.read_text(encoding="utf-8"))
    found: list[Mutant] = []
    before = ast.unparse(tree)
    seen = {before}
    for parent, field, place, line in _places(tree, 1):
        siblings = getattr(parent, field)
        original = siblings if place is None else siblings[place]
        for changed in _changes(original, parent, field):
            _put(parent, field, place, changed)
            after = ast.unparse(tree)
            if after not in seen:
                found.append(Mutant(path, len(found), line, before, after))
            seen.add(after)
        _put(parent, field, place, original)
    return found


def _put(parent: ast.AST, field: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[place] = node


def _places(node: ast.AST, line: int) -> Iterator[tuple[ast.AST, str, int | None, int]]:
    """Every place below `node` that holds a node: (parent, field, place in its list, line)."""
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED or (isinstance(node, ast.keyword) and node.arg == "strict"):
            continue
        for place, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST):
                own = getattr(child, "lineno", line)
                yield node, field, place if isinstance(value, list) else None, own
                if not isinstance(child, ast.Raise):
                    yield from _places(child, own)


def _changes(node: ast.AST, parent: ast.AST, field: str) -> Iterator[ast.AST]:
    """What may take the place of a node."""
    if isinstance(node, ast.cmpop | ast.boolop | ast.operator):
        if not (isinstance(parent, ast.BinOp) and _is_text(parent)):
            yield from (swap() for swap in _SWAPS.get(type(node), ()))
    elif isinstance(node, ast.expr):
        yield from _of_expression(node)
        if field == "test" or (field == "ifs" and isinstance(parent, ast.comprehension)):
            yield ast.UnaryOp(ast.Not(), node)
        if field == "value" and isinstance(parent, ast.Return) and not _is_none(node):
            yield ast.Constant(None)
    elif isinstance(node, ast.stmt) and _can_go(node):
        yield ast.Pass()


def _can_go(node: ast.stmt) -> bool:
    """Whether a statement can be dropped without an undefined name."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        return not isinstance(node.targets[0], ast.Name | ast.Tuple)
    return isinstance(node, ast.Raise | ast.AugAssign | ast.Continue | ast.Break)


def _of_expression(node: ast.expr) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int):
            yield ast.Constant(node.value + 1)
        elif isinstance(node.value, float):
            yield ast.Constant(1.5 * node.value or 1.0)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield node.operand
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if name == "abs":  # abs(x), np.abs(x), column.abs()
            yield node.args[0] if node.args else node.func.value  # type: ignore[union-attr]
        if name in _NAMES:
            swapped = _NAMES[name]
            own = ast.Name(swapped) if isinstance(node.func, ast.Name) else ast.Attribute(node.func.value, swapped)
            yield ast.Call(own, node.args, node.keywords)


def _is_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(isinstance(s, ast.JoinedStr) or isinstance(getattr(s, "value", None), str) for s in sides)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def chosen(targets: Sequence[str], sample: int | None, seed: int) -> list[Mutant]:
    """The mutants of the targets in the order of the code, or a random sample of them."""
    found: list[Mutant] = []
    for target in targets:
        place, _, number = target.partition("#")
        files = sorted((ROOT / place).rglob("*.py")) if (ROOT / place).is_dir() else [ROOT / place]
        for file in files:
            found += [mutants(file)[int(number)]] if number else mutants(file)
    if sample is None or sample >= len(found):
        return found
    return [found[i] for i in sorted(random.Random(seed).sample(range(len(found)), sample))]


class Bench:
    """A copy of the repository, and one warm process that tests it in forks of itself."""

    def __init__(self, folder: Path, tests: Sequence[str], plugins: Sequence[object] = ()) -> None:
        self.folder = folder / "copy"
        ignored = shutil.ignore_patterns(".*", "results", "reports", "shared", "dist", "build")
        shutil.copytree(ROOT, self.folder, ignore=ignored, symlinks=True)
        os.chdir(self.folder)
        sys.path[:] = [str(self.folder), *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
        os.environ["PYTHONPATH"] = str(self.folder)
        sys.modules.pop("tests", None)  # that of the original, of which this module is a part
        self.tests = [test for test in tests if (self.folder / test.partition("::")[0]).exists()]
        self.plugins = plugins
        self.limit = 600

    def warm_up(self) -> float:
        """Test the code as it is, import what that imported, return the CPU seconds. Raises SystemExit if it fails."""
        self._must_pass(report=True)
        for name in json.loads((self.folder / "modules.json").read_text()):
            with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
                importlib.import_module(name)
        seconds = self._must_pass()
        self.limit = 5 + math.ceil(5 * seconds)
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        return seconds

    def _must_pass(self, report: bool = False) -> float:
        outcome, seconds = self.run(self.tests, report)
        if outcome != "survived":
            raise SystemExit(f"the tests fail without any mutant:\n{(self.folder / 'output.txt').read_text()}")
        return seconds

    def test(self, mutant: Mutant) -> str:
        """killed, survived or timeout."""
        path = self.folder / mutant.path
        original = path.read_bytes()
        for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            stale.unlink()
        path.write_text(mutant.after, encoding="utf-8")
        files = [f for test in self.tests for f in (sorted((self.folder / test).rglob("test_*.py")) or [Path(test)])]
        files.sort(key=lambda file: file.stem != f"test_{path.stem}")
        outcome, _ = self.run([str(file) for file in files])
        path.write_bytes(original)
        return outcome

    def run(self, tests: Sequence[str], report: bool = False) -> tuple[str, float]:
        """The outcome of the tests in a fork, and its CPU seconds; `report` writes which modules it imported.

        CPU time is limited, and wall time to a hundred times as much: a busy machine makes no mutant hang.
        """
        child = os.fork()
        if child == 0:
            self._in_child(tests, report)
        timer = threading.Timer(100 * self.limit, os.killpg, (child, signal.SIGKILL))
        timer.start()
        _, status, used = os.wait4(child, 0)
        timer.cancel()
        code = os.waitstatus_to_exitcode(status)
        outcome = {0: "survived", -signal.SIGXCPU: "timeout", -signal.SIGKILL: "timeout"}.get(code, "killed")
        return outcome, used.ru_utime + used.ru_stime

    def _in_child(self, tests: Sequence[str], report: bool) -> None:
        code = 70
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (self.limit, self.limit + 5))
            output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            import pytest

            settings = ["-x", "-q", "-p", "no:cacheprovider", "--basetemp=temporary"]
            settings += ["-W", "ignore:Module already imported"]
            code = int(pytest.main([*settings, *tests], self.plugins))
            if report:
                own = ("ablation", "tests", "conftest", "__")
                Path("modules.json").write_text(json.dumps([m for m in sys.modules if not m.startswith(own)]))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)


def _tests_of(target: str) -> Sequence[str]:
    """The tests of a module, or else those of its package."""
    return TESTS[max((place for place in TESTS if target.startswith(place)), key=len)]


class _InProcess:
    """Leaves out the tests that run the command, and those of what a run of it left."""

    FIXTURES = frozenset(("ablate", "trained", "opened", "finished"))

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if self.FIXTURES.isdisjoint(item.fixturenames)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", help="packages, modules or single mutants (module.py#17)")
    parser.add_argument("--sample", type=int, help="how many mutants; all of them by default")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--tests", nargs="+", help="test files or folders; those of the package by default")
    parser.add_argument("--in-process", action="store_true", help="leave out the tests that run the command")
    options = parser.parse_args()
    targets = [target for own in options.targets for target in GROUPS.get(own, (own,))]
    tests = options.tests or list(dict.fromkeys(test for target in targets for test in _tests_of(target)))
    found = chosen(targets, options.sample, options.seed)
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), tests, [_InProcess()] if options.in_process else [])
        print(f"{len(found)} mutants; the tests take {bench.warm_up():.1f} s of CPU", flush=True)
        for place, mutant in enumerate(found, 1):
            outcome = bench.test(mutant)
            counts.setdefault(mutant.path, Counter())[outcome] += 1
            if outcome != "killed":
                print(
                    f"[{place}/{len(found)}] {outcome} {mutant.name} line {mutant.line}\n{mutant.difference}",
                    flush=True,
                )
    for path, own in counts.items():
        print(f"{path:40} killed {own['killed']:4}  survived {own['survived']:3}  timeout {own['timeout']:3}")
    total = sum(counts.values(), Counter[str]())
    print(f"killed {total['killed'] + total['timeout']} of {total.total()}")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    raise SystemExit(main())
