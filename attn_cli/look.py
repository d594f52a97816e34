"""One look at one text: run once, and take from the stream what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group

from attn_cli import __version__
from attn_cli.blocks import Block, Source
from attn_cli.measure.collect import KeepMaps, map_bytes
from attn_cli.memory import require
from attn_cli.plan import Plan, make_plan
from attn_cli.record import Record
from attn_cli.render.document import Document, head_rows
from attn_cli.render.page import html_fragment
from attn_cli.render.screen import Screen
from attn_cli.render.views import View, make_view
from attn_cli.selection import Selection
from attn_cli.words import Regroup

__all__ = ["Seen", "look", "notebook_html"]

NOTEBOOK_WIDTH = 100
"""Columns; what a notebook's cell shows without scrolling."""


@dataclass(frozen=True)
class Seen:
    """One sentence, looked at."""

    view: View
    record: Record
    """Without maps, unless they were asked for."""

    def draw(self, screen: Screen) -> Group:
        """What was asked for, as a drawing."""
        return self.view.draw(screen, self.record)

    def rows(self) -> list[Document]:
        """What was found out about each head, as it goes into a document."""
        return head_rows(self.view.summaries(), self.view.plan.queries, self.view.plan.keys)


def look(source: Source, selection: Selection, *, keep: bool, verify: bool = False) -> Seen:
    """Run once, and take from the stream what is needed.

    Args:
        source: a text given to a model, or a record of one.
        selection: what to look at.
        keep: also keep the maps.
        verify: also check the weights against what the layers computed.

    Raises:
        SelectionError: something selected is not there.
        MemoryLimitError: the answer would not fit in memory.
        ModelError: the model could not be run.
        ExactnessError: what it gave are not attention weights.
    """
    plan = make_plan(source, selection)
    view = make_view(plan)
    _check_memory(plan, view, keep=keep)
    kept = KeepMaps(plan.queries.tokens, plan.keys.tokens, plan.positions) if keep else None
    regroup = Regroup(plan.queries, plan.keys, view.eat)

    def eat(block: Block) -> None:
        if kept is not None:
            kept(block)
        regroup(block)

    report = source.stream(plan.request(verify=verify), eat)
    record = Record(
        model=source.model,
        source=source.source,
        target=source.target,
        maps=() if kept is None else kept.maps(source.model.dtype),
        verified=report.verified,
        notes=report.notes,
        selection=plan.selection,
        tool_version=__version__,
    )
    return Seen(view, record)


def _check_memory(plan: Plan, view: View, *, keep: bool) -> None:
    whole = map_bytes(plan.head_count, len(plan.positions), plan.keys.tokens, scores=plan.selection.scores)
    heads = max(map(len, plan.heads.values()), default=0)
    layer = map_bytes(heads, plan.queries.tokens, plan.keys.tokens)
    needed = (
        view.bytes_needed
        # Text is longer than the numbers it spells: about 13 characters for each 4 bytes, and those 4 bytes.
        + (5 * whole if keep else 0)
        # Old-style code gives a layer's weights all at once, and needs the scores for them.
        + (3 * layer if plan.source.model.captured == "hooks" else 0)
    )
    require(
        needed,
        f"Looking at {plan.head_count} heads of {len(plan.positions):,} × {plan.keys.tokens:,} weights",
        "Choose fewer with --layer, --head or --query"
        + (", or leave out --json and --save: what is only looked at is not kept" if keep else ", or cut the text"),
    )


def notebook_html(record: Record) -> str:
    """A record as a notebook shows it: the view it was made for, as one HTML element."""
    screen = Screen(width=NOTEBOOK_WIDTH, theme="light")
    return html_fragment(look(record, record.selection, keep=False).draw(screen), screen)
