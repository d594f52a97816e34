"""`attn models`: the list of the models on this machine."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from attn_cli.system.encoding import json_bytes

if TYPE_CHECKING:
    from attn_cli.models.catalog import Listed

__all__ = ["EPILOG", "HELP", "PLACE", "run"]

PLACE = 90
HELP = "List the models that are on this machine.\n\nThe built-in ones, and those in the hub's cache."
EPILOG = """\b
Examples:
  attn models
  attn models --json | jq -r '.[].name'
"""


def run(*, json: Annotated[bool, typer.Option("--json", help="A JSON array, for other tools.")] = False) -> None:
    """Print the list on stdout."""
    from attn_cli.models.catalog import catalog

    found = list(catalog())
    if json:
        from dataclasses import asdict

        sys.stdout.buffer.write(json_bytes([asdict(one) for one in found], indent=True))
        return
    _draw(found)


def _draw(found: list[Listed]) -> None:
    from rich.table import Table
    from rich.text import Text

    from attn_cli.draw.labels import clean
    from attn_cli.draw.screen import console, probe

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("model", overflow="fold")
    table.add_column("family")
    for name in ("layers", "heads", "parameters", "on disk"):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            Text(clean(one.name), style="bold" if one.built_in else ""),
            clean(one.family),
            " + ".join(map(str, one.layers)) or "?",
            "?" if one.heads is None else str(one.heads),
            "?" if one.parameters is None else f"{one.parameters / 1e6:,.1f} M",
            f"{one.bytes / 1e6:,.0f} MB",
        )
    screen = probe(sys.stdout, os.environ)
    out = console(screen, sys.stdout)
    out.print(table)
    notes = [(one.name, note) for one in found for note in one.notes]
    if notes:
        out.print()
    for name, note in notes:
        out.print(Text.assemble((clean(name), "bold"), " ", (clean(note), "dim")))
    if all(one.built_in for one in found):
        out.print()
        out.print(Text("No models in the hub's cache; attn fetches what --model names.", style="dim"))
