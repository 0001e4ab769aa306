"""Ten runs of known values, and writers that log them with the real library of each experiment tracker.

`python -m tests.logged_runs WRITER FOLDER` writes the store of one of them. tests/data/stores.zip holds what they
wrote: MLflow 3.17, TensorBoard 2.21 by torch, Hydra 1.3, Lightning 2.6, Transformers 5.24, W&B 0.31 (offline) and
Trackio 0.43. The last two ran in an environment of their own: they are large and bring another version of pillow.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

EPOCHS = 3


@dataclass(frozen=True)
class Run:
    """One training run: what it logs as parameters, and its metrics by epoch."""

    lr: float
    dropout: float
    seed: int
    failed: bool = False

    @property
    def parameters(self) -> dict[str, object]:
        batch = 64 if self.lr == 0.01 else 128
        return {
            "lr": self.lr, "dropout": self.dropout, "seed": self.seed, "amp": True,
            "data": {"batch_size": batch, "name": "moons"}, "output_dir": f"out/{self.name}",
        }  # fmt: skip

    @property
    def name(self) -> str:
        return f"{'failed-' if self.failed else ''}lr{self.lr}-d{self.dropout}-s{self.seed}"

    @property
    def values(self) -> list[float]:
        """Validation accuracy of each epoch."""
        noise = 0.002 * ((2 * self.seed + (self.lr == 0.01) + (self.dropout > 0) * self.seed) % 3)
        at = 0.8 - 0.05 * (self.lr == 0.01) + 0.03 * (self.dropout > 0) + 0.004 * self.seed + noise
        return [at + 0.01 * epoch for epoch in range(1 if self.failed else EPOCHS)]


RUNS = (
    Run(0.1, 0.5, 0, failed=True),
    *(Run(lr, dropout, seed) for lr, dropout in ((0.1, 0.0), (0.01, 0.0), (0.1, 0.5)) for seed in range(3)),
)


def flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def mlflow_database(folder: Path) -> Path:
    _mlflow(f"sqlite:///{folder / 'mlflow.db'}")
    return folder / "mlflow.db"


def mlflow_folder(folder: Path) -> Path:
    _mlflow((folder / "mlruns").as_uri())
    return folder / "mlruns"


def _mlflow(uri: str) -> None:
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("regularisation")
    for run in RUNS:
        mlflow.start_run(run_name=run.name)
        mlflow.set_tag("mlflow.source.git.commit", "b" * 40 if run.dropout else "a" * 40)
        mlflow.log_params(flat(run.parameters))
        for epoch, value in enumerate(run.values):
            mlflow.log_metric("val_acc", value, step=epoch)
            mlflow.log_metric("train_loss", float("nan") if run.failed else 1 - value, step=epoch)
        mlflow.end_run("FAILED" if run.failed else "FINISHED")
    with mlflow.start_run() as deleted:
        mlflow.log_params(flat(RUNS[1].parameters))
    mlflow.delete_run(deleted.info.run_id)


def tensorboard_hparams(folder: Path) -> Path:
    from torch.utils.tensorboard import SummaryWriter

    for run in RUNS[1:]:
        with SummaryWriter(folder / "runs" / run.name) as writer:
            for epoch, value in enumerate(run.values):
                writer.add_scalar("val_acc", value, epoch)
            writer.add_hparams(flat(run.parameters), {"final": run.values[-1]}, run_name="hparams")
    return folder / "runs"


def tensorboard_folders(folder: Path) -> Path:
    from torch.utils.tensorboard import SummaryWriter

    for run in RUNS[1:]:
        with SummaryWriter(folder / "named" / f"lr={run.lr},dropout={run.dropout}" / f"seed={run.seed}") as writer:
            for epoch, value in enumerate(run.values):
                writer.add_scalar("val_acc", value, epoch)
                writer.add_scalars("loss", {"train": 1 - value}, epoch)
    return folder / "named"


def wandb_offline(folder: Path) -> Path:
    import wandb

    os.environ |= {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "WANDB_DISABLE_GIT": "true"}
    for run in RUNS:
        own = wandb.init(
            project="regularisation", mode="offline", dir=str(folder), name=run.name, config=run.parameters,
            settings=wandb.Settings(x_disable_stats=True, x_disable_meta=True),
        )  # fmt: skip
        for epoch, value in enumerate(run.values):
            own.log({"val_acc": value, "train": {"loss": 1 - value}}, step=epoch)
        own.finish(exit_code=1 if run.failed else 0)
    return folder / "wandb"


def trackio_file(folder: Path) -> Path:
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    import trackio

    for run in RUNS[1:]:
        trackio.init(project="regularisation", name=run.name, config=run.parameters, embed=False)
        for epoch, value in enumerate(run.values):
            trackio.log({"val_acc": value, "train": {"loss": 1 - value}}, step=epoch)
        trackio.finish()
    return folder / "trackio" / "regularisation.db"


def lightning_csv(folder: Path) -> Path:
    from pytorch_lightning.loggers import CSVLogger

    logger = CSVLogger(str(folder), name="lightning", version="v")
    for epoch, value in enumerate(RUNS[1].values):
        logger.log_metrics({"train_loss": 1 - value}, step=10 * epoch + 5)
        logger.log_metrics({"val_acc": value, "epoch": epoch}, step=10 * epoch + 9)
    logger.save()
    return folder / "lightning" / "v" / "metrics.csv"


def trainer_state(folder: Path) -> Path:
    from transformers.trainer_callback import TrainerState

    place = folder / "trainer" / "checkpoint-30" / "trainer_state.json"
    place.parent.mkdir(parents=True)
    rows = [
        {"epoch": epoch + 1.0, "step": 10 * epoch + 10, "eval_acc": value} for epoch, value in enumerate(RUNS[1].values)
    ]
    TrainerState(epoch=3.0, global_step=30, max_steps=30, log_history=rows).save_to_json(str(place))
    return place


HYDRA_SCRIPT = """\
import json
import hydra
from hydra.core.hydra_config import HydraConfig
from pathlib import Path
from tests.logged_runs import Run


@hydra.main(version_base=None, config_path=None, config_name="config")
def main(config):
    run = Run(config.lr, config.dropout, config.seed)
    with open(Path(HydraConfig.get().runtime.output_dir) / "metrics.jsonl", "w") as file:
        for epoch, value in enumerate(run.values):
            file.write(json.dumps({"epoch": epoch, "val_acc": value}) + "\\n")


if __name__ == "__main__":
    from hydra.core.config_store import ConfigStore
    ConfigStore.instance().store("config", {"lr": 0.1, "dropout": 0.0, "seed": 0, "data": {"name": "moons"}})
    main()
"""


def hydra_multirun(folder: Path) -> Path:
    (folder / "train.py").write_text(HYDRA_SCRIPT)
    root = Path(__file__).resolve().parent.parent
    for overrides in (["lr=0.1,0.01"], ["lr=0.1", "dropout=0.5"]):
        place = f"hydra.sweep.dir=multirun/{overrides[-1].partition('=')[0]}"
        command = [sys.executable, "train.py", "-m", *overrides, "seed=0,1,2", place]
        environment = os.environ | {"PYTHONPATH": str(root)}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return folder / "multirun"


def table(folder: Path) -> Path:
    rows = ["Name,State,lr,dropout,seed,batch_size,val_acc,train_loss"]
    for run in RUNS:
        state = "failed" if run.failed else "finished"
        batch = flat(run.parameters)["data.batch_size"]
        rows.append(
            f"{run.name},{state},{run.lr},{run.dropout},{run.seed},{batch},{run.values[-1]!r},{1 - run.values[-1]!r}"
        )
    path = folder / "export.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


WRITERS: Mapping[str, Callable[[Path], Path]] = {
    "mlflow_database": mlflow_database, "mlflow_folder": mlflow_folder, "tensorboard_hparams": tensorboard_hparams,
    "tensorboard_folders": tensorboard_folders, "wandb_offline": wandb_offline, "trackio_file": trackio_file,
    "hydra_multirun": hydra_multirun, "table": table, "lightning_csv": lightning_csv, "trainer_state": trainer_state,
}  # fmt: skip

if __name__ == "__main__":
    place = Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    print(json.dumps(str(WRITERS[sys.argv[1]](place))))
