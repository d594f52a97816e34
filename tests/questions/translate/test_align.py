"""Word links of a hand-made record, between words as aligners' tools count them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.model import Alignment, ModelInfo, Stack
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.selection import Selection
from attn_cli.data.text import Tokens, at_spaces, make_tokens, spaced_words
from attn_cli.errors import ModelError
from attn_cli.questions.translate.align import Gold, Score, align
from attn_cli.questions.translate.gold import parse_gold

SOURCE = make_tokens(
    "It's the  cat.",
    ["[CLS]", "it", "'", "s", "the", "cat", ".", "[SEP]"],
    [(0, 0), (0, 2), (2, 3), (3, 4), (5, 8), (10, 13), (13, 14), (0, 0)],
    [True, False, False, False, False, False, False, True],
)
TARGET = make_tokens(
    "C'est lui !",
    ["<s>", "C", "'", "est", "lui", " !", "</s>"],
    [(0, 0), (0, 1), (1, 2), (2, 5), (6, 9), (9, 11), (0, 0)],
    [True, False, False, False, False, False, True],
)


def record(rows: list[list[float]], *others: list[list[float]], alignment: Alignment | None = None) -> Record:
    """One layer whose heads have these rows: six steps over eight source tokens."""
    weights = np.asarray([rows, *others], np.float32)
    count = len(weights)
    stacks = {"cross": Stack(1, {0: count}, count), "encoder": Stack(1, {0: count}, count)}
    return Record(
        model=ModelInfo("hand-made", "marian", stacks, "interface", alignment=alignment),  # type: ignore[arg-type]
        source=SOURCE,
        target=TARGET,
        maps=(AttentionMap("cross", 0, tuple(range(count)), tuple(range(6)), weights, np.tile([0, 8], (6, 1))),),
    )


def row(**weights: float) -> list[float]:
    """A row with these weights, by piece; the rest goes to the separator, which nothing is linked to."""
    pieces = [token.piece for token in SOURCE.tokens]
    values = [weights.get(piece, 0.0) for piece in pieces]
    values[-1] = 1 - sum(values)
    return values


# Steps read <s> C ' est lui ! and write C ' est lui ! </s>.
ROWS = [
    row(s=0.3, cat=0.4),
    row(it=0.5, cat=0.3),
    row(it=0.1, cat=0.3),
    row(s=0.4),
    row(cat=0.2, the=0.1),
    row(the=0.9),
]


def test_words_between_spaces() -> None:
    assert spaced_words("a  b\tc\u00a0d ") == [(0, 1), (3, 4), (5, 8)]  # a hard space is a letter of its word
    assert [word.text for word in SOURCE.words] == ["It's", "the", "cat", "."]
    assert [word.text for word in at_spaces(SOURCE).words] == ["It's", "the", "cat."]
    assert [word.text for word in at_spaces(TARGET).words] == ["C'est", "lui", "!"]
    assert at_spaces(at_spaces(SOURCE)) == at_spaces(SOURCE)


def test_links_at_the_step_that_reads_a_word() -> None:
    found = align(record(ROWS), Selection(rows="input"))
    # C'est: the mean of steps 1 to 3: It's (.5 + .1 + .4) / 3, cat (.3 + .3) / 3.
    assert [(link.source, link.target) for link in found.links] == [(0, 0), (2, 1), (1, 2)]
    assert [round(link.weight, 4) for link in found.links] == [0.3333, 0.2, 0.9]
    assert found.how == "Weights of head 0.0, input rows"
    assert (found.source_words, found.target_words, found.rows) == (3, 3, "input")


def test_links_at_the_step_that_writes_a_word() -> None:
    found = align(record(ROWS), Selection(rows="output"))
    # C'est: steps 0 to 2: It's (.3 + .5 + .1) / 3, cat (.4 + .3 + .3) / 3.
    assert [(link.source, link.target) for link in found.links] == [(2, 0), (0, 1), (2, 2)]
    assert [round(link.weight, 4) for link in found.links] == [0.3333, 0.4, 0.2]
    assert found.how == "Weights of head 0.0, output rows"


def test_the_heads_that_are_declared_chosen_or_pair_words_best() -> None:
    even = [row(it=0.1, s=0.1, the=0.1, cat=0.1)] * 6
    declared = Alignment(0, (1,), "output", "Found so on paper.")
    assert align(record(even, ROWS), Selection()).how == "Weights of head 0.1, input rows"
    assert align(record(even, ROWS, alignment=declared), Selection()).how == "Weights of head 0.1, output rows"
    chosen = align(record(ROWS, even), Selection(head="1"))
    assert chosen.how == "Weights of head 0.1, input rows"
    both = align(record(ROWS, even), Selection(layer="0"))
    assert both.how == "Mean weight of 2 heads, layer 0, input rows"
    assert both.links[2].weight == pytest.approx((0.9 + 0.1) / 2)


def test_a_piece_that_spans_two_words_is_both() -> None:
    target = make_tokens("a b", ["<s>", "a b", "</s>"], [(0, 0), (0, 3), (0, 0)], [True, False, True])
    two = replace(record(ROWS), maps=(), target=target)
    (map_,) = record(ROWS).maps
    short = replace(map_, queries=(0, 1), weights=map_.weights[:, :2], visible=map_.visible[:2])
    found = align(replace(two, maps=(short,)), Selection(rows="input"))
    assert [(link.source, link.target) for link in found.links] == [(0, 0), (0, 1)]


def test_what_cannot_be_linked() -> None:
    lost = Tokens("a b", *at_lost())
    with pytest.raises(ModelError, match="does not say where its pieces stand"):
        align(replace(record(ROWS), maps=(), source=lost), Selection())
    bare = replace(record(ROWS), maps=(), model=ModelInfo("rnn", "toy-rnn", {}, "numpy", bottleneck=17))
    with pytest.raises(ModelError, match="through one vector of 17 numbers"):
        align(bare, Selection())


def at_lost() -> tuple[tuple, tuple]:  # type: ignore[type-arg]
    """Tokens and words of a tokenizer that knows no places."""
    made = make_tokens("a b", ["a", "b"], [(0, 0), (0, 0)], [False, False])
    return made.tokens, made.words


def test_error_rate_by_hand() -> None:
    # Och and Ney 2003: |A| = 4, |A and S| = 1, |A and P| = 3, |S| = 2, so 1 - (1 + 3) / (4 + 2).
    score = Score.of([(0, 0), (1, 1), (2, 2), (5, 5)], parse_gold("0-0 3-3 1p1 2p2"))
    assert (score.found, score.found_sure, score.found_possible, score.sure) == (4, 1, 3, 2)
    assert score.error_rate == pytest.approx(1 / 3)
    assert score.precision == 3 / 4
    assert score.recall == 1 / 2
    # The error rate of a corpus is that of its sums, and no mean of rates.
    more = score + Score.of([(0, 0)], parse_gold("0-0"))
    assert more.error_rate == pytest.approx(1 - (2 + 4) / (5 + 3))


def test_scores_of_nothing() -> None:
    assert math.isnan(Score(0, 0, 0, 0).error_rate)
    nothing = Score.of([], parse_gold("0-0"))
    assert math.isnan(nothing.precision)
    assert (nothing.recall, nothing.error_rate) == (0, 1)
    assert math.isnan(Score.of([(0, 0)], parse_gold("0p0")).recall)
    assert Score.of([(0, 0)], parse_gold("0p0")).error_rate == 0


LINKS = st.sets(st.tuples(st.integers(0, 4), st.integers(0, 6)))


@given(LINKS, LINKS, LINKS)
def test_scores_of_any_links(
    found: set[tuple[int, int]], sure: set[tuple[int, int]], rest: set[tuple[int, int]]
) -> None:
    score = Score.of(found, Gold(frozenset(sure), frozenset(sure | rest)))
    if found or sure:
        assert 0 <= score.error_rate <= 1
        assert (score.error_rate == 0) == (sure <= found <= sure | rest)
    if found and sure and not rest:
        # Without possible links, it is one minus the harmonic mean of precision and recall.
        harmonic = 2 * len(found & sure) / (len(found) + len(sure))
        assert score.error_rate == pytest.approx(1 - harmonic)
