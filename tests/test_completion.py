"""`ablate completion`: the script that it prints, sourced in a real bash, completes what a user types."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from ablation.cli.completion import SHELLS
from ablation.cli.main import COMMANDS, main

from .conftest import TINY

BASH, ZSH = shutil.which("bash"), shutil.which("zsh")
ASK = """
source ./ablate.bash
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
_shtab_ablate ablate "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a study file, results of a study, and the completion script of bash."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "results" / "studies" / "digits").mkdir(parents=True)
    assert main(["completion", "bash"]) == 0
    (tmp_path / "ablate.bash").write_text(capsys.readouterr().out)
    return tmp_path


def completed(folder: Path, *words: str) -> set[str]:
    command = [str(BASH), "--norc", "-c", ASK, "bash", "ablate", *words]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return {line for line in result.stdout.splitlines() if line}


@pytest.mark.skipif(not BASH, reason="no bash is installed")
def test_in_bash_it_completes_commands_options_studies_and_names(folder: Path) -> None:
    assert len(completed(folder, "")) >= len(COMMANDS)
    assert completed(folder, "ru") == {"run"}
    assert completed(folder, "run", "") == {"tiny.yaml", "results"}
    assert completed(folder, "report", "d") == {"digits"}
    assert completed(folder, "report", "t") == {"tiny.yaml"}
    assert completed(folder, "run", "--sm") == {"--smoke"}
    assert completed(folder, "run", "tiny.yaml", "--results", "") == {"results"}
    assert completed(folder, "report", "--style", "") == {"page", "lab", "paper"}
    assert completed(folder, "init", "--model", "resnet1") == {"resnet18"}
    assert completed(folder, "init", "--data", "m") == {"mnist"}


ZSHRC = """\
fpath+=$PWD
autoload -Uz compinit
compinit -u
PS1='> '
"""


def read_until(terminal: int, wanted: str, seconds: float = 20) -> str:
    """What a terminal shows, up to `wanted`, or all of it where that does not come."""
    shown = ""
    while wanted not in shown and select.select([terminal], [], [], seconds)[0]:
        shown += os.read(terminal, 65_536).decode(errors="replace")
    return shown


@pytest.mark.skipif(not ZSH, reason="no zsh is installed")
@pytest.mark.parametrize(
    ("typed", "more"), [("report d", "igits"), ("run t", "iny.yaml"), ("run tiny.yaml --sm", "oke")]
)
def test_in_zsh_it_completes_studies_files_and_options(
    typed: str, more: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "zsh"]) == 0
    (folder / "_ablate").write_text(capsys.readouterr().out)
    (folder / ".zshrc").write_text(ZSHRC)
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [str(ZSH), "-i"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "ZDOTDIR": str(folder), "TERM": "dumb"},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    ) as shell:
        read_until(terminal, "> ")
        os.write(terminal, f"ablate {typed}\t".encode())
        shown = read_until(terminal, typed + more, seconds=5)
        shell.kill()
    os.close(terminal)
    os.close(end)
    assert typed + more in shown


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_a_script_that_names_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in ("follow-up", "hang-after", "resnet34"))


def test_another_shell_is_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "ksh"]) == 1
    assert "unknown shell 'ksh'" in capsys.readouterr().err
