"""`ablate completion`: the completion script of a shell, made by shtab from the command line's own parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SHELLS = ("bash", "zsh", "fish", "tcsh")
EPILOG = """\
  bash   ablate completion bash > ~/.local/share/bash-completion/completions/ablate
  zsh    ablate completion zsh > ~/.zfunc/_ablate     (with fpath+=~/.zfunc before compinit in ~/.zshrc)
  fish   ablate completion fish > ~/.config/fish/completions/ablate.fish
  tcsh   ablate completion tcsh > ~/.ablate.tcsh      (and: source ~/.ablate.tcsh in ~/.tcshrc)

Start a new shell then. Print it again after an update.
"""
_STORED = "ls results/studies 2>/dev/null"
"""What lists the studies of the default results folder: their folders are names that commands take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the argument of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print the script."""
    import shtab

    from ablation.cli.main import build_parser

    parser = build_parser()
    for command in _commands(parser):
        for action in command._actions:
            completed = _completed(action, shtab.FILE, shtab.DIRECTORY)
            if completed:
                action.complete = completed  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=arguments.shell))
    return 0


def _commands(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _completed(action: argparse.Action, file: Mapping[str, Any], folder: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How the value of an argument is completed, as shtab has it; None for one with choices, or of free text."""
    from ablation.registry.catalog import MODELS, TORCHVISION, choices
    from ablation.study.new_images import PUBLISHED

    known = {"what": choices(), "model": [*MODELS, *TORCHVISION], "data": PUBLISHED}
    if action.choices or action.nargs == 0:
        return None
    if action.dest == "study":
        return _studies(stored=action.type is not Path)
    if action.dest in known:
        return _words(action.dest, list(known[action.dest]))
    if action.type is Path:
        return folder if action.metavar == "DIR" else file
    return file if action.dest in ("images", "script") else None


def _studies(*, stored: bool) -> dict[str, Any]:
    """Study files and folders, and where a study that was run is meant, also their names."""
    name = "_ablate_studies" if stored else "_ablate_study_files"
    names = f'  compgen -W "$({_STORED})" -- "$1"\n' if stored else ""
    bash = f"""{name}() {{
{names}  compgen -f -X '!*.yaml' -- "$1"
  compgen -f -X '!*.yml' -- "$1"
  compgen -d -- "$1"
}}
"""
    studies = " 'studies:study:compadd -a studies'" if stored else ""
    zsh = f"""{name}() {{
  local -a studies=(${{(f)"$({_STORED})"}})
  _alternative{studies} 'files:study file:_files -g "*.(yaml|yml)"'
}}
"""
    return {
        "bash": name,
        "zsh": name,
        "fish": f"({f'{_STORED}; ' if stored else ''}__fish_complete_suffix .yaml)",
        "tcsh": "f:*.y*ml",
        "preamble": {"bash": bash, "zsh": zsh},
    }


def _words(name: str, words: list[str]) -> dict[str, Any]:
    """One of some words."""
    listed = " ".join(words)
    bash = f"""_ablate_{name}() {{
  compgen -W "{listed}" -- "$1"
}}
"""
    quoted = " ".join(word.replace(":", "\\:") for word in words)
    return {
        "bash": f"_ablate_{name}",
        "zsh": f"({quoted})",
        "fish": f"(string split ' ' -- '{listed}')",
        "tcsh": f"({listed})",
        "preamble": {"bash": bash},
    }
