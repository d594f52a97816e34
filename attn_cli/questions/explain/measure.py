"""Which query and which head of a text to explain, and their steps (see `measure.steps`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.record import Record
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Block, Request, Source, key_tokens, query_tokens
from attn_cli.data.text import Tokens, Units
from attn_cli.errors import ExactnessError, UsageError, quoted
from attn_cli.measure.summary import entropy
from attn_cli.questions.explain.steps import Explanation, explain_row

__all__ = ["Explained", "explain"]


@dataclass(frozen=True, eq=False)
class Explained:
    """The steps of one query of a text in one head."""

    steps: Explanation
    plan: Plan
    record: Record
    """The model, the texts and what was asked for; no maps."""
    layer: int
    head: int
    query: int
    """Position of the token whose row this is."""
    labels: tuple[str, ...]
    """What each key is called: the word where it is one token, else the piece."""
    places: tuple[int, ...]
    """The number that a user calls each key by: of its word, or with `--tokens` its own."""

    @property
    def chosen(self) -> bool:
        """Whether the head was chosen here, among several."""
        return self.plan.head_count > 1

    @property
    def place(self) -> int:
        """The number that a user calls the query by, as `places` counts."""
        return _places(self.plan.queries)[self.query]

    @property
    def query_label(self) -> str:
        """What the query is called."""
        return _labels(query_tokens(self.plan.source, self.plan.kind, self.plan.rows))[self.query]


def explain(source: Source, selection: Selection, *, verify: bool = False) -> Explained:
    """The steps of one query: of the head asked for, or the most focused (see `HeadSummary.focus`) of those asked for.

    Args:
        source: a text given to a model.
        selection: which query, and of which heads. Where the query is a word that stands in several places, its first
            is taken; where it has several pieces, or the name covers several words, the last piece, for which a
            decoder has read all of it.
        verify: also run the model without attn, and compare.

    Raises:
        UsageError: no query is named, or several are.
        SelectionError: something selected is not there.
        ModelError: the model has no attention, or could not be run.
        ExactnessError: what it gave are not attention weights.
    """
    if selection.query is None:
        raise UsageError("There is no query to explain", "Name a word of the text, or its position, with --query")
    plan = make_plan(source, replace(selection, special=True, sink=True, translation=False, view="query"))
    unit, *others = plan.chosen or ()
    words = list(dict.fromkeys(plan.queries.labels[one] for one in (unit, *others)))
    if len(words) > 1:
        raise UsageError(
            f"One query is explained at a time, and these are {len(words)}: {', '.join(map(quoted, words))}",
            "Name one of them",
        )
    pieces = plan.queries.token_positions(unit)
    query = pieces[-1]
    keys = key_tokens(source, plan.kind)
    best = _MostFocused(query)
    request = Request(heads={plan.kind: plan.heads}, queries={plan.kind: (query,)}, steps=True, verify=verify)
    report = source.stream(request, best)
    layer, head, found = best.result(len(keys), source.model.dtype)
    notes = [*report.notes]
    word = plan.queries.labels[unit]
    if others:
        notes.append(f"{word} stands there {1 + len(others)} times, and this is the first; {word}#2 is the second")
    if len(pieces) > 1:
        notes.append(
            f"{word} has {len(pieces)} pieces, and this is the last; --tokens --query {pieces[0]} names the first"
        )
    record = replace(Record.of(source, report, plan.selection), notes=tuple(notes))
    return Explained(found, plan, record, layer, head, query, _labels(keys), _places(plan.keys))


def _places(units: Units) -> tuple[int, ...]:
    """The number of each token's unit, none of which is hidden."""
    units = units.base or units
    return tuple(units.unit_of_token().tolist())


def _labels(side: Tokens) -> tuple[str, ...]:
    pieces = Counter(token.word for token in side.tokens)
    return tuple(
        token.piece if token.word is None or pieces[token.word] > 1 else side.words[token.word].text
        for token in side.tokens
    )


class _MostFocused:
    """A collector that keeps the block of the head whose row is most focused; the first of equals."""

    def __init__(self, query: int) -> None:
        self._query = query
        self._focus = -np.inf
        self._best: tuple[Block, int] | None = None

    def __call__(self, block: Block) -> None:
        row = self._query - block.start
        if not 0 <= row < len(block.visible):
            return
        seen = int(block.visible[row, 1] - block.visible[row, 0])
        focus = 1 - entropy(block.weights[:, row]) / np.log(max(seen, 2))
        head = int(focus.argmax())
        if focus[head] > self._focus:
            self._focus, self._best = float(focus[head]), (block, block.heads[head])

    def result(self, keys: int, dtype: str) -> tuple[int, int, Explanation]:
        """Layer and head, and their steps."""
        if self._best is None:
            raise ExactnessError(f"Row {self._query} was not streamed")
        block, head = self._best
        return block.layer, head, explain_row(block, head, self._query, keys, dtype)
