"""Models in GGUF: read with transformers once, kept in the user's cache, and then a folder like any other."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers

from attn_cli.data.cuts import Variation, ZeroedHeads
from attn_cli.data.outcomes import Wanted
from attn_cli.errors import ModelError
from attn_cli.models import Input, LoadOptions, load
from attn_cli.models.hf import gguf as converting
from attn_cli.models.hf.gguf import find_gguf
from attn_cli.models.hf.loading import quiet
from tests.models import folders

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm",
    "model.layers": "blk",
}
TEXT = "the trophy was too big"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "attn" / "gguf"


def written(path: Path) -> tuple[Path, Any]:
    """A small Qwen2 in float32 as llama.cpp writes it, and the same model in transformers."""
    tokenizer: Any = folders.byte_level()
    size = len(tokenizer)
    whole = folders.made("Qwen2", "ForCausalLM", vocab_size=size, num_key_value_heads=2, **SIZES)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(64)
    writer.add_embedding_length(SIZES["hidden_size"])
    writer.add_feed_forward_length(SIZES["intermediate_size"])
    writer.add_block_count(SIZES["num_hidden_layers"])
    writer.add_head_count(SIZES["num_attention_heads"])
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(whole.config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    pieces = tokenizer.get_vocab()
    writer.add_token_list(sorted(pieces, key=pieces.__getitem__))
    writer.add_token_types([3 if piece.startswith("<|") else 1 for piece in sorted(pieces, key=pieces.__getitem__)])
    writer.add_token_merges([" ".join(pair) for pair in folders._pairs(folders._byte_level(["<|endoftext|>"]))])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, tensor in whole.state_dict().items():
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, tensor.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, whole


def test_a_file_is_read_as_transformers_reads_it_and_kept(tmp_path: Path, cache: Path, monkeypatch: Any) -> None:
    path, whole = written(tmp_path / "tiny.gguf")
    model: Any = load(str(path))
    ours, theirs = model._saved.state_dict(), whole.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert model.info.name == str(path)
    assert "".join(token.piece for token in model.prepare(Input(TEXT)).source.tokens).replace("Ġ", " ") == TEXT
    assert len(list(cache.glob("tiny-*"))) == 1
    # The second time neither the file's tensors nor the package is needed.
    monkeypatch.setattr(converting, "find_spec", lambda _: None)
    again: Any = load(str(path))
    assert torch.equal(again._saved.state_dict()["lm_head.weight"], theirs["lm_head.weight"])
    # A file that has changed is another model.
    os.utime(path, (1, 1))
    with pytest.raises(ModelError, match=r"needs gguf to be read.*pip install 'attn-cli\[gguf\]'"):
        load(str(path))
    # It takes the place of what was made of the file before; another name of the file is no other file.
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[1]))
    link = tmp_path / "link.gguf"
    link.symlink_to(path)
    load(str(link))
    (newer,) = cache.glob("[!.]*")
    assert newer.name.startswith("tiny-")
    # What a user has cleared away is made again.
    shutil.rmtree(newer)
    load(str(path))
    assert list(cache.glob("[!.]*")) == [newer]


def test_what_is_no_gguf_is_told(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError, match="is not in GGUF: its first bytes are others"):
        load(str(path))
    path.write_bytes(b"GGUF\x03\x00")
    with pytest.raises(ModelError, match="cannot be read as GGUF"):
        load(str(path))
    assert not list(cache.glob("[!.]*"))
    assert find_gguf("toy", LoadOptions()) is None
    with pytest.raises(ModelError, match=r"missing\.gguf"):
        load(str(tmp_path / "missing.gguf"))
    (tmp_path / "folder.gguf").mkdir()
    with pytest.raises(ModelError, match=r"folder\.gguf .*config\.json"):
        load(str(tmp_path / "folder.gguf"))
    writer = gguf.GGUFWriter(tmp_path / "unknown.gguf", "abacus")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelError, match=r"unknown\.gguf cannot be read as GGUF: .*abacus.*an architecture that"):
        load(str(tmp_path / "unknown.gguf"))


def test_of_two_at_once_one_converts(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = written(tmp_path / "tiny.gguf")
    converted = []
    convert = converting._convert

    def counted(name: str, path: Path, folder: Path) -> None:
        converted.append(name)
        convert(name, path, folder)

    monkeypatch.setattr(converting, "_convert", counted)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(find_gguf, [str(path)] * 2, [LoadOptions()] * 2)
    assert one is not None
    assert other is not None
    assert one.folder == other.folder
    assert converted == [str(path)]


def test_ctrl_c_leaves_nothing_half_done(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = written(tmp_path / "tiny.gguf")

    def interrupted(_name: str, _path: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(converting, "_convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(str(path))
    assert [one.suffix for one in cache.iterdir()] in ([".lock"], [])
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[1]))
    load(str(path))
    assert len(list(cache.glob("tiny-*"))) == 1


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = written(tmp_path / "tiny.gguf")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"could not be saved in .*set XDG_CACHE_HOME"):
        load(str(path))


@pytest.mark.unchecked
def test_one_head_of_smollm2_knows_the_capital(smollm2: str) -> None:
    model: Any = load(smollm2)
    source = model.prepare(Input("The capital of France is"))
    variations: list[Variation] = [(), *((ZeroedHeads("decoder", 23, (head,)),) for head in range(9))]
    (paris,), (london,) = (model.tokenizer.encode(word) for word in (" Paris", " London"))
    found: dict[int, Any] = dict(model.run(source, variations, Wanted("next", tokens=False)))
    logits = np.stack([found[index].logits[0] for index in range(len(variations))])
    chances = torch.from_numpy(logits).softmax(dim=-1).numpy()[:, paris]
    assert chances[0] == pytest.approx(0.773, abs=0.02)
    assert chances[5] == pytest.approx(0.14, abs=0.02)
    assert chances[[1, 2, 3, 4, 6, 7, 8, 9]].min() > 0.5
    difference = logits[:, paris] - logits[:, london]
    assert difference[0] - difference[5] == pytest.approx(3.85, abs=0.1)
    found_at = find_gguf(smollm2, LoadOptions())
    assert found_at is not None
    with quiet(), torch.no_grad():
        plain: Any = transformers.AutoModelForCausalLM.from_pretrained(found_at.folder, dtype=torch.float32)
        expected = plain(source.inputs["input_ids"]).logits[0, -1].numpy()
    np.testing.assert_allclose(logits[0], expected, atol=1e-3)
