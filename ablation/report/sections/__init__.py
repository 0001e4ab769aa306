"""The sections of the report. Each module here holds one or more `Section` objects; a new one needs no other change."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points

from ablation.errors import UserError
from ablation.report.context import Section

ENTRY_POINTS = "ablation"


def all_sections(more: Iterable[Section] = ()) -> tuple[Section, ...]:
    """The sections of the package, of installed plug-ins and `more`, in their order.

    Raises UserError where two have the same name.
    """
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = [own for module in modules for own in vars(module).values() if isinstance(own, Section)]
    installed = (point.load() for point in entry_points(group=ENTRY_POINTS))
    found += [*(own for own in installed if isinstance(own, Section)), *more]
    names = [own.name for own in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"two sections of the report are named {twice!r}", "pass another name= to @ablation.section")
    return tuple(sorted(found, key=lambda own: own.order))
