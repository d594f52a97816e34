"""Progress on stderr, for whoever waits at a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from attn_cli.cli import progress
from attn_cli.cli.progress import ProgressBar, watched
from attn_cli.train.run import Progress
from attn_cli.train.terminal import TerminalWatcher
from tests.drawings import ESCAPE


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def stderr(monkeypatch: pytest.MonkeyPatch, file: io.StringIO) -> io.StringIO:
    """Send stderr to this file or terminal, and stdout to a file."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", file)
    return file


def shown(terminal: io.StringIO) -> str:
    return ESCAPE.sub("", terminal.getvalue())


def test_items_are_counted_for_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = stderr(monkeypatch, Terminal())
    assert list(watched(iter(range(5)), "Translating", 5)) == [0, 1, 2, 3, 4]
    assert terminal.getvalue() == ""  # it was over at once
    monkeypatch.setattr(progress, "LONG", 0)
    assert list(watched(iter(range(5)), "Translating", 5)) == [0, 1, 2, 3, 4]
    assert "Translating" in shown(terminal)
    assert "5/5" in shown(terminal)


def test_results_in_a_terminal_are_progress_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = stderr(monkeypatch, Terminal())
    monkeypatch.setattr(progress, "LONG", 0)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert list(watched(iter(range(5)), "Translating", None)) == [0, 1, 2, 3, 4]
    assert terminal.getvalue() == ""


def test_nothing_is_drawn_into_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = stderr(monkeypatch, io.StringIO())
    monkeypatch.setattr(progress, "LONG", 0)
    assert list(watched(iter(range(5)), "Translating", 5)) == [0, 1, 2, 3, 4]
    with ProgressBar("Reading", 3, figures=True) as bar:
        bar.rename("Training")
        bar.advance(2, figures="2.0 sentences/s")
        bar.reach(3, 3)
    assert not bar.visible
    assert file.getvalue() == ""


def test_figures_stand_beside_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = stderr(monkeypatch, Terminal())
    with ProgressBar("Reading", 3, figures=True) as bar:
        bar.advance(2, figures="2.0 sentences/s")
    assert bar.visible
    assert "2/3 2.0 sentences/s" in shown(terminal)


def test_a_training_leaves_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = stderr(monkeypatch, Terminal())
    with TerminalWatcher(None) as watcher:
        watcher.says("Cutting words into pieces")
        watcher.steps(Progress(30, 400, 1.25, 5120.0, {}))
    last = shown(terminal).rpartition("\r")[2]
    assert "Training" in last
    assert "30/400 loss 1.25 · 5,120 tokens/s" in last


def test_a_training_reports_in_lines_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = stderr(monkeypatch, io.StringIO())
    now = [100.0]
    monkeypatch.setattr("attn_cli.train.terminal.time.monotonic", lambda: now[0])
    with TerminalWatcher(None) as watcher:
        watcher.says("Cutting words into pieces")
        watcher.steps(Progress(1, 400, 1.25, 5120.0, {}))
        now[0] += 270
        watcher.steps(Progress(10, 400, 1.25, 5120.0, {}))
        now[0] += 270
        watcher.steps(Progress(20, 400, 1.25, 5120.0, {}))
        now[0] += 31
        watcher.steps(Progress(30, 400, 1.125, 5120.0, {}))
    said, step, later = file.getvalue().splitlines()
    assert said == "attn: Cutting words into pieces"
    assert step == "attn: step 10 of 400 · loss 1.25 · 5,120 tokens/s · about 3 h 15 min left"
    assert later == "attn: step 30 of 400 · loss 1.12 · 5,120 tokens/s · about 2 h 2 min left"
