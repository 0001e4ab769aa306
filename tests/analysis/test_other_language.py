"""The words of an analysis in a language that has another order, other marks and other units."""

from __future__ import annotations

import gettext
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ablation._util.language import Language, use_language
from ablation.analysis import compare
from ablation.analysis.types import VerdictText as Said
from ablation.analysis.verdicts import headline, with_verdicts
from ablation.analysis.warnings import CATALOGUE, entry
from ablation.analysis.warnings.runs import states
from ablation.registry.metric_names import guess
from ablation.registry.metrics import METRICS, known
from ablation.stats import Reason
from tests.analysis.made import ACCURACY, effect

TEXTS = {
    " points": " 个百分点",
    "better": "更好",
    "better by {size}": "比基线好 {size}",
    "no clear effect": "未见明显影响",
    "no clear effect: at most {size} either way": "未见明显影响：两个方向均不超过 {size}",
    "no claim": "不作结论",
    str(Reason.NO_VARIATION): "没有变化",
    "the sign-flip check agrees": "符号翻转检验的结果一致",
    "{verdict}, within the margin": "{verdict}（未超出等效界值）",
    "{verdict}, yet within the margin of {margin}": "{verdict}，但未超出等效界值 {margin}",
    "{n}/{runs} diverged": "{n}/{runs} 发散",
    "unstable": "不稳定",
    "{n:,} change": "{n} 项改动",
    "{n} of {changes} makes a difference: {variants}": "{changes}中有 {n} 项带来差异：{variants}",
    "On {metric}, {findings}.": "就{metric}而言，{findings}。",
    "{variant} ({notes})": "{variant}（{notes}）",
    "validation accuracy": "验证准确率",
    "accuracy": "准确率",
    "{metric}, %": "{metric}（%）",
    "validation {metric}": "验证集 {metric}",
    "{variant}: {n}/{runs} diverged (seed {seeds})": "{variant}：{n}/{runs} 发散（种子 {seeds}）",
    CATALOGUE["diverged"].title: "发散的运行",
}
CLAIM: Mapping[str, Any] = {
    "method": "blocked Dunnett", "p": 0.01, "difference": 0.02, "low": 0.01, "high": 0.03, "pairs": 10,
}  # fmt: skip
RUNS = dict.fromkeys(range(10), 0.02)


class Catalog(gettext.NullTranslations):
    """The texts above; others stay English."""

    def gettext(self, message: str) -> str:
        return TEXTS.get(message, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return TEXTS.get(msgid1, msgid1 if n == 1 else msgid2)


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    with use_language(Language("zh-CN", "", "；", "、", "：", Catalog())):
        yield


def said(margin: float | None = None, **fields: Any) -> tuple[str, Said]:
    own = effect("a", RUNS, **{**CLAIM, **fields})
    (judged,) = with_verdicts([effect("b"), own], ACCURACY, 0.05, margin, False)[1:]
    return judged.words, judged.verdict_text


def test_a_size_has_the_unit_of_the_language_once() -> None:
    size = "2.0 [1.0, 3.0] 个百分点"
    assert said() == (f"比基线好 {size}", Said("更好", size))


def test_the_parts_of_a_verdict_do_not_depend_on_its_words() -> None:
    size, margin = "2.0 [1.0, 3.0] 个百分点", "，但未超出等效界值 5.0 个百分点"
    words, parts = said(0.05, flips_agree=True)
    check = f"符号翻转检验的结果一致{margin}"
    assert (words, parts) == (f"比基线好 {size}；{check}", Said("更好（未超出等效界值）", size, check, True))
    words, parts = said(p=0.2, flips_agree=True)
    assert words == "未见明显影响：两个方向均不超过 3.0 个百分点；符号翻转检验的结果一致"
    assert parts == Said("未见明显影响", note="符号翻转检验的结果一致")
    assert said(n=8, diverged=2) == ("不稳定：2/10 发散", Said("不稳定", note="2/10 发散"))


def test_a_reason_is_data_and_translated_where_it_is_shown() -> None:
    assert said(p=None, reason=str(Reason.NO_VARIATION)) == ("不作结论：没有变化", Said("不作结论", note="没有变化"))


def test_the_headline_follows_the_order_of_the_language() -> None:
    own = effect("up", RUNS, verdict="better", n=10, **CLAIM)
    design = compare.design(None, 10, 1, False)
    assert headline([effect("b", n=10), own], ACCURACY, design, 0.05, False) == (
        "就验证准确率而言，1 项改动中有 1 项带来差异：up（比基线好 2.0 个百分点）。"
    )


def test_the_label_of_a_known_metric_is_translated_whole_and_of_another_the_part_of_the_data() -> None:
    accuracy, own, custom = METRICS["val_accuracy"], guess("val_mae"), known("mine:balanced_score", "higher", "share")
    assert (accuracy.label, accuracy.axis, accuracy.heading) == ("验证准确率", "验证准确率（%）", "准确率（%）")
    assert (own.label, own.heading) == ("验证集 MAE", "验证集 MAE")
    assert (custom.label, custom.heading) == ("验证集 balanced score", "Balanced score（%）")
    assert guess("reward").label == "reward"


def test_a_warning_has_its_title_and_its_message_in_the_language() -> None:
    assert entry("diverged").title == "发散的运行"
    lost = effect("a", {0: None, 1: None}, n=1, diverged=1)
    (found,) = states([effect("b"), lost], trained_here=True)
    assert (found.code, found.message) == ("diverged", "a：1/2 发散（种子 ）")
