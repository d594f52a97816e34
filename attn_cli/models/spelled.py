"""Texts with a word added, and the tokens that a model's tokenizer makes of it there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from attn_cli.data.stream import Source
from attn_cli.data.text import Token, Tokens
from attn_cli.errors import InputError, counted, quoted
from attn_cli.models import Input, Model

__all__ = ["MASK", "check_known", "fill", "follow", "joined", "one_token", "split_into", "unknown_noted"]

MASK = "[MASK]"
"""The mark in a text that stands for the mask token of any model."""


def follow(model: Model, given: Input, word: str) -> tuple[Source, int]:
    """Read a text with a word after it; return the position of the word's first token as well.

    Raises:
        InputError: a token belongs to both, or the word makes no token, or none of its own.
    """
    source = model.prepare(replace(given, text=given.text + word, target=None, relevant_to=None))
    tokens = source.source.tokens
    start = len(given.text)
    for index, token in enumerate(tokens):
        if token.special or token.end <= start:
            continue
        if token.start < start:
            raise InputError(
                f"The tokenizer joins the end of the text and the beginning of {quoted(word)} in one token, "
                f"{quoted(token.piece)}",
                "Begin what follows the text with a space",
            )
        if index == 0:
            raise InputError("There is no token before the target", "Give a text")
        check_known(model, source.source, tokens[index:])
        return source, index
    raise InputError(f"The tokenizer makes no tokens of {quoted(word)}", "Give a word")


def joined(prompt: str, text: str) -> str:
    """Return a text as it follows a prompt: with a space before it where two words would become one."""
    apart = prompt[-1:].isalnum() and text[:1].isalnum() and max(prompt[-1], text[0]) < "\u2e80"
    return f" {text}" if apart else text


def fill(model: Model, given: Input, mask: str, word: str) -> list[Token]:
    """Return the tokens of a word in the place of the first mask of a text.

    Raises:
        InputError: the word makes no token, or none of its own.
    """
    place = given.text.index(mask)
    source = model.prepare(replace(given, text=given.text.replace(mask, word), target=None, relevant_to=None))
    end = place + len(word)
    tokens = [token for token in source.source.tokens if not token.special and token.start < end and place < token.end]
    if not tokens or tokens[0].id is None:
        raise InputError(f"The tokenizer makes no tokens of {quoted(word)}", "Give another word")
    check_known(model, source.source, tokens)
    return tokens


def one_token(model: Model, given: Input, word: str) -> str | None:
    """Say that a word of several tokens is one after a space, as the beginning of a word; None if it is not."""
    if word[:1].isspace() or given.text[-1:].isspace():
        return None
    spaced = f" {word}"
    source, first = follow(model, given, spaced)
    if len(source.source) - first != 1:
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
        word = text.text[token.start : token.end].strip()
        if token.id is None or token.id != model.unknown_token or not word:
            continue
        (name,) = model.spell_tokens([token.id])
        if word != name.strip():
            yield f"{model.info.name} has no token for {quoted(word)}: {quoted(name.strip())} stands for it"


def split_into(word: str, pieces: Sequence[str], then: str) -> str:
    """Say that a word is several tokens, and what follows from it."""
    return f"{quoted(word)} is {counted(len(pieces), 'token')} here ({', '.join(map(quoted, pieces))}), and {then}"
