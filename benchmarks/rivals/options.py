"""The options of the scripts, and what the benchmark adds to them: the clock, and a note of what was trained."""

import argparse
import json
import time
from pathlib import Path

import torch
import torch._dynamo  # torch.optim loads it at its first use; here it counts as an import, not as training


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", required=True, help="folder with images.npy and labels.npy")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--validation", type=int, required=True, help="how many images are held out")
    parser.add_argument("--padding", type=int, required=True)
    parser.add_argument("--flip", type=int, required=True)
    parser.add_argument("--workers", type=int, default=0, help="of the DataLoaders")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", required=True)
    return parser.parse_args()


def timed(train, options, output):
    """Train, and write to result.json how long it took."""
    Path(output).mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    model, train_images, val_images, epochs = train(options, output)
    result = {
        "seconds": time.perf_counter() - start,
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_images": train_images,
        "val_images": val_images,
        "epochs": epochs,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    (Path(output) / "result.json").write_text(json.dumps(result))
