"""The command `ablate`: arguments -> calls -> exit code. Heavy imports are inside the command that needs them.

Exit codes: 0 success; 1 an error that the user can fix, such as a wrong argument, or an interrupted command; 2 some
runs failed. A command whose exit code 1 is an answer has another one for errors, its `ERROR_CODE`.
"""

from __future__ import annotations

import argparse
import codecs
import io
import keyword
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from ablation._util.sanitize import clean
from ablation.cli.arguments import Parser
from ablation.errors import UserError
from ablation.versions import __version__

COMMANDS = {
    "init": "write a study file for your images, a data set, a script or a function",
    "run": "train the runs of a study that are not finished yet",
    "plan": "show the runs of a study, model sizes, what is finished, and what fits into a time",
    "validate": "check a study file and show every error in it",
    "audit": "try a function or command in a few short runs: is it reproducible, are seed and options used",
    "status": "show the progress of a study",
    "watch": "watch a study while it is trained, in the terminal or in a browser",
    "test": "evaluate the selected checkpoints on the test set, once",
    "report": "write the report of a study",
    "follow-up": "write the study that would decide what a study leaves open",
    "verdict": "judge a finished study for a program: one JSON line, and 0 (pass), 1 (worse) or 3 (undecided)",
    "noise": "measure where the variance between runs comes from: split, order, augmentation, initial weights, dropout",
    "show": "show one run: its options, which studies use it, its curve, and where and how it was trained",
    "diff": "compare two variants, runs or studies: how their options and results differ",
    "verify": "check stored files against their SHA-256, and retrain a sample of runs: are they bitwise identical?",
    "export": "write a study and its runs to one file, for `ablate import FILE` on another machine",
    "import": "the report of runs that MLflow, TensorBoard, W&B, Trackio or Hydra has logged; or an exported study",
    "du": "show the disk usage of a results folder, by study and kind of file",
    "rm": "remove studies or runs; without --yes it only lists them",
    "script": "write the study file of a training script that uses argparse",
    "list": "list models, data sets, optimizers, schedules, augmentations and metrics",
    "schema": "print the JSON Schema of study files, for editors, or install it in VS Code",
    "completion": "print the script that completes `ablate` in bash, zsh, fish or tcsh",
    "doctor": "check whether this machine has what training needs",
}
"""What is typed -> what it does. Each has a module of its name, which is imported once its command is typed."""
EPILOG = """\
A study file declares a baseline and single changes to it.

  ablate run STUDY.yaml     train every variant with every seed; run it again to resume
  ablate report             write reports/<study>/report.html for the most recent study
"""
_ASCII = str.maketrans("\u00b7\u2013\u2014\u2212\u2192\u00d7\u2026\u2501\u2578\u257a", "---->x.---")
"""What is printed for typographic characters where the terminal has ASCII only."""


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    words = sys.argv[1:] if words is None else words
    _print_anything()
    failed = _error_code(words)
    try:
        arguments = parse(words)
        return int(arguments.main(arguments, clean(shlex.join(["ablate", *words]))))
    except UserError as error:
        from ablation.cli.console import print_error

        print_error(error)
        return failed
    except BrokenPipeError:
        sys.stderr.close()
        return failed
    except OSError as error:
        from ablation.cli.console import print_error

        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print_error(UserError(what, "finished work is kept; fix this and run the same command again"))
        return failed
    except KeyboardInterrupt:
        print("stopped immediately; the same command resumes each run from its last complete epoch", file=sys.stderr)
        return failed
    except Exception:  # a bug: by itself it would end with 1
        if failed == 1:
            raise
        import traceback

        traceback.print_exc()
        return failed


def _error_code(words: Sequence[str]) -> int:
    """What an error of a command line ends with."""
    command = _command_word(words)
    return int(getattr(_module(command), "ERROR_CODE", 1)) if command in COMMANDS else 1


def _command_word(words: Sequence[str]) -> str:
    """The word in the place of the command; empty where there is none."""
    return next((word for word in words if not word.startswith("-")), "")


def _module(command: str) -> ModuleType:
    """The module of a command; its name ends in `_` where it would be a keyword."""
    name = command.replace("-", "_")
    return import_module(f"ablation.cli.{name}{'_' if keyword.iskeyword(name) else ''}")


def _print_anything() -> None:
    """Let no character that the terminal's encoding lacks end a command that may have trained for days."""
    codecs.register_error("ablation", _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ablation")


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_ASCII)
    return text.encode("ascii", "replace").decode("ascii"), error.end


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line. Raises UserError where it is wrong."""
    words, given = _split(words)
    options, unknown = build_parser(_command_word(words)).parse_known_args(words)
    if given:
        options.arguments = given
    if unknown:
        from ablation.registry.catalog import suggestion

        known = [name for name in options.parser._option_string_actions if name.startswith("--")]
        word = unknown[0].partition("=")[0]
        if word.startswith("-"):
            raise UserError(f"{options.parser.prog} has no option {word}", suggestion(word, known))
        repeated = "--vary" in known and "=" in unknown[0]
        hint = (
            f"each option needs its own --vary: --vary {unknown[0]}"
            if repeated
            else f"quote a name that has spaces; see {options.parser.prog} --help"
        )
        raise UserError(f"{options.parser.prog}: unexpected argument {unknown[0]!r}", hint)
    return options


def _split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The words of a command; and of `script` and `init`, what follows `--`, which is not ours to parse."""
    if not words or words[0] not in ("script", "init"):
        return words, ()
    end = words.index("--") if "--" in words else len(words)
    own = [*words[:end]]
    place = own.index("--seed-option") if "--seed-option" in own[:-1] else None
    if place is not None:  # its value begins with dashes too, which argparse takes only in the same word
        own[place : place + 2] = [f"{own[place]}={own[place + 1]}"]
    return own, words[end + 1 :]


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands; with the word in the place of the command, only what that needs, which is faster."""
    parser = Parser(
        prog="ablate",
        description="Ablation studies of any training code.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ablate {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in [command] if command in COMMANDS else COMMANDS:
        own = commands.add_parser(name, help=COMMANDS[name])
        if command in (None, name):
            module = _module(name)
            module.add_arguments(own)
            own.set_defaults(parser=own, main=module.main)
    return parser
