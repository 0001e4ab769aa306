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

COMMANDS = (
    *("init", "run", "plan", "validate", "audit", "status", "watch", "test", "report", "follow-up", "verdict", "noise"),
    *("show", "diff", "verify", "export", "import", "du", "rm"),
    *("script", "list", "schema", "completion", "doctor"),
)
"""Each has a module of its name, which is imported where it is typed, and where all of them are listed."""
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
    return int(getattr(_module(words[0]), "ERROR_CODE", 1)) if words and words[0] in COMMANDS else 1


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
    options, unknown = build_parser(words[0] if words else "").parse_known_args(words)
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
    """The parser of all commands; where a first word is given, only with what that word needs, which is faster."""
    parser = Parser(
        prog="ablate",
        description="Ablation studies of any training code.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ablate {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in [command] if command in COMMANDS else COMMANDS:
        module = _module(name)
        own = commands.add_parser(name, help=module.SUMMARY)
        if command in (None, name):
            module.add_arguments(own)
        own.set_defaults(parser=own, main=module.main)
    return parser
