"""The page of `ablate noise`: a table of the variance components, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ablation.report.html as html
import ablation.report.markdown as markdown
from ablation._util.files import replace_text, write_json, writing
from ablation._util.hashing import slug
from ablation._util.language import load, tr, use_language
from ablation._util.sanitize import clean
from ablation.analysis.noise import INTERACTIONS, TOTAL, Noise, advice, interval, method, noise_to_json, share, size
from ablation.report.blocks import Block, Cell, Column, Item, Paragraph, Row, Table
from ablation.report.page import Page, Part
from ablation.report.templates import Templates
from ablation.stats import Component


@dataclass(frozen=True)
class NoisePage:
    """The files of the noise of a variant."""

    html: Path
    markdown: Path
    json: Path


def write_noise(noise: Noise, out: Path, templates: Path | None = None) -> NoisePage:
    """Write the noise of a variant into the folder `out`, in the language of the reports of its study.

    The files are named noise, and those of a variant other than the baseline noise-VARIANT. The same results give the
    same bytes. Raises UserError for a template that cannot be used, StorageError where nothing can be written.
    """
    runs = noise.runs
    name = "noise" if runs.study.baseline.kind == "baseline" else f"noise-{slug(runs.design.variant)}"
    with use_language(load(runs.study.report.language)):
        page = noise_page(noise)
        texts = clean(html.render(page, Templates(templates))), clean(markdown.render(page))
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    written = NoisePage(out / f"{name}.html", out / f"{name}.md", out / f"{name}.json")
    write_json(written.json, noise_to_json(noise))
    replace_text(written.html, texts[0])
    replace_text(written.markdown, texts[1])
    return written


def noise_page(noise: Noise) -> Page:
    """The page in the current language."""
    study = noise.runs.study
    part = Part("noise", tr("Where does the noise come from?"), tuple(_blocks(noise)), appendix=False)
    title = tr("Noise of {variant}", variant=noise.runs.design.variant)
    return Page(study.name, title, (), (part,), tr("Variance components"))


def _blocks(noise: Noise) -> Iterator[Block]:
    yield noise_table(noise)
    yield from (Item(sentence) for sentence in advice(noise))
    yield Paragraph(method(noise))


def noise_table(noise: Noise) -> Table:
    """A row for each source, also for those that draw nothing, for the interactions, and for a whole run."""
    metric, components = noise.runs.metric, noise.components
    columns = (
        Column(tr("Source")),
        Column(tr("SD, points") if metric.share else tr("SD"), number=True),
        Column(tr("{level:g} % interval", level=100 * components.level), number=True),
        Column(tr("Share of the variance"), number=True),
    )
    named = zip(noise.runs.design.sources, components.sources, strict=True)
    rows = [_row(noise, source.name, own) for source, own in named]
    rows += [_cells(tr(source.name), tr("draws nothing"), "", "") for source in noise.runs.design.idle]
    rows += [_row(noise, INTERACTIONS, components.interactions), _row(noise, TOTAL, components.total)]
    caption = tr(
        "What each source does to the {metric} by itself, what only several of them do together (interactions), and "
        "the SD between whole runs.",
        metric=metric.label,
    )
    return Table(tr("Variance components"), columns, tuple(rows), caption, "noise", number=1)


def _row(noise: Noise, name: str, own: Component) -> Row:
    return _cells(tr(name), size(noise, own.variance**0.5), interval(noise, own), share(own))


def _cells(*texts: str) -> Row:
    return Row(tuple(map(Cell, texts)))
