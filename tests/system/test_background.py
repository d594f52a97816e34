"""Pseudo-terminals are asked for their background."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO

import pytest

from attn_cli.system.background import QUESTION, is_light

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are of Unix", allow_module_level=True)

import pty
import termios

XTERM = {"TERM": "xterm-256color"}
NAME = b"\x1b[?62;22c"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, IO[str]]]:
    ours, theirs = pty.openpty()
    # It controls no process, so none is in its foreground.
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    with os.fdopen(theirs, encoding="utf-8") as stream:
        yield ours, stream
    os.close(ours)


def _answering(ours: int, reply: bytes) -> threading.Thread:
    def answer() -> None:
        asked = b""
        while QUESTION not in asked:
            asked += os.read(ours, 100)
        os.write(ours, reply)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\" + NAME, True),
        (b"\x1b]11;rgb:fd/f6/e3\x07" + NAME, True),
        (b"\x1b]11;rgba:0000/2b2b/3636/ffff\x1b\\" + NAME, False),
        (NAME, None),
        (b"\x1b]11;what\x1b\\" + NAME, None),
    ],
)
def test_answers(terminal: tuple[int, IO[str]], reply: bytes, expected: bool | None) -> None:
    ours, stream = terminal
    before = termios.tcgetattr(stream)
    thread = _answering(ours, reply)
    assert is_light(stream, stream, {**XTERM, "SSH_CONNECTION": "here"}) is expected
    thread.join()
    assert termios.tcgetattr(stream) == before


def test_a_silent_terminal_costs_a_tenth_of_a_second(terminal: tuple[int, IO[str]]) -> None:
    _, stream = terminal
    before, start = termios.tcgetattr(stream), time.monotonic()
    assert is_light(stream, stream, XTERM) is None
    assert 0.09 < time.monotonic() - start < 0.5
    assert termios.tcgetattr(stream) == before


def test_what_was_typed_is_left_alone(terminal: tuple[int, IO[str]]) -> None:
    ours, stream = terminal
    os.write(ours, b"ls\n")
    assert is_light(stream, stream, XTERM) is None
    assert os.read(stream.fileno(), 10) == b"ls\n"


def test_nobody_else_is_asked(terminal: tuple[int, IO[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, stream = terminal
    os.set_blocking(ours, False)
    for stdin, stdout, environ in (
        (io.StringIO(), stream, XTERM),
        (stream, io.StringIO(), XTERM),
        (None, stream, XTERM),
        (stream, stream, {"TERM": "dumb"}),
        (stream, stream, {}),
    ):
        assert is_light(stdin, stdout, environ) is None
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
    assert is_light(stream, stream, XTERM) is None  # in the background
    with pytest.raises(BlockingIOError):
        os.read(ours, 1)
