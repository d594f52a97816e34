"""Settings that published checkpoints of tested families have and the small models of `families.py` do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attn_cli.data.stream import Batch, Block, Kind, Request
from attn_cli.errors import ModelError
from attn_cli.models.capture.batch import NotTogetherError, pad, run_together
from attn_cli.models.capture.stream import stacks, stream
from tests.models import folders
from tests.models.families import (
    BART,
    BERT,
    FAMILIES,
    PADDING,
    SOURCE,
    VOCABULARY,
    build,
    everything,
    inputs_of,
    make,
    reference,
    run,
)

GROUPS = dict.fromkeys(("q_groups", "k_groups", "v_groups", "intermediate_groups", "output_groups"), 4)
PUBLISHED: list[tuple[str, dict[str, Any]]] = [
    ("albert", {"num_hidden_groups": 1}),  # all of them
    ("convbert", {"num_groups": 2, "embedding_size": 12, "intermediate_size": 36}),  # conv-bert-medium-small
    # deberta-base; deberta-v3-base; deberta-v2-xlarge
    ("deberta", {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}),
    (
        "deberta-v2",
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_buckets": 4,
        },
    ),
    (
        "deberta-v2",
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "share_att_key": False,
            "conv_kernel_size": 3,
            "conv_act": "gelu",
        },
    ),
    ("esm", {"position_embedding_type": "rotary", "token_dropout": True, "mask_token_id": 3}),  # ESM-2
    (
        "bloom",
        {"apply_residual_connection_post_layernorm": True, "slow_but_exact": True, "pretraining_tp": 4},
    ),  # bloom-7b1
    ("cohere", {"use_qk_norm": True}),  # Command R+
    ("deepseek_v2", {"q_lora_rank": None}),  # V2-Lite
    (
        "deepseek_v3",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 1e4,
                "factor": 8.0,
                "original_max_position_embeddings": 8,
                "mscale": 1.0,
                "mscale_all_dim": 1.0,
            },
        },
    ),
    ("falcon", {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True}),  # falcon-rw-1b
    ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2, "num_attention_heads": 6}),  # falcon-40b
    ("funnel", {"attention_type": "factorized"}),
    ("gemma2", {"attn_logit_softcapping": 2.0}),  # all of them
    ("gemma3_text", {"use_bidirectional_attention": True}),  # EmbeddingGemma
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True}),  # stanford-crfm
    ("gpt_bigcode", {"multi_query": False}),
    ("gpt_neox", {"rotary_pct": 0.25, "use_parallel_residual": False, "attention_bias": False}),
    ("granite", {"attention_multiplier": 0.2, "embedding_multiplier": 12.0, "residual_multiplier": 0.22}),  # 3.x
    (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 5e5,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8,
            },
        },
    ),  # 3.1 and later
    ("llama4_text", {"no_rope_layers": [1, 1, 0], "use_qk_norm": True, "attn_temperature_tuning": True}),  # Scout
    ("mbart", {"scale_embedding": True}),
    ("mpt", {"attn_config": {"clip_qkv": 0.5, "softmax_scale": 0.3}}),
    ("opt", {"do_layer_norm_before": False, "word_embed_proj_dim": 16}),  # opt-350m
    ("olmo", {"clip_qkv": 0.5}),  # 7B
    ("persimmon", {"qk_layernorm": True, "partial_rotary_factor": 0.5}),  # 8B
    ("phi", {"partial_rotary_factor": 0.5}),  # Phi-1.5
    ("phi3", {"sliding_window": 5}),  # Phi-3-mini
    ("qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
    ("roformer", {"rotary_value": True, "embedding_size": 17}),
    ("squeezebert", GROUPS | {"hidden_size": 36, "embedding_size": 36, "intermediate_size": 48}),  # all of them
    ("stablelm", {"use_qkv_bias": True, "qk_layernorm": True, "use_parallel_residual": True}),  # StableLM 2 12B
    ("t5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),  # 1.1, Flan
    ("xlm", {"use_lang_emb": True, "n_langs": 3, "sinusoidal_embeddings": True}),
    ("xlm", {"causal": True}),  # xlm-clm-ende-1024
    ("xlnet", {"attn_type": "uni", "clamp_len": 5, "same_length": True}),
]


def assert_close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), PUBLISHED, ids=[name for name, _ in PUBLISHED])
def test_settings_of_published_checkpoints_are_exact(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build.__wrapped__(name, **options)
    inputs = inputs_of(model)
    expected = reference(model, inputs)
    streamed = run(model, inputs, everything(model, scores=True, verify=True))
    assert_close(streamed.output, expected.output)
    for kind, layers in expected.maps.items():
        for layer, maps in layers.items():
            for head, weights in enumerate(maps):
                keys = weights.shape[1]
                assert_close(np.stack(list(streamed.map(kind, layer, head, keys).values())), weights)
                scores = torch.tensor(np.stack(list(streamed.scores(kind, layer, head, keys).values())))
                assert_close(scores.softmax(-1).numpy(), weights)
    assert streamed.report.verified is not None
    assert streamed.report.verified < 1e-5


SPARSE = {"big_bird": BERT, "bigbird_pegasus": BART}
"""Families that attend within blocks of a long text and replace their attention when they get a short one."""
SMALL_BLOCKS = {"block_size": 2, "num_random_blocks": 1}
"""With these, a text is long from 15 tokens on."""


def types_of(model: Any) -> list[str]:
    return [module.attention_type for module in model.modules() if hasattr(module, "attention_type")]


@pytest.mark.parametrize("name", SPARSE)
def test_a_short_text_is_exact_again_and_again_where_the_model_replaces_its_attention(name: str) -> None:
    model = make(name, SPARSE[name])
    full = make(name, SPARSE[name] | {"attention_type": "original_full"})
    full.load_state_dict(model.state_dict())
    inputs = inputs_of(model)
    with torch.no_grad():
        expected = full(**inputs, output_attentions=True)
    returned: dict[Kind, Any] = {"encoder": expected.get("encoder_attentions", expected.get("attentions"))}
    if name == "bigbird_pegasus":
        returned |= {"decoder": expected.decoder_attentions, "cross": expected.cross_attentions}
    before, modules = types_of(model), list(model.modules())
    for _ in range(2):
        streamed = run(model, inputs, everything(model, verify=True))
        assert_close(streamed.output, expected.last_hidden_state)
        for kind, layers in returned.items():
            assert len(layers) == stacks(model)[kind].layers
            for layer, maps in enumerate(layers):
                for head, weights in enumerate(maps[0].numpy()):
                    got = streamed.map(kind, layer, head, weights.shape[1])
                    assert_close(np.stack(list(got.values())), weights)
        assert "block_sparse" in before
        assert types_of(model) == before
        assert all(one is other for one, other in zip(modules, model.modules(), strict=True))
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)


@pytest.mark.parametrize("name", SPARSE)
def test_a_text_that_is_read_in_blocks_is_refused_whatever_was_read_before(name: str) -> None:
    model = make(name, SPARSE[name] | SMALL_BLOCKS)
    short = inputs_of(model)
    long = short | {"input_ids": short["input_ids"].repeat(1, 2)}
    with torch.no_grad():
        alone = make(name, SPARSE[name] | SMALL_BLOCKS)(**long).last_hidden_state.numpy()
    stream(model, short, everything(model), lambda _: None)
    with pytest.raises(ModelError, match=f"encoder layer 0 of the family {name} attends among blocks of 2") as raised:
        stream(model, long, everything(model), lambda _: None)
    assert "at most 14 tokens" in raised.value.remedy
    at_most = short | {"input_ids": long["input_ids"][:, :14]}
    stream(model, at_most, everything(model), lambda _: None)
    if name == "bigbird_pegasus":  # whose decoder can be seen all the same
        kinds: tuple[Kind, ...] = ("decoder", "cross")
        streamed = run(model, long, Request(heads={kind: everything(model).heads[kind] for kind in kinds}))
        assert {block.kind for block in streamed.blocks} == {"decoder", "cross"}
        assert_close(streamed.output, alone)


def test_several_texts_are_not_padded_into_blocks() -> None:
    model = make("bigbird_pegasus", BART | SMALL_BLOCKS)
    mask = torch.ones(1, SOURCE, dtype=torch.long)
    texts = [inputs_of(model) | {"attention_mask": mask}]
    request = Request(heads={"decoder": everything(model).heads["decoder"]})

    def batches() -> list[Batch]:
        return [batch for group in run_together(model, [pad(texts, PADDING)], request) for batch in group]

    with pytest.raises(NotTogetherError):
        batches()


def test_a_translation_leaves_the_attention_of_a_long_text_as_it_was(tmp_path: Any) -> None:
    sizes = BART | {"vocab_size": 401, "d_model": 30}
    whole = folders.made("BigBirdPegasus", "ForConditionalGeneration", **sizes)
    model = folders.opened(folders.save(tmp_path, whole, folders.t5()))
    before = types_of(model.model)
    assert "block_sparse" in before
    (translation,) = model.translate(["the trophy"])
    assert translation.ids
    assert types_of(model.model) == before


def test_a_model_that_was_run_before_it_was_looked_at_and_after() -> None:
    model = make("big_bird", BERT)
    expected = stacks(model)
    with torch.no_grad():
        model(**inputs_of(model))  # which replaces its modules for good
    assert types_of(model) == ["original_full"] * len(types_of(model))
    assert stacks(model) == expected
    assert len({block.layer for block in run(model, inputs_of(model), everything(model)).blocks}) == 3


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("ibert", {"quant_mode": True}, "encoder layer 0 of the family ibert takes no softmax"),
        (
            "mvp",
            {"use_prompt": True, "prompt_length": 3, "prompt_mid_dim": 7},
            "5 x 11 x 14 numbers where 5 heads x 11 x 11 tokens are expected",
        ),
    ],
)
def test_what_has_no_map_from_token_to_token_is_refused(name: str, options: dict[str, Any], problem: str) -> None:
    model = make(name, dict(FAMILIES[name].options) | options)
    with pytest.raises(ModelError, match=problem):
        stream(model, inputs_of(model), everything(model), lambda _: None)


def test_a_landmark_for_every_token_is_full_attention() -> None:
    """Nystromformer's published settings; its convolution over the values comes beside the weights."""
    model = make("nystromformer", BERT)
    inputs = inputs_of(model)
    with torch.no_grad():
        expected = model(**inputs, output_attentions=True)
    blocks: list[Block] = []
    stream(model, inputs, everything(model), blocks.append, rows=VOCABULARY)
    for block in blocks:
        assert_close(block.weights, expected.attentions[block.layer][0].numpy())
