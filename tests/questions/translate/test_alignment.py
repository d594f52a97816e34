"""Alignments: answers worked out by hand, and what must hold for any map."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.errors import InputError
from attn_cli.measure.alignment import MutualWeight, strongest
from attn_cli.questions.translate.alignment import Gold, Score, parse_gold
from tests.samples import softmax

# Three target words over five source words.
MAP = np.array(
    [
        [0.7, 0.1, 0.1, 0.1, 0.0],
        [0.2, 0.1, 0.6, 0.1, 0.0],
        [0.1, 0.1, 0.5, 0.3, 0.0],
    ],
    np.float32,
)


def mutual_weight(weights: np.ndarray, rows: int = 2) -> float:
    """Of a whole map, given a few rows at a time."""
    mutual = MutualWeight(weights.shape[1])
    for first in range(0, len(weights), rows):
        mutual.add(weights[first : first + rows])
    return mutual.result


def test_strongest_by_hand() -> None:
    assert strongest(MAP).tolist() == [0, 2, 2]
    assert strongest(np.array([[0.4, 0.4, 0.2]], np.float32)).tolist() == [0]


def test_mutual_weight_by_hand() -> None:
    # Rows 0 and 1 are their columns' strongest, row 2 has to share its own: (0.7 + 0.6) / 3.
    assert mutual_weight(MAP) == pytest.approx(1.3 / 3)
    assert mutual_weight(np.eye(3, 5, dtype=np.float32)[[1, 0, 2]]) == 1
    assert mutual_weight(np.full((3, 5), 0.2, np.float32)) == pytest.approx(0.2 / 3)
    assert mutual_weight(np.zeros((0, 5), np.float32)) == 0
    assert mutual_weight(np.zeros((3, 0), np.float32)) == 0


MAPS = st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(0, 99)).map(
    lambda drawn: softmax(np.random.default_rng(drawn[2]).normal(scale=3, size=drawn[:2])).astype(np.float32)
)


@given(MAPS)
def test_mutual_weight_of_any_map(weights: np.ndarray) -> None:
    found = mutual_weight(weights)
    assert 0 < found <= 1  # the largest weight of all is the strongest of its row and of its column
    assert found <= min(weights.shape) / len(weights) + 1e-6
    assert mutual_weight(weights, 1) == mutual_weight(weights, 7) == found
    pairs = [(row, int(keys.argmax())) for row, keys in enumerate(weights)]
    mutual = [float(weights[row, key]) for row, key in pairs if weights[:, key].argmax() == row]
    assert found == pytest.approx(sum(mutual) / len(weights))
    order = np.random.default_rng(0).permutation(weights.shape[1])
    assert mutual_weight(weights[:, order]) == pytest.approx(found, abs=1e-6)


def test_gold_as_people_write_it() -> None:
    gold = parse_gold(" 0-0  4p3 2-1\t4?5 ")
    assert gold.sure == {(0, 0), (2, 1)}
    assert gold.possible == {(0, 0), (2, 1), (4, 3), (4, 5)}
    assert parse_gold("") == Gold(frozenset(), frozenset())


@pytest.mark.parametrize("text", ["0", "0-", "-1-2", "1-2-3", "a-b", "0–1", "0:1", "٣-٣"])
def test_what_is_no_link(text: str) -> None:
    with pytest.raises(InputError, match="is not a link"):
        parse_gold(f"0-0 {text}")


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
