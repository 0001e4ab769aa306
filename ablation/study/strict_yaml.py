"""YAML read strictly: duplicate keys are errors, `1e-3` is a number, `no` is text, and every value has its place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
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
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""The line breaks of YAML."""
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
        """Note an error at a place of the file."""
        self.note(Problem(*self.place(loc, key=key), message, hint))

    def note(self, problem: Problem) -> None:
        """Note an error, once; where there are too many, they are raised."""
        if problem in self.problems:  # the same value is read for several variants
            return
        self.problems.append(problem)
        if len(self.problems) >= MOST_PROBLEMS:
            self.problems.append(Problem(len(self.lines) + 1, 1, "there are more errors, which are not listed", None))
            self.check()

    def check(self) -> None:
        """Raise FileError with all errors noted so far, if any."""
        if self.problems:
            raise FileError(self.path, self.problems, self.lines)


def parse(text: str, path: str) -> Document:
    """The document in `text`; `path` is what errors call it. Raises FileError where the text is not YAML."""
    document = Document(path, tuple(text.splitlines()))
    if len(text) > MAX_BYTES:
        raise FileError(path, [Problem(1, 1, f"the file has {len(text):,} characters; the limit is {MAX_BYTES:,}")])
    try:
        node = _Loader(text).get_single_node()
    except yaml.YAMLError as error:
        raise FileError(path, [_syntax_problem(error, text)], document.lines) from None
    if node is None:
        hint = "a study needs at least a baseline and seeds"
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
    """What is wrong with text that is not YAML, where, and how to fix it, in plain words where the cause is known."""
    lines = _BREAK.split(text)
    if isinstance(error, yaml.reader.ReaderError):
        message = f"this is a character that YAML forbids (#x{error.character:04x})"
        return Problem(*place_in(text[: error.position]), message, "remove it, or save the file as UTF-8 text")
    assert isinstance(error, yaml.MarkedYAMLError)
    assert error.problem_mark
    what, mark = error.problem or "", error.problem_mark
    row = lines[mark.line]
    if "\t" in row[: len(row) - len(row.lstrip())]:
        return Problem(mark.line + 1, row.index("\t") + 1, "a tab in the indentation", "indent with spaces")
    start = error.context_mark or mark  # of what is being read
    if (error.context or "").startswith("while parsing a flow "):
        return _bracket_problem(lines, what, mark, start)
    if what == "mapping values are not allowed here":
        return _colon_problem(lines, mark)
    for found, at, message, hint in _SYNTAX:
        if re.search(found, what):
            place = start if at == "start" else mark
            return Problem(place.line + 1, place.column + 1, message, hint)
    if re.search("found '<block (mapping|sequence) start>'", what):
        return _indentation_problem(lines, mark)
    return Problem(mark.line + 1, mark.column + 1, f"not valid YAML: {what}", error.context)


_SYNTAX = (
    ("could not find expected ':'", "start", "this line has no colon", "write it as key: value"),
    ("unexpected end of stream", "start", "this quote is never closed", "add the closing quote"),
    ("but found '[]}]'", "mark", "no bracket is open that this one could close", "remove it"),
    ("but found ','", "mark", "a comma between values that are not in brackets", "write a list as [1, 2, 3]"),
    (
        "but found '<scalar>'",
        "mark",
        "text after the end of a value",
        "put text with quotes or commas into double quotes",
    ),
    ("cannot start any token", "mark", "text cannot start with this character", "put the text into quotes"),
    ("undefined alias", "mark", "text cannot start with this character", "put the text into quotes"),
    (
        "unknown escape character",
        "mark",
        "an unknown escape in double quotes",
        "write \\\\ for a backslash, or use single quotes",
    ),
    ("found another document", "mark", "a study file is one document", "remove the line ---"),
)
"""(pattern of PyYAML's message, whose place is meant, message, hint)."""


def _bracket_problem(lines: Sequence[str], what: str, mark: yaml.Mark, start: yaml.Mark) -> Problem:
    bracket = lines[start.line][start.column : start.column + 1]
    found = re.search("got '([]}])'", what)
    if found:
        return Problem(
            mark.line + 1, mark.column + 1, f"{found[1]} does not close the {bracket} before it", "pair them"
        )
    if mark.line > start.line:
        message = f"this {bracket} is not closed, or a comma is missing before line {mark.line + 1}"
        return Problem(start.line + 1, start.column + 1, message, "add the closing bracket or the comma")
    return Problem(mark.line + 1, mark.column + 1, "a comma is missing before this", "separate entries by commas")


def _colon_problem(lines: Sequence[str], mark: yaml.Mark) -> Problem:
    """A colon where no key can be: the line above lacks a space, this one is indented too far, or text needs quotes."""
    row, number = lines[mark.line], mark.line
    if re.search(r":\s", row[: mark.column]):
        return Problem(number + 1, mark.column + 1, "a colon inside a value", "put the value into quotes")
    above = next((n for n in range(number - 1, -1, -1) if lines[n].strip()), number)
    glued = re.match(r"\s*[\w.-]+:(?=\S)", lines[above])
    if glued:
        return Problem(above + 1, glued.end() + 1, "no space after the colon", "write it as key: value")
    return _indentation_problem(lines, mark)


def _indentation_problem(lines: Sequence[str], mark: yaml.Mark) -> Problem:
    def indent(row: str) -> int:
        return len(row) - len(row.lstrip(" "))

    own = indent(lines[mark.line])
    levels: list[int] = []
    for row in lines[: mark.line]:
        if row.strip() and not row.lstrip().startswith("#"):
            levels = [*(level for level in levels if level < indent(row)), indent(row)]
    expected = " or ".join(str(level) for level in reversed(levels)) or "0"
    message = f"wrong indentation: {own} space{'' if own == 1 else 's'}, where {expected} would fit the lines above"
    return Problem(mark.line + 1, own + 1, message, "indent all keys of one level by the same number of spaces")


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
    """Node tree -> plain values, noting places and errors on the way."""

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
            self.document.note(Problem(*place, "this text contains half a character", hint))
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
                hint = f"keep one of them; the first one is in line {first}"
                self.document.note(Problem(*place, f"duplicate key {key!r}", hint))
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
