"""Hyperparameters as the arguments, or the environment, of a command."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablation._util.nested import leaves
from ablation.study.strict_yaml import parse_scalar
from ablation.study.tasks import CommandTask
from ablation.tasks.metric_sources import METRICS

_WORD = re.compile(r"[\w./-]+")


@dataclass(frozen=True)
class Invocation:
    """A command as it is started: its arguments, and the variables that its environment has besides."""

    words: tuple[str, ...]
    environment: dict[str, str]


def invocation(task: CommandTask, values: Mapping[str, Any], seed: int, folder: Path, device: str) -> Invocation:
    """The command of a run.

    `folder` is the run's own: `params.json` and `metrics.jsonl` are in it, and it replaces `{dir}` in the command.
    Hyperparameters and seed are always in the environment as well, as docs/commands.md says.
    """
    everything = {**values, task.seed.lstrip("-"): seed} if task.pass_ == "json" else values
    parameters = folder / "params.json"
    arguments: list[str] = []
    match task.pass_:
        case "argparse":
            arguments = [*argparse_words(leaves(values), task.booleans), task.seed, str(seed)]
        case "hydra":
            arguments = [*(f"{path}={_hydra(value)}" for path, value in leaves(values)), f"{task.seed}={seed}"]
        case "json":
            arguments = [str(parameters)]
    own = {"{dir}": [str(folder)], "{seed}": [str(seed)], "{args}": arguments}
    words = [word for part in shlex.split(task.command) for word in own.get(part, [_filled(part, own)])]
    environment = {
        "ABLATE_RUN_DIR": str(folder),
        "ABLATE_SEED": str(seed),
        "ABLATE_PARAMS": str(parameters),
        "ABLATE_METRICS": str(folder / METRICS),
        **_devices(device),
    }
    if task.pass_ == "env":
        environment |= {path.replace(".", "_"): _plain(value) for path, value in leaves(values)}
        environment[task.seed] = str(seed)
    parameters.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    return Invocation(tuple(words), environment)


def _devices(device: str) -> dict[str, str]:
    """The variables that leave a command the one device that it may use, which it then knows as the first one."""
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return {"ABLATE_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    visible = [own for own in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if own.strip()]
    return {"ABLATE_DEVICE": "cuda:0", "CUDA_VISIBLE_DEVICES": visible[int(number)] if visible else number}


def _filled(word: str, own: Mapping[str, Sequence[str]]) -> str:
    """A word with `{dir}` and `{seed}` inside, as in `--output={dir}/model`."""
    return word.replace("{dir}", own["{dir}"][0]).replace("{seed}", own["{seed}"][0])


def argparse_words(values: Iterable[tuple[str, Any]], booleans: str) -> Iterator[str]:
    """`--k v` for each value: none for null, several words for a list."""
    for path, value in values:
        name = f"--{path}"
        if value is None:
            continue
        if isinstance(value, bool) and booleans != "value":
            if value:
                yield name
            elif booleans == "negatable":
                yield f"--no-{path}"
        elif isinstance(value, list | tuple):
            yield from (name, *map(_plain, value))
        elif (text := _plain(value)).startswith("-"):
            yield f"{name}={text}"  # argparse may take it for an option, such as -1e-05
        else:
            yield from (name, text)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, list | tuple | Mapping) else "" if value is None else str(value)


def _hydra(value: Any) -> str:
    """A value in Hydra's override grammar; text is quoted where it is no plain word."""
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_hydra, value))}]"
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, str) and not (_WORD.fullmatch(value) and parse_scalar(value) == value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return _plain(value)
