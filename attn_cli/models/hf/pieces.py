"""The output of a tokenizer, as pieces with their places in the text.

A fast tokenizer (the `tokenizers` library) says where its pieces stand. One in Python does not: its offsets come from
SentencePiece, or from the pieces' spelling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from attn_cli.models.encoding import Pieces
from attn_cli.models.hf.spelling import spelled_offsets
from attn_cli.models.hf.vocabulary import shown_names, special_ids

__all__ = ["Tokenized", "read_fast", "read_slow"]

OWN_KEYS = frozenset({"input_ids", "attention_mask", "labels", "special_tokens_mask", "offset_mapping", "length"})
"""Keys of a tokenizer's output that are kept elsewhere, or that no model needs to read a text."""

WITHOUT_OFFSETS = "This tokenizer does not say where its pieces stand in the text, so they are not merged into words"


class Tokenized(NamedTuple):
    """A text's pieces as its tokenizer returns them."""

    pieces: Pieces
    added: tuple[bool, ...]
    """True for each piece that the tokenizer added, and that stands for nothing in the text."""


def read_fast(
    tokenizer: PreTrainedTokenizerBase,
    batch: Any,
    text: str,
    pair: str | None,
    words: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> Tokenized:
    """Convert the output of a fast tokenizer (the `tokenizers` library), which has the offset of each piece.

    Args:
        tokenizer: the model's own tokenizer.
        batch: the tokenizer's output.
        text: the text that was tokenized.
        pair: a second segment.
        words: spans of the words of each segment, if words were tokenized: its offsets count from the start of each.
    """
    encoding = batch.encodings[0]
    extra = special_ids(tokenizer)
    added = tuple(map(bool, encoding.special_tokens_mask))
    segments = _filled(encoding.sequence_ids)
    offsets = tuple(encoding.offsets)
    if words is not None:
        starts = [
            0 if word is None else words[segment][word][0]
            for segment, word in zip(segments, encoding.word_ids, strict=True)
        ]
        offsets = tuple((start + first, start + last) for start, (first, last) in zip(starts, offsets, strict=True))
    pieces = Pieces(
        text=text,
        pair=pair,
        ids=tuple(encoding.ids),
        names=shown_names(tokenizer, encoding.ids, encoding.tokens),
        offsets=offsets,
        special=tuple(mark or id_ in extra for mark, id_ in zip(added, encoding.ids, strict=True)),
        segments=segments,
        inputs=_inputs_of(batch),
    )
    return Tokenized(pieces, added)


def read_slow(tokenizer: PreTrainedTokenizerBase, batch: Any, text: str, pair: str | None, target: bool) -> Tokenized:
    """Convert the output of a tokenizer in Python, with offsets from SentencePiece or from the pieces' spelling.

    Args:
        tokenizer: the model's own tokenizer.
        batch: the tokenizer's output.
        text: the text that was tokenized.
        pair: a second segment.
        target: true if the text is for the decoder's side.
    """
    ids = tuple(batch["input_ids"])
    extra = special_ids(tokenizer)
    inputs = _inputs_of(batch)
    texts = [text] if pair is None else [text, pair]
    own = _own(tokenizer, ids, texts, target)
    added = (False,) * len(ids) if own is None else tuple(place is None for place in own)
    special = tuple(mark or id_ in extra for mark, id_ in zip(added, ids, strict=True))
    segments: Sequence[int] = inputs.get("token_type_ids", (0,) * len(ids)) if pair is not None else (0,) * len(ids)
    if own is not None:
        segments = _filled([None if place is None else place[0] for place in own])
    inner = [id_ for id_, is_special in zip(ids, special, strict=True) if not is_special]
    # Marian's tokenizer removes the language code before a text by itself.
    split: Any = getattr(tokenizer, "remove_language_code", None)
    plain = text if split is None else str(split(text)[1])
    found = _sentencepiece_offsets(tokenizer, plain, target, inner) if pair is None else None
    offsets: list[tuple[int, int]] | None = None
    if found is not None:
        skipped = len(text) - len(plain)
        places = iter((start + skipped, end + skipped) for start, end in found)
        offsets = [(0, 0) if is_special else next(places) for is_special in special]
    elif own is not None:
        each = [_spelled(tokenizer, one, target) for one in texts]
        if None not in each:
            offsets = [(0, 0) if place is None else (each[place[0]] or [])[place[1]] for place in own]
    pieces = Pieces(
        text=text,
        pair=pair,
        ids=ids,
        names=shown_names(tokenizer, ids),
        offsets=tuple(offsets or ((0, 0),) * len(ids)),
        special=special,
        segments=tuple(segments),
        inputs=inputs,
        notes=() if offsets is not None else (WITHOUT_OFFSETS,),
    )
    return Tokenized(pieces, added)


def _plain_ids(tokenizer: PreTrainedTokenizerBase, text: str, target: bool) -> list[int]:
    """Tokenize a text without special tokens."""
    call: Any = tokenizer
    ids: list[int] = call(**{"text_target" if target else "text": text}, add_special_tokens=False)["input_ids"]
    return ids


def _own(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], texts: Sequence[str], target: bool
) -> list[tuple[int, int] | None] | None:
    """Find the text that each token belongs to and its index among that text's tokens; None for an added token.

    Returns:
        A (text, index) or None for each token; None where the texts' tokens are not found among these.
    """
    every = [_plain_ids(tokenizer, text, target) for text in texts]
    found = _placed(ids, [range(len(one)) for one in every], every)
    if found is not None:
        return found
    room = len(ids) - tokenizer.num_special_tokens_to_add(pair=len(texts) > 1)
    for first in range(min(len(every[0]), room), -1, -1):  # some tokens were cut off
        kept = [first] if len(texts) == 1 else [first, room - first]
        left = tokenizer.truncation_side == "left"
        parts = [
            range(len(one) - count, len(one)) if left else range(count) for one, count in zip(every, kept, strict=True)
        ]
        found = _placed(ids, parts, every) if sum(kept) == room else None
        if found is not None:
            return found
    return None


def _placed(
    ids: Sequence[int], parts: Sequence[range], every: Sequence[Sequence[int]]
) -> list[tuple[int, int] | None] | None:
    """Find these parts of the texts' tokens among all tokens, one after another."""
    own: list[tuple[int, int] | None] = [None] * len(ids)
    place = 0
    for segment, (part, tokens) in enumerate(zip(parts, every, strict=True)):
        wanted = list(tokens[part.start : part.stop])
        if part.stop > len(tokens):
            return None
        size = len(wanted)
        starts = range(place, len(ids) - size + 1)
        start = next((start for start in starts if list(ids[start : start + size]) == wanted), None)
        if start is None:
            return None
        own[start : start + size] = [(segment, index) for index in part]
        place = start + size
    return own


def _spelled(tokenizer: PreTrainedTokenizerBase, text: str, target: bool) -> list[tuple[int, int]] | None:
    """Find the offsets of a text's own pieces from their spelling."""
    ids = _plain_ids(tokenizer, text, target)
    pieces: Any = tokenizer.tokenize(text)
    if tokenizer.convert_tokens_to_ids(pieces) != ids:
        pieces = tokenizer.convert_ids_to_tokens(ids)
    special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    return spelled_offsets(text, [str(piece) for piece in pieces], special, tokenizer.unk_token)


def _sentencepiece_offsets(
    tokenizer: PreTrainedTokenizerBase, text: str, target: bool, ids: Sequence[int]
) -> list[tuple[int, int]] | None:
    """Return the pieces' offsets from SentencePiece; None where the tokens are not exactly those that it makes."""
    processor: Any = getattr(tokenizer, "spm_target" if target else "spm_source", getattr(tokenizer, "sp_model", None))
    if not hasattr(processor, "EncodeAsOffsetMapping"):  # not SentencePiece, or an old version
        return None
    made = processor.EncodeAsOffsetMapping(text)
    if list(ids) != tokenizer.convert_tokens_to_ids(made["pieces"][: len(ids)]):
        return None
    return [(start, end) for start, end in made["offsets"][: len(ids)]]


def _filled(segments: Sequence[int | None]) -> tuple[int, ...]:
    """Assign special tokens to the segment before them."""
    filled: list[int] = []
    for segment in segments:
        filled.append(segment if segment is not None else filled[-1] if filled else 0)
    return tuple(filled)


def _inputs_of(batch: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return a tokenizer's inputs for the model besides token ids and attention mask."""
    return {key: tuple(values) for key, values in batch.items() if key not in OWN_KEYS}
