"""Loading and running: the weights of `from_pretrained`, the attention of the eager reference, and no word about it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import transformers
from transformers import AutoModel, AutoTokenizer

from attn_cli.data.stream import Source
from attn_cli.errors import InputError, MemoryLimitError, ModelError
from attn_cli.models import Input, Model
from attn_cli.models.hf.model import Pretrained
from attn_cli.models.hf.prepared import PretrainedSource
from tests.models import folders

SENTENCE = "The trophy didn't fit in the suitcase because it was too big"


@pytest.fixture(scope="module")
def trained(minilm: str) -> Pretrained:
    return folders.opened(minilm)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    """A BERT's folder to change."""
    shutil.copytree(bert, tmp_path / "model")
    return tmp_path / "model"


def test_what_heads_of_a_trained_model_look_at(trained: Pretrained) -> None:
    prepared = trained.prepare(Input(SENTENCE))
    pieces = [token.piece for token in prepared.source.tokens]
    assert " ".join(pieces) == "[CLS] the trophy didn ' t fit in the suitcase because it was too big [SEP]"
    found = folders.everything(prepared)
    for layer, head, key, weight in ((0, 2, "because", 1.00), (3, 1, "trophy", 0.58), (2, 1, "big", 0.80)):
        (block,) = found["encoder", layer]
        row = block.weights[head, pieces.index("it")]
        assert pieces[int(row.argmax())] == key
        assert round(float(row.max()), 2) == weight


@pytest.mark.parametrize("pair", [None, "It was the suitcase that was too small"])
def test_all_maps_of_a_trained_model_are_the_eager_ones(trained: Pretrained, minilm: str, pair: str | None) -> None:
    model = AutoModel.from_pretrained(minilm, attn_implementation="eager")
    batch = AutoTokenizer.from_pretrained(minilm)(SENTENCE, pair, return_tensors="pt")
    with torch.no_grad():
        expected = model(**batch, output_attentions=True).attentions
    found = folders.everything(trained.prepare(Input(SENTENCE, pair=pair)))
    assert len(found) == len(expected) == 6
    for layer, maps in enumerate(expected):
        weights = np.concatenate([block.weights for block in found["encoder", layer]], axis=1)
        np.testing.assert_allclose(weights, maps[0].numpy(), atol=1e-5)


def test_the_weights_are_those_of_from_pretrained(trained: Pretrained, minilm: str) -> None:
    expected = AutoModel.from_pretrained(minilm).state_dict()
    found = trained.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_what_is_known_of_a_trained_model(trained: Pretrained, minilm: str) -> None:
    info = trained.info
    assert (info.name, info.family, info.captured) == (minilm, "bert", "interface")
    assert (info.dtype, info.device, info.positions, info.parameters) == ("float32", "cpu", 512, 22_713_216)
    assert dict(info.stacks["encoder"].heads) == dict.fromkeys(range(6), 12)


def test_the_head_is_left_out_and_the_weights_stay_the_same(tmp_path: Path) -> None:
    whole = folders.made("Bert", "ForMaskedLM", **folders.BERT)
    model = folders.opened(folders.save(tmp_path, whole, folders.wordpiece())).model
    assert type(model) is transformers.BertModel
    found = model.state_dict()
    assert len(found) == 37
    assert all(torch.equal(weight, whole.bert.state_dict()[key]) for key, weight in found.items())


def test_an_encoder_taken_from_an_encoder_decoder_stays_alone(tmp_path: Path) -> None:
    encoder = folders.made("T5", "EncoderModel", vocab_size=101, d_model=20, d_kv=5, d_ff=11, num_layers=2, num_heads=3)
    model = folders.opened(folders.save(tmp_path, encoder, folders.t5()))
    assert list(model.info.stacks) == ["encoder"]
    assert model.info.positions is None
    with pytest.raises(InputError, match="not an encoder-decoder"):
        model.prepare(Input("a", target="b"))


def test_weights_in_parts(bert: Path, tmp_path: Path) -> None:
    expected = transformers.BertModel.from_pretrained(bert)
    expected.save_pretrained(tmp_path, max_shard_size="20KB")
    folders.wordpiece().save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    found = folders.opened(tmp_path).model.state_dict()
    assert all(torch.equal(found[key], weight) for key, weight in expected.state_dict().items())


def test_a_pickle_is_read_where_it_is_allowed(copy: Path) -> None:
    expected = transformers.BertModel.from_pretrained(copy).state_dict()
    (copy / "model.safetensors").unlink()
    torch.save(expected, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="--allow-pickle"):
        folders.opened(copy)
    found = folders.opened(copy, allow_pickle=True).model.state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_pickle_that_is_none(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="cannot be loaded"):
        folders.opened(copy, allow_pickle=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_number_format(bert: Path, dtype: str) -> None:
    model = folders.opened(bert, dtype=dtype)
    assert model.info.dtype == dtype
    assert all(
        block.weights.dtype == np.float32
        for (block,) in folders.everything(model.prepare(Input("it was big"))).values()
    )


def test_float32_where_it_fits_and_the_saved_format_where_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.save(tmp_path, folders.made("Bert", **folders.BERT).to(torch.bfloat16), folders.wordpiece())
    assert folders.opened(tmp_path).info.dtype == "float32"
    size = (tmp_path / "model.safetensors").stat().st_size

    def free(amount: int) -> None:
        memory = psutil.virtual_memory()._replace(available=amount)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)

    free(size * 3 // 2)
    model = folders.opened(tmp_path)
    assert model.info.dtype == "bfloat16"
    assert "run in bfloat16, as it was saved" in model.prepare(Input("a")).notes[0]
    with pytest.raises(MemoryLimitError, match="in float32") as raised:
        folders.opened(tmp_path, dtype="float32")
    assert "--dtype bfloat16" in raised.value.remedy
    free(size // 2)
    with pytest.raises(MemoryLimitError, match="in bfloat16"):
        folders.opened(tmp_path)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there(bert: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ModelError, match=f"no {device} device"):
        folders.opened(bert, device=device)
    assert folders.opened(bert, device="auto").info.device == "cpu"


def test_nothing_is_said_on_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folders.bert(tmp_path, "ForMaskedLM")
    folders.edit(tmp_path, architectures=["BertModel"])  # the pooler is missing, the masked words' head is left over
    capfd.readouterr()
    folders.everything(folders.opened(tmp_path).prepare(Input("it was big")))
    assert capfd.readouterr() == ("", "")
    assert transformers.logging.is_progress_bar_enabled()  # and transformers is as it was


def test_prepared_text_is_a_source(trained: Pretrained) -> None:
    prepared = trained.prepare(Input("a"))
    assert isinstance(prepared, PretrainedSource)
    assert isinstance(prepared, Source)
    assert isinstance(trained, Model)
    assert prepared.model is trained.info
