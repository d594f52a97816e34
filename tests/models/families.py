"""Tiny random models of many families, and an independent reading of their attention to hold ours against.

Sizes are small and differ from each other, so that a swapped axis cannot pass: 13 tokens (11 on a decoder's side), 3
layers (2), 97 words; 3 heads (5), or 6 heads that share 2 keys and values. Windows are shorter than the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from attn_cli.data.cuts import ZeroedHeads
from attn_cli.data.stream import Block, Kind, Report, Request
from attn_cli.models.capture.stream import LOAD_WITH, stacks, stream

SOURCE, TARGET, VOCABULARY = 13, 11, 97
PADDING = dict.fromkeys(("input_ids", "attention_mask", "decoder_input_ids"), 0)
"""Padding value of each input, for a text beside longer ones."""
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}

BERT = SPECIAL | {
    "vocab_size": VOCABULARY,
    "hidden_size": 30,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
}
LLAMA = BERT | {"hidden_size": 48, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8}
MIXTURE = LLAMA | {
    "intermediate_size": 40,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 24,
    "num_local_experts": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
}
HYBRID = MIXTURE | {"num_hidden_layers": 5, "use_mamba_kernels": False}
GPT = SPECIAL | {"vocab_size": VOCABULARY, "n_embd": 30, "n_layer": 3, "n_head": 3, "n_positions": 64}
T5 = SPECIAL | {
    "vocab_size": VOCABULARY,
    "d_model": 30,
    "d_kv": 7,
    "d_ff": 37,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "decoder_start_token_id": 0,
}
BART = SPECIAL | {
    "vocab_size": VOCABULARY,
    "d_model": 30,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 5,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "max_position_embeddings": 64,
    "decoder_start_token_id": 1,
}
MAMBA = {"mamba_n_heads": 6, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1}
LATENT = MIXTURE | {
    "num_key_value_heads": 6,
    "q_lora_rank": 12,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 12,
    "head_dim": 4,
    "n_routed_experts": 4,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
INDEXED = LATENT | {"index_topk": 4, "index_n_heads": 2, "index_head_dim": 8}
"""An indexer chooses the four keys that each query may look at."""


@dataclass(frozen=True)
class Family:
    """One `model_type`, small."""

    name: str
    options: Mapping[str, Any]
    gain: float = 1.3
    """Scale of the random weights: the larger, the less even its attention; see `spread`."""
    older: bool = False
    """Its code does not use transformers' `AttentionInterface`."""
    returns_scores: tuple[Kind, ...] = ()
    """Kinds for which transformers returns the scores where it should return the weights."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Inputs that the reference run needs besides the tokens."""
    without: Mapping[int, str] = field(default_factory=dict)
    """Layers that have no attention, and what they have instead."""

    def __str__(self) -> str:
        return self.name


def _families(names: str, options: Mapping[str, Any], **rest: Any) -> list[Family]:
    return [Family(name, options, **rest) for name in names.split()]


MODERN = [
    *_families("bert roberta electra ernie camembert xlm-roberta bert-generation data2vec-text esm layoutlm", BERT),
    Family("albert", BERT | {"num_hidden_groups": 2, "inner_group_num": 1, "embedding_size": 17}),
    Family(
        "distilbert",
        {"vocab_size": VOCABULARY, "dim": 30, "n_heads": 3, "n_layers": 3, "hidden_dim": 37, "pad_token_id": 0},
    ),
    Family("modernbert", BERT | {"local_attention": 4, "global_attn_every_n_layers": 2}),
    *_families("nomic_bert jina_embeddings_v3 gte", LLAMA),
    Family("eurobert", LLAMA),
    Family("gpt2", GPT),
    Family("gpt_bigcode", GPT | {"n_embd": 48, "n_head": 6}),
    Family("ctrl", GPT | {"dff": 37}),
    *_families("gpt_neox biogpt persimmon", BERT | {"hidden_size": 48, "num_attention_heads": 6}),
    Family("opt", BERT | {"ffn_dim": 37, "word_embed_proj_dim": 30}),
    *_families("llama qwen2 qwen3 gemma phi phi3 olmo olmo2 cohere stablelm smollm3 glm4 granite nemotron", LLAMA),
    *_families("mistral starcoder2", LLAMA | {"sliding_window": 5}),
    *_families("mixtral qwen3_moe granitemoe", MIXTURE),
    *_families("gemma2 vaultgemma", LLAMA | {"sliding_window": 5, "query_pre_attn_scalar": 8}),
    Family("gemma3_text", LLAMA | {"sliding_window": 5, "query_pre_attn_scalar": 8, "sliding_window_pattern": 2}),
    Family("cohere2", LLAMA | {"sliding_window": 5, "sliding_window_pattern": 2}),
    Family("gpt_oss", MIXTURE | {"sliding_window": 5}),
    Family("mimo_v2_flash", MIXTURE | {"num_attention_heads": 8, "head_dim": 16, "v_head_dim": 12}),
    Family("granite_swa", LLAMA | {"sliding_window": 5}, gain=0.9),
    Family("llama4_text", MIXTURE | {"attention_chunk_size": 5, "intermediate_size_mlp": 44}),
    Family("modernbert-decoder", BERT | {"local_attention": 4, "global_attn_every_n_layers": 2}),
    Family("deepseek_v2", LATENT | {"topk_method": "greedy"}),
    Family("deepseek_v3", LATENT),
    Family(
        "longcat_flash",
        LATENT
        | {
            "num_layers": 3,
            "num_hidden_layers": 6,
            "ffn_hidden_size": 37,
            "expert_ffn_hidden_size": 24,
            "zero_expert_num": 2,
            "moe_topk": 2,
        },
    ),
    *_families("deepseek_v32 glm_moe_dsa axk2 hy_v4", INDEXED),
    Family(
        "dots3_note_text",
        INDEXED
        | {
            "swa_num_attention_heads": 6,
            "swa_num_key_value_heads": 6,
            "layer_types": ["indexed_attention", "sliding_attention"] * 2,
            "num_hidden_layers": 4,
        },
    ),
    Family(
        "glm5_next_text", INDEXED | {"qk_rope_head_dim": 0, "index_kpool": 2, "layer_types": ["indexed_attention"] * 3}
    ),
    Family(
        "minimax_m3_vl_text",
        MIXTURE
        | {
            "rotary_dim": 8,
            "layer_types": ["full_attention", "minimax_m3_sparse", "minimax_m3_sparse"],
            "index_n_heads": 2,
            "index_head_dim": 8,
            "index_block_size": 2,
            "index_topk_blocks": 2,
        },
    ),
    Family("clip_text_model", BERT),
    Family("hrm_text", LLAMA | {"num_hidden_layers": 2, "H_cycles": 2, "L_cycles": 3}),
    *_families("diffllama doge", LLAMA),
    *_families("t5 mt5 umt5", T5, gain=0.8),
    Family("switch_transformers", T5 | {"num_experts": 4}, gain=0.8),
    *_families("bart mbart marian pegasus m2m_100 blenderbot blenderbot-small plbart", BART),
    Family("nllb-moe", BART | {"num_experts": 4}),
]

HYBRIDS = [
    Family(
        "jamba",
        HYBRID | {"attn_layer_period": 3, "attn_layer_offset": 1},
        without=dict.fromkeys((0, 2, 3), "mamba"),
    ),
    Family("bamba", HYBRID | MAMBA | {"attn_layer_indices": [1, 4]}, without=dict.fromkeys((0, 2, 3), "mamba")),
    Family(
        "granitemoehybrid",
        HYBRID | MAMBA | {"layer_types": ["mamba", "attention", "mamba", "mamba", "attention"]},
        gain=0.9,
        without=dict.fromkeys((0, 2, 3), "mamba"),
    ),
    Family(
        "zamba",
        HYBRID
        | {
            "num_hidden_layers": 5,
            "layers_block_type": ["mamba", "hybrid", "mamba", "mamba", "hybrid"],
            "n_mamba_heads": 2,
            "attention_hidden_size": 96,
            "attention_head_dim": 16,
        },
        without=dict.fromkeys((0, 2, 3), "mamba"),
    ),
    Family(
        "zamba2",
        HYBRID
        | {
            "layer_types": ["mamba", "hybrid", "mamba", "mamba", "hybrid"],
            "hybrid_layer_ids": [1, 4],
            "n_mamba_heads": 6,
            "mamba_ngroups": 1,
            "num_key_value_heads": 6,
        },
        without=dict.fromkeys((0, 2, 3), "mamba"),
    ),
    Family("falcon_h1", HYBRID | MAMBA | {"mamba_d_ssm": 96}),
    Family(
        "nemotron_h",
        HYBRID
        | {
            "layers_block_type": ["mamba", "attention", "moe", "attention", "mamba"],
            "mamba_num_heads": 6,
            "mamba_head_dim": 16,
            "ssm_state_size": 8,
            "n_groups": 1,
            "n_routed_experts": 4,
            "moe_shared_expert_intermediate_size": 20,
        },
        without={0: "mamba", 2: "feed-forward only", 4: "mamba"},
    ),
    Family(
        "qwen3_next",
        HYBRID
        | {
            "layer_types": ["linear_attention", "full_attention"] * 2 + ["linear_attention"],
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
        },
        without=dict.fromkeys((0, 2, 4), "linear attention (gated delta rule)"),
    ),
    Family(
        "lfm2",
        HYBRID | {"layer_types": ["conv", "full_attention", "conv", "full_attention", "conv"]},
        without=dict.fromkeys((0, 2, 4), "convolution"),
    ),
    Family(
        "kimi_linear",
        HYBRID | {"num_key_value_heads": 6, "linear_head_dim": 8, "linear_num_heads": 5},
        without=dict.fromkeys(range(4), "linear attention (gated delta rule)"),
    ),
    Family(
        "minimax",
        HYBRID | {"layer_types": ["full_attention", "linear_attention"] * 2 + ["full_attention"]},
        gain=0.9,
        without=dict.fromkeys((1, 3), "linear attention"),
    ),
    Family("recurrent_gemma", HYBRID, without=dict.fromkeys((0, 1, 3, 4), "recurrence")),
]

OLDER = [
    *_families("deberta deberta-v2 mpnet roformer rembert ibert megatron-bert tapas", BERT, older=True),
    Family("luke", BERT | {"entity_vocab_size": 17, "entity_emb_size": 7}, older=True),
    Family(
        "layoutlmv3",
        BERT | {"max_2d_position_embeddings": 64, "coordinate_size": 5, "shape_size": 5, "visual_embed": False},
        older=True,
    ),
    Family("big_bird", BERT | {"attention_type": "original_full"}, older=True),
    Family("convbert", BERT | {"hidden_size": 48, "num_attention_heads": 6, "head_ratio": 2}, older=True),
    Family(
        "squeezebert",
        BERT
        | {"embedding_size": 30}
        | dict.fromkeys(
            ("q_groups", "k_groups", "v_groups", "post_attention_groups", "intermediate_groups", "output_groups"), 1
        ),
        older=True,
        returns_scores=("encoder",),
    ),
    Family("longformer", BERT | {"attention_window": 4}, older=True),
    Family(
        "funnel",
        {
            "vocab_size": VOCABULARY,
            "d_model": 30,
            "n_head": 3,
            "d_head": 10,
            "d_inner": 37,
            "block_sizes": [2, 1],
            "num_decoder_layers": 2,
            "architectures": ["FunnelModel"],
        },
        older=True,
        without={2: "attention between groups of tokens"},
    ),
    Family(
        "canine",
        BERT | {"num_hash_buckets": VOCABULARY, "num_hash_functions": 3, "downsampling_rate": 2},
        older=True,
        without=dict.fromkeys((1, 2, 3), "attention between groups of tokens"),
    ),
    Family("xlnet", {"vocab_size": VOCABULARY, "d_model": 30, "n_layer": 3, "n_head": 3, "d_inner": 37}, older=True),
    *_families("xlm flaubert", {"vocab_size": VOCABULARY, "emb_dim": 30, "n_layers": 3, "n_heads": 3}, older=True),
    Family("openai-gpt", GPT, older=True),
    Family(
        "gpt_neo",
        SPECIAL
        | {
            "vocab_size": VOCABULARY,
            "hidden_size": 30,
            "num_layers": 3,
            "num_heads": 3,
            "max_position_embeddings": 64,
            "attention_types": [[["global", "local", "global"], 1]],
            "window_size": 5,
        },
        older=True,
    ),
    Family("gptj", GPT | {"n_embd": 48, "rotary_dim": 8}, older=True),
    Family("codegen", GPT | {"n_embd": 64, "n_head": 4, "rotary_dim": 8}, older=True),
    Family("gpt_neox_japanese", BERT | {"hidden_size": 48}, older=True),
    Family("xglm", BART | {"num_layers": 3, "attention_heads": 3, "ffn_dim": 37}, older=True),
    Family("falcon", BERT | {"hidden_size": 48}, older=True),
    Family("bloom", SPECIAL | {"vocab_size": VOCABULARY, "hidden_size": 30, "n_layer": 3, "n_head": 3}, older=True),
    Family("mpt", {"vocab_size": VOCABULARY, "d_model": 32, "n_heads": 4, "n_layers": 3}, older=True),
    Family(
        "led",
        BART | {"attention_window": 4, "max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64},
        older=True,
    ),
    Family(
        "fsmt",
        {name: value for name, value in BART.items() if name != "vocab_size"}
        | {"src_vocab_size": VOCABULARY, "tgt_vocab_size": VOCABULARY, "langs": ["en", "de"]},
        older=True,
        # With a cache, this family's decoder looks ahead in a text that is given at once.
        inputs={"use_cache": False},
    ),
    Family("mvp", BART, older=True),
    Family(
        "prophetnet",
        SPECIAL
        | {
            "vocab_size": VOCABULARY,
            "hidden_size": 30,
            "num_encoder_layers": 3,
            "num_decoder_layers": 2,
            "num_encoder_attention_heads": 3,
            "num_decoder_attention_heads": 5,
            "encoder_ffn_dim": 37,
            "decoder_ffn_dim": 41,
        },
        older=True,
        returns_scores=("encoder", "cross"),
    ),
]

FAMILIES = {family.name: family for family in (*MODERN, *HYBRIDS, *OLDER)}


def make(name: str, options: Mapping[str, Any], *, implementation: str = LOAD_WITH) -> Any:
    """A model with transformers' own random weights, always the same ones."""
    torch.manual_seed(0)
    create: Any = AutoModel.from_config
    return create(AutoConfig.for_model(name, **options), attn_implementation=implementation).eval()


@cache
def build(name: str, **options: Any) -> Any:
    """A family's tiny model, with weights that make its attention uneven; always the same."""
    family = FAMILIES[name]
    return spread(make(name, dict(family.options) | options), family.gain)


def spread(model: Any, gain: float = 1.3) -> Any:
    """The model, with weights that make its attention uneven; always the same."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "conv" not in path and "A_log" not in path:
                width = 1.0 if "emb" in path.lower() else gain / parameter.shape[-1] ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * width)
            elif "bias" in path or "sinks" in path:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


def inputs_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Tokens for each side; none of them is special."""
    generator = torch.Generator().manual_seed(3)
    inputs = {"input_ids": torch.randint(3, VOCABULARY, (1, SOURCE), generator=generator)}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.randint(3, VOCABULARY, (1, TARGET), generator=generator)
    return inputs


@dataclass(frozen=True)
class Reference:
    """The output and the maps that the model itself returns with `output_attentions=True`."""

    output: np.ndarray
    maps: Mapping[Kind, Mapping[int, np.ndarray]]
    """kind -> layer -> `[head, query, key]`."""


def reference(model: PreTrainedModel, inputs: Mapping[str, Any]) -> Reference:
    """Run the model as transformers documents it, with eager attention."""
    family = FAMILIES[model.config.model_type]
    with torch.no_grad():
        result = model(**inputs, **family.inputs, output_attentions=True)
    returned: dict[Kind, tuple[torch.Tensor | None, ...]]
    if model.config.is_encoder_decoder:
        returned = {
            "encoder": result.encoder_attentions,
            "decoder": result.decoder_attentions,
            "cross": result.cross_attentions,
        }
    else:
        (kind,) = stacks(model)
        returned = {kind: result.attentions}
    maps: dict[Kind, dict[int, np.ndarray]] = {}
    for kind, tensors in returned.items():
        attention = [layer for layer in range(stacks(model)[kind].layers) if layer not in family.without]
        found = [tensor for tensor in tensors if tensor is not None]
        if len(found) > len(attention):  # Funnel and CANINE give their pooled layers too.
            found = [found[layer] for layer in attention]
        assert len(found) == len(attention)
        weights = [tensor.softmax(-1) if kind in family.returns_scores else tensor for tensor in found]
        maps[kind] = {
            layer: _whole(tensor[0].numpy(), family, kind) for layer, tensor in zip(attention, weights, strict=True)
        }
    return Reference(result.last_hidden_state.numpy(), maps)


def _whole(weights: np.ndarray, family: Family, kind: Kind) -> np.ndarray:
    """`[head, query, key]`, from whatever shape a family returns."""
    if family.name == "prophetnet" and kind == "cross":
        return weights[:, :TARGET]
    if family.name == "longformer" or (family.name == "led" and kind == "encoder"):
        heads, queries, window = weights.shape
        whole = np.zeros((heads, queries, queries), np.float32)
        for query in range(queries):
            for offset in range(window):
                key = query + offset - window // 2
                if 0 <= key < queries:
                    whole[:, query, key] = weights[:, query, offset]
        return whole
    return weights


@dataclass
class Streamed:
    """Everything that a run handed over, put together."""

    output: np.ndarray
    report: Report
    blocks: list[Block]

    def map(self, kind: Kind, layer: int, head: int, keys: int) -> dict[int, np.ndarray]:
        """query -> weights, with the keys that were cut off filled in as zeros."""
        return {query: _padded(row, keys, 0.0) for query, row in self._rows("weights", kind, layer, head)}

    def scores(self, kind: Kind, layer: int, head: int, keys: int) -> dict[int, np.ndarray]:
        """query -> scores, with the keys that were cut off filled in as minus infinity."""
        return {query: _padded(row, keys, -np.inf) for query, row in self._rows("scores", kind, layer, head)}

    def sinks(self, kind: Kind, layer: int, head: int) -> dict[int, float]:
        """query -> share of a learned sink; nothing where there is none."""
        if all(block.sink is None for block in self.blocks if (block.kind, block.layer) == (kind, layer)):
            return {}
        return {query: float(value) for query, value in self._rows("sink", kind, layer, head)}

    def visible(self, kind: Kind, layer: int) -> dict[int, tuple[int, int]]:
        """query -> first key that it sees, and one past the last."""
        return {
            block.start + row: (int(first), int(last))
            for block in self.blocks
            if (block.kind, block.layer) == (kind, layer)
            for row, (first, last) in enumerate(block.visible)
        }

    def _rows(self, what: str, kind: Kind, layer: int, head: int) -> list[tuple[int, np.ndarray]]:
        return [
            (block.start + row, values)
            for block in self.blocks
            if (block.kind, block.layer) == (kind, layer) and head in block.heads
            for row, values in enumerate(getattr(block, what)[block.heads.index(head)])
        ]


def _padded(row: np.ndarray, keys: int, fill: float) -> np.ndarray:
    return np.concatenate((row, np.full(keys - len(row), fill, row.dtype)))


def everything(model: PreTrainedModel, **options: Any) -> Request:
    """A request for every head of every layer."""
    heads = {
        kind: {layer: tuple(range(number)) for layer, number in stack.heads.items()}
        for kind, stack in stacks(model).items()
    }
    return Request(heads=heads, **options)


def run(
    model: PreTrainedModel,
    inputs: Mapping[str, Any],
    request: Request,
    rows: int | None = 5,
    cuts: tuple[ZeroedHeads, ...] = (),
) -> Streamed:
    """Stream, and keep the blocks and the model's own output."""
    outputs: list[np.ndarray] = []
    hook = model.register_forward_hook(lambda _, __, result: outputs.append(result.last_hidden_state.numpy()))
    blocks: list[Block] = []
    try:
        report = stream(model, inputs, request, blocks.append, rows=rows, cuts=cuts)
    finally:
        hook.remove()
    (output,) = outputs
    return Streamed(output, report, blocks)
