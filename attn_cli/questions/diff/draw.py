"""Drawing of the changes: heads ranked by divergence, the difference as a heatmap, or two rows side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rich.console import Group

from attn_cli.answer import Finding
from attn_cli.data.record import Record
from attn_cli.draw.screen import Screen, lines_of
from attn_cli.draw.strokes import BOLD, drawing, line, stacked
from attn_cli.io.csv import Cell
from attn_cli.io.document import Document, describe_checks, describe_text
from attn_cli.questions.diff.draw_heads import SAME, DiffSort, ordered, overview
from attn_cli.questions.diff.draw_rows import rows_of_words
from attn_cli.questions.diff.draw_texts import models, texts
from attn_cli.questions.diff.measure import Differences, HeadChange
from attn_cli.questions.diff.overlay import Overlay

__all__ = ["VIEW", "DiffSort", "DiffView"]


@dataclass(frozen=True, eq=False)
class DiffView(Finding):
    """View of `attn diff`."""

    found: Differences
    sort: DiffSort = "divergence"
    fail_above: float | None = None

    name = "diff"
    units: ClassVar[Mapping[str, str]] = {
        "weight": "share of 1",
        "divergence": "Jensen-Shannon divergence in bits: 0 the same, 1 no key in common",
    }
    score_units: ClassVar[Mapping[str, str]] = {
        "weight": "nats: a score less the mean of its row's, over the keys that the row can see in both",
        "divergence": "nats: the root of the mean square change, over the keys that a row can see in both",
    }
    columns: ClassVar[tuple[str, ...]] = (
        *("kind", "layer", "head", "query", "query_text", "divergence"),
        *("key", "key_text", "a", "b", "measure"),
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
    def heads(self) -> Sequence[HeadChange]:
        """Heads in the order asked for."""
        return ordered(self.found.heads, self.sort)

    def part(self) -> Document:
        found = self.found
        plans = found.plans
        sides = [(axis, *(getattr(plan, name) for plan in plans)) for name, axis in self._axes()]
        return {
            "kind": plans[0].kind,
            "other": {**describe_text(found.b), **describe_checks(found.b), "notes": list(found.b.notes)},
            **{
                name: [
                    {
                        "a": a.positions[one] if one >= 0 else None,
                        "b": b.positions[other] if other >= 0 else None,
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
                change = key, found.keys.labels[key], float(a[row, key]), float(b[row, key])
                yield *front, float(head.rows[row]), *change, self.record.selection.measure

    def draw(self, screen: Screen) -> Group:
        top = [*models(self.found, screen), *texts(self.found, screen)]
        room = None
        if screen.height is not None and not self.found.plans[0].selection.all:
            room = screen.height - sum(lines_of(part, screen) for part in top) - 2
        if self.found.most < SAME:
            blind = all(np.isnan(head.divergence) for head in self.found.heads)
            shares = "shares" if self.record.selection.scores else "sees"
            said = f"A row that {shares} one key alone cannot change." if blind else "Nothing changed."
            return stacked([Group(*top), drawing([line((said, BOLD))])])
        body = overview if self.found.query is None else rows_of_words
        return stacked([Group(*top), *body(self.found, self.sort, screen, room)])


VIEW = DiffView
"""The view of an answer, which `Answer.shown` makes."""
