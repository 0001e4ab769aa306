"""Components and grids -> variants: each set of components, and each point of a grid, as a recipe, or what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import prod
from typing import Any, Protocol, get_args

from ablation._util.hashing import canonical_json
from ablation.registry import catalog
from ablation.study import designs, variants
from ablation.study.designs import MOST_FACTORIAL, MOST_POINTS, Component, DesignName
from ablation.study.kinds import AnyFile, StudyKind
from ablation.study.schema import AnyRecipe, Variant, changed
from ablation.study.strict_yaml import Loc
from ablation.study.variants import VariantTable


class Checker(Protocol):
    """What notes the faults of a study file, and makes recipes of changes."""

    @property
    def kind(self) -> StudyKind: ...
    def problem(self, loc: Loc, message: str, hint: str | None, *, key: bool = False) -> None: ...
    def check_recipe(self, recipe: AnyRecipe, loc: Loc) -> None: ...
    def resolve(
        self, baseline: AnyRecipe, changes: dict[str, Any], loc: Loc, places: Mapping[str, Loc] | None = None
    ) -> AnyRecipe | None: ...


def same_training(first: AnyRecipe, second: AnyRecipe) -> bool:
    """Whether two recipes train the same, however they are written."""
    return canonical_json(first.canonical()) == canonical_json(second.canonical())


@dataclass(frozen=True)
class Switches:
    """The components of a file as the baseline has them: `base` says which are on, `options` switch each the other way.

    `places` says where an option of a component stands in the file.
    """

    base: Mapping[str, bool]
    options: Mapping[str, Mapping[str, Any]]
    places: Mapping[str, Mapping[str, Loc]]

    def changes(self, on: frozenset[str]) -> tuple[dict[str, Any], dict[str, Loc]]:
        """The changes of the baseline that have just the components `on` on, and their places."""
        switched = [name for name, before in self.base.items() if (name in on) != before]
        options = {path: value for name in switched for path, value in self.options[name].items()}
        return designs.in_order(options), {path: loc for name in switched for path, loc in self.places[name].items()}

    @property
    def on(self) -> frozenset[str]:
        """The components that are on in the baseline."""
        return frozenset(name for name, state in self.base.items() if state)


class DesignVariants:
    """Adds the variants of the designs of a file to those that it declares one by one."""

    def __init__(self, file: AnyFile, checker: Checker) -> None:
        self.file = file
        self.checker = checker
        self.needs = designs.closure(file.components)
        self.circle = designs.circle(file.components)

    def add(self, table: VariantTable) -> None:
        """Append the variants of every design; a variant that is in `table` already gets its components."""
        if not self._declared():
            return
        switches = self._switches()
        if switches is None or not self._fits(switches):
            return
        table.put(replace(table.baseline, components=dict(switches.base)))
        known = {switches.on: table.baseline.name}
        for number, design in enumerate(self.file.design):
            for on, name in designs.on_sets(design, self.needs).items():
                if on not in known:
                    known[on] = name
                    self._add(table, switches, on, name, design, number)

    def _add(
        self, table: VariantTable, switches: Switches, on: frozenset[str], name: str, design: DesignName, number: int
    ) -> None:
        loc: Loc = ("design", number)
        changes, places = switches.changes(on)
        recipe = self.checker.resolve(self.file.baseline, changes, loc, places)
        if recipe is None:
            return
        components = {component: component in on for component in switches.base}
        twin = table.twin(recipe)
        if twin and twin.components:
            hint = "if a component has an effect only together with another, declare that: needs"
            self.checker.problem(loc, f"the variants {twin.name!r} and {name!r} are the same training", hint)
        elif twin:
            table.put(replace(twin, components=components))
        elif name in table.names:
            self.checker.problem(loc, f"the name {name!r} is already used", "rename the component or the other variant")
        else:
            self.checker.check_recipe(recipe, loc)
            table.put(Variant(name, changes, recipe, design, loc, components=components))

    def _declared(self) -> bool:
        """Whether there is a design with components, each of which says what it is."""
        problem, components, design = self.checker.problem, self.file.components, self.file.design
        if design and not components:
            problem(("design",), "there are no components for the design", "declare them under components", key=True)
        if components and not design:
            hint = f"add design: {' or '.join(get_args(DesignName))}"
            problem(("components",), "the components have no design", hint, key=True)
        if "factorial" in design and len(components) > MOST_FACTORIAL:
            table, seeds = 2 ** len(components), len(self.file.every_seed)
            message = f"a factorial design of {len(components)} components has {table} variants"
            hint = f"at most {MOST_FACTORIAL} components; leave_one_out and add_one_in need one variant per component"
            problem(("design",), f"{message}, x {seeds} seeds = {table * seeds} runs", hint)
            return False
        sound = [self._sound(name, component) for name, component in components.items()]
        return bool(design) and bool(components) and all(sound) and self._apart()

    def _sound(self, name: str, component: Component) -> bool:
        loc: Loc = ("components", name)
        problem = self.checker.problem
        unknown = [need for need in component.needs if need not in self.file.components]
        if not component.on and not component.off:
            hint = "give its options when on or off, for example off: {model.dropout: 0}"
            problem(loc, f"the component {name!r} has no options", hint, key=True)
        elif component.on and component.off and component.on.keys() != component.off.keys():
            lone = ", ".join(sorted(component.on.keys() ^ component.off.keys()))
            problem(
                loc, f"on and off of {name!r} name different options: {lone}", "give the same options in both", key=True
            )
        elif unknown:
            others = [other for other in self.file.components if other != name]
            hint = catalog.suggestion(unknown[0], others)
            problem((*loc, "needs"), f"{name!r} needs an unknown component {unknown[0]!r}", hint)
        elif name == self.circle:
            problem(
                (*loc, "needs"), f"the component {name!r} needs itself, directly or through others", "remove the cycle"
            )
        else:
            return True
        return False

    def _apart(self) -> bool:
        """Whether no option belongs to two components."""
        sound = True
        own = {name: self.checker.kind.options_of({**c.on, **c.off}) for name, c in self.file.components.items()}
        for first, second in combinations(own, 2):
            for option in sorted(own[first] & own[second]):
                message = f"{option} belongs to the component {first!r} and to {second!r}"
                self.checker.problem(("components", second), message, "give each option to one component", key=True)
                sound = False
        return sound

    def _switches(self) -> Switches | None:
        """What switches each component, or None where that is not valid."""
        found = {name: self._switch(name, component) for name, component in self.file.components.items()}
        sound = {name: switch for name, switch in found.items() if switch}
        if len(sound) < len(found):
            return None
        return Switches(
            {name: on for name, (on, _, _) in sound.items()},
            {name: options for name, (_, options, _) in sound.items()},
            {name: places for name, (_, _, places) in sound.items()},
        )

    def _switch(self, name: str, component: Component) -> tuple[bool, dict[str, Any], dict[str, Loc]] | None:
        """(whether it is on in the baseline, the options that switch it the other way, where these are)."""
        on = self._state(name, component) if component.on and component.off else bool(component.off)
        if on is None:
            return None
        side, options = ("off", component.off) if on else ("on", component.on)
        return on, options, {path: ("components", name, side, path) for path in options}

    def _state(self, name: str, component: Component) -> bool | None:
        """Whether a component with both sides is on in the baseline; None, and a fault, where it is neither."""
        baseline, recipes = self.file.baseline, []
        for side, options in (("on", component.on), ("off", component.off)):
            loc: Loc = ("components", name, side)
            places = {path: (*loc, path) for path in options}
            recipe = self.checker.resolve(baseline, designs.in_order(options), loc, places)
            if recipe is None:
                return None
            recipes.append(recipe)
        for alike in (_written_alike, same_training):  # what is written goes before what it comes to
            states = [alike(baseline, recipe) for recipe in recipes]
            if any(states):
                return states[0]
        sides = (f"{path}: {_show(value)} or {_show(component.off[path])}" for path, value in component.on.items())
        hint = f"give its options in the baseline the values of on or of off: {', '.join(sides)}"
        message = f"in the baseline, the component {name!r} is neither on nor off"
        self.checker.problem(("components", name), message, hint, key=True)
        return None

    def _fits(self, switches: Switches) -> bool:
        """Whether every component changes something, and the baseline is one that the designs can have."""
        sound = [self._effective(name, switches) for name in switches.base]
        for name in switches.on:
            missing = sorted(self.needs[name] - switches.on)
            if missing:
                message = f"in the baseline {name!r} is on, but {missing[0]!r}, which it needs, is off"
                hint = "switch both on in the baseline, or both off"
                self.checker.problem(("components", name, "needs"), message, hint)
                sound.append(False)
        return self._whole(switches) and all(sound)

    def _whole(self, switches: Switches) -> bool:
        """Whether leave_one_out, where it is asked for, finds everything on in the baseline."""
        lacking = [name for name, on in switches.base.items() if not on]
        if "leave_one_out" not in self.file.design or not lacking:
            return True
        message = f"leave_one_out needs every component on in the baseline, but these are off: {', '.join(lacking)}"
        options = (f"{path}: {_show(value)}" for name in lacking for path, value in switches.options[name].items())
        hint = f"set {', '.join(options)} in the baseline, or use add_one_in or factorial"
        self.checker.problem(("design",), message, hint)
        return False

    def _effective(self, name: str, switches: Switches) -> bool:
        """Whether switching a component changes the training, where all that it needs is on and nothing needs it."""
        dependents = {other for other in self.needs if name in self.needs[other]}
        with_it = (switches.on | self.needs[name]) - (dependents - {name})
        recipes = []
        for on in (with_it, with_it - {name}):
            changes, places = switches.changes(on)
            recipes.append(self.checker.resolve(self.file.baseline, changes, ("components", name), places))
        first, second = recipes
        if first is None or second is None:
            return False
        if not same_training(first, second):
            return True
        component = self.file.components[name]
        loc: Loc = ("components", name)
        message = f"on and off of {name!r} are the same training"
        if not (component.on and component.off):
            side = "on" if component.on else "off"
            loc, message = (*loc, side), f"{name!r} {side} is the same training as the baseline"
        hint = "give other options; if it has an effect only with another component, declare that: needs"
        self.checker.problem(loc, message, hint)
        return False


class GridVariants:
    """Adds the points of the grids of a file to the variants that it declares otherwise."""

    def __init__(self, file: AnyFile, checker: Checker) -> None:
        self.file = file
        self.checker = checker

    def add(self, table: VariantTable) -> dict[str, dict[str, dict[str, object]]]:
        """Append the points that `table` does not have yet; returns grid -> variant -> its values on the axes."""
        return {name: self._grid(name, axes, table) for name, axes in self.file.grid.items() if self._sound(name, axes)}

    def _sound(self, name: str, axes: Mapping[str, list[Any]]) -> bool:
        loc: Loc = ("grid", name)
        points, seeds = prod(len(values) for values in axes.values()), len(self.file.every_seed)
        if len(axes) < 2:
            message = f"grid.{name} has fewer than two options"
            self.checker.problem(loc, message, "declare the values of a single option under vary", key=True)
        elif points > MOST_POINTS:
            message = f"grid.{name} has {points} points, x {seeds} seeds = {points * seeds} runs"
            self.checker.problem(loc, message, f"at most {MOST_POINTS} points in a grid", key=True)
        else:
            return True
        return False

    def _grid(self, name: str, axes: Mapping[str, list[Any]], table: VariantTable) -> dict[str, dict[str, object]]:
        points: dict[str, dict[str, object]] = {}
        for indices in product(*(range(len(values)) for values in axes.values())):
            values = {path: axes[path][index] for path, index in zip(axes, indices, strict=True)}
            places: dict[str, Loc] = {p: ("grid", name, p, i) for p, i in zip(axes, indices, strict=True)}
            recipe = self.checker.resolve(self.file.baseline, designs.in_order(values), ("grid", name), places)
            if recipe is None:
                continue
            twin = table.twin(recipe)
            if twin and twin.name in points:
                message = f"two points of grid.{name} are the same training: {twin.name!r} again"
                self.checker.problem(places[next(reversed(places))], message, "list each value once")
            variant = twin or self._variant(name, values, recipe, table)
            points[variant.name] = values
        return points

    def _variant(self, grid: str, values: dict[str, Any], recipe: AnyRecipe, table: VariantTable) -> Variant:
        """The variant of a point, appended to `table`."""
        self.checker.check_recipe(recipe, ("grid", grid))
        before, after = self.file.baseline.model_dump(), recipe.model_dump()
        moved = {path: value for path, value in values.items() if _part(before, path) != _part(after, path)}
        name = _name(values, (self.checker.kind.label(path, value, recipe) for path, value in values.items()), table)
        if name in table.names:
            self.checker.problem(
                ("grid", grid), f"the name {name!r} is already used", "rename the other variant", key=True
            )
        variant = Variant(name, moved, recipe, "grid", ("grid", grid))
        table.put(variant)
        return variant


def _part(sections: Mapping[str, Any], path: str) -> object:
    part: Any = sections
    for key in path.split("."):
        part = part.get(key) if isinstance(part, Mapping) else None
    return part


def _name(values: Mapping[str, Any], labels: Iterable[str], table: VariantTable) -> str:
    """The short labels of all axes; the long ones where that name is taken."""
    short = ", ".join(labels)
    long = ", ".join(variants.long_label(path, value) for path, value in values.items())
    return long if short in table.names else short


def _written_alike(first: AnyRecipe, second: AnyRecipe) -> bool:
    return not changed(first, second)


def _show(value: object) -> str:
    """A value as a study file has it."""
    return "[]" if value == [] else variants.show(value)
