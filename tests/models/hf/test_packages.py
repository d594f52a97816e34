"""Tests of packages that transformers needs and does not find: each is named, with how to install it."""

from __future__ import annotations

import io
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from attn_cli.errors import ModelError
from attn_cli.models import Input, LoadOptions
from attn_cli.models.hf.finding import find
from attn_cli.models.hf.loading import quiet
from attn_cli.models.hf.packages import missing_packages, needs_gpu, told
from tests.models import folders


@pytest.mark.parametrize(
    ("said", "packages"),
    [
        ("You need to install fugashi to use MecabTokenizer. See https://pypi.org for installation.", ("fugashi",)),
        ("The unidic_lite dictionary is not installed. See https://github.com/polm/unidic-lite.", ("unidic-lite",)),
        (
            (
                "\nMarianTokenizer requires the SentencePiece library but it was not found in your environment. Check "
                "out the instructions on the\ninstallation page of its repo: https://github.com/google/sentencepiece"
            ),
            ("sentencepiece",),
        ),
        (
            (
                "\nX requires the PIL library but it was not found in your environment. You can install it with pip:\n"
                "`pip install pillow`. Please note that you may need to restart your runtime."
            ),
            ("pillow",),
        ),
        (
            (
                "\nX requires the 🤗 Datasets library but it was not found in your environment. You can install it "
                "with:\n```\npip install datasets\n```\nIn a notebook, by\n```\n!pip install datasets\n"
            ),
            ("datasets",),
        ),
        (
            "X requires the jinja library but it was not found. You can install it with pip: `pip install\njinja2`.",
            ("jinja2",),
        ),
        (
            "Using `bitsandbytes` 4-bit quantization requires bitsandbytes: `pip install -U bitsandbytes>=0.48.0`",
            ("bitsandbytes>=0.48.0",),
        ),
        ("requires accelerate: `pip install 'accelerate>=1.1.0'`", ("accelerate>=1.1.0",)),
        ("Using `aqlm` quantization requires AQLM: `pip install aqlm[gpu,cpu]`", ("aqlm[gpu,cpu]",)),
        ("Loading a GPTQ quantized model requires optimum (`pip install optimum`)", ("optimum",)),
        ("requires torch Please install the latest version of torch ( pip install --upgrade torch )", ("torch",)),
        (
            (
                "This modeling file requires the following packages that were not found in your environment: einops, "
                "flash_attn. Run `pip install einops flash_attn`"
            ),
            ("einops", "flash_attn"),
        ),
        ("Please install torch and gguf>=0.10.0 to load a GGUF checkpoint in PyTorch.", ("gguf>=0.10.0",)),
        ("Pandas is required for the TAPAS tokenizer.", ("pandas",)),
        ("Loading a Quark quantized model requires the `quark` library but it was not found", ("amd-quark",)),
        ("cannot import name 'x' from 'y'", ()),
    ],
)
def test_packages_are_found_in_what_transformers_says(said: str, packages: tuple[str, ...]) -> None:
    assert missing_packages(ImportError(said)) == packages


def test_the_fault_below_a_fault_counts() -> None:
    outer = ValueError("the tokenizer could not be made")
    outer.__cause__ = ModuleNotFoundError("No module named 'sklearn.svm'", name="sklearn.svm")
    assert missing_packages(outer) == ("scikit-learn",)
    assert missing_packages(ValueError("a hint: import something")) == ()
    assert missing_packages(RuntimeError("MXFP4 requires `kernels`: `pip install kernels>=0.12.0`")) == (
        "kernels>=0.12.0",
    )


def test_what_is_there_must_be_another_version() -> None:
    problem, remedy = told(("transformers>=99",))
    assert problem == "it needs transformers>=99, of which another version is installed"
    assert "`pip install -U 'transformers>=99'`" in remedy
    problem, remedy = told(("no-such-package", "torch"))
    assert problem == "it needs no-such-package and torch, which are not all installed"
    assert "`pip install no-such-package torch`" in remedy


def test_a_gpu_is_no_package() -> None:
    for said in ("GPU is required to run SpQR quantized model.", "No GPU found. A GPU is needed for quantization."):
        assert needs_gpu(RuntimeError(said))
        assert not missing_packages(RuntimeError(said))
    assert not needs_gpu(RuntimeError("size mismatch"))


def _settings(folder: Path, **settings: Any) -> Path:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("package", "settings"),
    [
        ("fugashi", {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}),
        ("sudachipy", {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "sudachi"}),
        ("sacremoses", {"tokenizer_class": "XLMTokenizer"}),
    ],
)
def test_a_tokenizer_that_needs_a_package(tmp_path: Path, package: str, settings: dict[str, Any]) -> None:
    if find_spec(package):
        pytest.skip(f"{package} is installed here")
    folder = _settings(folders.bert(tmp_path), **settings)
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n", encoding="utf-8")
    (folder / "vocab.json").write_text("{}", encoding="utf-8")
    (folder / "merges.txt").write_text("a b 1\n", encoding="utf-8")
    with pytest.raises(ModelError, match=f"it needs {package}, which is not installed") as raised:
        folders.opened(folder)
    assert f"`pip install {package}`" in raised.value.remedy


@pytest.mark.parametrize(
    ("package", "quantization"),
    [
        ("bitsandbytes", {"load_in_8bit": True}),
        ("torchao", {"quant_method": "torchao"}),
        ("optimum", {"quant_method": "gptq", "bits": 4}),
        ("gptqmodel", {"quant_method": "awq", "bits": 4}),
        ("hqq", {"quant_method": "hqq"}),
        ("aqlm", {"quant_method": "aqlm"}),
        ("amd-quark", {"quant_method": "quark"}),
        ("auto-round", {"quant_method": "auto-round"}),
        ("optimum-quanto", {"quant_method": "quanto"}),
        ("kernels", {"quant_method": "eetq"}),
        ("vptq", {"quant_method": "vptq"}),
    ],
)
def test_quantized_weights_that_need_a_package(tmp_path: Path, package: str, quantization: dict[str, Any]) -> None:
    if find_spec(package.replace("-", "_")):
        pytest.skip(f"{package} is installed here")
    folder = folders.bert(tmp_path)
    folders.edit(folder, quantization_config=quantization)
    with pytest.raises(ModelError, match=f"it needs .*{package}.*, which (is|are) not .*installed") as raised:
        find(str(folder), LoadOptions())  # before torch is imported
    assert package in raised.value.remedy


@pytest.mark.parametrize("with_vocabulary", [True, False])
def test_a_tokenizer_that_is_code(tmp_path: Path, with_vocabulary: bool) -> None:
    folder = folders.bert(tmp_path)
    kind = "WordTokenizer"
    _settings(folder, tokenizer_class=kind, auto_map={"AutoTokenizer": [f"tokenization_word.{kind}", None]})
    if with_vocabulary:
        (folder / "vocab_of_its_own.bin").write_text("", encoding="utf-8")
    with pytest.raises(ModelError, match="needs Python code that comes with it") as raised:
        folders.opened(folder)
    assert "--trust-remote-code" in raised.value.remedy
    code = f"import no_such_package_xyz\nclass {kind}: pass\n"
    (folder / "tokenization_word.py").write_text(code, encoding="utf-8")
    with pytest.raises(ModelError, match="it needs no_such_package_xyz, which is not installed"):
        folders.opened(folder, trust_remote_code=True)


def test_a_tokenizer_in_sentencepieces_own_form(tmp_path: Path) -> None:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(folders.SENTENCES),
        model_writer=written,
        vocab_size=340,
        model_type="bpe",
        byte_fallback=True,
        minloglevel=2,
    )
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "hidden_size": 16}
    with quiet():
        folders.made("Llama", "ForCausalLM", vocab_size=340, intermediate_size=17, **sizes).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(written.getvalue())
    if find_spec("google") and find_spec("google.protobuf"):
        assert len(folders.opened(tmp_path).prepare(Input("The trophy didn't fit")).source) > 4
        return
    with pytest.raises(ModelError, match=r"is in tokenizer\.model alone: it needs protobuf, which is not") as error:
        folders.opened(tmp_path)
    assert "`pip install protobuf`" in error.value.remedy
