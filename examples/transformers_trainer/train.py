"""Train a small BERT from scratch with the Hugging Face Trainer: is the list of numbers in ascending order?"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, HfArgumentParser, Trainer, TrainingArguments

START, FIRST = 1, 2  # the token that the classifier reads, and that of the number 0


@dataclass
class ModelArguments:
    hidden_size: int = 48
    layers: int = 2
    heads: int = 4
    positions: bool = field(default=True, metadata={"help": "whether the model knows where a token is"})
    dropout: float = 0.0


@dataclass
class DataArguments:
    examples: int = 3000
    length: int = 6
    numbers: int = 16


class Lists(Dataset):
    """Half of the lists are sorted; in the other half, two numbers have changed places."""

    def __init__(self, count, args, seed):
        random = np.random.default_rng(seed)
        rows = np.sort(np.stack([random.choice(args.numbers, args.length, replace=False) for _ in range(count)]))
        self.labels = random.integers(2, size=count)
        for row in np.flatnonzero(self.labels == 0):
            first, second = random.choice(args.length, 2, replace=False)
            rows[row, [first, second]] = rows[row, [second, first]]
        self.tokens = np.concatenate([np.full((count, 1), START), rows + FIRST], axis=1)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"input_ids": torch.tensor(self.tokens[index]), "labels": int(self.labels[index])}


def make_model(args, data):
    config = BertConfig(
        vocab_size=data.numbers + FIRST,
        hidden_size=args.hidden_size,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        intermediate_size=2 * args.hidden_size,
        max_position_embeddings=data.length + 1,
        hidden_dropout_prob=args.dropout,
        attention_probs_dropout_prob=args.dropout,
    )
    model = BertForSequenceClassification(config)
    if not args.positions:
        torch.nn.init.zeros_(model.bert.embeddings.position_embeddings.weight)
        model.bert.embeddings.position_embeddings.weight.requires_grad_(False)
    return model


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def main():
    arguments, model_args, data_args = HfArgumentParser(
        (TrainingArguments, ModelArguments, DataArguments)
    ).parse_args_into_dataclasses()
    torch.manual_seed(arguments.seed)
    trainer = Trainer(
        model=make_model(model_args, data_args),
        args=arguments,
        train_dataset=Lists(data_args.examples, data_args, seed=1),
        eval_dataset=Lists(1000, data_args, seed=2),
        compute_metrics=accuracy,
    )
    trainer.train()
    trainer.save_state()


if __name__ == "__main__":
    main()
