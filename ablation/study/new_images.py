"""A new study file for an image classifier: a baseline that suits the images, a few changes, comments that teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ablation._util.sanitize import one_line
from ablation.errors import UserError
from ablation.registry import catalog
from ablation.registry.custom_names import is_custom
from ablation.registry.models.architecture import Architecture
from ablation.registry.torchvision_names import PREFIX
from ablation.study.image_folder_facts import FolderFacts, look_at_folder
from ablation.study.strict_yaml import parse_scalar
from ablation.study.validation_errors import is_known_path, known_paths, may_be_custom, meant_paths
from ablation.study.variants import with_change
from ablation.study.yaml_text import flow, scalar

PUBLISHED = {"digits": 1437, "mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000}
"""The built-in data sets and their training images."""
DEFAULT_CHANGES = ("dropout", "norm", "schedule")
PRETRAINED_CHANGES = ("weights", "freeze", "schedule")
VALIDATION = 0.2
_NOUNS = {
    "name": "model",
    "norm": "normalisation",
    "schedule": "learning-rate decay",
    "augment": "augmentation",
    "lr": "learning rate",
    "fraction": "data fraction",
    "weights": "pretraining",
    "freeze": "freezing",
}
"""Options whose key is not what they are called in a sentence."""
_COLUMN = 42
"""Where comments begin."""
_SMALL, _LARGE = 2_000, 20_000
"""Training images below and from which a study has its longest and its shortest training."""


class Change(NamedTuple):
    """What is varied: an option, its values, and what a reader should know of it."""

    path: str
    values: Sequence[Any]
    why: str = ""


@dataclass(frozen=True)
class ImagesRequest:
    """What is to become a study: a built-in data set, or else a folder of images.

    `vary` has `dropout` for a usual change, and `dropout=0.1,0.5` or `model.dropout=0.1,0.5` for values. A `model` that
    is None is chosen by the images.
    """

    data: str = ""
    folder: str = ""
    model: str | None = None
    vary: tuple[str, ...] = ()
    seeds: int = 5


@dataclass(frozen=True)
class NewStudy:
    """A study file, and what was chosen in it, a line each."""

    text: str
    chosen: tuple[str, ...]


def study_of_images(request: ImagesRequest, name: str, command: str) -> NewStudy:
    """The text of the study `name`; `command` is what was typed.

    Raises UserError where the images are not laid out as they must be, and where a model or a change is not known.
    """
    return _Writer(request, name, command).study()


def default_changes(data: str, model: str) -> tuple[str, ...]:
    """The usual changes that a study has unless others are asked for.

    That of digits has fewer images, too: with all of them there is little left to gain, so that the others look alike.
    """
    own = PRETRAINED_CHANGES if model.startswith(PREFIX) else DEFAULT_CHANGES
    return (*own, "fraction") if data == "digits" else own


def usual_changes(model: str) -> Mapping[str, str]:
    """The changes that need no values -> what they are, for a model."""
    recipe = _Recipe({"name": "cifar10"}, 50_000, 32, model)
    return {name: change.why for name, change in recipe.changes().items()}


class _Recipe:
    """The baseline for a model and so many images of `side` pixels."""

    def __init__(self, data: dict[str, Any], images: int, side: int, model: str) -> None:
        self.pretrained, self.custom = model.startswith(PREFIX), is_custom(model)
        self.images, self.side, self.model = images, side, model
        self.grey = data["name"] in ("digits", "mnist", "fashion_mnist")
        self.norm = "" if self.pretrained or self.custom else _architecture(model).norm
        own: dict[str, Any] = {"name": model}
        own |= {"weights": "DEFAULT"} if self.pretrained else {}
        own |= {"norm": self.norm, "dropout": 0.0} if self.norm else {}
        lr = 0.001 if self.pretrained else 0.02
        optimizer: dict[str, Any] = {"name": "sgd", "lr": lr, "momentum": 0.9, "weight_decay": 0.0}
        optimizer |= {"head_lr_multiplier": 10} if self.pretrained else {}
        epochs = 10 if self.pretrained or images >= _LARGE else 20
        batch = 32 if self.pretrained or images < _SMALL else 64 if images < _LARGE else 128
        self.sections: dict[str, Any] = {
            "data": data,
            "model": own,
            "optimizer": optimizer,
            "schedule": {"name": "constant"},
            "train": {"epochs": epochs, "batch_size": batch},
        }

    def changes(self) -> dict[str, Change]:
        """The changes that need no values, by the names that they go by."""
        optimizer, train = self.sections["optimizer"], self.sections["train"]
        lr, batch = optimizer["lr"], train["batch_size"]
        crop: list[Any] = [{"name": "crop", "padding": 1 if self.side < 16 else 2}] if self.grey else ["crop", "flip"]
        found = {
            "schedule": Change("schedule", ["cosine"], "learning-rate decay: from lr to 0 along half a cosine"),
            "augment": Change("data.augment", [crop], f"shifted{'' if self.grey else ' and mirrored'} at random"),
            "lr": Change("optimizer.lr", [lr / 2, lr * 2], "half and twice the learning rate"),
            "weight_decay": Change("optimizer.weight_decay", [5e-4], "L2 penalty on the weights"),
            "batch_size": Change("train.batch_size", [batch // 2, batch * 2], "images per step"),
            "label_smoothing": Change("train.label_smoothing", [0.1], "share of the label spread over all classes"),
            "fraction": Change("data.fraction", [0.25, 0.5], "what more training images would be worth"),
        }
        if self.norm:
            other = "batch" if self.norm == "none" else "none"
            found = {
                "dropout": Change("model.dropout", [0.2, 0.5], "probability that a unit is dropped while training"),
                "norm": Change("model.norm", [other], "none, batch, group, instance or layer"),
                "activation": Change("model.activation", ["gelu"], "instead of ReLU"),
                **found,
            }
        if self.pretrained:
            found = {
                "weights": Change("model.weights", ["none"], "random initial weights: what is pretraining worth?"),
                "freeze": Change("model.freeze", ["features"], "only the classifier is trained"),
                **found,
            }
        return found


class _Writer:
    """Looks at the images, chooses what suits them, and writes the file."""

    def __init__(self, request: ImagesRequest, name: str, command: str) -> None:
        self.request, self.name, self.command = request, name, command
        self.facts = look_at_folder(Path(request.folder)) if request.folder else None
        self.images = self.facts.images if self.facts else _published(request.data)
        self.model = request.model or self._likely_model()
        if not is_custom(self.model) and self.model not in (*catalog.MODELS, *catalog.TORCHVISION):
            raise UserError(f"unknown model {self.model!r}", catalog.model_suggestion(self.model))
        self.side = self._side()
        self.recipe = _Recipe(self._data(), self.images, self.side, self.model)
        self.changes = self._changes()

    def study(self) -> NewStudy:
        """The text of the file, and what was chosen in it."""
        own = self.facts
        counted = [f"{one_line(self.request.folder)}: {own.counts}, {own.sizes}{_of_some(own)}"] if own else []
        size = [f"images are scaled to {self.side} x {self.side} pixels: {self._why_side()}"] if own else []
        train = self.recipe.sections["train"]
        model = f"{self.model}, {train['epochs']} epochs in batches of {train['batch_size']} images"
        return NewStudy("\n".join(self._lines(counted)) + "\n", (*counted, *size, model))

    def _likely_model(self) -> str:
        small = self.facts is None or self.facts.short_side < 48
        return "lenet5" if small else "resnet9"

    def _side(self) -> int:
        """The side that images are scaled to: that of built-in data sets is their own."""
        if self.facts is None:
            return {"digits": 8, "mnist": 28, "fashion_mnist": 28}.get(self.request.data, 32)
        least = 8 if is_custom(self.model) else max(8, catalog.smallest_side(self.model, {}))
        sides = [32, 64, 96, 128, 160, 192, 224] if self.model.startswith(PREFIX) else [32, 64]
        fitting = [side for side in sides if side <= self.facts.short_side]
        return max(least, fitting[-1] if fitting else min(32, self.facts.short_side))

    def _why_side(self) -> str:
        assert self.facts
        return f"the shorter side has {self.facts.short_side} (median)"

    def _data(self) -> dict[str, Any]:
        if self.facts is None:
            return {"name": self.request.data, "validation": VALIDATION, "augment": []}
        own = {"name": "image_folder", "path": self.request.folder, "size": self.side}
        return {**own, "validation": VALIDATION, "augment": []}

    def _changes(self) -> list[Change]:
        usual = self.recipe.changes()
        chosen = self.request.vary or default_changes(self.request.data, self.model)
        found = [self._change(text, usual) for text in chosen if self.request.vary or text in usual]
        twice = next((own.path for place, own in enumerate(found) if own.path in {o.path for o in found[:place]}), None)
        if twice:
            raise UserError(f"--vary {twice} is given twice", f"give all values together: --vary {twice}=VALUE,...")
        return found

    def _change(self, text: str, usual: Mapping[str, Change]) -> Change:
        name, sign, values = (part.strip() for part in text.partition("="))
        if not sign:
            if change := usual.get(name) or next((own for own in usual.values() if own.path == name), None):
                return change
            hint = f"without values it can be {', '.join(usual)}; with values any option: --vary model.dropout=0.1,0.5"
            raise UserError(f"--vary {text}: which values?", hint)
        path = usual[name].path if name in usual else name
        if not (is_known_path(path) or (self.recipe.custom and may_be_custom(path))):
            meant = meant_paths(path)
            if len(meant) != 1:
                hint = f"write {' or '.join(meant)}" if meant else catalog.suggestion(path, known_paths())
                raise UserError(f"--vary {text}: unknown option {path!r}", hint[:200])
            path = meant[0]
        others = [value for value in _values(text, values) if not self._is_baseline(path, value)]
        if not others:
            hint = f"add other values: --vary {path}={values},..."
            raise UserError(f"--vary {text}: there is nothing to compare with the baseline, which has {values}", hint)
        return Change(path, others, next((own.why for own in usual.values() if own.path == path), ""))

    def _is_baseline(self, path: str, value: Any) -> bool:
        return with_change(self.recipe.sections, path, value) == self.recipe.sections

    def _lines(self, counted: list[str]) -> list[str]:
        title = f"What do {_listing([own.path.rpartition('.')[2] for own in self.changes])} do for {self.model}?"
        variants = 1 + sum(len(own.values) for own in self.changes)
        return [
            f"# Written by: {one_line(self.command)}",
            *(f"# {line}" for line in counted),
            "# Try it in seconds with --smoke; every key is explained in docs/study-files.md.",
            _line(f"study: {scalar(self.name)}", "names the folders of its results and of its report"),
            f"title: {scalar(title)}",
            f"question: {scalar('Which of these changes moves the validation accuracy?')}",
            "",
            "baseline:                                 # the recipe that everything is compared with",
            *self._data_lines(),
            *self._recipe_lines(),
            "",
            _line(f"seeds: {self.request.seeds}", "each variant is trained under the same seeds; 5 or more for claims"),
            f"# {variants} variants x {self.request.seeds} seeds = {variants * self.request.seeds} runs. `ablate plan` "
            "shows them; with --hours 2 it says what fits into two hours.",
            "",
            _line("vary:", "each value is one variant: ONE change away from the baseline"),
            *(_line(f"  {scalar(own.path)}: {flow(list(own.values))}", own.why) for own in self.changes),
            "",
            *self._next_lines(),
        ]

    def _data_lines(self) -> list[str]:
        data = self.recipe.sections["data"]
        held = round(self.images * data["validation"])
        own = self.facts
        lines = ["  data:", f"    name: {scalar(data['name'])}"]
        if own:
            test = "test/<class>/ is there for `ablate test`" if own.has_test else "add test/<class>/ for `ablate test`"
            lines += [
                _line(f"    path: {scalar(data['path'])}", f"seen from where you start `ablate`; {test}"),
                _line(f"    size: {self.side}", f"pixels: {self._why_side()}; twice the size is 4 times the work"),
            ]
        share = f"share held out to compare variants on: about {held:,} images, {100 / held:.2g} points each"
        augment = f"none; {'for example [crop]' if self.recipe.grey else 'try [crop, flip]'}: of training images only"
        lines.append(_line(f"    validation: {data['validation']}", share))
        return [*lines, _line("    augment: []", augment)]

    def _recipe_lines(self) -> list[str]:
        sections = self.recipe.sections
        data = sections["data"]
        steps = -(-round(self.images * (1 - data["validation"])) // sections["train"]["batch_size"])
        notes = {
            "model": "`ablate list models` and `ablate list torchvision` show others",
            "optimizer": "lr is the learning rate, head_lr_multiplier its multiple for the new classifier"
            if self.recipe.pretrained
            else "lr is the learning rate; adam and adamw want a smaller one, such as 0.001",
            "schedule": "of the learning rate: constant, step, cosine, ...",
            "train": f"{steps:,} steps an epoch; the epoch with the best validation accuracy counts",
        }
        return [line for key, note in notes.items() for line in _section(key, sections[key], note)]

    def _next_lines(self) -> list[str]:
        tried = {own.path for own in self.changes}
        more = [own for own in self.recipe.changes().values() if own.path not in tried][:4]
        return [
            "# What to try next: remove the # in front of a line.",
            *(_line(f"#  {own.path}: {flow(list(own.values))}", own.why) for own in more),
            _line("# controls: [a/a]", "the baseline under other seeds: any difference from it is noise"),
            _line("# analysis: {margin: 0.01}", "differences below one point of accuracy do not matter"),
        ]


def _published(name: str) -> int:
    if name not in PUBLISHED:
        hint = f"{catalog.suggestion(name, PUBLISHED)}; your own images: --images FOLDER"
        raise UserError(f"unknown data set {name!r}", hint)
    return PUBLISHED[name]


def _architecture(model: str) -> Architecture:
    return catalog.MODELS[model].of({})


def _values(text: str, values: str) -> list[Any]:
    """`0.1,[crop, flip]` as values: what is between brackets is one of them."""
    found = parse_scalar(f"[{values}]") if values else []
    if not isinstance(found, list) or not found or None in found:
        raise UserError(f"--vary {text}: it has no values", "write it as --vary model.dropout=0.1,0.5")
    return found


def _of_some(facts: FolderFacts) -> str:
    return "" if facts.opened == facts.images else f" ({facts.opened} of them looked at)"


def _listing(names: Sequence[str]) -> str:
    words = [_NOUNS.get(name, name.replace("_", " ")) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _line(text: str, comment: str) -> str:
    return f"{text:<{_COLUMN - 1}} # {one_line(comment)}" if comment else text


def _section(key: str, own: Mapping[str, Any], note: str) -> list[str]:
    """A section on one line, its comment above it where there is no room beside it."""
    text = f"  {key}: {flow(own)}"
    return [_line(text, note)] if len(text) < _COLUMN else [f"  # {note}", text]
