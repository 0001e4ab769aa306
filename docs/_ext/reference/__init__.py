"""A Sphinx extension that writes the reference from the code when the site is built, so that it cannot go stale.

`command-line` lists the commands with their options, `components` all that a study file can name, `study-keys` its
keys, and `python-api` what `import ablation` offers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.util.docutils import SphinxDirective

from . import commands, components, keys, library

if TYPE_CHECKING:
    from sphinx.application import Sphinx

CONTENTS = {
    "command-line": commands.lines,
    "components": components.lines,
    "study-keys": keys.lines,
    "python-api": library.lines,
}


class Reference(SphinxDirective):
    """A directive whose content is written by one of the modules here, as Markdown."""

    def run(self) -> list[nodes.Node]:
        """The content as nodes."""
        return self.parse_text_to_nodes("\n".join(CONTENTS[self.name]()), allow_section_headings=True)


def _link_outside(_app: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to Markdown outside of `docs` to the page that includes it, or else to a copy of the file."""
    if page != "benchmarks":
        source[0] = source[0].replace("](../benchmarks/RESULTS.md", "](benchmarks.md")
    source[0] = re.sub(r"\]\((\.\./[^)#]+\.md)\)", r"](path:\1)", source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives, and what else pages need that are read on GitHub too."""
    for name in CONTENTS:
        app.add_directive(name, Reference)
    app.add_lexer("csv", TextLexer)
    app.connect("source-read", _link_outside)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
