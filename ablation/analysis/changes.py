"""What a variant changes, in words, read from the resolved recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablation._util.formatting import ARROW, option, value
from ablation._util.language import clauses
from ablation.storage.manifest import StoredVariant


def describe_change(variant: StoredVariant, baseline: StoredVariant) -> str:
    """The change in words, as `dropout 0.2 → 0.5`; empty for the baseline."""
    return clauses([_one_change(path, variant, baseline) for path in variant.changes])


def _one_change(path: str, variant: StoredVariant, baseline: StoredVariant) -> str:
    before, after = look_up(baseline.recipe, path), look_up(variant.recipe, path)
    name = option(path)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        apart = {other.removeprefix(f"{path}.") for other in variant.changes}  # a change of its own, said by itself
        before, after = ({key: own for key, own in part.items() if key not in apart} for part in (before, after))
        before, after = _unlike(before, after)
    return f"{name} {value(before)} {ARROW} {value(after)}"


def _unlike(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two parts without the options on which they agree; the name stays."""
    same = {key for key in before if key != "name" and key in after and before[key] == after[key]}
    return {k: v for k, v in before.items() if k not in same}, {k: v for k, v in after.items() if k not in same}


def look_up(recipe: Mapping[str, Any], path: str) -> Any:
    """The value of an option, or the whole part where the path names one; None where there is none.

    A plain value is meant for all its parts: `model.init.conv` of `init: xavier` is `xavier`.
    """
    found: Any = recipe
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else found
    return found
