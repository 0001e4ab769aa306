"""Runs the custom code that a study names. Only worker processes call this: `validate` and `plan` never do."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from ablation.errors import UserError
from ablation.registry.catalog import suggestion
from ablation.study.custom_code import Code


def load_attribute(code: Code, name: str) -> Any:
    """What `name`, `module:attribute`, is.

    Raises UserError where the module does not have it, and whatever the code raises; `explained` says where.
    """
    module, attribute = _module(code), name.partition(":")[2]
    if not hasattr(module, attribute):
        known = [key for key, own in vars(module).items() if callable(own) and not key.startswith("_")]
        hint = suggestion(attribute, known) if known else f"define {attribute} there"
        raise UserError(f"{name}: {Path(code.file).name} has no {attribute!r}", hint)
    return getattr(module, attribute)


@contextmanager
def explained(code: Code, name: str, called_with: str) -> Iterator[None]:
    """Raise UserError for what custom code raises, with its place in the code, the traceback, and how it is called."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # code that calls sys.exit() fails as any other
        last = "".join(traceback.format_exception(error)).rstrip()
        message = f"{name} {_place(error, code)}: {type(error).__name__}: {error}\n{last}"
        raise UserError(message, f"fix it and run the same command again; it is called with {called_with}") from error


def _place(error: BaseException, code: Code) -> str:
    """The innermost line of the user's files that was being run, or could not be read."""
    files = {own.file for own in (code, *code.helpers)}
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno) for frame in frames if frame.filename in files]
    if isinstance(error, SyntaxError) and error.filename in files:
        places.append((error.filename, error.lineno))
    return f"fails at {Path(places[-1][0]).name}:{places[-1][1]}" if places else "cannot be built"


@cache
def _module(code: Code) -> ModuleType:
    """The module, run once in this process; what is run is what was digested."""
    if code.release:
        _source(code)
        return importlib.import_module(code.module)
    helpers = {helper.module: helper for helper in code.helpers}
    if helpers not in [finder.helpers for finder in sys.meta_path if isinstance(finder, _Beside)]:
        sys.meta_path.append(_Beside(helpers))  # the last to be asked: nothing beside the study file replaces a library
    alias = code.module if _has_name(code) else f"ablation_own_{code.sha256[:16]}"  # it may be a torch.py
    spec = importlib.util.spec_from_loader(alias, _Loader(code), origin=code.file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    _Loader(code).exec_module(module)
    return module


def _has_name(code: Code) -> bool:
    """Whether Python finds the file by the name of its module, so that other processes can unpickle its objects."""
    with suppress(ImportError, ValueError):
        found = None if code.module in sys.modules else importlib.util.find_spec(code.module)
        return found is not None and found.origin == code.file
    return False


class _Beside(MetaPathFinder):
    """Finds the modules beside custom code that it imports, and no others."""

    def __init__(self, helpers: Mapping[str, Code]) -> None:
        self.helpers = helpers

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        helper = self.helpers.get(fullname)
        return importlib.util.spec_from_loader(fullname, _Loader(helper), origin=helper.file) if helper else None


class _Loader(Loader):
    """Runs the code of a file as it was digested, and leaves nothing beside it."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self.code.file
        exec(compile(_source(self.code), self.code.file, "exec"), module.__dict__)


def _source(code: Code) -> bytes:
    source = Path(code.file).read_bytes()
    if hashlib.sha256(source).hexdigest() != code.sha256:
        raise RuntimeError(f"{code.file} has changed since the study was planned; run the same command again")
    return source
