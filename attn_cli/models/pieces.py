"""What a tokenizer made of a text, whichever tokenizer it was."""

from __future__ import annotations

from dataclasses import dataclass, replace

from attn_cli.blocks import Tokens
from attn_cli.words import make_tokens

__all__ = ["Pieces"]


@dataclass(frozen=True)
class Pieces:
    """What a tokenizer made of a text. All sequences are as long as there are tokens."""

    text: str
    pair: str | None
    ids: tuple[int, ...]
    names: tuple[str, ...]
    """As the vocabulary spells them; pieces of bytes as readable text."""
    offsets: tuple[tuple[int, int], ...]
    """First character and one past the last, in `text` or `pair`."""
    special: tuple[bool, ...]
    segments: tuple[int, ...]
    type_ids: tuple[int, ...] | None
    """What the model is told of segments; None where the tokenizer says nothing of them."""
    notes: tuple[str, ...] = ()

    def tokens(self) -> Tokens:
        """The pieces grouped into words."""
        return make_tokens(
            self.text,
            self.names,
            self.offsets,
            self.special,
            pair=self.pair,
            segments=self.segments,
            ids=self.ids,
        )

    def without_prefix(self, prefix: str) -> Pieces:
        """These pieces with those of a prefix as special tokens, which stand nowhere in the text."""
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

    def started(self, first: int, name: str) -> Pieces:
        """These pieces as a decoder writes them: after a start token.

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
        )

    def ended(self, last: int, name: str) -> Pieces:
        """These pieces with an end token behind them.

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
        )

    def without_last(self) -> Pieces:
        """All but the last piece."""
        return replace(
            self,
            **{name: getattr(self, name)[:-1] for name in ("ids", "names", "offsets", "special", "segments")},
        )
