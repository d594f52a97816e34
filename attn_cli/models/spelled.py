"""Texts with a word added, and the tokens that a model's tokenizer makes of it there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from attn_cli.data.stream import Source
from attn_cli.data.text import Token, Tokens
from attn_cli.errors import InputError, counted, quoted
from attn_cli.models import Input, Model

__all__ = [
    "MASK",
    "check_known",
    "fill",
    "follow",
    "has_mask",
    "hide",
    "joined",
    "last_segment",
    "one_token",
    "split_into",
    "unknown_noted",
    "with_masks",
]

MASK = "[MASK]"
"""The mark in a text that stands for the mask token of any model."""


def last_segment(given: Input) -> str:
    """Return the text that a word after everything follows: the pair, if there is one."""
    return given.text if given.pair is None else given.pair


def follow(model: Model, given: Input, word: str) -> tuple[Source, range]:
    """Read a text, and its pair, with a word after them; return the positions of the word's tokens as well.

    Tokens that the tokenizer itself puts at the end are none of the word's.

    Raises:
        InputError: a token belongs to both, or the word makes no token, or none of its own.
    """
    before = last_segment(given)
    grown = replace(given, text=before + word) if given.pair is None else replace(given, pair=before + word)
    source = model.prepare(replace(grown, target=None, relevant_to=None))
    tokens = source.source.tokens
    start, segment = len(before), int(given.pair is not None)
    for index, token in enumerate(tokens):
        if token.special or token.segment != segment or token.end <= start:
            continue
        if token.start < start:
            raise InputError(
                f"The tokenizer joins the end of the text and the beginning of {quoted(word)} in one token, "
                f"{quoted(token.piece)}",
                "Begin what follows the text with a space",
            )
        if index == 0:
            raise InputError("There is no token before the target", "Give a text")
        own = range(index, 1 + max(place for place in range(index, len(tokens)) if not _added(tokens[place])))
        check_known(model, source.source, tokens[own.start : own.stop])
        return source, own
    raise InputError(f"The tokenizer makes no tokens of {quoted(word)}", "Give a word")


def _added(token: Token) -> bool:
    """Return whether the tokenizer added a token of its own: a special one that the text does not spell."""
    return token.special and token.start == token.end


def joined(prompt: str, text: str) -> str:
    """Return a text as it follows a prompt: with a space before it where two words would become one."""
    apart = prompt[-1:].isalnum() and text[:1].isalnum() and max(prompt[-1], text[0]) < "\u2e80"
    return f" {text}" if apart else text


def has_mask(given: Input, mask: str | None) -> bool:
    """Return whether a text or its pair has a mask, as it is written for any model or as this model writes it."""
    texts = given.text, given.pair or ""
    return any(mark in text for mark in (MASK, mask) if mark is not None for text in texts)


def with_masks(given: Input, mask: str) -> Input:
    """Write the masks of a text and of its pair as the model does."""
    pair = None if given.pair is None else given.pair.replace(MASK, mask)
    return replace(given, text=given.text.replace(MASK, mask), pair=pair)


def hide(given: Input, tokens: Sequence[Token], mask: str) -> Input:
    """Put a mask in the place of each of some neighbouring tokens of a text, or of its pair.

    Raises:
        InputError: the tokenizer does not say where in the text they stand.
    """
    segment, start, end = tokens[0].segment, tokens[0].start, tokens[-1].end
    text = (given.text, given.pair or "")[segment]
    if start >= end or tokens[-1].segment != segment:
        raise InputError(
            f"The model's tokenizer does not say where {quoted(tokens[0].piece)} stands in the text",
            f"Write {MASK} in its place, and give the word with --target",
        )
    start += len(text[start:end]) - len(text[start:end].lstrip())
    text = text[:start] + mask * len(tokens) + text[end:]
    return replace(given, pair=text) if segment else replace(given, text=text)


def fill(model: Model, given: Input, mask: str, word: str) -> list[Token]:
    """Return the tokens of a word in the place of the first mask of a text, or else of its pair.

    Raises:
        InputError: the word makes no token, or none of its own.
    """
    segment = 0 if mask in given.text else 1
    text = (given.text, given.pair or "")[segment]
    start, filled = text.index(mask), text.replace(mask, word)
    whole = replace(given, pair=filled) if segment else replace(given, text=filled)
    source = model.prepare(replace(whole, target=None, relevant_to=None))
    end = start + len(word)
    tokens = [
        token
        for token in source.source.tokens
        if not token.special and token.segment == segment and token.start < end and start < token.end
    ]
    if not tokens or tokens[0].id is None:
        raise InputError(f"The tokenizer makes no tokens of {quoted(word)}", "Give another word")
    check_known(model, source.source, tokens)
    return tokens


def one_token(model: Model, given: Input, word: str) -> str | None:
    """Say that a word of several tokens is one after a space, as the beginning of a word; None if it is not."""
    if word[:1].isspace() or last_segment(given)[-1:].isspace():
        return None
    spaced = f" {word}"
    _, places = follow(model, given, spaced)
    if len(places) != 1:
        return None
    return f"Write {quoted(spaced)}, with a space, which is one token, or add --target-tokens first"


def check_known(model: Model, text: Tokens, tokens: Iterable[Token]) -> None:
    """Check that the model has tokens of its own for what some tokens of a text stand for.

    Raises:
        InputError: it has not, so that any other unknown word would be measured in the same way.
    """
    for said in _unknown(model, text, tokens):
        raise InputError(said, "Give another word")


def unknown_noted(model: Model, text: Tokens) -> tuple[str, ...]:
    """Return a note that names a word of a text that the model has no token for, if there are any."""
    said = list(_unknown(model, text, text.tokens))
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    return (f"{said[0]} in what is measured{more}",) if said else ()


def _unknown(model: Model, text: Tokens, tokens: Iterable[Token]) -> Iterator[str]:
    """Say of each of some tokens of a text that it stands for a word that the model does not know, if it does."""
    for token in tokens:
        word = text.text_of(token).strip()
        if token.id is None or token.id != model.unknown_token or not word:
            continue
        (name,) = model.spell_tokens([token.id])
        if word != name.strip():
            yield f"{model.info.name} has no token for {quoted(word)}: {quoted(name.strip())} stands for it"


def split_into(word: str, pieces: Sequence[str], then: str) -> str:
    """Say that a word is several tokens, and what follows from it."""
    return f"{quoted(word)} is {counted(len(pieces), 'token')} here ({', '.join(map(quoted, pieces))}), and {then}"
