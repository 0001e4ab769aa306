"""`ablate watch`: what a user sees of a study while other processes train it, in the terminal and on the page."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from ablation.analysis.sequential import follow
from ablation.cli.main import main
from ablation.cli.watch_server import WatchServer
from ablation.cli.watch_terminal import counts_line, sparkline
from ablation.execution.watching import RunView, Watcher, seconds_left
from ablation.storage.find import find_study
from ablation.storage.store import Store

from .browser import CHROMIUM, chromium
from .test_sequential import sequential


@pytest.fixture
def study(trained: Path, tmp_path: Path) -> Store:
    """A finished study of three variants with two seeds each, to be changed."""
    shutil.copytree(trained / "results", tmp_path / "results")
    return Store(tmp_path / "results")


def watcher(store: Store) -> Watcher:
    return Watcher(store, find_study(store, None, lambda _: None))


def unfinished(store: Store, variant: str, seed: int, epochs: int) -> Path:
    """The folder of a run that is now one that was interrupted an hour ago, after so many epochs."""
    folder = store.run(watcher(store).manifest.run_folder(variant, seed)).path
    (folder / "run.json").unlink()
    lines = (folder / "epochs.jsonl").read_text().splitlines(keepends=True)
    (folder / "epochs.jsonl").write_text("".join(lines[:epochs]))
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    return folder


def test_of_a_finished_study_it_says_so_and_names_the_report(study: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--results", str(study.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["6 of 6 runs finished", "tiny is finished: 6 runs", "next: ablate report --open"]


def test_without_a_study_it_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--results", str(tmp_path)]) == 1
    assert "no study has been run" in capsys.readouterr().err


def test_a_run_is_running_while_its_lock_is_held_or_its_files_are_new(study: Store) -> None:
    names = [variant.name for variant in watcher(study).manifest.variants]
    folder = unfinished(study, names[0], 0, 2)
    own = watcher(study)
    assert own.look().counts == {"finished": 5, "interrupted": 1}
    with FileLock(folder / "lock"):
        assert own.look().counts == {"finished": 5, "running": 1}
        (run,) = own.look().of("running")
    assert (run.variant, run.seed, run.epochs, run.planned, run.share) == (names[0], 0, 2, 3, pytest.approx(2 / 3))
    assert len(run.metric) == len(run.loss) == 2
    assert all(0 <= value <= 1 for value in run.metric)
    assert own.look().counts["interrupted"] == 1
    os.utime(folder / "epochs.jsonl")
    assert own.look().counts["running"] == 1


def test_looking_never_takes_the_lock_away_from_who_trains(study: Store) -> None:
    names = [variant.name for variant in watcher(study).manifest.variants]
    folder = unfinished(study, names[0], 0, 1)
    before = {path: path.stat().st_mtime_ns for path in study.root.rglob("*")}
    with FileLock(folder / "lock"):
        before |= {path: path.stat().st_mtime_ns for path in (folder, folder / "lock")}
        watcher(study).look()
        assert {path: path.stat().st_mtime_ns for path in study.root.rglob("*")} == before
        with pytest.raises(TimeoutError), FileLock(folder / "lock", timeout=0):
            pass


def test_a_failed_run_says_why_and_one_that_has_not_begun_waits(study: Store) -> None:
    names = [variant.name for variant in watcher(study).manifest.variants]
    unfinished(study, names[1], 0, 1)
    study.run(watcher(study).manifest.run_folder(names[1], 0)).fail("out of memory", "")
    shutil.rmtree(study.run(watcher(study).manifest.run_folder(names[1], 1)).path)
    snapshot = watcher(study).look()
    assert snapshot.counts == {"finished": 4, "crashed": 1, "waiting": 1}
    assert [run.reason for run in snapshot.of("crashed")] == ["out of memory"]
    assert not snapshot.complete


def test_a_run_that_finishes_is_seen_at_the_next_look(study: Store, tmp_path: Path) -> None:
    names = [variant.name for variant in watcher(study).manifest.variants]
    done = study.run(watcher(study).manifest.run_folder(names[2], 1)).path
    shutil.copytree(done, tmp_path / "done")
    unfinished(study, names[2], 1, 1)
    own = watcher(study)
    assert own.look().ended == 5
    shutil.copytree(tmp_path / "done", done, dirs_exist_ok=True)
    assert own.look().complete


def test_of_a_sequential_study_only_what_its_looks_need_is_shown_and_not_what_they_decide(tmp_path: Path) -> None:
    results = sequential(tmp_path, (2, 3))
    stored = Watcher(Store(tmp_path), results.manifest).look()
    needed = follow(results)
    assert needed is not None
    assert {(run.variant, run.seed) for run in stored.runs} == needed.needed
    assert stored.look.startswith("look ")
    assert "decided" not in stored.look + counts_line(stored)


def view(variant: str, state: str, **more: Any) -> RunView:
    return RunView(variant, 0, state, **more)  # type: ignore[arg-type]


def test_the_time_left_is_that_of_finished_runs_of_the_variant_or_of_the_pace_of_one_under_way() -> None:
    assert seconds_left([view("a", "waiting")]) is None
    assert seconds_left([view("a", "running")]) is None  # nothing is known yet
    half = view("a", "running", epochs=5, planned=10, seconds=30)
    assert seconds_left([half]) == 30
    assert seconds_left([half, view("a", "waiting")]) == 90
    done = view("b", "finished", seconds=100)
    assert seconds_left([done, half, view("b", "running", seconds=20)]) == 80  # the longest of those at work
    assert seconds_left([done, half, view("b", "waiting"), view("c", "waiting")]) == 30 + 100 + 80


def test_a_sparkline_is_drawn_from_its_least_to_its_greatest_value() -> None:
    assert sparkline((0.0, 3.0, 7.0)) == "▁▄█"
    assert sparkline((1.0, 1.0)) == "▁▁"
    assert sparkline((0.0, float("nan"), 7.0)) == "▁ █"
    assert sparkline(()) == ""


@contextmanager
def served(store: Store) -> Iterator[WatchServer]:
    with WatchServer(watcher(store), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: WatchServer, path: str, host: str | None = None, method: str = "GET") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    return connection.getresponse()


def test_the_page_has_its_state_and_nothing_else(study: Store) -> None:
    with served(study) as server:
        assert server.server_address[0] == "127.0.0.1"
        for path, kind in (("/", "text/html"), ("/watch.css", "text/css"), ("/watch.js", "text/javascript")):
            answer = ask(server, path)
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith(kind)
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        state = json.loads(ask(server, "/state.json").read())
        assert (state["ended"], state["total"], state["complete"]) == (6, 6, True)
        for path in ("/index.html", "/../pyproject.toml", "//etc/passwd", "/results/studies", "/state.json?x=1"):
            assert ask(server, path).status == 404, path
        assert ask(server, "/", method="POST").status == 501


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "[::1]", "127.0.0.1.evil.example"])
def test_a_page_of_another_host_is_refused(study: Store, host: str) -> None:
    with served(study) as server:
        assert ask(server, "/state.json", host).status == 421
        assert ask(server, "/state.json", f"localhost:{server.server_port}").status == 200


def test_what_the_page_is_told_compares_no_variants(study: Store) -> None:
    """Progress by variant, and values of single runs under way; no mean of a variant and no difference."""
    names = [variant.name for variant in watcher(study).manifest.variants]
    folder = unfinished(study, names[0], 0, 2)
    os.utime(folder / "epochs.jsonl")
    with served(study) as server:
        state = json.loads(ask(server, "/state.json").read())
    assert {key for variant in state["variants"] for key in variant} == {"name", "finished", "running", "other"}
    (run,) = state["running"]
    assert run["epochs"] == "epoch 2 of 3"
    assert [name for name, value in state.items() if isinstance(value, float)] == []


def test_a_port_that_is_taken_is_one_error(study: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with served(study) as server:
        assert main(["watch", "--results", str(study.root), "--port", str(server.server_port)]) == 1
    error = capsys.readouterr().err
    assert f"port {server.server_port} cannot be used" in error
    assert "leave out --port" in error


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")
def test_in_a_browser_the_page_shows_the_runs_and_asks_no_other_server(study: Store, tmp_path: Path) -> None:
    names = [variant.name for variant in watcher(study).manifest.variants]
    folder = unfinished(study, names[0], 0, 2)
    with served(study) as server, FileLock(folder / "lock"), chromium(tmp_path / "profile") as browser:
        visit = browser.visit(
            server.address,
            title="document.title",
            cards="document.querySelectorAll('#running li').length",
            curves="document.querySelectorAll('#running svg').length",
            summary="document.getElementById('summary').textContent",
            problem="document.getElementById('problem').hidden",
        )
    assert visit.ran == []
    assert visit.facts == {
        "title": "5/6 tiny",
        "cards": 1,
        "curves": 2,
        "summary": "5 of 6 runs finished, 1 running",
        "problem": True,
    }
    assert all(url.startswith((server.address, "data:")) for url in visit.asked), visit.asked


def test_open_opens_the_page(study: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.setattr(WatchServer, "serve_forever", lambda *_, **__: None)
    assert main(["watch", "--results", str(study.root), "--open"]) == 0
    (address,) = opened
    assert address.startswith("http://127.0.0.1:")
    assert f"watching tiny: {address}" in capsys.readouterr().out
