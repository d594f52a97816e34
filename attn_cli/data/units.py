"""One axis of a map: the words or tokens of a text as they are shown, some of them perhaps hidden or joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from attn_cli.data.shapes import Bool, Int
from attn_cli.data.text import Tokens

__all__ = ["Units"]

NO_TEXT = Tokens("", (), ())


@dataclass(frozen=True, eq=False)
class Units:
    """One axis of a map as it is shown: words or tokens, some of them perhaps hidden or joined into one."""

    labels: tuple[str, ...]
    """Text of each shown unit."""
    special: tuple[bool, ...]
    """True for each shown unit that is a special token."""
    starts: Int[np.ndarray, "all_units"]
    """First token of each unit, shown or hidden; each ends where the next starts."""
    shown: Bool[np.ndarray, "all_units"]
    tokens: int
    """The number of tokens."""
    side: Tokens = NO_TEXT
    """The text that the units belong to."""
    unit: Literal["word", "token"] = "word"
    begins: int = 0
    """The first token that can be shown at all."""
    output: bool = False
    """True if the units are what the steps of a decoder output, the first of which is no start of a text."""
    segment: int | None = None
    """The segment that alone is shown; None for both."""
    base: Units | None = None
    """The units before some were joined; None if none were."""
    firsts: tuple[int, ...] = ()
    """Index in `base` of the first unit joined into each; empty if none were joined."""

    @classmethod
    def of(
        cls,
        tokens: Tokens,
        unit: Literal["word", "token"] = "word",
        *,
        special: bool = True,
        sink: bool = True,
        begins: int = 0,
        output: bool = False,
        segment: int | None = None,
    ) -> Units:
        """Build the units of one side.

        Args:
            tokens: the tokens of that side.
            unit: words, or the model's own pieces.
            special: show special tokens.
            sink: show the unit that holds the first token.
            begins: the first token that can be shown; the units before it are hidden.
            output: True if these tokens are what the steps of a decoder output.
            segment: show the words of this segment alone; special tokens are in neither.
        """
        starts = [
            i
            for i, token in enumerate(tokens.tokens)
            if i == 0 or unit == "token" or token.word is None or token.word != tokens.tokens[i - 1].word
        ]
        firsts = [tokens.tokens[i] for i in starts]
        shown = [
            (special or not first.special)
            and (sink or i > 0)
            and start >= begins
            and (segment is None or (first.segment == segment and not first.special))
            for i, (start, first) in enumerate(zip(starts, firsts, strict=True))
        ]
        wholes = ["" if first.word is None else tokens.words[first.word].text for first in firsts]
        labels = [
            first.piece if unit == "token" or first.word is None else whole
            for first, whole in zip(firsts, wholes, strict=True)
        ]
        return cls(
            labels=tuple(label for label, show in zip(labels, shown, strict=True) if show),
            special=tuple(first.special for first, show in zip(firsts, shown, strict=True) if show),
            starts=np.asarray(starts, dtype=np.intp),
            shown=np.asarray(shown, dtype=np.bool_),
            tokens=len(tokens),
            side=tokens,
            unit=unit,
            begins=begins,
            output=output,
            segment=segment,
        )

    def joined(self, spans: Iterable[range]) -> Units:
        """Return the units with each of these runs joined into one, labelled with the text that it covers.

        Args:
            spans: runs of indices of shown units, consecutive in the text, that do not overlap.

        Raises:
            ValueError: two runs have a unit in common.
        """
        runs = sorted((span for span in set(spans) if len(span) > 1), key=lambda span: span.start)
        if any(one.stop > other.start for one, other in pairwise(runs)):
            raise ValueError("two spans have a unit in common")
        if not runs:
            return self
        inner = {index for run in runs for index in run[1:]}
        firsts = tuple(index for index in range(len(self)) if index not in inner)
        places = np.flatnonzero(self.shown)
        kept = np.ones(len(self.starts), np.bool_)
        kept[places[list(inner)]] = False
        covered = {run.start: run for run in runs}
        return replace(
            self,
            labels=tuple(self.text_of(covered[one]) if one in covered else self.labels[one] for one in firsts),
            special=tuple(self.special[one] and one not in covered for one in firsts),
            starts=self.starts[kept],
            shown=self.shown[kept],
            base=self,
            firsts=firsts,
        )

    def text_of(self, span: range) -> str:
        """Return the text from the first of some units to the last; their labels if they have no place in it."""
        first, last = self.extents[span.start], self.extents[span[-1]]
        if len(span) == 1 or first is None or last is None:
            return " ".join(self.labels[index] for index in span)
        return self.texts[first[0]][first[1] : last[2]]

    @property
    def texts(self) -> tuple[str, str]:
        """The text, and its second segment."""
        return self.side.text, self.side.pair or ""

    @cached_property
    def extents(self) -> tuple[tuple[int, int, int] | None, ...]:
        """The place of each shown unit: its segment, its first character and one past its last; None if it has none.

        Spaces around a token are no part of it, and a token of only spaces has the place of the next token of its word.
        """
        found: list[tuple[int, int, int] | None] = [None] * len(self.side)
        following: tuple[int | None, tuple[int, int, int] | None] = (None, None)
        for index in reversed(range(len(self.side))):
            token = self.side.tokens[index]
            if self.unit == "word" and token.word is not None:
                word = self.side.words[token.word]
                found[index] = (word.segment, word.start, word.end) if word.start < word.end else None
                continue
            text = self.texts[token.segment][token.start : token.end]
            start = token.start + len(text) - len(text.lstrip())
            if text.strip():
                found[index] = (token.segment, start, start + len(text.strip()))
            elif token.word is not None and token.word == following[0]:
                found[index] = following[1]
            following = (token.word, found[index])
        return tuple(found[first] for first in self.starts[self.shown].tolist()) if found else (None,) * len(self)

    @cached_property
    def labelled(self) -> Mapping[str, Sequence[int]]:
        """Indices of the units of each label."""
        found: dict[str, list[int]] = {}
        for index, label in enumerate(self.labels):
            found.setdefault(label, []).append(index)
        return found

    @cached_property
    def ends(self) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
        """The first unit that begins, and the last that ends, at each place (segment and character) of the text."""
        firsts: dict[tuple[int, int], int] = {}
        lasts: dict[tuple[int, int], int] = {}
        for index, extent in enumerate(self.extents):
            if extent is not None:
                segment, start, end = extent
                firsts.setdefault((segment, start), index)
                lasts[segment, end] = index
        return firsts, lasts

    @property
    def positions(self) -> tuple[int, ...]:
        """The number of each unit in commands: the same whether others are joined or not."""
        return self.firsts or tuple(range(len(self)))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def read_as(self) -> tuple[str | None, ...]:
        """The case-folded label of each shown unit, equal for equal words; None for a unit that is not a word."""
        return tuple(
            label.casefold() if not special and any(map(str.isalnum, label)) else None
            for label, special in zip(self.labels, self.special, strict=True)
        )

    @property
    def named(self) -> str:
        """The name of one unit: `word`, `token`, or of an image `patch`."""
        return self.unit if self.side.grid is None else "patch"

    @cached_property
    def cells(self) -> tuple[tuple[int, int] | None, ...]:
        """The row and the column of each shown unit in the grid of patches; None for one that is not a patch."""
        grid = self.side.grid
        if grid is None:
            return (None,) * len(self)
        tokens = [self.side.tokens[start] for start in self.starts[self.shown].tolist()]
        return tuple(None if token.word is None else divmod(token.word, grid.columns) for token in tokens)

    @property
    def plain(self) -> bool:
        """True if every token is a unit of its own and all are shown."""
        return len(self) == self.tokens

    @property
    def hides(self) -> bool:
        """True if some units are hidden, so that rows over these keys must be renormalized."""
        return not bool(self.shown.all())

    @cached_property
    def all_shown(self) -> Units:
        """The same units with none hidden, but for those before the first that can be shown."""
        return Units.of(self.side, self.unit, begins=self.begins) if self.hides else self

    @property
    def shows_first(self) -> bool:
        """True if the first token is among the units shown."""
        return bool(self.shown[:1].all()) and len(self) > 0

    @cached_property
    def second_segment(self) -> int | None:
        """The index of the first unit shown of the second segment; None if none of the first stands before it."""
        if self.side.pair is None:
            return None
        segments = [self.side.tokens[start].segment for start in self.starts[self.shown].tolist()]
        return segments.index(1) if 0 in segments and 1 in segments else None

    def token_positions(self, unit: int) -> range:
        """Return the positions of the tokens of the shown unit with this index."""
        place = int(np.flatnonzero(self.shown)[unit])
        stop = self.tokens if place + 1 == len(self.starts) else int(self.starts[place + 1])
        return range(int(self.starts[place]), stop)

    def unit_of_token(self) -> Int[np.ndarray, "token"]:
        """Return the index, among all units, of each token's unit."""
        marks = np.zeros(self.tokens, dtype=np.intp)
        marks[self.starts] = 1
        return np.cumsum(marks) - 1

    def shown_before(self) -> Int[np.ndarray, "all_units_and_end"]:
        """Count the shown units before each unit, and in all."""
        return np.concatenate([[0], np.cumsum(self.shown)])
