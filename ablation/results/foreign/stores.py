"""The stores that runs can be imported from, by name."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import MappingProxyType

from ablation.results.foreign.logged import Declared, LoggedRuns

_READERS = MappingProxyType(
    {
        "mlflow": "mlflow_store:read_mlflow",
        "tensorboard": "tensorboard_runs:read_tensorboard",
        "wandb": "wandb_runs:read_wandb",
        "trackio": "trackio_store:read_trackio",
        "hydra": "hydra_runs:read_hydra",
        "csv": "csv_runs:read_csv",
    }
)
TOOLS = tuple(_READERS)


def read_store(tool: str, path: Path, declared: Declared) -> LoggedRuns:
    """The runs of one experiment in a store of `tool`, one of `TOOLS`.

    Raises UserError where there is no such store or experiment, or a file of it is damaged.
    """
    module, _, function = _READERS[tool].partition(":")
    found = getattr(importlib.import_module(f"{__package__}.{module}"), function)(path, declared)
    assert isinstance(found, LoggedRuns)
    return found
