"""Quantized weights that run here: their maps are those of transformers' own eager attention on the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import attn_cli
from attn_cli.models.hf.loading import quiet
from tests.models import folders

TEXT = "The trophy didn't fit in the suitcase"
BLOCK = 128
"""Rows and columns that share one scale."""


def in_float8(folder: Path) -> None:
    """Write a checkpoint's projections anew, in 8 bits with a scale for each block, as DeepSeek-V3 is published."""
    weights: dict[str, torch.Tensor] = {}
    saved: dict[str, Any] = load_file(folder / "model.safetensors")
    for name, values in saved.items():
        if not name.endswith("proj.weight"):
            weights[name] = values
            continue
        rows, columns = values.shape
        blocks = [[part.abs().max() / 448 for part in row.split(BLOCK, 1)] for row in values.split(BLOCK)]
        scales = torch.tensor(blocks)
        spread = scales.repeat_interleave(BLOCK, 0)[:rows].repeat_interleave(BLOCK, 1)[:, :columns]
        weights[name], weights[f"{name}_scale_inv"] = (values / spread).to(torch.float8_e4m3fn), scales
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    settings = {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK], "activation_scheme": "dynamic"}
    folders.edit(folder, quantization_config=settings)


def test_float8_on_a_cpu(tmp_path: Path) -> None:
    tokenizer = folders.llama()
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": BLOCK}
    model = folders.made("Llama", "ForCausalLM", vocab_size=len(tokenizer), intermediate_size=2 * BLOCK, **sizes)
    tokens = tokenizer(TEXT, return_tensors="pt")
    whole = attn_cli.wrap(model, tokenizer).inspect(TEXT, unit="token")
    folder = folders.save(tmp_path, model, tokenizer)
    in_float8(folder)
    found = attn_cli.load(folder).inspect(TEXT, unit="token")
    with quiet():
        eager: Any = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
        assert AutoTokenizer.from_pretrained(folder)(TEXT).input_ids == tokens["input_ids"][0].tolist()
        attentions = eager(**tokens, output_attentions=True).attentions
    for map_, layer in zip(found.maps, attentions, strict=True):
        np.testing.assert_allclose(map_.weights, layer[0].detach().float().numpy(), atol=1e-5)
    assert 0 < np.abs(found.maps[0].weights - whole.maps[0].weights).max() < 0.05
