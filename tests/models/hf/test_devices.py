"""Devices: which there are, what fits on them, and models that are shared between memory and disk."""

from __future__ import annotations

import gc
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from attn_cli.data.cuts import ZeroedHeads
from attn_cli.data.stream import Block, Request
from attn_cli.errors import MemoryLimitError, ModelError, UsageError
from attn_cli.models import Decoding, Input, LoadOptions
from attn_cli.models.hf import devices
from attn_cli.models.hf.checkpoint import Adapter
from attn_cli.models.hf.devices import Placement, choose_device, choose_placement, offload_folder
from attn_cli.models.hf.finding import find
from attn_cli.models.hf.model import Pretrained
from tests.models import folders

LAYERS = 30
LLAMA: dict[str, Any] = {
    "vocab_size": 401,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
TEXT = "The trophy didn't fit in the suitcase"


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a decoder of 30 layers."""
    return folders.save(tmp_path_factory.mktemp("deep"), folders.made("Llama", "ForCausalLM", **LLAMA), folders.llama())


@pytest.fixture(scope="module")
def whole(deep: Path) -> Pretrained:
    """Load that decoder, all of it in memory."""
    return folders.opened(deep)


def layers_on_disk(model: Pretrained) -> int:
    """Count the layers of a decoder that are on disk."""
    layers: Any = model.model.layers
    return sum(any(weight.is_meta for weight in layer.parameters()) for layer in layers)


@pytest.fixture(scope="module")
def shared(deep: Path, whole: Pretrained) -> Pretrained:
    """The same, with 20 of its 30 layers on disk."""
    layers: Any = whole.model.layers
    layer = sum(weight.nbytes for weight in layers[0].parameters())
    heads = 2 * 4 * LLAMA["vocab_size"] * LLAMA["hidden_size"]  # embeddings, and the layer that chooses words
    with pytest.MonkeyPatch.context() as patch:
        # Room for a layer from disk is kept free.
        patch.setattr(devices, "available", lambda: int((heads + 10 * layer + 100) / devices.MEMORY_SHARE))
        model = folders.opened(deep, device="balanced")
    assert layers_on_disk(model) == 20
    return model


def test_layers_on_disk_give_the_same_maps_and_norms(whole: Pretrained, shared: Pretrained) -> None:
    found = []
    for model in (whole, shared):
        blocks: list[Block] = []
        source = model.prepare(Input(TEXT))
        heads = {layer: tuple(range(4)) for layer in range(LAYERS)}
        source.stream(Request({"decoder": heads}, norms=True, scores=True, verify=True), blocks.append)
        found.append(blocks)
    for one, other in zip(*found, strict=True):
        for name in ("weights", "scores", "norms"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
    assert shared.info.device == "cpu and disk"
    assert "stay on disk" in shared.prepare(Input(TEXT)).notes[0]
    assert whole.info.device == "cpu"


def test_layers_on_disk_give_the_same_answers(whole: Pretrained, shared: Pretrained) -> None:
    """Ablation, writing and attribution agree; so do the fingerprints, also after the weights were read."""
    found: list[list[Any]] = []
    for model in (whole, shared):
        source = model.prepare(Input(TEXT))
        cuts = [(), (ZeroedHeads("decoder", 2, (1,)),), (ZeroedHeads("decoder", 29, (0, 3)),)]
        outcomes = sorted(model.run(source, cuts), key=lambda one: one[0])
        written = model.write(Input(TEXT), Decoding(max_length=4)).continuation
        parts = model.attribute(source, len(source.source) - 1)
        found.append([*(outcome.logits for _, outcome in outcomes), written, parts.parts.total])
    for one, other in zip(found[0][:3], found[1][:3], strict=True):  # layers in memory are not run again for each cut
        assert np.allclose(one, other, rtol=0, atol=1e-6)
    assert not np.allclose(found[0][0], found[0][1], rtol=0, atol=1e-3)
    assert found[0][3:] == found[1][3:]
    assert shared.fingerprint == whole.fingerprint
    assert shared.info.parameters == whole.info.parameters


@pytest.mark.parametrize("limit", [0, 60_000])
def test_a_head_that_was_not_saved_is_that_of_the_embeddings(
    tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class that was saved has no layer that chooses words; its weights are the embeddings', on disk or not."""
    settings = {**LLAMA, "num_hidden_layers": 3, "tie_word_embeddings": True}
    folders.save(tmp_path, folders.made("Llama", **settings), folders.llama())
    whole = folders.opened(tmp_path)
    monkeypatch.setattr(devices, "available", lambda: limit)
    shared = folders.opened(tmp_path, device="balanced")
    assert shared.info.device == "cpu and disk"
    own, brought = (dict(model.run(model.prepare(Input(TEXT)), [()]))[0].logits for model in (whole, shared))
    assert own is not None
    assert brought is not None
    assert np.array_equal(own, brought)
    assert shared.info.parameters == whole.info.parameters
    assert shared.fingerprint == whole.fingerprint


def test_weights_shared_by_an_encoder_and_a_decoder_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "vocab_size": 211}
    made = folders.made("T5", "ForConditionalGeneration", **settings, decoder_start_token_id=0)
    folders.save(tmp_path, made, folders.t5())
    whole = folders.opened(tmp_path)
    monkeypatch.setattr(devices, "available", lambda: 0)
    shared = folders.opened(tmp_path, device="balanced")
    written = [model.translate([TEXT], decoding=Decoding(max_length=5))[0] for model in (whole, shared)]
    assert written[0] == written[1]
    maps = [folders.everything(model.prepare(Input(TEXT, target=written[0]))) for model in (whole, shared)]
    for place, blocks in maps[0].items():
        assert all(np.array_equal(a.weights, b.weights) for a, b in zip(blocks, maps[1][place], strict=True))
    assert shared.info.parameters == whole.info.parameters
    assert shared.fingerprint == whole.fingerprint


def test_what_fits_in_memory_stays_there(deep: Path) -> None:
    model = folders.opened(deep, device="balanced")
    assert (layers_on_disk(model), model.info.device, model.notes) == (0, "cpu", ())


@pytest.fixture
def pickled(tmp_path: Path, deep: Path, whole: Pretrained) -> Path:
    """The same decoder as a pickle, whose weights cannot be read where they are."""
    folder = tmp_path / "pickled"
    shutil.copytree(deep, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(whole._saved.state_dict(), folder / "pytorch_model.bin")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no memory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(devices, "available", lambda: 0)
    return tmp_path / "cache" / "attn" / "offloaded"


def test_weights_that_cannot_be_read_in_place_are_saved_for_as_long(
    pickled: Path, cache: Path, whole: Pretrained
) -> None:
    left = cache / f"{os.uname().nodename}-{2**22 + 1}-0"  # of a process that was killed: no process has this number
    left.mkdir(parents=True)
    model = folders.opened(pickled, device="balanced", allow_pickle=True)
    (folder,) = cache.iterdir()
    assert any(folder.glob("*.safetensors"))
    own, brought = (folders.everything(one.prepare(Input(TEXT)))["decoder", 7][0].weights for one in (whole, model))
    assert np.array_equal(own, brought)
    del model
    gc.collect()
    assert not any(cache.iterdir())


def test_no_room_for_what_does_not_fit_in_memory(pickled: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr("transformers.integrations.accelerate.save_file", full)
        with pytest.raises(ModelError, match=r"could not be saved in .*: no space is left\. Make room there"):
            folders.opened(pickled, device="balanced", allow_pickle=True)
    assert not any(cache.iterdir())
    cache.rmdir()
    cache.touch()
    with pytest.raises(ModelError, match=r"could not be saved in .*XDG_CACHE_HOME"):
        folders.opened(pickled, device="balanced", allow_pickle=True)


def test_a_fault_of_other_files_is_no_matter_of_the_folder(cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="such"), offload_folder("a model"):
        Path("no/such/file").read_bytes()
    assert not cache.exists()


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make torch report two GPUs with 100,000 bytes each."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (100_000, 100_000))


@pytest.mark.usefixtures("gpus")
def test_gpus_by_name() -> None:
    assert [choose_device(name) for name in ("auto", "balanced", "cuda", "cuda:1", "cpu")] == [
        torch.device(name) for name in ("cuda", "cuda", "cuda", "cuda:1", "cpu")
    ]
    with pytest.raises(
        ModelError, match=r"finds 2 cuda devices on this machine, and no cuda:7\. Use --device cuda:0 to"
    ):
        choose_device("cuda:7")


@pytest.mark.parametrize("name", ["cuda:", "cuda:x", "cuda:-1", "gpu", "cpu:1", ""])
def test_no_machine_has_such_a_device(name: str) -> None:
    with pytest.raises(UsageError, match=r"There is no device .*, cpu, cuda, mps, balanced, or cuda:1 and so on"):
        LoadOptions(device=name)


@pytest.mark.usefixtures("gpus")
def test_what_is_shared_between_gpus_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "available", lambda: 1000)
    options = Placement(torch.device("cuda"), None, shared=True).options(Path("folder"))
    assert options["max_memory"] == {0: 90_000, 1: 90_000, "cpu": 750}
    on_disk = Placement(torch.device("cuda"), None, shared=True).options(Path("folder"), all_on_disk=True)
    assert on_disk["max_memory"] == {"cpu": 0}
    assert Placement(torch.device("mps"), None, shared=True).options(Path("folder"))["max_memory"] == {"mps": 750}


@pytest.mark.usefixtures("gpus")
def test_the_number_format_on_a_gpu_is_the_saved_one(tmp_path: Path) -> None:
    made = folders.made("Bert", **folders.BERT).to(torch.bfloat16)
    made.embeddings.to(torch.float32)  # some are kept in another format than most
    checkpoint = find(str(folders.save(tmp_path, made, folders.wordpiece())), LoadOptions())
    for device, dtype in (("cuda:1", torch.bfloat16), ("cpu", torch.float32)):
        assert choose_placement(checkpoint, LoadOptions(device)) == Placement(torch.device(device), dtype)
    assert choose_placement(checkpoint, LoadOptions("cuda", "float16")).dtype == torch.float16
    weights = folders.opened(tmp_path, device="cpu", dtype="bfloat16").model.parameters()
    assert {weight.dtype for weight in weights} == {torch.bfloat16}


@pytest.mark.usefixtures("gpus")
def test_what_fits_where_a_gpu_is_too_small(deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = find(str(deep), LoadOptions())  # 0.3 MB in float32
    with pytest.raises(MemoryLimitError) as fault:
        choose_placement(checkpoint, LoadOptions("cuda:1", "float32"))
    assert "is free on cuda:1" in fault.value.problem
    assert fault.value.remedy.startswith("Use --device cpu, where")
    assert fault.value.remedy.endswith("or --device balanced, which leaves on disk what does not fit")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (200_000, 200_000))
    with pytest.raises(MemoryLimitError, match="Use --dtype bfloat16, which takes"):
        choose_placement(checkpoint, LoadOptions("cuda", "float32"))
    assert choose_placement(checkpoint, LoadOptions("balanced", "float32")).shared


def test_an_adapter_cannot_be_shared(deep: Path) -> None:
    checkpoint = find(str(deep), LoadOptions())
    adapted = replace(checkpoint, adapter=Adapter("mine", deep, deep, "base"))
    with pytest.raises(ModelError, match=r"--device balanced shares the weights of whole models, and .* is an adapter"):
        choose_placement(adapted, LoadOptions("balanced"))
