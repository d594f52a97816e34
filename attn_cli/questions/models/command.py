"""`attn models`: the list of the models on this machine."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from attn_cli.system.encoding import json_bytes

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 90
HELP = "List the models on this machine.\n\nThey are the built-in ones and those in the hub's cache."
EPILOG = """\b
Examples:
  attn models
  attn models --json | jq -r '.[].name'
"""


def run(*, json: Annotated[bool, typer.Option("--json", help="Print a JSON array, for other tools.")] = False) -> None:
    """Print the list on stdout."""
    from attn_cli.models.catalog import catalog

    found = list(catalog())
    if json:
        from dataclasses import asdict

        sys.stdout.buffer.write(json_bytes([asdict(one) for one in found], indent=True))
        return

    from attn_cli.draw.screen import console, probe
    from attn_cli.questions.models.draw import draw

    console(probe(sys.stdout, os.environ, stdin=sys.stdin), sys.stdout).print(draw(found), end="")
