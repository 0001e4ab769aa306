"""In which form a report is written: its formats, the options over those of the study, and templates of the user."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ablation.errors import UserError
from ablation.report.context import Section
from ablation.study.report_options import ReportOptions

FORMATS = {
    "html": "one page",
    "md": "Markdown with figures beside it",
    "svg": "figures as SVG",
    "tex": "a LaTeX paper",
    "pdf": "PDF",
    "docx": "Word",
}
DEFAULT = ("html", "md")
_NEEDS = {"pdf": ("weasyprint", "WeasyPrint", "pdf"), "docx": ("docx", "python-docx", "word")}
"""Format -> the module that writes it, its package, and the extra that installs it."""


@dataclass(frozen=True)
class Form:
    """`options` are those of the study where None; `templates` is a folder of the user.

    `sections` are added to those of the package.
    """

    options: ReportOptions | None = None
    formats: tuple[str, ...] = DEFAULT
    templates: Path | None = None
    sections: tuple[Section, ...] = ()

    def check(self) -> None:
        """Raises UserError for a format that is not known, or whose library is not installed."""
        for name in self.formats:
            if name not in FORMATS:
                raise UserError(f"there is no format {name!r}", f"known: {', '.join(FORMATS)}")
            module, package, extra = _NEEDS.get(name, ("", "", ""))
            if module and find_spec(module) is None:
                hint = f'pip install "ablation-lab[{extra}]"'
                raise UserError(f"{name} needs {package}, which is not installed", hint)
