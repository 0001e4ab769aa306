"""Segment discs among distracting rings with a small U-Net."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

SIZE = 32


def make_scenes(count, seed):
    """Images [n, 1, 32, 32] with discs, rings, a gradient of light and noise; masks of the discs alone."""
    random = torch.Generator().manual_seed(seed)
    line = torch.arange(SIZE).float()
    y, x = torch.meshgrid(line, line, indexing="ij")
    images = torch.rand(count, 1, 1, generator=random) * (x + y) / (2 * SIZE)
    masks = torch.zeros(count, SIZE, SIZE, dtype=torch.bool)
    for kind in ("disc", "ring", "disc", "ring"):
        centre = torch.rand(2, count, 1, 1, generator=random) * (SIZE - 8) + 4
        radius = torch.rand(count, 1, 1, generator=random) * 3 + 2
        distance = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2).sqrt()
        inside = distance < radius if kind == "disc" else (distance - radius - 1).abs() < 1
        images = torch.where(inside, images + 0.5, images)
        masks = masks | inside if kind == "disc" else masks & ~inside
    return (images + 0.25 * torch.randn(images.shape, generator=random))[:, None], masks[:, None].float()


def double_conv(inside, outside, norm):
    layers = []
    for channels in (inside, outside):
        layers += [
            nn.Conv2d(channels, outside, 3, padding=1),
            nn.BatchNorm2d(outside) if norm else nn.Identity(),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, width, depth, skip, norm):
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.skip = skip
        self.down = nn.ModuleList(double_conv(a, b, norm) for a, b in zip([1, *widths], widths, strict=False))
        up = [(big + (small if skip else 0), small) for small, big in pairwise(widths)]
        self.up = nn.ModuleList(double_conv(a, b, norm) for a, b in reversed(up))
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        kept = []
        for number, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if number else x)
            kept.append(x)
        kept.pop()
        for block in self.up:
            x = functional.interpolate(x, scale_factor=2)
            x = block(torch.cat([x, kept.pop()], 1) if self.skip else x)
        return self.head(x)


def loss_of(kind, logits, masks):
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, masks)
    predicted = logits.sigmoid()
    dice = 1 - (2 * (predicted * masks).sum() + 1) / (predicted.sum() + masks.sum() + 1)
    return {"bce": cross_entropy, "dice": dice, "bce+dice": cross_entropy + dice}[kind]


def main(options, run):
    run.seed_everything()
    images, masks = (part.to(run.device) for part in make_scenes(options["images"], seed=1))
    val_images, val_masks = (part.to(run.device) for part in make_scenes(300, seed=2))
    model = UNet(options["width"], options["depth"], options["skip"], options["norm"]).to(run.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options["lr"])
    random = run.torch_generator("batches")
    if state := run.resume():
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        random.set_state(state["random"])

    for _ in run.epochs(options["epochs"]):
        model.train()
        losses = []
        for batch in torch.randperm(len(images), generator=random).split(16):
            flips = [axis for axis in (2, 3) if torch.rand((), generator=random) < 0.5] if options["flip"] else []
            loss = loss_of(options["loss"], model(images[batch].flip(flips)), masks[batch].flip(flips))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            found, real = model(val_images) > 0, val_masks > 0
        iou = (found & real).sum() / (found | real).sum()
        run.log(train_loss=sum(losses) / len(losses), val_iou=iou, val_pixel_accuracy=(found == real).float().mean())
        run.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": random.get_state()})
