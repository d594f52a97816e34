"""`attn view`: a saved record, shown again, or a matrix of weights from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from attn_cli.cli.labels import GridOptions, ViewOptions
from attn_cli.cli.options import DisplayOptions, PageOptions
from attn_cli.data.selection import Selection, check_syntax
from attn_cli.errors import UsageError

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 80
HELP = """Show a saved record again, or any matrix of weights.

It is shown as it was, or with another selection. The record is what --json printed, or what --save wrote as .json,
.jsonl or .npz.

A matrix is [query, key], [head, query, key] or [layer, head, query, key], as .npy or .npz, or a grid of numbers as
.csv or .tsv, for which --save will do, too. Give its labels if the file has none. A square one is self-attention,
causal if it is 0 above its diagonal; of any other, the rows attend to other columns. --kind says it where that is
wrong.
"""
EPILOG = """\b
Examples:
  attn inspect "The cat sat" --json | attn view -
  attn view record.npz --query cat
  attn view record.json --grid --save record.svg
  attn view weights.npy --labels tokens.txt --head 1.0
  attn view weights.csv --rows "The,cat,sat" --columns "Le,chat,dort" --no-check
"""


def run(
    *,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A .json, .jsonl, .npz, .npy, .csv or .tsv; - for standard input.")
    ],
    matrix: GridOptions,
    choice: ViewOptions,
    display: DisplayOptions,
    output: PageOptions,
) -> None:
    """Run the command."""
    check_syntax(replace(choice, top_k=None).over(Selection()))  # the record may name the query whose keys are listed
    labelling = matrix.labelled(choice)
    if file == "-" and sys.stdin.isatty():
        raise UsageError("There is nothing on standard input", "Pipe a record in, or name a file")

    from attn_cli.cli.outputs import Output
    from attn_cli.io.read import read_records
    from attn_cli.questions.inspect.measure import Inspection, look

    out = Output(display, output, browse=output.browse)

    def answers() -> Iterator[Inspection]:
        for record in out.as_many_as_fit(read_records(sys.stdin.buffer if file == "-" else Path(file), labelling)):
            selection = choice.over(record.selection)
            yield look(record, selection, keep=out.keeps(selection), page=out.plays, cut=out.cut)

    out.write(answers())
