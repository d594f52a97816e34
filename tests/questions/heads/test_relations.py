"""Tests of the heads that find grammatical relations, worked out by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.stream import Block
from attn_cli.questions.heads.relations import CollectRelations, Dependency, RelationScore, best, margin
from attn_cli.questions.heads.roles import FEWEST_CASES
from tests.questions.heads.test_scores import whole
from tests.samples import softmax


def scores_of(collect: CollectRelations) -> dict[tuple[str, str, int], RelationScore]:
    return {(score.relation, score.way, score.head): score for score in collect.result()}


def test_both_ways_by_hand() -> None:
    # "the old cat sleeps": the → cat, old → cat, cat → sleeps.
    links = [Dependency(0, 2, "det"), Dependency(1, 2, "amod"), Dependency(2, 3, "nsubj")]
    weights = np.asarray(
        [
            # Rows look mostly at themselves, which does not count; the → cat and old → cat, but cat → old.
            [[0.6, 0.1, 0.2, 0.1], [0.1, 0.7, 0.15, 0.05], [0.1, 0.5, 0.1, 0.3], [0.1, 0.1, 0.1, 0.7]],
            # Of this head's columns, the is given most by cat, old by cat, and cat by sleeps.
            [[0.1, 0.3, 0.1, 0.5], [0.2, 0.3, 0.1, 0.4], [0.4, 0.4, 0.1, 0.1], [0.1, 0.2, 0.6, 0.1]],
        ]
    )
    collect = CollectRelations()
    collect.turn(4, links)
    collect(whole(weights))
    found = scores_of(collect)
    assert [found[name, "to head", 0].accuracy for name in ("det", "amod", "nsubj")] == [1, 1, 0]
    assert [found[name, "from head", 1].accuracy for name in ("det", "amod", "nsubj")] == [1, 1, 1]
    assert [found[name, "to head", 1].accuracy for name in ("det", "amod", "nsubj")] == [0, 0, 0]
    assert (found["det", "to head", 0].offset, found["det", "to head", 0].baseline) == (2, 1)


def test_the_baseline_is_the_best_fixed_offset() -> None:
    collect = CollectRelations()
    for offsets in ((1, 1, 2), (1, -1, 2), (2,)):
        collect.turn(
            5, [Dependency(1 if offset > 0 else 3, 1 + offset if offset > 0 else 2, "obj") for offset in offsets]
        )
        collect(whole(softmax(np.zeros((1, 5, 5)))))
    score = scores_of(collect)["obj", "to head", 0]
    assert (score.count, score.offset) == (7, 1)
    assert score.baseline == pytest.approx(3 / 7)


def test_a_decoder_is_asked_only_what_it_can_see() -> None:
    collect = CollectRelations()
    collect.turn(3, [Dependency(0, 1, "det"), Dependency(2, 1, "obj")])
    weights = np.asarray([[[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.5, 0.3]]])
    collect(whole(weights, "decoder", causal=True))
    found = scores_of(collect)
    assert set(found) == {("det", "from head", 0), ("obj", "to head", 0)}
    assert {score.accuracy for score in found.values()} == {1}


def test_blocks_of_rows_are_put_together() -> None:
    weights = softmax(np.random.default_rng(5).normal(size=(3, 7, 7)))
    links = [Dependency(row, (row * 3 + 1) % 7, "dep") for row in range(7) if (row * 3 + 1) % 7 != row]
    once, twice = CollectRelations(), CollectRelations()
    for collect in (once, twice):
        collect.turn(7, links)
    block = whole(weights)
    once(block)
    for rows in (slice(0, 4), slice(4, 7)):
        twice(Block("encoder", 0, (0, 1, 2), rows.start, block.weights[:, rows], block.visible[rows]))
    assert once.result() == twice.result()


@given(words=st.integers(2, 11), seed=st.integers(0, 99))
def test_any_tree_against_a_reading_a_word_at_a_time(words: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = softmax(rng.normal(size=(2, words, words))).astype(np.float32)
    links = [Dependency(row, int(rng.integers(words)), "ab"[row % 2]) for row in range(words)]
    links = [link for link in links if link.head != link.dependent]
    collect = CollectRelations()
    collect.turn(words, links)
    collect(whole(weights))
    right: Counter[tuple[str, str, int]] = Counter()
    for head in (0, 1):
        for link in links:
            others = [word for word in range(words) if word != link.dependent]
            row = max(others, key=lambda word: weights[head, link.dependent, word])
            column = max(others, key=lambda word: weights[head, word, link.dependent])
            right[link.relation, "to head", head] += row == link.head
            right[link.relation, "from head", head] += column == link.head
    found = scores_of(collect)
    assert {place: round(score.accuracy * score.count) for place, score in found.items()} == {
        place: right[place] for place in found
    }


def test_a_role_needs_many_cases_and_a_margin() -> None:
    def score(accuracy: float, count: int) -> RelationScore:
        return RelationScore("obj", "to head", 2, 3, count, accuracy, 1, 0.5)

    assert margin(0.8, 100) == pytest.approx(0.12)
    assert score(0.8, 100).role.given
    assert not score(0.6, 100).role.given
    assert score(0.6, 1000).role.given
    assert not score(1.0, FEWEST_CASES - 1).role.given
    assert score(0.8, 100).role.name == "obj → head"
    assert RelationScore("obj", "from head", 2, 3, 100, 0.8, 1, 0.5).role.name == "head → obj"


def test_best_heads_and_the_most_frequent_relations_first() -> None:
    scores = [
        RelationScore("obj", "to head", 0, 0, 7, 0.2, 1, 0.1),
        RelationScore("obj", "to head", 0, 1, 7, 0.6, 1, 0.1),
        RelationScore("det", "to head", 0, 0, 11, 0.4, 1, 0.1),
    ]
    assert [(one.relation, one.head) for one in best(scores).values()] == [("det", 0), ("obj", 1)]
