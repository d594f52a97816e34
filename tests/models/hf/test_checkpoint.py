"""Tests of faults in a folder: each is told in one sentence, and before torch is imported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from attn_cli.errors import ModelError
from attn_cli.models import LoadOptions, load
from attn_cli.models.hf.finding import find
from tests.models import folders

PLAIN = LoadOptions()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT's folder in which nothing is wrong."""
    return folders.bert(tmp_path_factory.mktemp("files") / "bert")


Change = Callable[[Path], object]


def drop(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str, size: int) -> Change:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def rename(old: str, new: str) -> Change:
    return lambda folder: (folder / old).rename(folder / new)


def deeper(name: str) -> Change:
    """Move everything one folder down."""

    def change(folder: Path) -> None:
        files = list(folder.iterdir())
        (folder / name).mkdir()
        for file in files:
            file.rename(folder / name / file.name)

    return change


PART = "model-0000{}-of-00002.safetensors"
INDEX = "model.safetensors.index.json"

BROKEN: dict[str, tuple[tuple[Change, ...], str, str]] = {
    "no config": ((drop("config.json"),), "has no config.json", "save_pretrained"),
    "config is not JSON": ((write("config.json", b"{'a'"),), "config.json of .* is not JSON", "again"),
    "config is not UTF-8": ((write("config.json", b"\xff\xfe{}"),), "config.json of .* is not JSON", "again"),
    "config is a list": ((write("config.json", b"[]"),), "does not hold a JSON object", "again"),
    "no model_type": ((write("config.json", b'{"hidden_size": 24}'),), "it has no model_type", "model_type"),
    "code of its own": (
        (write("config.json", b'{"auto_map": {"AutoModel": "code.Model"}}'),),
        "needs Python code",
        "--trust-remote-code",
    ),
    "an adapter without weights": (
        (drop("model.safetensors"), write("adapter_config.json", b"{}")),
        "the settings of an adapter and no weights",
        "PEFT's save_pretrained",
    ),
    "a pickled adapter": (
        (rename("model.safetensors", "adapter_model.bin"), write("adapter_config.json", b"{}")),
        r"only as a pickle \(adapter_model.bin\)",
        "--allow-pickle",
    ),
    "an adapter that names no base": (
        (rename("model.safetensors", "adapter_model.safetensors"), write("adapter_config.json", b"{}")),
        "is an adapter, and does not name the model",
        "--base",
    ),
    "an adapter beside a model": (
        (write("adapter_config.json", b"{}"),),
        "a whole model and an adapter beside it",
        "Move adapter_config.json",
    ),
    "in a folder of its own": (
        (deeper("encoder"),),
        "has no config.json of its own: one is in its folder encoder",
        "/encoder",
    ),
    "GGUF": ((rename("model.safetensors", "q4.gguf"),), r"exist only in GGUF, .* \(q4.gguf\)", "safetensors"),
    "GGUF alone": (
        (rename("model.safetensors", "q4.gguf"), drop("config.json")),
        "holds weights in GGUF",
        "safetensors",
    ),
    "TensorFlow": ((rename("model.safetensors", "tf_model.h5"),), "exist only for TensorFlow", "safetensors"),
    "ONNX": ((rename("model.safetensors", "model.onnx"),), "exist only in ONNX", "safetensors"),
    "half precision apart": (
        (rename("model.safetensors", "model.fp16.safetensors"),),
        r"the variant fp16 \(model.fp16.safetensors\)",
        "without .fp16",
    ),
    "half precision apart, in parts": (
        (rename("model.safetensors", "model.fp16-00001-of-00002.safetensors"),),
        "the variant fp16",
        "and its parts",
    ),
    "a tokenizer that is code": (
        (drop("tokenizer.json"), write("tokenizer_config.json", b'{"auto_map": {"AutoTokenizer": ["a.B", null]}}')),
        "The tokenizer of .* needs Python code",
        "--trust-remote-code",
    ),
    "no weights": ((drop("model.safetensors"),), "has no weights", "save_pretrained"),
    "pickled weights": (
        (rename("model.safetensors", "pytorch_model.bin"),),
        "exist only as a pickle",
        "--allow-pickle",
    ),
    "a missing part": (
        (
            rename("model.safetensors", PART.format(1)),
            write(INDEX, f'{{"weight_map": {{"a": "{PART.format(1)}", "b": "{PART.format(2)}"}}}}'.encode()),
        ),
        f"lacks {PART.format(2)}",
        "again",
    ),
    "an empty index": (
        (drop("model.safetensors"), write(INDEX, b'{"weight_map": {}}')),
        "does not say where the weights are",
        "again",
    ),
    "weights cut short": ((cut("model.safetensors", 5000),), "damaged or cut short", "again"),
    "weights that are something else": (
        (write("model.safetensors", b"PK\x03\x04" * 99),),
        "damaged or cut short",
        "again",
    ),
    "empty weights": ((write("model.safetensors", b""),), "damaged or cut short", "again"),
    "no tokenizer": (
        (drop("tokenizer.json"), drop("tokenizer_config.json")),
        "has no tokenizer",
        "tokenizer's files",
    ),
    "no vocabulary": ((drop("tokenizer.json"),), "has no tokenizer", "tokenizer's files"),
    "images": (
        (drop("tokenizer.json"), write("preprocessor_config.json", b"{}")),
        "does not read text",
        "reads text",
    ),
}


def broken(whole: Path, folder: Path, *changes: Change) -> Path:
    """A copy of a folder with something changed."""
    shutil.copytree(whole, folder)
    for change in changes:
        change(folder)
    return folder


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_in_a_folder_is_named(whole: Path, tmp_path: Path, fault: str) -> None:
    changes, problem, remedy = BROKEN[fault]
    with pytest.raises(ModelError, match=problem) as raised:
        find(str(broken(whole, tmp_path / "model", *changes)), PLAIN)
    assert remedy in raised.value.remedy
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["no/such/folder", "./nothing", "/no/such", "white space", "..nothing"])
def test_what_can_be_no_name_is_said_to_be_no_folder(name: str) -> None:
    with pytest.raises(ModelError, match="There is no folder"):
        find(name, PLAIN)


@pytest.mark.parametrize("name", ["", " "])
def test_no_name_is_not_the_folder_that_we_are_in(name: str, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(whole)
    with pytest.raises(ModelError, match="No model is named"):
        find(name, PLAIN)


def test_a_file_is_no_folder(whole: Path) -> None:
    with pytest.raises(ModelError, match="is a file, not a folder"):
        find(str(whole / "model.safetensors"), PLAIN)


@pytest.mark.parametrize("name", ["~nobody-of-that-name/model", "long" * 999, "a\0b"])
def test_what_cannot_even_be_looked_for(name: str) -> None:
    for look in (find, load):
        with pytest.raises(ModelError, match=r"cannot be read|There is no folder"):
            look(name, PLAIN)


def test_a_file_that_cannot_be_read(whole: Path, tmp_path: Path) -> None:
    folder = broken(whole, tmp_path / "model", drop("config.json"), lambda folder: (folder / "config.json").mkdir())
    with pytest.raises(ModelError, match=r"config\.json of .* is a folder, not a file"):
        find(str(folder), PLAIN)


def test_a_name_on_a_hub_out_of_reach() -> None:
    with pytest.raises(ModelError, match="hub cannot be reached") as raised:
        find("nobody/nothing", PLAIN)
    assert "folder" in raised.value.remedy


def test_what_is_found(whole: Path) -> None:
    found = find(str(whole), PLAIN)
    assert found.config["model_type"] == "bert"
    assert found.saved_dtype == "float32"
    assert found.saved_bytes == found.bytes_in("float32") == 2 * found.bytes_in("bfloat16")
    # The header and its padding are all that the file holds beside the weights.
    assert 0 < (whole / "model.safetensors").stat().st_size - found.saved_bytes < 10_000


def test_a_tokenizer_of_bytes_needs_no_vocabulary(whole: Path, tmp_path: Path) -> None:
    settings = write("tokenizer_config.json", b'{"tokenizer_class": "ByT5Tokenizer"}')
    folder = broken(whole, tmp_path / "model", drop("tokenizer.json"), settings)
    assert find(str(folder), PLAIN).folder == folder


def test_a_pickle_that_is_allowed(whole: Path, tmp_path: Path) -> None:
    folder = broken(whole, tmp_path / "model", rename("model.safetensors", "pytorch_model.bin"))
    found = find(str(folder), LoadOptions(allow_pickle=True))
    assert found.pickled
    assert found.saved_dtype is None


def test_faults_are_found_before_torch_is_imported(whole: Path, tmp_path: Path) -> None:
    for fault in ("no config", "no weights", "no tokenizer", "weights cut short"):
        broken(whole, tmp_path / fault, *BROKEN[fault][0])
    script = """
import sys
from attn_cli.errors import ModelError
from attn_cli.models import load
for name in sys.argv[1:]:
    try:
        load(name)
    except ModelError as error:
        print(error)
print(*sorted({"torch", "transformers"} & set(sys.modules)), sep=",")
"""
    names = [str(folder) for folder in sorted(tmp_path.iterdir())] + ["nobody/nothing"]
    ran = subprocess.run([sys.executable, "-c", script, *names], capture_output=True, text=True, check=True)
    *errors, imported = ran.stdout.split("\n")[:-1]
    assert len(errors) == 5
    assert imported == ""
    assert ran.stderr == ""


@pytest.mark.parametrize("option", ["device='tpu'", "dtype='int8'"])
def test_options_that_do_not_exist(option: str) -> None:
    """The options are checked in a process of its own: here the signature's own check would come first."""
    script = f"from attn_cli.models import LoadOptions; LoadOptions({option})"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "UsageError: There is no" in ran.stderr
    assert "Choose from auto, " in ran.stderr
