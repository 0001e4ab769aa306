"""JSON with comments and trailing commas, as editors keep their settings: read, and changed without losing a byte."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_SPACE = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_WORD = re.compile(r"true|false|null|-?[0-9][0-9.eE+-]*")
MOST_DEPTH = 100


class JsoncError(ValueError):
    """What is no JSON with comments, and where."""


@dataclass(frozen=True)
class Node:
    """A value, where it begins and ends in the text, and the nodes of its members where it is an object."""

    value: Any
    start: int
    end: int
    members: dict[str, Node] = field(default_factory=dict)


def read(text: str) -> Node:
    """The value of a text. Raises JsoncError."""
    start = 1 if text.startswith("\ufeff") else 0
    node, place = _value(text, _skip(text, start), 0)
    if _skip(text, place) != len(text):
        raise JsoncError(f"{_where(text, place)}: something follows the value")
    return node


def with_member(text: str, path: tuple[str, ...], value: Any) -> str:
    """The text with the member at `path` set to `value`: every other byte stays as it is, comments included.

    Objects on the way that are not there are added as first members. Raises JsoncError where the text cannot be read,
    or where something on the way is not an object.
    """
    node = read(text)
    for depth, key in enumerate(path):
        if not isinstance(node.value, dict):
            raise JsoncError(f"{'.'.join(path[:depth]) or 'the file'} is not an object")
        if key in node.members:
            node = node.members[key]
            continue
        for outer in reversed(path[depth + 1 :]):
            value = {outer: value}
        changed = _insert(text, node, key, value)
        break
    else:
        own = json.dumps(value, ensure_ascii=False)
        changed = text[: node.start] + own + text[node.end :]
    return changed


def _insert(text: str, node: Node, key: str, value: Any) -> str:
    """The text with a first member added to an object, on a line of its own and indented as the others are."""
    newline = "\r\n" if "\r\n" in text else "\n"
    member = f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
    before, after = text[: node.start + 1], text[node.start + 1 :]
    if not node.members:
        closing = f"{newline}{_indent(text, node)}" if after.startswith("}") else ""
        return f"{before}{newline}{_indent(text, node)}    {member}{closing}{after}"
    first = _skip(text, node.start + 1)
    space = re.search(r"[\r\n]([ \t]*)$", text[node.start + 1 : first])
    if space is None:  # on the line of its brace
        return f"{before}{member}, {after.lstrip(' ')}"
    return f"{before}{newline}{space[1]}{member},{after}"


def _indent(text: str, node: Node) -> str:
    line = text[text.rfind("\n", 0, node.start) + 1 : node.start]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    assert found
    return found.end()


def _value(text: str, place: int, depth: int) -> tuple[Node, int]:
    if depth > MOST_DEPTH:
        raise JsoncError(f"{_where(text, place)}: nested too deeply")
    opening = text[place : place + 1]
    if opening == "{":
        return _object(text, place, depth)
    if opening == "[":
        return _array(text, place, depth)
    found = (_STRING if opening == '"' else _WORD).match(text, place)
    try:
        value = json.loads(found[0] if found else "")
    except ValueError:
        raise JsoncError(f"{_where(text, place)}: a value is expected here") from None
    assert found
    return Node(value, place, found.end()), found.end()


def _object(text: str, start: int, depth: int) -> tuple[Node, int]:
    members: dict[str, Node] = {}
    place = _skip(text, start + 1)
    while text[place : place + 1] != "}":
        found = _STRING.match(text, place)
        if not found:
            raise JsoncError(f"{_where(text, place)}: a name in quotes or a closing brace is expected here")
        key = json.loads(found[0])
        if key in members:
            raise JsoncError(f"{_where(text, place)}: {key!r} is duplicated")
        place = _expect(text, _skip(text, found.end()), ":")
        members[key], place = _value(text, place, depth + 1)
        place = _after_item(text, place, "}")
    return Node({key: own.value for key, own in members.items()}, start, place + 1, members), place + 1


def _array(text: str, start: int, depth: int) -> tuple[Node, int]:
    items: list[Any] = []
    place = _skip(text, start + 1)
    while text[place : place + 1] != "]":
        node, place = _value(text, place, depth + 1)
        items.append(node.value)
        place = _after_item(text, place, "]")
    return Node(items, start, place + 1), place + 1


def _after_item(text: str, place: int, closing: str) -> int:
    """Where the next item begins, or where the closing bracket is."""
    place = _skip(text, place)
    return place if text[place : place + 1] == closing else _expect(text, place, ",")


def _expect(text: str, place: int, sign: str) -> int:
    if text[place : place + 1] != sign:
        raise JsoncError(f"{_where(text, place)}: {sign!r} is expected here")
    return _skip(text, place + 1)


def _where(text: str, place: int) -> str:
    return f"line {text.count(chr(10), 0, place) + 1}, column {place - text.rfind(chr(10), 0, place)}"
