"""Families that the tests do not cover: what of them reads a text, and which of their layers have a map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertModel, PreTrainedModel

from attn_cli.data.plan import make_plan
from attn_cli.data.selection import Kind, Selection
from attn_cli.data.stream import Report, Request
from attn_cli.errors import ModelError, SelectionError
from attn_cli.models import Input
from attn_cli.models.capture import stream as capture
from attn_cli.models.hf.model import Pretrained
from attn_cli.models.hf.prepared import PretrainedSource
from attn_cli.models.hf.trial import TESTED, is_tested
from tests.models import folders
from tests.models.families import BERT, FAMILIES, build, make

TEXT = "the trophy did suit because it was too big"
TEXT_PART: dict[str, Any] = {
    "vocab_size": 113,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 37,
    "max_position_embeddings": 67,
}
GROUPED = TEXT_PART | {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
IMAGES = {
    "hidden_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "intermediate_size": 17,
    "image_size": 8,
    "patch_size": 4,
}
T5 = {
    "vocab_size": 113,
    "d_model": 24,
    "d_kv": 8,
    "d_ff": 37,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
}
BLT = GROUPED | {"hidden_size_global": 64, "cross_attn_k": 2}

PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "CLIP": ("text_model", {"text_config": TEXT_PART, "vision_config": IMAGES}),
    "Siglip": ("text_model", {"text_config": TEXT_PART, "vision_config": IMAGES}),
    "OwlViT": ("text_model", {"text_config": TEXT_PART, "vision_config": IMAGES}),
    "Kosmos2": (
        "text_model",
        {
            "text_config": {
                "vocab_size": 113,
                "embed_dim": 24,
                "attention_heads": 3,
                "layers": 2,
                "ffn_dim": 37,
                "max_position_embeddings": 67,
            },
            "vision_config": IMAGES,
        },
    ),
}
VISION_TOKENS = {"vision_start_token_id": 90, "vision_end_token_id": 91}
OMNI = {
    "enable_audio_output": False,
    "thinker_config": VISION_TOKENS
    | {
        "text_config": GROUPED | {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1]}},
        "audio_config": {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 17},
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "num_heads": 2,
            "intermediate_size": 17,
            "out_hidden_size": 32,
        },
    },
}
DEEPSEEK_V4 = GROUPED | {
    "num_hidden_layers": 3,
    "q_lora_rank": 16,
    "o_lora_rank": 16,
    "intermediate_size": 32,
    "moe_intermediate_size": 32,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "layer_types": ["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"],
    "mlp_layer_types": ["moe"] * 3,
    "sliding_window": 5,
    "index_n_heads": 4,
    "index_head_dim": 8,
    "index_topk": 4,
}
DIFFUSION_GEMMA = {
    "text_config": GROUPED
    | {
        "global_head_dim": 16,
        "sliding_window": 5,
        "layer_types": ["sliding_attention", "full_attention"],
        "num_experts": 4,
        "top_k_experts": 2,
        "moe_intermediate_size": 16,
    },
    "vision_config": IMAGES | {"num_key_value_heads": 2, "head_dim": 8, "position_embedding_size": 16},
    "canvas_length": 7,
}
OTHER = "attention over positions other than the text's tokens"
REST: dict[str, tuple[dict[str, Any], dict[Kind, tuple[list[int], dict[int, str]]]]] = {
    "Idefics2": (
        {
            "text_config": GROUPED | {"model_type": "mistral"},
            "vision_config": IMAGES,
            "perceiver_config": {"hidden_size": 32, "num_key_value_heads": 2, "resampler_n_heads": 4},
        },
        {"decoder": ([0, 1], {})},
    ),
    "DiffusionGemma": (DIFFUSION_GEMMA, {"encoder": ([0, 1], {})}),
    "DeepseekV4": (DEEPSEEK_V4, {"decoder": ([0, 2], {1: OTHER})}),
    "T5Gemma2": (
        {
            "encoder": {"text_config": GROUPED | {"sliding_window": 5}, "vision_config": IMAGES},
            "decoder": GROUPED | {"sliding_window": 5},
        },
        {"encoder": ([0, 1], {})},
    ),
    "Blt": (
        {
            "vocab_size": 113,
            "cross_attn_k": 2,
            "encoder_hash_byte_group_vocab": 50,
            "encoder_hash_byte_group_size": [3],
            "encoder_hash_byte_group_nb_functions": 1,
            "encoder_config": BLT,
            "decoder_config": BLT,
            "global_config": GROUPED | {"hidden_size": 64, "num_attention_heads": 8},
            "patcher_config": GROUPED,
        },
        {"decoder": ([0, 1, 4, 5, 6, 7], {2: OTHER, 3: OTHER})},
    ),
}


def _opened(folder: Path, family: str, settings: dict[str, Any]) -> Pretrained:
    return folders.opened(folders.save(folder, folders.made(family, **settings), folders.wordpiece()))


def _as_transformers_says(model: PreTrainedModel, given: Any) -> dict[tuple[str, int], np.ndarray]:
    """The weights that each attention module returns in a plain run with eager attention."""
    found: dict[tuple[str, int], np.ndarray] = {}
    hooks = [
        module.register_forward_hook(
            lambda _, __, result, place=site.places[0]: found.update({(place.kind, place.layer): result[1][0].numpy()})
        )
        for module, site in capture.anatomy_of(model).sites.items()
    ]
    assert model.config._attn_implementation == "eager"
    with torch.no_grad(), capture.left_as_found(model, None):  # without a cache
        model(**given, output_attentions=True)
    for hook in hooks:
        hook.remove()
    return found


def _assert_exact(source: Any) -> None:
    assert isinstance(source, PretrainedSource)
    expected = _as_transformers_says(source.module, source.inputs)
    for place, blocks in folders.everything(source).items():
        weights = expected[place]
        assert weights.std() > 0
        for block in blocks:
            rows = weights[:, block.start : block.start + block.weights.shape[1]]
            keys = block.weights.shape[2]
            np.testing.assert_allclose(block.weights, rows[..., :keys], atol=1e-6)
            assert not rows[..., keys:].any()


@pytest.mark.parametrize("family", PARTS)
def test_the_part_that_reads_text_is_shown_where_the_whole_needs_more(tmp_path: Path, family: str) -> None:
    path, settings = PARTS[family]
    model = _opened(tmp_path, family, settings)
    source = model.prepare(Input(TEXT))
    assert model.model is not None
    assert source.notes == (f"The text part of {model.info.name} ({path}) is shown, on its own",)
    assert model.info.parameters == model.model.num_parameters()
    _assert_exact(source)


def test_a_model_that_is_only_made_of_others(tmp_path: Path) -> None:
    whole = folders.made("Qwen2_5Omni", "ForConditionalGeneration", **OMNI)
    model = folders.opened(folders.save(tmp_path, whole, folders.wordpiece()))
    assert list(model.info.stacks) == ["decoder"]
    source = model.prepare(Input(TEXT))
    assert source.notes == (f"The text part of {model.info.name} (thinker) is shown, on its own",)
    _assert_exact(source)


def test_a_number_that_a_part_has_of_its_own(tmp_path: Path) -> None:
    """PaliGemma's own vocabulary is Gemma's until it is told, and no weight is made for it."""
    text = GROUPED | {"model_type": "gemma", "num_hidden_layers": 1}
    settings = {"text_config": text, "vision_config": IMAGES, "projection_dim": 32, "image_token_index": 110}
    source = _opened(tmp_path, "PaliGemma", settings).prepare(Input(TEXT))
    assert isinstance(source, PretrainedSource)
    assert source.module.config.vocab_size > max(weights.shape[0] for weights in source.module.parameters())
    _assert_exact(source)


@pytest.mark.parametrize("family", REST)
def test_what_has_no_part_in_a_text_is_left_out(tmp_path: Path, family: str) -> None:
    settings, expected = REST[family]
    model = _opened(tmp_path, family, settings)
    assert {kind: (list(stack.heads), stack.without) for kind, stack in model.info.stacks.items()} == expected
    _assert_exact(model.prepare(Input(TEXT)))


def test_a_layer_without_a_map_says_so(tmp_path: Path) -> None:
    source = _opened(tmp_path, "DeepseekV4", DEEPSEEK_V4).prepare(Input(TEXT))
    with pytest.raises(SelectionError, match=f"Layer 1 has {OTHER}, which is not a map from token to token") as raised:
        make_plan(source, Selection(layer="1"))
    assert raised.value.remedy == "The layers with attention are 0, 2"


def test_a_layer_that_has_no_map_of_a_long_text_is_left_out_of_that_text_alone(tmp_path: Path) -> None:
    """DeepSeek-V4's heavily compressed attention looks at summaries of 128 tokens, where there are so many."""
    model = _opened(tmp_path, "DeepseekV4", DEEPSEEK_V4 | {"max_position_embeddings": 512})
    long = model.prepare(Input(" ".join([TEXT] * 16)))
    assert len(long.source) > 128
    assert (list(long.model.stacks["decoder"].heads), long.model.stacks["decoder"].without) == (
        [0],
        {1: OTHER, 2: OTHER},
    )
    assert long.notes == (f"In a text of so many tokens, decoder layer 2 has {OTHER}, and is left out",)
    _assert_exact(long)
    with pytest.raises(SelectionError, match=f"Layer 2 has {OTHER}"):
        make_plan(long, Selection(layer="2"))
    short = model.prepare(Input(" ".join([TEXT] * 8)))
    assert 64 < len(short.source) < 128
    assert (list(short.model.stacks["decoder"].heads), short.notes) == ([0, 2], ())
    _assert_exact(short)


def test_a_kind_without_a_map_is_noted_and_translating_is_refused(tmp_path: Path) -> None:
    model = _opened(tmp_path, "T5Gemma2", REST["T5Gemma2"][0])
    (note,) = model.prepare(Input(TEXT)).notes
    assert note == f"The decoder attention of {model.info.name} is not shown: it has no map from token to token"
    with pytest.raises(ModelError, match="its decoder has no map from its tokens to the text's"):
        model.translate([TEXT])


def test_an_encoder_whose_decoder_starts_from_chance_is_told_apart_from_it_and_held_against_the_plain_run(
    tmp_path: Path,
) -> None:
    source = _opened(tmp_path, "DiffusionGemma", DIFFUSION_GEMMA).prepare(Input(TEXT))
    report = source.stream(Request(heads={"encoder": {0: (0,), 1: (1,)}}, verify=True), lambda _: None)
    assert report.notes == (f"The decoder attention of {tmp_path} is not shown: it has no map from token to token",)
    assert report.output is not None
    assert report.output.compared == ("encoder's last hidden state",)
    assert report.output.difference < 1e-4


def test_a_decoder_is_shown_though_its_encoder_cannot_be(tmp_path: Path) -> None:
    """LongT5's encoder attends within blocks, and its decoder is T5's."""
    model = _opened(tmp_path, "LongT5", T5)
    assert list(model.info.stacks) == ["decoder", "cross"]
    source = model.prepare(Input(TEXT, target="it was big"))
    assert source.notes == (
        f"The encoder attention of {model.info.name} is not shown: it has no map from token to token",
    )
    assert isinstance(source, PretrainedSource)
    with torch.no_grad():
        expected: Any = source.module(**source.inputs, output_attentions=True)
    of = {"decoder": expected.decoder_attentions, "cross": expected.cross_attentions}
    found = folders.everything(source)
    assert {kind for kind, _ in found} == {"decoder", "cross"}
    for (kind, layer), (block,) in found.items():
        keys = block.weights.shape[2]
        np.testing.assert_allclose(block.weights, of[kind][layer][0, ..., :keys], atol=1e-6)


def test_an_encoder_is_shown_though_its_decoder_writes_no_text(tmp_path: Path) -> None:
    """Dia's decoder is given nine codes of sound at a time."""
    side = {"num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8, "hidden_size": 32, "intermediate_size": 37}
    decoder = side | {"num_key_value_heads": 2, "cross_num_attention_heads": 4, "cross_head_dim": 8}
    decoder |= {"cross_num_key_value_heads": 4, "cross_hidden_size": 32, "vocab_size": 31}
    settings = {"encoder_config": side | {"num_key_value_heads": 4, "vocab_size": 113}, "decoder_config": decoder}
    special = {"pad_token_id": 28, "bos_token_id": 29, "eos_token_id": 30}
    model = _opened(tmp_path, "Dia", settings | special)
    assert list(model.info.stacks) == ["encoder"]
    source = model.prepare(Input(TEXT))
    assert source.notes == (f"{tmp_path} does not write text, so only its encoder is shown",)
    assert isinstance(source, PretrainedSource)
    assert "decoder_input_ids" not in source.inputs
    with torch.no_grad():
        expected: Any = source.module(**source.inputs, output_attentions=True)
    for (_, layer), (block,) in folders.everything(source).items():
        np.testing.assert_allclose(block.weights, expected.encoder_attentions[layer][0], atol=1e-6)


@pytest.mark.parametrize(
    ("family", "settings", "needs"),
    [
        ("Vilt", TEXT_PART | IMAGES, "images (pixel_values)"),
        (
            "Lxmert",
            {name: value for name, value in TEXT_PART.items() if name != "num_hidden_layers"}
            | {"l_layers": 1, "r_layers": 1, "x_layers": 1, "visual_feat_dim": 8},
            "the features of an image (visual_feats)",
        ),
        ("Bros", TEXT_PART | {"dim_bbox_sinusoid_emb_2d": 8}, "the place of each token on its page (bbox)"),
        ("Udop", T5, "the place of each token on its page (bbox)"),
    ],
)
def test_what_a_model_needs_beside_a_text_is_named(
    tmp_path: Path, family: str, settings: dict[str, Any], needs: str
) -> None:
    with pytest.raises(ModelError) as raised:
        _opened(tmp_path, family, settings)
    assert raised.value.problem == f"{tmp_path} does not run on a text alone: it is given {needs} with it"
    assert raised.value.remedy == "Give a model that reads text alone"


def test_a_model_whose_tokens_go_by_another_name(tmp_path: Path) -> None:
    """Perceiver's inputs may be tokens, images or anything else."""
    settings = {"vocab_size": 113, "num_latents": 4, "d_latents": 8, "d_model": 8, "num_self_attends_per_block": 1}
    with pytest.raises(ModelError, match=r"takes what it reads as inputs, and attn gives .* as input_ids"):
        _opened(tmp_path, "Perceiver", settings | {"num_self_attention_heads": 2, "num_cross_attention_heads": 2})


def test_only_families_that_no_test_covers_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    stream = capture.stream

    def counted(model: PreTrainedModel, *rest: Any) -> Report:
        runs.append(model.config.model_type)
        return stream(model, *rest)

    monkeypatch.setattr(capture, "stream", counted)
    folders.opened(folders.bert(tmp_path / "bert"))
    assert runs == []
    _opened(tmp_path / "lilt", "Lilt", TEXT_PART | {"channel_shrink_ratio": 3, "max_2d_position_embeddings": 16})
    assert runs == ["lilt"]


class OwnBert(BertModel):  # type: ignore[no-untyped-call]
    """Code that a model's folder might bring, under a name that is known."""


def test_it_lists_what_is_tested_and_nothing_else() -> None:
    assert set(FAMILIES) == TESTED


def test_code_of_ones_own_is_not_tested() -> None:
    config: Any = build("bert").config
    assert is_tested(build("bert"))
    assert not is_tested(OwnBert(config))
    assert not is_tested(make("lilt", BERT | {"hidden_size": 36, "channel_shrink_ratio": 3}))
