"""A text or an image, its tokens, words and parts, and the patches of its grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from attn_cli.io.structs.base import Count, Entry, Segment

__all__ = [
    "GridEntry",
    "PromptPartEntry",
    "ThumbnailEntry",
    "TokenEntry",
    "TokensEntry",
    "WordEntry",
]


class TokenEntry(Entry):
    """One token of the model's input."""

    index: Annotated[Count, Meta(description="The position, which queries and keys refer to.")]
    id: Annotated[int | None, Meta(description="The piece's number in the vocabulary.")]
    piece: Annotated[str, Meta(description="As the vocabulary spells it.")]
    start: Annotated[Count, Meta(description="First character in the segment's text.")]
    end: Annotated[Count, Meta(description="One past the last; equal to start where it stands for none.")]
    word: Annotated[Count | None, Meta(description="Index of its word; null for special tokens.")]
    special: bool
    segment: Annotated[Segment, Meta(description="0: text, 1: pair.")]


class WordEntry(Entry):
    """One word of the text."""

    index: Count
    text: str
    start: Count
    end: Count
    segment: Segment


class PromptPartEntry(Entry):
    """A named part of a text: a turn of a chat, a document, a question."""

    name: str
    start: Annotated[Count, Meta(description="First character in the text.")]
    end: Annotated[Count, Meta(description="One past the last.")]


class ThumbnailEntry(Entry):
    """A small picture."""

    width: Annotated[int, Meta(ge=1)]
    height: Annotated[int, Meta(ge=1)]
    rgb: Annotated[
        bytes, Meta(description="Red, green and blue of each pixel, a byte each, row by row from the top; in Base64.")
    ]


class GridEntry(Entry):
    """The grid of patches that an image is divided into, whose tokens, row by row, are those that are not special."""

    rows: Annotated[int, Meta(ge=1)]
    columns: Annotated[int, Meta(ge=1)]
    name: Annotated[str, Meta(description="The name of the image.")]
    thumbnail: Annotated[
        ThumbnailEntry | None, Meta(description="The part of the image that the patches cover, as the model sees it.")
    ]


class TokensEntry(Entry):
    """One side of a model: a text, or two, or an image, and how it is divided."""

    text: str
    pair: Annotated[str | None, Meta(description="The second segment's text.")]
    tokens: Sequence[TokenEntry]
    words: Sequence[WordEntry]
    written: Annotated[
        Annotated[int, Meta(ge=1)] | UnsetType,
        Meta(
            description="The first token that a decoder wrote behind its prompt; absent where nothing was. The last "
            "token was not read, so maps have no row and no column for it."
        ),
    ] = UNSET
    parts: Annotated[
        Sequence[PromptPartEntry] | UnsetType,
        Meta(description="The parts of the text, in its order; absent where they are not told apart."),
    ] = UNSET
    grid: Annotated[
        GridEntry | UnsetType,
        Meta(description="The patches of an image; absent for a text. The text is then made of the patches' names."),
    ] = UNSET
