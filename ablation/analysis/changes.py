"""What a variant changes, in words, read from the resolved recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation._util.formatting import ARROW, option, value
from ablation._util.language import clauses, tr, trn
from ablation.storage.manifest import StoredVariant


def describe_change(variant: StoredVariant, baseline: StoredVariant) -> str:
    """The change in words, as `dropout 0.2 → 0.5`; empty for the baseline."""
    return clauses([_one_change(path, variant, baseline) for path in variant.changes])


def _one_change(path: str, variant: StoredVariant, baseline: StoredVariant) -> str:
    before, after = look_up(baseline.recipe, path), look_up(variant.recipe, path)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        path, before, after = _changed_part(path, before, after, variant.changes)
    else:
        before, after = _shortened(path, before, after, variant.changes[path])
    return f"{option(path)} {value(before)} {ARROW} {value(after)}"


def _changed_part(
    path: str, before: Mapping[str, Any], after: Mapping[str, Any], changes: Mapping[str, Any]
) -> tuple[str, Any, Any]:
    """The path of a changed part and its options that differ; where it is a single one, the option itself."""
    declared = changes[path] if isinstance(changes[path], Mapping) else {}
    apart = {other.removeprefix(f"{path}.") for other in changes}  # listed as changes of their own
    old, new = ({key: own for key, own in part.items() if key not in apart} for part in (before, after))
    old, new = _unlike(old, new, declared)
    for key in new:
        short, new[key] = _shortened(f"{path}.{key}", old.get(key), new[key], declared.get(key))
        old |= {key: short} if key in old else {}
    if old.keys() == new.keys() and len(new) == 1 and "name" not in new:
        (key,) = new
        return f"{path}.{key}", old[key], new[key]
    return path, old, new


def _unlike(
    before: Mapping[str, Any], after: Mapping[str, Any], declared: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two parts without the options on which they agree; the name stays.

    An option that only one of two networks has is shown where the variant declares it.
    """
    both = before.keys() & after.keys() - {"name"}
    same = {key for key in both if before[key] == after[key]}
    same |= {key for key in both - declared.keys() if before[key] is None or after[key] is None}
    left = {key for key in both & declared.keys() if before[key] is None}
    return {k: v for k, v in before.items() if k not in same | left}, {k: v for k, v in after.items() if k not in same}


def _shortened(path: str, before: Any, after: Any, declared: Any) -> tuple[Any, Any]:
    """What stands for two values that are too long for a table: files by their names, stages as they are declared.

    Values of functions and commands are shown as they are, whatever their names.
    """
    if path == "train.stages" and _are_stages(before) and _are_stages(after):
        return _stages(before), _stages(declared if _are_stages(declared) else after)
    if path == "model.weights":
        old, new = (Path(own).name if isinstance(own, str) else own for own in (before, after))
        return (old, new) if old != new else (before, after)
    return before, after


def _are_stages(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(stage, Mapping) and ("epochs" in stage or {"first", "last"} <= stage.keys()) for stage in value
    )


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    """`3 epochs (freeze features) + 7 epochs (learning rate 0.001)`."""
    said = []
    for stage in stages:
        count = stage["epochs"] if "epochs" in stage else stage["last"] - stage["first"] + 1
        rest = {key: own for key, own in stage.items() if key not in ("epochs", "number", "first", "last")}
        epochs = trn("{n:,} epoch", "{n:,} epochs", int(count))
        said.append(tr("{name} ({rest})", name=epochs, rest=value(rest)) if rest else epochs)
    return " + ".join(said) or value(None)


def look_up(recipe: Mapping[str, Any], path: str) -> Any:
    """The value of an option, or the whole part where the path names one; None where there is none.

    A plain value is meant for all its parts: `model.init.conv` of `init: xavier` is `xavier`.
    """
    found: Any = recipe
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else found
    return found
