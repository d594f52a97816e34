"""Drawing, JSON and table of `attn explain`: the steps of a model's head, or those of plain numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.answer import Finding
from attn_cli.data.plan import name_head
from attn_cli.data.record import Record
from attn_cli.data.stream import key_tokens
from attn_cli.draw.captions import model_line, remarks, translation_text
from attn_cli.draw.labels import Labels, clipped
from attn_cli.draw.legend import when
from attn_cli.draw.screen import Screen, lines_of
from attn_cli.draw.strokes import BOLD, DIM, caption_lines, drawing, line, stacked
from attn_cli.io.csv import Cell, CsvTable
from attn_cli.io.document import Document, begin
from attn_cli.questions.explain.draw_steps import explanation
from attn_cli.questions.explain.measure import Explained
from attn_cli.questions.explain.steps import PARTS, Explanation
from attn_cli.system.encoding import json_bytes

__all__ = ["VIEW", "ExplainView", "NumbersView"]

UNITS = {
    "query_key": "query·key before scaling",
    "parts": "what adds up to the score",
    "score": "before softmax; null where masked",
    "exponential": "exp(score - maximum)",
    "weight": "share of 1",
    "value_norm": "Euclidean length",
    "share": "weight · value · context / |context|²; shares sum to 1",
}
COLUMNS = ("key", "key_text", "query_key", *PARTS, "score", "exponential", "weight", "value_norm", "share")


@dataclass(frozen=True, eq=False)
class ExplainView(Finding):
    """View of the steps of one query in one head of a model."""

    found: Explained
    everything: bool = False
    """True to show all keys, even if the screen is too low for them."""

    name = "explain"
    units: ClassVar[Mapping[str, str]] = UNITS
    columns: ClassVar[tuple[str, ...]] = (
        *("kind", "layer", "head", "query", "query_token", "query_text"),
        *("key", "key_token", *COLUMNS[1:]),
    )

    @property
    def _keys(self) -> Labels:
        tokens = key_tokens(self.found.plan.source, self.found.plan.kind).tokens
        return Labels(self.found.labels, [token.special for token in tokens], self.found.places)

    @property
    def record(self) -> Record:
        return self.found.record

    def draw(self, screen: Screen) -> Group:
        found, record = self.found, self.record
        top: list[RenderableType] = []
        if found.plan.kind != "encoder" and record.target is not None:
            top = [translation_text(record.target.text, screen), Text("")]
        top.append(model_line(record, found.plan.kind, screen))
        top += remarks(record, found.plan.kind, screen)
        body = [drawing(self._title(screen))]
        room = None
        if screen.height is not None and not self.everything:
            room = screen.height - sum(lines_of(part, screen) for part in [*top, *body]) - 3
        return stacked([Group(*top), Group(*body), *explanation(found.steps, self._keys, screen, room=room)])

    def _title(self, screen: Screen) -> list[Text]:
        found, plan = self.found, self.found.plan
        token = "" if found.place == found.query else f" (token {found.query})"
        place = f"  query {found.place}{token}{f', {when(plan.rows)}' if plan.kind == 'cross' else ''}, head "
        name = name_head(found.layer, found.head)
        room = max(screen.width - len(place) - len(name), 1)
        lines = [line((clipped(found.query_label, room, unicode=screen.unicode), BOLD), (place, DIM), (name, BOLD))]
        if found.chosen:
            count = plan.head_count
            lines += caption_lines(
                f"The most focused of {count:,} heads on this query; --head chooses another.", screen
            )
        return lines

    def part(self) -> Document:
        found, plan = self.found, self.found.plan
        return {
            "query": {
                "index": found.query,
                "position": found.place,
                "text": found.query_label,
                "rows": plan.rows if plan.kind == "cross" else None,
            },
            "head": {
                "kind": plan.kind,
                "layer": found.layer,
                "head": found.head,
                "chosen_from": plan.head_count,
            },
            **_document(found.steps, self._keys),
        }

    def rows(self) -> Iterator[Sequence[Cell]]:
        found = self.found
        front = (found.plan.kind, found.layer, found.head, found.place, found.query, found.query_label)
        rows = zip(found.places, _rows(found.steps, self._keys), strict=True)
        return ((*front, place, *row) for place, row in rows)


VIEW = ExplainView
"""The view of an answer, which `Answer.shown` makes."""


@dataclass(frozen=True, eq=False)
class NumbersView:
    """View of the steps of plain numbers, which has no model to describe."""

    found: Explanation
    labels: Sequence[str]
    """Labels of the keys."""
    everything: bool = False
    """True to show all keys, even if the screen is too low for them."""

    title: ClassVar[str] = ""
    notes: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[str, ...]] = COLUMNS

    def draw(self, screen: Screen) -> Group:
        """Draw the steps."""
        room = None if screen.height is None or self.everything else screen.height - 1
        return stacked(explanation(self.found, Labels(self.labels), screen, given=True, room=room))

    def data(self) -> bytes:
        """Return a line of JSON in the form of `ExplainView`, without model and text."""
        document = {
            **begin(),
            "finding": ExplainView.name,
            **dict.fromkeys(("model", "source", "target", "selection")),
            "units": UNITS,
            "verified": None,
            "verified_output": None,
            "notes": [],
            "query": None,
            "head": None,
            **_document(self.found, Labels(self.labels)),
        }
        return json_bytes(document)

    def add_rows(self, table: CsvTable, sentence: int) -> None:
        """Write a row for each key."""
        table.add(_rows(self.found, Labels(self.labels)), sentence)


def _document(found: Explanation, keys: Labels) -> Document:
    context = found.context
    how = "additive" if "additive" in found.parts else "product" if found.products is not None else None
    return {
        "score": {"how": how, "scaling": found.scaling, "soft_cap": found.soft_cap},
        "normalize": {
            "maximum": found.maximum,
            "sum": found.total,
            "sink": None
            if found.sink is None
            else {
                "score": found.sink.score,
                "exponential": found.sink.exponential,
                "weight": found.sink.weight,
            },
        },
        "context": None if context is None else {"norm": context.norm, "vector": context.vector},
        "keys": [
            {
                "index": index,
                "position": keys.positions[index],
                "text": text,
                "query_key": None if found.products is None else found.products[index],
                # orjson writes minus infinity as null.
                "parts": {name: values[index] for name, values in found.parts.items()},
                "score": found.scores[index],
                "exponential": found.exponentials[index],
                "weight": found.weights[index],
                "value_norm": None if context is None else context.value_norms[index],
                "share": None if context is None else context.shares[index],
            }
            for index, text in enumerate(keys.texts)
        ],
        "missing": list(found.missing),
        "differences": None if found.differences is None else dict(found.differences),
    }


def _rows(found: Explanation, keys: Labels) -> Iterator[Sequence[Cell]]:
    nothing = np.full(len(keys), np.nan)
    columns = [
        nothing if found.products is None else found.products,
        *(found.parts.get(name, nothing) for name in PARTS),
        found.scores,
        found.exponentials,
        found.weights,
        nothing if found.context is None else found.context.value_norms,
        nothing if found.context is None else found.context.shares,
    ]
    for index, text in enumerate(keys.texts):
        yield (index, text, *(float(column[index]) for column in columns))
