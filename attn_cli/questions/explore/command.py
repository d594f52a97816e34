"""`attn explore`: a full-screen explorer of one text's attention after another."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from attn_cli.cli.inputs import given, given_image
from attn_cli.cli.options import (
    DEFAULT_MODEL,
    ImageOption,
    KindOption,
    ModelOptions,
    PairOption,
    TextArgument,
    TextOptions,
    UnitOption,
    display_option,
)
from attn_cli.cli.streams import say
from attn_cli.data.selection import Measure, Selection, check_syntax
from attn_cli.errors import UsageError
from attn_cli.questions.explore.opening import check_terminal, explore, take_keys_from_terminal

if TYPE_CHECKING:
    from attn_cli.cli.inputs import Given
    from attn_cli.questions.explore.subject import Subject
    from attn_cli.questions.explore.walk import Walk

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 25
HELP = """Walk about in a text's attention, in the whole terminal.

Left all heads, right the map of one, above the text with the weights of one word, below its strongest keys. Arrows
move between heads, or after Tab in the map; / finds a word, i takes another sentence, x cuts what is under the cursor,
y says the command that shows the same, and ? lists all keys. The model stays loaded. Of an image, the weights of one
patch stand on the grid of patches beside the image, and arrows move among the patches.

TEXT may also be a record that --save or --json has written (.json, .jsonl or .npz), or a matrix. It needs Textual:
pip install 'attn-cli[explore]'.
"""
EPILOG = """\b
Examples:
  attn explore "The animal didn't cross the street because it was too tired"
  attn explore "The cat sat on the mat" --model FOLDER
  attn explore record.npz
  attn explore --image photo.png --model FOLDER
  cat sentences.txt | attn explore -
"""

_One = TypeVar("_One")

MOST_TEXTS = 1000
"""Most texts or records that are read for one walk."""


def run(
    *,
    text: TextArgument = None,
    image: ImageOption = None,
    pair: PairOption = None,
    reading: TextOptions,
    kind: KindOption = None,
    tokens: UnitOption = None,
    measure: Annotated[
        Measure, display_option(help="The figure to begin with (default: weights); see attn terms.")
    ] = "weights",
    theme: Annotated[Literal["auto", "dark", "light"], display_option(help="The terminal's background.")] = "auto",
    color: Annotated[
        bool | None,
        display_option(
            "--color/--no-color", help="Draw in colour, or in shades (default: what the terminal supports)."
        ),
    ] = None,
    model: ModelOptions,
) -> None:
    """Run the command."""
    choice = Selection(kind=kind, unit="token" if tokens else "word", measure=measure)
    check_syntax(choice)
    if model.verify:
        raise UsageError("--verify prints what it finds, and the explorer prints nothing", "Use attn inspect --verify")
    check_terminal()
    if image is None:
        texts = given(text, reading, model, pair=pair)
    else:
        texts = given_image(image, text, reading, model, choice, pair=pair)
    piped = not sys.stdin.isatty()

    from attn_cli.cli.progress import working

    def begin(walk: Callable[[], Walk]) -> Walk:
        with working("Running", model.model):
            return walk()

    subjects = _subjects(texts, text or str(image or ""))
    if piped:
        take_keys_from_terminal()
    running = explore(
        subjects,
        choice,
        theme=None if theme == "auto" else theme,
        color=color,
        default_model=os.environ.get("ATTN_MODEL") or DEFAULT_MODEL,
        begin=begin,
    )
    if running is not None:
        os._exit(0)  # for compiled code that still ran as Python ends would abort, and may run for minutes


def _subjects(texts: Given, name: str) -> list[Subject]:
    """Read all texts or records, or the image, and load the model if there is one to load.

    Args:
        texts: what is read.
        name: the name of the file of records, or of the image.

    Raises:
        AttnError: one of them cannot be read, or the model cannot be loaded.
    """
    from attn_cli.questions.explore.subject import Subject, loading_of

    if texts.record is not None:
        from attn_cli.io.read import read_records

        records = _first(read_records(texts.record, texts.labelling), "records")
        return [Subject(record=record, file=name) for record in records]

    loading = loading_of(texts.model)
    if texts.image is not None:
        from attn_cli.models import Input

        return [Subject(texts.load(), Input("", image=texts.image), file=name, loading=loading)]

    from attn_cli.cli.inputs import input_of

    sentences = _first(texts.sentences, "texts")
    model = texts.load()
    return [Subject(model, input_of(model, one, texts.reading, texts.pair), loading=loading) for one in sentences]


def _first(some: Iterator[_One], what: str) -> list[_One]:
    """Return the first of some texts or records, as many as are walked through, and say so if there are more.

    Args:
        some: the texts or records; no more are read.
        what: what they are, for the note.
    """
    first = list(islice(some, MOST_TEXTS + 1))
    if len(first) > MOST_TEXTS:
        say(f"note: Only the first {MOST_TEXTS:,} {what} are walked through")
    return first[:MOST_TEXTS]
