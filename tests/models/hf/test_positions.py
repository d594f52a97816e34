"""Texts that are longer than the model has positions for, or have a segment too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from attn_cli.data.stream import Request
from attn_cli.errors import InputError
from attn_cli.models import Input
from attn_cli.models.hf.model import Pretrained
from tests.models import folders


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.bert(tmp_path_factory.mktemp("models") / "bert")


def test_a_text_that_is_too_long_by_one(bert: Path) -> None:
    model = folders.opened(bert)  # 41 positions, two of them for the special tokens
    assert len(model.prepare(Input("it " * 39)).source) == 41
    with pytest.raises(InputError, match="has 42 tokens, 1 more than the 41") as raised:
        model.prepare(Input("it " * 40))
    assert "--truncate" in raised.value.remedy
    cut = model.prepare(Input("it " * 40, truncate=True))
    assert [token.piece for token in cut.source.tokens] == ["[CLS]", *["it"] * 39, "[SEP]"]
    assert cut.notes == ("The text was cut to 41 of its 42 tokens",)
    assert model.prepare(Input("it", truncate=True)).notes == ()


SIZES = {"vocab_size": 401, "hidden_size": 20, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 7}
BOTH = {
    "vocab_size": 401,
    "d_model": 20,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 7,
    "decoder_ffn_dim": 7,
    "max_position_embeddings": 13,
}
GPT = {"vocab_size": 401, "n_embd": 20, "n_head": 2, "n_layer": 1, "n_positions": 13}


@pytest.mark.parametrize(
    ("family", "settings", "limit"),
    [
        ("Bert", SIZES | {"max_position_embeddings": 13}, 13),
        ("Roberta", SIZES | {"max_position_embeddings": 13, "pad_token_id": 1}, 11),
        ("MPNet", SIZES | {"max_position_embeddings": 13, "pad_token_id": 1}, 11),
        ("DistilBert", {"vocab_size": 401, "dim": 20, "n_heads": 2, "n_layers": 1, "max_position_embeddings": 13}, 13),
        ("GPT2", GPT, 13),
        ("OpenAIGPT", GPT, 13),
        ("GPTJ", GPT | {"rotary_dim": 4}, 13),
        ("OPT", SIZES | {"max_position_embeddings": 13, "ffn_dim": 7, "word_embed_proj_dim": 20}, 13),
        ("Mpt", {"vocab_size": 401, "d_model": 20, "n_heads": 2, "n_layers": 1, "max_seq_len": 13}, 13),
        ("Bart", BOTH, 13),
        ("Marian", BOTH | {"pad_token_id": 1, "decoder_start_token_id": 1}, 13),
        ("M2M100", BOTH, None),
        ("Llama", SIZES | {"max_position_embeddings": 13}, None),
        (
            "T5",
            {
                "vocab_size": 401,
                "d_model": 20,
                "d_kv": 10,
                "d_ff": 7,
                "num_layers": 1,
                "num_heads": 2,
                "decoder_start_token_id": 0,
            },
            None,
        ),
        ("Bloom", {"vocab_size": 401, "hidden_size": 20, "n_layer": 1, "n_head": 2}, None),
    ],
)
def test_the_limit_is_where_the_model_itself_fails(family: str, settings: dict[str, Any], limit: int | None) -> None:
    body = folders.made(family, **settings)
    model = Pretrained("tiny", body, folders.roberta())
    longest = 40 if limit is None else limit

    def run(tokens: int) -> None:
        ids = torch.full((1, tokens), 7)
        with torch.no_grad():
            body(input_ids=ids, **({"decoder_input_ids": ids} if model.two_sided else {}))

    run(longest)
    text = "a" + " a" * (longest - 3)  # `<s>` and `</s>` stand around it
    assert len(model.prepare(Input(text)).source) == longest
    if limit is None:
        assert len(model.prepare(Input(text + " a")).source) > longest
    else:
        with pytest.raises((IndexError, RuntimeError)):
            run(limit + 1)
        with pytest.raises(InputError, match=f"more than the {limit}"):
            model.prepare(Input(text + " a"))


def test_a_computed_position_can_be_past_the_training(tmp_path: Path) -> None:
    body = folders.made("Llama", **SIZES, max_position_embeddings=5, num_key_value_heads=1)
    model = folders.opened(folders.save(tmp_path, body, folders.llama()))
    assert model.info.positions == 5
    assert model.prepare(Input("a a")).notes == ()
    long = model.prepare(Input("a a a a a a a"))
    assert "trained with at most 5 tokens" in long.notes[0]
    assert long.stream(Request({"decoder": {0: (1,)}}), lambda _: None).notes == long.notes
    assert len(model.prepare(Input("a a a a a a a", truncate=True)).source) == 5


def test_the_positions_of_images_are_not_those_of_text(tmp_path: Path) -> None:
    seen = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 7}
    body = folders.made(
        "Llava",
        text_config=SIZES | {"model_type": "llama", "max_position_embeddings": 5, "num_key_value_heads": 1},
        vision_config=seen | {"model_type": "clip_vision_model", "image_size": 8, "patch_size": 4},
        image_token_index=400,
    )
    model = folders.opened(folders.save(tmp_path, body, folders.llama()))
    assert model.info.positions == 5
    assert "trained with at most 5" in model.prepare(Input("a a a a a a")).notes[0]


def test_a_model_that_knows_one_segment(tmp_path: Path) -> None:
    model = folders.opened(folders.bert(tmp_path, type_vocab_size=1))
    assert len(model.prepare(Input("a")).source) == 3
    with pytest.raises(InputError, match="takes one text, not two"):
        model.prepare(Input("a", pair="b"))
