"""The table of variants for LaTeX, in the style of booktabs."""

from __future__ import annotations

import re

import ablation.report.captions as captions
import ablation.report.intervals as intervals
from ablation._util.formatting import ABSENT, ARROW, MINUS, plural
from ablation._util.sanitize import clean
from ablation.analysis import Analysis, Effect, Measure

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


def results_table(analysis: Analysis) -> str:
    """A table environment: variant, change, metric, difference with interval, verdict. Needs the package booktabs."""
    measure = analysis.measure
    head = ("Variant", "Change", measure.heading, "Difference", "Verdict", "$n$")
    lines = [
        "% made by ablate report; needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(_caption(analysis))}}}",
        r"\begin{tabular}{llrlll}",
        r"\toprule",
        " & ".join(cell if "$" in cell else escape(cell) for cell in head) + r" \\",
        r"\midrule",
        *(_row(effect, analysis) for effect in analysis.effects),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(effect: Effect, analysis: Analysis) -> str:
    measure = analysis.measure
    first = effect is analysis.baseline
    value = measure.value(effect.mean) + (f" \u00b1 {measure.value(effect.sd)}" if effect.sd is not None else "")
    verdict = "baseline" if first else captions.verdict_cell(effect)
    cells = (effect.variant, effect.change, value, "" if first else _difference(effect, measure), verdict)
    planned = f"{effect.n}/{len(effect.runs)}" if effect.n < len(effect.runs) else str(effect.n)
    return _not_an_argument(" & ".join([*map(escape, cells), planned])) + r" \\"


def _not_an_argument(row: str) -> str:
    """A row that does not begin with `[` or `*`: the command before it would take these, across lines too."""
    return f"{{{row[0]}}}{row[1:]}" if row.startswith(("[", "*")) else row


def _difference(effect: Effect, measure: Measure) -> str:
    return f"{measure.difference(effect.difference)} {measure.interval(effect.low, effect.high)}".strip()


def _caption(analysis: Analysis) -> str:
    difference = f"Differences from the baseline with {intervals.interval_caption(analysis)}"
    seeds = plural(len(analysis.facts.seeds), "seed")
    spread = f"mean \u00b1 SD over {seeds}" if len(analysis.facts.seeds) > 1 else "one seed"
    return f"{captions.first_up(captions.metric(analysis))}: {spread}. {difference.removesuffix('.')}."
