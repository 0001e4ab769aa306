"""Classify the sentiment of short reviews with an LSTM. The reviews are generated, negations and contrasts included."""

import argparse
import random

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

GOOD = "good great wonderful charming funny clever moving brilliant gripping delightful".split()
BAD = "bad awful boring dull stupid clumsy tedious shallow bland forgettable".split()
THINGS = "film plot acting music ending story dialogue cast pacing script".split()
FILLER = "i saw it with my sister last week in a small cinema near the station and we talked about it for hours".split()


def clause(positive, source):
    negated = source.random() < 0.4
    words = GOOD if positive != negated else BAD
    adverb = source.choice([[], ["very"], ["really"], ["quite"]])
    return ["the", source.choice(THINGS), "was", *(["not"] if negated else []), *adverb, source.choice(words)]


def review(source):
    """A review and its label: after `but`, the second clause decides."""
    positive = source.random() < 0.5
    start = source.randrange(len(FILLER))
    text = FILLER[start : start + source.randrange(0, 12)]
    if source.random() < 0.5:
        text += [*clause(not positive, source), "but", *clause(positive, source)]
    else:
        text += clause(positive, source)
    return text, int(positive)


def make_reviews(count, seed):
    source = random.Random(seed)
    return [review(source) for _ in range(count)]


def batches(reviews, vocabulary, size, order=None):
    indices = order if order is not None else range(len(reviews))
    for start in range(0, len(reviews), size):
        chosen = [reviews[index] for index in indices[start : start + size]]
        lengths = torch.tensor([len(text) for text, _ in chosen])
        words = torch.zeros(len(chosen), int(lengths.max()), dtype=torch.long)
        for row, (text, _) in enumerate(chosen):
            words[row, : len(text)] = torch.tensor([vocabulary.get(word, 1) for word in text])
        yield words, lengths, torch.tensor([label for _, label in chosen])


class Classifier(nn.Module):
    def __init__(self, args, words):
        super().__init__()
        self.args = args
        self.embed = nn.Embedding(words, args.embedding, padding_idx=0)
        self.lstm = nn.LSTM(args.embedding, args.hidden, batch_first=True, bidirectional=args.bidirectional)
        self.drop = nn.Dropout(args.dropout)
        self.head = nn.Linear(args.hidden * (2 if args.bidirectional else 1), 2)

    def forward(self, words, lengths):
        embedded = self.drop(self.embed(words))
        if self.args.packed:  # the LSTM stops at the end of each review
            packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
            packed, (hidden, _) = self.lstm(packed)
            states, _ = pad_packed_sequence(packed, batch_first=True)
        else:  # it reads the padding as well
            states, (hidden, _) = self.lstm(embedded)
        if self.args.pooling == "last":
            pooled = torch.cat(list(hidden), dim=1)
        else:
            mask = (torch.arange(states.shape[1]) < lengths[:, None])[..., None]
            if self.args.pooling == "mean":
                pooled = (states * mask).sum(1) / lengths[:, None]
            else:
                pooled = states.masked_fill(~mask, -1e9).amax(1)
        return self.head(self.drop(pooled))


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--reviews", type=int, default=300)
    parser.add_argument("--embedding", type=int, default=24)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--bidirectional", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--packed", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--pooling", choices=["last", "mean", "max"], default="last")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--clip", type=float, default=1.0, help="largest norm of the gradient; 0: no clipping")
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main():
    args = parse()
    torch.manual_seed(args.seed)
    train, val = make_reviews(args.reviews, seed=1), make_reviews(1000, seed=2)
    words = sorted({word for text, _ in train for word in text})
    vocabulary = {word: index for index, word in enumerate(words, start=2)}
    model = Classifier(args, len(vocabulary) + 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    order = torch.Generator().manual_seed(args.seed)

    for epoch in range(args.epochs):
        model.train()
        total = 0.0
        for inputs, lengths, labels in batches(
            train, vocabulary, 32, torch.randperm(len(train), generator=order).tolist()
        ):
            loss = nn.functional.cross_entropy(model(inputs, lengths), labels)
            optimizer.zero_grad()
            loss.backward()
            if args.clip:
                nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            optimizer.step()
            total += loss.item() * len(labels)
        model.eval()
        with torch.no_grad():
            right = sum(
                (model(inputs, lengths).argmax(1) == labels).sum().item()
                for inputs, lengths, labels in batches(val, vocabulary, 250)
            )
        print(f"epoch {epoch + 1}: train_loss={total / len(train):.4f} val_accuracy={right / len(val):.4f}")


if __name__ == "__main__":
    main()
