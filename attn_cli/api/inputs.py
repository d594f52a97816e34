"""Texts, chats and images as a model reads them, and the model without some of its heads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from attn_cli.data.parts import split_parts
from attn_cli.data.selection import Kind, Selection, fields_of_texts
from attn_cli.data.stream import Source
from attn_cli.data.turns import turns_from
from attn_cli.errors import UsageError, quoted
from attn_cli.models import Input, Model
from attn_cli.models.images import read_image
from attn_cli.models.prepare import run_without
from attn_cli.system.encoding import check_text

__all__ = [
    "NEITHER",
    "Chat",
    "Parts",
    "Texts",
    "Words",
    "input_of",
    "input_of_image",
    "is_chat",
    "model_without",
    "source_of_image",
]

Texts = list[str] | tuple[str, ...] | Iterator[str]
"""Several texts."""
Chat = Sequence[Mapping[str, Any]]
"""A chat: messages with a role and a content, as transformers' `apply_chat_template` takes them."""
Words = Literal["words", "spaces"] | Sequence[str]
"""Division of a text into words: by Unicode's rules, at spaces, or by a list of words."""
Parts = Literal["turns", "lines"] | Sequence[tuple[str, str]]
"""Division of a text into parts: at its turns, at its paragraphs or lines, or by each part's name and beginning."""
NEITHER = ("Neither a text nor an image is given", "Give one of them")


def input_of(model: Model, text: Any, given: Input, parts: Parts | None = None, *, answers: bool = False) -> Input:
    """Put a text or a chat into what a model is to read.

    Args:
        model: the model, whose template a chat is written with.
        text: the text or the chat.
        given: everything else that the model is to read.
        parts: how the text is divided into parts; by default a chat into its turns, and a text not at all.
        answers: end a chat where the model's answer begins.

    Raises:
        UsageError: a chat has a pair.
        InputError: a message is not of text, or the text has no such parts.
        ModelError: the model has no chat template, or it fails at these turns.
    """
    chat = is_chat(text)
    if not chat:
        given = replace(given, text=text)
    elif given.pair is not None:
        raise UsageError("A chat is one text, so it takes no pair", "Leave the pair out")
    else:
        given = model.converse(turns_from(text, "The chat"), given, answers=answers)
    if parts is None or (chat and parts == "turns"):
        return given
    return replace(given, parts=split_parts(check_text(given.text), parts))


def model_without(model: Model, without: str | int | None, kind: Kind | None, *, images: bool = False) -> Model:
    """Return a model, or its part that reads images, without some heads if any are named.

    Raises:
        UsageError: the list is not one of heads and layers.
        SelectionError: the model does not have one of them.
        ModelError: the model has no attention.
    """
    typed = str(without) if type(without) is int else without
    if not isinstance(typed, str | None):
        raise UsageError(f"without must be a str, and {quoted(str(typed))} is not", 'Write it like without="2.0"')
    return run_without(model.of_images() if images else model, typed, kind)


def source_of_image(
    model: Model, image: object, choice: Selection, beside: Mapping[str, object], without: str | int | None
) -> Source:
    """Prepare an image as a source.

    Args:
        model: the model that reads it.
        image: the path of a file, an image of Pillow, a NumPy array, or a file's bytes.
        choice: the selection to show.
        beside: arguments that only a text can have, None where they are not given.
        without: the heads to run without.

    Raises:
        AttnError: something is given that only a text can have, or the model cannot read the image.
    """
    given = input_of_image(image, choice, beside)
    return model_without(model, without, choice.kind, images=True).prepare(given)


def input_of_image(image: object, choice: Selection, beside: Mapping[str, object]) -> Input:
    """Read an image, beside which there is nothing that only a text can have.

    Args:
        image: the path of a file, an image of Pillow, a NumPy array, or a file's bytes.
        choice: the selection to show.
        beside: arguments that only a text can have, None where they are not given.

    Raises:
        UsageError: one of them is given.
        InputError: it is not an image, or cannot be read.
    """
    for name in (*(name for name, value in beside.items() if value is not None), *fields_of_texts(choice)):
        raise UsageError(f"An image has no {name}", f"Leave {name} out, or give a text")
    return Input("", image=read_image(image))


def is_chat(text: object) -> bool:
    """Return whether a text is a chat, as several texts may be a list too."""
    return isinstance(text, list | tuple) and bool(text) and all(isinstance(one, Mapping) for one in text)
