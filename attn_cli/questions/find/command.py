"""`attn find`: the heads that link two words."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from attn_cli.cli.inputs import given, given_images
from attn_cli.cli.labels import MatrixOptions
from attn_cli.cli.options import (
    DisplayOptions,
    FigureOptions,
    HeadOptions,
    ImagesOption,
    ModelOptions,
    PairOption,
    PromptOptions,
    WithoutOption,
    display_option,
    select_option,
)
from attn_cli.data.selection import Selection, check_syntax, check_without
from attn_cli.errors import UsageError, check_range

if TYPE_CHECKING:
    from attn_cli.data.stream import Source
    from attn_cli.questions.find.measure import FoundLinks

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 40
HELP = """Find the heads that link two words.

Heads are ranked by their weight (or --measure) from one word to the other. Beside each weight stands what to compare
it with: an even row, what the same head gives at that distance elsewhere in the text, and what it gives to the same
word from everywhere else.

FROM may be a word of the translation, which is then written first. TEXT may also be a record that --save or --json
has written (.json, .jsonl or .npz), or a matrix of weights (.npy, .npz, .csv or .tsv). With --file, leave TEXT out,
and with --image, whose patches are named by row and column: r1c2.
"""
EPILOG = """\b
Examples:
  attn find "The cat sat on the mat because it was tired" it cat
  attn find "The cat sat on the mat" the mat --both --model FOLDER
  attn find "The cat sat on the mat" chat cat
  attn find record.json cat sat --min 0.1
"""


def run(
    *,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The sentence; - for one per line of a pipe.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Argument(metavar="FROM", help="The attending word: it, it#2, New York, its position, or a list."),
    ] = None,
    end: Annotated[str | None, typer.Argument(metavar="TO", help="The word attended to.")] = None,
    image: ImagesOption = None,
    pair: PairOption = None,
    reading: PromptOptions,
    matrix: MatrixOptions,
    both: Annotated[bool, select_option("--both", help="Also look from TO to FROM.")] = False,
    least: Annotated[
        float | None, select_option("--min", metavar="X", help="List only weights (or scores) of X or more.")
    ] = None,
    choice: HeadOptions,
    without: WithoutOption = None,
    sort: Annotated[
        Literal["weight", "usual", "others", "layer"],
        display_option(help="Order by weight, or by how far it exceeds the column named."),
    ] = "weight",
    display: DisplayOptions,
    output: FigureOptions,
    model: ModelOptions,
) -> None:
    """Run the command."""
    if (reading.file is not None or reading.chat is not None or image) and end is None:
        text, start, end = None, text, start
    if start is None or end is None:
        raise UsageError("FROM and TO are missing", "Write attn find TEXT FROM TO")
    for word, what in ((start, "FROM"), (end, "TO")):
        if not word.strip():
            raise UsageError(f"{what} is empty", "Give a word of the sentence or its position")
    selection = replace(choice.over(Selection()), query=start)
    check_syntax(selection)
    check_without(without, selection)
    if least is not None and not selection.scores:
        check_range("--min", least, 0, 1)
    if least is not None and not math.isfinite(least):
        raise UsageError(f"--min must be a number, and {least:g} is not")
    labelling = matrix.labelling(selection.kind)
    if image:
        texts = given_images(image, text, reading, model, selection, pair=pair, without=without)
    else:
        texts = given(
            text,
            reading,
            model,
            pair=pair,
            wanted=selection,
            without=without,
            kind=selection.kind,
            labelling=labelling,
        )

    from attn_cli.cli.outputs import Output
    from attn_cli.questions.find.measure import find

    matrix.check_matrix(given=texts.record is not None)
    out = Output(display, output, maps=False)

    def ask(source: Source, base: Selection) -> FoundLinks:
        found = find(source, choice.over(base), start, end, both=both, verify=model.verify)
        return replace(found.ordered(sort), least=least)

    out.write(texts.each(out, ask))
