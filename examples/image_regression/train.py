"""Predict by how many degrees a handwritten digit is rotated."""

import math

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

LARGEST = 60.0
LOSSES = {"mse": functional.mse_loss, "l1": functional.l1_loss, "huber": functional.smooth_l1_loss}


def rotated(images, degrees):
    """Images [n, 1, h, w], each rotated by its own angle."""
    angle = degrees * math.pi / 180
    zero = torch.zeros_like(angle)
    rows = [angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero]
    grid = functional.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), images.shape, align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def load(limit):
    """Upright digits in 16 x 16 pixels: 1200 for training (at most `limit`), 597 for validation."""
    images = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 16
    images = functional.interpolate(images, size=16, mode="bilinear")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order[:1200]][:limit], images[order[1200:]]


class Coordinates(nn.Module):
    """Two more channels that say where a pixel is (CoordConv, Liu et al. 2018)."""

    def forward(self, x):
        line = torch.linspace(-1, 1, x.shape[-1], device=x.device)
        y, z = torch.meshgrid(line, line, indexing="ij")
        return torch.cat([x, y.expand(len(x), 1, -1, -1), z.expand(len(x), 1, -1, -1)], 1)


def make_model(options):
    width, layers = options["width"], []
    channels = 1
    if options["coordinates"]:
        layers, channels = [Coordinates()], 3
    for _ in range(2):
        layers += [nn.Conv2d(channels, width, 3, padding=1)]
        layers += [nn.BatchNorm2d(width)] if options["batch_norm"] else []
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    if options["pooling"] == "flatten":
        layers += [nn.Flatten(), nn.Linear(width * 16, 1)]
    else:
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1)]
    return nn.Sequential(*layers)


def main(options, run):
    run.seed_everything()
    train, val = (part.to(run.device) for part in load(options["images"]))
    angles = torch.Generator().manual_seed(1)
    fixed = (torch.rand(len(train), generator=angles) * 2 - 1).to(run.device)
    target = (torch.rand(len(val), generator=angles) * 2 - 1).to(run.device)
    val = rotated(val, target * LARGEST)

    model = make_model(options).to(run.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=options["lr"])
    random = run.torch_generator("batches")
    if state := run.resume():
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        random.set_state(state["random"])

    for _ in run.epochs(options["epochs"]):
        model.train()
        losses = []
        for batch in torch.randperm(len(train), generator=random).split(64):
            drawn = (torch.rand(len(batch), generator=random) * 2 - 1).to(run.device)
            turn = drawn if options["fresh_angles"] else fixed[batch]
            loss = LOSSES[options["loss"]](model(rotated(train[batch], turn * LARGEST))[:, 0], turn)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            error = (model(val)[:, 0] - target).abs() * LARGEST
        run.log(train_loss=sum(losses) / len(losses), val_degrees=error.mean(), val_within_5=(error < 5).float().mean())
        run.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": random.get_state()})
