"""Drawing of the list of models: a table, and notes on some of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from attn_cli.draw.labels import clean
from attn_cli.models.catalog import Listed

__all__ = ["draw"]


def draw(models: Sequence[Listed]) -> Group:
    """Draw the models, a line each, and below them what there is to say of some."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("model", overflow="fold")
    table.add_column("family")
    for name in ("layers", "heads", "parameters", "on disk"):
        table.add_column(name, justify="right")
    for one in models:
        table.add_row(
            Text(clean(one.name), style="bold" if one.built_in else ""),
            clean(one.family),
            " + ".join(map(str, one.layers)) or "?",
            "?" if one.heads is None else str(one.heads),
            "?" if one.parameters is None else f"{one.parameters / 1e6:,.1f} M",
            f"{one.bytes / 1e6:,.0f} MB",
        )
    notes: list[RenderableType] = [
        Text.assemble((clean(one.name), "bold"), ": ", (clean(note), "dim")) for one in models for note in one.notes
    ]
    parts: list[RenderableType] = [table, *([Text(), *notes] if notes else [])]
    if all(one.built_in for one in models):
        parts += [
            Text(),
            Text("The hub's cache holds no models; attn fetches the one that --model names.", style="dim"),
        ]
    return Group(*parts)
