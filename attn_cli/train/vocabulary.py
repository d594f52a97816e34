"""The joint vocabulary: byte-pair encoding (Sennrich et al. 2016) with byte fallback, so that no text is unknown."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from attn_cli.grammar.words import ENDING

__all__ = ["END", "PAD", "train_tokenizer"]

PAD, END = "<pad>", "</s>"
"""Special tokens, with ids 0 and 1. The decoder starts from `PAD`, as Marian's does."""

LETTER = r"[\p{L}\p{M}]"
CHUNK = (
    rf"▁?{LETTER}+n't\b|▁?{LETTER}+(?={ENDING})|{ENDING}|▁?{LETTER}+'(?=\p{{L}})|▁?{LETTER}+"
    r"|▁?\p{N}|▁?\.\.\.|▁?[^\s▁]"
)
"""Pattern of the longest possible piece: a word, an elided word, an English ending, a digit, or a mark."""

ALPHABET = 160
"""Number of characters with a token of their own; rarer ones are written as bytes."""


def train_tokenizer(sentences: Iterable[str], size: int) -> Tokenizer:
    """Learn a vocabulary from sentences of both languages.

    Args:
        sentences: sentences to learn from.
        size: number of tokens in all, with the 256 bytes and the two special tokens.
    """
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    learner = _tokenizer(models.BPE())
    learner.train_from_iterator(
        sentences,
        trainers.BpeTrainer(
            vocab_size=size - len(byte_tokens) - 2, limit_alphabet=ALPHABET, min_frequency=2, show_progress=False
        ),
    )
    learned = json.loads(learner.to_str())["model"]
    names = [PAD, END, *byte_tokens, *sorted(learned["vocab"], key=learned["vocab"].__getitem__)]
    tokenizer = _tokenizer(
        models.BPE(
            vocab={name: number for number, name in enumerate(names)},
            merges=[tuple(merge) for merge in learned["merges"]],
            byte_fallback=True,
        )
    )
    tokenizer.add_special_tokens([AddedToken(PAD, special=True), AddedToken(END, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, names.index(END))]
    )
    return tokenizer


def _tokenizer(model: models.Model) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace("’", "'")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
            pre_tokenizers.Split(Regex(CHUNK), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer
