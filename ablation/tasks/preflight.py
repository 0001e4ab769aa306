"""What an argparse script has against the options that a study gives it, found before anything is trained."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ablation._util.formatting import plural
from ablation._util.nested import leaves
from ablation.errors import UserError
from ablation.registry.catalog import nearest
from ablation.study.code_files import code_files, script_of
from ablation.study.tasks import CommandTask
from ablation.tasks.arguments import argparse_words
from ablation.tasks.script_options import Inspection, ScriptOption, inspect_script

SECONDS = 30.0
"""In which a script must have reached its parser; a slower one is not looked at."""
_ALONE = ("-u", "-B", "-O", "-OO", "-E", "-I", "-s", "-S", "-P", "-q")
_WITH_VALUE = ("-X", "-W")
_REQUIRED = "the following arguments are required: "
_MOST_READ = 10_000_000


class Rejected(NamedTuple):
    """One thing that the script would reject, and what to do about it."""

    message: str
    hint: str


def check_options(task: CommandTask, recipes: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError with all that the script has against the options of `recipes`."""
    found = rejected_options(task, recipes)
    if len(found) == 1:
        raise UserError(*found[0])
    if found:
        lines = "\n".join(f"  {own.message}: {own.hint}" for own in found)
        what = f"{script_of(task)} would reject {plural(len(found), 'option')}, so nothing was started"
        raise UserError(f"{what}\n{lines}", "correct the study file or the script")


def rejected_options(task: CommandTask, recipes: Sequence[Mapping[str, Any]]) -> list[Rejected]:
    """What the script of a command has against the options of `recipes`, each thing once.

    The script is run up to its parser, in the working folder. Nothing is found where it is no argparse script of this
    Python, or takes arguments that its parser does not know.
    """
    argv = _argv(task) if task.pass_ == "argparse" and _parses_strictly(task) else None
    if argv is None:
        return []
    given: dict[str, list[list[str]]] = {}
    for values in recipes:
        for path, value in leaves(values):
            flag, *texts = [*argparse_words([(path, value)], task.booleans)] or [""]
            flag, sign, text = flag.partition("=")
            texts = [text] if sign else texts
            if flag and texts not in given.setdefault(flag, []):
                given[flag].append(texts)
    try:
        found = inspect_script(argv, Path.cwd(), vary=given, free=[task.seed], limit=SECONDS)
    except UserError:  # it fails before it has a parser, and so will the run, which shows all that it prints
        return []
    fixed = [word.partition("=")[0] for word in _before_end(argv[1:]) if word.startswith("--")]
    return [*_unknown(task, found, [*fixed, *given, task.seed]), *_values(task, found, given), *_missing(task, found)]


def _argv(task: CommandTask) -> list[str] | None:
    """The script and the arguments that it is always given; None where it is not started by this Python."""
    program, *words = shlex.split(task.command)
    beside = str(Path(sys.executable).parent)
    place = shutil.which(program, path=beside + os.pathsep + os.environ.get("PATH", ""))
    if not Path(program).name.startswith("python") or place is None or str(Path(place).parent) != beside:
        return None
    while words and words[0] in (*_ALONE, *_WITH_VALUE):
        words = words[2 if words[0] in _WITH_VALUE else 1 :]
    if not words or words[0] != script_of(task):
        return None
    own = {"{seed}": "0", "{dir}": os.devnull}
    return [own.get(word, word) for word in words if word != "{args}"]


def _parses_strictly(task: CommandTask) -> bool:
    """Whether the script names an argument parser in its code, and no parser that lets unknown options pass."""
    files = [path for _, path in code_files(task) if path.suffix == ".py" and path.stat().st_size < _MOST_READ]
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)
    return "ArgumentParser" in text and "parse_known" not in text


def _before_end(words: Sequence[str]) -> Sequence[str]:
    return words[: words.index("--")] if "--" in words else words


def _unknown(task: CommandTask, found: Inspection, given: Sequence[str]) -> list[Rejected]:
    known = [flag for option in found.options for flag in option.flags]
    script, rejected = script_of(task), []
    for flag in dict.fromkeys(given):
        if flag in known or sum(own.startswith(flag) for own in known) == 1:  # argparse takes the start of a name
            continue
        name = flag.removeprefix("--no-")
        if name != flag and f"--{name}" in known:
            hint = f"--{name} has no --no-{name} form: add `booleans: flag` to the task, then false leaves it out"
        else:
            close = nearest(flag, known)
            listing = ", ".join(own for own in known if own.startswith("--"))
            hint = f"did you mean {close}?" if close else f"its options: {listing}"
        rejected.append(Rejected(f"{script} has no option {flag}", hint))
    return rejected


def _values(task: CommandTask, found: Inspection, given: Mapping[str, Sequence[Sequence[str]]]) -> list[Rejected]:
    """Values that the script would reject."""
    script, rejected = script_of(task), []
    options = {flag: option for option in found.options for flag in option.flags}
    for flag, texts in given.items():
        own = options.get(flag)
        answers = found.values[flag] if own and found.names[flag] == own else ()
        for words, answer in zip(texts, answers, strict=False):
            if own and (fault := _fault(own, words, answer.error)):
                rejected.append(Rejected(f"{script} rejects {shlex.join([flag, *words])}", fault))
    return rejected


def _fault(option: ScriptOption, words: Sequence[str], error: str) -> str:
    if option.is_flag:
        return f"{option.flags[0]} takes no value: it is true or false" if words else ""
    if not words:
        return "" if option.nargs in ("?", "*") else "it takes a value: add `booleans: value` to the task"
    if option.nargs is None and len(words) > 1:
        return "it takes one value"
    return error


def _missing(task: CommandTask, found: Inspection) -> list[Rejected]:
    if not found.rejected.startswith(_REQUIRED):
        return []
    names = found.rejected.removeprefix(_REQUIRED)
    return [Rejected(f"{script_of(task)} requires {names}", "give it in the command, or in the baseline")]
