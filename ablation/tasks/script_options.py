"""The options of a script that uses argparse, found by running it up to the point where it parses its command line.

The script's own imports and whatever else it does before that do run, in a process of its own; nothing is trained
unless it trains before it looks at its options.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ablation._util.sanitize import one_line
from ablation.errors import UserError

TIME_LIMIT = 120.0
"""Seconds in which a script must have reached its parser; importing a deep learning library may take half a minute."""
_HINT = "write the study file by hand"


@dataclass(frozen=True)
class ScriptOption:
    """An option of a script's parser; a positional argument has no `flags`.

    `type` and `action` are names, as `float` and `store`. A `default` that no text can give is None, and its `repr` is
    `opaque`. `is_flag` options take no value; `negatable` ones have a `--no-...` form.
    """

    flags: tuple[str, ...]
    dest: str
    default: Any = None
    type: str = ""
    choices: tuple[Any, ...] | None = None
    nargs: str | int | None = None
    action: str = "store"
    required: bool = False
    opaque: str = ""

    @property
    def is_flag(self) -> bool:
        return self.action in ("store_true", "store_false", "store_const", "boolean_optional")

    @property
    def negatable(self) -> bool:
        return self.action == "boolean_optional"

    @property
    def name(self) -> str:
        """Its longest flag without dashes in front: `weight-decay` of `--weight-decay`."""
        positive = [flag for flag in self.flags if not (self.negatable and flag.startswith("--no-"))]
        return max(positive or [self.dest], key=len).lstrip("-")

    @property
    def long(self) -> bool:
        """Whether it has a flag with two dashes."""
        return any(flag.startswith("--") for flag in self.flags)


@dataclass(frozen=True)
class Value:
    """What a script makes of the text of a value, or why it rejects it."""

    value: Any
    error: str = ""


@dataclass(frozen=True)
class Inspection:
    """What a script's parser says.

    `names` has the options that were asked for (None: there is none), `values` what it makes of theirs, `fixed` the
    options that the script's own arguments give, `rejected` what it has against these arguments. `files` are the
    modules in the folder that it had imported by then.
    """

    options: tuple[ScriptOption, ...]
    names: Mapping[str, ScriptOption | None] = field(default_factory=dict)
    values: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    fixed: tuple[ScriptOption, ...] = ()
    rejected: str = ""
    files: tuple[str, ...] = ()


def script_options(argv: Sequence[str], cwd: Path) -> list[ScriptOption]:
    """The options of a script: `argv` is its path, or `-m` and a module, and the arguments that it is always given.

    It runs in the folder `cwd`, with this interpreter. Raises UserError where it does not get as far as to a parser.
    """
    return list(inspect_script(argv, cwd).options)


def inspect_script(
    argv: Sequence[str],
    cwd: Path,
    *,
    vary: Mapping[str, Sequence[Sequence[str]]] | None = None,
    free: Sequence[str] = (),
    limit: float = TIME_LIMIT,
) -> Inspection:
    """`script_options`, and what the script makes of options and their values.

    `vary` has for each name the texts of its values, `free` names options that will be given too. Raises UserError
    where the script does not reach a parser within `limit` seconds.
    """
    script = argv[1] if argv[0] == "-m" else argv[0]
    if argv[0] != "-m" and not (cwd / script).is_file():
        raise UserError(f"no script at {script}", "give the path of a Python script that uses argparse")
    asked = {"vary": {name: [list(own) for own in texts] for name, texts in (vary or {}).items()}, "free": list(free)}
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps({**asked, "folder": str(cwd.resolve())}), encoding="utf-8")
        code = (Path(__file__).parent / "dump_options.py").read_text(encoding="utf-8")
        command = [sys.executable, "-P", "-c", code, str(request), str(answer), *argv]
        status, output = _run(command, cwd, limit, script)
        if not answer.exists():
            raise _no_parser(script, status, output)
        return _inspection(json.loads(answer.read_text(encoding="utf-8")))


def _run(command: Sequence[str], cwd: Path, limit: float, script: str) -> tuple[int, str]:
    """Exit code and standard error; the script and all that it has started are ended."""
    with tempfile.TemporaryFile() as errors:  # no pipe: what the script starts would keep it open
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            what = f"{script} did not parse its options with argparse within {limit:g} seconds"
            raise UserError(what, f"parse them before anything is trained; or {_HINT}") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        errors.seek(0)
        return status, errors.read().decode("utf-8", "replace")


def _no_parser(script: str, status: int, errors: str) -> UserError:
    if status == 0:
        return UserError(f"{script} parses no options with argparse", _HINT)
    lines = [line for line in errors.splitlines() if line.strip()]
    what = f"{script} failed before it parsed its options: {one_line(lines[-1]) if lines else f'exit code {status}'}"
    return UserError(what, f"see what it prints: {shlex.join([sys.executable, script, '--help'])}")


def _inspection(found: Mapping[str, Any]) -> Inspection:
    options = [_option(own) for own in found["options"]]
    by_flag = {flag: option for option in _paired(options) for flag in option.flags}
    return Inspection(
        tuple(_paired(options)),
        {name: by_flag[flag] if flag else None for name, flag in found["names"].items()},
        {name: tuple(Value(**own) for own in values) for name, values in found["values"].items()},
        tuple(by_flag[flag] for flag in found["fixed"]),
        found["rejected"],
        tuple(found["files"]),
    )


def _option(own: Mapping[str, Any]) -> ScriptOption:
    choices = None if own["choices"] is None else tuple(own["choices"])
    return ScriptOption(**{**own, "flags": tuple(own["flags"]), "choices": choices})


def _paired(options: Sequence[ScriptOption]) -> list[ScriptOption]:
    """The options, with `--x` and `--no-x` of one `dest` as a single one that can be negated."""
    negative = {(own.dest, flag): own for own in options if own.action == "store_false" for flag in own.flags}
    pairs = {
        own.flags: other
        for own in options
        if own.action == "store_true"
        for flag in own.flags
        if (other := negative.get((own.dest, f"--no-{flag.lstrip('-')}")))
    }
    merged = [
        replace(own, flags=own.flags + pairs[own.flags].flags, action="boolean_optional")
        if own.flags in pairs and own.flags
        else own
        for own in options
    ]
    return [own for own in merged if own not in pairs.values()]
