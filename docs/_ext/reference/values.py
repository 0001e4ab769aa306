"""What a key of a study file takes, in words, from its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .tables import cell, table

Schema = Mapping[str, Any]
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
TYPES = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}
CUSTOM = r"^[\w.]+:\w+$"


def key_table(schema: Schema) -> Iterator[str]:
    """The keys of a mapping: what each takes, and its default."""
    required = schema.get("required", ())
    rows = [
        (f"`{key}`", cell(in_words(own)), "required" if key in required else _default(own))
        for key, own in schema.get("properties", {}).items()
    ]
    yield from table(("key", "value", "default"), rows)


def in_words(schema: Schema) -> str:
    """What a value may be."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        return f"a mapping, `{schema['$ref'].rpartition('/')[2]}`"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        shown = [in_words(choice) for choice in choices if choice.get("type") != "null"]
        return "; or ".join(dict.fromkeys(shown))
    if schema.get("type") == "array":
        return _list(schema)
    if schema.get("type") == "object":
        return "a mapping"
    if schema.get("pattern") == CUSTOM:
        return "your own code, `module:attribute`"
    bounds = [f"{words} {schema[key]:,}" for key, words in BOUNDS.items() if key in schema]
    return " ".join([TYPES.get(schema.get("type", ""), "any value"), " and ".join(bounds)]).strip()


def _list(schema: Schema) -> str:
    if "prefixItems" in schema:
        return f"a list of {len(schema['prefixItems'])}: {in_words(schema['prefixItems'][0])}"
    return f"a list: {in_words(schema['items'])}" if schema.get("items") else "a list"


def _default(schema: Schema) -> str:
    if schema.get("default") is None or isinstance(schema["default"], dict):
        return ""
    return f"`{json.dumps(schema['default'], ensure_ascii=False)}`".replace("|", "\\|")
