"""A training text: a pair with links between its words, that stay with them when words are replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from attn_cli.grammar.sentences import WordRelation
from attn_cli.grammar.words import Span

__all__ = ["Linked", "SpanLink", "edited"]

SpanLink = tuple[Span, Span]
"""A span of the English text and the span of the French one that it is linked to."""


@dataclass(frozen=True)
class Linked:
    """A text and its translation."""

    english: str
    french: str
    links: tuple[SpanLink, ...] = ()
    """Words that translate one another."""
    relations: tuple[WordRelation, ...] = ()
    """English words that belong together."""


def edited(text: Linked, english: Mapping[Span, str], french: Mapping[Span, str]) -> Linked:
    """Replace spans on both sides, and move the links and relations with their words.

    Args:
        text: text to change.
        english: what replaces spans of the English text; they must not overlap.
        french: the same for the French text.
    """
    theirs, move_theirs = _replaced(text.english, english)
    ours, move_ours = _replaced(text.french, french)
    return Linked(
        theirs,
        ours,
        tuple((move_theirs(one), move_ours(other)) for one, other in text.links),
        tuple(one._replace(query=move_theirs(one.query), key=move_theirs(one.key)) for one in text.relations),
    )


def _replaced(text: str, changes: Mapping[Span, str]) -> tuple[str, Callable[[Span], Span]]:
    """Return the new text, and a function from a word's old span to its new one."""
    done, at = "", 0
    moves: list[tuple[Span, Span]] = []
    for (start, end), new in sorted(changes.items()):
        done += text[at:start]
        moves.append(((start, end), (len(done), len(done) + len(new))))
        done += new
        at = end

    def moved(span: Span) -> Span:
        first, last = span
        for (start, end), (new_start, new_end) in reversed(moves):
            if span[0] >= start:
                first = new_start if span[0] < end else span[0] + new_end - end
                break
        for (start, end), (_, new_end) in reversed(moves):
            if span[1] > start:
                last = new_end if span[1] <= end else span[1] + new_end - end
                break
        return first, last

    return done + text[at:], moved
