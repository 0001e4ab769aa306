"""One training with PyTorch Lightning and its default settings, but for the progress bar."""

import lightning
import torch
import torch.nn.functional as F  # noqa: N812
from images import load
from networks import NETWORKS
from options import parse, timed


class Classifier(lightning.LightningModule):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def training_step(self, batch, _):
        return self.look_at(batch, "train")

    def validation_step(self, batch, _):
        self.look_at(batch, "val")

    def look_at(self, batch, part):
        images, labels = batch
        logits = self.network(images)
        loss = F.cross_entropy(logits, labels)
        accuracy = (logits.argmax(1) == labels).float().mean()
        self.log_dict({f"{part}_loss": loss, f"{part}_accuracy": accuracy}, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def train(options, output):
    lightning.seed_everything(options.seed)
    train_loader, val_loader, sizes = load(options)
    model = Classifier(NETWORKS[options.model](*sizes, options.dropout))
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        accelerator="cpu",
        devices=1,
        default_root_dir=output,
        enable_progress_bar=False,
    )
    trainer.fit(model, train_loader, val_loader)
    return model, len(train_loader.dataset), len(val_loader.dataset), trainer.current_epoch


if __name__ == "__main__":
    options = parse()
    timed(train, options, options.output)
