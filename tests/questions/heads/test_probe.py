"""Probes, on a model made by hand that copies: what it was made for is what is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Block, Eat, Report, Request, Source
from attn_cli.data.text import Token, Tokens, make_tokens
from attn_cli.data.units import Units
from attn_cli.errors import ModelError
from attn_cli.models import load
from attn_cli.questions.heads.measure import HeadsFound, find_heads
from attn_cli.questions.heads.probe import LENGTH, TEXTS, CollectProbe, CollectPronouns, Pronoun, probe, repeated
from attn_cli.questions.heads.roles import FEWEST_CASES
from tests.questions.heads.test_scores import whole
from tests.samples import softmax, translation_record

VOCABULARY, SURE = 151, 50.0


@dataclass(frozen=True, eq=False)
class Reading:
    """A text given to the model made by hand."""

    model: ModelInfo
    source: Tokens
    ids: tuple[int, ...]
    target: Tokens | None = None
    notes: tuple[str, ...] = ()

    def stream(self, request: Request, eat: Eat) -> Report:
        """Two layers of attention and nothing else; tokens and positions are each a direction of their own."""
        size = len(self.ids)
        token, place = np.eye(VOCABULARY)[list(self.ids)], np.eye(size)
        causal = np.where(np.tril(np.ones((size, size))) > 0, 0, -np.inf)
        start = np.where(np.arange(size) == 0, 1.0, 0.0)  # where else nothing stands out, the first token does
        before = softmax((SURE * place @ np.eye(size, k=-1).T @ place.T).T + start + causal)
        read_before = before @ token  # what the first layer tells each position: the token that stood before it
        induction = SURE * token @ read_before.T
        duplicate = SURE * (token @ token.T - np.eye(size))
        layers = [before[None], np.stack([softmax(scores + start + causal) for scores in (induction, duplicate)])]
        stops = np.arange(1, size + 1)
        for layer, weights in enumerate(layers):
            heads = request.heads.get("decoder", {}).get(layer)
            if heads:
                visible = np.stack([np.zeros_like(stops), stops], axis=1)
                eat(Block("decoder", layer, heads, 0, weights[list(heads)].astype(np.float32), visible))
        return Report()


class ByHand:
    """A model whose head 0.0 looks at the token before, 1.0 copies, and 1.1 looks at duplicates."""

    def __init__(self, positions: int | None = None, tokens: int = VOCABULARY) -> None:
        self.tokens = tokens
        self.info = ModelInfo(
            "by hand", "by hand", {"decoder": Stack(2, {0: 1, 1: 2}, 2)}, "numpy", positions=positions
        )

    def plain_tokens(self) -> Sequence[int]:
        return range(1, self.tokens)

    def prepare_tokens(self, ids: Sequence[int]) -> Source:
        pieces = [Token("<s>", 0, 0, None, special=True), *(Token(f"t{one}", 0, 0, None) for one in ids)]
        return Reading(self.info, Tokens("", tuple(pieces), ()), (0, *ids))


def scores(found: HeadsFound, layer: int, head: int) -> dict[str, float]:
    (one,) = (one for one in found.heads if (one.layer, one.head) == (layer, head))
    return {score.role.name: score.score for score in one.scores}


def test_a_hand_made_induction_model_scores_1() -> None:
    found = probe(ByHand(), Selection(), seed=3)
    assert scores(found, 1, 0)["induction"] == pytest.approx(1)
    assert scores(found, 1, 1)["previous occurrence"] == pytest.approx(1)
    assert scores(found, 0, 0)["previous"] == pytest.approx(1)
    assert scores(found, 1, 0)["previous occurrence"] == pytest.approx(0, abs=1e-6)
    given = {(one.layer, one.head): [score.role.name for score in one.roles] for one in found.heads}
    assert given == {(0, 0): ["previous"], (1, 0): ["induction"], (1, 1): ["previous occurrence"]}
    assert (found.texts, found.tokens) == (TEXTS, TEXTS * (2 * LENGTH + 1))


def test_one_token_over_and_over_is_the_control() -> None:
    """The head that copies finds its token everywhere where all are one, and nothing is left for the first token."""
    found = probe(ByHand(), Selection(), seed=3)
    controls = {(one.layer, one.head): one.control for one in found.heads}
    assert controls[1, 1] is not None
    assert controls[1, 1] < 0.05
    assert {one.summary.first for one in found.heads if (one.layer, one.head) == (1, 1)} != {controls[1, 1]}


def test_the_same_seed_gives_the_same_and_another_does_not() -> None:
    def drawn(seed: int) -> list[list[str]]:
        return [
            [token.piece for token in source.source.tokens] for texts in repeated(ByHand(), seed) for source in texts
        ]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    twice, alone = drawn(1)[:TEXTS], drawn(1)[TEXTS:]
    assert all(text[1 : LENGTH + 1] == text[LENGTH + 1 :] for text in twice)
    assert all(len(set(text[1 : LENGTH + 1])) == LENGTH for text in twice)
    assert all(len(set(text[1:])) == 1 for text in alone)


def test_models_with_few_positions_or_tokens() -> None:
    twice, _ = repeated(ByHand(positions=13), 0)
    assert {len(source.source) for source in twice} == {13}
    with pytest.raises(ModelError, match="too few"):
        repeated(ByHand(positions=4), 0)
    with pytest.raises(ModelError, match="too few"):
        repeated(ByHand(tokens=2), 0)


def test_cross_attention_cannot_be_probed() -> None:
    with pytest.raises(ModelError, match="self-attention"):
        probe(load("toy"), Selection(kind="cross"), 0)
    with pytest.raises(ModelError, match=r"a target, and decoder attention needs one\. Leave --probe out, or choose"):
        probe(load("toy"), Selection(kind="decoder"), 0)


def test_heads_of_other_kinds_take_no_scores_of_a_probe() -> None:
    """The heads of the encoder and those of cross-attention have the same numbers."""
    found = find_heads(translation_record(), Selection())
    assert found.kind == "cross"
    collect = CollectProbe(Selection(), 0)
    for add in (collect.added_to, lambda heads: probe(load("toy"), Selection(), 0, heads)):
        with pytest.raises(
            ModelError, match=r"and this is cross-attention\. Leave --probe out, or choose --kind encoder"
        ):
            add(found)


def test_tokens_as_they_are() -> None:
    toy = load("toy")
    known = toy.plain_tokens()
    assert len(known) == len(set(known)) > 1000
    source = toy.prepare_tokens(known[:5])
    assert [token.id for token in source.source.tokens if not token.special] == list(known[:5])
    assert source.source.tokens[-1].special


def pronoun_tokens() -> Tokens:
    words = ("cup", "pot", "it", "big")
    offsets = [(0, 3), (4, 7), (8, 10), (11, 14)]
    return make_tokens("cup pot it big", words, offsets, [False] * 4)


def test_a_head_that_prefers_one_noun_is_right_half_of_the_time() -> None:
    tokens = pronoun_tokens()
    units = Units.of(tokens)
    weights = np.zeros((3, 4, 4), np.float32)
    weights[0, 2], weights[1, 2], weights[2, 2] = (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1)
    collect = CollectPronouns()
    for index in range(FEWEST_CASES):
        meant, other = (0, 4) if index % 2 == 0 else (4, 0)
        collect.turn(tokens, units, Pronoun(tokens.text, 8, meant, other))
        right = weights.copy()
        if index % 2:
            right[2, 2] = (0, 0.2, 0, 0.8)
        else:
            right[2, 2] = (0.2, 0, 0, 0.8)
        collect(whole(right))
    found = {head: score for _, head, score in collect.result}
    assert [found[head].score for head in range(3)] == [0.5, 0.5, 1]
    assert {score.baseline for score in found.values()} == {0.5}
    assert [found[head].given for head in range(3)] == [False, False, True]


def test_a_decoder_that_cannot_see_a_noun_is_not_asked() -> None:
    tokens = pronoun_tokens()
    collect = CollectPronouns()
    collect.turn(tokens, Units.of(tokens), Pronoun(tokens.text, 8, 11, 0))
    collect(whole(softmax(np.zeros((1, 4, 4))), "decoder", causal=True))
    assert collect.result == []
