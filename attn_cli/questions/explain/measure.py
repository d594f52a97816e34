"""Choice of the query and the head to explain in a text, and their steps (see `explain.steps`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from attn_cli.answer import Answer
from attn_cli.data.model import GuidedHead
from attn_cli.data.plan import Plan, make_plan, name_head
from attn_cli.data.record import Record
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block, Request, Source, key_tokens, query_tokens
from attn_cli.data.suggestion import Suggestion, suggest, typed_name
from attn_cli.data.text import Tokens
from attn_cli.data.units import Units
from attn_cli.data.without import typed_without
from attn_cli.errors import ExactnessError, UsageError, quoted
from attn_cli.io.csv import Cell
from attn_cli.measure.summary import entropy
from attn_cli.measure.telling import PRONOUN, looks_at_words, resting
from attn_cli.questions.explain.steps import PARTS, Explanation, explain_row

__all__ = ["Explained", "ExplainedNumbers", "TrainedLink", "explain"]

COLUMNS = ("key_text", "query_key", *PARTS, "score", "exponential", "weight", "value_norm", "share")
"""Columns of every table of steps."""
SEEN = 0.05
"""Least weight at which two words of a row can be told apart at a glance."""


@dataclass(frozen=True, slots=True)
class TrainedLink:
    """The word that a head gives most of the query's row, if it was trained to look from such a query."""

    head: GuidedHead
    key: str
    """Label of the word."""
    weight: float


@dataclass(frozen=True, eq=False, repr=False)
class Explained(Answer):
    """The answer of `attn explain`: the steps of one query of a text in one head."""

    steps: Explanation
    plan: Plan
    record: Record
    """Model, texts and selection, without maps."""
    layer: int
    head: int
    query: int
    """Position of the token whose row this is."""
    labels: tuple[str, ...]
    """Label of each key: the word if it is one token, else the piece."""
    places: tuple[int, ...]
    """Number by which a user refers to each key: that of its word, or with `--tokens` that of its token."""
    tells: bool
    """True if a word other than the query has the largest weight and another is seen beside it (see `explain`)."""
    trained: TrainedLink | None = None
    """The link of a head that was trained for this query and looks at another word than the head that was chosen."""
    everything: bool = False
    """True to show all keys, even if the screen is too low for them."""
    vectors: bool = False
    """True to draw the values of the weighted sum."""

    columns = ("kind", "layer", "head", "query", "query_token", "query_text", "key", "key_token", *COLUMNS)

    @property
    def title(self) -> str:
        return self.record.source.name

    @property
    def without(self) -> str:
        return typed_without(self.record.model.without)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        return self.record.notes

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        return self.record.model.guided_among([(self.plan.kind, self.layer, self.head)])

    @property
    def suggestion(self) -> Suggestion | None:
        keys = self.plan.keys.base or self.plan.keys
        strongest, _ = _strongest(self.steps.weights, keys.unit_of_token())
        if self.plan.crosses or not self.chosen or keys.special[strongest] or strongest == self.place:
            return None
        edge = f"{typed_name(self.plan.queries.base or self.plan.queries, self.place)}:{typed_name(keys, strongest)}"
        return suggest(self.record, "ablate", "--edge", edge, "--head", name_head(self.layer, self.head))

    @property
    def chosen(self) -> bool:
        """True if the head was chosen here among several."""
        return self.plan.head_count > 1

    @property
    def place(self) -> int:
        """Number by which a user refers to the query, as in `places`."""
        return _places(self.plan.queries)[self.query]

    @property
    def query_label(self) -> str:
        """Label of the query."""
        return _labels(query_tokens(self.plan.source, self.plan.kind, self.plan.rows))[self.query]

    def rows(self) -> Iterator[Sequence[Cell]]:
        front = (self.plan.kind, self.layer, self.head, self.place, self.query, self.query_label)
        rows = zip(self.places, _rows(self.steps, self.labels), strict=True)
        return ((*front, place, *row) for place, row in rows)


@dataclass(frozen=True, eq=False, repr=False)
class ExplainedNumbers(Answer):
    """The answer of `attn explain --scores`: the steps of plain numbers, with no model to describe."""

    steps: Explanation
    labels: Sequence[str]
    """Labels of the keys."""
    everything: bool = False
    """True to show all keys, even if the screen is too low for them."""
    vectors: bool = False
    """True to draw the values of the weighted sum."""

    title = ""
    columns = ("key", *COLUMNS)

    @property
    def places(self) -> range:
        """Number of each key."""
        return range(len(self.labels))

    def rows(self) -> Iterator[Sequence[Cell]]:
        return _rows(self.steps, self.labels)


def _rows(steps: Explanation, labels: Sequence[str]) -> Iterator[Sequence[Cell]]:
    """Yield a row for each key, from its index on."""
    nothing = np.full(len(labels), np.nan)
    columns = [
        nothing if steps.products is None else steps.products,
        *(steps.parts.get(name, nothing) for name in PARTS),
        steps.scores,
        steps.exponentials,
        steps.weights,
        nothing if steps.context is None else steps.context.value_norms,
        nothing if steps.context is None else steps.context.shares,
    ]
    for index, text in enumerate(labels):
        yield (index, text, *(float(column[index]) for column in columns))


def explain(source: Source, selection: Selection, *, verify: bool = False) -> Explained:
    """Explain one query in the selected head, or in the one of the selected heads whose row shows most.

    That is the most focused (see `HeadSummary.focus`) of those in which a word other than the query itself has the
    largest weight, all its pieces together, and another at least `SEEN`; the most focused of all if there is none.
    Special tokens, and a decoder's first word, count as no words, since heads rest there.

    Args:
        source: a text prepared for a model.
        selection: the query and the heads. Of a word that occurs several times, the first occurrence is taken; of a
            word with several pieces, or a name that covers several words, the last piece, for which a decoder has
            read all of it.
        verify: also run the model without attn and compare.

    Raises:
        UsageError: no query is named, or several are.
        SelectionError: something selected does not exist.
        ModelError: the model has no attention, or could not be run.
        ExactnessError: the model did not return valid attention weights.
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
    keys = key_tokens(source, plan.kind)  # all that the steps read, which the row is over
    best = _MostTelling(query, _places(plan.queries)[query], plan.keys.base or plan.keys, plan.kind, plan.crosses)
    trained = _TrainedRows(query, _trained_for(plan, unit), len(keys))

    def eat(block: Block) -> None:
        best(block)
        trained(block)

    request = Request(heads={plan.kind: plan.heads}, queries={plan.kind: (query,)}, steps=True, verify=verify)
    report = source.stream(request, eat)
    layer, head, found = best.result(len(keys), source.model.dtype)
    notes = [*report.notes]
    word = plan.queries.labels[unit]
    if others:
        notes.append(f"{word} appears {1 + len(others)} times, and this is the first; {word}#2 is the second")
    if len(pieces) > 1:
        notes.append(
            f"{word} has {len(pieces)} pieces, and this is the last; --tokens --query {pieces[0]} names the first"
        )
    record = replace(Record.of(source, report, plan.selection), notes=tuple(notes))
    return Explained(
        steps=found,
        plan=plan,
        record=record,
        layer=layer,
        head=head,
        query=query,
        labels=_labels(keys),
        places=_places(plan.keys),
        tells=best.tells,
        trained=_trained_link(trained.rows, found.weights, plan, unit),
    )


def _trained_for(plan: Plan, unit: int) -> Mapping[tuple[int, int], GuidedHead]:
    """Return the heads that were trained to look from a query like this one; none if the user chose the heads."""
    if plan.selection.head is not None or not PRONOUN.fullmatch(plan.queries.read_as[unit] or ""):
        return {}
    guided = plan.source.model.guided_among(plan.places)
    return {(one.layer, one.head): one for one in guided if one.role == "coreference"}


def _trained_link(
    rows: Sequence[tuple[GuidedHead, Float[np.ndarray, "key"]]],
    chosen: Float[np.ndarray, "key"],
    plan: Plan,
    unit: int,
) -> TrainedLink | None:
    """Return the strongest link of the heads that were trained for the query; None if it is not another word.

    Args:
        rows: the heads, and the query's row in each.
        chosen: the row in the head that is explained.
        plan: the plan of the rows.
        unit: index of the query.
    """
    keys = plan.keys.base or plan.keys
    units = keys.unit_of_token()
    links = [(head, *_strongest(row, units)) for head, row in rows]
    resting_or_chosen = {unit, _strongest(chosen, units)[0], *np.flatnonzero(keys.special).tolist()}
    others = [
        TrainedLink(head, keys.labels[key], weight) for head, key, weight in links if key not in resting_or_chosen
    ]
    return max(others, key=lambda link: link.weight, default=None)


def _strongest(row: Float[np.ndarray, "key"], units: Int[np.ndarray, "key"]) -> tuple[int, float]:
    """Return the unit with most of a row's weight, and its weight, over all of its tokens."""
    sums = np.bincount(units, row)
    return int(sums.argmax()), float(sums.max())


def _places(units: Units) -> tuple[int, ...]:
    """Return the number of each token's unit before joining; no unit may be hidden."""
    units = units.base or units
    return tuple(units.unit_of_token().tolist())


def _labels(side: Tokens) -> tuple[str, ...]:
    pieces = Counter(token.word for token in side.tokens)
    return tuple(
        token.piece if token.word is None or pieces[token.word] > 1 else side.words[token.word].text
        for token in side.tokens
    )


class _MostTelling:
    """Collector that keeps the block of the head whose row shows most (see `explain`); of equals, the first.

    Args:
        query: position of the token whose row it is.
        unit: the unit of this token.
        keys: the units of the keys, none of them joined.
        kind: the kind of attention.
        crosses: True if no key is the query itself (`Plan.crosses`).
    """

    def __init__(self, query: int, unit: int, keys: Units, kind: Kind, crosses: bool) -> None:
        self._query, self._unit = query, unit
        self._starts = keys.starts
        self._rests = resting([keys.side.tokens[start].special for start in keys.starts.tolist()], kind)
        self._crosses = crosses
        self._rank = (False, -np.inf)
        self._best: tuple[Block, int] | None = None

    def __call__(self, block: Block) -> None:
        row = self._query - block.start
        if not 0 <= row < len(block.visible):
            return
        seen = int(block.visible[row, 1] - block.visible[row, 0])
        weights = block.weights[:, row]
        rest = weights.sum(axis=-1, keepdims=True)  # less than 1 where a learned sink takes a share
        spread = entropy(np.divide(weights, rest, out=np.zeros_like(weights), where=rest > 0))
        focus = 1 - spread / np.log(max(seen, 2))
        sums = np.add.reduceat(weights, self._starts[self._starts < weights.shape[-1]], axis=-1)
        told_apart = (sums >= SEEN).sum(axis=-1) > 1
        strongest = sums.argmax(axis=-1, keepdims=True)
        words = looks_at_words(strongest, np.array([self._unit]), self._rests, crosses=self._crosses)
        telling = told_apart & words[:, 0]
        head = max(range(len(focus)), key=lambda one: (telling[one], focus[one]))
        rank = (bool(telling[head]), float(focus[head]))
        if rank > self._rank:
            self._rank, self._best = rank, (block, block.heads[head])

    @property
    def tells(self) -> bool:
        """True if the row that was kept shows more than where a head rests."""
        return self._rank[0]

    def result(self, keys: int, dtype: str) -> tuple[int, int, Explanation]:
        """Return the layer, the head, and their steps."""
        if self._best is None:
            raise ExactnessError(f"Row {self._query} was not streamed")
        block, head = self._best
        return block.layer, head, explain_row(block, head, self._query, keys, dtype)


class _TrainedRows:
    """Collector of the query's row in some heads that were trained for it."""

    def __init__(self, query: int, heads: Mapping[tuple[int, int], GuidedHead], keys: int) -> None:
        self._query, self._heads, self._keys = query, heads, keys
        self.rows: list[tuple[GuidedHead, Float[np.ndarray, "key"]]] = []

    def __call__(self, block: Block) -> None:
        place = self._query - block.start
        if not 0 <= place < len(block.visible):
            return
        for index, head in enumerate(block.heads):
            guided = self._heads.get((block.layer, head))
            if guided is not None:
                row = np.zeros(self._keys)
                row[: block.weights.shape[-1]] = block.weights[index, place]
                self.rows.append((guided, row))
