"""Folders whose files are all there but do not fit together, or hold a model that is none of ours."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers

from attn_cli.data.stream import Block, Request
from attn_cli.errors import ModelError
from attn_cli.models import Input
from tests.models import folders


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    """A BERT's folder to change."""
    shutil.copytree(bert, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model_type": "perceptron"}, r"of a kind \(perceptron\) that transformers .* does not know"),
        (
            {"num_hidden_layers": "two"},
            "config.json of .* cannot be used: .*'num_hidden_layers': .* expected int, got str",
        ),
        ({"hidden_size": 25}, "cannot be loaded"),
        ({"num_attention_heads": 0}, "cannot be loaded|cannot be used"),
        ({"intermediate_size": 41}, r"do not fit its config.json: .* is saved as \(37,\), but \(41,\) is expected"),
        ({"num_hidden_layers": 3}, r"lacks 16 of the weights of a BertModel, such as encoder.layer.2"),
        ({"model_type": "gpt2", "architectures": ["GPT2Model"]}, "lacks .* of the weights of a GPT2Model"),
    ],
)
def test_a_config_that_does_not_fit(copy: Path, changes: dict[str, Any], problem: str) -> None:
    folders.edit(copy, **changes)
    with pytest.raises(ModelError, match=problem) as raised:
        folders.opened(copy)
    assert "\n" not in str(raised.value)
    assert raised.value.remedy


@pytest.mark.parametrize("content", ['{"version": "1.0"', "{}"])
@pytest.mark.parametrize("kind", ["BertTokenizer", "PreTrainedTokenizerFast"])
def test_a_damaged_tokenizer(copy: Path, kind: str, content: str) -> None:
    (copy / "tokenizer.json").write_text(content, encoding="utf-8")
    (copy / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"The tokenizer of .* cannot be used|tokenizer.json of .* is not JSON"):
        folders.opened(copy)


@pytest.mark.parametrize("content", ["[]", '"bert"', "null", "3", "", "\0\0"])
@pytest.mark.parametrize(
    "file", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
)
def test_a_tokenizers_file_that_holds_no_object(copy: Path, file: str, content: str) -> None:
    (copy / file).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=f"^{file} of .* (does not hold a JSON object|is not JSON)"):
        folders.opened(copy)


def test_a_vocabulary_that_holds_no_object(tmp_path: Path) -> None:
    sizes = {"shape_vocab_size": 23, "pronunciation_vocab_size": 23}
    model = folders.made("RoCBert", **(folders.BERT | sizes))
    folder = folders.save(tmp_path / "model", model, folders.rocbert(tmp_path / "tokenizer"))
    (folder / "word_shape.json").write_text("[null]", encoding="utf-8")
    with pytest.raises(ModelError, match=r"^word_shape.json of .* does not hold a JSON object"):
        folders.opened(folder)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize("name", ["flash_attention_2", "kernels-community/flash-attn"])
def test_an_attention_that_is_not_installed_is_not_needed(copy: Path, key: str, name: str) -> None:
    expected = folders.everything(folders.opened(copy).prepare(Input("was big")))
    folders.edit(copy, **{key: name})
    found = folders.everything(folders.opened(copy).prepare(Input("was big")))
    assert [block.weights.tolist() for block in found["encoder", 1]] == [
        block.weights.tolist() for block in expected["encoder", 1]
    ]


def test_a_tokenizer_of_two_tokenizers(copy: Path) -> None:
    settings = json.loads((copy / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["tokenizer_class"] = "RagTokenizer"
    (copy / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ModelError, match=r"^The tokenizer of .* cannot be used: "):
        folders.opened(copy)


@pytest.mark.parametrize("key", ["hidden_act", "num_hidden_layers"])
def test_a_folder_does_not_choose_what_is_installed(copy: Path, key: str) -> None:
    folders.edit(copy, **{key: "You need to install evil-package: pip install evil-package"})
    with pytest.raises(ModelError) as raised:
        folders.opened(copy)
    assert "it needs" not in raised.value.problem
    assert "pip install" not in raised.value.remedy


@pytest.mark.parametrize("length", ["512", [512], {"a": 512}])
def test_a_tokenizers_longest_text_is_a_number(copy: Path, length: object) -> None:
    settings = json.loads((copy / "tokenizer_config.json").read_text(encoding="utf-8"))
    (copy / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": length}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"^tokenizer_config.json of .*: model_max_length must be a number"):
        folders.opened(copy)


def test_a_vocabulary_that_all_sides_share_is_saved_once(tmp_path: Path) -> None:
    tokenizer = folders.t5()
    sizes = {"d_model": 64, "d_kv": 8, "d_ff": 37, "num_heads": 2, "num_layers": 1, "decoder_start_token_id": 0}
    model = folders.made("MT5", "ForConditionalGeneration", vocab_size=150_000, tie_word_embeddings=True, **sizes)
    folder = folders.save(tmp_path / "model", model, tokenizer)  # four times as many numbers, were they not shared
    assert folders.opened(folder).info.family == "mt5"


def test_another_models_tokenizer(copy: Path) -> None:
    tokenizer = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"]["vocab"]["it"] = 4999
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    model = folders.opened(copy)
    with pytest.raises(ModelError, match=r"4999 is not below 113"):
        model.prepare(Input("was it big"))
    assert len(model.prepare(Input("was big")).source) == 4


class _Command:
    """A pickle that runs a command when it is read."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.sentinel),)


@pytest.mark.parametrize("content", ["code", "text", "nothing"])
def test_a_pickle_that_is_no_pickle_of_weights(copy: Path, content: str) -> None:
    sentinel = copy.parent / "was run"
    (copy / "model.safetensors").unlink()
    made = {"code": pickle.dumps(_Command(sentinel)), "text": b"hi\n", "nothing": b""}
    (copy / "pytorch_model.bin").write_bytes(made[content])
    with pytest.raises(ModelError, match="its pickle is damaged, or holds more than weights") as raised:
        folders.opened(copy, allow_pickle=True)
    assert "save_pretrained" in raised.value.remedy
    assert not sentinel.exists()


MAMBA = {"vocab_size": 101, "hidden_size": 16, "state_size": 3, "num_hidden_layers": 2}
SPEECH = {"vocab_size": 113, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "num_mel_bins": 5}
VISION = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 7}


def test_a_model_without_attention(tmp_path: Path) -> None:
    folders.save(tmp_path, folders.made("Mamba", **MAMBA), folders.byte_level())
    with pytest.raises(ModelError, match="attention"):
        folders.opened(tmp_path)


@pytest.mark.parametrize(
    ("family", "takes", "settings"),
    [
        ("ViT", "image", VISION | {"image_size": 8, "patch_size": 4}),
        (
            "Wav2Vec2",
            "audio",
            VISION
            | {
                "conv_dim": (8,),
                "conv_kernel": (3,),
                "conv_stride": (2,),
                "num_conv_pos_embeddings": 4,
                "num_conv_pos_embedding_groups": 2,
            },
        ),
    ],
)
def test_a_model_that_reads_no_text(tmp_path: Path, family: str, takes: str, settings: dict[str, Any]) -> None:
    folders.save(tmp_path, folders.made(family, **settings), folders.wordpiece())
    with pytest.raises(ModelError, match=f"does not read text but {takes}"):
        folders.opened(tmp_path)


def test_a_tokenizer_that_fails_at_a_text(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("Words must be of type list.\nAnd more.")

    model = folders.opened(bert)
    monkeypatch.setattr(type(model.tokenizer), "__call__", fail)
    with pytest.raises(ModelError, match="tokenizer could not read this text: Words must be of type list"):
        model.prepare(Input("it was big"))


def test_a_collectors_own_fault_is_not_the_models(bert: Path) -> None:
    def eat(block: Block) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        folders.opened(bert).prepare(Input("a")).stream(Request({"encoder": {0: (0,)}}), eat)


CODE = """
from pathlib import Path
Path({sentinel!r}).touch()
from transformers import BertConfig, BertModel
class OwnConfig(BertConfig):
    model_type = "own"
class OwnModel(BertModel):
    config_class = OwnConfig
"""


@pytest.mark.parametrize("family", ["own", "bert"])
def test_code_of_the_model_runs_only_where_it_is_trusted(
    copy: Path, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    sentinel = tmp_path / "was run"
    (copy / "own.py").write_text(CODE.format(sentinel=str(sentinel)), encoding="utf-8")
    folders.edit(copy, model_type=family, auto_map={"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"})
    if family == "own":
        with pytest.raises(ModelError, match="--trust-remote-code"):
            folders.opened(copy)
    else:  # transformers has code of its own for it
        folders.opened(copy)
    assert not sentinel.exists()
    model = folders.opened(copy, trust_remote_code=True)
    assert sentinel.exists()
    assert type(model.model).__name__ == "OwnModel"
    assert len(folders.everything(model.prepare(Input("it was big")))) == 2
