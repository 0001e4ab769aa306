"""`ablate follow-up`: write the study that would decide what a study leaves open."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ablation.cli.arguments import add_results, add_stored_study, positive
from ablation.errors import FileError, UserError

if TYPE_CHECKING:
    from ablation.storage.manifest import Manifest
    from ablation.storage.store import Store
    from ablation.study.schema import Study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_results(parser)
    add_stored_study(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="what to write (default: beside the study file)")
    parser.add_argument(
        "--detect",
        type=_size,
        metavar="SIZE",
        help="the difference that matters, in points of a share, else in the unit of the metric (default: the margin "
        "of the study, or else what was measured of each variant)",
    )
    parser.add_argument(
        "--seeds-max", type=positive, default=20, metavar="N", help="what needs more seeds is not decided (default: 20)"
    )
    parser.add_argument("--alpha", type=_level, metavar="A", help="family-wise error (default: that of the study)")
    parser.add_argument("--no-interaction", action="store_true", help="leave out the most plausible interaction")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Write the file, and say what it decides, what it does not, and what holds for both studies together."""
    from ablation._util.formatting import plural
    from ablation._util.sanitize import clean
    from ablation.analysis.follow_up import Wish, propose
    from ablation.analysis.follow_up_file import bound, follow_up_text
    from ablation.cli.console import stored_study
    from ablation.library import Results, analyze
    from ablation.storage.manifest import read_studies
    from ablation.storage.store import Store

    store = Store(arguments.results)
    manifest = stored_study(store, arguments.study)
    out = arguments.out or _beside(manifest, store)
    if out.exists():
        raise UserError(f"{out} exists already", "choose another name with --out, or remove it")
    analysis = analyze(Results.load(store, manifest))
    detect = None if arguments.detect is None else arguments.detect / analysis.measure.scale
    wish = Wish(detect, arguments.seeds_max, arguments.alpha, not arguments.no_interaction)
    proposal = propose(manifest, analysis, wish, read_studies(store)[0])
    text = follow_up_text(manifest, proposal, command)
    study = _checked(text, out)
    with out.open("x", encoding="utf-8") as file:
        file.write(text)
    variants, seeds = len(study.variants) - 1, study.seeds
    size = f"{plural(variants, 'variant')} and the baseline, {plural(len(seeds), 'seed')} ({seeds[0]} to {seeds[-1]})"
    print(clean(f"wrote {out}: {size}, {(variants + 1) * len(seeds):,} runs"))
    for line in proposal.about:
        print(clean(f"  {line}"))
    for line in proposal.left_out:
        print(clean(f"  not decided by it: {line}"))
    print(clean(bound(manifest, proposal)))
    print(clean(f"next: ablate run {shlex.quote(str(out))}"))
    return 0


def _beside(manifest: Manifest, store: Store) -> Path:
    """A file beside that of the study, where its custom code is found; here where that folder is gone."""
    known = Path(os.path.relpath(store.root / manifest.file)) if manifest.file else Path(f"{manifest.folder}.yaml")
    folder = known.parent if known.parent.is_dir() else Path()
    return folder / f"{known.stem}-follow-up.yaml"


def _checked(text: str, out: Path) -> Study:
    """The study of the text. Raises UserError where that is not valid, as far from the code that it names."""
    from ablation.study.load import study_of

    try:
        return study_of(text, out, need_data=False)
    except FileError as error:
        first = error.problems[0]
        hint = f"{first.hint}; nothing was written" if first.hint else "nothing was written"
        raise UserError(f"the follow-up would not be a valid study at {out}: {first.message}", hint) from None


def _size(text: str) -> float:
    """A size above 0."""
    return _between(text, float("inf"), "a size above 0")


def _level(text: str) -> float:
    """A family-wise error, as a study can have it."""
    return _between(text, 0.5, "a family-wise error above 0 and below 0.5")


def _between(text: str, end: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < end:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value
