"""`ablate schema`: the JSON Schema of study files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ablation.errors import UserError

SCHEMA_FILE = Path(".vscode/study.schema.json")
SETTINGS_FILE = Path(".vscode/settings.json")
SETTING, KEY = "yaml.schemas", "./.vscode/study.schema.json"
FOLDER = "studies/**/*.yaml"
"""What is taken for a study file besides those that are there."""
MOST_BYTES = 10**7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "--install",
        action="store_true",
        help=f"write it to {SCHEMA_FILE}, and name it in {SETTINGS_FILE}: VS Code then completes and checks studies "
        "(with the YAML extension of Red Hat)",
    )


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print the schema, or install it."""
    if arguments.install:
        return _install()
    print(_schema())
    return 0


def _schema() -> str:
    import json

    from pydantic import TypeAdapter

    from ablation.study.kinds import AnyFile

    schema = TypeAdapter(AnyFile).json_schema()
    return json.dumps({"type": "object", "required": ["baseline", "seeds"], **schema}, indent=2)


def _install() -> int:
    """Write the schema and the setting. Raises UserError where the settings cannot be changed; nothing is written."""
    from ablation._util.files import replace_text, writing

    settings = _new_settings()
    with writing(SCHEMA_FILE):
        SCHEMA_FILE.parent.mkdir(exist_ok=True)
    replace_text(SCHEMA_FILE, _schema() + "\n")
    print(f"wrote {SCHEMA_FILE}")
    if settings is not None:
        replace_text(SETTINGS_FILE, settings)
        print(f"named it in {SETTINGS_FILE}, under {SETTING}")
    else:
        print(f"{SETTINGS_FILE} names it already")
    print("VS Code needs the extension YAML (redhat.vscode-yaml); other editors: docs/init.md")
    return 0


def _new_settings() -> str | None:
    """The settings with the schema in them; None where they have it already."""
    import json

    from ablation._util.jsonc import JsoncError, read, with_member
    from ablation._util.sanitize import read_file

    there = SETTINGS_FILE.exists()
    own = [FOLDER, *_study_files()]
    line = f'"{SETTING}": {json.dumps({KEY: own})}'
    try:
        text = read_file(SETTINGS_FILE, MOST_BYTES).decode("utf-8") if there else ""
        text = text if text.strip("\ufeff \t\r\n") else "{}\n"
        known = read(text)
        before = _named(known.value)
        wanted = list(dict.fromkeys([*before, *own]))
        if wanted == before:
            return None
        changed = with_member(text, (SETTING, KEY), wanted)
        _check_change(known.value, read(changed).value, wanted)
    except (JsoncError, UnicodeDecodeError) as error:
        raise UserError(f"{SETTINGS_FILE} cannot be changed safely: {error}", f"add it yourself: {line}") from None
    return changed


def _named(settings: Any) -> list[str]:
    """The files that the settings have the schema for."""
    from ablation._util.jsonc import JsoncError

    if not isinstance(settings, dict):
        raise JsoncError("it is not an object")
    schemas = settings.get(SETTING, {})
    if not isinstance(schemas, dict):
        raise JsoncError(f"{SETTING} is not an object")
    named = schemas.get(KEY, [])
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise JsoncError(f"{SETTING} has {KEY} for something other than a list of files")
    return named


def _check_change(before: Any, after: Any, wanted: list[str]) -> None:
    """Raise JsoncError unless the settings differ in what was meant alone."""
    from ablation._util.jsonc import JsoncError

    schemas = {**before.get(SETTING, {}), KEY: wanted}
    if after != {**before, SETTING: schemas}:
        raise JsoncError("the change would touch other settings")


def _study_files() -> list[str]:
    """The study files in the working folder itself, by their keys."""
    from ablation.errors import FileError
    from ablation.study import strict_yaml

    found = []
    for path in sorted([*Path().glob("*.yaml"), *Path().glob("*.yml")]):
        try:
            value = strict_yaml.parse(path.read_text(encoding="utf-8"), str(path)).value
        except (OSError, UnicodeDecodeError, FileError):
            continue  # what cannot be read is no study file yet
        if isinstance(value, dict) and {"baseline", "seeds"} <= value.keys():
            found.append(path.name)
    return found
