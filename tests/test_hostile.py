"""Names that try to be more than names: they stay in their folders, run nowhere, and are shown as they are."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from functools import partial
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ablation._util.sanitize import clean, one_line
from ablation.errors import UserError
from ablation.storage.store import Store
from ablation.study.load import load_study
from tests.browser import CHROMIUM, Browser, chromium
from tests.conftest import TINY, Ablate
from tests.hostile import CLASSES, NAMES, SCRIPT, TITLE, Hostile, run_hostile_study

POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    return run_hostile_study(tmp_path_factory.mktemp("hostile"))


@pytest.mark.slow
def test_no_name_leaves_its_folder(hostile: Hostile) -> None:
    made = set(hostile.folder.parents[2].rglob("*")) - hostile.before
    tops = {path.relative_to(hostile.folder).parts[0] for path in made}
    assert tops == {"results", "reports"}
    names = {part for path in made for part in path.relative_to(hostile.folder).parts}
    assert not [name for name in names if re.search(r"[^A-Za-z0-9_.-]", name)]


def test_the_terminal_is_sent_no_control_sequence_of_a_name(hostile: Hostile) -> None:
    own = re.sub(r"\x1b\[[0-9;?]*[ABKhlm]", "", hostile.terminal)
    assert not re.findall(r"[^\n\r\t\x20-\x7e\xa0-\U0010ffff]", own)
    assert "\u202e" not in own


def test_the_terminal_shows_markup_of_a_name_as_it_is(hostile: Hostile) -> None:
    assert "[red]m[/red]" in hostile.terminal
    assert "[link=https://example.org]l[/link]" in hostile.terminal
    assert ":smile:" in hostile.terminal


def test_an_error_about_a_hostile_file_is_shown_as_text(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text('study: "\\e]0;owned\\a"\n"\\e[2J[red]": 1\n', encoding="utf-8")
    result = ablate("validate", "x.yaml")
    assert result.returncode == 1
    assert "unknown key" in result.stderr
    assert "\x1b" not in result.stderr + result.stdout


def test_a_study_file_may_have_any_name_that_a_disk_can_hold(ablate: Ablate, tmp_path: Path) -> None:
    text = TINY.replace("study: tiny\n", "")
    path = os.fsencode(tmp_path) + b"/\xff\x1b[2J.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    name = os.fsdecode(os.path.basename(path))  # noqa: PTH119 (bytes that are no text)
    result = ablate("validate", name)
    assert "\x1b" not in result.stdout
    assert result.stdout.startswith("\ufffd\ufffd[2J.yaml: valid")
    assert load_study(Path(os.fsdecode(path))).name.encode() == "\ufffd\ufffd[2J".encode()


def test_a_damaged_manifest_leads_to_no_other_folder(tmp_path: Path) -> None:
    for name in ("../../elsewhere", "/etc", "..", "", "a\x00b", "a\\b"):
        with pytest.raises(UserError, match="is not the name of a run folder"):
            Store(tmp_path).run(name)


def test_markdown_shows_every_name_and_its_tables_stay_tables(hostile: Hostile) -> None:
    text = (hostile.report.parent / "report.md").read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    assert not [token for token in [*tokens, *inline] if token.type in ("html_block", "html_inline")]
    assert not [token for token in inline if token.type == "link_open"]
    pictures = {str(token.attrs["src"]) for token in inline if token.type == "image"}
    assert all(re.fullmatch(r"figures/[a-z]+(-[a-z]+)?-\d+\.png", picture) for picture in pictures)
    rows = [[_shown(cell) for cell in row] for row in _rows(tokens)]
    firsts = {row[0] for row in rows}
    assert {one_line(name) for name in NAMES} <= firsts
    headings = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    assert "heading" not in headings


def _rows(tokens: list[Token]) -> Iterator[list[Token]]:
    row: list[Token] = []
    for place, token in enumerate(tokens):
        if token.type == "tr_open":
            row = []
        elif token.type in ("td_open", "th_open"):
            row.append(tokens[place + 1])
        elif token.type == "tr_close":
            yield row


def _shown(cell: Token) -> str:
    return "".join(child.content for child in cell.children or ())


def test_every_row_of_markdown_has_the_cells_of_its_head(hostile: Hostile) -> None:
    text = (hostile.report.parent / "report.md").read_text(encoding="utf-8")
    outside = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    tables = re.findall(r"(?:^\|.*\n)+", outside, flags=re.MULTILINE)
    assert len(tables) > 5
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def test_latex_shows_every_name_and_runs_none(hostile: Hostile) -> None:
    lines = (hostile.report.parent / "tables" / "results.tex").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.endswith(r" \\")]
    assert len(rows) == 2 + len(NAMES)
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {5}
    commands = set(re.findall(r"\\[A-Za-z]+", "\n".join(lines)))
    assert "\\input" not in commands
    assert sum("\\end" in line for line in lines) == 2
    for row in rows[1:]:
        row = row.removeprefix("{[}").removeprefix("{*}")  # otherwise they would be read as options of the line before
        bare = re.sub(r"\$(?:-|\\to|\\pm|\\times|[a-z])\$|\\[&%$#_{}]|\\[a-z]+\{\}", "", row.removesuffix(r" \\"))
        assert not re.findall(r"[\\%$#_{}~^]", bare), row


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium here")
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """An address on this machine, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.05))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


QUESTIONS = {
    "title": "document.title",
    "heading": "document.querySelector('h1').textContent",
    "text": "document.body.textContent",
    "scripts": "document.scripts.length",
    "policies": "document.querySelectorAll('head > meta[http-equiv=Content-Security-Policy]').length",
    "frames": "document.querySelectorAll('iframe, object, embed, link, base, form').length",
    "pictures": "[...document.images].filter(i => !i.src.startsWith('data:image/png;base64,')).length",
    "handlers": "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])"
    ".filter(a => /^on/i.test(a.name) || /javascript:/i.test(a.value)).length",
    "links": "[...document.links].filter(a => !a.getAttribute('href').startsWith('#')).length",
    "ran": "typeof window.ran",
}


def test_a_report_of_hostile_names_runs_nothing_and_loads_nothing(hostile: Hostile, browser: Browser) -> None:
    visit = browser.visit(hostile.report.as_uri(), **QUESTIONS)
    assert visit.ran == []
    assert [url for url in visit.asked if not url.startswith("data:image/png;base64,")] == [hostile.report.as_uri()]
    facts = visit.facts
    found = [facts[key] for key in ("scripts", "frames", "pictures", "handlers", "links", "policies")]
    assert found == [1, 0, 0, 0, 0, 1], "one script of ours, no more"
    assert facts["heading"] == clean(TITLE)
    assert facts["title"] == one_line(TITLE)
    assert facts["text"].count(SCRIPT) > len(CLASSES)
    for name in (*NAMES, *CLASSES):
        assert clean(unescape(name)).replace("\r", "\n") in facts["text"].replace("\r", "\n")


def _injected(report: Path, address: str, *, policy: bool) -> str:
    """The report with code in it, as if a name had become markup."""
    text = report.read_text(encoding="utf-8")
    code = f"<script>window.ran = 1; console.log('ran')</script><img src='{address}/image.png'>"
    code += f"<link rel=stylesheet href='{address}/style.css'><iframe src='{address}/frame'></iframe>"
    code += (
        f"<svg onload=\"console.log('ran')\"></svg><style>body {{ background: url('{address}/background') }}</style>"
    )
    assert len(POLICY.findall(text)) == 1
    text = text.replace("<h1>", f"{code}<h1>", 1)
    return text if policy else POLICY.sub("", text)


def test_what_a_name_could_do_is_noticed(
    hostile: Hostile, browser: Browser, canary: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = canary
    page = tmp_path / "injected.html"
    page.write_text(_injected(hostile.report, address, policy=False), encoding="utf-8")
    visit = browser.visit(page.as_uri(), **QUESTIONS)
    assert len([line for line in visit.ran if '"ran"' in line]) == 2
    assert visit.facts["ran"] == "number"
    assert (visit.facts["scripts"], visit.facts["pictures"]) == (2, 1)
    wanted = {"/image.png", "/style.css", "/frame", "/background"}
    assert wanted <= set(asked)
    assert {address + path for path in wanted} <= set(visit.asked)


def test_the_policy_of_the_page_alone_would_stop_it(
    hostile: Hostile, browser: Browser, canary: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = canary
    page = tmp_path / "guarded.html"
    page.write_text(_injected(hostile.report, address, policy=True), encoding="utf-8")
    visit = browser.visit(page.as_uri(), **QUESTIONS)
    assert visit.facts["ran"] == "undefined"
    assert asked == []
    assert not [line for line in visit.ran if '"ran"' in line]
    assert [line for line in visit.ran if "Content Security Policy" in line]
