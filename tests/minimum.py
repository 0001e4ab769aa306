"""The lowest versions that pyproject.toml allows, as constraints of pip.

python -m tests.minimum dev > minimum.txt
pip install --constraint minimum.txt --editable '.[dev]'
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterator, Sequence

from .conftest import ROOT


def declared(extras: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Each dependency of the package and of some extras, with its lowest version; ValueError where it has none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in (
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ):
        found = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", line)
        if not found:
            raise ValueError(f"{line}: write NAME>=VERSION")
        yield found[1], found[2]


def constraints(extras: Sequence[str] = (), without: Sequence[str] = ()) -> str:
    """A line for each; where two extras ask for different versions, the higher one, which both allow."""
    lowest: dict[str, str] = {}
    for name, version in declared(extras):
        if name not in without:
            lowest[name] = max(lowest.get(name, version), version, key=lambda own: [*map(int, own.split("."))])
    return "".join(f"{name}=={version}\n" for name, version in lowest.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the lowest versions that are allowed.")
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--without", nargs="*", default=[], help="packages that are left to pip")
    arguments = parser.parse_args()
    print(constraints(arguments.extras, arguments.without), end="")
