"""Warnings about how the study was conducted: code, machines, data, the test set, self-checks, later additions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime

from ablation._util import formatting
from ablation._util.formatting import plural
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
    "driver": "NVIDIA driver",
}
_PLACE = {"platform": "platform", "processor": "processor", "device": "device", "threads": "threads"}
_SOURCE = "metrics_from"
"""The self-check that says where the metrics of a command were found."""
_MODIFIES_DATA = ("augment", "fraction", "limit", "validation")


def seeds(manifest: Manifest) -> Iterator[StudyWarning]:
    """Studies that have too few seeds by design."""
    n = len(manifest.seeds)
    if n < 3 and len(manifest.variants) > 1:
        message = {1: "one seed: nothing can be said about any recipe", 2: "two seeds: every verdict is tentative"}[n]
        yield warn("few_seeds", None, message)


def added_seeds(manifest: Manifest) -> Iterator[StudyWarning]:
    """Seeds that were added after the study could be judged: it is then tested more than once."""
    if manifest.looks < 2:
        return
    alpha = float(manifest.analysis["alpha"])
    which = ", ".join(map(str, manifest.added_seeds))
    seeds = f"seed {which} was" if len(manifest.added_seeds) == 1 else f"seeds {which} were"
    yield warn(
        "added_seeds",
        None,
        f"{seeds} added after results had been seen: with {manifest.looks} looks at {alpha:g} each, the family-wise "
        f"error is at most {min(1.0, manifest.looks * alpha):g}, not {alpha:g}",
    )


def environments(results: Results) -> Iterator[StudyWarning]:
    """Versions or machines that changed between the runs of the study."""
    for code, fields in (("code_changed", _CODE), ("hardware_changed", _PLACE)):
        changed = []
        for key, name in fields.items():
            seen = sorted({str(asdict(record.environment)[key]) for record in results.records.values()} - {""})
            if len(seen) > 1:
                changed.append(f"{name} {', '.join(seen)}")
        if changed:
            yield warn(code, None, "; ".join(changed) + _split_pairs(results, tuple(fields)))


def _split_pairs(results: Results, fields: Sequence[str]) -> str:
    """In how many pairs the variant and the baseline of one seed differ in these fields of their environment."""
    base = results.manifest.baseline.name

    def place(run: Run) -> list[object]:
        return [asdict(results.records[run].environment)[key] for key in fields]

    pairs = [(run, (base, run[1])) for run in results.records if run[0] != base and (base, run[1]) in results.records]
    split = sum(place(run) != place(first) for run, first in pairs)
    if not split:
        return "; the runs of each seed agree, so that no comparison mixes them"
    return f"; {split} of {plural(len(pairs), 'pair')} of a variant with the baseline mix them"


def data(results: Results) -> Iterator[StudyWarning]:
    """One data set with several fingerprints."""
    found: dict[str, set[str]] = {}
    for record in results.records.values() if results.manifest.of_images else ():
        own = {key: value for key, value in record.recipe["data"].items() if key not in _MODIFIES_DATA}
        found.setdefault(formatting.value(own), set()).add(record.data_fingerprint)
    for source, fingerprints in sorted(found.items()):
        if len(fingerprints) > 1:
            prints = ", ".join(sorted(own[:12] for own in fingerprints))
            message = f"{source} was {len(fingerprints)} different sets of images (fingerprints {prints})"
            yield warn("data_changed", None, message)


def exploratory(effects: Sequence[Effect]) -> Iterator[StudyWarning]:
    """Variants that were added after results had been seen."""
    for own in effects[1:]:
        if own.exploratory:
            yield warn("exploratory", own.variant, f"{own.variant} was added after results were seen")


def control(effects: Sequence[Effect]) -> Iterator[StudyWarning]:
    """A control that is not silent."""
    for own in effects[1:]:
        if own.kind == "control" and own.verdict in ("better", "worse"):
            message = f"{own.variant}, the baseline under other seeds, comes out {own.words}"
            yield warn("control_differs", own.variant, message)


def test_set(results: Results) -> Iterator[StudyWarning]:
    """A test set that was evaluated again, and runs trained after its first evaluation."""
    times = sorted(str(evaluation["time"]) for evaluation in results.test_evaluations)
    if len(times) > 1:
        when = ", ".join(time[:10] for time in times[:6]) + (", …" if len(times) > 6 else "")
        yield warn("test_evaluated_again", None, f"the test set was evaluated {len(times)} times ({when})")
    if not times:
        return
    last = max(results.test_evaluations, key=lambda evaluation: str(evaluation["time"]))
    for shared in last.get("overlap", ()):
        yield warn("test_overlap", None, in_words(shared, int(last["images"])))
    first = datetime.fromisoformat(times[0])
    later = [run for run, record in results.records.items() if datetime.fromisoformat(record.started) > first]
    if later:
        names = ", ".join(dict.fromkeys(variant for variant, _ in later))
        message = (
            f"{plural(len(later), 'run')} ({names}) began after the first evaluation on the test set ({times[0][:10]})"
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
            yield warn(code, None, f"{messages[0]} ({_share(len(messages), len(results.records))})")
            continue
        for variant, messages in hit.items():
            yield warn(code, variant, f"{variant}: {messages[0]} ({_share(len(messages), len(done[variant]))})")


def metric_sources(results: Results) -> Iterator[StudyWarning]:
    """Runs of one command whose metrics were read from different places."""
    counts = Counter(own.checks[_SOURCE] for own in results.records.values() if _SOURCE in own.checks)
    if len(counts) > 1:
        places = ", ".join(f"{source} ({plural(count, 'run')})" for source, count in counts.most_common())
        yield warn(_SOURCE, None, f"metrics were read from {places}")


def _share(runs: int, of: int) -> str:
    return f"{runs} of {plural(of, 'run')}"
