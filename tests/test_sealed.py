"""Stored JSON as text: what is refused, and with which words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablation.arrays import DamagedError, verify
from ablation.errors import UnreadableError
from ablation.sealed import parse
from ablation.store import read_json

MALFORMED = {
    "a number beyond the range of a float": ('{"schema_version": 1, "lr": 1e999}', "1e999 is not a JSON number"),
    "a negative one": ('{"schema_version": 1, "lr": -1e999}', "-1e999 is not a JSON number"),
    "not a number": ('{"schema_version": 1, "lr": NaN}', "NaN is not a JSON number"),
    "a number of too many digits": ('{"schema_version": ' + "9" * 5000 + "}", "Exceeds the limit"),
    "61 levels": ('{"a": ' + "[" * 60 + "1" + "]" * 60 + "}", "nests deeper than 60 levels"),
    "levels without an end": ('{"a": ' * 100_000, "maximum recursion depth"),
    "a list": ("[1]", "it is not a JSON object"),
    "half a file": ('{"schema_version": 1, "l', "Unterminated string"),
    "nothing": ("", "Expecting value"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_text_that_is_not_ours_is_refused_by_the_name_of_its_file(what: str, tmp_path: Path) -> None:
    text, message = MALFORMED[what]
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UnreadableError) as caught:
        read_json(tmp_path / "x.json", "a hint")
    assert caught.value.message.startswith(f"{tmp_path / 'x.json'} cannot be read: ")
    assert message in caught.value.message
    assert caught.value.hint == "a hint"


def test_sixty_levels_are_read() -> None:
    text = '{"a": ' + "[" * 59 + "1" + "]" * 59 + "}"
    assert parse(text, "x") == json.loads(text)


@pytest.mark.parametrize("text", ['{"digest": ' * 100_000, '{"classes": ' + "[" * 400 + "]" * 400 + "}"])
def test_prepared_data_with_deeply_nested_meta_data_are_damaged(text: str, tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(text)
    with pytest.raises(DamagedError, match=r"meta.json cannot be read"):
        verify(tmp_path)
