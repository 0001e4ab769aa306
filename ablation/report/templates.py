"""The templates of the package, and those in a folder of the user that replace parts of them by name.

The user's are run in Jinja's sandbox: a folder that someone else made cannot run code with them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox

from ablation._util.language import current, tr, trn
from ablation.errors import UserError
from ablation.registry.catalog import suggestion

_PACKAGE = Path(__file__).resolve().parent.parent
ENDING = ".jinja"
_HINT = "correct it, or remove it to get that of the package"


def templates_dir() -> Path:
    """The folder of the templates: inside an installed package, or at the top of a checkout.

    Raises FileNotFoundError where neither holds them: the installation is broken.
    """
    for folder in (_PACKAGE / "templates", _PACKAGE.parent / "templates"):
        if (folder / "report.html.jinja").is_file():
            return folder
    raise FileNotFoundError(f"no report templates in {_PACKAGE / 'templates'} or {_PACKAGE.parent / 'templates'}")


def _tr(message: str, /, **values: object) -> str:
    """`tr` for templates. It formats text and numbers alone: `{name.attribute}` would lead out of the sandbox."""
    return tr(message, **_bare(values))


def _trn(one: str, many: str, number: int, /, **values: object) -> str:
    """`trn` for templates, in the same way."""
    return trn(one, many, int(number), **_bare(values))


def _bare(values: Mapping[str, object]) -> dict[str, object]:
    return {name: own if type(own) in (int, float) else str(own) for name, own in values.items()}


@dataclass(frozen=True)
class Templates:
    """`own` is the folder of the user; None, or one without templates, leaves those of the package as they are."""

    own: Path | None = None

    @property
    def folder(self) -> Path | None:
        """The folder of the user, where it has any template."""
        own = self.own
        if own is None or not own.is_dir() or own.resolve() == templates_dir().resolve():
            return None
        return own if any(own.glob(f"*{ENDING}")) else None

    def check(self) -> None:
        """Raises UserError for a template that replaces nothing, as its name is not one of ours."""
        known = sorted(path.name for path in templates_dir().glob(f"*{ENDING}"))
        for path in sorted(self.folder.glob(f"*{ENDING}")) if self.folder else ():
            if path.name not in known:
                raise UserError(f"{path} replaces no part of the report", suggestion(path.name, known))

    def render(
        self, name: str, values: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]], *, html: bool = True
    ) -> str:
        """A template with these values. Raises UserError for one of the user that cannot be used, with its line."""
        jinja = self._environment(html)
        jinja.filters.update(filters)
        try:
            return jinja.get_template(name).render(values)
        except Exception as error:
            place = self._place(error)
            if place is None:
                raise
            raise UserError(f"{place}: {error}", _HINT) from error

    def _environment(self, html: bool) -> jinja2.Environment:
        """Strict about undefined names; HTML is escaped by Jinja, other forms by their filters."""
        folder = self.folder
        kind = jinja2.sandbox.ImmutableSandboxedEnvironment if folder else jinja2.Environment
        own = [jinja2.FileSystemLoader(folder)] if folder else []
        marks: dict[str, str] = {} if html else {"block_start_string": "<%", "block_end_string": "%>"}
        marks |= {} if html else {"variable_start_string": "<<", "variable_end_string": ">>"}
        marks |= {} if html else {"comment_start_string": "<#", "comment_end_string": "#>"}
        jinja = kind(
            loader=jinja2.ChoiceLoader([*own, jinja2.FileSystemLoader(templates_dir())]),
            autoescape=html,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            **marks,  # type: ignore[arg-type]
        )
        jinja.globals.update(language=current().tag, tr=_tr, trn=_trn)
        return jinja

    def _place(self, error: Exception) -> str | None:
        """The file and line of the user's template that an error comes from; None for any other error."""
        if self.folder is None:
            return None
        if isinstance(error, jinja2.TemplateSyntaxError):
            places = [(error.filename or "", error.lineno)]
        else:
            places = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
        inside = [(file, line) for file, line in places if Path(file).parent == self.folder]
        return f"{inside[-1][0]}, line {inside[-1][1]}" if inside else None
