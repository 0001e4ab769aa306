"""Tables for LaTeX, in the style of booktabs."""

from __future__ import annotations

import re
from dataclasses import replace

import ablation._util.counted as counted
import ablation.report.captions as captions
import ablation.report.intervals as intervals
from ablation._util.formatting import ABSENT, ARROW, MINUS
from ablation._util.language import sentences, tr
from ablation._util.sanitize import clean
from ablation.analysis import Analysis
from ablation.report.blocks import Span, Table, Text, plain, spans
from ablation.report.sections.effects import variants_table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    MINUS: r"$-$",
    ARROW: r"$\to$",
    ABSENT: "--",
    "\u00b1": r"$\pm$",
    "\u00d7": r"$\times$",
}
_ANY = re.compile("|".join(re.escape(character) for character in _SPECIAL))


def escape(text: str) -> str:
    """Any text as one line of LaTeX that shows it unchanged."""
    return _ANY.sub(lambda match: _SPECIAL[match[0]], " ".join(clean(text).split()))


def render_table(table: Table) -> str:
    """A table environment; needs the package booktabs. Small print, shades and bars are left out."""
    lines = [
        "% made by ablate report; needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.caption)}}}",
        rf"\begin{{tabular}}{{{''.join('r' if column.number else 'l' for column in table.columns)}}}",
        r"\toprule",
        " & ".join(_inline(column.heading) for column in table.columns) + r" \\",
        r"\midrule",
        *(_not_an_argument(" & ".join(_inline(cell.text) for cell in row.cells)) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _inline(text: Text) -> str:
    """A text on one line; letters in italics are mathematical variables."""
    parts = spans(text)
    italic = [isinstance(part, Span) and part.style == "italic" for part in parts]
    if not any(italic):
        return escape(plain(text))
    return "".join(
        f"${escape(plain(part))}$" if own else escape(plain(part)) for own, part in zip(italic, parts, strict=True)
    )


def _not_an_argument(row: str) -> str:
    """A row that does not begin with `[` or `*`: the command before it would take these, across lines too."""
    return f"{{{row[0]}}}{row[1:]}" if row.startswith(("[", "*")) else row


def results_table(analysis: Analysis) -> str:
    """The table of variants: variant, change, metric, difference with interval, verdict, n."""
    table = variants_table(analysis)
    table = table.only(*(plain(column.heading) for column in table.columns if not column.plot))
    return render_table(replace(table, caption=_caption(analysis)))


def _caption(analysis: Analysis) -> str:
    seeds = len(analysis.facts.seeds)
    over = tr("mean \u00b1 SD over {seeds}", seeds=counted.seeds(seeds))
    metric = captions.first_up(captions.metric(analysis))
    spread = tr("{quantity}: {spread}.", quantity=metric, spread=over if seeds > 1 else tr("one seed"))
    return sentences([spread, _differences(analysis)])


def _differences(analysis: Analysis) -> str:
    """What the differences and their intervals are."""
    if analysis.design.networks:
        return tr("Differences from the baseline under one seed, without intervals.")
    if not any(effect.method for effect in analysis.variants):
        return tr("Differences from the baseline, without intervals yet.")
    return tr("Differences from the baseline with {intervals}.", intervals=intervals.interval_caption(analysis))
