"""Tests of the scores of roles, held against answers worked out by hand and against a slow reference."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block
from attn_cli.data.units import Units
from attn_cli.questions.heads import command
from attn_cli.questions.heads.draw import FIGURES
from attn_cli.questions.heads.roles import EVERY_ROLE, FEWEST, OFFSET, ROLES, Role, find_role
from attn_cli.questions.heads.scores import CollectRoles, RoleScore
from tests.samples import softmax

Maps = Float[np.ndarray, "head query key"]


def units(*labels: str, special: tuple[int, ...] = (), shows_first: bool = True) -> Units:
    hidden = 0 if shows_first else 1
    return Units(
        labels=labels,
        special=tuple(index in special for index in range(len(labels))),
        starts=np.arange(len(labels) + hidden),
        shown=np.asarray([False] * hidden + [True] * len(labels)),
        tokens=len(labels) + hidden,
    )


def whole(weights: Maps, kind: Kind = "encoder", *, layer: int = 0, causal: bool = False) -> Block:
    heads, rows, keys = weights.shape
    stops = np.arange(1, rows + 1) if causal else np.full(rows, keys)
    visible = np.stack([np.zeros_like(stops), stops], axis=1)
    return Block(kind, layer, tuple(range(heads)), 0, weights.astype(np.float32), visible)


def scores(
    weights: Maps, queries: Units, keys: Units | None = None, kind: Kind = "encoder", *, causal: bool = False
) -> dict[str, RoleScore]:
    """Return the scores of the first head of the first layer, by role."""
    collect = CollectRoles()
    collect.turn([(queries, keys or queries)], kind)
    collect(whole(weights, kind, causal=causal))
    return {score.role.name: score for score in collect.result[kind, 0, 0]}


def looking(rows: int, keys: int, at: dict[int, int], otherwise: int = 0) -> Maps:
    """One head that looks at one key from each row."""
    weights = np.zeros((1, rows, keys), np.float32)
    for row in range(rows):
        weights[0, row, at.get(row, otherwise)] = 1
    return weights


def test_previous_token_of_the_four_by_four_map() -> None:
    rows = [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.2, 0.3, 0.5, 0], [0.1, 0.15, 0.5, 0.25]]
    found = scores(np.asarray([rows]), units("a", "b", "c", "d"), kind="decoder", causal=True)["previous"]
    assert found.rows == 3
    assert found.score == pytest.approx((0.5 + 0.3 + 0.5) / 3)
    assert found.share == pytest.approx(0.325)
    # Without the first token and the diagonal: 0.3 and 0.5 of 0.3, 0.15 and 0.5.
    assert found.rest == pytest.approx(0.842, abs=5e-4)
    # An even row gives 1/2, 1/3 and 1/4.
    assert found.baseline == pytest.approx(13 / 36)
    assert not found.given


@pytest.mark.parametrize(("role", "by"), [("previous", -1), ("next", 1), ("self", 0)])
def test_positional_roles(role: str, by: int) -> None:
    tokens = units(*"abcdefg")
    at = {row: row + by for row in range(7) if 0 <= row + by < 7}
    found = scores(looking(7, 7, at, otherwise=3), tokens)
    assert found[role].score == 1
    assert found[role].rows == len(at)
    assert found[role].given
    assert found["offset"].detail == {"previous": "-1", "next": "+1", "self": "0"}[role]


def test_first_and_separator() -> None:
    tokens = units("[CLS]", "one", ",", "two", "!?", "three", "[SEP]", special=(0, 6))
    weights = np.zeros((2, 7, 7), np.float32)
    weights[0, :, 0] = 1
    weights[1, :, [2, 4, 6]] = np.asarray([[0.5], [0.2], [0.1]])
    weights[1, :, 0] = 0.2
    collect = CollectRoles()
    collect.turn([(tokens, tokens)], "encoder")
    collect(whole(weights))
    sink, punctuation = ({score.role.name: score for score in collect.result["encoder", 0, head]} for head in (0, 1))
    assert sink["first"].score == 1
    assert sink["first"].baseline == pytest.approx(1 / 7)
    assert sink["separator"].score == 0
    assert punctuation["separator"].score == pytest.approx(0.8)
    assert punctuation["separator"].baseline == pytest.approx(3 / 7)
    assert punctuation["separator"].rows == 7


def test_the_first_token_may_be_hidden() -> None:
    tokens = units("one", "two", "three", shows_first=False)
    found = scores(looking(3, 3, {}), tokens)
    assert found["first"].rows == 0
    assert np.isnan(found["first"].score)
    assert not found["first"].given


def test_repeated_words() -> None:
    # "The cat. the dog, THE end": the same word whatever its case; punctuation and special tokens are no words.
    tokens = units("[CLS]", "The", "cat", ".", "the", "dog", ".", "THE", "end", "[CLS]", special=(0, 9))
    duplicate = scores(looking(10, 10, {4: 1, 7: 4}), tokens)
    assert (duplicate["previous occurrence"].rows, duplicate["previous occurrence"].score) == (2, 1)
    assert duplicate["same word"].rows == 3
    assert duplicate["same word"].score == pytest.approx(2 / 3)
    assert duplicate["same word"].baseline == pytest.approx(2 / 10)
    induction = scores(looking(10, 10, {4: 2, 7: 5}), tokens)
    assert (induction["induction"].rows, induction["induction"].score) == (2, 1)
    assert induction["previous occurrence"].score == 0
    assert not induction["induction"].given, f"two rows are fewer than {FEWEST}"


def test_a_word_that_follows_itself_has_no_induction_target() -> None:
    found = scores(looking(3, 3, {1: 0, 2: 1}), units("no", "no", "no"))
    assert found["induction"].rows == 0
    assert (found["previous occurrence"].rows, found["previous occurrence"].score) == (2, 1)


def test_repeated_sequence_makes_induction() -> None:
    words = ["red", "fox", "jumps", "over", "lazy", "dog"]
    tokens = units(*words, *words)
    found = scores(looking(12, 12, {row: row - 5 for row in range(6, 12)}), tokens, kind="decoder", causal=True)
    assert found["induction"].score == 1
    assert found["induction"].given
    assert found["induction"].rows == 6


def test_offset_of_the_strongest_key() -> None:
    tokens = units(*(f"w{index}" for index in range(20)))
    at = {row: row - 3 for row in range(3, 20)}
    found = scores(looking(20, 20, at), tokens)["offset"]
    # Rows 0 to 2 look at the first word: none of them at offset -3.
    assert (found.detail, found.rows) == ("-3", 20)
    assert found.score == pytest.approx(17 / 20)
    assert not found.given
    assert found.baseline == pytest.approx(1 / 20)
    assert scores(looking(20, 20, at | {1: 4, 2: 5}), tokens)["offset"].given is False
    assert OFFSET.threshold == 0.9


def test_cross_attention_knows_no_positions() -> None:
    queries, keys = units("chat", "Paris", "."), units("cat", "paris", ".", "</s>", special=(3,))
    collect = CollectRoles()
    collect.turn([(queries, keys)], "cross")
    collect(whole(looking(3, 4, {0: 0, 1: 1, 2: 3}), "cross"))
    found = {score.role.name: score for score in collect.result["cross", 0, 0]}
    assert set(found) == {"first", "separator", "same word"}
    assert (found["same word"].rows, found["same word"].score) == (1, 1)
    assert found["separator"].score == pytest.approx(1 / 3)


def test_in_cross_attention_no_key_is_the_rows_own() -> None:
    """Five rows and seven keys: a key with a row's number is a key like any other."""
    queries = units("le", "chat", ",", "Paris", "fin")
    keys = units("x", "chat", "y", "Paris", ".", "z", "</s>", special=(6,))
    weights = np.tile([0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1], (1, 5, 1))
    found = scores(weights, queries, keys, "cross")
    # chat → chat 0.2 and Paris → Paris 0.1, of the 0.7 that each of both rows leaves for keys after the first.
    assert found["same word"].rest == pytest.approx((0.2 + 0.1) / (2 * 0.7))
    # The full stop and the last token of each row.
    assert found["separator"].rest == pytest.approx(5 * 0.2 / (5 * 0.7))
    assert found["first"].rest is None
    # The same numbers in self-attention: a row's own key is left out on both sides.
    alike = units("le", ".", "le", "Paris", "Paris")
    own = scores(weights[:, :, :5], alike)
    # le → le 0.1 of 0.5 - 0.1; Paris → Paris 0.1 each of 0.5 - 0.1. The first row's 0.1 is of 0.5, its own being first.
    assert own["same word"].rest == pytest.approx((0.1 + 0.1 + 0.1) / (0.5 + 0.4 + 0.4 + 0.4))


def test_texts_add_up() -> None:
    rng = np.random.default_rng(3)
    collect = CollectRoles()
    parts = []
    for size in (5, 11, 7):
        tokens = units(*(f"w{index % 4}" for index in range(size)))
        weights = softmax(rng.normal(size=(2, size, size)).astype(np.float32))
        collect.turn([(tokens, tokens)], "encoder")
        collect(whole(weights))
        parts.append(scores(weights, tokens))
    total = {score.role.name: score for score in collect.result["encoder", 0, 0]}
    for name in ("previous", "first", "same word", "previous occurrence", "induction"):
        rows = [part[name].rows for part in parts]
        assert total[name].rows == sum(rows)
        assert total[name].score == pytest.approx(np.average([part[name].score for part in parts], weights=rows))


def reference(weights: Maps, labels: list[str], visible: Int[np.ndarray, "query 2"]) -> dict[str, float]:
    """The same, a weight at a time."""
    totals: dict[str, list[float]] = {}
    for row, (first, stop) in enumerate(visible.tolist()):
        before = [column for column in range(row) if labels[column] == labels[row]]
        targets = {
            "previous": [row - 1],
            "next": [row + 1],
            "self": [row],
            "first": [0],
            "same word": [column for column, label in enumerate(labels) if label == labels[row] and column != row],
            "previous occurrence": before[-1:],
            "induction": [column + 1 for column in before[-1:] if column + 1 < row],
        }
        for role, columns in targets.items():
            seen = [column for column in columns if first <= column < stop]
            if seen and stop - first >= 2:
                totals.setdefault(role, []).append(sum(float(weights[0, row, column]) for column in seen))
    return {role: float(np.mean(values)) for role, values in totals.items()}


@given(
    labels=st.lists(st.sampled_from("abc"), min_size=2, max_size=13),
    causal=st.booleans(),
    cut=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_any_text_in_any_blocks(labels: list[str], causal: bool, cut: int, seed: int) -> None:
    size = len(labels)
    values = np.random.default_rng(seed).normal(scale=2, size=(3, size, size)).astype(np.float32)
    if causal:
        values[:, np.triu(np.ones((size, size), np.bool_), 1)] = -np.inf
    weights = softmax(values)
    block = whole(weights, "decoder", causal=causal)
    collect = CollectRoles()
    tokens = units(*labels)
    collect.turn([(tokens, tokens)], "decoder")
    for start in range(0, size, cut):
        rows = slice(start, start + cut)
        keys = int(block.visible[rows, 1].max())
        collect(Block("decoder", 0, (0, 1, 2), start, block.weights[:, rows, :keys], block.visible[rows]))
    found = {score.role.name: score for score in collect.result["decoder", 0, 0]}
    expected = reference(weights, labels, block.visible)
    for role in ROLES:
        if role.name in expected:
            assert found[role.name].score == pytest.approx(expected[role.name], abs=1e-5)
            assert 0 <= found[role.name].baseline <= 1
        elif role.name != "separator":
            assert found[role.name].rows == 0


def test_the_option_by_takes_every_figure_and_role() -> None:
    assert get_args(command.By) == ("role", *FIGURES, *(role.option for role in EVERY_ROLE))


def test_roles_are_told_apart() -> None:
    roles = EVERY_ROLE
    assert (
        len({role.name for role in roles})
        == len({role.short for role in roles})
        == len({role.letter for role in roles})
        == len(roles)
    )
    assert all(len(role.short) <= 4 and role.looks_at for role in roles)
    assert [role.name for role in roles if not (role.formula and role.baseline)] == ["alignment"]
    assert find_role("induction").source == "Olsson et al. 2022"
    with pytest.raises(KeyError):
        find_role("none")


def test_a_role_must_beat_its_baseline() -> None:
    role = Role("made up", "made", "m", "", "", 0.5, "")
    assert RoleScore(role, 0.7, 0.6, FEWEST).given
    assert not RoleScore(role, 0.7, 0.7, FEWEST).given
    assert not RoleScore(role, 0.7, 0.6, FEWEST - 1).given
    assert not RoleScore(role, 0.4, 0.1, FEWEST).given
