"""The questions of `ablate init` in a terminal: only those whose answers it needs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rich.prompt import IntPrompt, Prompt
from rich.text import Text

from ablation._util.sanitize import clean
from ablation.cli.console import make_console, print_error
from ablation.cli.init_arguments import DEFAULT_SEEDS, SOURCES, given_words
from ablation.errors import UserError

Answer = TypeVar("Answer")
_MOST_LISTED = 30
_KINDS = {
    "data": "an image classifier on a built-in data set: digits, mnist, fashion_mnist, cifar10, cifar100",
    "images": "an image classifier on your own images, in a folder or zip file with train/<class>/",
    "script": "your own training script, which uses argparse",
    "function": "your own Python function; an example is written where there is none",
}


def ask(arguments: argparse.Namespace) -> Sequence[str]:
    """Fill in what is trained, and what that needs; return the arguments that would have done the same."""
    console = make_console()
    for name, what in _KINDS.items():
        console.print(Text(f"  {name:<9}", style="bold"), Text(what))
    kind = Prompt.ask("What is trained?", choices=list(SOURCES), default="data", console=console)
    {"data": _ask_data, "images": _ask_images, "script": _ask_script, "function": _ask_function}[kind](arguments)
    if arguments.seeds is None:
        arguments.seeds = IntPrompt.ask("How many seeds?", default=DEFAULT_SEEDS, console=console)
    words = given_words(arguments)
    same = clean(f"without prompts: ablate init {shlex.join(words)}")
    console.print(Text(same, style="dim"), soft_wrap=True)
    return words


def _until_valid(question: Callable[[], Answer]) -> Answer:
    """The answer to a question that is asked until it has one; what is wrong with an answer is shown."""
    while True:
        try:
            return question()
        except UserError as error:
            print_error(error)


def _text(question: str, default: str | None = None) -> str:
    console = make_console()
    while True:
        answer = Prompt.ask(question, default=default, console=console)
        if answer and answer.strip():
            return answer.strip()


def _ask_data(arguments: argparse.Namespace) -> None:
    from ablation.study.new_images import PUBLISHED

    arguments.data = Prompt.ask("Which data set?", choices=list(PUBLISHED), default="digits", console=make_console())
    _ask_model(arguments, "lenet5")


def _ask_images(arguments: argparse.Namespace) -> None:
    from ablation.study.image_folder_facts import look_at_folder

    def folder() -> tuple[str, str, int]:
        answer = _text("Which folder or zip file?")
        facts = look_at_folder(Path(answer))
        return answer, f"{facts.counts}, {facts.sizes}", facts.short_side

    arguments.images, found, side = _until_valid(folder)
    make_console().print(Text(clean(found), style="dim"))
    _ask_model(arguments, "lenet5" if side < 48 else "resnet9")


def _ask_model(arguments: argparse.Namespace, likely: str) -> None:
    from ablation.registry.catalog import MODELS, TORCHVISION, model_suggestion
    from ablation.study.new_images import default_changes, usual_changes

    def model() -> str:
        answer = _text(f"Which model? ({', '.join(MODELS)}; pretrained: torchvision:resnet18, ...)", likely)
        if answer not in (*MODELS, *TORCHVISION):
            raise UserError(f"unknown model {answer!r}", model_suggestion(answer))
        return answer

    arguments.model = arguments.model or _until_valid(model)
    if arguments.vary:
        return
    known = usual_changes(arguments.model)
    console = make_console()
    for name, why in known.items():
        console.print(Text(f"  {name:<16}", style="bold"), Text(why))

    def changes() -> list[str]:
        default = ",".join(default_changes(arguments.data or "", arguments.model))
        answer = _text("Which changes, with commas between them?", default)
        found = [part.strip() for part in answer.split(",") if part.strip()]
        if unknown := [name for name in found if name not in known]:
            raise UserError(f"unknown change {unknown[0]!r}", f"known: {', '.join(known)}")
        return list(dict.fromkeys(found))

    arguments.vary = _until_valid(changes)


def _ask_script(arguments: argparse.Namespace) -> None:
    from ablation.tasks.script_options import script_options

    def script() -> tuple[str, list[str]]:
        answer = _text("Which script?", "train.py")
        found = [own for own in script_options([answer], Path()) if own.long and not own.opaque]
        return answer, [f"{own.name} ({own.default})" for own in found]

    arguments.script, options = _until_valid(script)
    shown = ", ".join(options[:_MOST_LISTED]) + (", ..." if len(options) > _MOST_LISTED else "")
    make_console().print(Text(clean(f"its options: {shown}"), style="dim"))
    _ask_changes(arguments, "dropout=0,0.5")
    _ask_metric(arguments)


def _ask_function(arguments: argparse.Namespace) -> None:
    from ablation.tasks.function_study import exists, options_read

    folder = arguments.output.parent if arguments.output else Path()

    def function() -> str:
        answer = _text("Which function?", "train:main")
        if exists(answer, folder):
            options_read(answer, folder)
        return answer

    arguments.function = _until_valid(function)
    if not exists(arguments.function, folder):
        return
    found = options_read(arguments.function, folder)
    known = [*found.without, *(f"{name} ({value})" for name, value in found.defaults.items())]
    make_console().print(Text(clean(f"it reads: {', '.join(known) or 'no options that could be found'}"), style="dim"))
    _ask_changes(arguments, "lr=0.1,0.5", "; the first value is that of the baseline")
    varied = {text.partition("=")[0].strip() for text in arguments.vary}
    given = {text.partition("=")[0].strip() for text in arguments.set}
    for name in found.without:
        if name not in varied | given:
            arguments.set.append(f"{name}={_text(f'Which value has {name} in the baseline?')}")
    _ask_metric(arguments)


def _ask_changes(arguments: argparse.Namespace, example: str, note: str = "") -> None:
    """Ask for options and their values until there is at least one, and an empty answer."""
    console = make_console()
    while True:
        more = "Another one, or nothing" if arguments.vary else f"What is varied, as in {example}{note}"
        answer = (Prompt.ask(f"{more}?", default="", show_default=False, console=console) or "").strip()
        if answer and "=" in answer:
            arguments.vary.append(answer)
        elif answer:
            print_error(UserError(f"{answer!r} has no values", f"write it as {example}"))
        elif arguments.vary:
            return


def _ask_metric(arguments: argparse.Namespace) -> None:
    from ablation.registry.metric_names import guess

    arguments.metric = arguments.metric or _text("Which metric does it report?", "val_accuracy")
    if arguments.direction is None and guess(arguments.metric).direction is None:
        choices = ["higher", "lower"]
        arguments.direction = Prompt.ask("Which way is better?", choices=choices, console=make_console())
