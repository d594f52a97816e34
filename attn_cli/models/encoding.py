"""A tokenized text, in one form for all tokenizers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from attn_cli.data.text import WORD_STARTS, Split, Tokens, make_tokens
from attn_cli.errors import ModelError

__all__ = ["Pieces", "named_alone", "spelled_alone", "wordlike"]

SPACES = str.maketrans({" ": "␣", "\t": "␉", "\n": "␊", "\r": "␍"})


@dataclass(frozen=True)
class Pieces:
    """A tokenized text. All sequences have one item for each token.

    Raises:
        ModelError: the sequences differ in length.
    """

    text: str
    pair: str | None
    ids: tuple[int, ...]
    names: tuple[str, ...]
    """Pieces as the vocabulary spells them; pieces of bytes as readable text."""
    offsets: tuple[tuple[int, int], ...]
    """First character of each piece and one past its last, in `text` or `pair`."""
    special: tuple[bool, ...]
    segments: tuple[int, ...]
    inputs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Further model inputs from the tokenizer, one number or list of numbers for each token: its segment, its place on
    a page, its pronunciation. An input of another length belongs to the text as a whole."""
    doubled: bool = False
    """True if the text itself began with the model's start token, so that the tokenizer's own was left out."""
    notes: tuple[str, ...] = ()
    written: int | None = None
    """The first piece that was written behind a prompt; see `Tokens.written`."""

    def __post_init__(self) -> None:
        told = self.inputs.get("token_type_ids") or self.ids
        parts = (self.ids, self.names, self.offsets, self.special, self.segments, told)
        if len({len(part) for part in parts}) > 1:
            raise ModelError(
                f"The model's tokenizer gives {len(self.ids)} ids and {len(self.names)} pieces for one text",
                "Copy the tokenizer's files again, or save them again with save_pretrained",
            )

    def tokens(self, split: Split | None = None) -> Tokens:
        """Group the pieces into words.

        Args:
            split: a function that divides the text into words; by default at Unicode word boundaries.
        """
        return make_tokens(
            self.text,
            self.names,
            self.offsets,
            self.special,
            pair=self.pair,
            segments=self.segments,
            ids=self.ids,
            written=self.written,
            cells_of=split,
        )

    def then(self, more: Pieces) -> Pieces:
        """Put pieces that were written behind these, whose text goes on with theirs."""
        size, count = len(self.text), len(more.ids)
        return replace(
            self,
            text=self.text + more.text,
            ids=self.ids + more.ids,
            names=self.names + more.names,
            offsets=(*self.offsets, *((start + size, end + size) for start, end in more.offsets)),
            special=self.special + more.special,
            segments=self.segments + (0,) * count,
            inputs={
                key: (*values, *[values[-1]] * count) if len(values) == len(self.ids) else values
                for key, values in self.inputs.items()
            },
            notes=self.notes + more.notes,
            written=len(self.ids),
        )

    def open_ended(self) -> Pieces:
        """Leave out the special tokens that a tokenizer puts behind a text, so that the text can go on."""
        last = max(index for index, (start, end) in enumerate(self.offsets) if start < end or not self.special[index])
        return self.without(range(last + 1, len(self.ids)))

    def around(
        self, ids: Sequence[int], names: Sequence[str], inputs: Mapping[str, Sequence[Any]] | None = None
    ) -> Pieces:
        """Replace the text's own tokens by others, and keep the special tokens before and behind them.

        Args:
            ids: ids of the new tokens.
            names: spellings of the new tokens.
            inputs: further model inputs for each new token; by default those of the text's first token.
        """
        inside = [index for index, mark in enumerate(self.special) if not mark]
        first, last = inside[0], inside[-1] + 1

        def put(whole: tuple[Any, ...], middle: Sequence[Any]) -> tuple[Any, ...]:
            return (*whole[:first], *middle, *whole[last:])

        count = len(ids)
        return replace(
            self,
            text=" ".join(names),
            ids=put(self.ids, ids),
            names=put(self.names, names),
            offsets=put(self.offsets, [(0, 0)] * count),
            special=put(self.special, [False] * count),
            segments=put(self.segments, [0] * count),
            inputs={
                key: put(values, (inputs or {}).get(key, [values[first]] * count))
                for key, values in self.inputs.items()
                if len(values) == len(self.ids)
            },
        )

    def without(self, places: Iterable[int]) -> Pieces:
        """Leave out some pieces.

        Args:
            places: indices of the pieces to leave out.
        """
        gone, count = set(places), len(self.ids)

        def rest(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(value for index, value in enumerate(values) if index not in gone)

        return replace(
            self,
            ids=rest(self.ids),
            names=rest(self.names),
            offsets=rest(self.offsets),
            special=rest(self.special),
            segments=rest(self.segments),
            inputs={key: rest(values) if len(values) == count else values for key, values in self.inputs.items()},
        )

    def without_prefix(self, prefix: str) -> Pieces:
        """Turn the pieces of a prefix into special tokens, which have no place in the text."""
        size = len(prefix)
        special = tuple(mark or 0 < end <= size for mark, (_, end) in zip(self.special, self.offsets, strict=True))
        return replace(
            self,
            text=self.text.removeprefix(prefix),
            special=special,
            offsets=tuple(
                (0, 0) if mark else (max(start - size, 0), max(end - size, 0))
                for mark, (start, end) in zip(special, self.offsets, strict=True)
            ),
        )

    def marked(self, marks: Sequence[tuple[int, int]]) -> Pieces:
        """Turn the pieces of a chat template's own into special tokens, which stay in their place in the text.

        Args:
            marks: first character of each stretch of the template's own, and one past its last.
        """
        starts = [start for start, _ in marks]

        def inside(start: int, end: int) -> bool:
            index = bisect_right(starts, start) - 1
            return start < end and index >= 0 and end <= marks[index][1]

        return replace(
            self,
            special=tuple(mark or inside(*place) for mark, place in zip(self.special, self.offsets, strict=True)),
        )

    def started(self, first: int, name: str) -> Pieces:
        """Put a decoder's start token before these pieces.

        Args:
            first: id of the start token.
            name: its spelling.
        """
        return replace(
            self,
            ids=(first, *self.ids),
            names=(name, *self.names),
            offsets=((0, 0), *self.offsets),
            special=(True, *self.special),
            segments=(0, *self.segments),
            inputs={},
        )

    def ended(self, last: int, name: str) -> Pieces:
        """Put an end token behind these pieces.

        Args:
            last: id of the end token.
            name: its spelling.
        """
        return replace(
            self,
            ids=(*self.ids, last),
            names=(*self.names, name),
            offsets=(*self.offsets, (0, 0)),
            special=(*self.special, True),
            segments=(*self.segments, 0),
            inputs={},
        )


def wordlike(pieces: Iterable[tuple[int, str | None]]) -> tuple[int, ...]:
    """Return ids of pieces with letters; of those that differ in case alone, the first.

    Args:
        pieces: ids and spellings of pieces, special tokens left out.
    """
    found: dict[str, int] = {}
    for id_, name in pieces:
        if name and name[0] not in "[<" and any(letter.isalpha() for letter in name):
            found.setdefault(name.casefold(), id_)
    return tuple(found.values())


def spelled_alone(name: str, text: str) -> str:
    """Return what a token adds to a text: a space before a word, or only spaces; its name if that is nothing.

    Args:
        name: the vocabulary's spelling.
        text: the token decoded alone, which may have lost its space.
    """
    if word := text.strip():
        return f" {word}" if name.startswith(WORD_STARTS) else word
    spaces = len(name) if not name.strip("".join(WORD_STARTS)) else 0
    return text or " " * spaces or name


def named_alone(text: str) -> str:
    """Return what a token adds to a text as a sentence names it: a word without its space, or each space visibly."""
    return text.strip() or text.translate(SPACES)
