"""The view of chosen queries: their strongest keys in each head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rich.console import RenderableType

from attn_cli.data.plan import Plan
from attn_cli.data.stream import Block
from attn_cli.draw.layout import FEWEST_ROWS
from attn_cli.draw.screen import Screen, lines_of
from attn_cli.measure.summary import HeadSummary, Link, Summarize
from attn_cli.questions.inspect.tables import QueryRow, query_table
from attn_cli.questions.inspect.views.base import View
from attn_cli.questions.inspect.views.heads import cut_note, in_order

__all__ = ["QueryView"]


class QueryView(View):
    """For each head, the keys that the chosen queries weigh most (or score highest)."""

    def __init__(self, plan: Plan, screens: Sequence[Screen] | None = None) -> None:
        super().__init__(plan, screens)
        self._summarize = Summarize(plan.queries, plan.keys, links=1)
        self._rows: list[QueryRow] = []

    @property
    def bytes_needed(self) -> int:
        return 0

    def eat(self, block: Block) -> None:
        for query in self.plan.chosen or ():
            row = query - block.start
            if not 0 <= row < block.visible.shape[0]:
                continue
            super().eat(block.take(rows=slice(row, row + 1)))
            first, stop = (int(end) for end in block.visible[row])
            values = block.scores if self.plan.selection.scores and block.scores is not None else block.weights
            for index, head in enumerate(block.heads):
                seen = values[index, row, first:stop]
                best = np.argsort(-seen, kind="stable")[: self.plan.selection.top_k] + first
                links = tuple(Link(query, int(key), float(values[index, row, key])) for key in best)
                self._rows.append(QueryRow(block.layer, head, query, links))

    def summaries(self) -> tuple[HeadSummary, ...]:
        """Return the figures over the chosen rows alone, with the links from them that are shown."""
        links: dict[tuple[int, int], tuple[Link, ...]] = {}
        for row in self._rows:
            place = (row.layer, row.head)
            links[place] = (*links.get(place, ()), *row.links)
        return tuple(replace(one, links=links[one.layer, one.head]) for one in super().summaries())

    def body(self, screen: Screen, room: int | None) -> Sequence[RenderableType]:
        telling = super().summaries()
        table = self._table(telling, screen, None)
        if room is None or self.plan.selection.all or lines_of(table, screen) <= room:
            return [table]
        # Every head takes as many lines as any other.
        few, more = (lines_of(self._table(telling, screen, FEWEST_ROWS + extra), screen) for extra in (0, 1))
        fitting = (room - few) // max(more - few, 1)
        return [self._table(telling, screen, FEWEST_ROWS + max(fitting, 0))]

    def _table(self, telling: Sequence[HeadSummary], screen: Screen, limit: int | None) -> RenderableType:
        selection = self.plan.selection
        chosen = in_order(telling, selection.sort, limit)
        order = {(row.layer, row.head): place for place, row in enumerate(chosen)}
        rows = sorted(
            (row for row in self._rows if (row.layer, row.head) in order),
            key=lambda row: (row.query, order[row.layer, row.head]),
        )
        caption = cut_note(len(chosen), len(telling), selection.sort, "those that look most at one other word")
        return query_table(
            rows,
            self.queries,
            self.keys,
            screen,
            kind=self.plan.kind,
            step=self.plan.rows,
            measure=selection.drawn,
            noun=selection.noun,
            caption=caption,
        )
