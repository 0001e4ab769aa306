"""YAML read strictly: duplicate keys are faults, `1e-3` is a number, `no` is text, and every value knows its place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ablation.errors import FileError, Problem

MAX_BYTES = 1_000_000
MAX_VALUES = 20_000
MAX_DEPTH = 40
MOST_PROBLEMS = 100

Loc = tuple[str | int, ...]

_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
    ".inf": math.inf,
    "+.inf": math.inf,
    "-.inf": -math.inf,
    ".nan": math.nan,
}


@dataclass
class Document:
    """A parsed file: its plain value, and the (line, column) of every key and value in it."""

    path: str
    lines: tuple[str, ...]
    value: Any = None
    problems: list[Problem] = field(default_factory=list)
    _keys: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    _values: dict[Loc, tuple[int, int]] = field(default_factory=dict)

    def place(self, loc: Iterable[str | int], *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value (or key) at `loc`; of the nearest enclosing value where there is none."""
        loc = tuple(loc)
        table = self._keys if key else self._values
        while loc and loc not in table:
            loc = loc[:-1]
        return table.get(loc) or self._values.get(loc, (1, 1))

    def has(self, loc: Loc) -> bool:
        return loc in self._values

    def add(self, loc: Iterable[str | int], message: str, hint: str | None = None, *, key: bool = False) -> None:
        """Note a fault at a place of the file."""
        self.note(Problem(*self.place(loc, key=key), message, hint))

    def note(self, problem: Problem) -> None:
        """Note a fault, once; where there are too many, they are raised at once."""
        if problem in self.problems:  # the same value is met in several arms
            return
        self.problems.append(problem)
        if len(self.problems) >= MOST_PROBLEMS:
            self.problems.append(Problem(len(self.lines) + 1, 1, "there are more faults, which are not listed", None))
            self.check()

    def check(self) -> None:
        """Raise FileError with all faults noted so far, if any."""
        if self.problems:
            raise FileError(self.path, self.problems, self.lines)


def parse(text: str, path: str) -> Document:
    """The document in `text`; `path` is what errors call it. Raises FileError where the text is no YAML at all."""
    document = Document(path, tuple(text.splitlines()))
    if len(text) > MAX_BYTES:
        raise FileError(path, [Problem(1, 1, f"the file has {len(text):,} characters; the limit is {MAX_BYTES:,}")])
    try:
        node = _Loader(text).get_single_node()
    except yaml.YAMLError as error:
        raise FileError(path, [_syntax_problem(error, text)], document.lines) from None
    if node is None:
        hint = "a study needs at least a baseline and seeds; see studies/smoke.yaml"
        raise FileError(path, [Problem(1, 1, "the file is empty", hint)], document.lines)
    document.value = _Converter(document).value(node, ())
    return document


def parse_scalar(text: str) -> Any:
    """A value of the command line, read as it would be in a file: `0.1`, `batch`, `[crop, flip]`, `{name: step}`."""
    return parse(text, "the command line").value if text.strip() else ""


def place_in(before: str) -> tuple[int, int]:
    """Line and column of what follows the text `before`."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    row = lines[line - 1] if line <= len(lines) else ""
    if "\t" in row[: len(row) - len(row.lstrip())]:
        return Problem(line, row.index("\t") + 1, "a tab stands in the indentation", "indent with spaces")
    if isinstance(error, yaml.reader.ReaderError):
        message = f"this is a character that YAML forbids (#x{error.character:04x})"
        return Problem(*place_in(text[: error.position]), message, "remove it, or save the file as UTF-8 text")
    what = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    return Problem(line, column, f"not valid YAML: {what}" + (f" ({context})" if context else ""), None)


class _Loader(yaml.SafeLoader):
    """Gives up where a file nests too deep or goes on too long, instead of following it."""

    depth = 0
    count = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH or self.count > 2 * MAX_VALUES:  # keys are nodes too
            deep = self.depth > MAX_DEPTH
            what = f"nests deeper than {MAX_DEPTH} levels" if deep else f"has more than {MAX_VALUES:,} values"
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"the file {what}", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Converter:
    """Node tree -> plain values, noting places and faults on the way."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0

    def value(self, node: Node, loc: Loc) -> Any:
        self.count += 1
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        if self.count > MAX_VALUES or len(loc) > MAX_DEPTH:
            what = f"more than {MAX_VALUES:,} values" if self.count > MAX_VALUES else f"more than {MAX_DEPTH} levels"
            problem = Problem(*place, f"the file, with its aliases expanded, has {what}")
            raise FileError(self.document.path, [problem], self.document.lines)
        self.document._values[loc] = place
        if node.tag.startswith("!") or node.tag.startswith("tag:yaml.org,2002:python"):
            self.document.add(loc, f"the tag {node.tag!r} is not allowed", "write a plain value")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*loc, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        if not node.style:
            return _plain(node.value)
        return self._text(node)

    def _text(self, node: ScalarNode) -> str:
        """Quoted text; JSON's writers put rare characters as two halves, `"\\ud83d\\ude00"`."""
        try:
            return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            place = (node.start_mark.line + 1, node.start_mark.column + 1)
            hint = "write \\ud800 to \\udfff in pairs only"
            self.document.note(Problem(*place, "this text holds half a character", hint))
            return str(node.value).encode("utf-8", "replace").decode()

    def _mapping(self, node: MappingNode, loc: Loc) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, ScalarNode):
                self.document.note(Problem(*place, "a key must be plain text"))
                continue
            key = self._text(key_node)
            if key in values:
                first = self.document._keys[(*loc, key)][0]
                hint = f"keep one of them; the first stands in line {first}"
                self.document.note(Problem(*place, f"the key {key!r} stands twice", hint))
                continue
            self.document._keys[(*loc, key)] = place
            values[key] = self.value(value_node, (*loc, key))
        return values


def _plain(text: str) -> Any:
    if text.lower() in _SPECIAL and (
        text == text.lower() or text in ("True", "False", "Null", "NULL", "TRUE", "FALSE")
    ):
        return _SPECIAL[text.lower()]
    if _INT.fullmatch(text) and len(text) <= 20:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
