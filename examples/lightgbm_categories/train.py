"""Gradient boosting on a table with a categorical column of many levels, as in click or churn prediction."""

import lightgbm
import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

LEVELS, NUMERIC = 300, 8


def make_table(rows, generator):
    """Each level has an effect of its own, and most levels are rare."""
    world = np.random.default_rng(2024)  # the same process for every run
    effect = world.normal(size=LEVELS)
    popularity = world.dirichlet(np.full(LEVELS, 0.3))
    city = generator.choice(LEVELS, size=rows, p=popularity)
    numeric = generator.normal(size=(rows, NUMERIC))
    logit = effect[city] + numeric[:, 0] * numeric[:, 1] + 0.7 * np.maximum(numeric[:, 2], 0) - 0.5
    return city, numeric, generator.random(rows) < 1 / (1 + np.exp(-logit))


def encode(how, city, target, train):
    """The categorical column as a number."""
    if how in ("native", "ordinal"):
        return city.astype(float)
    # mean target of the level, with a prior of ten rows; leaving a row out of its own mean avoids the leak
    prior, sums, counts = target[train].mean(), np.zeros(LEVELS), np.zeros(LEVELS)
    np.add.at(sums, city[train], target[train])
    np.add.at(counts, city[train], 1)
    own = np.where(train, target, 0) if how == "target_left_out" else 0
    one = train if how == "target_left_out" else 0
    return (sums[city] - own + 10 * prior) / (counts[city] - one + 10)


def main(options, run):
    rows = options["rows"]
    city, numeric, target = make_table(rows + 4000, run.generator("data"))
    train = np.arange(len(target)) < rows
    columns = (
        [numeric]
        if options["encoding"] == "drop"
        else [encode(options["encoding"], city, target, train)[:, None], numeric]
    )
    table = np.concatenate(columns, axis=1)
    categories = [0] if options["encoding"] == "native" else []

    parts = [lightgbm.Dataset(table[part], target[part], categorical_feature=categories) for part in (train, ~train)]
    parts[1].reference = parts[0]
    parameters = {
        "objective": "binary",
        "learning_rate": options["learning_rate"],
        "num_leaves": options["num_leaves"],
        "feature_fraction": options["feature_fraction"],
        "min_data_in_leaf": options["min_data_in_leaf"],
        "seed": run.seed,
        "num_threads": run.threads,
        "deterministic": True,
        "verbosity": -1,
    }

    booster = lightgbm.Booster(parameters, parts[0])
    for round_ in run.epochs(options["rounds"]):
        booster.update()
        if (round_ + 1) % 10 == 0:
            predicted = booster.predict(table[~train])
            run.log(
                round_ + 1,
                val_auc=roc_auc_score(target[~train], predicted),
                val_loss=log_loss(target[~train], predicted),
            )
