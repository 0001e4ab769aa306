"""What `import ablation` offers, from its docstrings."""

from __future__ import annotations

from collections.abc import Iterator

import ablation


def lines() -> Iterator[str]:
    """A directive of autodoc for each public name."""
    yield from ("```{eval-rst}", ".. py:module:: ablation", "")
    for name in ablation.__all__:
        if isinstance(own := getattr(ablation, name), type):
            yield from (f".. autoclass:: ablation.{name}", "   :members:", "")
        elif callable(own):
            yield from (f".. autofunction:: ablation.{name}", "")
    yield "```"
