"""`attn schema`: the JSON Schema of what `--json` prints."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 120
HELP = """Print the JSON Schema of what --json prints.

Without a name, it is the schema of a record, which attn inspect and attn translate print; with the name of another
command, that of its answer.
"""
EPILOG = """\b
Examples:
  attn schema | jq '.properties | keys'
  attn schema find
"""


NameArgument = Annotated[str, typer.Argument(metavar="[NAME]", help="record (default), or a command, such as find.")]


def run(name: NameArgument = "record") -> None:
    """Print the schema on stdout."""
    from attn_cli.questions.schema.measure import schema

    sys.stdout.buffer.write(schema(name) + b"\n")
