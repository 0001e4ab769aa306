"""Stored JSON as text: what is refused, and with which words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablation._util.hashing import sha256
from ablation._util.strict_json import parse
from ablation.data.arrays import DamagedError
from ablation.data.arrays import verify as verify_arrays
from ablation.errors import UnreadableError
from ablation.storage.record import EpochRow
from ablation.storage.sealed import FileStamp, seal, stamp, typed, typed_lines, verify
from ablation.storage.store import read_json

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
        verify_arrays(tmp_path)


def test_the_digest_of_an_object_is_that_of_its_other_keys() -> None:
    first, second = seal({"b": [1, 2.5], "a": "ü"}), seal({"a": "ü", "sha256": "old", "b": [1, 2.5]})
    assert first == second
    assert first["sha256"] == sha256(b'{"a":"\\u00fc","b":[1,2.5]}')
    verify(first, "x")
    verify({"a": 1}, "x")
    with pytest.raises(UnreadableError, match="x has changed since it was written") as caught:
        verify(first | {"a": "u"}, "x", "hint")
    assert caught.value.hint == "hint"
    with pytest.raises(ValueError, match="Out of range"):
        seal({"a": float("inf")})


def test_a_stamp_is_the_size_and_the_digest(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert stamp(tmp_path / "x") == FileStamp(3, sha256(b"abc"))
    assert sha256(b"abc").startswith("ba7816bf")


def test_an_object_of_another_type_is_refused_by_the_place_of_its_first_fault() -> None:
    assert typed(FileStamp, {"bytes": 0, "sha256": "a", "new": 1}, "x") == FileStamp(0, "a")
    for values, words in {
        (("bytes", "1"), ("sha256", "a")): "x cannot be read: bytes: input should be a valid integer, not '1'",
        (("bytes", 1),): "x cannot be read: sha256: field required",
        (("bytes", -1), ("sha256", "a")): "x cannot be read: bytes: input should be greater than or equal to 0, not -1",
    }.items():
        with pytest.raises(UnreadableError) as caught:
            typed(FileStamp, dict(values), "x", "hint")
        assert (caught.value.message, caught.value.hint) == (words, "hint")


def test_a_line_of_another_type_is_refused_by_its_number() -> None:
    good = json.dumps({"bytes": 1, "sha256": "a"}).encode()
    assert typed_lines(FileStamp, [good, good], "x") == [FileStamp(1, "a")] * 2
    assert typed_lines(EpochRow, [], "x") == []
    with pytest.raises(UnreadableError, match=r"^line 2 of x cannot be read: bytes: field required") as caught:
        typed_lines(FileStamp, [good, b"{}"], "x", "hint")
    assert caught.value.hint == "hint"
    with pytest.raises(UnreadableError, match=r"^x cannot be read: invalid JSON"):
        typed_lines(FileStamp, [good, b"{"], "x")
