"""Study file -> Study, or all errors of the file together, each with its place and how to fix it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ablation._util.sanitize import clean, read_file
from ablation.errors import FileError, Problem, UserError
from ablation.registry import catalog
from ablation.study import strict_yaml, validation_errors, variants
from ablation.study.expand import DesignVariants, GridVariants
from ablation.study.kinds import AnyFile, RecipeFault, StudyKind, computed_metrics, kind_of, task_of
from ablation.study.schema import AnyRecipe, Study, StudyFile, Variant
from ablation.study.strict_yaml import Document, Loc
from ablation.study.task_file import TaskStudyFile
from ablation.study.variants import VariantTable

CONTROL_OFFSET = 1_000_000
"""From the seeds of a study to those of its A/A control."""
SMOKE_SEEDS = 2
MOST_RUNS = 100_000
MOST_FILES_LISTED = 10
OF_THE_TEST_SET = ("test_accuracy", "test_loss")


def load_study(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    smoke: bool = False,
    need_data: bool = True,
) -> Study:
    """Read and check a study file.

    `overrides` are `KEY=VALUE` settings that replace those of the baseline (`model.dropout=0.5`) or of the file
    (`seeds=[0, 1]`); `smoke` cuts every run short. Data and weights that are not on this machine are an
    error if `need_data`, and are listed in `Study.missing` otherwise. Raises FileError with all errors of the file, or
    UserError.
    """
    return study_of(_read(path), path, overrides=overrides, seeds=seeds, smoke=smoke, need_data=need_data)


def study_of(
    text: str,
    path: Path,
    *,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    smoke: bool = False,
    need_data: bool = True,
) -> Study:
    """`load_study` for the text of a file; errors name `path`, and its stem is the name of a study without one."""
    document = strict_yaml.parse(text, str(path))
    if not isinstance(document.value, dict):
        document.add((), "a study file is a mapping of keys to values", "start with baseline:")
        document.check()
    kind = kind_of(document.value)
    raw, overridden = override(document.value, overrides, kind)
    if seeds is not None:
        raw, overridden["seeds"] = {**raw, "seeds": list(seeds)}, "--seeds"
        overrides = [*overrides, f"seeds={list(seeds)}"]
    loader = _Loader(document, raw, overridden, kind, need_data=need_data)
    file = loader.file()
    found = loader.expand(file)
    study = Study(
        name=file.study or clean(path.stem),
        file=str(path),
        missing=tuple(loader.missing),
        title=file.title or file.study or clean(path.stem),
        question=file.question,
        variants=tuple(found),
        seeds=file.every_seed,
        source=text,
        overrides=tuple(overrides),
        analysis=file.analysis,
        report=file.report,
        metrics=computed_metrics(file),
        task=task_of(file),
        declared=file.metrics if isinstance(file, TaskStudyFile) else {},
        components=file.components,
        design=file.design,
        grids=loader.grids,
        follow_up=file.follow_up,
        log=file.log,
        looks=file.looks,
    )
    return _smoke(study, kind) if smoke else study


def _read(path: Path) -> str:
    if not path.exists():
        raise UserError(f"no study file at {path}", _nearby(path))
    content = read_file(path, strict_yaml.MAX_BYTES)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = strict_yaml.place_in(content[: error.start].decode("utf-8", "replace"))
        problem = Problem(*place, "this is not UTF-8 text", "save the file as UTF-8")
        raise FileError(str(path), [problem], content.decode("utf-8", "replace").splitlines()) from None


def _nearby(path: Path) -> str:
    """Which study file was probably meant, or which there are."""
    files = [file for folder in (path.parent, Path("studies")) for file in sorted(folder.glob("*.y*ml"))]
    close = catalog.nearest(path.stem, [file.stem for file in files])
    if close:
        return f"did you mean {next(file for file in files if file.stem == close)}?"
    names = [str(file) for file in files[:MOST_FILES_LISTED]] + ["..."] * (len(files) > MOST_FILES_LISTED)
    return f"study files nearby: {', '.join(names)}" if files else "no study file is in that folder or in studies/"


def override(raw: dict[str, Any], overrides: Sequence[str], kind: StudyKind) -> tuple[dict[str, Any], dict[str, str]]:
    """`raw` with the overrides of the command line, and which paths these are (path -> what was typed)."""
    overridden: dict[str, str] = {}
    for setting in overrides:
        key, equals, text = setting.partition("=")
        key = key.strip().removeprefix("baseline.")
        top = kind.keys
        if not equals or not (key in top or kind.is_path(key)):
            hint = kind.path_hint(key) if equals else f"write it as KEY=VALUE, for example {kind.example}"
            raise UserError(f"--set {setting}: {'unknown key ' + repr(key) if equals else 'no value given'}", hint)
        value = strict_yaml.parse_scalar(text)
        if key in top:
            raw = {**raw, key: value}
        else:
            baseline = raw.get("baseline")
            raw = {**raw, "baseline": kind.with_change(baseline if isinstance(baseline, dict) else {}, key, value)}
        overridden[key if key in top else f"baseline.{key}"] = f"--set {setting}"
    return raw, overridden


class _Loader:
    """Checks one document step by step, collecting errors; a step starts only when what it needs is valid."""

    def __init__(
        self, document: Document, raw: dict[str, Any], overridden: dict[str, str], kind: StudyKind, *, need_data: bool
    ) -> None:
        self.document = document
        self.kind = kind
        self.raw = raw
        self.overridden = overridden
        self.need_data = need_data
        self.missing: list[str] = []
        self.grids: dict[str, dict[str, dict[str, object]]] = {}

    def problem(self, loc: Loc, message: str, hint: str | None, *, key: bool = False) -> None:
        """Note an error of the file; one of the command line is raised, since it has no place in the file."""
        dotted = validation_errors.dotted(loc)
        for path, setting in self.overridden.items():
            if dotted == path or dotted.startswith((f"{path}.", f"{path}[")):
                raise UserError(f"{setting}: {message}", hint)
        self.document.add(loc, message, hint, key=key)

    def absent(self, loc: Loc, message: str, hint: str) -> None:
        """Note data or weights that are not on this machine."""
        if self.need_data:
            self.problem(loc, message, hint)
        elif message not in self.missing:
            self.missing.append(message)

    def file(self) -> AnyFile:
        """The file as its schema reads it."""
        self._known_variables()
        try:
            file = self.kind.file(self.raw)
        except ValidationError as error:
            for loc, key, message, hint in self.kind.faults(error, self.raw):
                self.problem(loc, message, hint, key=key)
            self.document.check()
            raise UserError(f"{self.document.path}: {error}") from error
        self.check_recipe(file.baseline, ("baseline",))
        self._stopping_rules(file)
        for fault in self.kind.file_faults(file, Path(self.document.path).parent):
            self._note(fault, fault.place)
        self.document.check()
        return file

    def _note(self, fault: RecipeFault, place: Loc) -> None:
        if fault.absent:
            self.absent(place, fault.message, fault.hint or "")
        else:
            self.problem(place, fault.message, fault.hint)

    def _stopping_rules(self, file: AnyFile) -> None:
        """Note rules without effect, in a study without looks; `--seeds` may have replaced those."""
        for key in ("spending", "futility"):
            if getattr(file.analysis, key) and not file.looks and "seeds" not in self.overridden:
                hint = "write seeds: {looks: [3, 5, 8, 12]}, or remove it"
                self.problem(("analysis", key), f"{key} is for a study with looks", hint, key=True)
        if file.looks and isinstance(file, StudyFile) and file.analysis.metric in OF_THE_TEST_SET:
            message = f"{file.analysis.metric} is not known before the last look, and no look can decide by it"
            self.problem(("analysis", "metric"), message, "name another metric, or a fixed number of seeds")

    def _known_variables(self) -> None:
        for loc in _declared_variables(self.raw):
            key = str(loc[-1])
            if not self.kind.is_path(key):
                self.problem(loc, f"unknown variable {key!r}", self.kind.path_hint(key), key=True)

    def check_recipe(self, recipe: AnyRecipe, loc: Loc) -> None:
        """Note what a schema cannot see of a recipe."""
        for fault in self.kind.recipe_faults(recipe, Path(self.document.path).parent):
            self._note(fault, (*loc, *fault.place) if loc == ("baseline",) else loc)

    def expand(self, file: AnyFile) -> list[Variant]:
        """The baseline and every declared variant. Raises FileError with the errors of all of them."""
        table = VariantTable(Variant("baseline", {}, file.baseline, "baseline", ("baseline",)))
        for path, values in file.vary.items():
            if not values:
                self.problem(("vary", path), f"vary.{path} has no values", "give at least one, for example [0.5]")
            for index, value in enumerate(values):
                self._add(table, file.baseline, {path: value}, ("vary", path, index), "vary", None)
        for name, changes in file.combine.items():
            if len(changes) < 2:
                hint = "declare a single change under vary"
                self.problem(("combine", name), f"combine.{name} changes fewer than two variables", hint, key=True)
            else:
                self._add(table, file.baseline, changes, ("combine", name), "combine", name)
        DesignVariants(file, self).add(table)
        self.grids = GridVariants(file, self).add(table)
        self._check_size(len(list(table)) + len(file.controls), file)
        if file.looks and len(list(table)) + len(file.controls) == 1:
            hint = f"add variants, or write seeds: {len(file.every_seed)}"
            self.problem(("seeds",), "looks decide on variants, and this study has none", hint)
        self._check_fresh(file)
        for variant in table:
            if len(variant.name.splitlines()) > 1:
                self.problem(
                    variant.where, f"the name {variant.name!r} has a line break", "write it on one line", key=True
                )
        self.document.check()
        return [*table, *(_control(name, file.baseline, index) for index, name in enumerate(file.controls))]

    def _check_size(self, variants: int, file: AnyFile) -> None:
        """Note more runs than any study can have, and a control that would repeat runs of the study."""
        seeds = file.every_seed
        runs = variants * len(seeds)
        if runs > MOST_RUNS:
            size = f"{variants:,} variants x {len(seeds):,} seeds = {runs:,} runs"
            self.problem(("seeds",), size, f"the limit is {MOST_RUNS:,} runs: use fewer seeds or variants")
        shared = sorted({seed + CONTROL_OFFSET for seed in seeds} & set(seeds))
        if file.controls and shared:
            message = f"the control of seed {shared[0] - CONTROL_OFFSET} would be the baseline of seed {shared[0]}"
            hint = f"use seeds that are not {CONTROL_OFFSET:,} apart, or leave out controls"
            self.problem(("seeds", seeds.index(shared[0])), message, hint)

    def _check_fresh(self, file: AnyFile) -> None:
        """Note a seed of a follow-up that the study before it was trained under."""
        before = file.follow_up
        used = set(before.seeds) if before else set[int]()
        number = next((place for place, seed in enumerate(file.every_seed) if seed in used), None)
        if before and number is not None:
            hint = f"a follow-up needs seeds that are not in the results of {before.of}"
            where = ("seeds",) if file.looks else ("seeds", number)
            self.problem(where, f"seed {file.every_seed[number]} was used before", hint)

    def _add(
        self,
        table: VariantTable,
        baseline: AnyRecipe,
        changes: dict[str, Any],
        loc: Loc,
        kind: Literal["vary", "combine"],
        name: str | None,
    ) -> None:
        """Append the variant of `changes` to `table`, or note what is wrong with it."""
        recipe = self.resolve(baseline, changes, loc)
        if recipe is None or not self._sound(table, baseline, recipe, changes, loc):
            return
        self.check_recipe(recipe, loc)
        if name is None:
            path, value = next(iter(changes.items()))
            name = self.kind.label(path, value, recipe)
            name = variants.long_label(path, value) if name in table.names else name
        if name in table.names:
            self.problem(loc, f"the name {name!r} is already used", "choose another name", key=True)
        else:
            table.put(Variant(name, changes, recipe, kind, loc))

    def resolve(
        self, baseline: AnyRecipe, changes: dict[str, Any], loc: Loc, places: Mapping[str, Loc] | None = None
    ) -> AnyRecipe | None:
        """The baseline with `changes`, or None, with errors noted where `places` says that an option is."""
        places = places or {path: (*loc, path) if loc[0] == "combine" else loc for path in changes}
        sections: dict[str, Any] = baseline.model_dump()
        for path, value in changes.items():
            sections = self.kind.with_change(sections, path, value)
        try:
            return self.kind.recipe(baseline, sections)
        except ValidationError as error:
            for place, key, message, hint in self.kind.faults(error, sections):
                paths = [".".join(map(str, place[:length])) for length in (3, 2, 1)]
                own = next((places[path] for path in paths if path in places), loc)
                inner = list(own)
                inner += [part for part in place[1:] if self.document.has((*inner, part))]
                self.problem(tuple(inner), message, hint, key=key and tuple(inner) != loc)
            return None

    def _sound(
        self, table: VariantTable, baseline: AnyRecipe, recipe: AnyRecipe, changes: dict[str, Any], loc: Loc
    ) -> bool:
        """Whether the variant differs from all others, and from the baseline only in what it declares."""
        same = table.twin(recipe)
        if same:
            twin = (
                "equals the baseline: it changes nothing"
                if same.kind == "baseline"
                else f"is the same as {same.name!r}"
            )
            self.problem(loc, f"this variant {twin}", "remove it, or give another value")
            return False
        if len(changes) == 1:
            extra = self.kind.extra_variables(baseline, recipe, next(iter(changes)))
            if extra:
                hint = "change one variable, or declare the change under combine"
                self.problem(loc, f"this changes {len(extra)} variables: {', '.join(extra)}", hint)
                return False
        return True


def _declared_variables(raw: Mapping[str, Any]) -> Iterator[Loc]:
    """Where the file names an option that is changed, whatever other errors it has."""

    def keys(*loc: str) -> list[Loc]:
        node: Any = raw
        for part in loc:
            node = node.get(part) if isinstance(node, dict) else None
        return [(*loc, key) for key in node] if isinstance(node, dict) else []

    yield from keys("vary")
    for section in ("combine", "grid"):
        for place in keys(section):
            yield from keys(*map(str, place))
    for place in keys("components"):
        for side in ("on", "off"):
            yield from keys(*map(str, place), side)


def _control(name: str, baseline: AnyRecipe, index: int) -> Variant:
    """The baseline again, under seeds that nothing else uses: what differs from it is noise."""
    return Variant(f"{name} control", {}, baseline, "control", ("controls", index), CONTROL_OFFSET)


def _smoke(study: Study, kind: StudyKind) -> Study:
    """The study with every run cut short, two seeds, and its own name."""
    table = tuple(replace(variant, recipe=kind.smoke(variant.recipe)) for variant in study.variants)
    seeds = study.seeds[:SMOKE_SEEDS]
    return replace(study, name=f"{study.name}-smoke", variants=table, seeds=seeds, looks=(), smoke=True)
