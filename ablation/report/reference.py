"""A publication, as a list of references and as a .bib file have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_PLACE = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished"}


@dataclass(frozen=True)
class Reference:
    """A publication; `authors` are joined by `and` as in BibTeX, `where` is the journal, the proceedings or the place.

    `more` is what follows: volume and pages.
    """

    kind: Literal["article", "inproceedings", "misc"]
    authors: str
    title: str
    where: str
    year: int
    more: str = ""

    @property
    def text(self) -> str:
        """As a list of references has it: `Kingma, D. P. and Ba, J. (2015). Title. Where, more.`"""
        rest = f", {self.more}" if self.more else ""
        title = self.title if self.title.endswith((".", "?", "!")) else f"{self.title}."
        return f"{_people(self.authors)} ({self.year}). {title} {self.where}{rest}."

    def bibtex(self, key: str) -> str:
        """The entry of a .bib file."""
        fields = {
            "author": self.authors,
            "title": f"{{{self.title}}}",
            _PLACE[self.kind]: self.where + (f", {self.more}" if self.more and self.kind == "misc" else ""),
            "year": str(self.year),
            **(_volume(self.more) if self.kind != "misc" else {}),
        }
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
        return f"@{self.kind}{{{key},\n{body}\n}}\n"


def _volume(more: str) -> dict[str, str]:
    """`15, 1929–1958` as volume and pages; a single part is the pages where it is a range."""
    *volume, last = more.split(", ")
    if not volume and "\u2013" not in last:
        return {"volume": last} if last else {}
    return ({"volume": volume[0]} if volume else {}) | {"pages": last.replace("\u2013", "--")}


def _people(authors: str) -> str:
    people = [_short(name) for name in authors.split(" and ")]
    if people[-1] == "others":
        return f"{people[0]} et al."
    return people[0] if len(people) == 1 else f"{', '.join(people[:-1])} and {people[-1]}"


def _short(name: str) -> str:
    """`Geoffrey E. Hinton` as `Hinton, G. E.`"""
    *first, last = name.split(" ")
    if not first:
        return name
    initials = " ".join("-".join(f"{part[0]}." for part in word.split("-")) for word in first)
    return f"{last}, {initials}"
