"""The tables and the claims beside a report: what results give, and whether those on disk are that."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

import ablation.report as report
from ablation._util.language import LANGUAGES, Code, load, use_language
from ablation.analysis import describe, to_json
from ablation.analysis.sequential import required
from ablation.report.context import Context
from ablation.results.runs import Results
from ablation.storage.store import Store

ANALYSIS = "analysis.json"
_AGAIN = "not what the results give now"


def check_report(results: Results, store: Store, folder: Path) -> Iterator[str]:
    """What differs between the tables of a report in `folder` and those that the results give.

    A report in another language has other words in its claims, and is compared in that one.
    """
    results = required(results)
    analysis = describe(results, report.Predictions(results, store))
    for name, table in report.tables(Context(store, results, analysis)).items():
        path, content = folder / name, io.BytesIO()
        report.csv_writer(table)(content)
        if path.exists() and (difference := _table_difference(path.read_bytes(), content.getvalue())):
            yield f"{path} is {_AGAIN}: {difference}"
    path = folder / ANALYSIS
    if path.exists() and (
        difference := _claims_difference(path, [_claims(results, store, code) for code in LANGUAGES])
    ):
        yield f"{path} is {_AGAIN}: {difference}"


def _claims(results: Results, store: Store, language: Code) -> Mapping[str, object]:
    with use_language(load(language)):
        values = to_json(describe(results, report.Predictions(results, store)), results.manifest.name)
        own: Mapping[str, object] = json.loads(json.dumps(values))
        return own


def _table_difference(found: bytes, expected: bytes) -> str:
    """The first cell in which a CSV table differs; empty where none does."""
    if found == expected:
        return ""
    own, other = (
        list(csv.reader(io.StringIO(text.decode("utf-8", "replace"), newline=""))) for text in (found, expected)
    )
    if not own or own[:1] != other[:1]:
        return "different columns"
    for line, (row, right) in enumerate(zip_longest(own, other, fillvalue=list[str]()), start=1):
        for name, cell, value in zip_longest(own[0], row, right, fillvalue=""):
            if cell != value:
                return f"line {line}, {name}: {cell or 'nothing'} instead of {value or 'nothing'}"
    return "different line endings"


def _claims_difference(path: Path, expected: list[Mapping[str, object]]) -> str:
    """The first key in which analysis.json differs in every language; empty where none does in one."""
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return "not valid JSON"
    if not isinstance(found, dict):
        return "not a JSON object"
    if found in expected:
        return ""
    keys = [key for key in {**expected[0], **found} if all(found.get(key) != own.get(key) for own in expected)]
    return f"{', '.join(keys) or 'its language'}"
