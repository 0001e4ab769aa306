"""The code that a study names: kept beside study.json, and announced before it runs for the first time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ablation._util.files import replace
from ablation.planning.plan import Plan, code_sources
from ablation.study.custom_code import Code


def announce_code(plan: Plan, folder: Path, say: Callable[[str], None]) -> None:
    """Say which code the study will run, unless the same code was announced before; keep a copy of it in `folder`.

    The copy is what `ablate test` builds the models from, and what shows whether the code has changed.
    """
    codes = {code.module: code for run in plan.runs for code in run.codes.values()}
    for code in codes.values():
        name = ", ".join(own for own in code_sources(plan.study) if own.partition(":")[0] == code.module)
        note = folder / f"{code.module}.code"
        known = note.read_text(encoding="utf-8") if note.exists() else None
        if known == code.identity:
            continue
        say(_announcement(code, name, changed=known is not None))
        for part in () if code.release else (code, *code.helpers):
            content, copy = Path(part.file).read_bytes(), folder / f"{part.module}.py"
            replace(copy, lambda file, content=content: file.write(content))  # type: ignore[misc]
        replace(note, lambda file, text=code.identity: file.write(text.encode()))  # type: ignore[misc]


def _announcement(code: Code, name: str, *, changed: bool) -> str:
    what = "has changed, and is trained again" if changed else "is named by this study"
    where = f"{code.file} ({code.release})" if code.release else code.file
    helpers = "".join(f", and {helper.file}, SHA-256 {helper.sha256[:16]}" for helper in code.helpers)
    return f"the code of {name} {what}: training runs {where}, SHA-256 {code.sha256[:16]}{helpers}, with your rights"
