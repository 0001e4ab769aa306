"""Forecast the next day of an hourly series with a temporal convolutional network, as a Lightning module."""

import argparse
import logging
import math
import warnings

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

CONTEXT, HORIZON = 96, 24


def make_series(hours, seed):
    """A day and a week of seasonality, a level that drifts, and noise."""
    generator = torch.Generator().manual_seed(seed)
    hour = torch.arange(hours)
    daily = torch.sin(2 * math.pi * hour / 24) + 0.5 * torch.sin(4 * math.pi * hour / 24 + 1)
    weekend = (hour // 24 % 7 >= 5).float()
    drift = torch.randn(hours, generator=generator).cumsum(0) * 0.05
    return daily * (1 - 0.6 * weekend) + drift + 0.2 * torch.randn(hours, generator=generator)


def windows(series, stride):
    both = series.unfold(0, CONTEXT + HORIZON, stride)
    return TensorDataset(both[:, None, :CONTEXT], both[:, CONTEXT:])


class Block(nn.Module):
    def __init__(self, channels, dilation, args):
        super().__init__()
        self.pad, self.residual = 2 * dilation, args.residual
        self.conv = nn.Conv1d(channels, channels, 3, dilation=dilation)
        self.norm = nn.GroupNorm(1, channels) if args.norm else nn.Identity()
        self.drop = nn.Dropout(args.dropout)

    def forward(self, x):
        out = self.drop(self.norm(self.conv(nn.functional.pad(x, (self.pad, 0)))).relu())
        return x + out if self.residual else out


class Forecaster(pl.LightningModule):
    def __init__(self, args):
        super().__init__()
        self.args = args
        self.first = nn.Conv1d(1, args.channels, 1)
        dilations = [2**depth if args.dilated else 1 for depth in range(args.depth)]
        self.blocks = nn.Sequential(*(Block(args.channels, dilation, args) for dilation in dilations))
        self.last = nn.Linear(args.channels, HORIZON)

    def forward(self, x):
        # the network sees the series relative to its last value, and so does not have to learn the level
        level = x[:, :, -1:] if self.args.relative else torch.zeros_like(x[:, :, -1:])
        return self.last(self.blocks(self.first(x - level))[:, :, -1]) + level[:, 0]

    def training_step(self, batch, _):
        loss = nn.functional.mse_loss(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, _):
        error = self(batch[0]) - batch[1]
        self.log_dict({"val_mae": error.abs().mean(), "val_mse": error.square().mean()})

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.args.lr, weight_decay=self.args.weight_decay)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="logs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--hours", type=int, default=4000)
    parser.add_argument("--channels", type=int, default=24)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--weight-decay", type=float, default=1e-2)
    for name in ("dilated", "residual", "norm", "relative"):
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def main():
    args = parse()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*num_workers.*")
    pl.seed_everything(args.seed)
    train = DataLoader(windows(make_series(args.hours, seed=1), 2), batch_size=64, shuffle=True)
    val = DataLoader(windows(make_series(2000, seed=2), 6), batch_size=256)
    trainer = pl.Trainer(
        max_epochs=args.epochs,
        accelerator="auto",
        logger=CSVLogger(args.out, name=None, version=""),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Forecaster(args), train, val)


if __name__ == "__main__":
    main()
