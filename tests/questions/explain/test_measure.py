"""Tests of the choice of the head whose row is explained, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

import attn_cli
from attn_cli.data.model import GuidedHead, ModelInfo, Stack
from attn_cli.data.plan import make_plan
from attn_cli.data.record import Record
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Block, Kind
from attn_cli.data.text import make_tokens
from attn_cli.data.units import Units
from attn_cli.questions.explain.measure import TrainedLink, _MostTelling, _trained_for, _trained_link

ROWS = {
    "one key": [0.0, 1.0, 0.0, 0.0, 0.0],
    "mostly one key": [0.0, 0.9, 0.1, 0.0, 0.0],
    "more even": [0.1, 0.6, 0.3, 0.0, 0.0],
    "the first": [0.94, 0.06, 0.0, 0.0, 0.0],
    "the query": [0.0, 0.06, 0.0, 0.94, 0.0],
    "the end": [0.0, 0.0, 0.06, 0.0, 0.94],
}
SPECIAL = [False] * 4 + [True]
TOKENS = make_tokens(
    "the kitten it", ["the", "kit", "ten", "it", "</s>"], [(0, 3), (4, 7), (7, 10), (11, 13), (0, 0)], SPECIAL
)
"""A word in two pieces, at 1 and 2."""


def chosen(kind: Kind, *names: str) -> tuple[str, bool]:
    """The row of token 3 that is kept, where every token is a unit."""
    name, tells = kept(kind, 3, "token", {name: ROWS[name] for name in names})
    return name, tells


def kept(kind: Kind, query: int, unit: Literal["word", "token"], rows: dict[str, list[float]]) -> tuple[str, bool]:
    """The row that is kept when each stands in a layer of its own, and when all are heads of one, and if it tells."""
    units = Units.of(TOKENS, unit)
    own = int(units.unit_of_token()[query])
    best, together = (_MostTelling(query, own, units, kind, kind == "cross") for _ in range(2))
    names = list(rows)
    visible = np.array([[0, 5]])
    weights = np.asarray([[row] for row in rows.values()], np.float32)
    for layer in range(len(names)):
        best(Block(kind, layer, (7,), query, weights[layer : layer + 1], visible))
    together(Block(kind, 0, tuple(range(len(names))), query, weights, visible))
    assert best._best is not None
    assert together._best is not None
    assert best._best[0].layer == together._best[1]
    assert best.tells == together.tells
    return names[together._best[1]], best.tells


def test_the_most_focused_row_with_more_than_one_key() -> None:
    assert chosen("encoder", *ROWS) == ("the first", True)
    assert chosen("encoder", "one key", "more even", "mostly one key") == ("mostly one key", True)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_rest_is_not_what_is_looked_for(kind: Kind) -> None:
    rest = ("the query", "the end", *(["the first"] if kind == "decoder" else []))
    assert chosen(kind, *rest, "mostly one key") == ("mostly one key", True)


def test_the_same_word_of_the_other_side_is_a_word() -> None:
    assert chosen("cross", "mostly one key", "the query") == ("the query", True)


def test_without_a_telling_row_the_most_focused_is_taken() -> None:
    assert chosen("decoder", "the end", "one key", "the query") == ("one key", False)


def test_pieces_of_the_query_are_no_other_word() -> None:
    rows = {"its own piece": [0.05, 0.9, 0.05, 0.0, 0.0], "another": [0.6, 0.1, 0.3, 0.0, 0.0]}
    assert kept("encoder", 2, "word", rows) == ("another", True)
    assert kept("encoder", 2, "token", rows) == ("its own piece", True)  # where every piece counts as a word
    assert kept("encoder", 2, "word", {"its own piece": rows["its own piece"]}) == ("its own piece", False)


def test_pieces_of_a_word_are_one_word_together() -> None:
    rows = {"a word alone": [0.0, 0.7, 0.3, 0.0, 0.0], "two words": [0.3, 0.3, 0.4, 0.0, 0.0]}
    assert kept("encoder", 3, "word", rows) == ("two words", True)
    more = {"the query": [0.0, 0.2, 0.2, 0.6, 0.0], "together": [0.0, 0.3, 0.3, 0.4, 0.0]}
    assert kept("encoder", 3, "word", more) == ("together", True)
    assert kept("cross", 3, "word", more) == ("the query", True)


def test_a_decoder_rests_on_its_first_word_whatever_its_pieces() -> None:
    tokens = make_tokens("kitten it", ["kit", "ten", "it"], [(0, 3), (3, 6), (7, 9)], [False] * 3)
    best = _MostTelling(2, 1, Units.of(tokens), "decoder", False)
    best(Block("decoder", 0, (0,), 2, np.array([[[0.3, 0.6, 0.1]]], np.float32), np.array([[0, 3]])))
    assert not best.tells


def test_keys_that_no_query_of_a_block_sees_may_be_cut_off() -> None:
    best = _MostTelling(1, 1, Units.of(TOKENS), "decoder", False)
    best(Block("decoder", 0, (0,), 1, np.array([[[0.6, 0.4]]], np.float32), np.array([[0, 2]])))
    assert not best.tells


def test_the_edge_to_try_is_to_the_word_with_the_most_weight_over_its_pieces() -> None:
    answer = attn_cli.load("toy").explain("My name is Kofi", query="name")
    assert list(answer.labels) == ["My", "name", "is", "▁K", "of", "i", "</s>"]
    weights = np.array([0.4, 0.0, 0.0, 0.2, 0.2, 0.2, 0.0], np.float32)
    suggestion = replace(answer, steps=replace(answer.steps, weights=weights)).suggestion
    assert suggestion is not None
    assert "name:Kofi" in suggestion.options


GUIDED = GuidedHead("encoder", 0, 1, "coreference", "from “it” to its noun", "a grammar")
OTHER = GuidedHead("encoder", 0, 0, "subject", "from a subject to its verb", "a grammar")


def trained(query: str, row: list[float], shown: list[float], choice: Selection | None = None) -> TrainedLink | None:
    """The link of the head trained for `it`, whose row this is over `the`, two pieces of `kitten`, `it` and the end."""
    model = ModelInfo("made-up", "made", {"encoder": Stack(1, {0: 2}, 2)}, "interface", guided=(OTHER, GUIDED))
    plan = make_plan(Record(model, TOKENS, None, ()), replace(choice or Selection(), view="query", query=query))
    (unit,) = plan.chosen or ()
    rows = [(one, np.array(row)) for one in _trained_for(plan, unit).values()]
    return _trained_link(rows, np.array(shown), plan, unit)


AT_THE_KITTEN, AT_THE = [0.4, 0.3, 0.3, 0.0, 0.0], [0.9, 0.0, 0.1, 0.0, 0.0]


def test_a_trained_head_that_looks_at_another_word_is_named() -> None:
    link = trained("it", AT_THE_KITTEN, AT_THE)
    assert link is not None
    assert (link.head, link.key) == (GUIDED, "kitten")
    assert link.weight == pytest.approx(0.6)


def test_a_trained_head_says_nothing_where_it_does_not_link_the_query_to_another_word() -> None:
    assert trained("it", AT_THE_KITTEN, AT_THE_KITTEN) is None
    assert trained("it", [0.0, 0.0, 0.0, 0.0, 1.0], AT_THE) is None  # it rests
    assert trained("it", [0.0, 0.0, 0.0, 1.0, 0.0], AT_THE) is None  # it looks at the query itself
    assert trained("kitten", AT_THE, AT_THE_KITTEN) is None  # it was trained for another query
    assert trained("it", AT_THE_KITTEN, AT_THE, Selection(head="0.0")) is None  # the user chose
    assert trained("it", AT_THE_KITTEN, AT_THE, Selection(layer="0")) is not None
