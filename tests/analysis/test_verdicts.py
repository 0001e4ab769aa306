"""The words of each verdict, and of the study as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ablation.analysis import compare
from ablation.analysis.measure import Measure
from ablation.analysis.types import Effect, Verdict
from ablation.analysis.verdicts import headline, p_value, with_verdicts
from ablation.stats import Reason
from tests.analysis.made import ACCURACY, LOSS, effect

CLAIM = {"method": "blocked Dunnett", "p": 0.01, "difference": 0.02, "low": 0.01, "high": 0.03, "pairs": 3}
FALL = {"difference": -0.02, "low": -0.03, "high": -0.01}


def verdict(
    fields: dict[str, Any], margin: float | None = None, networks: bool = False, measure: Measure = ACCURACY
) -> tuple[Verdict | None, str]:
    own = effect("a", {0: 0.0, 1: 0.0, 2: 0.0}, **CLAIM | fields)
    first, second = with_verdicts([effect("b"), own], measure, 0.05, margin, networks)
    assert (first.verdict, first.words) == (None, "")
    return second.verdict, second.words


@pytest.mark.parametrize(
    ("fields", "margin", "expected"),
    [
        ({}, None, "better"),
        (FALL, None, "worse"),
        ({"p": 0.05}, None, "better"),
        ({"p": 0.0501}, None, "not_detected"),
        ({"p": 0.2}, 0.0301, "equivalent"),
        ({"p": 0.2}, 0.03, "not_detected"),
        ({"p": 0.2, "low": -0.03, "high": 0.01}, 0.0301, "equivalent"),
        ({"p": 0.2, "low": -0.03, "high": 0.01}, 0.03, "not_detected"),
        ({"p": 0.2, "low": None}, 0.5, "not_detected"),
        ({"p": 0.2, "high": None}, 0.5, "not_detected"),
        ({"p": None}, 0.5, "no_claim"),
        ({"method": None}, 0.5, "no_claim"),
        ({"difference": None}, 0.5, "no_claim"),
        ({"diverged": 1}, None, "unstable"),
        ({"at_chance": 1}, None, "unstable"),
        ({"screened": True}, None, "unstable"),
        ({"identical": True}, None, "identical"),
        ({"identical": True, "diverged": 1}, None, "unstable"),
    ],
)
def test_the_verdict_follows_from_the_adjusted_p_and_equivalence_from_the_interval(
    fields: dict[str, Any], margin: float | None, expected: Verdict
) -> None:
    assert verdict(fields, margin)[0] == expected


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "better by 2.0 [1.0, 3.0] points"),
        (FALL, "worse by 2.0 [1.0, 3.0] points"),
        ({"pairs": 2}, "tentatively better by 2.0 [1.0, 3.0] points"),
        ({"low": None}, "better by 2.0 points"),
        ({"high": None}, "better by 2.0 points"),
        ({"low": -0.01}, "better by 2.0 [\u22121.0, 3.0] points"),
        ({**FALL, "high": 0.01}, "worse by 2.0 [\u22121.0, 3.0] points"),
        ({"p": 0.2, "low": -0.04, "high": 0.01}, "no clear effect: at most 4.0 points either way"),
        ({"p": 0.2, "low": -0.01, "high": 0.04}, "no clear effect: at most 4.0 points either way"),
        ({"p": 0.2, "low": 0.0}, "no clear effect: at most 3.0 points either way"),
        ({"p": 0.2, "low": -0.02, "high": 0.0}, "no clear effect: at most 2.0 points either way"),
        ({"p": 0.2, "pairs": 2}, "tentatively, no clear effect: at most 3.0 points either way"),
        ({"pairs": 10, "flips_agree": True}, "better by 2.0 [1.0, 3.0] points; the sign-flip check agrees"),
        ({"pairs": 10, "flips_agree": False}, "better by 2.0 [1.0, 3.0] points; the sign-flip check does not agree"),
        ({"pairs": 9, "flips_agree": True}, "better by 2.0 [1.0, 3.0] points"),
        ({"pairs": 10}, "better by 2.0 [1.0, 3.0] points"),
        (
            {"p": 0.2, "pairs": 12, "flips_agree": False},
            "no clear effect: at most 3.0 points either way; the sign-flip check does not agree",
        ),
        ({"identical": True, "pairs": 1}, "identical: the same trained weights as the baseline"),
        ({"identical": True, "pairs": 2}, "identical: the same trained weights as the baseline under every seed"),
        ({"p": None, "reason": "one seed"}, "no claim: one seed"),
        ({"p": None}, "no claim: no run to compare"),
        ({"diverged": 1, "at_chance": 2}, "unstable: 1/3 diverged, 2/3 at chance"),
        ({"screened": True, "sd": 0.09}, "unstable: its spread over seeds (SD 9.0 points) is an outlier"),
        ({"screened": True, "sd": None}, "unstable: its spread over seeds is an outlier"),
    ],
)
def test_a_verdict_in_words(fields: dict[str, Any], words: str) -> None:
    assert verdict(fields)[1] == words


def test_a_margin_is_named_where_it_decides() -> None:
    assert verdict({}, 0.05)[1] == "better by 2.0 [1.0, 3.0] points, yet within the margin of 5.0 points"
    assert verdict({}, 0.03)[1] == "better by 2.0 [1.0, 3.0] points"
    assert verdict({"p": 0.2}, 0.05)[1] == "equivalent: within the declared margin of 5.0 points"
    assert (
        verdict({"p": 0.2, "pairs": 2}, 0.05)[1] == "tentatively, equivalent: within the declared margin of 5.0 points"
    )


def test_where_lower_is_better_a_fall_is_better_and_its_size_positive() -> None:
    assert verdict(FALL, measure=LOSS) == ("better", "better by 0.020 [0.010, 0.030]")
    assert verdict({}, measure=LOSS) == ("worse", "worse by 0.020 [0.010, 0.030]")


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (None, ""),
        (0.05, " These two trained networks differ (McNemar p = 0.050)."),
        (0.051, " These two trained networks do not detectably differ (McNemar p = 0.051)."),
    ],
)
def test_one_seed_speaks_of_the_two_networks(p: float | None, words: str) -> None:
    said = verdict({"p": None, "networks_p": p}, networks=True)[1]
    assert said == f"Single seed: no claim about the recipe.{words}"


@pytest.mark.parametrize(
    ("p", "text"),
    [(None, "\u2013"), (0.00099, "< 0.001"), (0.001, "= 0.001"), (0.0994, "= 0.099"), (0.1, "= 0.10"), (1.0, "= 1.00")],
)
def test_a_p_value_has_three_decimals_below_a_tenth(p: float | None, text: str) -> None:
    assert p_value(p) == text


def says(changes: Sequence[Effect], seeds: int = 3, unfinished: bool = False, **fields: Any) -> str:
    design = replace(compare.design(None, seeds, len(changes), seeds == 1), **fields)
    return headline([effect("b", n=3), *changes], ACCURACY, design, 0.05, unfinished)


def of(name: str, own: Verdict, difference: float | None = 0.0, **fields: Any) -> Effect:
    runs, n = dict.fromkeys(range(3), difference), 3 - fields.get("diverged", 0)
    return effect(name, runs, verdict=own, difference=difference, n=n, **fields)


def test_the_headline_names_what_matters_and_what_could_have_been_found() -> None:
    up, same = of("up", "better", 0.02), of("same", "not_detected", 0.01)
    down, large = of("down", "worse", -0.03), of("large", "better", 0.04, exploratory=True)
    assert says([up, same], detectable=0.01) == (
        "On validation accuracy, 1 of 2 changes makes a difference: up (better by 2.0 points); 1 shows no clear effect "
        "(a true difference of 1.0 points would be found in 80 % of such studies)."
    )
    assert says([up, down, large], seeds=2, unfinished=True) == (
        "So far, on validation accuracy, 3 of 3 changes tentatively make a difference: large (better by 4.0 points, "
        "exploratory), down (worse by 3.0 points), up (better by 2.0 points)."
    )


def test_the_headline_names_the_largest_difference_where_it_is_not_shown() -> None:
    first, second = of("x", "not_detected", 0.01), of("y", "not_detected", -0.03)
    start = "On validation accuracy, none of 2 changes is shown to make a difference; 2 show no clear effect"
    assert says([first, second]) == f"{start}; the largest measured difference is that of y (\u22123.0 points)."
    nothing = of("z", "not_detected", 0.0), of("w", "not_detected", None)
    assert says(nothing) == f"{start}."
    small = of("x", "equivalent", 0.001)
    assert says([small]) == (
        "On validation accuracy, none of 1 change is shown to make a difference; 1 is equivalent to the baseline "
        "within the declared margin; the largest measured difference is that of x (+0.1 points)."
    )
    assert "; 2 are equivalent to the baseline within" in says([small, of("y", "equivalent", 0.0)])


def test_the_headline_names_variants_that_are_not_judged() -> None:
    found = says(
        [
            of("gone", "unstable", 0.01, diverged=1),
            of("lost", "unstable", None, diverged=3),
            of("wide", "unstable", -0.02, screened=True, sd=0.09),
            of("same", "identical"),
        ]
    )
    assert found == (
        "On validation accuracy, none of 4 changes is shown to make a difference; 1 is identical to the baseline: "
        "same; 3 are unstable: wide (its spread over seeds (SD 9.0 points) is an outlier, \u22122.0 points), gone (1/3 "
        "diverged, +1.0 points in the others), lost (3/3 diverged)."
    )
    pair = [of("same", "identical", exploratory=True), of("too", "identical")]
    assert "; 2 are identical to the baseline: same (exploratory), too." in says(pair)


def test_the_headline_says_why_there_is_no_claim() -> None:
    start = "On validation accuracy, none of 2 changes is shown to make a difference; "
    few, more = of("x", "no_claim"), of("y", "no_claim")
    assert says([few, more]) == f"{start}2 have too few runs for a claim."
    still = [of(name, "no_claim", 0.0, reason=Reason.NO_VARIATION) for name in "xy"]
    assert says(still) == f"{start}2 cannot be compared, since all values are equal."
    moved = replace(still[0], difference=0.01)
    assert says([moved, more]) == (
        f"{start}1 cannot be compared, since the values do not vary over seeds; 1 has too few runs for a claim; the "
        "largest measured difference is that of x (+1.0 points)."
    )
    assert "since the values do not vary over seeds" in says([moved, still[1]])


def test_the_headline_lists_six_and_counts_the_rest() -> None:
    many = [of(f"v{n}", "better", 0.01 * n) for n in range(1, 9)]
    found = says(many)
    assert [found.index(f"v{n} (better by {n}.0 points)") for n in range(3, 9)] == sorted(
        (found.index(f"v{n} (") for n in range(3, 9)), reverse=True
    )
    assert found.endswith("v3 (better by 3.0 points) and 2 more.")
    assert says(many[:6]).endswith("v1 (better by 1.0 points).")


def test_the_headline_of_one_seed_counts_networks() -> None:
    start = "A single seed allows no claim about any recipe."
    known = [of(str(p), "no_claim", 0.0, networks_p=p) for p in (0.05, 0.2, 0.01)]
    assert says([*known, of("x", "no_claim")], seeds=1) == (
        f"{start} On validation accuracy, 2 of 3 trained networks differ detectably from the baseline's."
    )
    assert "1 of 2 trained networks differs detectably" in says(known[:2], seeds=1)
    assert "none of 1 trained network differs detectably" in says(known[1:2], seeds=1)
    assert says([of("x", "no_claim")], seeds=1) == start


def test_the_headline_ends_with_the_control() -> None:
    name = "The A/A control, the baseline against itself under other seeds,"
    change = of("x", "not_detected")
    for own, said in [
        ("not_detected", f"{name} shows no difference, as it should."),
        ("better", f"{name} differs: do not trust these verdicts."),
        ("worse", f"{name} differs: do not trust these verdicts."),
        ("unstable", f"{name} is unstable."),
    ]:
        found = of("a/a", own, 0.5, kind="control", method="blocked Dunnett")
        assert says([change, found]) == (
            "On validation accuracy, none of 1 change is shown to make a difference; 1 shows no clear effect. " + said
        )
        assert "control" not in says([change, replace(found, method=None)])
        assert says([found]) == ""


def test_a_study_without_a_run_has_no_headline() -> None:
    nothing, design = [effect("b"), effect("x", verdict="no_claim")], compare.design(None, 3, 1, False)
    assert headline(nothing, ACCURACY, design, 0.05, True) == ""
    assert headline([nothing[0], replace(nothing[1], n=1)], ACCURACY, design, 0.05, True) != ""
    assert headline([replace(nothing[0], diverged=1), nothing[1]], ACCURACY, design, 0.05, True) != ""
