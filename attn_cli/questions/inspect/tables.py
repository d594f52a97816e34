"""Tables of heads, and of the strongest keys of queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Literal

from rich.console import Group
from rich.text import Text

from attn_cli.data.plan import name_head
from attn_cli.data.selection import Rows, SortKey
from attn_cli.draw.captions import when
from attn_cli.draw.labels import Labels, clipped_name, fit_name, name_width, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, bar, caption_lines, drawing, line
from attn_cli.draw.table import GAP, Column, Rest, bars, figures, names, table
from attn_cli.measure.summary import HeadSummary, Link
from attn_cli.questions.inspect.figures import QueryRow

__all__ = ["head_table", "query_table"]

BETWEEN = "   "
"""The space between links."""
LONGEST_LINK = 14
"""Most cells of a label in a link."""
WIDEST_LINK = 26
"""Most cells that columns must leave for a link."""


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    short: str
    value: Callable[[HeadSummary], float | None]
    faint: float
    """Magnitude below which numbers are dimmed: a small share of a row's weight means little."""
    rank: int
    """See `Column`."""


FIGURES = (
    _Figure("entropy", "entropy", lambda row: row.entropy, faint=0.0, rank=5),
    _Figure("distance", "dist.", lambda row: row.distance, faint=0.0, rank=2),
    _Figure("first", "first", lambda row: row.first, faint=0.05, rank=1),
    _Figure("itself", "itself", lambda row: row.itself, faint=0.05, rank=4),
    _Figure("previous", "prev.", lambda row: row.previous, faint=0.05, rank=3),
)
WIDTHS = ((False, 12), (False, 8), (True, 8), (True, 6), (True, 4))
"""Choices of short names (true) or long ones, and of the cells of a bar: the best first."""


def head_table(
    summaries: Sequence[HeadSummary],
    query_labels: Labels,
    key_labels: Labels,
    screen: Screen,
    *,
    sort: SortKey = "layer",
    apart: bool = True,
    caption: str = "",
) -> Group:
    """Draw one row per head, in the order given: focus, entropy, distance, shares of weight, strongest links.

    Columns without a value in any row are left out; on a narrow screen more are, and the caption says which.

    Args:
        summaries: the figures of the heads.
        query_labels: labels of the links' queries.
        key_labels: labels of the links' keys.
        screen: the screen to draw on.
        sort: the column that the heads are sorted by.
        apart: leave a blank line between layers, if they are in order and have several rows each.
        caption: a line below the table.
    """
    heads = names("head", [name_head(row.layer, row.head) for row in summaries], screen, right=True)
    focus = [row.focus for row in summaries]
    known = [one for one in FIGURES if any(one.value(row) is not None for row in summaries)]
    ranks = [
        _LinkSizes.of([row.links[rank] for row in summaries if len(row.links) > rank], query_labels, key_labels, screen)
        for rank in range(max((len(row.links) for row in summaries), default=0))
    ]

    def links(room: int) -> Column:
        sizes = _fitting_links(ranks, room)
        drawn: list[list[Part]] = []
        for row in summaries:
            parts: list[Part] = []
            for rank, (link, in_cells) in enumerate(zip(row.links, sizes, strict=False)):
                parts.append((BETWEEN if rank else "", PLAIN))
                parts += in_cells.draw(link, query_labels, key_labels, screen, second=rank > 0)
            drawn.append(parts)
        name = "strongest links" if len(sizes) > 1 else "strongest link"
        return Column(name if len(name) <= room else name.split()[-1], drawn, right=False, key="link")

    widest, *narrower = (
        [
            heads,
            bars("focus", focus, screen, size=size),
            *(
                replace(
                    figures(one.short if short else one.name, list(map(one.value, summaries)), faint=one.faint),
                    rank=one.rank,
                    key=one.name,
                )
                for one in known
            ),
        ]
        for short, size in WIDTHS
    )
    return table(
        widest,
        screen,
        narrower=narrower,
        rest=Rest(min(ranks[0].width, WIDEST_LINK), links) if ranks else None,
        order=sort,
        apart=_first_of_layers(summaries) if apart else (),
        caption=caption,
    )


def _fitting_links(ranks: Sequence[_LinkSizes], room: int) -> list[_LinkSizes]:
    """Return the first links, cut to the room, and as many of the next as fit whole beside them."""
    fitting = [rank.within(room) for rank in ranks[:1]]
    used = sum(rank.width for rank in fitting)
    for rank in ranks[1:]:
        used += len(BETWEEN) + rank.width
        if used > room:
            break
        fitting.append(rank)
    return fitting


@dataclass(frozen=True, slots=True)
class _LinkSizes:
    """Cells of the labels in a column of links, whose arrows are aligned: `it → trophy 0.58`."""

    query: int
    key: int

    @classmethod
    def of(cls, links: Sequence[Link], query_labels: Labels, key_labels: Labels, screen: Screen) -> _LinkSizes:
        """Measure the sizes that hold every label, up to `LONGEST_LINK`."""
        queries, keys = (
            min(max(name_width(name, unicode=screen.unicode) for name in names), LONGEST_LINK)
            for names in (
                [query_labels.parts(link.query) for link in links],
                [key_labels.parts(link.key) for link in links],
            )
        )
        return cls(queries, keys)

    @property
    def width(self) -> int:
        return self.query + len(" → ") + self.key + len(" 0.00")

    def within(self, room: int) -> _LinkSizes:
        """Cut the longer label until the link keeps to `room` cells."""
        query, key = self.query, self.key
        for _ in range(self.width - room):
            query, key = (query - 1, key) if query > key else (query, key - 1)
        return _LinkSizes(query, key)

    def draw(self, link: Link, query_labels: Labels, key_labels: Labels, screen: Screen, *, second: bool) -> list[Part]:
        """Draw a link in exactly these cells."""
        quiet = DIM if second else PLAIN
        return [
            (fit_name(query_labels.parts(link.query), self.query, align="right", unicode=screen.unicode), quiet),
            (" → " if screen.unicode else " > ", DIM),
            (fit_name(key_labels.parts(link.key), self.key, unicode=screen.unicode), quiet if second else BOLD),
            (f" {link.weight:z.2f}", quiet),
        ]


def _first_of_layers(summaries: Sequence[HeadSummary]) -> list[int]:
    """Return the first row of each layer but the first, if rows are in order of layer and each has several."""
    runs = [layer for layer, _ in groupby(summaries, key=lambda row: row.layer)]
    if not (1 < len(runs) == len(set(runs)) and len(summaries) >= 3 * len(runs)):
        return []
    return [index for index, (one, next_one) in enumerate(pairwise(summaries), 1) if one.layer != next_one.layer]


def query_table(
    rows: Sequence[QueryRow],
    query_labels: Labels,
    key_labels: Labels,
    screen: Screen,
    *,
    step: Rows | None = None,
    measure: Literal["weight", "score"] = "weight",
    noun: str = "",
    caption: str = "",
) -> Group:
    """Draw one row per head with the strongest keys of a query, in a section for each query.

    Args:
        rows: the rows, those of one query together.
        query_labels: labels of the queries.
        key_labels: labels of the keys.
        screen: the screen to draw on.
        step: the step that is a word's row, where that must be said (`Plan.step`).
        measure: the quantity of the links; only weights get a bar.
        noun: the name of one number; the measure by default.
        caption: a line below the table.
    """
    name = max((len(f"{row.layer}.{row.head}") for row in rows), default=3)
    links = [link for row in rows for link in row.links]
    longest = max((name_width(key_labels.parts(link.key), unicode=screen.unicode) for link in links), default=0)
    digits = max((len(f"{link.weight:z.2f}") for link in links), default=4)
    most = max((len(row.links) for row in rows), default=1)
    item = _Item.fitting(longest, digits, most, screen.width - name, bars=measure == "weight")
    lines: list[Text] = []
    for query, group in groupby(rows, key=lambda row: row.query):
        lines += [line()] if lines else []
        name_of = query_labels.parts(query)
        style = DIM if query_labels.special[query] else BOLD
        place = f"  query {query_labels.positions[query]}{'' if step is None else f', {when(step)}'}"
        what = f": its strongest keys by {noun or measure}"
        what = what if name_width(name_of, unicode=screen.unicode) + len(place + what) <= screen.width else ""
        text = clipped_name(name_of, screen.width - len(place), unicode=screen.unicode)
        lines.append(line((text, style), (place + what, DIM)))
        for row in group:
            for first in range(0, max(len(row.links), 1), item.per_line):
                parts: list[Part] = [("" if first else f"{row.layer}.{row.head}", BOLD)]
                parts.append((" " * (name - width(parts[0][0])), PLAIN))
                for link in row.links[first : first + item.per_line]:
                    parts += item.draw(link, key_labels, screen)
                lines.append(line(*parts))
    return drawing([*lines, *caption_lines(caption, screen)])


@dataclass(frozen=True, slots=True)
class _Item:
    """The layout of a key and its number, in cells."""

    label: int
    digits: int
    bar: int
    per_line: int

    @classmethod
    def fitting(cls, longest: int, digits: int, most: int, room: int, *, bars: bool) -> _Item:
        """Fit all keys on one line if that leaves them readable, else on as many lines as they need."""
        choices = [(16, 20), (16, 12), (16, 8), (12, 6), (12, 4), (10, 3)] if bars else [(16, 0), (12, 0)]
        for label, bar_cells in [*choices, (8, 0)]:
            item = cls(min(longest, label), digits, bar_cells, most)
            if most * item.width <= room:
                return item
        item = cls(min(longest, 12), digits, 0, 1)
        return replace(item, per_line=max(1, room // item.width))

    @property
    def width(self) -> int:
        return len(GAP) + self.label + 1 + self.digits + (self.bar + 1 if self.bar else 0)

    def draw(self, link: Link, key_labels: Labels, screen: Screen) -> list[Part]:
        """Draw the key, its number, and a bar if there is room for bars."""
        style = DIM if key_labels.special[link.key] or 0 <= link.weight < 0.05 else PLAIN
        parts: list[Part] = [
            (GAP, PLAIN),
            (fit_name(key_labels.parts(link.key), self.label, unicode=screen.unicode), style),
            (f" {link.weight:z{self.digits}.2f}", style),
        ]
        return [*parts, (" ", PLAIN), *bar(link.weight, self.bar, screen)] if self.bar else parts
