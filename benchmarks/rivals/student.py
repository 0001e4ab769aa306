"""One training, as in the tutorials."""

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from images import load
from networks import NETWORKS
from options import parse, timed


def train(options, output):
    torch.manual_seed(options.seed)
    train_loader, val_loader, sizes = load(options)
    model = NETWORKS[options.model](*sizes, options.dropout).to(options.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * len(train_loader))
    best = -1.0
    for epoch in range(1, options.epochs + 1):
        model.train()
        total, correct, seen = 0.0, 0, 0
        for images, labels in train_loader:
            images, labels = images.to(options.device), labels.to(options.device)
            optimizer.zero_grad()
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item() * len(labels)
            correct += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
        val_loss, val_accuracy = evaluate(model, val_loader, options.device)
        print(f"epoch {epoch}: {total / seen:.4f} {correct / seen:.4f}, validation {val_loss:.4f} {val_accuracy:.4f}")
        if val_accuracy > best:
            best = val_accuracy
            torch.save(model.state_dict(), Path(output) / "best.pt")
    return model, len(train_loader.dataset), len(val_loader.dataset), epoch


@torch.no_grad()
def evaluate(model, loader, device):
    model.eval()
    total, correct, seen = 0.0, 0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        logits = model(images)
        total += F.cross_entropy(logits, labels).item() * len(labels)
        correct += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)
    return total / seen, correct / seen


if __name__ == "__main__":
    options = parse()
    timed(train, options, options.output)
