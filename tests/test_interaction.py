"""What the script of the page does, in a real browser: sort, filter, highlight, copy, and read values off curves."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from ablation.report import write_report
from tests.browser import CHROMIUM, chromium
from tests.stored import ARMS, StoredVariant, write_study

NAMES = (
    "[...document.querySelectorAll('.variants tbody tr')].filter(r => !r.hidden)"
    ".map(r => r.querySelector('.name').textContent)"
)
FILTER = "const f = document.querySelector('.tools input'); f.value = 'DROP'; f.oninput()"
HEAD = "[...document.querySelectorAll('.variants thead button')].find(b => b.textContent.startsWith('{}')).click()"
READ = """() => {
  const panel = document.querySelectorAll('#figure-loss .panel')[1];
  const svg = [...panel.querySelectorAll('svg')].find((own) => own.checkVisibility());
  const box = svg.getBoundingClientRect();
  svg.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: box.left + 0.95 * box.width}));
  return panel.querySelector('.name').textContent + '\\n' + panel.querySelector('.cross').textContent;
}"""
"""The values where the pointer is near the right end of the second panel of the losses."""
STEPS = {
    "given": NAMES,
    "descending": f"{HEAD.format('Accuracy')}; {NAMES}",
    "ascending": f"{HEAD.format('Accuracy')}; {NAMES}",
    "again": f"{HEAD.format('Accuracy')}; {NAMES}",
    "by_name": f"{HEAD.format('Variant')}; {HEAD.format('Variant')}; {NAMES}",
    "filtered": f"(() => {{ {FILTER}; return {NAMES} }})()",
    "copies": "(async () => { const out = {}; const button = [...document.querySelectorAll('.tools button')];"
    " for (const b of button) { const label = b.textContent; b.click(); await new Promise(r => setTimeout(r, 50));"
    " out[label] = window.copied; } return JSON.stringify(out) })()",
    "marked": "document.querySelector('.variants tbody tr:nth-child(2) .name').click();"
    " [...document.querySelectorAll('.marked')].map(e => e.tagName + ' ' + e.querySelector('.name').textContent)",
    "read": f"({READ})()",
    "log": "(() => { const b = document.querySelector('#figure-loss .scale'); b.click(); return b.ariaPressed })()",
    "read_log": f"({READ})()",
    "hidden": "[...document.querySelectorAll('#figure-loss .panel > svg')].filter(s => s.checkVisibility()).length",
    "left": "(() => { const p = document.querySelectorAll('#figure-loss .panel')[1]; p.onpointerleave();"
    " return p.querySelector('.cross').textContent })()",
    "released": "document.querySelector('.variants tbody tr:nth-child(2) .name').click();"
    " document.querySelectorAll('.marked').length",
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium here")
    folder = tmp_path_factory.mktemp("page")
    stored = write_study(folder / "results", [*ARMS, StoredVariant("=a|b_c", {"model.activation": "sigmoid"}, 0.8)])
    report = write_report(stored.store, stored.manifest, folder / "report")
    with chromium(folder / "profile") as browser:
        catch = "navigator.clipboard.writeText = async (text) => { window.copied = text }; 1"
        visit = browser.visit(report.html.as_uri(), catch=catch, **STEPS)
    assert visit.ran == []
    return {**visit.facts, "epochs": pd.read_csv(report.epochs)}


@pytest.mark.slow
def test_a_click_on_a_head_sorts_and_the_third_gives_the_order_of_the_page_back(seen: dict[str, Any]) -> None:
    first, *rest = seen["given"]
    assert first == "baseline"
    assert seen["descending"][0] == seen["ascending"][0] == "baseline"
    assert seen["descending"][1:] == list(reversed(seen["ascending"][1:]))
    assert seen["ascending"][1] == "=a|b_c"
    assert seen["again"] == [first, *rest]
    assert seen["by_name"][1:] == sorted(rest)


def test_the_filter_keeps_the_baseline_and_what_matches(seen: dict[str, Any]) -> None:
    assert sorted(seen["filtered"]) == ["baseline", "dropout=0", "dropout=0.5"]


def test_a_table_is_copied_as_it_is_shown(seen: dict[str, Any]) -> None:
    copies = json.loads(seen["copies"])
    assert list(copies) == ["Copy CSV", "Copy Markdown", "Copy LaTeX"]
    csv, markdown, latex = (copies[key].splitlines() for key in copies)
    assert csv[0] == '"Accuracy, %"'.join(["Variant,", ",Difference,Verdict,n"])
    assert len(csv) == 4, "the head and the rows that the filter leaves"
    assert markdown[1] == "| --- | --- | --- | --- | --- |"
    assert latex[0] == r"\begin{tabular}{lrrrr}"
    assert r"$\pm$" in latex[4]


def test_a_click_on_a_name_highlights_the_variant_everywhere(seen: dict[str, Any]) -> None:
    places = {place.split(" ", 1)[0] for place in seen["marked"]}
    names = {place.split(" ", 1)[1] for place in seen["marked"]}
    assert len(names) == 1
    assert places == {"TR", "DIV", "SPAN"}
    assert seen["released"] == 0


@pytest.mark.parametrize("step", ["read", "read_log"])
def test_the_pointer_reads_the_last_epoch_off_either_axis(seen: dict[str, Any], step: str) -> None:
    name, epoch, *values = seen[step].splitlines()
    last = seen["epochs"][seen["epochs"]["epoch"] == int(epoch)].groupby("variant")[["val_loss", "train_loss"]].mean()
    shown = {label: float(number) for label, number in (line.rsplit(" ", 1) for line in values)}
    assert int(epoch) == seen["epochs"]["epoch"].max()
    assert shown == {
        "validation": pytest.approx(last.loc[name, "val_loss"], rel=0.02),
        "training": pytest.approx(last.loc[name, "train_loss"], rel=0.02),
        "baseline": pytest.approx(last.loc["baseline", "val_loss"], rel=0.02),
    }


def test_a_button_shows_losses_on_a_logarithmic_axis(seen: dict[str, Any]) -> None:
    assert seen["log"] == "true"
    assert seen["hidden"] == 0
    assert seen["left"] == ""
