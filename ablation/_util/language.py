"""The language of a report: English as it is in the code, others by the catalogs in `ablation/locale`.

Outside `use_language`, and for a text that a catalog lacks, every function returns the English text.
"""

from __future__ import annotations

import functools
import gettext
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

Code = Literal["en", "zh"]
LANGUAGES: tuple[Code, ...] = get_args(Code)
LOCALE = Path(__file__).resolve().parent.parent / "locale"
DOMAIN = "ablation"


@dataclass(frozen=True)
class Language:
    """A language: its BCP 47 tag, how it joins sentences, clauses and the items of a list, and its catalog."""

    tag: str
    space: str = " "
    semicolon: str = "; "
    comma: str = ", "
    colon: str = ": "
    catalog: gettext.NullTranslations = field(default_factory=gettext.NullTranslations, compare=False)


ENGLISH = Language("en")
_current: ContextVar[Language] = ContextVar("language", default=ENGLISH)


@functools.cache
def load(code: Code) -> Language:
    """A language with its catalog. Raises FileNotFoundError where that is missing: the installation is broken."""
    if code == "en":
        return ENGLISH
    return Language("zh-CN", "", "\uff1b", "\u3001", "\uff1a", gettext.translation(DOMAIN, LOCALE, languages=[code]))


@contextmanager
def use_language(language: Language) -> Iterator[None]:
    """Everything inside is in this language."""
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Language:
    """The language in use."""
    return _current.get()


def tr(message: str, /, **values: object) -> str:
    """A text in the current language, with `{name}` replaced by the values as `str.format` does, if there are any."""
    text = _current.get().catalog.gettext(message) if message else ""  # gettext has its header under ""
    return _filled(text, values) if values else text


def trn(one: str, many: str, number: int, /, **values: object) -> str:
    """A text that depends on a number, which is its `{n}`: `trn("{n:,} run", "{n:,} runs", 3)`."""
    return _filled(_current.get().catalog.ngettext(one, many, number), {"n": number, **values})


_HAN, _LATIN = "[\u4e00-\u9fff]", "[A-Za-z0-9]"
_SEAM = re.compile(f"{_HAN}{_LATIN}|{_LATIN}{_HAN}")


def _filled(text: str, values: Mapping[str, object]) -> str:
    """The text with its values, and a space where a value in Latin letters meets Chinese characters."""
    parts: list[str] = []
    for literal, name, spec, conversion in string.Formatter().parse(text):
        field = f"{{{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}}}"
        parts += [literal, "" if name is None else field.format(**values)]
    filled = "".join(parts[:1])
    for part in parts[1:]:
        filled += " " + part if _SEAM.fullmatch(filled[-1:] + part[:1]) else part
    return filled


def tr_noop(message: str) -> str:
    """Marks a constant for the catalogs; where it is shown, it goes through `tr`."""
    return message


def sentences(parts: Sequence[str]) -> str:
    """Sentences, one after the other; empty ones are left out."""
    return current().space.join(filter(None, parts))


def clauses(parts: Sequence[str]) -> str:
    """Parts of a sentence with a semicolon between them; empty ones are left out."""
    return current().semicolon.join(filter(None, parts))


def commas(parts: Sequence[str]) -> str:
    """The items of a list with commas between them."""
    return current().comma.join(parts)


def shortened(parts: Sequence[str], most: int = 8) -> str:
    """The first items of a list, and how many more there are: `a, b and 3 more`."""
    shown = commas(parts[:most])
    return tr("{items} and {n} more", items=shown, n=len(parts) - most) if len(parts) > most else shown


def listing(parts: Sequence[str]) -> str:
    """The items of a list as part of a sentence: `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return tr("{items} and {last}", items=commas(parts[:-1]), last=parts[-1])
