"""What a report looks like as a whole: which sections it has, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ablation._util.language import tr_noop
from ablation.errors import UserError
from ablation.registry.catalog import suggestion
from ablation.report.context import Section
from ablation.study.report_options import ReportOptions


@dataclass(frozen=True)
class Layout:
    """The sections of a report by name, those of the appendix apart; `kind` is printed above the title.

    Sections of others come before `more`, where it is given.
    """

    kind: str
    main: tuple[str, ...] = ()
    appendix: tuple[str, ...] = ()
    more: str = ""
    result_first: bool = False
    """Whether the result is a summary on top, above the first section."""


_APPENDIX = ("tests", "learning", "curves", "classes", "mistakes", "cost", "problem_runs", "recipe", "reproduce")
_OPENING, _CLOSING = ("abstract", "question"), ("discussion", "conclusion")
_RESULTS = ("effects", "looks", "components", "metrics", "sweeps", "difference", "test", "warnings")
LAYOUTS: Mapping[str, Layout] = {
    "page": Layout(tr_noop("Ablation study"), result_first=True),
    "lab": Layout(
        tr_noop("Lab report"),
        (*_OPENING, "principles", "setup", "methods", *_RESULTS, "interpretation", *_CLOSING, "references"),
        _APPENDIX,
        "interpretation",
    ),
    "paper": Layout(
        tr_noop("Ablation study"),
        (*_OPENING, "paper_methods", "paper_results", *_CLOSING, "limitations", "checklist", "references"),
    ),
}


def chosen(options: ReportOptions, sections: Sequence[Section]) -> tuple[Section, ...]:
    """The sections of a report in their order. Raises UserError for a name that no section has."""
    by_name = {own.name: own for own in sections}
    if options.sections:
        return tuple(_named(name, by_name) for name in options.sections)
    style = LAYOUTS[options.style]
    if not style.main:
        return tuple(sorted((own for own in sections if not own.optional), key=lambda own: own.appendix))
    main = [by_name[name] for name in style.main if name in by_name]
    if style.more:
        known = {*style.main, *style.appendix}
        others = [own for own in sections if own.name not in known and not own.optional]
        place = next(number for number, own in enumerate(main) if own.name == style.more)
        main[place:place] = others
    return (*(replace(own, appendix=False) for own in main), *_appendix(style.appendix, by_name))


def _appendix(names: Iterable[str], by_name: Mapping[str, Section]) -> Iterable[Section]:
    return (replace(by_name[name], appendix=True) for name in names if name in by_name)


def _named(name: str, by_name: Mapping[str, Section]) -> Section:
    if name not in by_name:
        raise UserError(f"report.sections: there is no section {name!r}", suggestion(name, by_name))
    return replace(by_name[name], appendix=False)
