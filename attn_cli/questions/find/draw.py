"""Drawing of the heads that link two words: a ranked table, and every head's weight at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.data.plan import name_head
from attn_cli.draw.atlas import atlas, written_scores
from attn_cli.draw.captions import guided_line, labels_of, model_line, remarks, when
from attn_cli.draw.colors import WEIGHTS, Scale
from attn_cli.draw.labels import clipped_name
from attn_cli.draw.layout import fitting, room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, Part, caption_lines, cells, drawing, line, stacked
from attn_cli.draw.table import Column, arrows, bars, figures, names, table
from attn_cli.errors import counted
from attn_cli.questions.find.measure import FoundLink, FoundLinks, Pair

__all__ = ["draw"]

LONGEST_LABEL = 14


def draw(answer: FoundLinks, screen: Screen) -> Group:
    """Draw the answer of `attn find`."""
    return _LinksDrawing(answer).draw(screen)


@dataclass(frozen=True, eq=False)
class _LinksDrawing:
    """The parts of the drawing."""

    found: FoundLinks

    @property
    def _noun(self) -> str:
        return self.found.plan.selection.noun

    def draw(self, screen: Screen) -> Group:
        plan, record = self.found.plan, self.found.record
        top = [
            model_line(record, plan.kind, screen),
            *remarks(record, plan.kind, screen, self.found.sink),
            *guided_line(self.found.guided, screen),
        ]
        heading = drawing([self._heading(screen), *self._unseen(screen)])
        links = self.found.listed
        if not links:
            return stacked([Group(*top), Group(heading, drawing(caption_lines(self._nothing(), screen)))])
        picture = self._picture(screen)
        room = room_left([Group(*top), heading, *picture], screen, everything=plan.selection.all)
        ranked = fitting(lambda limit: self._table(links[:limit], len(links), screen), len(links), screen, room)
        return stacked([Group(*top), Group(heading, ranked), *picture])

    def _heading(self, screen: Screen) -> Text:
        """Draw the line on the two words, with their positions."""
        found = self.found
        plan = found.plan
        several = len(found.pairs) > 1
        arrow = " → " if screen.unicode else " > "
        ends = [(found.start, ""), (found.end, "")]
        place = f"  {len(found.pairs)} pairs{', both ways' if found.both else ''}"
        if not several:
            (pair,) = found.pairs
            ends = [labels_of(plan.queries).parts(pair.query), labels_of(plan.keys).parts(pair.key)]
            step = "" if plan.step is None else f", {when(plan.step)}"
            query, key = plan.queries.positions[pair.query], plan.keys.positions[pair.key]
            place = f"  query {query}{step}, key {key}{self._apart(pair)}"
        start, end = (clipped_name(name, screen.width // 3, unicode=screen.unicode) for name in ends)
        parts: list[Part] = [(start, BOLD), (arrow, DIM), (end, BOLD)]
        return line(*parts, (place if cells(parts) + len(place) <= screen.width else "", DIM))

    def _apart(self, pair: Pair) -> str:
        plan = self.found.plan
        offset = pair.key - pair.query
        if plan.crosses:
            return ""
        if not offset:
            return ": itself"
        if plan.source.source.grid is not None:
            return _on_grid(plan.queries.cells[pair.query], plan.keys.cells[pair.key])
        unit = plan.selection.unit + ("s" if abs(offset) > 1 else "")
        return f": {abs(offset)} {unit} {'ahead' if offset > 0 else 'back'}"

    def _unseen(self, screen: Screen) -> Sequence[Text]:
        """Draw the remark on pairs that no head can see."""
        masked = self.found.masked
        if not masked:
            return []
        return caption_lines(
            f"{len(masked)} of {len(self.found.pairs)} pairs are masked in every head: those queries cannot see those "
            "keys."
            if len(self.found.pairs) > 1
            else "It is masked in every head: the query cannot see the key.",
            screen,
        )

    def _nothing(self) -> str:
        """Explain why the table is empty."""
        found = self.found
        if not found.links:
            return "" if found.both or found.plan.crosses else "--both looks the other way as well."
        best, least = found.links[0], found.least or 0.0
        most = f"{best.weight:.2f}"
        if float(most) >= least:  # 0.698 is not 0.70 beside "0.7 or more"
            most = f"{best.weight:.7g}"
        return f"No head gives it {least:g} or more; the most is {most}, in head {name_head(best.layer, best.head)}."

    def _table(self, links: Sequence[FoundLink], count: int, screen: Screen) -> RenderableType:
        plan = self.found.plan
        columns = [names("head", [name_head(link.layer, link.head) for link in links], screen, right=True)]
        if len(self.found.pairs) > 1:
            columns.append(self._pairs(links, screen))
        unit = _several(plan.unit)
        weights = [link.weight for link in links]
        if plan.selection.scores:
            note = "score: minus the mean of its row, in nats."
            columns.append(figures(self._noun, weights, form="+.2f", note=note))
        else:
            even = {f"{link.even:.2f}" for link in self.found.links}
            weight = f", {even.pop()}" if len(even) == 1 else ""
            times = figures(
                "× even" if screen.unicode else "x even",
                [link.weight / link.even for link in links],
                rank=1,
                form=".1f",
                faint=1.0,
                note=f"even: its weight in a row that gives every token the same{weight}.",
            )
            columns += [bars(self._noun, weights, screen), times]
        form = "+.2f" if plan.selection.scores else ".2f"
        if not plan.crosses:
            note = f"usual: this head's mean between {self._alike()}."
            columns.append(figures("usual", [link.usual for link in links], rank=2, form=form, note=note))
        note = f"others: its mean to {self._key()} from the other {unit}."
        columns.append(figures("others", [link.others for link in links], rank=3, form=form, note=note))
        return table(columns, screen, order=self.found.sort, caption=self._cut(len(links), count))

    def _pairs(self, links: Sequence[FoundLink], screen: Screen) -> Column:
        queries, keys = labels_of(self.found.plan.queries), labels_of(self.found.plan.keys)
        most = min(LONGEST_LABEL, (screen.width - 32) // 2)
        starts = _fitted([queries.parts(link.pair.query) for link in links], most, screen)
        ends = _fitted([keys.parts(link.pair.key) for link in links], most, screen)
        return arrows("", starts, ends, screen)

    def _cut(self, shown: int, count: int) -> str:
        """Describe which links are shown, if not all are."""
        if shown == count:
            return ""
        how = {
            "weight": "strongest first",
            "usual": "most above what is usual first",
            "others": "most above the others first",
            "layer": "the first",
        }[self.found.sort]
        return f"{shown} of {count:,} {'links' if len(self.found.pairs) > 1 else 'heads'}, {how}; --all shows all."

    def _alike(self) -> str:
        """Describe the pairs that `usual` is the mean of."""
        found = self.found
        units = _several(found.plan.unit)
        if len(found.pairs) > 1:
            return f"other {units} equally far apart"
        (pair,) = found.pairs
        count = found.alike.get(pair, 0)
        if not count:
            return f"other {units} equally far apart, of which there are none"
        if pair.key == pair.query:
            return f"each of {count} other {units} and itself"
        return f"{count} other pair{'' if count == 1 else 's'} of {units} equally far apart"

    def _key(self) -> str:
        return (
            "the key" if len(self.found.pairs) > 1 else labels_of(self.found.plan.keys).named(self.found.pairs[0].key)
        )

    def _picture(self, screen: Screen) -> list[RenderableType]:
        """Draw each head's largest weight, if there are several layers."""
        values = self.found.largest
        selection = self.found.plan.selection
        most = self._noun if len(self.found.pairs) == 1 else f"largest {self._noun}"
        title = f"{most.capitalize()} in each {'layer' if selection.joint else 'head'}"
        if not selection.scores:
            return atlas(values, screen, name=self._noun, scale=WEIGHTS, title=title)
        scale, written = Scale.around(np.array(list(values.values()))), written_scores(values)
        return atlas(values, screen, name=self._noun, scale=scale, places=3, written=written, title=title)


def _several(unit: str) -> str:
    """Return the plural of the name of a unit."""
    return "patches" if unit == "patch" else f"{unit}s"


def _on_grid(start: tuple[int, int] | None, end: tuple[int, int] | None) -> str:
    """Say how far apart two patches are; nothing of a special token."""
    if start is None or end is None:
        return ""
    down, across = end[0] - start[0], end[1] - start[1]
    steps = [
        (abs(down), "row", "down" if down > 0 else "up"),
        (abs(across), "column", "right" if across > 0 else "left"),
    ]
    return ": " + ", ".join(f"{counted(size, name)} {where}" for size, name, where in steps if size)


def _fitted(names: Sequence[tuple[str, str]], most: int, screen: Screen) -> list[str]:
    return [clipped_name(name, most, unicode=screen.unicode) for name in names]
