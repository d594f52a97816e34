"""`attn inspect`: from a sentence to tables and heatmaps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from attn_cli.cli import texts
from attn_cli.cli.options import DisplayOptions, ModelOptions, OutputOptions, SelectionOptions, TextOptions, grouped
from attn_cli.encoding import check_text
from attn_cli.errors import AttnError, UsageError
from attn_cli.selection import Selection, check_syntax

__all__ = ["EPILOG", "HELP", "NAME", "run"]

NAME = "inspect"
HELP = """Show what a model attends to in a text.

Without a selection: a line about each head and the mean of the last layer. With one --layer and one --head: that head's
whole map. With --query: where a word looks in each head. With --grid: every head at once.
"""
EPILOG = """\b
Examples:
  attn inspect "The cat sat on the mat" --model FOLDER
  attn inspect "The cat sat on the mat" --model FOLDER --query cat
  attn inspect "The cat sat on the mat" --model FOLDER --head 2.5
  cat sentences.txt | attn inspect --model FOLDER --json > maps.jsonl
"""

NO_MODEL = UsageError(
    "No model is named",
    "Add --model FOLDER, or a hub name such as --model sentence-transformers/all-MiniLM-L6-v2, or set ATTN_MODEL",
)


@grouped
def run(
    *,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The sentence; - or a pipe for one a line.")
    ] = None,
    reading: TextOptions,
    choice: SelectionOptions,
    display: DisplayOptions,
    output: OutputOptions,
    model: ModelOptions,
) -> None:
    """Run the command."""
    selection = choice.over(Selection())
    check_syntax(selection)
    for side, name in ((reading.pair, "--pair"), (reading.target, "--target")):
        if side is not None:
            check_text(side, f"The text of {name}")
    sentences = texts.sentences(text, reading.file)
    if model.model is None or not model.model.strip():
        raise NO_MODEL

    from attn_cli.cli.show import Output, working
    from attn_cli.look import Seen, look
    from attn_cli.models import LoadOptions, load

    out = Output(display, output)

    def looks() -> Iterator[Seen]:
        loaded = None
        for sentence in out.as_many_as_fit(sentences):
            if loaded is None:
                with working("Loading", str(model.model)):
                    loaded = load(
                        str(model.model),
                        LoadOptions(
                            device=model.device,
                            dtype=model.dtype,
                            trust_remote_code=model.trust_remote_code,
                            allow_pickle=model.allow_pickle,
                            revision=model.revision,
                        ),
                    )
            try:
                with working("Running", str(model.model)):
                    source = loaded.prepare(
                        sentence.text, pair=reading.pair, target=reading.target, truncate=reading.truncate
                    )
                    seen = look(source, selection, keep=out.keeps, verify=model.verify)
                yield seen
            except AttnError as error:
                raise texts.located(error, sentence.where) from error

    out.write(looks())
