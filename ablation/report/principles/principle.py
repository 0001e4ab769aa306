"""What is said of a technique: a paragraph, its formulas, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ablation._util.language import tr
from ablation.report.blocks import Span, Text, cite, code

_MARK = re.compile(r"\*([^*]+)\*|`([^`]+)`|\[((?:[a-z]+\d{4})(?:, [a-z]+\d{4})*)\]")


@dataclass(frozen=True)
class Principle:
    """One technique, in English. In texts, `*x*` is a symbol, a name in backticks one of the study file, and `[key]` a
    source.

    Formulas are LaTeX that matplotlib's mathtext reads too. `kinds` has a sentence for each value of the option, and
    `formulas` a formula for some; only those that a study uses are shown.
    """

    title: str
    text: str
    formula: str = ""
    """Several are on lines of their own."""
    after: str = ""
    """What follows the formula."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    formulas: Mapping[str, str] = field(default_factory=dict)


def marked(text: str) -> Text:
    """The text in the current language, with its symbols in italics and its sources as citations."""
    return tuple(_parts(tr(text)))


def _parts(text: str) -> Iterator[str | Span]:
    end = 0
    for found in _MARK.finditer(text):
        before = text[end : found.start()]
        if before:
            yield before.removesuffix(" ") if found[3] else before
        if found[1]:
            yield Span(found[1], "symbol")
        elif found[2]:
            yield code(found[2])
        else:
            yield from (cite(key) for key in found[3].split(", "))
        end = found.end()
    if end < len(text):
        yield text[end:]
