"""What a tokenizer made of a text, whichever tokenizer it was."""

from __future__ import annotations

from dataclasses import dataclass, replace

from attn_cli.blocks import Tokens
from attn_cli.errors import InputError
from attn_cli.words import make_tokens

__all__ = ["Pieces", "check_text"]


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

    def shifted(self, first: int, name: str) -> Pieces:
        """What a decoder reads while it writes these pieces: a start token, then all but the last.

        Args:
            first: id of the start token.
            name: its spelling.
        """
        return replace(
            self,
            ids=(first, *self.ids[:-1]),
            names=(name, *self.names[:-1]),
            offsets=((0, 0), *self.offsets[:-1]),
            special=(True, *self.special[:-1]),
            segments=(0, *self.segments[:-1]),
        )


def check_text(text: str) -> None:
    """Make sure that there is something to tokenize.

    Raises:
        InputError: the text is blank or no text at all.
    """
    if not text.strip():
        raise InputError("The text is empty", "Give at least one word")
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise InputError(
            "The text is not valid Unicode (it has half of a surrogate pair)", "Save it as UTF-8"
        ) from fault
