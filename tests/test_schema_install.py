"""`ablate schema --install`: VS Code gets the schema, and keeps its settings byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablation._util.jsonc import JsoncError, read, with_member
from ablation.cli.main import main

from .conftest import TINY

KEY = "./.vscode/study.schema.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "other.yaml").write_text("services: {}")
    return tmp_path


def test_without_settings_both_files_are_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--install"]) == 0
    settings = json.loads((folder / ".vscode" / "settings.json").read_text())
    assert settings == {"yaml.schemas": {KEY: ["studies/**/*.yaml", "tiny.yaml"]}}
    installed = (folder / ".vscode" / "study.schema.json").read_text()
    capsys.readouterr()
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == installed
    assert main(["schema", "--install"]) == 0
    assert ".vscode/settings.json names it already" in capsys.readouterr().out


SETTINGS = """\
{
  // my settings, with a "brace" } and a comma,
  "editor.tabSize": 2, /* two */
  "yaml.schemas": {
    "https://example.org/a.json": "a/*.yaml", // mine
  },
  "files.exclude": {"**/x": true},
}
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_comments_and_other_settings_stay_byte_for_byte(folder: Path, newline: str, mark: str) -> None:
    (folder / ".vscode").mkdir()
    path = folder / ".vscode" / "settings.json"
    before = (mark + SETTINGS).replace("\n", newline)
    path.write_bytes(before.encode())
    assert main(["schema", "--install"]) == 0
    added = f'{newline}    "{KEY}": ["studies/**/*.yaml", "tiny.yaml"],'
    place = before.index('"yaml.schemas": {') + len('"yaml.schemas": {')
    assert path.read_bytes().decode() == before[:place] + added + before[place:]


def test_files_that_it_is_named_for_are_kept_and_new_ones_are_added(folder: Path) -> None:
    (folder / ".vscode").mkdir()
    path = folder / ".vscode" / "settings.json"
    path.write_text(f'{{"yaml.schemas": {{"{KEY}": ["own/*.yaml"]}}, "a": 1 /* one */}}')
    assert main(["schema", "--install"]) == 0
    files = '["own/*.yaml", "studies/**/*.yaml", "tiny.yaml"]'
    assert path.read_text() == f'{{"yaml.schemas": {{"{KEY}": {files}}}, "a": 1 /* one */}}'


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a": 1} {}', '{"a": 1, "a": 2}', '{"yaml.schemas": []}', "{a: 1}", "\xff"]
)
def test_settings_that_cannot_be_changed_safely_are_left_alone(
    folder: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".vscode").mkdir()
    path = folder / ".vscode" / "settings.json"
    path.write_bytes(text.encode("latin-1"))
    assert main(["schema", "--install"]) == 1
    error = capsys.readouterr().err
    assert ".vscode/settings.json cannot be changed safely" in error
    assert f'add it yourself: "yaml.schemas": {{"{KEY}"' in error
    assert path.read_bytes() == text.encode("latin-1")
    assert [own.name for own in path.parent.iterdir()] == ["settings.json"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), st.sampled_from([None, 2, "\t"]), st.booleans())
def test_a_change_changes_what_was_meant_alone(value: dict[str, object], indent: int | None, exists: bool) -> None:
    value = {**value, **({"yaml.schemas": {"a": "b"}} if exists else {})}
    if not isinstance(value.get("yaml.schemas", {}), dict):
        return
    text = json.dumps(value, indent=indent)
    assert read(text).value == value
    changed = json.loads(with_member(text, ("yaml.schemas", "own"), ["x"]))
    assert changed == {**value, "yaml.schemas": {**value.get("yaml.schemas", {}), "own": ["x"]}}  # type: ignore[dict-item]


@pytest.mark.parametrize("text", ["", "{", '{"a"}', '{"a":}', "[1 2]", "nul", "01", '"a', "{} // x\n1", "[" * 200])
def test_what_is_no_json_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(JsoncError, match="line"):
        read(text)
