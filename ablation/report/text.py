"""Jinja for both forms of the report: HTML escaped by Jinja, Markdown by `markdown` below."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2

from ablation._util import formatting

_PACKAGE = Path(__file__).resolve().parent.parent
_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#$])")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK_MARK = re.compile(r"^(?:[-+](?=\s|$)|[-=]+$|>|\d{1,9}[.)](?=\s|$))")


def templates_dir() -> Path:
    """The folder of the templates: inside an installed package, or at the top of a checkout.

    Raises FileNotFoundError where neither holds them: the installation is broken.
    """
    for folder in (_PACKAGE / "templates", _PACKAGE.parent / "templates"):
        if (folder / "report.html.jinja").is_file():
            return folder
    raise FileNotFoundError(f"no report templates in {_PACKAGE / 'templates'} or {_PACKAGE.parent / 'templates'}")


def environment() -> jinja2.Environment:
    """The templates, strict about undefined names."""
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_dir()),
        autoescape=lambda name: name is not None and ".html." in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    own = ("percent", "points", "count", "rate", "duration", "memory", "value")
    jinja.filters |= {name: getattr(formatting, name) for name in own}
    jinja.filters |= {"md": markdown, "fenced": fenced}
    return jinja


def markdown(text: object) -> str:
    """Any text as one line of Markdown that shows it unchanged, inside a table as well."""
    line = " ".join(str(text).split())
    line = _TAG.sub("&lt;", _ENTITY.sub("&amp;", line))
    line = _SPECIAL.sub(r"\\\1", line).replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
    return _BLOCK_MARK.sub(lambda m: m[0][:-1] + "\\" + m[0][-1], line)


def fenced(text: str, language: str = "") -> str:
    """Text as a fenced block, with a fence longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
