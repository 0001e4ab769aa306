"""`ablate init`: write a study file for what the user has: images, a data set, a script, or a function."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ablation._util.sanitize import clean
from ablation.cli.init_arguments import DEFAULT_SEEDS, add_arguments, source_of
from ablation.cli.schema import SCHEMA_FILE
from ablation.errors import UserError

__all__ = ["add_arguments", "main"]


@dataclass(frozen=True)
class NewFiles:
    """A study file and its text; the module beside it and its text where that is new; and what was chosen."""

    path: Path
    text: str
    chosen: tuple[str, ...]
    module: Path | None = None
    code: str = ""


def main(arguments: argparse.Namespace, command: str) -> int:
    """Ask what is not given, write the file, and say what to do next."""
    if source_of(arguments) is None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            what = "what is trained? there is no terminal to ask in"
            raise UserError(what, "add --data digits, --images DIR, --script train.py or --function train:main")
        from ablation.cli.questions import ask

        words = ask(arguments)
        command = clean(shlex.join(["ablate", "init", *words]))
    _refuse_unused(arguments)
    arguments.output = arguments.output or Path(f"{_stem(arguments)}.yaml")
    arguments.seeds = arguments.seeds or DEFAULT_SEEDS
    if arguments.output.suffix not in (".yaml", ".yml"):
        raise UserError(f"{arguments.output} is no name of a study file", "let it end in .yaml")
    if not arguments.output.parent.is_dir():
        raise UserError(f"there is no folder {arguments.output.parent}", "make it first, or leave out --output")
    if arguments.output.exists() and not arguments.force:
        raise UserError(f"{arguments.output} exists already", "choose another name with --output, or add --force")
    new = _with_schema(_new_files(arguments, command))
    size = _validated(new)
    _write(new, force=arguments.force)
    name = shlex.quote(str(new.path))
    print(clean(f"wrote {' and '.join(str(path) for path in (new.module, new.path) if path)}: {size}"))
    for line in new.chosen:
        print(clean(f"  {line}"))
    trial, whole = f"ablate run {name} --smoke", f"ablate run {name}"
    trial = trial if "smoke:" in new.text or arguments.data or arguments.images else f"ablate validate {name}"
    print("next:")
    print(clean(f"  {trial:<{len(whole) + 8}}  # {'try it' if 'smoke' in trial else 'check it'}"))
    print(clean(f"  {whole:<{len(whole) + 8}}  # train it; then: ablate report --open"))
    return 0


def _stem(arguments: argparse.Namespace) -> str:
    """What a study is called: the data set, the folder, the script or the module."""
    from ablation._util.hashing import slug

    source = source_of(arguments)
    given = str(getattr(arguments, str(source)))
    if source == "images":
        given = Path(given).resolve().stem
    return slug(Path(given).stem if source == "script" else given.partition(":")[0])


def _refuse_unused(arguments: argparse.Namespace) -> None:
    """Raise UserError for an option that says nothing about what is trained."""
    source = str(source_of(arguments))
    unused = {
        "model": ("data", "images"),
        "metric": ("script", "function"),
        "direction": ("script", "function"),
        "seed_option": ("script",),
        "arguments": ("script",),
        "set": ("function",),
    }
    for name, sources in unused.items():
        if getattr(arguments, name) and source not in sources:
            what = "arguments after --" if name == "arguments" else f"--{name.replace('_', '-')}"
            raise UserError(f"{what}: not for --{source}", f"it is for {' and '.join(f'--{own}' for own in sources)}")


def _new_files(arguments: argparse.Namespace, command: str) -> NewFiles:
    """What is to be written. Raises UserError where what is asked for cannot be a study."""
    each, name = arguments, arguments.output.stem
    if each.script is not None:
        return _of_script(each, command)
    if each.function is not None:
        return _of_function(each, command)
    from ablation.study.new_images import ImagesRequest, study_of_images

    request = ImagesRequest(each.data or "", each.images or "", each.model, tuple(each.vary), each.seeds)
    study = study_of_images(request, name, command)
    return NewFiles(each.output, study.text, study.chosen)


def _with_schema(new: NewFiles) -> NewFiles:
    """The study file with a line for editors, where `ablate schema --install` has written the schema."""
    if not SCHEMA_FILE.is_file():
        return new
    place = os.path.relpath(SCHEMA_FILE, new.path.parent)
    place = place if place.startswith("..") else f"./{place}"
    return replace(new, text=f"# yaml-language-server: $schema={place}\n{new.text}")


def _of_script(each: argparse.Namespace, command: str) -> NewFiles:
    from ablation.cli.script import option_values, script_request
    from ablation.tasks.function_study import explained
    from ablation.tasks.script_study import study_of_script

    for name, example in (("vary", "dropout=0,0.5"), ("metric", "val_accuracy")):
        if not getattr(each, name):
            raise UserError(f"--script needs --{name}", f"for example --{name} {example}")
    try:
        varied = [option_values(text) for text in each.vary]
    except argparse.ArgumentTypeError as error:
        raise UserError(f"--vary: {error}", "see ablate init --help") from None
    study = study_of_script(script_request(each, varied), Path(), command)
    return NewFiles(each.output, explained(study.text), study.assumed)


def _of_function(each: argparse.Namespace, command: str) -> NewFiles:
    from ablation.tasks.function_study import FunctionRequest, explained, module_file, study_of_function

    folder = each.output.parent
    vary: dict[str, list[Any]] = {}
    for name, values in map(_option, each.vary):
        vary.setdefault(name, []).extend(values)
    given = {name: values[0] for name, values in map(_option, each.set)}
    request = FunctionRequest(each.function, vary, given, each.metric, each.direction, each.seeds)
    study = study_of_function(request, each.output.stem, folder, command)
    module = module_file(each.function, folder) if study.module else None
    return NewFiles(each.output, explained(study.text), study.chosen, module, study.module)


def _option(text: str) -> tuple[str, list[Any]]:
    """`lr=0.1,0.5` as a name and its values, read as YAML."""
    from ablation.study.strict_yaml import parse_scalar

    name, sign, values = text.partition("=")
    if not name.strip() or not sign or not values.strip():
        raise UserError(f"{text!r} is not OPTION=VALUE", "write it as lr=0.1, with further values after commas")
    return name.strip(), parse_scalar(f"[{values}]")


def _validated(new: NewFiles) -> str:
    """How large the study is. Raises UserError where the text is no valid study; nothing is written yet."""
    from ablation._util.formatting import plural
    from ablation.study.load import study_of

    with tempfile.TemporaryDirectory() as folder:
        path = new.path
        if new.module:  # the study is checked next to its module, which is not there yet
            path = Path(folder) / new.path.name
            (Path(folder) / new.module.name).write_text(new.code, encoding="utf-8")
        study = study_of(new.text, path, need_data=False)
    variants, seeds = len(study.variants), len(study.seeds)
    return f"{plural(variants, 'variant')} x {plural(seeds, 'seed')} = {plural(variants * seeds, 'run')}"


def _write(new: NewFiles, *, force: bool) -> None:
    """Write the files: both of them or none, and nothing over a file that was not to be replaced."""
    from ablation._util.files import replace_text

    if new.module:
        with new.module.open("x", encoding="utf-8") as file:
            file.write(new.code)
    try:
        if force:
            replace_text(new.path, new.text)
        else:
            with new.path.open("x", encoding="utf-8") as file:
                file.write(new.text)
    except BaseException:
        if new.module:
            new.module.unlink()
        raise
