"""The study file of a follow-up: the baseline as it is written in the study, and what is open varied again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ablation._util.sanitize import one_line
from ablation.analysis.follow_up import Pick, Proposal
from ablation.errors import FileError
from ablation.storage.manifest import Manifest
from ablation.study import strict_yaml
from ablation.study.kinds import kind_of
from ablation.study.load import override
from ablation.study.strict_yaml import Document
from ablation.study.yaml_text import flow, scalar

_OURS = (
    *("study", "title", "seeds", "vary", "combine", "components", "design", "grid", "controls"),
    *("analysis", "follow_up"),
)
"""The keys that the follow-up has of its own; all others are those of the study."""
_ANALYSIS = ("metric", "direction", "margin")


def follow_up_text(manifest: Manifest, proposal: Proposal, command: str) -> str:
    """The text of the file; `command` is what was typed."""
    document = strict_yaml.parse(manifest.source, manifest.file or manifest.name)
    raw, _ = override(document.value, manifest.overrides, kind_of(document.value))
    analysis = {key: value for key, value in (raw.get("analysis") or {}).items() if key in _ANALYSIS}
    title = raw.get("title")
    lines = [
        *(f"# {one_line(line)}" for line in _about(manifest, proposal, command)),
        f"study: {scalar(proposal.name)}",
        *([f"title: {scalar(f'{title}: follow-up')}"] if title else []),
        *(_kept(document, raw, key) for key in raw if key not in _OURS),
        f"follow_up: {flow(proposal.follow_up.model_dump(mode='json'))}",
        f"seeds: {flow(proposal.seeds)}",
        *_variants(manifest, proposal),
        f"analysis: {flow({**analysis, 'alpha': proposal.alpha})}",
    ]
    return "\n".join(lines) + "\n"


def _about(manifest: Manifest, proposal: Proposal, command: str) -> Iterator[str]:
    """What the file is, why each variant is in it, and what it costs in certainty."""
    yield f"A follow-up of {manifest.name}, written by: {command}"
    yield "What is open, and how many seeds find it:"
    yield from (f"- {line}" for line in proposal.about)
    if proposal.left_out:
        yield "Not decided by it:"
        yield from (f"- {line}" for line in proposal.left_out)
    yield bound(manifest, proposal)


def bound(manifest: Manifest, proposal: Proposal) -> str:
    """What holds for the follow-up and the studies before it together."""
    spent, alpha, total = (f"{own:g}" for own in (proposal.follow_up.spent, proposal.alpha, proposal.bound))
    return (
        f"Family-wise error: at most {spent} so far ({manifest.name}), {alpha} in this study on its own seeds, and "
        f"{total} over all of them."
    )


def _kept(document: Document, raw: Mapping[str, Any], key: str) -> str:
    """A key of the study as it is written there, or its value where the command line changed that."""
    if document.value.get(key) == raw[key]:
        text = _written(document, key)
        try:
            if strict_yaml.parse(text, document.path).value == {key: raw[key]}:
                return text
        except FileError:  # a brace of the whole file, or an alias of another key
            pass
    value = raw[key]
    if isinstance(value, Mapping) and value:
        return "\n".join([f"{scalar(key)}:", *(f"  {scalar(name)}: {flow(own)}" for name, own in value.items())])
    return f"{scalar(key)}: {flow(value)}"


def _written(document: Document, key: str) -> str:
    """The lines of a key, up to the next one and the comments above that."""
    starts = [document.place((name,), key=True)[0] for name in document.value]
    first = document.place((key,), key=True)[0]
    end = min((line for line in starts if line > first), default=len(document.lines) + 1)
    own = list(document.lines[first - 1 : end - 1])
    while own and (not own[-1].strip() or own[-1].startswith("#")):
        own.pop()
    return "\n".join(own)


def _variants(manifest: Manifest, proposal: Proposal) -> Iterator[str]:
    """`vary`, `combine`, `components` and `design`."""
    pair = proposal.pair
    switched = {own.name for own in pair.parts} if pair and pair.components else set[str]()
    picks = [own for own in proposal.picks if own.variant.name not in switched]
    single = [own for own in picks if len(own.variant.changes) == 1]
    if single:
        yield "vary:"
        yield from _vary(single)
    together = [(own.variant.name, own.variant.changes, own.why) for own in picks if own not in single]
    if pair and pair.changes:
        together.append((pair.name, pair.changes, f"{proposal.pair_seeds} seeds for the interaction"))
    if together:
        yield "combine:"
        yield from (f"  {scalar(name)}: {flow(changes)}  # {one_line(why)}" for name, changes, why in together)
    if pair and pair.components:
        yield "components:"
        for name in pair.components:
            sides = {side: manifest.components[name].get(side) for side in ("on", "off")}
            yield f"  {scalar(name)}: {flow({side: own for side, own in sides.items() if own})}"
        yield f"design: factorial  # {proposal.pair_seeds} seeds for the interaction"


def _vary(picks: Sequence[Pick]) -> Iterator[str]:
    for path in dict.fromkeys(next(iter(own.variant.changes)) for own in picks):
        yield f"  {scalar(path)}:"
        for own in picks:
            if path in own.variant.changes:
                yield f"    - {flow(own.variant.changes[path])}  # {one_line(own.why)}"
