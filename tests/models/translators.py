"""Small models of every family that translates: real code, random weights, tokenizers made here."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import sentencepiece
import torch
import transformers
from transformers import PreTrainedTokenizerBase

from attn_cli.models import AS_IT_HAS_THEM, Languages
from attn_cli.models.hf.model import Pretrained
from tests.models import folders

ENGLISH_FRENCH = Languages("en", "fr")

BART: dict[str, Any] = {
    "d_model": 30,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 5,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "max_position_embeddings": 43,
    "tie_word_embeddings": False,  # a random model would write one word again and again
}
T5: dict[str, Any] = {"d_model": 30, "d_kv": 7, "d_ff": 37, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 3}
TASKS = {
    "summarization": {"prefix": "summarize: "},
    "translation_en_to_de": {"prefix": "translate English to German: "},
    "translation_en_to_fr": {"prefix": "translate English to French: "},
}


@dataclass(frozen=True)
class Translator:
    """A family, how to make a small one, and what transformers must be told by hand to do the same as attn."""

    name: str
    model: str
    """`Marian.MTModel`: configuration and what follows in the model's name."""
    tokenizer: Callable[[Path], PreTrainedTokenizerBase]
    settings: Mapping[str, Any]
    languages: Languages = AS_IT_HAS_THEM
    prefix: str = ""
    code: Callable[[Any], Mapping[str, int]] = field(default=lambda _: {})
    """Arguments of transformers' `generate`, given the tokenizer."""

    def __str__(self) -> str:
        return self.name


def marian_to_many(folder: Path) -> PreTrainedTokenizerBase:
    """Marian with a token for each target language."""
    folders.marian(folder)
    path = folder / "vocab.json"
    pieces = json.loads(path.read_text(encoding="utf-8"))
    for code in (">>fra<<", ">>deu<<"):
        pieces[code] = len(pieces)
    path.write_text(json.dumps(pieces), encoding="utf-8")
    paths: list[Any] = [str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")
        return transformers.MarianTokenizer(*paths)


def m2m_100(folder: Path) -> PreTrainedTokenizerBase:
    """M2M100's way: SentencePiece, and `__en__` before the text."""
    folder.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(folders.SENTENCES), model_writer=model, vocab_size=83, minloglevel=2
    )
    (folder / "spm.model").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *(processor.id_to_piece(id_) for id_ in range(3, 83))]
    vocabulary = {piece: id_ for id_, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    return transformers.M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "spm.model"))


def nllb(_: Path) -> PreTrainedTokenizerBase:
    """NLLB's way: pairs of characters, and `eng_Latn` before the text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    made = folders._trained(learner, trainers.BpeTrainer(vocab_size=113, special_tokens=special, show_progress=False))
    return transformers.NllbTokenizer(vocab=made["vocab"], merges=folders._pairs(made))


def mbart50(_: Path) -> PreTrainedTokenizerBase:
    """mBART-50's way: the language before the text on both sides."""
    return transformers.MBart50Tokenizer(vocab=folders._unigram(["<unk>", "<s>", "</s>"]))


def _first(code: str) -> Callable[[Any], Mapping[str, int]]:
    return lambda tokenizer: {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(code)}


def _start(code: str) -> Callable[[Any], Mapping[str, int]]:
    return lambda tokenizer: {"decoder_start_token_id": tokenizer.convert_tokens_to_ids(code)}


BARTS = {"pad_token_id": 1, "eos_token_id": 2, "bos_token_id": 0, "decoder_start_token_id": 2}
TRANSLATORS = {
    one.name: one
    for one in (
        Translator("marian", "Marian.MTModel", folders.marian, BART),
        Translator("marian to many", "Marian.MTModel", marian_to_many, BART, Languages(target="fr"), prefix=">>fra<< "),
        Translator(
            "t5",
            "T5.ForConditionalGeneration",
            lambda _: folders.t5(),
            T5 | {"task_specific_params": TASKS},
            ENGLISH_FRENCH,
            prefix="translate English to French: ",
        ),
        Translator(
            "mt5",
            "MT5.ForConditionalGeneration",
            lambda _: folders.t5(),
            T5 | {"tie_word_embeddings": False},
            ENGLISH_FRENCH,
            prefix="translate English to French: ",
        ),
        Translator("bart", "Bart.ForConditionalGeneration", lambda _: folders.roberta(), BART | BARTS),
        Translator(
            "mbart",
            "MBart.ForConditionalGeneration",
            lambda _: transformers.MBartTokenizer(vocab=folders._unigram(["<s>", "<pad>", "</s>", "<unk>"])),
            BART | BARTS,
            ENGLISH_FRENCH,
            code=_start("fr_XX"),
        ),
        Translator(
            "mbart50", "MBart.ForConditionalGeneration", mbart50, BART | BARTS, ENGLISH_FRENCH, code=_first("fr_XX")
        ),
        Translator(
            "m2m_100", "M2M100.ForConditionalGeneration", m2m_100, BART | BARTS, ENGLISH_FRENCH, code=_first("__fr__")
        ),
        Translator(
            "nllb", "M2M100.ForConditionalGeneration", nllb, BART | BARTS, ENGLISH_FRENCH, code=_first("fra_Latn")
        ),
    )
}


def build(one: Translator, folder: Path) -> tuple[Path, Any, Any]:
    """A folder, and the model and tokenizer that were saved there."""
    tokenizer: Any = one.tokenizer(folder)
    family, part = one.model.split(".")
    own = {}
    if "decoder_start_token_id" not in one.settings:
        pad = tokenizer.pad_token_id
        own = {"pad_token_id": pad, "decoder_start_token_id": pad, "eos_token_id": tokenizer.eos_token_id}
    size = max(len(tokenizer), *tokenizer.get_vocab().values()) + 1
    if one.name == "m2m_100":
        size = tokenizer.encoder_size + len(tokenizer.lang_token_to_id)
    whole = folders.made(family, part, **(dict(one.settings) | own), vocab_size=size)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for path, parameter in whole.named_parameters():
            if parameter.ndim == 2 and parameter.requires_grad:  # so that attention and words are uneven
                spread = 0.3 if "shared" in path or "lm_head" in path else 2.5 / parameter.shape[-1] ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return folders.save(folder, whole, tokenizer), whole, tokenizer


@cache
def _saved(name: str) -> tuple[Path, Any, Any]:
    return build(TRANSLATORS[name], Path(mkdtemp(prefix="attn-test-")))


@cache
def built(name: str) -> tuple[Pretrained, Any, Any]:
    """One family: loaded by attn, and as transformers has it."""
    folder, whole, tokenizer = _saved(name)
    return folders.opened(folder), whole, tokenizer


def folder_of(name: str) -> str:
    """Return the folder that one family's model is saved in."""
    return str(_saved(name)[0])
