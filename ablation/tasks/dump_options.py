"""Run by `script_options` in front of a script: it writes down the options of the script's parser, and ends there.

Stand-alone: it imports nothing of this package. Started with `-P`, so that what it imports is not looked for in the
working folder; the script finds modules as when it is started itself. Arguments: a JSON file that holds
`vary` (name of an option -> texts of its values), `free` (names of options that are given later) and `folder`; the JSON
file to write; then the script, or `-m` and a module, and its own arguments.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import runpy
import sys
from pathlib import Path
from typing import Any

_parse = argparse.ArgumentParser.parse_known_args
_parse_strictly = argparse.ArgumentParser.parse_args
_ACTIONS = (
    (argparse.BooleanOptionalAction, "boolean_optional"),
    (argparse._StoreTrueAction, "store_true"),
    (argparse._StoreFalseAction, "store_false"),
    (argparse._StoreConstAction, "store_const"),
    (argparse._AppendAction, "append"),
    (argparse._StoreAction, "store"),
)
"""What an option does, the first that fits; anything else is `other`."""


class _RejectedError(Exception):
    """What the parser would have printed before it exits."""


def _reject(message: str) -> None:
    raise _RejectedError(message)


def dump(request: str, answer: str, words: list[str]) -> None:
    """Run the script up to the first time that a parser reads its command line."""
    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    module = words[0] == "-m"
    strict: list[bool] = []
    sys.argv = words[1:] if module else words

    def stop(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        if args is not None and list(args) != sys.argv[1:]:  # not the command line: some library's own parser
            return _parse(parser, args, namespace)
        found = _found(parser, sys.argv[1:], asked, strict=bool(strict))
        Path(answer).write_text(json.dumps(found), encoding="utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    def parse_strictly(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        strict.append(True)
        return _parse_strictly(parser, args, namespace)

    argparse.ArgumentParser.parse_known_args = stop  # type: ignore[method-assign,assignment]
    argparse.ArgumentParser.parse_args = parse_strictly  # type: ignore[method-assign,assignment]
    sys.path.insert(0, str(Path.cwd() if module else Path(words[0]).absolute().parent))
    if module:
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")


def _found(parser: argparse.ArgumentParser, words: list[str], asked: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    parsers = _with_subcommands(parser, words)
    named = {name: _named(name, parsers) for name in (*asked["vary"], *asked["free"])}
    return {
        "options": [_option(own, action) for own in parsers for action in own._actions if _is_option(action)],
        "names": {name: found[1].option_strings[0] if found else None for name, found in named.items()},
        "values": {
            name: [_converted(*found, text) for text in texts] if (found := named[name]) else []
            for name, texts in asked["vary"].items()
        },
        "fixed": [found[1].option_strings[0] for word in words if (found := _given(word, parsers))],
        "rejected": _rejected(parser, words, [found[1] for found in named.values() if found], strict=strict),
        "files": _imported(asked["folder"]),
    }


def _with_subcommands(parser: argparse.ArgumentParser, words: list[str]) -> list[argparse.ArgumentParser]:
    """The parser, and those of the subcommands that the command line chooses."""
    found = [parser]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            chosen = next((action.choices[word] for word in words if word in action.choices), None)
            found += _with_subcommands(chosen, words) if chosen else []
    return found


def _is_option(action: argparse.Action) -> bool:
    return not isinstance(action, argparse._HelpAction | argparse._VersionAction | argparse._SubParsersAction)


def _named(name: str, parsers: list[argparse.ArgumentParser]) -> tuple[argparse.ArgumentParser, argparse.Action] | None:
    """The option that a user calls `lr`, `--lr`, or by its `dest`."""
    bare = name.lstrip("-").replace("-", "_")
    for parser in parsers:
        for action in parser._actions:
            flags = [flag.lstrip("-").replace("-", "_") for flag in action.option_strings]
            by_dest = bare == action.dest and not isinstance(
                action, argparse._StoreFalseAction
            )  # that means its opposite
            if _is_option(action) and flags and (bare in flags or by_dest):
                return parser, action
    return None


def _given(word: str, parsers: list[argparse.ArgumentParser]) -> tuple[argparse.ArgumentParser, argparse.Action] | None:
    """The option that a word of the command line gives, whole or by the start of its name."""
    name = word.partition("=")[0]
    for parser in parsers:
        known = parser._option_string_actions
        close = [known[flag] for flag in known if name.startswith("--") and flag.startswith(name)]
        action = known.get(name) or (close[0] if len(set(map(id, close))) == 1 else None)
        if action:
            return parser, action
    return None


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> dict[str, Any]:
    default = parser.get_default(action.dest)
    if isinstance(default, str) and default is not argparse.SUPPRESS:
        try:
            converted = parser._get_value(action, default)
            default = converted if _is_plain(converted) else default
        except Exception:  # the script would be told when it parses; here the text is as good
            pass
    default = None if default is argparse.SUPPRESS else default
    return {
        "flags": list(action.option_strings),
        "dest": action.dest,
        "default": _plain(default) if _is_plain(default) else None,
        "type": getattr(action.type, "__name__", "") if action.type else "",
        "choices": None if action.choices is None else [_plain(own) for own in list(action.choices)[:1000]],
        "nargs": action.nargs,
        "action": next((name for kind, name in _ACTIONS if isinstance(action, kind)), "other"),
        "required": bool(action.required),
        "opaque": "" if _is_plain(default) else repr(default)[:200],
    }


def _converted(parser: argparse.ArgumentParser, action: argparse.Action, texts: list[str]) -> dict[str, Any]:
    """What the parser makes of the text of a value, or why it rejects it."""
    if action.nargs == 0:
        return {"value": None, "error": ""}
    if isinstance(action.nargs, int) and len(texts) != action.nargs:
        return {"value": None, "error": f"it takes {action.nargs} values, separated by spaces"}
    try:
        value = parser._get_values(action, texts)
    except argparse.ArgumentError as error:
        return {"value": None, "error": error.message}
    except Exception as error:
        return {"value": None, "error": f"{type(error).__name__}: {error}"}
    own = _plain(value) if _is_plain(value) else texts if isinstance(value, list) else " ".join(texts)
    return {"value": own, "error": ""}


def _rejected(parser: argparse.ArgumentParser, words: list[str], later: list[argparse.Action], *, strict: bool) -> str:
    """What the parser has against the fixed arguments, where the options `later` are given too; empty for nothing."""
    for action in later:
        action.required = False
    for own in _with_subcommands(parser, words):
        own.error = _reject  # type: ignore[method-assign,assignment]
    argparse.ArgumentParser.parse_known_args = _parse  # type: ignore[method-assign]
    try:
        _, unknown = _parse(parser, words)
    except _RejectedError as error:
        return str(error)
    except SystemExit:
        return "they make it exit"
    return f"unrecognized arguments: {' '.join(unknown)}" if strict and unknown else ""


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(own) for own in value)
    return value is None or isinstance(value, bool | int | float | str | os.PathLike)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _imported(folder: str) -> list[str]:
    """The modules in a folder that the script has imported, as paths in it; no installed packages."""
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        path = os.path.relpath(file, folder) if file and Path(file).is_file() else ""  # torch.ops claims `_ops.py`
        parts = Path(path).parts
        hidden = any(part.startswith(".") or part in ("site-packages", "dist-packages") for part in parts)
        if path.endswith(".py") and not hidden:
            found.add("/".join(parts))
    return sorted(found)


if __name__ == "__main__":
    dump(sys.argv[1], sys.argv[2], sys.argv[3:])
