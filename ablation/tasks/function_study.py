"""A new study file for a Python function, and a minimal function to start from where there is none."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablation._util.sanitize import one_line, read_file
from ablation.errors import UserError
from ablation.registry.catalog import suggestion
from ablation.registry.custom_names import FORM
from ablation.registry.metric_names import guess
from ablation.registry.metrics import Direction
from ablation.study.custom_code import find
from ablation.study.yaml_text import flow, scalar
from ablation.tasks.script_study import LENGTHS

MOST_BYTES = 10**7
_EXAMPLE_VALUES: Mapping[str, Any] = {"hidden": 16, "lr": 0.5, "momentum": 0.9, "epochs": 60}
_EXAMPLE_CHANGES: Mapping[str, Sequence[Any]] = {"hidden": [4, 64], "momentum": [0.0], "lr": [0.1]}
_EXAMPLE = '''\
"""Trains the runs of {study}: a network of one hidden layer that tells two rings of points apart, in NumPy."""

import numpy as np


def rings(generator, count):
    """Points (count, 2) on two noisy rings, and the ring (0 or 1) of each."""
    ring = generator.integers(0, 2, count)
    angle = generator.uniform(0, 2 * np.pi, count)
    radius = 1 + ring + generator.normal(0, 0.35, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), ring


def {function}(options, run):
    """Train one run: `options` has the hyperparameters, `run.seed` the seed. Return its metrics by name."""
    x, y = rings(run.generator("data"), 400)  # each named stream is drawn from the seed, independent of the others
    x_val, y_val = rings(run.generator("validation"), 1000)
    init = run.generator("init")
    parameters = [
        init.normal(0, 1, (2, options["hidden"])),
        np.zeros(options["hidden"]),
        init.normal(0, 1, options["hidden"]) / np.sqrt(options["hidden"]),
        np.zeros(()),
    ]
    speed = [np.zeros_like(own) for own in parameters]
    for _ in run.epochs(options["epochs"]):
        w, b, v, c = parameters
        hidden = np.tanh(x @ w + b)
        share = 1 / (1 + np.exp(-(hidden @ v + c)))
        error = (share - y) / len(y)
        back = np.outer(error, v) * (1 - hidden**2)
        gradients = [x.T @ back, back.sum(axis=0), hidden.T @ error, error.sum()]
        speed = [options["momentum"] * old - options["lr"] * own for old, own in zip(speed, gradients)]
        parameters = [own + step for own, step in zip(parameters, speed)]
        train_loss = -np.mean(y * np.log(share + 1e-12) + (1 - y) * np.log(1 - share + 1e-12))
        run.log(train_loss=train_loss, val_accuracy=accuracy(parameters, x_val, y_val))
    return {{"{metric}": accuracy(parameters, x_val, y_val)}}


def accuracy(parameters, x, y):
    """The share of points whose ring is found."""
    w, b, v, c = parameters
    return float(np.mean((np.tanh(x @ w + b) @ v + c > 0) == y))
'''


@dataclass(frozen=True)
class FunctionRequest:
    """What is to become a study: a function, `module:name`, and what is varied.

    `vary` has the values of each option; the first one is that of the baseline unless `values` has it.
    """

    function: str
    vary: Mapping[str, Sequence[Any]]
    values: Mapping[str, Any]
    metric: str | None = None
    direction: Direction | None = None
    seeds: int = 5


@dataclass(frozen=True)
class FunctionStudy:
    """A study file; the text of its module where that is new, otherwise empty; and what was chosen, a line each."""

    text: str
    module: str
    chosen: tuple[str, ...]


@dataclass(frozen=True)
class ReadOptions:
    """The options that a function reads by name: with the default that it states, or without one."""

    defaults: Mapping[str, Any]
    without: tuple[str, ...]


def module_file(function: str, folder: Path) -> Path:
    """Where the module of a function is looked for first: next to the study file. Raises UserError for a wrong name."""
    if not FORM.fullmatch(function):
        hint = "write it as module:function, for example train:main for main in train.py"
        raise UserError(f"{function!r} does not name a function", hint)
    return folder / f"{function.partition(':')[0]}.py"


def exists(function: str, folder: Path) -> bool:
    """Whether the module of a function is there: next to the study file, or installed. Raises UserError."""
    try:
        return module_file(function, folder).is_file() or bool(find(function, folder))
    except UserError:
        module_file(function, folder)  # a name that is none stays an error
        return False


def options_read(function: str, folder: Path) -> ReadOptions:
    """The options that a function reads in its own body, as `options["lr"]` or `options.get("lr", 0.1)`.

    Nothing is imported or run. Raises UserError where its module is no Python, or has no such function.
    """
    path, name = Path(find(function, folder).file), function.partition(":")[2]
    try:
        tree = ast.parse(read_file(path, MOST_BYTES))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path} is not Python that can be read: {error}", "fix it first") from None
    functions = {own.name: own for own in tree.body if isinstance(own, ast.FunctionDef)}
    if name not in functions:
        known = [own for own in functions if not own.startswith("_")]
        hint = suggestion(name, known) if known else f"add: def {name}(options, run):"
        raise UserError(f"{path} has no function {name}", hint)
    arguments = functions[name].args.args
    found = _reads(functions[name], arguments[0].arg) if arguments else {}
    defaults = {key: own[0] for key, own in found.items() if own}
    return ReadOptions(defaults, tuple(key for key in found if key not in defaults))


def _reads(function: ast.FunctionDef, options: str) -> dict[str, list[Any]]:
    """Option -> its default in a list, which is empty where it has none."""
    found: dict[str, list[Any]] = {}
    for node in ast.walk(function):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if name == options:
                found.setdefault(key, [])
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="get"),
                args=[ast.Constant(value=str(key)), ast.Constant(value=default)],
            ) if name == options and isinstance(default, bool | int | float | str | None):
                found[key] = [default]
    return found


def study_of_function(request: FunctionRequest, name: str, folder: Path, command: str) -> FunctionStudy:
    """The study `name` of a function whose module is in `folder`, or is to be written there.

    Raises UserError where the module has no such function, and where the value of an option is not known.
    """
    if exists(request.function, folder):
        return _of_existing(request, name, folder, command)
    module, _, function = request.function.partition(":")
    if "." in module:
        raise UserError(f"there is no module {module}", "make its package first, or name a module: train:main")
    if request.vary or request.values or request.metric not in (None, "val_accuracy"):
        what = f"there is no {module}.py yet, so that it has nothing to vary and no metrics"
        raise UserError(what, f"leave out --vary, --set and --metric to get a {module}.py to start from")
    text = _EXAMPLE.format(study=f"{one_line(name)}.yaml", function=function, metric="val_accuracy")
    study = _text(request, name, command, (_EXAMPLE_VALUES, _EXAMPLE_CHANGES, "val_accuracy", "higher"))
    chosen = (f"{module}.py is a small example: replace what {function} does, and keep what it returns",)
    return FunctionStudy(study, text, chosen)


def _of_existing(request: FunctionRequest, name: str, folder: Path, command: str) -> FunctionStudy:
    found = options_read(request.function, folder)
    if not request.vary:
        known = [*found.without, *found.defaults]
        hint = f"it reads {', '.join(known)}" if known else "name an option that it reads"
        raise UserError("what is varied?", f"{hint}: --vary {known[0] if known else 'lr'}=VALUE,VALUE")
    if request.metric is None:
        raise UserError(
            "which metric does the function return?", "add --metric NAME, for example --metric val_accuracy"
        )
    direction = request.direction or guess(request.metric).direction
    if direction is None:
        what = f"whether more or less of {request.metric} is better is not known"
        raise UserError(what, "add --direction higher, or --direction lower")
    first = {key: values[0] for key, values in request.vary.items()}
    own = {**first, **found.defaults, **request.values}
    if lacking := [key for key in found.without if key not in own]:
        hint = " ".join(f"--set {key}=VALUE" for key in lacking)
        raise UserError(f"{request.function} reads options whose values are not known: {', '.join(lacking)}", hint)
    order = dict.fromkeys((*found.without, *found.defaults, *own))
    baseline = {key: own[key] for key in order}
    changes = {key: [value for value in values if value != baseline[key]] for key, values in request.vary.items()}
    for key, values in changes.items():
        if not values:
            what = f"--vary {key}: there is nothing to compare with the baseline, which has {flow(baseline[key])}"
            raise UserError(what, f"add other values: --vary {key}={flow(baseline[key])},...")
    text = _text(request, name, command, (baseline, changes, request.metric, direction))
    unread = [key for key in own if key not in (*found.without, *found.defaults)]
    noted = (f"not read in the body of the function itself: {', '.join(unread)}",) if unread else ()
    return FunctionStudy(text, "", (f"the baseline: {flow(baseline)}", *noted))


def _text(
    request: FunctionRequest,
    name: str,
    command: str,
    parts: tuple[Mapping[str, Any], Mapping[str, Sequence[Any]], str, Direction],
) -> str:
    baseline, changes, metric, direction = parts
    length = next((key for key, own in baseline.items() if key in LENGTHS and isinstance(own, int) and own > 1), "")
    smoke = f", smoke: {flow({length: 1})}" if length else ""
    unit = ", unit: share" if guess(metric).unit == "share" else ""
    lines = [
        f"# Written by: {one_line(command)}",
        f"study: {scalar(name)}",
        f"task: {{function: {scalar(request.function)}{smoke}}}",
        "metrics:",
        f"  {scalar(metric)}: {{direction: {direction}{unit}}}",
        "baseline:",
        *(f"  {scalar(key)}: {flow(value)}" for key, value in baseline.items()),
        f"seeds: {request.seeds}",
        "vary:",
        *(f"  {scalar(key)}: {flow(list(values))}" for key, values in changes.items()),
    ]
    return "\n".join(lines) + "\n"


_NOTES = {
    "study": "names the folders of its results and of its report",
    "task": "what trains a run; smoke: what is changed for a quick trial with --smoke",
    "metrics": "what a run reports; the first one is compared. unit: share is a fraction of 1",
    "baseline": "the hyperparameters that everything is compared with",
    "seeds": "each variant is trained under the same seeds; 5 or more for claims",
    "vary": "each value is one variant: ONE change away from the baseline",
    "task.code": "files that the hash of a run covers: changed code is trained again",
    "task.smoke": "what is changed for a quick trial with --smoke",
}
_NEXT = (
    "# What to try next: remove the # in front of a line.",
    "# controls: [a/a]                         # the baseline under other seeds: any difference from it is noise",
    "# analysis: {alpha: 0.01}                 # the error of all comparisons together; 0.05 unless it is given",
)


def explained(text: str) -> str:
    """The study file of a function or a command with a comment that explains each key, and what to try next."""
    lines, section = [], ""
    for line in text.splitlines():
        key = line.partition(":")[0]
        section = section if line.startswith((" ", "#")) else key
        note = _NOTES.get(f"{section}.{key.strip()}" if line.startswith(" ") else key, "")
        indent = line[: len(line) - len(line.lstrip())]
        lines += [f"{line:<41} # {note}"] if note and len(line) < 42 else [f"{indent}# {note}"] * bool(note) + [line]
    return "\n".join([*lines, "", *_NEXT]) + "\n"
