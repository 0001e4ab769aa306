"""What a run starts from: its network, initialised or with weights of another training, and what of it is frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ablation._util.hashing import file_sha256
from ablation.data.sources import ImageSet
from ablation.errors import UserError
from ablation.planning.run import Run
from ablation.planning.weights import hub_folder, weights_file
from ablation.registry.catalog import TORCHVISION
from ablation.registry.models.layers import Network
from ablation.registry.torchvision_names import PREFIX
from ablation.rng import derive, seed_foreign
from ablation.training import components
from ablation.training.data import Input
from ablation.training.models.initial import initialise, initialise_head, knows
from ablation.training.sizes import Classifier, build_network, network_input

SHOWN = 6
"""Names of parameters that an error lists."""


@dataclass(frozen=True)
class Weights:
    """Weights by name, and where they are known: the classes that they tell apart, and their images' mean and
    standard deviation for each channel, in grey levels."""

    state: Mapping[str, Tensor]
    classes: tuple[str, ...] | None = None
    statistics: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Start:
    """The network of a run before its first step, and how its images are to be given to it."""

    classifier: Classifier
    input: Input


def start(run: Run, image: tuple[int, int, int], classes: tuple[str, ...]) -> Start:
    """Build the network of `run` for images of (channels, height, width), on the CPU.

    What is not loaded is drawn from the streams of the run's seed. Raises UserError where the weights cannot be had or
    do not fit.
    """
    weights = read_weights(run)
    if run.codes:
        seed_foreign(derive(run.seeds, "custom"))
    torch.manual_seed(derive(run.seeds, "init"))  # for layers that only torchvision or the user has a rule for
    classifier = build_network(run.image_recipe, image, len(classes), run.model_code)
    if not run.model_code:  # custom models initialise themselves
        _initialise(classifier, run)
    if weights:
        fit(classifier, weights, classes, _source(run))
    channels, side = network_input(run.image_recipe, image)
    return Start(classifier, Input(channels, side, weights.statistics if weights else None))


def _initialise(classifier: Classifier, run: Run) -> None:
    network, head, init = classifier.network, classifier.head_layer, run.image_recipe.model.init
    if isinstance(network, Network) or knows(network):
        initialise(network, run.seeds, init, head)
    else:
        initialise_head(classifier.head, head, run.seeds, init.linear)


def try_weights(run: Run, images: ImageSet) -> None:
    """Raise UserError where `run` cannot start from the weights that it names, or its custom code fails on trial."""
    channels, height, width = images.images.shape[1:]
    classifier = start(run, (int(channels), int(height), int(width)), images.classes).classifier
    for stage in run.image_recipe.stages(1):
        freeze(classifier, stage.freeze)
        groups = parameter_groups(classifier, stage.optimizer.head_lr_multiplier)
        components.try_optimizer(stage.optimizer, run.codes, groups)
        components.try_schedule(stage.schedule, run.codes)
    components.try_augmentations(run.image_recipe.data, run.codes, images.images[:2])


def _source(run: Run) -> str:
    model = run.image_recipe.model
    return model.checkpoint or str(hub_folder() / TORCHVISION[model.name].file)


def read_weights(run: Run) -> Weights | None:
    """The weights that `run` starts from, None for none. Raises UserError where they cannot be had or read."""
    model = run.image_recipe.model
    if model.weights == "none":
        return None
    if model.checkpoint is None:
        from ablation.training.models.pretrained import default_weights

        found = default_weights(model.name)
        return Weights(found.state, found.classes, (found.mean, found.deviation))
    return _read_checkpoint(weights_file(model, run.weights), run)


def _read_checkpoint(path: Path, run: Run) -> Weights:
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}", "it was there when the study was planned; put it back")
    if run.weights and file_sha256(path) != run.weights:
        raise UserError(f"{path} has changed since the study was planned", "run the same command again")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what is no checkpoint raises almost anything
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UserError(f"{path} is no checkpoint: {what}", "name the best.pt or last.pt of a run") from None
    if isinstance(content, Mapping) and "schema_version" in content and isinstance(content.get("model"), Mapping):
        classes, statistics = content.get("classes"), content.get("statistics")
        return Weights(content["model"], tuple(classes) if classes else None, tuple(statistics) if statistics else None)
    if isinstance(content, Mapping) and content and all(isinstance(value, Tensor) for value in content.values()):
        return _bare(content, run.image_recipe.model.name)
    hint = "name the best.pt or last.pt of a run, or a file that holds a state_dict"
    raise UserError(f"{path} holds no weights by name", hint)


def _bare(state: Mapping[str, Tensor], name: str) -> Weights:
    """A plain state dict; one for a network of torchvision is taken to want the pixels that torchvision's own want."""
    if name not in TORCHVISION:
        return Weights(state)
    from ablation.training.models.pretrained import default_statistics, renamed

    return Weights(renamed(name.removeprefix(PREFIX), state), None, default_statistics(name))


def fit(classifier: Classifier, weights: Weights, classes: tuple[str, ...], source: str) -> None:
    """Load `weights` into a network, all but the head where that is for other classes.

    The head is for the same classes if their names are equal, or, where these are not known, their number.
    Raises UserError that names every parameter that is missing, unknown, or of another shape.
    """
    own = classifier.network.state_dict()
    head = {key for key in own if key.startswith(f"{classifier.head}.")}
    alike = all(key in weights.state and weights.state[key].shape == own[key].shape for key in head)
    keep_head = alike and weights.classes in (None, classes)
    wanted = own.keys() - (set() if keep_head else head)
    given = weights.state.keys() - (set() if keep_head else head)
    optional = {key for key in wanted if key.endswith(".num_batches_tracked")}
    shapes = [
        f"{key} is {tuple(weights.state[key].shape)}, not {tuple(own[key].shape)}"
        for key in own
        if key in wanted & given and weights.state[key].shape != own[key].shape
    ]
    faults = [f"it lacks {_listed(sorted(wanted - given - optional))}"] if wanted - given - optional else []
    faults += [f"it has {_listed(sorted(given - wanted))}, which the network lacks"] if given - wanted else []
    faults += [_listed(shapes)] if shapes else []
    if faults:
        hint = "the options of `model` must be those of the network that the weights were trained with"
        raise UserError(f"{source} is of another network: {'; '.join(faults)}", hint)
    classifier.network.load_state_dict({key: weights.state[key] for key in wanted & given}, strict=False)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def frozen_parts(classifier: Classifier) -> list[nn.Module]:
    """What `freeze: features` freezes: every part of the network but the one that holds the head."""
    own = classifier.head.partition(".")[0]
    others = (part for name, part in classifier.network.named_children() if name != own)
    return [part for part in others if next(part.parameters(), None) is not None]


def is_frozen(classifier: Classifier, name: str) -> bool:
    """Whether `freeze: features` freezes the parameter `name`."""
    return name.partition(".")[0] != classifier.head.partition(".")[0]


def freeze(classifier: Classifier, what: str) -> None:
    """Let gradients reach the parameters that are trained, and no others (`what`: `none` or `features`).

    The gradients of an earlier stage are cleared: a resumed run does not have them.
    """
    for name, parameter in classifier.network.named_parameters():
        parameter.requires_grad_(what == "none" or not is_frozen(classifier, name))
        parameter.grad = None


def trained_parameters(classifier: Classifier) -> list[nn.Parameter]:
    """Those that are not frozen, in the order of the network."""
    return [parameter for parameter in classifier.network.parameters() if parameter.requires_grad]


def train_mode(classifier: Classifier, what: str) -> None:
    """Training mode, but for frozen parts: their BatchNorm keeps its statistics, their dropout drops nothing."""
    classifier.network.train()
    for part in frozen_parts(classifier) if what == "features" else []:
        part.eval()


def parameter_groups(classifier: Classifier, head_lr_multiplier: float) -> list[dict[str, Any]]:
    """The parameters that are trained as groups for an optimiser; each says how its learning rate is multiplied.

    There is a single group unless the head has a rate of its own.
    """
    trained = trained_parameters(classifier)
    if head_lr_multiplier == 1:
        return [{"params": trained, "lr_multiplier": 1.0}]
    head = set(classifier.head_layer.parameters())
    groups = [
        {"params": [parameter for parameter in trained if parameter not in head], "lr_multiplier": 1.0},
        {"params": [parameter for parameter in trained if parameter in head], "lr_multiplier": head_lr_multiplier},
    ]
    return [group for group in groups if group["params"]]


def count_trainable(classifier: Classifier, frozen: bool) -> int:
    """The number of parameters that are trained, with the features frozen or not."""
    named = classifier.network.named_parameters()
    return sum(parameter.numel() for name, parameter in named if not (frozen and is_frozen(classifier, name)))
