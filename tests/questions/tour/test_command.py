"""`attn tour` through the command line: whole in a pipe, by keys in a terminal, and the reader's own sentence."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence

import pytest

from attn_cli.cli.app import main
from attn_cli.cli.keys import pages
from attn_cli.questions.tour.chapters import Chapters
from attn_cli.questions.tour.choices import LAST

PROMPT = b"goes to that chapter "
LIMIT = 300.0
"""Seconds for a whole walk. It takes 3, but some fifty times as long where many processes share the processors."""
SIZE = {"LINES", "COLUMNS"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""Threads of a walk that would otherwise wait for each other where the processors are busy."""


def walked(keys: Sequence[bytes], *, height: int = 200) -> tuple[int, list[str]]:
    """Press a key at each prompt of a terminal.

    Returns:
        The exit code, and the chapters that were shown, by their titles.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, 80, 0, 0))
    command = [sys.executable, "-m", "attn_cli", "tour", "--no-color"]
    # Lines and columns are the terminal's own, and not those that readline exports to the workers of the tests.
    environment = {name: value for name, value in os.environ.items() if name not in SIZE} | ONE_THREAD
    end = time.monotonic() + LIMIT
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown, prompts, left = b"", 0, list(keys)
    try:
        for part in _parts(ours, end):
            shown += part
            if left and shown.count(PROMPT) > prompts:
                prompts += 1
                _wait_for_keys(ours, end)
                os.write(ours, left.pop(0))
        ended = time.monotonic() < end
        code = process.wait(max(end - time.monotonic(), 0)) if ended else None
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert code is not None, f"no end after {LIMIT:.0f} seconds, {len(left)} keys not pressed: {shown[-200:]!r}"
    titles = [line for line in shown.decode().splitlines() if re.search(rf"\d of {LAST}\b", line)]
    return code, [title.rpartition("\x1b[2K")[2].split("  ")[0] for title in titles]


def _wait_for_keys(terminal: int, end: float) -> None:
    """Wait until single keys are read: what is typed before that is thrown away."""
    while termios.tcgetattr(terminal)[3] & termios.ICANON and time.monotonic() < end:
        time.sleep(0.01)


def _parts(terminal: int, end: float) -> Iterator[bytes]:
    """Yield the bytes that come out of a terminal, until its program has ended, or until a time."""
    while select.select([terminal], [], [], max(end - time.monotonic(), 0))[0]:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux says so where macOS returns nothing
            return
        if not part:
            return
        yield part


@pytest.mark.parametrize(
    ("keys", "code", "titles"),
    [
        ([b"\r", b"6", b"q"], 0, ["The bottleneck", "Looking back", "Reading a heatmap"]),
        ([b"8"], 0, ["The bottleneck", "The words"]),
        ([b"\x03"], 130, ["The bottleneck"]),
        ([b"\x04"], 0, ["The bottleneck"]),
    ],
    ids=["Enter, a number, q", "the last", "Ctrl-C", "Ctrl-D"],
)
def test_keys_walk_through(keys: list[bytes], code: int, titles: list[str]) -> None:
    assert walked(keys) == (code, titles)


def test_a_low_terminal_shows_a_chapter_page_by_page() -> None:
    """The first chapter takes more than one page of 24 lines, and Enter turns to the next page, not chapter."""
    assert walked([b"\r", b"q"], height=24) == (0, ["The bottleneck"])


def test_pages_end_at_blank_lines() -> None:
    lines = [f"{number}\n" for number in range(10)]
    lines[5] = "\x1b[2m \x1b[0m\n"
    assert [list(page) for page in pages(lines, 7)] == [lines[:5], lines[6:]]
    assert [len(page) for page in pages(lines[:5] * 3, 6)] == [6, 6, 3]
    assert [list(page) for page in pages([], 6)] == [[]]


def test_a_pipe_gets_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tour", "--chapter", "8", "--width", "80"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("The words")
    assert "goes to that chapter" not in out
    assert not err


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("text", "number", "note"),
    [
        ("I love you", 4, "Your sentence has no “it” as a word by itself, so this is the lesson's."),
        (
            "I like the car because it's red",
            4,
            "Your sentence has no “it” as a word by itself, so this is the lesson's.",
        ),
        (
            "The do-it-yourself shop was big",
            5,
            "Your sentence has no “it” as a word by itself, so this is the lesson's.",
        ),
        ("I like the car because it's red and it is fast", 4, ""),
        ("The cat saw it.", 4, ""),
        (
            "It was here, and it is gone because it left",
            5,
            "Your sentence has “it” more than once, so this is the lesson's.",
        ),
        ("The dog saw the house because it was big", 4, ""),
        ("The dog saw the house because it slept", 4, ""),
        ("The dog saw the house because it slept", 5, ""),
        ("The dog saw the house", 6, ""),
    ],
)
def test_your_own_sentence_is_shown_where_it_can_be(text: str, number: int, note: str) -> None:
    (chapter,) = Chapters(text).tour(number).chapters.values()
    assert chapter.note.startswith(note)
    assert bool(chapter.note) == bool(note)
    assert (text in chapter.commands[-1]) == (not note)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--chapter", "9"], 2, "--chapter must be between 1 and 8, and 9 is not"),
        (["--chapter", "2", "--all"], 2, "--all prints every chapter, and --chapter one alone"),
        (["-"], 2, "attn tour reads nothing from standard input"),
        (["word " * 41], 2, "at most 40 words, and this has 41"),
        ([" "], 3, "The text is empty"),
        (["--save", "tour.npz"], 6, "npz"),
    ],
)
def test_faults_are_found_before_anything_is_loaded(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tour", *arguments]) == code
    out, err = capsys.readouterr()
    assert not out
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.unchecked
def test_a_sentence_that_the_models_cannot_read_whole_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The commands that a chapter prints would not cut it, and a tour has no option that does."""
    text = " ".join(["pneumonoultramicroscopicsilicovolcanoconiosis"] * 40)
    assert main(["tour", text, "--chapter", "2"]) == 3
    out, err = capsys.readouterr()
    assert not out
    assert " more than the 512 that toy-rnn has positions for. " in err
    assert "Give another sentence, or leave it out" in err
    assert "--truncate" not in err
