"""Quantized weights that run here: their maps are those of transformers' own eager attention on the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compressed_tensors import ModelCompressor
from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config, preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import attn_cli
from attn_cli.errors import ModelError
from attn_cli.models.hf.loading import quiet
from attn_cli.models.hf.quantized import bars_unheard, unpack
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


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaMA in 4 bits, as compressed-tensors itself packs it."""
    tokenizer = folders.llama()
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "hidden_size": 128}
    model = folders.made("Llama", "ForCausalLM", vocab_size=len(tokenizer), intermediate_size=128, **sizes)
    with quiet(), bars_unheard({"quant_method": "compressed-tensors"}):
        scheme = preset_name_to_scheme("W4A16", ["Linear"])
        apply_quantization_config(model, QuantizationConfig(config_groups={"all": scheme}, ignore=["lm_head"]))
        for module in model.modules():
            if hasattr(module, "weight_scale"):
                groups = module.weight.unflatten(1, (-1, scheme.weights.group_size))
                scales, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), scheme.weights)
                module.weight_scale.data = scales
        compressor: Any = ModelCompressor.from_pretrained_model(model)
        compressor.compress_model(model)
        folder = folders.save(tmp_path_factory.mktemp("packed"), model, tokenizer)
        compressor.update_config(str(folder))
    return folder


def eager_maps(model: Any) -> list[np.ndarray]:
    tokens = folders.llama()(TEXT, return_tensors="pt")
    return [layer[0].detach().numpy() for layer in model(**tokens, output_attentions=True).attentions]


def test_packed_weights_are_unpacked_before_they_run(packed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They are packed until the whole model runs, and attn runs what is within its head."""
    assert json.loads((packed / "config.json").read_text())["quantization_config"]["format"] == "pack-quantized"
    capfd.readouterr()
    found = attn_cli.load(packed).inspect(TEXT, unit="token", verify=True)
    assert capfd.readouterr().err == ""
    with quiet(), bars_unheard({"quant_method": "compressed-tensors"}):
        model: Any = AutoModelForCausalLM.from_pretrained(packed, attn_implementation="eager")
        wrapped = attn_cli.wrap(model, folders.llama()).inspect(TEXT, unit="token")
        expected = eager_maps(AutoModelForCausalLM.from_pretrained(packed, attn_implementation="eager"))
    for map_, other, layer in zip(found.maps, wrapped.maps, expected, strict=True):
        np.testing.assert_allclose(map_.weights, layer, atol=1e-5)
        np.testing.assert_array_equal(map_.weights, other.weights)


def test_an_adapter_on_packed_weights(packed: Path, tmp_path: Path) -> None:
    """It stands beside them, as in PEFT."""
    with quiet(), bars_unheard({"quant_method": "compressed-tensors"}):
        model: Any = AutoModelForCausalLM.from_pretrained(packed, attn_implementation="eager")
        unpack(model)
        put: Any = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
        for name, weights in put.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weights, std=0.3)
        put.save_pretrained(tmp_path)
        expected = eager_maps(put.eval())
    found = attn_cli.load(tmp_path, base=str(packed)).inspect(TEXT, unit="token")
    for map_, layer in zip(found.maps, expected, strict=True):
        np.testing.assert_allclose(map_.weights, layer, atol=1e-5)
    plain = attn_cli.load(packed).inspect(TEXT, unit="token")
    assert np.abs(plain.maps[0].weights - found.maps[0].weights).max() > 1e-3


def in_mxfp4(folder: Path) -> None:
    """Write the experts of a checkpoint anew, in 4 bits with a scale for each 32 of them, as gpt-oss is published."""
    random = torch.Generator().manual_seed(2)
    weights: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.endswith(("gate_up_proj", "down_proj"))]:
        experts, inner, outer = weights.pop(name).shape
        shape = experts, outer, inner // 32
        weights[f"{name}_blocks"] = torch.randint(256, (*shape, 16), dtype=torch.uint8, generator=random)
        weights[f"{name}_scales"] = torch.randint(118, 124, shape, dtype=torch.uint8, generator=random)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    folders.edit(folder, quantization_config={"quant_method": "mxfp4"})


def test_mxfp4_on_a_cpu(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Transformers makes bfloat16 of the experts' weights."""
    tokenizer = folders.llama()
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    experts = {"hidden_size": 64, "intermediate_size": 96, "num_local_experts": 4, "num_experts_per_tok": 2}
    model = folders.made("GptOss", "ForCausalLM", vocab_size=len(tokenizer), **sizes, **experts)
    folder = folders.save(tmp_path, model.to(torch.bfloat16), tokenizer)
    in_mxfp4(folder)
    capfd.readouterr()
    found = attn_cli.load(folder).inspect(TEXT, unit="token", verify=True)
    assert capfd.readouterr().err == ""
    with quiet():
        eager: Any = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.bfloat16)
        attentions = eager(**tokenizer(TEXT, return_tensors="pt"), output_attentions=True).attentions
    for map_, layer in zip(found.maps, attentions, strict=True):
        np.testing.assert_allclose(map_.weights, layer[0].detach().float().numpy(), atol=1e-5)


@pytest.mark.parametrize("method", ["modelopt", "exl2"])
def test_a_way_that_transformers_does_not_read_is_refused(tmp_path: Path, method: str) -> None:
    """It would take the packed numbers for weights."""
    folder = folders.bert(tmp_path)
    folders.edit(folder, quantization_config={"quant_method": method})
    with pytest.raises(ModelError, match=rf"are quantized \('{method}'\), in a way that transformers does not read"):
        attn_cli.load(folder)
