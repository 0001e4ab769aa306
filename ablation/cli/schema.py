"""`ablate schema`: the JSON Schema of study files."""

from __future__ import annotations

import argparse

SUMMARY = "print the JSON Schema of study files, for editors"


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """The command has none."""


def main(_arguments: argparse.Namespace, _command: str) -> int:
    """Print the schema."""
    import json

    from pydantic import TypeAdapter

    from ablation.study.kinds import AnyFile

    schema = TypeAdapter(AnyFile).json_schema()
    print(json.dumps({"type": "object", "required": ["baseline", "seeds"], **schema}, indent=2))
    return 0
