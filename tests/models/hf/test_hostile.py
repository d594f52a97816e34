"""Folders that are damaged, or made to do harm: one sentence that says what is wrong, before anything is built."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file as save_torch

from attn_cli.errors import ModelError
from attn_cli.models import Input, LoadOptions, compiled, load
from attn_cli.models.toy.folder import ToyFolder
from attn_cli.models.toy.model import Toy
from tests.models import folders
from tests.models.toy.folders import toy_folder
from tests.models.toy.networks import RNN_ATTENTION, TRANSFORMER

TEXT = "The cat sat on the mat"
BACKTRACKS = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"
"""A text for which `(a+)+$` is tried in more ways than the library allows."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint that transformers reads, a recurrent model of ours, and what is built in, made small."""
    base = tmp_path_factory.mktemp("models")
    return {
        "bert": folders.bert(base / "bert"),
        "recurrent": Path(toy_folder(base / "recurrent", RNN_ATTENTION)),
        "built-in": Path(toy_folder(base / "built-in", TRANSFORMER)),
    }


@pytest.fixture
def copied(made: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A folder to damage."""

    def copy(kind: str) -> Path:
        return Path(shutil.copytree(made[kind], tmp_path / kind))

    return copy


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Whatever a folder says, the answer comes at once."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def opened(kind: str, folder: Path) -> Any:
    """The model in a folder, the built-in one as such."""
    return Toy(ToyFolder("toy", folder)) if kind == "built-in" else load(str(folder), LoadOptions())


def change(path: Path, place: str, value: object) -> None:
    """Put a value at a place such as `attn.alignment.layer`; None takes out what is there."""
    content = json.loads(path.read_text(encoding="utf-8"))
    at = content
    *above, last = place.split(".")
    for key in above:
        at = at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    path.write_text(json.dumps(content), encoding="utf-8")


def refused(kind: str, folder: Path, said: str, text: str = TEXT) -> None:
    """Loading the model, or giving it a text, ends in one sentence."""
    with pytest.raises(ModelError, match=said) as raised:
        opened(kind, folder).prepare(Input(text))
    assert "\n" not in str(raised.value)
    assert raised.value.remedy


def split(regex: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def replace(regex: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": regex}, "content": "x"}


def template(*pieces: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "TemplateProcessing",
        "single": list(pieces),
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"x": {"id": "x", "ids": [1], "tokens": []}},
    }


A = {"Sequence": {"id": "A", "type_id": 0}}
PANICS = {
    "pre-tokenizer": ("pre_tokenizer", split("(a+)+$")),
    "normalizer": ("normalizer", replace("(a+)+$")),
    "a special token that is not there": ("post_processor", template({"SpecialToken": {"id": "y", "type_id": 0}}, A)),
}


@pytest.mark.parametrize("kind", ["bert", "recurrent", "built-in"])
@pytest.mark.parametrize("part", PANICS)
def test_a_panic_is_one_sentence(copied: Callable[[str], Path], kind: str, part: str) -> None:
    folder = copied(kind)
    change(folder / "tokenizer.json", *PANICS[part])
    if kind == "bert":  # whose own class makes a normalizer and the rest anew
        change(folder / "tokenizer_config.json", "tokenizer_class", "PreTrainedTokenizerFast")
    refused(kind, folder, "retry-limit|no entry found for key", BACKTRACKS)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder of the built-in's name")
def test_nothing_of_a_panic_is_printed(copied: Callable[[str], Path]) -> None:
    folder = copied("recurrent")
    change(folder / "tokenizer.json", *PANICS["pre-tokenizer"])
    command = [sys.executable, "-m", "attn_cli", "translate", BACKTRACKS, "--model", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 5
    assert result.stdout == ""
    assert result.stderr.startswith("attn: The tokenizer of ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["bert", "recurrent"])
def test_a_search_without_end_is_given_up(
    copied: Callable[[str], Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "SECONDS", 0.1)
    folder = copied(kind)
    change(folder / "tokenizer.json", "pre_tokenizer", split("(a+)+$"))
    if kind == "bert":
        change(folder / "tokenizer_config.json", "tokenizer_class", "PreTrainedTokenizerFast")
    text = " ".join(["a" * 22 + "b"] * 9)  # each word stays below what the library allows
    before = time.monotonic()
    refused(kind, folder, "takes longer than 0 seconds", text)
    assert time.monotonic() - before < 10


def doubled(times: int) -> dict[str, Any]:
    one = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return {"type": "Sequence", "normalizers": [one] * times}


@pytest.mark.parametrize("kind", ["bert", "recurrent"])
@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("normalizer", doubled(40), "normalizer in tokenizer.json of .* a thousand times"),
        ("post_processor", template(*[A] * 2000), "post_processor in tokenizer.json of .* a thousand times"),
        (
            "post_processor",
            {"type": "Sequence", "processors": [template(A, A)] * 40},
            "post_processor in tokenizer.json of .* a thousand times",
        ),
        (
            "normalizer",
            {"type": "Precompiled", "precompiled_charsmap": "//////////8="},
            "table of characters in tokenizer.json of .* is damaged",
        ),
    ],
)
def test_a_tokenizer_that_asks_for_more_memory_than_there_is(
    copied: Callable[[str], Path], kind: str, part: str, value: dict[str, Any], said: str
) -> None:
    folder = copied(kind)
    change(folder / "tokenizer.json", part, value)
    refused(kind, folder, said)


@pytest.mark.parametrize("kind", ["bert", "recurrent", "built-in"])
def test_padding_and_truncation_of_the_file_are_not_used(copied: Callable[[str], Path], kind: str) -> None:
    folder = copied(kind)
    plain = opened(kind, folder).prepare(Input(TEXT)).source
    padding: dict[str, Any] = {"strategy": {"Fixed": 10**10}, "direction": "Right", "pad_to_multiple_of": None}
    padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    truncation = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content |= {"padding": padding, "truncation": truncation}
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert opened(kind, folder).prepare(Input(TEXT)).source == plain


def test_more_ids_than_pieces(copied: Callable[[str], Path]) -> None:
    folder = copied("recurrent")
    change(folder / "tokenizer.json", "post_processor", template(A, {"SpecialToken": {"id": "x", "type_id": 0}}))
    refused("recurrent", folder, r"gives \d+ ids and \d+ pieces")


WRONG = ("x", 1.5, -1, 0, 10**18, True, [1], {"a": 1}, None)
SIZES = {
    "recurrent": ("shape", *(f"shape.{key}" for key in ("vocabulary", "dim", "hidden", "attention", "positions"))),
    "built-in": (
        "vocab_size",
        "d_model",
        "encoder_attention_heads",
        "encoder_ffn_dim",
        "encoder_layers",
        "decoder_layers",
        "max_position_embeddings",
    ),
}


@pytest.mark.parametrize(("kind", "place"), [(kind, place) for kind, places in SIZES.items() for place in places])
def test_a_toys_sizes_are_held_against_what_they_must_be(copied: Callable[[str], Path], kind: str, place: str) -> None:
    folder = copied(kind)
    before = (folder / "config.json").read_bytes()
    for value in WRONG:
        if value is True and place == "shape.attention":
            continue
        change(folder / "config.json", place, value)
        keys = "shape|vocabulary" if place == "shape" else place.rpartition(".")[2]
        refused(kind, folder, f"^config.json of .*: ({keys}|d_model) must be |do not fit its config.json")
        (folder / "config.json").write_bytes(before)


@pytest.mark.parametrize("kind", ["recurrent", "built-in"])
@pytest.mark.parametrize("part", ["layer", "heads", "rows", "how"])
def test_what_a_toy_says_of_its_heads(copied: Callable[[str], Path], kind: str, part: str) -> None:
    folder = copied(kind)
    before = (folder / "config.json").read_bytes()
    for value in (None, 1.5, 99, -1, True, [], [99], [-1], ["0"], {"a": 1}, *([] if part == "how" else ["x"])):
        change(folder / "config.json", f"attn.alignment.{part}", value)
        refused(kind, folder, f"^config.json of .*: attn.alignment.(layer|{part}) must name ")
        (folder / "config.json").write_bytes(before)


@pytest.mark.parametrize("part", ["kind", "layer", "head", "role", "towards", "on"])
def test_what_a_toy_says_of_its_guided_heads(copied: Callable[[str], Path], part: str) -> None:
    folder = copied("built-in")
    listed = json.loads((folder / "config.json").read_bytes())["attn"]["guided"]
    values = (None, 1.5, 99, -1, True, [], ["0"], {"a": 1}, *([] if part in {"towards", "on"} else ["x", "decoder"]))
    for value in values:
        if (part, value) == ("kind", "decoder"):
            continue  # whose heads the model has
        change(folder / "config.json", "attn.guided", [{**listed[0], part: value}])
        refused("built-in", folder, rf"^config.json of .*: attn.guided\[0\].({part}|layer) must ")
    for wrong in ({"kind": "cross"}, "cross 1.0", 3):
        change(folder / "config.json", "attn.guided", wrong)
        refused("built-in", folder, r"^config.json of .*: attn.guided must be a list of heads")
    change(folder / "config.json", "attn.guided", ["2.0"])
    refused("built-in", folder, r"^config.json of .*: attn.guided\[0\].kind must name a kind of its attention")


def test_words_that_are_not_utf_8(copied: Callable[[str], Path]) -> None:
    folder = copied("recurrent")
    (folder / "known_words.txt").write_bytes(b"caf\xe9\n")
    refused("recurrent", folder, "has a damaged known_words.txt")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.int8])
def test_a_number_format_that_numpy_does_not_have(copied: Callable[[str], Path], dtype: torch.dtype) -> None:
    folder = copied("recurrent")
    weights = load_file(folder / "model.safetensors")
    save_torch({key: torch.from_numpy(one).to(dtype) for key, one in weights.items()}, folder / "model.safetensors")
    refused("recurrent", folder, "model.safetensors of .* holds weights in (BF16|F8_E4M3|I8)")


@pytest.mark.parametrize("kind", ["recurrent", "built-in"])
def test_an_empty_weight_of_a_huge_shape(copied: Callable[[str], Path], kind: str) -> None:
    folder = copied(kind)
    raw = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    name = next(key for key in header if key != "__metadata__")
    header["more"] = {"dtype": header[name]["dtype"], "shape": [0, 2**62], "data_offsets": [0, 0]}
    made = json.dumps(dict(sorted(header.items(), key=lambda one: one[1].get("data_offsets", [-1])))).encode()
    (folder / "model.safetensors").write_bytes(len(made).to_bytes(8, "little") + made + raw[8 + size :])
    refused(kind, folder, "damaged|do not fit")


@pytest.mark.parametrize(
    "place",
    ["num_hidden_layers", "num_labels", "encoder_layers", "num_decoder_layers", "text_config.num_hidden_layers"],
)
@pytest.mark.parametrize("number", [10**9, 10**30])
def test_a_billion_of_anything(copied: Callable[[str], Path], place: str, number: int) -> None:
    folder = copied("bert")
    if "." in place:
        change(folder / "config.json", "text_config", {})
    change(folder / "config.json", place, number)
    refused("bert", folder, f"config.json of .* does not fit its weights: {place.rpartition('.')[2]} is 1,000,000,000")


@pytest.mark.parametrize("key", ["hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings"])
def test_a_model_far_larger_than_its_weights(copied: Callable[[str], Path], key: str) -> None:
    folder = copied("bert")
    change(folder / "config.json", key, 3 * 100_000_000)
    refused("bert", folder, "config.json of .* does not fit its weights")


def test_counts_hold_for_pickles(copied: Callable[[str], Path]) -> None:
    folder = copied("bert")
    torch.save({"a": torch.zeros(3)}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    change(folder / "config.json", "num_hidden_layers", 10**9)
    with pytest.raises(ModelError, match="num_hidden_layers is 1,000,000,000, and they have 1 tensor"):
        load(str(folder), LoadOptions(allow_pickle=True))


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in folders")
@pytest.mark.parametrize("kind", ["bert", "recurrent", "built-in"])
def test_a_pipe_is_not_waited_for(copied: Callable[[str], Path], kind: str) -> None:
    for file in sorted(copied(kind).iterdir()):
        folder, whole = file.parent, file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(ModelError, match=f"{file.name} of .* is not a regular file|lacks its config.json"):
            opened(kind, folder)
        file.unlink()
        file.write_bytes(whole)


def test_a_file_far_too_large(copied: Callable[[str], Path]) -> None:
    folder = copied("bert")
    with (folder / "config.json").open("r+b") as file:
        file.truncate(10**10)  # it takes no room
    with pytest.raises(ModelError, match=r"config.json of .* is far too large \(10.0 GB\)"):
        load(str(folder))


def test_json_nested_too_deeply(copied: Callable[[str], Path]) -> None:
    folder = copied("bert")
    (folder / "config.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(ModelError, match=r"config.json of .* is nested too deeply"):
        load(str(folder))
