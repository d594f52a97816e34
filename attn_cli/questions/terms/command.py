"""`attn terms`: the glossary of the terms that the tables use."""

from __future__ import annotations

from typing import Annotated

import typer

from attn_cli.cli.options import DisplayOptions, OutputOptions

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 110
HELP = """Explain the words that the tables use.

Each comes with its formula and the place where it is shown.
"""
EPILOG = """\b
Examples:
  attn terms
  attn terms entropy
  attn terms query key value "context vector"
"""


def run(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD]...", help="The terms to explain (default: all of them)."),
    ] = None,
    display: DisplayOptions,
    output: OutputOptions,
) -> None:
    """Run the command."""
    from attn_cli.questions.terms.glossary import find_terms

    found = find_terms(*words or ())

    from attn_cli.cli.outputs import Output

    Output(display, output, maps=False).write([found])
