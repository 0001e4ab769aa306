"""A study whose every name tries to be more than a name, as a user would type it and run it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import ABLATE

SCRIPT = "<script>console.log('ran')</script><img src=x onerror=\"console.log('ran')\">"
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b2J\u202e"
MARKUP = "[red]m[/red] [link=https://example.org]l[/link] [/] :smile: \\"

STUDY = f"../../{SCRIPT}\n</title></style></script>"
TITLE = f"</title></h1>{SCRIPT}{ESCAPES} {{{{7*7}}}} {{% raw %}} {MARKUP}"
QUESTION = f"</p>{SCRIPT}\n}} body {{ display: none }} javascript:console.log(1) & % $ # _ \\input{{x}}"
NAMES = (
    "../../../outside",
    f"</td></tr></table>{SCRIPT}",
    "\"' onmouseover='console.log(1)' x=\"",
    "[click](javascript:console.log(1)) ![x](http://127.0.0.1/x.png) `code` | cell | **b**",
    "\\end{tabular}\\input{/etc/passwd} % $x^2$ #1 & ~",
    "| new | row | # heading",
    f"\N{GRINNING FACE} {ESCAPES}",
    MARKUP,
    "a" * 320,
    "NUL \x00 {{7*7}} ${7*7} %s %(x)s {0}",
    "\u200f\u202eright to left\u2069 \ufeff",
)
CLASSES = (f"{SCRIPT.replace('/', chr(0x2215))}", "{{7*7}} | `b` [red]\x1b]0;owned\x07", "'.. \"\\|$&%", "d" * 200)
SIDE = 8


def write_hostile_study(folder: Path) -> str:
    """Write study and images into `folder`; returns the name of the study file."""
    with zipfile.ZipFile(folder / "images $(touch x).zip", "w") as archive:
        for part, count in (("train", 12), ("test", 3)):
            for place, name in enumerate(CLASSES):
                for number in range(count):
                    archive.writestr(f"{part}/{name}/{number} '<b>\".png", picture(place, number))
    name = "<img src=x onerror=console.log(1)> [red] %s.yaml"
    (folder / name).write_text(study_text(), encoding="utf-8")
    return name


def picture(label: int, number: int) -> bytes:
    """A small noisy image of a class, as PNG."""
    noise = np.random.default_rng([label, number]).integers(0, 90, (SIDE, SIDE, 3))
    noise[:, :, label % 3] += 60 * (1 + label // 3)
    stream = io.BytesIO()
    Image.fromarray(noise.astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


def study_text() -> str:
    """The study file; one variant diverges, so that its name stands in the list of problem_runs too."""
    variants = {name: f"{{optimizer.lr: {0.01 * (n + 2)}, model.dropout: 0.1}}" for n, name in enumerate(NAMES)}
    variants[NAMES[1]] = "{optimizer.lr: 1e+30, model.dropout: 0.1}"
    combine = "".join(f"  ? {quoted(name)}\n  : {changes}\n" for name, changes in variants.items())
    return f"""\
study: {quoted(STUDY)}
title: {quoted(TITLE)}
question: {quoted(QUESTION)}
baseline:
  data: {{name: image_folder, path: {quoted("images $(touch x).zip")}, size: {SIDE}, validation: 0.25}}
  model: {{name: lenet5, hidden: [8]}}
  optimizer: {{name: sgd, lr: 0.01}}
  train: {{epochs: 1, batch_size: 16}}
seeds: [0]
combine:
{combine}"""


def quoted(text: str) -> str:
    """Any text as a double-quoted scalar of YAML."""
    rare = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
    return rare.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


@dataclass(frozen=True)
class Hostile:
    """The study after `run`, `test` and `report`: its folder, what was there before, and what a terminal was sent."""

    folder: Path
    before: frozenset[Path]
    terminal: str

    @property
    def report(self) -> Path:
        (found,) = (self.folder / "reports").glob("*/report.html")
        return found


def run_hostile_study(root: Path) -> Hostile:
    """Run it by the real commands, on a terminal, three folders below `root`."""
    folder = root / "a" / "b" / "c"
    folder.mkdir(parents=True)
    name = write_hostile_study(folder)
    before = frozenset(root.rglob("*"))
    commands = (["validate", name], ["run", name, "--per-device", "1", "--device", "cpu"], ["plan", name], ["status"],
                ["test", STUDY, "--device", "cpu", "--per-device", "1"], ["report"])  # fmt: skip
    return Hostile(folder, before, "".join(on_terminal(folder, *command) for command in commands))


def on_terminal(folder: Path, *arguments: str) -> str:
    """What a terminal gets of a command that succeeds."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "150", "LINES": "50"}
    command = [*ABLATE, *arguments]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    output = b""
    try:
        while read := os.read(ours, 1 << 16):
            output += read
    except OSError:  # this is how Linux says that the other side has hung up
        pass
    os.close(ours)
    assert process.wait() == 0, output.decode()
    return output.decode()
