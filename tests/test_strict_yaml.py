"""YAML as people mean it, and YAML that means harm."""

from __future__ import annotations

import math

import pytest

from ablation.errors import FileError
from ablation.study import strict_yaml
from ablation.study.strict_yaml import parse, parse_scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5E-4", 0.0005),
        (".5", 0.5),
        ("-2", -2),
        ("007", 7.0),
        ("1_000", 1000),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        (".inf", math.inf),
        ("1:30", "1:30"),
        ("2026-01-02", "2026-01-02"),
        ("'1'", "1"),
        ("0x10", "0x10"),
        ("[a, 1, true]", ["a", 1, True]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_values_are_what_they_look_like(text: str, value: object) -> None:
    found = parse_scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_every_value_knows_its_place() -> None:
    document = parse("a:\n  b: [1, 2]\n", "f.yaml")
    assert document.place(("a", "b", 1)) == (2, 10)
    assert document.place(("a", "b"), key=True) == (2, 3)
    assert document.place(("a", "missing")) == (2, 3)


def test_an_alias_bomb_is_refused_quickly() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(FileError, match="more than 20,000 values"):
        parse("\n".join(rows), "bomb.yaml")


def test_as_many_values_as_the_limit_are_read_and_one_more_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list or mapping is a value too. Keys are none, but the parser meets them: it stops at twice the limit."""
    monkeypatch.setattr(strict_yaml, "MAX_VALUES", 10)
    assert len(parse_scalar(str([1] * 9))) == 9
    assert len(parse_scalar(str(dict.fromkeys(range(9), 1)))) == 9
    for values, why in [(10, "aliases expanded"), (19, "aliases expanded"), (20, "the file has more than 10 values")]:
        with pytest.raises(FileError, match=why):
            parse_scalar(str([1] * values))


def test_an_alias_to_itself_is_refused() -> None:
    with pytest.raises(FileError, match="more than 40 levels"):
        parse("a: &a [*a]", "f.yaml")


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(FileError, match="levels"):
        parse("[" * 5000 + "]" * 5000, "f.yaml")


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(FileError, match="the limit is 1,000,000"):
        parse("a: " + "x" * 1_000_000, "f.yaml")


def test_control_characters_are_refused() -> None:
    with pytest.raises(FileError, match="character that YAML forbids"):
        parse("a: \x00", "f.yaml")
