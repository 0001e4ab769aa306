"""How a study asks for its report: what it looks like, and what is on its title. No run depends on any of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict
from pydantic_core import PydanticCustomError

from ablation._util.language import Code
from ablation.registry.options import Section

Style = Literal["page", "lab", "paper"]
STYLES: tuple[Style, ...] = ("page", "lab", "paper")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise PydanticCustomError(
            "distinct", "section {name} is listed twice", {"name": repr(twice), "hint": "list each section once"}
        )
    return names


Line = Annotated[str, Field(max_length=300)]


class ReportOptions(Section):
    """`style` is the kind of document: the page with everything first, a lab report, or a short paper.

    `author` (one or several), `course` and `date` are printed as they are written, `logo` is the path of a PNG or JPEG
    file. `language` is that of the text: English or Simplified Chinese. `sections` are the names of those that are
    shown, in their order; by default those of the style.
    """

    style: Style = "page"
    language: Code = "en"
    author: Annotated[
        tuple[Line, ...], Strict(False), BeforeValidator(_as_list, json_schema_input_type=str | list[str])
    ] = ()
    course: Line = ""
    date: Line = ""
    logo: Annotated[str, Field(min_length=1)] | None = None
    sections: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Strict(False), AfterValidator(_each_once)] = ()
