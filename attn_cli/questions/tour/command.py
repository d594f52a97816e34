"""`attn tour`: the lesson on attention, walked through."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from attn_cli.cli.file_names import check_typed
from attn_cli.cli.options import DisplayOptions, OutputOptions, display_option, select_option
from attn_cli.cli.streams import say
from attn_cli.errors import UsageError
from attn_cli.questions.tour.choices import LAST, check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from attn_cli.cli.outputs import Output
    from attn_cli.questions.tour.chapters import Chapters

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 15
HELP = """Walk through the lesson on attention, in eight short chapters.

The bottleneck, looking back, three steps, self-attention, many heads, reading a heatmap, why it matters, the words.
Each chapter has a few plain words and a picture that another command of attn makes, which stands below it.

In a terminal, Enter goes on, q leaves, and a number goes to that chapter; elsewhere everything is printed.
"""
EPILOG = """\b
Examples:
  attn tour
  attn tour "The animal didn't cross the street because it was too tired"
  attn tour --chapter 3
  attn tour --json | jq .chapters[0].figures
"""

PROMPT = f"Enter goes on, q leaves, 1 to {LAST} goes to that chapter"
GOING_ON = {"\r", "\n", " "}
NUMBERS = {str(number) for number in range(1, LAST + 1)}
PROMPTED = 3
"""Lines that are left below a page: a blank one, the prompt, and the one that it is on."""
LOWEST_PAGE = 10
BETWEEN_LINES = 0.08
"""Seconds between two lines of a picture that unfolds."""


def run(
    *,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="A sentence of your own (default: the lesson's).")
    ] = None,
    chapter: Annotated[
        int | None,
        select_option("--chapter", metavar="N", min=1, max=LAST, help="Show this chapter alone."),
    ] = None,
    everything: Annotated[bool, display_option("--all", help="Print all chapters, without waiting for a key.")] = False,
    display: DisplayOptions,
    output: OutputOptions,
) -> None:
    """Run the command."""
    if text == "-":
        raise UsageError("attn tour reads nothing from standard input", "Give one sentence in quotes")
    if everything and chapter is not None:
        raise UsageError("--all prints every chapter, and --chapter one alone", "Leave one of them out")
    if text is not None:
        check_typed(text, "Give one sentence in quotes")
    check(text, chapter)

    from attn_cli.cli.keys import watched_by_somebody
    from attn_cli.cli.outputs import Output
    from attn_cli.cli.progress import working
    from attn_cli.questions.tour.chapters import Chapters

    out = Output(display, output, maps=False)
    with working("Loading", "the built-in models"):
        chapters = Chapters(text)
    alone = chapter is not None or everything or output.json or output.save is not None
    if not alone and watched_by_somebody():
        _walk(chapters, out)
        return
    with working("Making", f"chapter {chapter}" if chapter else f"{LAST} chapters"):
        answer = chapters.tour(*([] if chapter is None else [chapter]))
    out.write([answer])


def _walk(chapters: Chapters, out: Output) -> None:
    """Show one chapter after another, page by page, as keys say, until the reader leaves or has seen the last."""
    from attn_cli.cli.keys import pages
    from attn_cli.cli.progress import working

    number, told = 1, set[str]()
    while number <= LAST:
        with working("Making", f"chapter {number}"):
            answer = chapters.tour(number)
            lines = out.lines(answer)
        for note in answer.notes:
            if note not in told:
                say(f"note: {note}")
        told |= set(answer.notes)
        pause = BETWEEN_LINES if answer.chapters[number].unfolds else 0.0
        height = (out.screen.height or len(lines)) - PROMPTED
        *most, last = pages(lines, max(height, LOWEST_PAGE))
        chosen: int | None = None
        for page in most:
            _write(page, pause)
            chosen = _chosen()
            if chosen is not None:
                break
        else:
            _write(last, pause)
            chosen = LAST + 1 if number == LAST else _chosen()
        number = number + 1 if chosen is None else chosen


def _write(page: Iterable[str], pause: float) -> None:
    """Write a page, line by line if somebody is to watch it."""
    for line in page:
        sys.stdout.write(line)
        sys.stdout.flush()
        time.sleep(pause)


def _chosen() -> int | None:
    """Wait for a key, and return the chapter that it goes to: one past the last to leave, None to go on."""
    from attn_cli.cli.keys import LEAVE, pressed

    sys.stdout.write(f"\n{PROMPT} ")
    sys.stdout.flush()
    try:
        while True:
            key = pressed()
            if key in {LEAVE, "q", "Q"}:
                return LAST + 1
            if key in GOING_ON:
                return None
            if key in NUMBERS:
                return int(key)
    finally:
        sys.stdout.write("\r" + " " * len(PROMPT) + "\r")
        sys.stdout.flush()
