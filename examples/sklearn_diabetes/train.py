"""Predict the progression of diabetes from ten measurements, with a scikit-learn pipeline."""

from sklearn.datasets import load_diabetes
from sklearn.linear_model import HuberRegressor, Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVR

MODELS = {
    "ridge": lambda alpha: Ridge(alpha=alpha),
    "huber": lambda alpha: HuberRegressor(alpha=alpha, max_iter=1000),
    "svr": lambda alpha: SVR(C=100 / alpha, epsilon=10),
}
SERUM = ["s1", "s2", "s3", "s4", "s5", "s6"]


def main(options, run):
    data = load_diabetes(as_frame=True, scaled=False)
    features = data.data.copy()
    if not options["bmi"]:
        features = features.drop(columns="bmi")
    if not options["blood_pressure"]:
        features = features.drop(columns="bp")
    if not options["serum"]:
        features = features.drop(columns=SERUM)

    # every variant sees the same split under the same seed
    x_train, x_val, y_train, y_val = train_test_split(features, data.target, test_size=0.3, random_state=run.seed)
    x_train, y_train = x_train[: options["rows"]], y_train[: options["rows"]]

    steps = [StandardScaler()] if options["scale"] else []
    if options["interactions"]:
        steps.append(PolynomialFeatures(degree=2, interaction_only=True, include_bias=False))
    model = make_pipeline(*steps, MODELS[options["model"]](options["alpha"])).fit(x_train, y_train)

    predicted = model.predict(x_val)
    return {"val_mae": mean_absolute_error(y_val, predicted), "val_r2": r2_score(y_val, predicted)}
