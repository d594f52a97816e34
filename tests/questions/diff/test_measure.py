"""The change of each head, by hand and against an independent reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.shapes import Float
from attn_cli.data.text import Token, Tokens
from attn_cli.draw.screen import Screen, to_text
from attn_cli.errors import MemoryLimitError, ModelError, SelectionError
from attn_cli.questions.diff import measure as module
from attn_cli.questions.diff.measure import Change, diff
from tests.questions.diff.test_layers import by_definition
from tests.samples import decoder_record, encoder_record, random_map, translation_record


def tokens_of(words: Sequence[str]) -> Tokens:
    return Tokens(" ".join(words), tuple(Token(word, 0, 0, None, word[0] == "[") for word in words), ())


def record_of(
    weights: Float[np.ndarray, "head query key"],
    words: Sequence[str],
    kind: Kind = "encoder",
    sink: Float[np.ndarray, "head query"] | None = None,
) -> Record:
    """One layer over these words, each a token; those in brackets are special."""
    heads, count, _ = weights.shape
    visible = np.array([[0, row + 1 if kind == "decoder" else count] for row in range(count)])
    map_ = AttentionMap(kind, 0, tuple(range(heads)), tuple(range(count)), weights, visible, sink=sink)
    model = ModelInfo("made", "made", {kind: Stack(1, {0: heads}, heads)}, "interface")
    return Record(model, tokens_of(words), None, (map_,))


A = np.array([[[0.5, 0.5, 0], [0, 1, 0], [0.25, 0.25, 0.5]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]], np.float32)
B = np.array([[[0.5, 0.5, 0], [0, 0, 1], [0.75, 0.25, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]], np.float32)


def test_heads_by_hand() -> None:
    found = diff(record_of(A, "abc"), record_of(B, "abd"), Selection())
    assert [(head.layer, head.head) for head in found.heads] == [(0, 0), (0, 1)]
    # Last row: m = (1/2, 1/4, 1/4).
    last = (0.25 * np.log2(0.5) + 0.5 * 1 + 0.75 * np.log2(1.5)) / 2
    np.testing.assert_allclose(found.heads[0].rows, [0, 1, last])
    assert found.heads[0].divergence == pytest.approx((1 + last) / 3)
    assert found.heads[0].largest == Change(1, 1, 1.0, 0.0)
    assert found.heads[1].divergence == 0
    assert found.most == found.heads[0].divergence
    np.testing.assert_allclose(found.changes(0, 0), B[0] - A[0])
    assert found.queries.labels == ("a", "b", "c/d")


def test_a_row_that_sees_one_key_is_not_counted() -> None:
    """In a decoder the first row can look only at itself, so the mean is over the other four."""
    one, other = (random_map("decoder", layer, 5, 5, causal=True).weights[:2] for layer in range(2))
    found = diff(record_of(one, "abcde", "decoder"), record_of(other, "abcde", "decoder"), Selection())
    assert len(found.chosen) == 5
    assert found.telling == (4, 4)
    head = found.heads[0]
    assert head.divergence == pytest.approx(float(np.sum(head.rows[1:])) / 4)
    screen = Screen(color=False)
    shown = " ".join(to_text(found.draw(screen), screen).split())
    assert "mean over 4 rows;" in shown
    resting = one.copy()
    resting[0, 2] = [1, 0, 0, 0, 0]  # of which nothing is left without the first token
    found = diff(record_of(resting, "abcde", "decoder"), record_of(other, "abcde", "decoder"), Selection(sink=False))
    assert found.telling == (2, 3)
    two = diff(record_of(one[:, :2, :2], "ab", "decoder"), record_of(other[:, :2, :2], "ab", "decoder"), Selection())
    assert two.telling == (1, 1)


def test_keys_that_one_side_lacks_share_nothing() -> None:
    """B has a word more, to which a third of every row goes."""
    even = np.full((1, 3, 3), 1 / 3, np.float32)
    found = diff(record_of(np.full((1, 2, 2), 0.5, np.float32), "ac"), record_of(even, "abc"), Selection())
    assert found.keys.labels == ("a", "+b", "c")
    assert found.chosen == (0, 2)
    expected = by_definition([0.5, 0, 0.5], [1 / 3] * 3)
    np.testing.assert_allclose(found.heads[0].rows, [expected] * 2, rtol=1e-6)
    np.testing.assert_allclose(found.changes(0, 0), [[-1 / 6, 1 / 3, -1 / 6]] * 2, rtol=1e-6)


def test_a_row_that_sees_one_key_tells_nothing() -> None:
    causal = np.array([[[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]]], np.float32)
    other = np.array([[[1, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]]], np.float32)
    found = diff(record_of(causal, "abc", "decoder"), record_of(other, "abc", "decoder"), Selection())
    assert np.isnan(found.heads[0].rows[0])
    assert found.heads[0].divergence == pytest.approx((0 + 0.5) / 2)
    assert np.isnan(found.changes(0, 0)[0]).tolist() == [False, True, True]
    alone = diff(record_of(causal, "abc", "decoder"), record_of(other, "abc", "decoder"), Selection(query="a"))
    assert np.isnan(alone.heads[0].divergence)
    assert (alone.heads[0].largest, alone.most) == (None, 0)


def test_what_a_learned_sink_takes_is_a_key_that_both_have() -> None:
    weights = np.full((1, 2, 2), 0.25, np.float32)
    sink = np.full((1, 2), 0.5, np.float32)
    found = diff(record_of(weights, "ab", sink=sink), record_of(2 * weights, "ab"), Selection())
    expected = by_definition([0.25, 0.25, 0.5], [0.5, 0.5, 0])
    np.testing.assert_allclose(found.heads[0].rows, [expected] * 2, rtol=1e-6)


def test_one_query_of_either_text() -> None:
    a, b = record_of(A, "abc"), record_of(B, "abd")
    for query, places in (("b", (1,)), ("c", (2,)), ("d", (2,)), ("a,-1", (0, 2))):
        assert diff(a, b, Selection(query=query)).chosen == places
    with pytest.raises(SelectionError, match=r"'x' is not in the text\. Its words are: a, b, c"):
        diff(a, b, Selection(query="x"))
    longer = record_of(np.full((2, 4, 4), 0.25, np.float32), "abed")
    with pytest.raises(SelectionError, match="'e' has no counterpart in A"):
        diff(record_of(A, "abd"), longer, Selection(query="e"))
    with pytest.raises(SelectionError, match="'e' has no counterpart in B"):
        diff(longer, record_of(A, "abd"), Selection(query="e"))


@pytest.mark.parametrize("rows", [1, 2, 64])
def test_samples_of_every_kind_are_compared_as_whole_maps_would_be(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AttentionMap.blocks, "__defaults__", (rows,))
    for a in (encoder_record(), decoder_record(), translation_record()):
        kind: Kind = "cross" if a.target is not None else next(iter(a.model.stacks))
        b = replace(
            a,
            maps=tuple(
                random_map(m.kind, m.layer, *m.weights.shape[1:], seed=5, causal=m.kind == "decoder") for m in a.maps
            ),
        )
        found = diff(a, b, Selection(unit="token", kind=kind))
        maps = [{m.layer: m for m in record.maps if m.kind == kind} for record in (a, b)]
        assert len(found.heads) == 3 * len(maps[0])
        for head in found.heads:
            one, other = (side[head.layer].weights[head.head].astype(float) for side in maps)
            expected = np.array([by_definition(*pair) for pair in zip(one, other, strict=True)])
            expected[np.diff(maps[0][head.layer].visible)[:, 0] < 2] = np.nan
            np.testing.assert_allclose(head.rows, expected, atol=1e-6)
            assert head.divergence == pytest.approx(np.nanmean(expected), abs=1e-6)
    words = diff(encoder_record(), replace(encoder_record(), maps=b.maps[:2]), Selection(special=False))
    assert [len(words.queries), len(words.heads)] == [5, 6]


def test_shapes_kinds_and_rows_must_agree() -> None:
    with pytest.raises(SelectionError, match="A is shown in its encoder attention and B in its decoder"):
        diff(encoder_record(), decoder_record(), Selection())
    with pytest.raises(ModelError, match=r"a different shape from that of B \(1 layer × 2 heads, 2 layers × 3 heads\)"):
        diff(record_of(A, "abc"), encoder_record(), Selection())
    with pytest.raises(SelectionError, match="no word in common"):
        diff(record_of(A, "abc"), record_of(np.full((2, 2, 2), 0.5, np.float32), "de"), Selection())


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def require(needed: int, what: str, remedy: str) -> None:
        asked.append(needed)
        raise MemoryLimitError(what, remedy)

    monkeypatch.setattr(module, "require", require)
    with pytest.raises(MemoryLimitError, match="Comparing 6 heads of 8 × 8 weights"):
        diff(encoder_record(), encoder_record(), Selection())
    assert asked == [2 * 6 * 8 * 8 * 4]
