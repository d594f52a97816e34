"""Text to token ids, through the model's own tokenizer, with each piece's place in the text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary

from transformers import PreTrainedTokenizerBase

from attn_cli.encoding import check_text
from attn_cli.errors import InputError
from attn_cli.models.compiled import in_time
from attn_cli.models.loading import faults_told
from attn_cli.models.pieces import Pieces
from attn_cli.words import written_offsets

__all__ = ["encode", "names_of", "spell", "tokenizer_faults_told", "written"]

REMEDY = "Check that its files belong to the model, or set ATTN_DEBUG=1 to see where it failed"
WITHOUT_OFFSETS = "This tokenizer does not say where its pieces stand in the text, so they are not merged into words"


def tokenizer_faults_told(task: str) -> AbstractContextManager[None]:
    """Whatever a tokenizer raises becomes an error of one sentence; attn's own errors pass.

    Args:
        task: what the tokenizer was asked for, as in "read this text".

    Raises:
        ModelError: it found a fault, or panicked.
    """
    return faults_told(_problem(task), REMEDY)


def _problem(task: str) -> str:
    return f"The model's tokenizer could not {task}"


def encode(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    *,
    prefix: str = "",
    pair: str | None = None,
    target: bool = False,
    limit: int | None = None,
) -> Pieces:
    """Tokenize as the model expects it, special tokens included.

    Args:
        tokenizer: the model's own.
        text: what to tokenize.
        prefix: what the model is told before the text (a task, a language); its pieces are special.
        pair: a second segment.
        target: the text is for the decoder's side, which some tokenizers treat otherwise (Marian, mBART).
        limit: cut to this many tokens, special tokens kept.

    Raises:
        InputError: the text is blank or no text at all, gives no tokens, or `pair` is given to a tokenizer that does
            not keep two segments apart.
        ModelError: the tokenizer fails at this text, or takes far too long.
    """
    check_text(text, "The target" if target else "The text")
    if pair is not None:
        check_text(pair, "The second text")
    settings: dict[str, Any] = {} if limit is None else {"truncation": True, "max_length": limit}
    with tokenizer_faults_told("read this text"):
        pieces = (_encode_fast if tokenizer.is_fast else _encode_slow)(tokenizer, prefix + text, pair, target, settings)
    if prefix:
        pieces = pieces.without_prefix(prefix)
    if all(pieces.special):
        raise InputError(
            "The model's tokenizer makes no tokens of this text", "Give a text with letters or digits that can be seen"
        )
    if pair is not None and not _separated(pieces):
        raise InputError(
            "This model takes one text: its tokenizer puts nothing between two",
            "Leave the second out, or write one text",
        )
    return pieces


def written(tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int]) -> Pieces:
    """The pieces of what a decoder wrote, exactly as it wrote them.

    Args:
        tokenizer: the model's own.
        text: the ids as text, special tokens left out.
        ids: the start token and all that was written.

    Raises:
        ModelError: the tokenizer fails at them.
    """
    with tokenizer_faults_told("spell what was written"):
        extra = _special_ids(tokenizer)
        of_bytes = _of_bytes(tokenizer)
    # A model may have more numbers than its vocabulary has words.
    names = [f"<{id_}>" if name is None else name for id_, name in zip(ids, names_of(tokenizer, ids), strict=True)]
    return Pieces(
        text=text,
        pair=None,
        ids=tuple(ids),
        names=tuple(map(readable, names)) if of_bytes else tuple(names),
        offsets=tuple(written_offsets(text, (spell(tokenizer, ids[:stop], extra) for stop in range(1, len(ids) + 1)))),
        special=(True, *(id_ in extra for id_ in ids[1:])),
        segments=(0,) * len(ids),
        type_ids=None,
    )


def spell(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], special: frozenset[int] | None = None) -> str:
    """What was written, as text, without special tokens and language codes.

    Args:
        tokenizer: the model's own.
        ids: what was written.
        special: ids to leave out; found out where None.

    Raises:
        ModelError: the tokenizer fails at them.
    """
    with tokenizer_faults_told("spell what was written"):
        extra = _special_ids(tokenizer) if special is None else special
        return str(tokenizer.decode([id_ for id_ in ids if id_ not in extra], skip_special_tokens=True)).strip()


def names_of(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[str | None]:
    """How the vocabulary spells each id; None where it has none of that number.

    Args:
        tokenizer: the model's own.
        ids: of tokens.

    Raises:
        ModelError: the tokenizer fails at them.
    """
    with tokenizer_faults_told("spell its own tokens"):
        found: Any = tokenizer.convert_ids_to_tokens(list(ids))
        return [None if name is None else str(name) for name in found]


def _of_bytes(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the vocabulary spells bytes and not letters."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and "ByteLevel(" in repr(backend.decoder)


def _separated(pieces: Pieces) -> bool:
    """Whether there is a special token between the two segments."""
    place = pieces.segments.index(1) if 1 in pieces.segments else 0
    return place > 0 and (pieces.special[place - 1] or pieces.special[place])


def _encode_fast(
    tokenizer: PreTrainedTokenizerBase, text: str, pair: str | None, target: bool, settings: dict[str, Any]
) -> Pieces:
    """With the `tokenizers` library, which knows where each piece stands."""
    batch: Any = in_time(
        lambda: tokenizer(text_target=text, **settings) if target else tokenizer(text, pair, **settings),
        len(text) + len(pair or ""),
        _problem("read this text"),
        REMEDY,
    )
    encoding = batch.encodings[0]
    extra = _special_ids(tokenizer)
    return Pieces(
        text=text,
        pair=pair,
        ids=tuple(encoding.ids),
        names=tuple(readable(token) for token in encoding.tokens) if _of_bytes(tokenizer) else tuple(encoding.tokens),
        offsets=tuple(encoding.offsets),
        special=tuple(
            bool(mark) or id_ in extra for mark, id_ in zip(encoding.special_tokens_mask, encoding.ids, strict=True)
        ),
        segments=_filled(encoding.sequence_ids),
        type_ids=tuple(batch["token_type_ids"]) if "token_type_ids" in batch else None,
    )


def _encode_slow(
    tokenizer: PreTrainedTokenizerBase, text: str, pair: str | None, target: bool, settings: dict[str, Any]
) -> Pieces:
    """With a tokenizer written in Python, which keeps no offsets; SentencePiece itself can be asked for them."""
    batch: Any = tokenizer(text_target=text, **settings) if target else tokenizer(text, pair, **settings)
    ids = tuple(batch["input_ids"])
    extra = _special_ids(tokenizer)
    special = tuple(id_ in extra for id_ in ids)
    type_ids = tuple(batch["token_type_ids"]) if "token_type_ids" in batch else None
    inner = [id_ for id_, is_special in zip(ids, special, strict=True) if not is_special]
    # Marian takes the language before a text off by itself.
    split: Any = getattr(tokenizer, "remove_language_code", None)
    plain = text if split is None else str(split(text)[1])
    found = _sentencepiece_offsets(tokenizer, plain, target, inner) if pair is None else None
    skipped = len(text) - len(plain)
    places = ((start + skipped, end + skipped) for start, end in found or ())
    return Pieces(
        text=text,
        pair=pair,
        ids=ids,
        names=tuple(map(str, names_of(tokenizer, ids))),
        offsets=tuple((0, 0) if is_special or found is None else next(places) for is_special in special),
        special=special,
        segments=(0,) * len(ids) if pair is None or type_ids is None else type_ids,
        type_ids=type_ids,
        notes=() if found is not None else (WITHOUT_OFFSETS,),
    )


def _sentencepiece_offsets(
    tokenizer: PreTrainedTokenizerBase, text: str, target: bool, ids: Sequence[int]
) -> list[tuple[int, int]] | None:
    """Places of the pieces, where SentencePiece alone made them; None where something else had a hand in it."""
    processor: Any = getattr(tokenizer, "spm_target" if target else "spm_source", getattr(tokenizer, "sp_model", None))
    if not hasattr(processor, "EncodeAsOffsetMapping"):  # not SentencePiece, or an old one
        return None
    made = processor.EncodeAsOffsetMapping(text)
    if list(ids) != tokenizer.convert_tokens_to_ids(made["pieces"][: len(ids)]):
        return None
    return [(start, end) for start, end in made["offsets"][: len(ids)]]


_known_special: WeakKeyDictionary[PreTrainedTokenizerBase, frozenset[int]] = WeakKeyDictionary()


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens that mark structure even where the text itself spells them; unknown and masked words are words."""
    if tokenizer in _known_special:
        return _known_special[tokenizer]
    structural = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.cls_token_id}
    words = {tokenizer.unk_token_id, tokenizer.mask_token_id} - structural
    # Marian and M2M100 do not count their languages among them.
    marian: Any = tokenizer.convert_tokens_to_ids(list(getattr(tokenizer, "supported_language_codes", ())))
    m2m_100 = getattr(tokenizer, "id_to_lang_token", ())
    found = _known_special[tokenizer] = frozenset((*tokenizer.all_special_ids, *marian, *m2m_100)) - words
    return found


def _filled(segments: Sequence[int | None]) -> tuple[int, ...]:
    """Special tokens belong to the segment before them."""
    filled: list[int] = []
    for segment in segments:
        filled.append(segment if segment is not None else filled[-1] if filled else 0)
    return tuple(filled)


def _byte_alphabet() -> dict[int, str]:
    """The characters that byte-level vocabularies write for bytes (`bytes_to_unicode` of GPT-2's encoder.py)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(other)}


ALPHABET = _byte_alphabet()
BYTES = {character: byte for byte, character in ALPHABET.items()}


def readable(piece: str) -> str:
    """A byte-level piece with its letters put together again: `Ã©t` is `ét`; broken letters become `<0xC3>`.

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
