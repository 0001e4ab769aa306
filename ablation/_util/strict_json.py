"""JSON that was stored: finite numbers, an object, and not too deep."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from ablation.errors import UnreadableError

_DEEPEST = 60


def parse(content: bytes | str, what: str, hint: str = "") -> dict[str, Any]:
    """The object that JSON text holds. `what` names the text in the UnreadableError that is raised where it is none."""
    try:
        value = json.loads(content, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{what} cannot be read: {error}", hint) from None
    if not isinstance(value, dict):
        raise UnreadableError(f"{what} cannot be read: it is not a JSON object", hint)
    if _is_deep(value):
        raise UnreadableError(f"{what} cannot be read: it nests deeper than {_DEEPEST} levels", hint)
    return value


def _is_deep(value: dict[str, Any]) -> bool:
    """Whether it nests deeper than what is ever written: such a value would exhaust the stack of what reads it."""
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        inner = (own for held in level for own in (held.values() if isinstance(held, dict) else held))
        level = [own for own in inner if isinstance(own, dict | list)]
    return bool(level)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant:.60} is not a JSON number")


def _finite(number: str) -> float:
    """A JSON number; one beyond the range of a float is refused, as it would be read as infinite."""
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)
