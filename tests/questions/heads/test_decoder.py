"""Tests of the roles of a trained decoder's heads, held against eager attention in transformers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import attn_cli
from attn_cli.data.selection import Selection
from attn_cli.data.shapes import Float
from attn_cli.models import LoadOptions, load
from attn_cli.models.hf.gguf import find_gguf
from attn_cli.models.hf.loading import quiet
from attn_cli.models.hf.model import Pretrained
from attn_cli.questions.heads.measure import HeadFigures
from attn_cli.questions.heads.probe import LENGTH, TEXTS, probe, repeated

STRONGEST = {(18, 6): 0.88, (17, 4): 0.77, (17, 3): 0.73}
"""The strongest induction heads of SmolLM2."""
BACK = {(1, 2), (2, 1), (11, 1), (16, 0)}
"""Its heads with most of their weight on the token before, in a text as in random tokens."""
ALICE = """\
Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice
she had peeped into the book her sister was reading, but it had no pictures or conversations in it, “and what is the
use of a book,” thought Alice “without pictures or conversations?” So she was considering in her own mind (as well as
she could, for the hot day made her feel very sleepy and stupid), whether the pleasure of making a daisy-chain would
be worth the trouble of getting up and picking the daisies, when suddenly a White Rabbit with pink eyes ran close by
her. There was nothing so very remarkable in that; nor did Alice think it so very much out of the way to hear the
Rabbit say to itself, “Oh dear! Oh dear! I shall be late!” (when she thought it over afterwards, it occurred to her
that she ought to have wondered at this, but at the time it all seemed quite natural)""".replace("\n", " ")


def eager_maps(smollm2: str, ids: torch.Tensor) -> list[Float[np.ndarray, "text head query key"]]:
    """The weights of each layer in transformers."""
    kept = find_gguf(smollm2, LoadOptions())
    assert kept is not None
    with quiet(), torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(kept.folder, attn_implementation="eager", dtype=torch.float32)
        return [weights.numpy() for weights in plain(ids, output_attentions=True).attentions]


def scores_of(heads: Iterable[HeadFigures]) -> dict[tuple[int, int], dict[str, float]]:
    """The scores of each head, by role."""
    return {(one.layer, one.head): {score.role.name: score.score for score in one.scores} for one in heads}


@pytest.mark.unchecked
def test_heads_that_look_at_the_token_before(smollm2: str) -> None:
    heads = attn_cli.load(smollm2).heads(ALICE, unit="token")
    scores = {place: roles["previous"] for place, roles in scores_of(heads.heads).items()}
    assert {place for place, score in scores.items() if score > 0.5} == BACK
    assert scores[16, 0] == pytest.approx(0.76, abs=0.02)

    ids = torch.tensor([[token.id for token in heads.record.source.tokens]])
    assert ids.shape[1] >= 200
    maps, before = eager_maps(smollm2, ids), np.arange(1, ids.shape[1])
    for (layer, head), score in scores.items():
        assert score == pytest.approx(float(maps[layer][0, head, before, before - 1].mean()), abs=1e-4)


@pytest.mark.unchecked
def test_heads_that_copy_and_heads_that_rest(smollm2: str) -> None:
    model = load(smollm2)
    assert isinstance(model, Pretrained)
    found = {(one.layer, one.head): one for one in probe(model, Selection(), seed=0).heads}
    scores = scores_of(found.values())
    ranked = sorted(scores, key=lambda place: -scores[place]["induction"])
    assert ranked[:3] == list(STRONGEST)
    assert [scores[place]["induction"] for place in ranked[:3]] == pytest.approx([*STRONGEST.values()], abs=0.02)
    assert all("induction" in [score.role.name for score in found[place].roles] for place in STRONGEST)
    assert {place for place in scores if scores[place]["previous"] > 0.5} == {*BACK, (19, 3), (22, 1)}
    assert max(scores, key=lambda place: scores[place]["previous"]) == (16, 0)
    assert scores[16, 0]["previous"] == pytest.approx(0.90, abs=0.02)

    twice, _ = repeated(model, 0)
    ids = torch.tensor([[token.id for token in source.source.tokens] for source in twice])
    assert ids.shape == (TEXTS, 2 * LENGTH)
    maps = eager_maps(smollm2, ids)
    rows = np.arange(2 * LENGTH)
    for (layer, head), one in found.items():
        weights = maps[layer][:, head]
        copied, before = rows[LENGTH:], rows[1:]
        assert {role: scores[layer, head][role] for role in ("induction", "previous")} == pytest.approx(
            {
                "induction": float(weights[:, copied, copied - LENGTH + 1].mean()),
                "previous": float(weights[:, before, before - 1].mean()),
            },
            abs=1e-4,
        )
        assert one.summary.first == pytest.approx(float(weights[:, before, 0].mean()), abs=1e-4)
