"""Warnings about how the study was conducted: code, machines, data, the test set, self-checks, later additions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime

import ablation._util.counted as counted
from ablation._util import formatting
from ablation._util.language import clauses, commas, current, shortened, tr, tr_noop, trn
from ablation.analysis.compare import Run
from ablation.analysis.types import Effect, StudyWarning
from ablation.analysis.warnings.catalogue import warn
from ablation.data.duplicates import in_words
from ablation.results.runs import Results
from ablation.storage.manifest import Manifest
from ablation.storage.record import RunRecord

_CODE = {
    "ablation": "ablation-lab",
    "python": "Python",
    "torch": "PyTorch",
    "cudnn": "cuDNN",
    "driver": tr_noop("NVIDIA driver"),
}
_PLACE = {
    "platform": tr_noop("platform"),
    "processor": tr_noop("processor"),
    "device": tr_noop("device"),
    "threads": tr_noop("threads"),
}
_SOURCE = "metrics_from"
"""The self-check that says where the metrics of a command were found."""
_MODIFIES_DATA = ("augment", "fraction", "limit", "validation")


def seeds(manifest: Manifest) -> Iterator[StudyWarning]:
    """Studies that have too few seeds by design."""
    n = len(manifest.seeds)
    if n < 3 and len(manifest.variants) > 1:
        one, two = tr("one seed: nothing can be said about any recipe"), tr("two seeds: every verdict is tentative")
        yield warn("few_seeds", None, {1: one, 2: two}[n])


def added_seeds(manifest: Manifest) -> Iterator[StudyWarning]:
    """Seeds or looks that were added or changed after the study could be judged: it is then tested more than once."""
    if manifest.looks < 2:
        return
    alpha = float(manifest.analysis["alpha"])
    if not manifest.added_seeds:
        message = tr(
            "the looks or their rules were changed after results had been seen: judged {number} times at {alpha:g} "
            "each, the study has a family-wise error of at most {bound:g}, not {alpha:g}",
            number=manifest.looks,
            alpha=alpha,
            bound=min(1.0, manifest.looks * alpha),
        )
        yield warn("changed_looks", None, message)
        return
    message = trn(
        "seed {seeds} was added after results had been seen: with {looks} looks at {alpha:g} each, the family-wise "
        "error is at most {bound:g}, not {alpha:g}",
        "seeds {seeds} were added after results had been seen: with {looks} looks at {alpha:g} each, the family-wise "
        "error is at most {bound:g}, not {alpha:g}",
        len(manifest.added_seeds),
        seeds=commas([str(seed) for seed in manifest.added_seeds]),
        looks=manifest.looks,
        alpha=alpha,
        bound=min(1.0, manifest.looks * alpha),
    )
    yield warn("added_seeds", None, message)


def dropped(manifest: Manifest) -> Iterator[StudyWarning]:
    """Seeds or variants that were taken out after the study could be judged: what is left may have been chosen."""
    if manifest.dropped_seeds:
        message = trn(
            "seed {seeds} was dropped after results had been seen: the family-wise error of {alpha:g} holds for the "
            "seeds as declared, not for a choice of them",
            "seeds {seeds} were dropped after results had been seen: the family-wise error of {alpha:g} holds for the "
            "seeds as declared, not for a choice of them",
            len(manifest.dropped_seeds),
            seeds=commas([str(seed) for seed in manifest.dropped_seeds]),
            alpha=float(manifest.analysis["alpha"]),
        )
        yield warn("dropped", None, message)
    if manifest.dropped_variants:
        message = tr(
            "{variants}: dropped after results had been seen; p-values and intervals no longer account for every "
            "comparison that was made",
            variants=shortened(list(manifest.dropped_variants)),
        )
        yield warn("dropped", None, message)


def environments(results: Results) -> Iterator[StudyWarning]:
    """Versions or machines that changed between the runs of the study."""
    for code, fields in (("code_changed", _CODE), ("hardware_changed", _PLACE)):
        changed = []
        for key, name in fields.items():
            seen = sorted({str(asdict(record.environment)[key]) for record in results.records.values()} - {""})
            if len(seen) > 1:
                changed.append(f"{tr(name)} {commas(seen)}")
        if changed:
            yield warn(code, None, clauses([*changed, _split_pairs(results, tuple(fields))]))


def _split_pairs(results: Results, fields: Sequence[str]) -> str:
    """In how many pairs the variant and the baseline of one seed differ in these fields of their environment."""
    base = results.manifest.baseline.name

    def place(run: Run) -> list[object]:
        return [asdict(results.records[run].environment)[key] for key in fields]

    pairs = [(run, (base, run[1])) for run in results.records if run[0] != base and (base, run[1]) in results.records]
    split = sum(place(run) != place(first) for run, first in pairs)
    if not split:
        return tr("the runs of each seed agree, so that no comparison mixes them")
    return tr(
        "{n} of {pairs} of a variant with the baseline mix them",
        n=split,
        pairs=trn("{n:,} pair", "{n:,} pairs", len(pairs)),
    )


def data(results: Results) -> Iterator[StudyWarning]:
    """One data set with several fingerprints."""
    found: dict[str, set[str]] = {}
    for record in results.records.values() if results.manifest.of_images else ():
        own = {key: value for key, value in record.recipe["data"].items() if key not in _MODIFIES_DATA}
        found.setdefault(formatting.value(own), set()).add(record.data_fingerprint)
    for source, fingerprints in sorted(found.items()):
        if len(fingerprints) > 1:
            message = tr(
                "{source} was {n} different sets of images (fingerprints {fingerprints})",
                source=source,
                n=len(fingerprints),
                fingerprints=commas(sorted(own[:12] for own in fingerprints)),
            )
            yield warn("data_changed", None, message)


def exploratory(effects: Sequence[Effect]) -> Iterator[StudyWarning]:
    """Variants that were added after results had been seen."""
    for own in effects[1:]:
        if own.exploratory:
            message = tr("{variant} was added after results were seen", variant=own.variant)
            yield warn("exploratory", own.variant, message)


def control(effects: Sequence[Effect]) -> Iterator[StudyWarning]:
    """A control that is not silent."""
    for own in effects[1:]:
        if own.kind == "control" and own.verdict in ("better", "worse"):
            message = tr(
                "{variant}, the baseline under other seeds, comes out {verdict}", variant=own.variant, verdict=own.words
            )
            yield warn("control_differs", own.variant, message)


def test_set(results: Results) -> Iterator[StudyWarning]:
    """A test set that was evaluated again, and runs trained after its first evaluation."""
    times = sorted(str(evaluation["time"]) for evaluation in results.test_evaluations)
    if len(times) > 1:
        when = commas([*(time[:10] for time in times[:6]), *(["…"] if len(times) > 6 else [])])
        message = tr("the test set was evaluated {n} times ({when})", n=len(times), when=when)
        yield warn("test_evaluated_again", None, message)
    if not times:
        return
    last = max(results.test_evaluations, key=lambda evaluation: str(evaluation["time"]))
    for shared in last.get("overlap", ()):
        yield warn("test_overlap", None, in_words(shared, int(last["images"])))
    first = datetime.fromisoformat(times[0])
    later = [run for run, record in results.records.items() if datetime.fromisoformat(record.started) > first]
    if later:
        names = commas(list(dict.fromkeys(variant for variant, _ in later)))
        message = trn(
            "{n:,} run ({variants}) began after the first evaluation on the test set ({date})",
            "{n:,} runs ({variants}) began after the first evaluation on the test set ({date})",
            len(later),
            variants=names,
            date=times[0][:10],
        )
        yield warn("trained_after_test", None, message)


def stored_files(results: Results) -> Iterator[StudyWarning]:
    """What is wrong with the stored files beside the runs that are damaged themselves."""
    for notice in results.notices:
        yield warn("changed_files", None, notice)


def audit(results: Results) -> Iterator[StudyWarning]:
    """What `ablate audit` found in the code that the study was run with."""
    for check in results.audit.checks if results.audit else ():
        if check.code == "reproducible" and check.level != "ok":
            yield warn("not_reproducible", None, check.message)
        elif check.level == "fault":
            yield warn("audit_fault", None, check.message)


def imported(results: Results) -> Iterator[StudyWarning]:
    """What an import of runs from another tool found."""
    for code, variant, message in results.findings:
        yield warn(code, variant, message)


def self_checks(results: Results) -> Iterator[StudyWarning]:
    """What the runs noticed about themselves, each finding once for each variant, or once for the whole study."""
    found: dict[tuple[str, str], list[str]] = {}
    done: dict[str, list[RunRecord]] = {}
    for (variant, _), record in results.records.items():
        done.setdefault(variant, []).append(record)
        for code, message in record.checks.items():
            if code != _SOURCE:
                found.setdefault((code, variant), []).append(message)
    for code in dict.fromkeys(code for code, _ in found):
        hit = {variant: messages for (own, variant), messages in found.items() if own == code}
        if len(hit) == len(done) and len(done) > 1:
            messages = [message for own in hit.values() for message in own]
            yield warn(code, None, _found(messages, len(results.records)))
            continue
        for variant, messages in hit.items():
            finding = _found(messages, len(done[variant]))
            yield warn(code, variant, f"{variant}{current().colon}{finding}")


def metric_sources(results: Results) -> Iterator[StudyWarning]:
    """Runs of one command whose metrics were read from different places."""
    counts = Counter(own.checks[_SOURCE] for own in results.records.values() if _SOURCE in own.checks)
    if len(counts) > 1:
        places = commas([_place(source, count) for source, count in counts.most_common()])
        yield warn(_SOURCE, None, tr("metrics were read from {places}", places=places))


def _place(source: str, count: int) -> str:
    return tr("{source} ({runs})", source=source, runs=counted.runs(count))


def _found(messages: Sequence[str], of: int) -> str:
    """What runs noticed, in the words of the first of them, and how many of them did."""
    return tr(
        "{finding} ({n} of {runs})",
        finding=messages[0],
        n=len(messages),
        runs=counted.runs(of),
    )
