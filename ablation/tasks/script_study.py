"""The study file for a script: its options at their defaults are the baseline, and what was asked for is varied."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablation._util.sanitize import one_line
from ablation.errors import UserError
from ablation.registry.catalog import suggestion
from ablation.registry.metric_names import guess
from ablation.registry.metrics import Direction
from ablation.study.yaml_text import flow, scalar
from ablation.tasks.script_options import Inspection, ScriptOption, Value, inspect_script

SEEDS = ("seed", "random_seed", "manual_seed", "rng_seed", "global_seed", "random_state")
"""What the option for the seed is called, the likeliest first."""
LENGTHS = ("epochs", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs", "max_steps", "steps", "num_steps")
"""What the option for the length of the training is called."""


@dataclass(frozen=True)
class ScriptRequest:
    """What is to become a study: a script with the arguments that it is always given, and what is varied.

    `vary` has for each name the texts of its values. A `direction` or `seed_option` that is None is found by its name.
    """

    script: str
    fixed: tuple[str, ...]
    vary: Mapping[str, Sequence[Sequence[str]]]
    metric: str
    seeds: int = 5
    direction: Direction | None = None
    seed_option: str | None = None


@dataclass(frozen=True)
class ScriptStudy:
    """A study file, and what was assumed in it, a line each."""

    text: str
    assumed: tuple[str, ...]


def study_of_script(request: ScriptRequest, folder: Path, command: str) -> ScriptStudy:
    """Inspect the script in `folder`, and write its study; `command` is what was typed.

    Raises UserError where the script has no parser, rejects what it is given, or lacks an option.
    """
    direction = request.direction or guess(request.metric).direction
    if direction is None:
        what = f"whether more or less of {request.metric} is better is not known"
        raise UserError(what, "add --direction higher, or --direction lower")
    seeds = (request.seed_option,) if request.seed_option else SEEDS
    argv = (request.script, *request.fixed)
    found = inspect_script(argv, folder, vary=request.vary, free=seeds)
    return _Writer(request, found, direction, command).study()


class _Writer:
    """Checks what the script says against what was asked for, and writes the file."""

    def __init__(self, request: ScriptRequest, found: Inspection, direction: Direction, command: str) -> None:
        self.request, self.found, self.direction, self.command = request, found, direction, command
        self.seed = self._seed()
        self.without_default: list[str] = []
        self.varied = {name: self._varied(name) for name in request.vary}
        if found.rejected:
            what = f"{request.script} rejects its arguments: {found.rejected}"
            raise UserError(what, f"give them after --, as in: ablate script {request.script} ... -- --data FOLDER")
        self.baseline, self.left_out = self._baseline()
        self.vary = {self.varied[name].name: self._values(name) for name in request.vary}
        self.baseline = {key: value for key, value in self.baseline.items() if value is not None}
        self.booleans, self.not_given = self._booleans()
        self.baseline = {key: value for key, value in self.baseline.items() if key not in self.not_given}

    def study(self) -> ScriptStudy:
        """The text of the file, and what it assumes."""
        request, smoke = self.request, self._smoke()
        words = shlex.join(["python", request.script, *request.fixed])
        share = guess(request.metric).unit == "share"
        metric = f"{{direction: {self.direction}{', unit: share' if share else ''}}}"
        code = list(dict.fromkeys([os.path.normpath(request.script), *self.found.files]))
        assumed = self._assumed(share)
        lines = [
            f"# Written by: {one_line(self.command)}",
            *(f"# - {one_line(line)}" for line in assumed),
            f"study: {scalar(Path(request.script).stem)}",
            "task:",
            f"  command: {scalar(f'{words} {{args}}')}",
            "  pass: argparse",
            f"  seed: {scalar(next(flag for flag in self.seed.flags if flag.startswith('--')))}",
            *(["  booleans: flag"] if self.booleans == "flag" else []),
            f"  code: {flow(code)}",
            *([f"  smoke: {flow(smoke)}"] if smoke else []),
            "metrics:",
            f"  {scalar(request.metric)}: {metric}",
            "baseline:" if self.baseline else "baseline: {}",
            *(f"  {scalar(key)}: {flow(value)}" for key, value in self.baseline.items()),
            f"seeds: {request.seeds}",
            "vary:",
            *(f"  {scalar(key)}: {flow(values)}" for key, values in self.vary.items()),
        ]
        return ScriptStudy("\n".join(lines) + "\n", assumed)

    def _seed(self) -> ScriptOption:
        script, wanted = self.request.script, self.request.seed_option
        candidates = [wanted] if wanted else list(SEEDS)
        option = next((own for name in candidates if name and (own := self.found.names.get(name))), None)
        if option is None and wanted:
            raise UserError(f"{script} has no option {wanted}", suggestion(wanted, self._known()))
        if option is None:
            raise UserError(
                f"no option of {script} is known to set its seed, without which runs are not paired",
                f"name it, as in --seed-option --rng (known: {', '.join(self._known())}), or add one",
            )
        if not option.long or option.is_flag:
            raise UserError(f"{script}: {option.flags[0]} cannot give the seed", "it must be an option like --seed N")
        if option in self.found.fixed:
            raise UserError(f"the seed of {script} is fixed by {option.flags[0]}", "remove it after --")
        return option

    def _varied(self, name: str) -> ScriptOption:
        script, option = self.request.script, self.found.names[name]
        if option is None:
            raise UserError(f"{script} has no option --{name.lstrip('-')}", suggestion(name.lstrip("-"), self._known()))
        if option == self.seed:
            raise UserError(f"--vary {name}: this is the seed, which is never varied", "--seeds 5 trains under 5 seeds")
        if option in self.found.fixed:
            raise UserError(f"{option.flags[0]} is both varied and fixed after --", "remove one of them")
        if not option.long or not (option.is_flag or option.action == "store"):
            raise UserError(
                f"--vary {name}: the option {option.flags[0]} of {script} cannot be varied",
                "it must have a name with two dashes, and be a flag or take its values once",
            )
        return option

    def _baseline(self) -> tuple[dict[str, Any], list[str]]:
        """Name -> default of each option that can be given (None: there is none); and those that cannot be."""
        own: dict[str, Any] = {}
        left_out: list[str] = []
        for option in self.found.options:
            if option == self.seed or option in self.found.fixed or not option.flags:
                continue
            if not option.long or option.opaque or not (option.is_flag or option.action == "store"):
                left_out += [option.flags[0]] if option.default is not None or option.opaque else []
                continue
            own[option.name] = None if option.default in ([], ()) else _default(option)
        return own, left_out

    def _values(self, name: str) -> list[Any]:
        """What is compared with the baseline; where that has no value, the first one becomes its value."""
        option = self.varied[name]
        found = self.found.values[name]
        values = [self._value(option, *own) for own in zip(self.request.vary[name], found, strict=True)]
        if self.baseline.get(option.name) is None:
            self.baseline[option.name] = values[0]
            self.without_default.append(f"{option.name} has no default: the baseline has {flow(values[0])}")
        base = self.baseline[option.name]
        others = [value for number, value in enumerate(values) if value != base and value not in values[:number]]
        if not others:
            raise UserError(
                f"--vary {name}: there is nothing to compare with the baseline, which has {flow(base)}",
                f"add other values: --vary {name}={flow(base)},...",
            )
        return others

    def _booleans(self) -> tuple[str, tuple[str, ...]]:
        """How a study passes true and false, and the flags that it then leaves at their defaults.

        It is the same for all flags: false is either `--no-amp`, or that nothing is given.
        """
        flags = [own for own in self.found.options if own.is_flag and own.name in self.baseline]
        varied = {own.name for own in self.varied.values()}
        plain = [own for own in flags if not own.negatable]
        needing = [own for own in flags if own.negatable and own.default is not False]  # nothing given is not false
        if not needing or not plain:
            return "flag" if plain else "negatable", ()
        for mode, others in (("negatable", plain), ("flag", needing)):
            if varied.isdisjoint(own.name for own in others):
                return mode, tuple(own.name for own in others)
        one, other = (next(own for own in part if own.name in varied) for part in (plain, needing))
        raise UserError(
            f"--{one.name} cannot be negated, and --{other.name} must be: a study passes all its flags in one way",
            "vary them in two studies, or declare both with action=argparse.BooleanOptionalAction",
        )

    def _value(self, option: ScriptOption, texts: Sequence[str], found: Value) -> Any:
        text = " ".join(texts)
        if option.is_flag:
            if text.lower() not in ("true", "false"):
                raise UserError(f"{option.flags[0]} is a flag and cannot be {text!r}", "write true or false")
            return text.lower() == "true"
        if found.error:
            hint = f"its values: {', '.join(map(str, option.choices))}" if option.choices else None
            what = f"{self.request.script} rejects --{option.name} {text}: {found.error}"
            raise UserError(what, hint or f"give values that the option takes{f' ({option.type})' * bool(option.type)}")
        return _typed(found.value, option)

    def _smoke(self) -> dict[str, int]:
        """The option for the length of the training, cut to 1."""
        for option in self.found.options:
            length = self.baseline.get(option.name)
            if option.dest.replace("-", "_") in LENGTHS and isinstance(length, int) and length > 1:
                return {option.name: 1}
        return {}

    def _assumed(self, share: bool) -> tuple[str, ...]:
        request, script = self.request, self.request.script
        lines = [f"the baseline has the defaults of {script}; options without one are left out"]
        lines += self.without_default
        if not request.seed_option:
            lines.append(f"{self.seed.flags[0]} sets the seed")
        if request.direction is None:
            lines.append(
                f"more of {request.metric} is better"
                if self.direction == "higher"
                else f"less of {request.metric} is better"
            )
        if share:
            lines.append(f"{request.metric} is a fraction of 1; write unit: percent where it is 91.5 rather than 0.915")
        lines.append("code lists what the script had imported when it parsed its options: add what it loads later")
        if smoke := self._smoke():
            lines.append(f"a smoke run sets {next(iter(smoke))} to 1")
        if self.not_given:
            lines.append(f"flags that are left at their defaults: {', '.join(self.not_given)}")
        if self.left_out:
            lines.append(f"left out, since a study cannot give them: {', '.join(self.left_out)}")
        return tuple(lines)

    def _known(self) -> list[str]:
        return [option.name for option in self.found.options if option.long]


def _default(option: ScriptOption) -> Any:
    """The default as a study file has it; a flag that is not given is false, whatever it stores."""
    if option.is_flag and not option.negatable:
        return False
    return option.default if option.is_flag else _typed(option.default, option)


def _typed(value: Any, option: ScriptOption) -> Any:
    """A value of an option that takes one: true and false are text there, since they are no flags."""
    if isinstance(value, list):
        return [_typed(own, option) for own in value]
    if isinstance(value, bool):
        return str(value)
    return value
