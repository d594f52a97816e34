"""The parts of a prompt: its turns, its lines or paragraphs, or stretches that a user names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attn_cli.data.shapes import Float, Int
from attn_cli.data.text import ANSWER, Part, Tokens
from attn_cli.data.turns import ROLE_LINE
from attn_cli.errors import InputError, quoted

__all__ = [
    "OUTSIDE",
    "PAIR",
    "WRITTEN",
    "PartShares",
    "line_parts",
    "named_parts",
    "part_of_tokens",
    "parts_from",
    "split_parts",
]

WRITTEN = "written"
"""Name of the text written behind a prompt whose last part is not an answer."""
PAIR = "pair"
"""Name of the second text, behind the parts of the first."""
OUTSIDE = "special tokens"
"""Name of the special tokens that stand in no part, as the tokenizer puts them around a text."""
LONGEST_NAME = 24
"""Most characters of a line that name it."""
FIRST = "start"
"""Name of the text before the first part that is named."""

LEAST = 1e-7
"""Least share that can be divided; less is rounding."""

Named = Sequence[tuple[str, str]]
"""The name of each part, and the text that it begins with."""


@dataclass(frozen=True, eq=False)
class PartShares:
    """The share of each row's weight on each part of a text, the mean over the heads selected."""

    names: tuple[str, ...]
    """Names of the parts."""
    tokens: tuple[int, ...]
    """Tokens of each part that are shown."""
    rows: tuple[int, ...]
    """Positions of the rows: the same whether units are joined or not (see `Units.positions`)."""
    heads: int
    """Heads that the mean is over."""
    shares: Float[np.ndarray, "row part"]
    """Share of the row's weight on each part, the first token included."""
    sinks: Float[np.ndarray, "row"]
    """Share of the row's weight on the first token; 0 where it is hidden."""
    first: int | None
    """Index of the part that the first token stands in; None where that token is hidden."""
    even: Float[np.ndarray, "row part"]
    """Share of each part in a row that gives every visible token the same."""

    @cached_property
    def aside(self) -> Float[np.ndarray, "row part"]:
        """Share of each part of the weight that does not lie on the first token; not-a-number where all of it does."""
        rest = self.shares.copy()
        if self.first is not None:
            rest[:, self.first] -= self.sinks
        total = rest.sum(axis=1, keepdims=True)
        shares: Float[np.ndarray, "row part"] = np.divide(
            np.maximum(rest, 0), total, out=np.full_like(rest, np.nan), where=total > LEAST
        )
        return shares


def split_parts(text: str, how: str | Named) -> tuple[Part, ...]:
    """Divide a text into parts.

    Args:
        text: the text.
        how: `turns` for lines that begin with a role, `lines` for paragraphs or lines, or the parts by name.

    Raises:
        InputError: the text has fewer than two such parts, or a named one does not occur.
    """
    if how == "turns":
        starts = [(mark[1], mark.start()) for mark in ROLE_LINE.finditer(text)]
        parts = parts_from(_whole(text, starts), len(text))
        what = "no turns: no line begins with user:, assistant: or system:"
    elif isinstance(how, str):
        parts, what = line_parts(text), "one line"
    else:
        parts, what = named_parts(text, how), "one part"
    if len(parts) < 2:
        raise InputError(f"The text has {what}", "Leave --parts out, or give a text of several parts")
    return parts


def line_parts(text: str) -> tuple[Part, ...]:
    """Divide a text at its blank lines, or where it has none at the end of each line.

    A part is named by its number and its first words.
    """
    between = r"\n[ \t]*\n\s*" if re.search(r"\S[ \t]*\n[ \t]*\n\s*\S", text) else r"\n\s*"
    starts = [0, *(mark.end() for mark in re.finditer(between, text) if text[mark.end() :].strip())]
    names = [f"{number} {_beginning(text[start:])}" for number, start in enumerate(starts, start=1)]
    return parts_from(zip(names, starts, strict=True), len(text))


def _beginning(text: str) -> str:
    line = text.lstrip().partition("\n")[0].strip()
    if len(line) <= LONGEST_NAME:
        return line
    cut = line[:LONGEST_NAME].rpartition(" ")[0] or line[:LONGEST_NAME]
    return f"{cut}…"


def named_parts(text: str, names: Named) -> tuple[Part, ...]:
    """Divide a text where each of some beginnings occurs, each behind the one before.

    Raises:
        InputError: one does not occur there.
    """
    starts = []
    place = 0
    for name, begins in names:
        found = text.find(begins, place) if begins else -1
        if found < 0:
            raise InputError(
                f"The part {quoted(name)} is not found: {quoted(begins)} does not occur in the text, or not in order",
                "Write the part's first words just as in the text",
            )
        starts.append((name, found))
        place = found + len(begins)
    return parts_from(_whole(text, starts), len(text))


def _whole(text: str, starts: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Put a part before the others for the text before them, if there is any."""
    if not starts or not text[: starts[0][1]].strip():
        return starts
    return [(FIRST, 0), *starts]


def parts_from(starts: Iterable[tuple[str, int]], end: int) -> tuple[Part, ...]:
    """Make parts, each to where the next begins; the second of one name is called `user#2`.

    Args:
        starts: name and first character of each part, in the order of the text.
        end: one past the last character of the text.
    """
    begun = list(starts)
    ends = [*(start for _, start in begun[1:]), end][: len(begun)]
    seen: Counter[str] = Counter()
    parts = []
    for (name, start), stop in zip(begun, ends, strict=True):
        seen[name] += 1
        parts.append(Part(name if seen[name] == 1 else f"{name}#{seen[name]}", start, stop))
    return tuple(parts)


def part_of_tokens(tokens: Tokens) -> tuple[tuple[str, ...], Int[np.ndarray, "token"]]:
    """Find the part that each token stands in.

    Returns:
        The names of the parts that have a token, and the index among them of each token's.
    """
    names = [part.name for part in tokens.parts]
    starts = np.asarray([part.start for part in tokens.parts])
    written = len(tokens) if tokens.written is None else tokens.written
    if names[-1] != ANSWER and written < len(tokens):
        names.append(WRITTEN)
    last, pair, outside = len(names) - 1, len(names), len(names) + 1
    of = np.full(len(tokens), outside)
    for index, token in enumerate(tokens.tokens):
        if index >= written:
            of[index] = last
        elif token.special and token.start == token.end:
            continue
        elif token.segment == 1:
            of[index] = pair
        else:
            # By its last character, as many a token begins with the space behind the part before.
            place = max(token.end - 1, token.start)
            of[index] = max(int(np.searchsorted(starts, place, side="right")) - 1, 0)
    names += [PAIR, OUTSIDE]
    present, indices = np.unique(of, return_inverse=True)
    return tuple(names[one] for one in present.tolist()), indices
