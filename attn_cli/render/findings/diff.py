"""What changed: heads ranked by divergence, the difference as a heatmap, or two rows side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import ClassVar, Literal

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.blocks import Tokens
from attn_cli.measure.diff import Differences, HeadChange, Overlay
from attn_cli.plan import name_head
from attn_cli.record import Record
from attn_cli.render.columns import FEWEST_ROWS, Column, bars, figures, fitting, names, table
from attn_cli.render.csv import Cell
from attn_cli.render.document import Document, describe_text
from attn_cli.render.finding import Finding
from attn_cli.render.grid import atlas, written_scores
from attn_cli.render.heading import remarks
from attn_cli.render.heatmap import MapView, heatmap
from attn_cli.render.labels import Labels, clean, fit, width
from attn_cli.render.paint import BOLD, DIM, PLAIN, Part, caption_lines, cells, drawing, flow, line, number
from attn_cli.render.scale import Scale
from attn_cli.render.screen import Screen, lines_of
from attn_cli.render.tables import model_line
from attn_cli.render.views.base import stacked
from attn_cli.shapes import Float, Int

__all__ = ["DiffSort", "DiffView"]

DiffSort = Literal["divergence", "layer"]

LONGEST_LABEL = 14
MOST_KEYS = 30
"""Keys that two rows are shown over in their own order; of more, those with the most weight."""
NO_BARS = 50
"""Columns below which there is no room for bars."""
SAME = 1e-6
"""Bits below which nothing changed but the last digits of float32."""


@dataclass(frozen=True, eq=False)
class DiffView(Finding):
    """What `attn diff` shows."""

    found: Differences
    sort: DiffSort = "divergence"
    fail_above: float | None = None

    name = "diff"
    units: ClassVar[Mapping[str, str]] = {
        "weight": "share of 1",
        "divergence": "Jensen-Shannon divergence in bits: 0 the same, 1 no key in common",
    }
    score_units: ClassVar[Mapping[str, str]] = {
        "weight": "nats: a score less the mean of its row's",
        "divergence": "nats: the root of the mean square change, over the keys that a row can see in both",
    }
    columns: ClassVar[tuple[str, ...]] = (
        *("kind", "layer", "head", "query", "query_text", "divergence"),
        *("key", "key_text", "a", "b"),
    )

    @property
    def record(self) -> Record:
        return self.found.a

    @property
    def title(self) -> str:
        one, other = self.found.a.source.text, self.found.b.source.text
        return one if one == other else f"{one} / {other}"

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.found.a.notes, *self.found.b.notes)))

    @property
    def _scores(self) -> bool:
        return self.record.selection.scores

    @property
    def _how(self) -> str:
        """What a head's figure is called."""
        return "change" if self._scores else "divergence"

    @property
    def heads(self) -> Sequence[HeadChange]:
        """In the order asked for."""
        if self.sort == "layer":
            return sorted(self.found.heads, key=lambda head: (head.layer, head.head))
        return self.found.heads

    def part(self) -> Document:
        found = self.found
        plans = found.plans
        sides = [(axis, *(getattr(plan, name) for plan in plans)) for name, axis in self._axes()]
        return {
            "kind": plans[0].kind,
            "other": {**describe_text(found.b), "verified": found.b.verified, "notes": list(found.b.notes)},
            **{
                name: [
                    {
                        "a": one if one >= 0 else None,
                        "b": other if other >= 0 else None,
                        "a_text": a.labels[one] if one >= 0 else None,
                        "b_text": b.labels[other] if other >= 0 else None,
                    }
                    for one, other in zip(axis.a.tolist(), axis.b.tolist(), strict=True)
                ]
                for (name, _), (axis, a, b) in zip(self._axes(), sides, strict=True)
            },
            "rows": list(found.chosen),
            "most": np.float32(found.most),
            "fail_above": self.fail_above,
            "heads": [self._described(head) for head in self.heads],
        }

    def _axes(self) -> tuple[tuple[str, Overlay], ...]:
        return ("queries", self.found.queries), ("keys", self.found.keys)

    def _described(self, head: HeadChange) -> Document:
        largest = head.largest
        document: Document = {
            "layer": head.layer,
            "head": head.head,
            "divergence": np.float32(head.divergence),
            "rows": head.rows.astype(np.float32),
            "largest": None
            if largest is None
            else {
                "query": largest.query,
                "key": largest.key,
                "a": np.float32(largest.a),
                "b": np.float32(largest.b),
            },
        }
        if self.found.query is not None:
            a, b = self.found.maps(head.layer, head.head)
            document |= {"a": np.ascontiguousarray(a), "b": np.ascontiguousarray(b)}
        return document

    def rows(self) -> Iterable[Sequence[Cell]]:
        found = self.found
        kind = found.plans[0].kind
        for head in self.heads:
            a, b = found.maps(head.layer, head.head)
            keys = np.nan_to_num(np.abs(b - a), nan=-1.0).argmax(axis=1)
            for row, (place, key) in enumerate(zip(found.chosen, keys.tolist(), strict=True)):
                front = (kind, head.layer, head.head, place, found.queries.labels[place])
                yield *front, float(head.rows[row]), key, found.keys.labels[key], float(a[row, key]), float(b[row, key])

    def draw(self, screen: Screen) -> Group:
        top = [*self._models(screen), *self._texts(screen)]
        room = None
        if screen.height is not None and not self.found.plans[0].selection.all:
            room = screen.height - sum(lines_of(part, screen) for part in top) - 2
        if self.found.most < SAME:
            blind = all(np.isnan(head.divergence) for head in self.found.heads)
            said = "A row that sees one key alone cannot change." if blind else "Nothing changed."
            return stacked([Group(*top), drawing([line((said, BOLD))])])
        body = self._overview(screen, room) if self.found.query is None else self._rows_of_words(screen, room)
        return stacked([Group(*top), *body])

    def _models(self, screen: Screen) -> list[RenderableType]:
        """Which models, on a line each where they differ."""
        found = self.found
        kind = found.plans[0].kind
        same = found.a.model == found.b.model
        lines = [
            model_line(record, kind, screen, lead="" if same else f"{name} ")
            for name, record in zip("AB", (found.a, found.b), strict=True)
        ]
        verified = [record.verified for record in (found.a, found.b) if record.verified is not None]
        said = "Heads are compared by their numbers: in models trained apart, those need not do the same."
        return [
            *(lines[:1] if same else lines),
            *remarks(replace(found.a, verified=max(verified, default=None)), kind, screen),
            *([] if same else [drawing(caption_lines(said, screen))]),
        ]

    def _texts(self, screen: Screen) -> list[RenderableType]:
        """Both texts, with what differs in bold."""
        found = self.found
        sides = [(found.a.source, found.b.source)]
        if found.a.target is not None and found.b.target is not None:
            sides.append((found.a.target, found.b.target))
        drawn: list[RenderableType] = []
        for one, other in sides:
            if one.text == other.text:
                drawn.append(drawing(_emphasised("", one, one, screen)))
            else:
                drawn += [
                    drawing(_emphasised("A ", one, other, screen)),
                    drawing(_emphasised("B ", other, one, screen)),
                ]
        overlaid = caption_lines(self._overlaid(), screen)
        return [*drawn, *([drawing(overlaid)] if overlaid else [])]

    def _overlaid(self) -> str:
        """How the texts were laid over each other."""
        queries = self.found.queries
        unit = f"{self.found.plans[0].selection.unit}s"
        plain = ~np.asarray(queries.special, np.bool_)
        same = np.asarray(queries.same, np.bool_) & plain
        replaced = int((queries.both & plain & ~same).sum())
        alone = [
            f"{count} only in {name}"
            for name, missing in (("A", queries.b), ("B", queries.a))
            if (count := int(((missing < 0) & plain).sum()))
        ]
        if not replaced and not alone:
            return ""
        differ = [f"{replaced} differ{'s' if replaced == 1 else ''}"] if replaced else []
        count = int(same.sum())
        said = [f"{count} {unit[:-1]} is the same" if count == 1 else f"{count} {unit} are the same", *differ]
        without = f", {' and '.join(alone)}, whose rows cannot be compared" if alone else ""
        return f"{', '.join(said)}{without}."

    def _overview(self, screen: Screen, room: int | None) -> list[RenderableType]:
        """The heads, and the difference of the one that changed most."""
        heads = self.heads
        parts = self._atlas(screen)
        picture = self._picture(screen, None)
        if room is not None:
            least = lines_of(self._table(heads[:FEWEST_ROWS], screen), screen) + 1
            picture = self._picture(screen, room - least)
            room -= lines_of(picture, screen) + 1
            tall = sum(lines_of(part, screen) + 1 for part in parts)
            if tall + least > room:
                parts, tall = [], 0
            room -= tall
        ranked = fitting(lambda limit: self._table(heads[:limit], screen), len(heads), screen, room)
        return [*parts, ranked, picture]

    def _table(self, heads: Sequence[HeadChange], screen: Screen) -> RenderableType:
        count = len(self.found.chosen)
        size = "of one row" if count == 1 else f"mean over {count} rows"
        largest = [head.largest for head in heads]
        columns = [
            *self._ranking(heads, screen, size),
            self._changed(heads, screen),
            figures("A", [None if one is None else one.a for one in largest]),
            figures("B", [None if one is None else one.b for one in largest]),
        ]
        return table(columns, screen, order=self.sort, caption=self._cut(len(heads)))

    def _ranking(self, heads: Sequence[HeadChange], screen: Screen, size: str) -> list[Column]:
        note = f"{self._how}: Jensen-Shannon in bits, {size}; 0 the same, 1 no key in common."
        if self._scores:
            note = f"{self._how}: root of the mean square, of scores less the mean of their row's, in nats, {size}."
        shares = [head.divergence for head in heads]
        # Most heads change little, so the longest bar is the largest divergence of all.
        drawn = bars(self._how, shares, screen, high=self.found.most, places=3)
        if screen.width < NO_BARS:
            drawn = figures("change" if self._scores else "div.", shares, form=".3f", faint=0.0)
        return [
            names("head", [name_head(head.layer, head.head) for head in heads], screen, right=True),
            replace(drawn, note=note),
        ]

    def _changed(self, heads: Sequence[HeadChange], screen: Screen) -> Column:
        """The weight that changed most in each head."""
        most = max(min(LONGEST_LABEL, (screen.width - 42) // 2), 4)
        arrow = " → " if screen.unicode else " > "
        largest = [head.largest for head in heads]
        starts = ["" if one is None else _cut_to(self.found.queries.labels[one.query], most, screen) for one in largest]
        ends = ["" if one is None else _cut_to(self.found.keys.labels[one.key], most, screen) for one in largest]
        across = max(map(width, starts), default=0)
        rows: list[list[Part]] = [
            [(" " * (across - width(start)) + start, PLAIN), (arrow, DIM), (end, BOLD)] if start or end else []
            for start, end in zip(starts, ends, strict=True)
        ]
        return Column("largest change" if screen.width >= NO_BARS else "change", rows, right=False)

    def _cut(self, shown: int) -> str:
        count = len(self.found.heads)
        if shown == count:
            return ""
        how = "those that changed most" if self.sort == "divergence" else "the first"
        return f"{shown} of {count:,} heads, {how}; --all shows all."

    def _atlas(self, screen: Screen) -> list[RenderableType]:
        heads = self.found.heads
        layers = sorted({head.layer for head in heads})
        if len(layers) < 2:
            return []
        values: Float[np.ndarray, "layer head"] = np.full((len(layers), max(head.head for head in heads) + 1), np.nan)
        for head in heads:
            values[layers.index(head.layer), head.head] = head.divergence
        scale = Scale.weights(max(self.found.most, SAME))
        title = f"{self._how.capitalize()} of each head"
        if self._scores:
            return [
                atlas(values, layers, screen, name="nats", scale=scale, written=written_scores(values), title=title)
            ]
        return [atlas(values, layers, screen, name="bits", scale=scale, places=3, title=title)]

    def _picture(self, screen: Screen, room: int | None) -> RenderableType:
        """The difference of the head that changed most."""
        found, head = self.found, self.found.heads[0]
        plan = found.plans[0]
        view = MapView(
            found.changes(head.layer, head.head),
            _labels(found.queries, found.chosen, found.queries.a),
            _labels(found.keys, range(len(found.keys))),
            plan.kind,
            "change",
            plan.selection.unit,
            None,
            plan.rows,
        )
        which = ", which changed most" if len(found.heads) > 1 else ""
        return heatmap(view, screen, title=f"Head {name_head(head.layer, head.head)}{which}: B - A", room=room)

    def _rows_of_words(self, screen: Screen, room: int | None) -> list[RenderableType]:
        """The rows of the words asked for: the strongest keys of each head, then one head's two rows side by side."""
        found, heads = self.found, self.heads
        single = len(heads) == 1
        sides = [self._side_by_side(found.heads[0], row, screen) for row in range(len(found.chosen))]
        if single:
            return sides
        if room is not None:
            room -= sum(lines_of(part, screen) + 1 for part in sides)
        ranked = [
            fitting(lambda limit, row=row: self._looks(heads[:limit], row, screen), len(heads), screen, room)  # type: ignore[misc]
            for row in range(len(found.chosen))
        ]
        return [*ranked, *sides]

    def _looks(self, heads: Sequence[HeadChange], row: int, screen: Screen) -> RenderableType:
        """Where one word looks in each head, in A and in B."""
        found = self.found
        place = found.chosen[row]
        shares = [HeadChange(head.layer, head.head, float(head.rows[row]), head.rows, None) for head in heads]
        ranking = self._ranking(shares, screen, "of this row")
        room = (screen.width - sum(column.width + 2 for column in ranking) - 2) // 2
        sides = [self._strongest(heads, row, side, room, screen) for side in range(2)]
        title = line(
            (_cut_to(found.queries.labels[place], screen.width // 2, screen), BOLD),
            (f"  query {self._numbers(place)}: its strongest keys", DIM),
        )
        return Group(
            drawing([title]), table([*ranking, *sides], screen, order=self.sort, caption=self._cut(len(heads)))
        )

    def _numbers(self, place: int) -> str:
        """A query's position in A, and in B where it is another."""
        one, other = int(self.found.queries.a[place]), int(self.found.queries.b[place])
        return str(one) if one == other else f"{one} in A, {other} in B"

    def _strongest(self, heads: Sequence[HeadChange], row: int, side: int, room: int, screen: Screen) -> Column:
        """Each head's strongest keys in A or in B, as many as there is room for."""
        plan = self.found.plans[side]
        index = (self.found.keys.a, self.found.keys.b)[side]
        ranked: list[list[Part]] = []
        for head in heads:
            weights = self.found.maps(head.layer, head.head)[side][row]
            parts: list[Part] = []
            for key in np.argsort(-weights, kind="stable")[: plan.selection.top_k].tolist():
                if not weights[key] > 0:
                    break
                label = _cut_to(plan.keys.labels[int(index[key])], 10, screen)
                value = float(weights[key])
                text = f"{value:+.2f}" if self._scores else number(value, unicode=screen.unicode)
                piece = f"{'  ' if parts else ''}{label} {text}"
                if parts and cells(parts) + width(piece) > room:
                    break
                parts.append((piece, DIM if parts else PLAIN))
            ranked.append(parts)
        return Column("AB"[side], ranked, right=False)

    def _side_by_side(self, head: HeadChange, row: int, screen: Screen) -> RenderableType:
        """One head's row in A and in B, key by key."""
        found = self.found
        a, b = (side[row] for side in found.maps(head.layer, head.head))
        seen = np.flatnonzero(np.isfinite(found.changes(head.layer, head.head)[row]))
        keys = seen
        if len(seen) > MOST_KEYS:
            keys = np.sort(seen[np.argsort(-np.maximum(a, b)[seen], kind="stable")[:MOST_KEYS]])
        places = keys.tolist()
        sides = [
            figures(name, [float(side[key]) for key in places], form="+.2f")
            if self._scores
            else _where(name, side, own, places, screen)
            for name, side, own in (("A", a, found.keys.a), ("B", b, found.keys.b))
        ]
        columns = [
            names("key", [found.keys.labels[key] for key in places], screen),
            *sides,
            figures("change", (b - a)[keys].tolist(), form="+.2f"),
        ]
        left_out = len(seen) - len(places)
        caption = f"{left_out:,} keys with less weight are left out." if left_out else ""
        which = "" if len(found.heads) == 1 else " changed most:"
        word = _cut_to(found.queries.labels[found.chosen[row]], screen.width // 3, screen)
        title = line(
            (f"Head {name_head(head.layer, head.head)}{which} from {word}", BOLD),
            (
                f"  {head.rows[row]:.3f} {'nats' if self._scores else 'bits'}"
                if np.isfinite(head.rows[row])
                else "  sees one key alone",
                DIM,
            ),
        )
        return Group(drawing([title]), table(columns, screen, caption=caption))


def _where(
    name: str,
    weights: Float[np.ndarray, "key"],
    own: Int[np.ndarray, "key"],
    places: Sequence[int],
    screen: Screen,
) -> Column:
    """Bars of one side's weights; nothing for keys that it does not have."""
    drawn = bars(name, weights[list(places)].tolist(), screen)
    return replace(drawn, cells=[bar if own[key] >= 0 else [] for key, bar in zip(places, drawn.cells, strict=True)])


def _labels(axis: Overlay, places: Iterable[int], positions: Int[np.ndarray, "place"] | None = None) -> Labels:
    """What stands beside some places; their own numbers by default."""
    chosen = list(places)
    return Labels(
        [axis.labels[place] for place in chosen],
        [axis.special[place] for place in chosen],
        chosen if positions is None else positions[chosen].tolist(),
    )


def _cut_to(text: str, most: int, screen: Screen) -> str:
    shown = clean(text, unicode=screen.unicode)
    return fit(shown, min(width(shown), most), unicode=screen.unicode)


def _emphasised(name: str, text: Tokens, other: Tokens, screen: Screen) -> list[Text]:
    """A text on as many lines as it takes, what the other does not have in bold."""
    words, others = text.text.split(), other.text.split()
    same: set[int] = set()
    for block in SequenceMatcher(None, words, others, False).get_matching_blocks():
        same |= set(range(block.a, block.a + block.size))
    pieces: list[list[Part]] = [[(name, DIM)]] if name else []
    pieces += [
        [(_cut_to(word, screen.width, screen), PLAIN if index in same else BOLD)] for index, word in enumerate(words)
    ]
    return flow(pieces, screen, between=" ")
