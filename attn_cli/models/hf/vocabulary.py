"""Spellings of a tokenizer's pieces, in its vocabulary and in readable form."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary

from transformers import PreTrainedTokenizerBase

from attn_cli.models.hf.loading import faults_told
from attn_cli.models.hf.spelling import letter_shown

__all__ = [
    "ALPHABET",
    "REMEDY",
    "names_of",
    "problem_with",
    "readable",
    "shown_names",
    "special_ids",
    "tokenizer_faults_told",
]

REMEDY = "Check that its files belong to the model, or set ATTN_DEBUG=1 to see where it failed"
ROLES = ("bos", "eos", "unk", "mask", "pad", "sep", "cls")
"""Roles of special tokens; a token with several roles is named after the last."""


_known_special: WeakKeyDictionary[PreTrainedTokenizerBase, frozenset[int]] = WeakKeyDictionary()


def special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return ids of tokens that mark structure even where the text spells them; unknown and mask tokens are words."""
    if tokenizer in _known_special:
        return _known_special[tokenizer]
    structural = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.cls_token_id}
    words = {tokenizer.unk_token_id, tokenizer.mask_token_id} - structural
    # Marian and M2M100 do not list their language tokens as special.
    marian: Any = tokenizer.convert_tokens_to_ids(list(getattr(tokenizer, "supported_language_codes", ())))
    m2m_100 = getattr(tokenizer, "id_to_lang_token", ())
    found = _known_special[tokenizer] = frozenset((*tokenizer.all_special_ids, *marian, *m2m_100)) - words
    return found


def tokenizer_faults_told(task: str) -> AbstractContextManager[None]:
    """Turn any exception of a tokenizer into an error of one sentence; attn's own errors pass through.

    Args:
        task: the tokenizer's task in words, as in "read this text".

    Raises:
        ModelError: the tokenizer raised an exception or panicked.
    """
    return faults_told(problem_with(task), REMEDY)


def problem_with(task: str) -> str:
    """Word the problem of a tokenizer that fails at a task."""
    return f"The model's tokenizer could not {task}"


def names_of(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[str | None]:
    """Return the vocabulary's spelling of each id; None for an id that is not in it.

    Args:
        tokenizer: the model's own tokenizer.
        ids: ids of tokens.

    Raises:
        ModelError: the tokenizer fails at these ids.
    """
    with tokenizer_faults_told("spell its own tokens"):
        found: Any = tokenizer.convert_ids_to_tokens(list(ids))
        return [None if name is None else str(name) for name in found]


def shown_names(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], pieces: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return the pieces in readable form.

    Args:
        tokenizer: the model's own tokenizer.
        ids: ids of the pieces.
        pieces: pieces as the vocabulary spells them, where known.

    Raises:
        ModelError: the tokenizer fails at these ids.
    """
    found = names_of(tokenizer, ids) if pieces is None else pieces
    # A model may have more ids than its vocabulary has pieces.
    names = [f"<{id_}>" if name is None else name for id_, name in zip(ids, found, strict=True)]
    if _of_bytes(tokenizer):
        return tuple(readable(name) for name in names)
    if tokenizer.is_fast:
        return tuple(names)
    of_bytes = tokenizer.tokenize("é") == [chr(byte) for byte in "é".encode()]
    roles = {getattr(tokenizer, f"{role}_token_id"): f"[{role.upper()}]" for role in ROLES}
    return tuple(
        # CANINE's special tokens are characters that no font has.
        roles[id_]
        if len(name) == 1 and not name.isprintable() and id_ in roles
        else letter_shown(name, of_bytes=of_bytes)
        for id_, name in zip(ids, names, strict=True)
    )


def _of_bytes(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the vocabulary spells bytes and not letters."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and "ByteLevel(" in repr(backend.decoder)


def _byte_alphabet() -> dict[int, str]:
    """Map each byte to the character of byte-level vocabularies (`bytes_to_unicode` of GPT-2's encoder.py)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(other)}


ALPHABET = _byte_alphabet()
BYTES = {character: byte for byte, character in ALPHABET.items()}


def readable(piece: str) -> str:
    """Put the letters of a byte-level piece together again: `Ã©t` becomes `ét`; the bytes of broken letters, `<0xC3>`.

    ASCII stays as the vocabulary spells it (`Ġ` for a space), and so do added tokens.
    """
    if not all(character in BYTES for character in piece):
        return piece
    letters = bytes(BYTES[character] for character in piece).decode(errors="surrogateescape")
    return "".join(
        f"<0x{ord(letter) - 0xDC00:02X}>"
        if 0xDC80 <= ord(letter) <= 0xDCFF
        else ALPHABET.get(ord(letter), letter)
        if letter.isascii()
        else letter
        for letter in letters
    )
