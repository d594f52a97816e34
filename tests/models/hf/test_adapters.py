"""Adapters of PEFT, held against PEFT's own merged models; and those of another model, which are refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, PrefixTuningConfig, get_peft_model
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

import attn_cli
from attn_cli.data.stream import Block, Request
from attn_cli.errors import ModelError, UsageError
from attn_cli.models import Input
from attn_cli.models.hf import finding
from attn_cli.models.hf.loading import quiet
from attn_cli.models.hf.wrapping import wrap
from tests.models import folders

TEXT = "The trophy didn't fit in the suitcase"
LLAMA = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32}


def llama(folder: Path, **changes: Any) -> Path:
    tokenizer = folders.llama()
    sizes = {"vocab_size": len(tokenizer), "intermediate_size": 37, **LLAMA} | changes
    return folders.save(folder, folders.made("Llama", "ForCausalLM", **sizes), tokenizer)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("base"))


def adapter(folder: Path, base: Path, config: Any, kind: Any = AutoModelForCausalLM) -> Path:
    """Save an adapter of random weights."""
    with quiet():
        put = get_peft_model(kind.from_pretrained(base), config)
        torch.manual_seed(1)
        for name, weights in put.named_parameters():
            if "lora_" in name or "ia3_" in name:
                torch.nn.init.normal_(weights, std=0.3)
        put.save_pretrained(folder)
    return folder


def lora(**changes: Any) -> LoraConfig:
    settings: dict[str, Any] = {"r": 3, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
    return LoraConfig(**settings | changes)


KINDS: dict[str, tuple[Any, Any]] = {
    "lora": (lora(), AutoModelForCausalLM),
    "without the head": (lora(task_type="FEATURE_EXTRACTION"), AutoModel),
    "dora": (lora(target_modules="all-linear", use_dora=True), AutoModelForCausalLM),
    "embeddings": (lora(modules_to_save=["embed_tokens", "lm_head"]), AutoModelForCausalLM),
    "ia3": (IA3Config(target_modules=["k_proj"], feedforward_modules=[]), AutoModelForCausalLM),
}


@pytest.mark.parametrize("name", KINDS)
def test_equal_to_what_peft_merges(name: str, base: Path, tmp_path: Path) -> None:
    config, kind = KINDS[name]
    folder = adapter(tmp_path, base, config, kind)
    found = attn_cli.load(folder).inspect(TEXT, unit="token", verify=True)
    tokens = AutoTokenizer.from_pretrained(base)(TEXT, return_tensors="pt")
    with quiet():
        plain = kind.from_pretrained(base, attn_implementation="eager")
        before = plain(**tokens, output_attentions=True).attentions
        merged: Any = PeftModel.from_pretrained(plain, str(folder))
        merged = merged.merge_and_unload().eval()
    for map_, layer in zip(found.maps, merged(**tokens, output_attentions=True).attentions, strict=True):
        np.testing.assert_allclose(map_.weights, layer[0].detach().numpy(), atol=1e-6)
    assert np.abs(found.maps[1].weights - before[1][0].detach().numpy()).max() > 1e-4
    assert found.notes[0] == f"{folder} is an adapter, put on its base model {base}"
    assert found.model.name == str(folder)


def test_a_base_beside_the_adapter_and_one_that_is_named(base: Path, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "mine", base, lora())
    expected = attn_cli.load(folder).inspect(TEXT).maps[1].weights
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": "base"}))
    (folder / "base").symlink_to(base)
    np.testing.assert_array_equal(attn_cli.load(folder).inspect(TEXT).maps[1].weights, expected)
    (folder / "base").unlink()
    with pytest.raises(ModelError, match="is an adapter, and its base model cannot be used: base is neither") as error:
        attn_cli.load(folder)
    assert "--base" in error.value.remedy
    np.testing.assert_array_equal(attn_cli.load(folder, base=str(base)).inspect(TEXT).maps[1].weights, expected)
    with pytest.raises(UsageError, match=f"--base names the model of an adapter, and {base} is a whole model"):
        attn_cli.load(base, base="another")
    with pytest.raises(UsageError, match="and toy is a whole model"):
        attn_cli.load("toy", base="another")


def test_tokens_that_were_added_in_training(base: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["<turn>"], special_tokens=True)
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(base)
        model.resize_token_embeddings(len(tokenizer))
        put: Any = get_peft_model(model, lora(modules_to_save=["embed_tokens", "lm_head"]))
        put.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        merged = put.merge_and_unload().eval()
        merged.set_attn_implementation("eager")
    text = f"<turn>{TEXT}"
    found = attn_cli.load(tmp_path).inspect(text, unit="token")
    assert "<turn>" in [token.piece for token in found.source.tokens]
    attentions = merged(**tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
    np.testing.assert_allclose(found.maps[1].weights, attentions[1][0].detach().numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"hidden_size": 64},
            "it changes model.layers.0.self_attn.q_proj of 32 × 32, which is 64 × 64 there. Name",
        ),
        ({"num_hidden_layers": 1}, "it changes model.layers.1.self_attn.q_proj, which that model does not have. Name"),
    ],
)
def test_adapters_of_another_model(changes: dict[str, int], message: str, base: Path, tmp_path: Path) -> None:
    folder, other = adapter(tmp_path / "mine", base, lora()), llama(tmp_path / "other", **changes)
    with pytest.raises(ModelError) as error:
        attn_cli.load(folder, base=str(other))
    assert str(error.value).startswith(f"The adapter {folder} is not of {other}: {message}")


def test_prompts_are_no_weights(base: Path, tmp_path: Path) -> None:
    folder = adapter(tmp_path, base, PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"))
    with pytest.raises(ModelError, match=r"learns prompts \(PREFIX_TUNING\), which are not weights to put on a model"):
        attn_cli.load(folder)


def test_peft_is_named_where_it_is_missing(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = adapter(tmp_path, base, lora())
    monkeypatch.setattr(finding, "find_spec", lambda _: None)
    with pytest.raises(
        ModelError, match=f"is an adapter, which needs peft to be put on its base model {base}"
    ) as error:
        attn_cli.load(folder)
    assert "pip install 'attn-cli[peft]'" in error.value.remedy


def test_a_model_with_an_adapter_in_memory(base: Path, tmp_path: Path) -> None:
    folder = adapter(tmp_path, base, lora())
    with quiet():
        put: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(folder))
    found = attn_cli.wrap(put, AutoTokenizer.from_pretrained(base)).inspect(TEXT, unit="token")
    expected = attn_cli.load(folder).inspect(TEXT, unit="token")
    np.testing.assert_allclose(found.maps[1].weights, expected.maps[1].weights, atol=1e-6)
    assert type(put.base_model.model.model.layers[0].self_attn.q_proj).__module__.startswith("peft.")


def norms(model: Any, tokenizer: Any) -> list[np.ndarray]:
    """The norms of each layer's values after its output projection, as `--measure norms` has them."""
    ready = wrap(model, tokenizer)
    ((kind, stack),) = ready.info.stacks.items()
    heads = {layer: tuple(range(count)) for layer, count in stack.heads.items()}
    blocks: list[Block] = []
    ready.prepare(Input(TEXT)).stream(Request({kind: heads}, norms=True), blocks.append)
    return [block.norms for block in blocks if block.norms is not None]


@pytest.mark.parametrize(
    ("family", "part", "sizes", "target", "changes"),
    [
        ("Llama", "ForCausalLM", LLAMA | {"intermediate_size": 37}, "o_proj", {}),
        ("Llama", "ForCausalLM", LLAMA | {"intermediate_size": 37}, "o_proj", {"use_dora": True}),
        ("Bert", "Model", folders.BERT, "attention.output.dense", {}),
        ("GPT2", "LMHeadModel", {"n_embd": 24, "n_head": 3, "n_layer": 2}, "attn.c_proj", {"fan_in_fan_out": True}),
    ],
    ids=["llama", "dora", "bert", "gpt2"],
)
def test_norms_with_an_adapter_on_the_output_projection(
    family: str, part: str, sizes: dict[str, Any], target: str, changes: dict[str, Any]
) -> None:
    tokenizer = folders.llama()
    model = folders.made(family, part, **sizes | {"vocab_size": len(tokenizer)})
    before = norms(model, tokenizer)
    config = lora(target_modules=[target], task_type=None, lora_dropout=0.5, **changes)
    with quiet():
        put: Any = get_peft_model(model, config)
        torch.manual_seed(1)
        for name, weights in put.named_parameters():
            if "lora_" in name and "magnitude" not in name:
                torch.nn.init.normal_(weights, std=0.3)
        merged = copy.deepcopy(put).merge_and_unload()
    found = norms(put.train(), tokenizer)
    assert len(found) == 2
    for one, expected, other in zip(found, norms(merged, tokenizer), before, strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-3)
        assert np.abs(one / other - 1).max() > 0.01
    with put.disable_adapter():
        np.testing.assert_allclose(norms(put, tokenizer)[0], before[0], rtol=1e-4)


def test_old_folders_of_sentence_transformers(tmp_path: Path) -> None:
    inner = folders.bert(tmp_path / "0_Transformer")
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    found = attn_cli.load(tmp_path).inspect(TEXT)
    np.testing.assert_array_equal(found.maps[1].weights, attn_cli.load(inner).inspect(TEXT).maps[1].weights)
    assert found.model.name == str(tmp_path)
