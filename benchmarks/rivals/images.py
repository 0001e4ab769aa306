"""Images as PIL images, with torchvision's transforms, in DataLoaders."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class Images(Dataset):
    def __init__(self, images, labels, transform):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = Image.fromarray(self.images[index].squeeze())
        return self.transform(image), int(self.labels[index])


def load(options):
    """The loaders of the training images and of the held-out ones; how many channels, pixels a side, and classes."""
    images = np.load(Path(options.images) / "images.npy")
    labels = np.load(Path(options.images) / "labels.npy")
    side, channels = images.shape[2:]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(options.seed)).numpy()
    val, train = order[: options.validation], order[options.validation :]

    plain = [transforms.ToTensor(), transforms.Normalize((0.5,) * channels, (0.5,) * channels)]
    augment = [transforms.RandomCrop(side, padding=options.padding)]
    if options.flip:
        augment.append(transforms.RandomHorizontalFlip())
    train_set = Images(images[train], labels[train], transforms.Compose(augment + plain))
    val_set = Images(images[val], labels[val], transforms.Compose(plain))
    settings = {"batch_size": options.batch_size, "num_workers": options.workers}
    return (
        DataLoader(train_set, shuffle=True, **settings),
        DataLoader(val_set, **settings),
        (channels, side, int(labels.max()) + 1),
    )
