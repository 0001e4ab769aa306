"""The code that a study names: kept beside study.json, and announced before it runs for the first time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ablation._util.files import replace
from ablation.execution.progress import Progress
from ablation.planning.plan import Plan, code_sources
from ablation.study.custom_code import Code, imports_module
from ablation.study.tasks import CommandTask


def code_of(plan: Plan) -> dict[str, Code]:
    """The code of each custom component that its runs have, in the order of the study."""
    codes = {name: code for run in plan.runs for name, code in run.codes.items()}
    return {name: codes[name] for name in code_sources(plan.study)}


def announce_code(
    named: Mapping[str, Code],
    folder: Path,
    say: Callable[[str], None],
    *,
    again: str = "trained again",
    does: str = "training",
) -> None:
    """Say which code the study will run, unless the same code was announced before; keep a copy of it in `folder`.

    The copy is what `ablate test` builds the models from, and what shows whether the code has changed.
    """
    codes = {code.module: code for code in named.values()}
    for code in codes.values():
        name = ", ".join(own for own in named if own.partition(":")[0] == code.module)
        note = folder / f"{code.module}.code"
        known = note.read_text(encoding="utf-8") if note.exists() else None
        if known == code.identity:
            continue
        what = f"has changed, and is {again}" if known is not None else "is named by this study"
        say(_announcement(code, name, f"{what}: {does} runs"))
        for part in () if code.release else (code, *code.helpers):
            content, copy = Path(part.file).read_bytes(), folder / f"{part.module}.py"
            replace(copy, lambda file, content=content: file.write(content))  # type: ignore[misc]
        replace(note, lambda file, text=code.identity: file.write(text.encode()))  # type: ignore[misc]


def announce_command(task: CommandTask, folder: Path, progress: Progress) -> None:
    """Say which command the study will run, unless the same one was announced before."""
    note = folder / "command.txt"
    if note.exists() and note.read_text(encoding="utf-8") == task.command:
        return
    progress.say(f"the command of this study runs with your rights: {task.command}", "warning")
    replace(note, lambda file: file.write(task.command.encode()))


def _announcement(code: Code, name: str, what: str) -> str:
    where = f"{code.file} ({code.release})" if code.release else code.file
    helpers = "".join(f", and {helper.file}, SHA-256 {helper.sha256[:16]}" for helper in code.helpers)
    return f"the code of {name} {what} {where}, SHA-256 {code.sha256[:16]}{helpers}, with your rights"


def uses_torch(plan: Plan) -> bool:
    """Whether the code of a function imports torch, as far as its import statements say so."""
    return any(imports_module(code, "torch") for run in plan.runs[:1] for code in run.codes.values())
