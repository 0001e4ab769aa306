"""Softmax regression on the digits, in NumPy: a training script as people have them, for `ablate script`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import ablation

DIGITS = Path(ablation.__file__).parent / "data" / "digits.npz"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=0.5, help="learning rate")
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--schedule", choices=["constant", "linear"], default="linear")
    parser.add_argument("--shuffle", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def load(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    with np.load(DIGITS) as arrays:
        images, labels = (arrays[name] for name in ("images", "labels"))
    images = images.reshape(len(images), -1) / images.max()
    order = rng.permutation(len(images))
    train, val = order[400:], order[:400]
    return images[train], labels[train], images[val], labels[val]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def main() -> None:
    args = parse()
    rng = np.random.default_rng(args.seed)
    x, y, x_val, y_val = load(rng)
    weights = rng.normal(0, 0.01, (x.shape[1], 10))
    targets = np.eye(10)[y]
    for epoch in range(1, args.epochs + 1):
        order = rng.permutation(len(x)) if args.shuffle else np.arange(len(x))
        lr = args.lr * (1 - (epoch - 1) / args.epochs) if args.schedule == "linear" else args.lr
        for start in range(0, len(x), args.batch_size):
            batch = order[start : start + args.batch_size]
            gradient = x[batch].T @ (softmax(x[batch] @ weights) - targets[batch]) / len(batch)
            weights -= lr * (gradient + args.weight_decay * weights)
        accuracy = (softmax(x_val @ weights).argmax(axis=1) == y_val).mean()
        print(f"epoch={epoch} val_accuracy={accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()
