"""`attn inspect`: from a sentence to tables and heatmaps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from attn_cli.cli import texts
from attn_cli.cli.loading import check_named, loaded
from attn_cli.cli.options import (
    DisplayOptions,
    ModelOptions,
    OutputOptions,
    SelectionOptions,
    TextOptions,
    grouped,
    text_option,
)
from attn_cli.encoding import check_text
from attn_cli.errors import AttnError
from attn_cli.selection import Selection, check_syntax

__all__ = ["EPILOG", "HELP", "NAME", "run"]

NAME = "inspect"
HELP = """Show what a model attends to in a text.

Without a selection: a line about each head and the mean of the last layer. With one --layer and one --head: that head's
whole map. With --query: where a word looks in each head. With --grid: every head at once.
"""
EPILOG = """\b
Examples:
  attn inspect "The cat sat on the mat"
  attn inspect "The cat sat on the mat" --query cat
  attn inspect "The cat sat on the mat" --model FOLDER --head 2.5
  cat sentences.txt | attn inspect --model FOLDER --json > maps.jsonl
"""


@grouped
def run(
    *,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The sentence; - or a pipe for one a line.")
    ] = None,
    pair: Annotated[str | None, text_option(metavar="TEXT", help="A second segment, for models that take two.")] = None,
    reading: TextOptions,
    choice: SelectionOptions,
    display: DisplayOptions,
    output: OutputOptions,
    model: ModelOptions,
) -> None:
    """Run the command."""
    selection = choice.over(Selection())
    check_syntax(selection)
    if pair is not None:
        check_text(pair, "The text of --pair")
    sentences = texts.sentences(text, reading.file, target=reading.target)
    check_named(model)

    from attn_cli.cli.show import Output, working
    from attn_cli.look import Seen, look
    from attn_cli.models import Languages

    out = Output(display, output)

    def looks() -> Iterator[Seen]:
        languages = Languages(reading.source_language, reading.target_language)
        ready = None
        for sentence in out.as_many_as_fit(sentences):
            ready = ready or loaded(model)
            try:
                with working("Running", model.model):
                    source = ready.prepare(
                        sentence.text,
                        pair=pair,
                        target=sentence.target,
                        languages=languages,
                        truncate=reading.truncate,
                    )
                    seen = look(source, selection, keep=out.keeps, verify=model.verify)
                yield seen
            except AttnError as error:
                raise texts.located(error, sentence.where) from error

    out.write(looks())
