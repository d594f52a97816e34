"""What the heads of a trained decoder are for, held against eager attention in transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from attn_cli.data.selection import Selection
from attn_cli.models import LoadOptions, load
from attn_cli.models.hf.gguf import find_gguf
from attn_cli.models.hf.loading import quiet
from attn_cli.models.hf.model import Pretrained
from attn_cli.questions.heads.probe import LENGTH, TEXTS, probe, repeated

STRONGEST = {(18, 6): 0.88, (17, 4): 0.77, (17, 3): 0.73}
"""The strongest induction heads of SmolLM2."""


@pytest.mark.unchecked
def test_heads_that_copy_and_heads_that_rest(smollm2: str) -> None:
    model = load(smollm2)
    assert isinstance(model, Pretrained)
    found = {(one.layer, one.head): one for one in probe(model, Selection(layer="16-18"), seed=0).heads}
    scores = {
        place: {score.role.name: score.score for score in one.scores if score.role.name in {"induction", "previous"}}
        for place, one in found.items()
    }
    ranked = sorted(scores, key=lambda place: -scores[place]["induction"])
    assert ranked[:3] == list(STRONGEST)
    assert [scores[place]["induction"] for place in ranked[:3]] == pytest.approx([*STRONGEST.values()], abs=0.02)
    assert all("induction" in [score.role.name for score in found[place].roles] for place in STRONGEST)
    assert max(scores, key=lambda place: scores[place]["previous"]) == (16, 0)
    assert scores[16, 0]["previous"] == pytest.approx(0.90, abs=0.02)

    twice, _ = repeated(model, 0)
    ids = torch.tensor([[token.id for token in source.source.tokens] for source in twice])
    assert ids.shape == (TEXTS, 2 * LENGTH)
    kept = find_gguf(smollm2, LoadOptions())
    assert kept is not None
    with quiet(), torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(kept.folder, attn_implementation="eager", dtype=torch.float32)
        maps = plain(ids, output_attentions=True).attentions
    rows = np.arange(2 * LENGTH)
    for (layer, head), one in found.items():
        weights = maps[layer][:, head].numpy()
        copied, before = rows[LENGTH:], rows[1:]
        assert scores[layer, head] == pytest.approx(
            {
                "induction": float(weights[:, copied, copied - LENGTH + 1].mean()),
                "previous": float(weights[:, before, before - 1].mean()),
            },
            abs=1e-4,
        )
        assert one.summary.first == pytest.approx(float(weights[:, before, 0].mean()), abs=1e-4)
