"""Custom components, `module:attribute`: where their code is and what it is, without importing any of it."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablation.errors import UserError
from ablation.registry.custom_names import is_custom


@dataclass(frozen=True)
class Code:
    """The code of a module: its file, and the SHA-256 of that; `release` says of which distribution it is.

    `helpers` are the modules beside it that it imports, each without helpers of its own.
    """

    module: str
    file: str
    sha256: str
    release: str = ""
    helpers: tuple[Code, ...] = ()

    @property
    def identity(self) -> str:
        """What tells it from other code, wherever it lies."""
        helpers = (f"{helper.module}:{helper.sha256}" for helper in self.helpers)
        return " ".join([self.sha256, *filter(None, [self.release]), *helpers])


def custom_parts(
    sections: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Every custom component of the sections of a recipe as (where, its options), in their order.

    These are the sections themselves, each augmentation, and the optimizers and schedules of stages.
    """
    custom = bool(path) and isinstance(sections, dict) and is_custom(sections.get("name"))
    if custom:
        yield path, sections
    for key, value in sections.items() if isinstance(sections, dict) else enumerate(sections):
        if isinstance(value, dict | list | tuple) and (not custom or key == "augment"):  # its options are not looked at
            yield from custom_parts(value, (*path, key))


def custom_names(sections: Any) -> list[str]:
    """The names of the custom components of the sections of a recipe, each once."""
    return list(dict.fromkeys(part["name"] for _, part in custom_parts(sections)))


def find(name: str, folder: Path) -> Code:
    """The code of `module:attribute`: `<module>.py` in the folder of the study, or else an installed module.

    To the former belong the modules in the same folder that it imports, at any depth, where no module of the standard
    library and no installed one has their name.

    Nothing is imported or run. Raises UserError where there is neither.
    """
    module = name.partition(":")[0]
    beside = folder / f"{module}.py"
    if beside.is_file():
        helpers = tuple(_helper(file) for file in _beside(beside.resolve()))
        return Code(module, str(beside.resolve()), _sha256(beside), helpers=helpers)
    file = _installed(module)
    if file is None:
        hint = f"put {module}.py next to the study file, or install its package"
        raise UserError(f"there is no {module}.py in {folder.resolve()}/, and no installed module {module!r}", hint)
    return Code(module, str(file), _sha256(file), _release(module))


def _helper(file: Path) -> Code:
    return Code(file.stem, str(file), _sha256(file))


def _beside(file: Path) -> list[Path]:
    """The files in the folder of `file` that its code imports, directly or through each other, sorted."""
    found: set[Path] = set()
    unread = [file]
    while unread:
        for name in _imports(unread.pop()):
            other = file.with_name(f"{name}.py")
            if other not in {file, *found} and other.is_file() and not _is_elsewhere(name, file.parent):
                found.add(other)
                unread.append(other)
    return sorted(found)


def beside(code: Code) -> list[Path]:
    """What the packages next to the code consist of, with all that they import from there in turn, sorted.

    The modules that the code itself imports are its `helpers`, and not among them.
    """
    if code.release:
        return []
    folder = Path(code.file).parent
    found: set[Path] = set()
    unread = [Path(own.file) for own in (code, *code.helpers)]
    known = {*unread}
    while unread:
        for name in _imports(unread.pop()):
            package, module = folder / name, folder / f"{name}.py"
            if _is_elsewhere(name, folder):
                continue
            hides = (package / "__init__.py").is_file()  # a folder without it comes after a module
            new = {module} if module.is_file() and not hides else {*package.rglob("*.py")}
            unread += new - found - known
            found |= new - known
    return sorted(found)


def imports_module(code: Code, name: str) -> bool:
    """Whether the code, or a module or package beside it that it imports, names a module in an import statement."""
    files = (Path(code.file), *(Path(own.file) for own in code.helpers), *beside(code))
    return any(name in _imports(file) for file in files)


def _imports(file: Path) -> set[str]:
    """The outermost names of the modules that a file imports by statements; none where it is no Python."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # the worker that runs it reports that with its line
        return set()
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module and not n.level]
    return {name.partition(".")[0] for name in names}


def _is_elsewhere(name: str, folder: Path) -> bool:
    """Whether a module of the standard library, or an installed one, has the name.

    One in `folder` itself is not elsewhere, although a notebook there, or a worker, finds it by its path too.
    """
    if name in {"__main__", *sys.stdlib_module_names}:
        return True
    spec = importlib.util.find_spec(name)
    if spec is None:
        return False
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    own = (folder / name).resolve()  # which may be a link
    return not any(Path(place).resolve().is_relative_to(own) for place in places) and (
        spec.origin is None or Path(spec.origin).resolve() != (folder / f"{name}.py").resolve()
    )


def _installed(module: str) -> Path | None:
    """The file of an installed module; only its outermost package is looked up, since a look inside would import it."""
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    candidates: Iterable[Path] = [Path(spec.origin)] if spec.origin else []
    if inner:
        places = [Path(place).joinpath(*inner) for place in spec.submodule_search_locations or ()]
        candidates = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return next((file for file in candidates if file.is_file()), None)


def _release(module: str) -> str:
    from importlib import metadata  # slow to import

    names = metadata.packages_distributions().get(module.partition(".")[0], ())
    return ", ".join(f"{name} {metadata.version(name)}" for name in sorted(set(names)))


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
