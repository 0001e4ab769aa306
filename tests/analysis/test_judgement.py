"""One word for each variant, read off the interval of its improvement."""

from __future__ import annotations

import json

import pytest

from ablation.analysis.judgement import JudgedVariant, Judgement, Margins, judge_effects, outcome
from tests.analysis.made import ACCURACY, LOSS, effect

NONE, BOTH, ONE = Margins(), Margins(equivalent=0.5), Margins(0.5, not_worse_by=0.5)


@pytest.mark.parametrize(
    ("worst", "best", "without", "equivalent", "not_worse"),
    [
        (0.1, 0.3, "better", "better", "better"),
        (0.0, 0.3, "undecided", "equivalent", "not_worse"),
        (-0.4, 0.4, "undecided", "equivalent", "not_worse"),
        (-0.4, 0.5, "undecided", "undecided", "not_worse"),
        (-0.4, 2.0, "undecided", "undecided", "not_worse"),
        (-0.4, -0.1, "worse", "worse", "not_worse"),
        (-0.5, 0.1, "undecided", "undecided", "undecided"),
        (-0.6, -0.1, "worse", "worse", "worse"),
        (-0.6, 0.0, "undecided", "undecided", "undecided"),
        (-0.6, 3.0, "undecided", "undecided", "undecided"),
    ],
)
def test_an_outcome_is_what_the_whole_interval_shows(
    worst: float, best: float, without: str, equivalent: str, not_worse: str
) -> None:
    assert [outcome(worst, best, margins) for margins in (NONE, BOTH, ONE)] == [without, equivalent, not_worse]


def test_where_lower_is_better_the_upper_end_is_the_worst() -> None:
    effects = [effect("baseline"), effect("a", difference=0.2, low=-0.1, high=0.4, p=0.2, verdict="not_detected")]
    assert judge_effects(effects, LOSS, Margins(not_worse_by=0.3))[0].verdict == "undecided"
    assert judge_effects(effects, LOSS, Margins(not_worse_by=0.5))[0].verdict == "not_worse"
    assert judge_effects(effects, ACCURACY, Margins(not_worse_by=0.3))[0].verdict == "not_worse"


def test_a_p_value_without_its_interval_decides_nothing() -> None:
    """Under Holm's adjustment the stepwise p may be below alpha where the interval still covers 0."""
    own = effect("a", difference=0.02, low=-0.001, high=0.041, p=0.04, verdict="better", words="better by 2.0 points")
    (judged,) = judge_effects([effect("baseline"), own], ACCURACY, NONE)
    assert (judged.verdict, judged.reason) == ("undecided", "the interval decides: +2.0 [−0.1, +4.1] points")


def test_the_reason_names_the_margin_and_the_interval() -> None:
    own = effect("a", difference=0.0, low=-0.004, high=0.004, p=0.9, verdict="not_detected", words="no clear effect")
    reasons = [
        judge_effects([effect("baseline"), own], ACCURACY, Margins(not_worse_by=margin))[0].reason
        for margin in (0.005, 0.003)
    ]
    assert reasons == [
        "not worse by 0.5 points: 0.0 [−0.4, +0.4] points",
        "not shown to be not worse by 0.3 points: 0.0 [−0.4, +0.4] points",
    ]
    assert judge_effects([effect("baseline"), own], ACCURACY, NONE)[0].reason == "no clear effect"


def test_the_first_of_the_worst_variants_decides_and_its_numbers_lead_the_line() -> None:
    variants = (
        JudgedVariant("a", "better", "so", 0.2, 0.1, 0.3, 0.01, 5),
        JudgedVariant("b", "undecided", "unstable", 0.0),
        JudgedVariant("c", "undecided", "unclear", 0.0, -0.1, 0.1, 0.8, 5),
    )
    judgement = Judgement("s", "score", "higher", "raw", None, 0.05, "uses.jsonl", variants, 3, None, 0.001)
    assert (judgement.verdict, judgement.deciding.variant) == ("undecided", "b")
    line = json.loads(json.dumps(judgement.to_json(), allow_nan=False))
    assert (line["variant"], line["low"], line["use"], line["study"]) == ("b", None, 3, "s")
    assert [own["variant"] for own in line["variants"]] == ["a", "b", "c"]
    assert line["variants"][0] == {
        "variant": "a",
        "verdict": "better",
        "reason": "so",
        "difference": 0.2,
        "low": 0.1,
        "high": 0.3,
        "p": 0.01,
        "seeds": 5,
    }
