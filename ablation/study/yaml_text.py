"""Plain values as the YAML of a study file, which the strict reader reads back as they were."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ablation.study.strict_yaml import parse_scalar


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(own)}" for key, own in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(own) for own in value) + "]"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return number(value)
    return str(value) if isinstance(value, int) else scalar(value)


def number(value: float) -> str:
    """A float that every reader of YAML takes for one: `1.0e-05`, not `1e-05`."""
    if not math.isfinite(value):
        return json.dumps(str(value))
    text = repr(value)
    return re.sub(r"^(-?[0-9]+)e", r"\1.0e", text)


def scalar(text: str) -> str:
    """Text as YAML, quoted where it would be read as something else."""
    plain = re.fullmatch(r"[A-Za-z_./-][\w./@+= -]*(\{args\})?", text, re.ASCII) and text == text.strip()
    return text if plain and parse_scalar(text) == text else json.dumps(text, ensure_ascii=False)
