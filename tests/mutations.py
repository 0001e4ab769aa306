"""Random study files that are wrong: damaged valid ones, and made-up ones."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT, TINY

SOUND = (TINY, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "studies").glob("*.yaml"))))
TREES = tuple(yaml.load(text, yaml.BaseLoader) for text in SOUND)

HOSTILE = (
    *("0", "-1", "1", "2", "1_000", "+1", "1e3", "0.5", "1000000", "99999999999", "9" * 19, "9" * 20, "7" * 5000),
    *("1e400", "-1e400", "1e-400", ".nan", ".NaN", "NaN", ".inf", "-.inf", "inf", "1e308", "5e-324", "1.", ".", "-"),
    *("0x1F", "0o17", "017", "1:30:00", "2001-12-14t21:59:43.10-05:00", "2020-01-01", "0b11", "true", "yes", "No"),
    *("~", "null", "''", '""', "[]", "{}", "[[]]", "[{}]", "{a: 1}", "[1, a, [2]]", "[0, 0]", "{name: sgd}", "{on: 1}"),
    *("!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!!binary aGk=", "!!int 3", "!!set {a}"),
    *("!!float nan", "!local x", "!<tag:yaml.org,2002:python/tuple> [1]", "!!timestamp 2020-01-01", "!!map [1]", "!"),
    *("&a [*a]", "&a {b: *a}", "*nope", "&x 1", "{<<: {a: 1}}", "{<<: [{a: 1}]}", "&x {<<: *x}", "*", "&"),
    *("[" * 60 + "]" * 60, "{a: " * 60 + "}" * 60, "[" * 2000, "- " * 500, "{? [1] : 2}", "{[1]: 2}", "{{a: 1}: 2}"),
    *("k" * 2000, "k" * 300 + ": 1", "\U0001f600", "\u202e", "e\u0301", '"\\0"', '"\\ud800"', '"\\ud83d\\ude00"'),
    *("\x00", "\x1b[31m", "\x85", "\u2028", "\ufeff", "\x7f", "\t", "'", '"', "[", "}", ":", "?", "|", ">", "@", "%a"),
    *("a: b: c", "- a", "? a", "| \n  text", "> folded", "#", "--- ", "...", "%YAML 9.9", '"\\e[2J"', "'\\'", "\\"),
    *("../..", "/etc/passwd", "/dev/zero", "/", ".", "~/x", "x" * 300, '"a\\0b"', "<script>", "{{7*7}}", "%s"),
    *("torchvision:resnet18", "torchvision:googlenet", "torchvision:", "image_folder", "synthetic", "DEFAULT", "none"),
    *("os:system", "my_models:Net", "a b:c", "../x:y", "{name: 'json:loads', options: {a: [.nan]}}", "{classes: 1}"),
    *("lenet5", "vgg16", "resnet18", "adam", "step", "one_cycle", "[crop, crop]", "[cutout, noise]", "factorial"),
    *("[64, 64]", "[1, 8, 8]", "{name: image_folder, path: '" + "y" * 400 + "'}", "{name: step, step_size: 0}"),
    *("{epochs: 1, stages: [{epochs: 1}]}", "{stages: [{epochs: x}]}", "{stages: 3}", "[{optimizer: {name: 1}}]"),
    *("{stages: [{epochs: 2, optimizer: {name: [1]}}]}", "{stages: {a: 1}}", "{model.dropout: 0.5}", "[[5, 3], [3]]"),
)  # fmt: skip
PATHS = (
    *("study", "title", "question", "baseline", "seeds", "vary", "combine", "components", "design", "grid", "controls"),
    *(
        "analysis",
        "data",
        "model",
        "optimizer",
        "schedule",
        "train",
        "name",
        "model.dropout",
        "model.norm",
        "data.path",
    ),
    *("data", "model.weights", "train.stages", "data.augment", "optimizer.lr", "model.name", "train.epochs", "needs"),
    *("on", "off", "model.channels", "model.kernel_size", "path", "augment", "shape", "weights", "input_size", "<<"),
    *(
        "stages",
        "epochs",
        "steps",
        "metric",
        "margin",
        "hidden",
        "model.",
        ".",
        "options",
        "model.options",
        "model.options.width",
        "model.dropout.x",
        "baseline.model",
    ),
)
_LETTERS = "aeox.019 _-:#'\"\\\n\t\0\u00e9\u0301\u2028\ufeff\U0001f600"


@dataclass(frozen=True)
class Raw:
    """A piece of YAML that is written as it is."""

    text: str


def study_file(draw: random.Random) -> bytes:
    """The bytes of a random study file."""
    return draw.choice((_by_text, _by_text, _by_tree, _by_tree, _from_scratch))(draw)


def _by_text(draw: random.Random) -> bytes:
    text = draw.choice(SOUND)
    for _ in range(draw.choice((1, 1, 2, 3))):
        text = draw.choice(_OF_TEXT)(draw, text)
    return _encoded(draw, text)


def _by_tree(draw: random.Random) -> bytes:
    tree = json.loads(json.dumps(draw.choice(TREES)))
    for _ in range(draw.choice((1, 1, 2, 4))):
        _change_a_node(draw, tree)
    return _encoded(draw, dump(tree))


def _from_scratch(draw: random.Random) -> bytes:
    return _encoded(draw, dump({_key(draw): _value(draw, 3) for _ in range(draw.randint(0, 6))}))


def _key(draw: random.Random) -> str:
    return draw.choice(PATHS) if draw.random() < 0.5 else "".join(draw.choices(_LETTERS, k=draw.randint(0, 8)))


def _value(draw: random.Random, depth: int) -> Any:
    kind = draw.random() if depth else 0
    if kind < 0.5:
        return Raw(draw.choice(HOSTILE))
    if kind < 0.7:
        return [_value(draw, depth - 1) for _ in range(draw.randint(0, 4))]
    return {_key(draw): _value(draw, depth - 1) for _ in range(draw.randint(0, 5))}


def _encoded(draw: random.Random, text: str) -> bytes:
    kind = draw.randint(0, 60)
    if kind == 0:
        return text.encode("utf-16", "surrogatepass")
    if kind == 1:
        return text.encode("utf-8-sig", "surrogatepass")
    if kind == 2:
        return text.encode("latin-1", "replace")
    raw = text.encode("utf-8", "surrogatepass")
    if kind < 8 and raw:
        place = draw.randint(0, len(raw) - 1)
        return raw[:place] + bytes([raw[place] ^ (1 << draw.randint(0, 7))]) + raw[place + 1 :]
    return raw


def _lines(change: Callable[[random.Random, list[str], int], list[str]]) -> Callable[[random.Random, str], str]:
    def apply(draw: random.Random, text: str) -> str:
        lines = text.split("\n")
        return "\n".join(change(draw, lines, draw.randint(0, len(lines) - 1)))

    return apply


def _block(lines: list[str], start: int) -> int:
    """The end of what belongs to a line: all that follows and is indented deeper."""
    depth = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and lines[end].strip() and len(lines[end]) - len(lines[end].lstrip()) > depth:
        end += 1
    return end


def _graft(draw: random.Random, lines: list[str], n: int) -> list[str]:
    """A block in the place of a block of another study."""
    other = draw.choice(SOUND).split("\n")
    start = draw.randint(0, len(other) - 1)
    return [*lines[:n], *other[start : _block(other, start)], *lines[_block(lines, n) :]]


def _replace_token(draw: random.Random, text: str) -> str:
    tokens = list(re.finditer(r"[^\s,:{}\[\]]+", text))
    if not tokens:
        return draw.choice(HOSTILE)
    token = tokens[draw.randint(0, len(tokens) - 1)]
    return text[: token.start()] + draw.choice(HOSTILE) + text[token.end() :]


def _insert(draw: random.Random, text: str) -> str:
    place = draw.randint(0, len(text))
    return text[:place] + draw.choice(HOSTILE) + text[place:]


def _cut(draw: random.Random, text: str) -> str:
    start = draw.randint(0, len(text))
    return text[:start] + text[start + draw.randint(1, 12) :]


_INDENT = (" ", "  ", "\t", "- ")
_NEXT = ("\n---\n", "\n...\n", "\n%YAML 1.1\n---\n")
_OF_TEXT: tuple[Callable[[random.Random, str], str], ...] = (
    _replace_token,
    _replace_token,
    _insert,
    _cut,
    _lines(lambda draw, lines, n: lines[:n] + lines[n + 1 :]),
    _lines(lambda draw, lines, n: [*lines[: n + 1], *lines[n:]]),
    _lines(lambda draw, lines, n: [*lines[:n], draw.choice(_INDENT) + lines[n], *lines[n + 1 :]]),
    _lines(lambda draw, lines, n: [*lines[:n], lines[n].lstrip(), *lines[n + 1 :]]),
    _lines(lambda draw, lines, n: [*lines[:n], draw.choice(HOSTILE), *lines[n:]]),
    _lines(lambda draw, lines, n: lines[: _block(lines, n)] + lines[n:]),
    _lines(lambda draw, lines, n: lines[:n]),
    _lines(_graft),
    lambda draw, text: text + draw.choice(_NEXT) + draw.choice(SOUND),
)  # fmt: skip


def _change_a_node(draw: random.Random, tree: Any) -> None:
    """Put a hostile value, or a part of another study, or nothing, in the place of one node."""
    node, key = _some_place(draw, tree)
    if node is None:
        return
    kind = draw.randint(0, 5)
    if kind == 0:
        del node[key]
    elif kind == 1:
        other = draw.choice(TREES)
        inner, place = _some_place(draw, other)
        node[key] = json.loads(json.dumps(inner[place])) if inner is not None else []
    elif kind == 2 and isinstance(node, dict):
        node[draw.choice(PATHS)] = node.pop(key)
    elif kind == 3 and isinstance(node, dict):
        node[draw.choice(PATHS)] = Raw(draw.choice(HOSTILE))
    else:
        node[key] = Raw(draw.choice(HOSTILE))


def _some_place(draw: random.Random, tree: Any) -> tuple[Any, Any]:
    """A mapping or list inside `tree`, and a key of it; (None, None) where it is empty."""
    node, key = None, None
    inner = tree
    while isinstance(inner, dict | list) and inner and (node is None or draw.randint(0, 3)):
        node = inner
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = keys[draw.randint(0, len(keys) - 1)]
        inner = node[key]
    return node, key


def dump(value: Any) -> str:
    """A value in YAML's flow style, plain where text can be."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ",\n ".join(f"{_scalar(key)}: {dump(own)}" for key, own in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dump, value)) + "]"
    return _scalar(str(value))


def _scalar(text: str) -> str:
    return text if re.fullmatch(r"[\w.+/-]+", text) else json.dumps(text)


def write(folder: Path, content: bytes) -> Path:
    """The file of that content; every call replaces the one before."""
    path = folder / "study.yaml"
    path.write_bytes(content)
    return path
