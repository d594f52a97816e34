"""Phrases in two languages at once: English and French words with links between those that stand for each other.

A phrase is written as two templates whose words carry labels after a slash, `"The/1 cat/2"` and `"le/1 chat/2"`: words
that share a label are linked. A slot, `"{thing}"`, takes the words of another phrase on both sides. French is written
without elision (`"le arbre"`, `"de le"`, `"que il"`); `spell` elides and contracts it: `l'arbre`, `du`, `qu'il`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

__all__ = [
    "EMPTY",
    "PUNCTUATION",
    "Link",
    "Phrase",
    "PhraseWord",
    "Span",
    "Spelled",
    "marked",
    "opens_with_vowel",
    "spell",
    "weave",
]

Span = tuple[int, int]
"""Offsets of the first character and of the one past the last."""
Link = tuple[Span, Span]
"""Span of an English word and span of a French word that stands for it."""

PUNCTUATION = frozenset(".,?!;:")
SPACED = frozenset("?!;:")  # French puts a space before these
ELIDING = {
    word: word[:-1] + "'"
    for word in ("le", "la", "de", "ne", "que", "je", "se", "me", "te", "jusque", "puisque", "lorsque")
}
CONTRACTED = {("de", "le"): "du", ("de", "les"): "des", ("à", "le"): "au", ("à", "les"): "aux"}
BEFORE_VOWEL = {"ce": "cet", "ma": "mon", "ta": "ton", "sa": "son"}
ASPIRATED = (
    *("hache", "haie", "haine", "hall", "hamac", "hamster", "hangar", "harpe", "haut", "hibou", "homard", "honte"),
    *("hors", "huit", "hutte", "hérisson", "héron", "yacht", "yaourt"),
)
"""Beginnings of French words whose h or y forbids elision."""


class PhraseWord(NamedTuple):
    """A word or a punctuation mark, and the labels that it shares with its counterparts."""

    text: str
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Phrase:
    """A phrase in English and in French."""

    english: tuple[PhraseWord, ...]
    french: tuple[PhraseWord, ...]


EMPTY = Phrase((), ())


@dataclass(frozen=True)
class Spelled:
    """A finished sentence pair.

    Attributes:
        english: the English text.
        french: the French text.
        links: pairs of words that stand for each other, sorted by English position, then by French position.
        marks: span of the English word labelled `@name`, by that label.
    """

    english: str
    french: str
    links: tuple[Link, ...]
    marks: dict[str, Span]


def weave(english: str, french: str, **slots: Phrase) -> Phrase:
    """Make a phrase from an English and a French template.

    Labels are local to a template, so phrases in slots bring their own; labels that begin with `@` are global.
    A punctuation mark without a label is linked with the same mark on the other side, first with first.

    Raises:
        KeyError: a template names a slot that is missing from `slots`.
    """
    return Phrase(_words(english, slots, 0), _words(french, slots, 1))


def marked(phrase: Phrase, mark: str) -> Phrase:
    """Label the last English word of a phrase."""
    *before, last = phrase.english
    return Phrase((*before, PhraseWord(last.text, last.labels | {mark})), phrase.french)


def _words(template: str, slots: dict[str, Phrase], side: int) -> tuple[PhraseWord, ...]:
    found: list[PhraseWord] = []
    for part in _parse(template):
        if isinstance(part, PhraseWord):
            found.append(part)
            continue
        words = (slots[part].english, slots[part].french)[side]
        found.extend([_within(part, word) for word in words])
    return tuple(found)


@cache
def _parse(template: str) -> tuple[PhraseWord | str, ...]:
    """Split a template into its words and the names of its slots."""
    parts: list[PhraseWord | str] = []
    seen: Counter[str] = Counter()
    for piece in template.split():
        text, _, labels = piece.partition("/")
        if piece.startswith("{"):
            parts.append(piece[1:-1])
        else:
            if text in PUNCTUATION and not labels:
                seen[text] += 1
                labels = f"{text}{seen[text]}"
            parts.append(PhraseWord(text, frozenset(labels.split("+") if labels else [])))
    return tuple(parts)


@cache
def _within(slot: str, word: PhraseWord) -> PhraseWord:
    """Prefix the labels of a word in a slot, so that they differ from those of the template."""
    return PhraseWord(word.text, frozenset(x if x.startswith("@") else f"{slot}.{x}" for x in word.labels))


@cache
def opens_with_vowel(word: str) -> bool:
    """Return whether French elides before this word (`l'arbre`, `l'hôtel`, but `la hache`)."""
    return word.lower()[0] in "aeiouyàâéèêëîïôûœh" and not word.lower().startswith(ASPIRATED)


def spell(phrase: Phrase) -> Spelled:
    """Write a phrase out as two sentences with capitals, spaces, elisions and contractions."""
    english, english_spans = _write(_sounds_english(phrase.english), spaced=frozenset())
    french_words = _sounds_french(phrase.french)
    french, french_spans = _write(french_words, spaced=SPACED)
    links: set[Link] = set()
    marks: dict[str, Span] = {}
    labelled: dict[str, list[Span]] = {}
    for word, span in zip(french_words, french_spans, strict=True):
        for label in word.labels:
            labelled.setdefault(label, []).append(span)
    for word, span in zip(phrase.english, english_spans, strict=True):
        for label in word.labels:
            links.update((span, other) for other in labelled.get(label, ()))
            if label.startswith("@"):
                marks[label] = span
    return Spelled(english, french, tuple(sorted(links)), marks)


def _sounds_english(words: Sequence[PhraseWord]) -> list[PhraseWord]:
    """Turn `a apple` into `an apple`."""
    return [
        PhraseWord("an", word.labels) if word.text == "a" and following[0] in "aeiou" else word
        for word, following in _with_next(words)
    ]


def _sounds_french(words: Sequence[PhraseWord]) -> list[PhraseWord]:
    """Turn `ce arbre` into `cet arbre` and `ma école` into `mon école`, and apply elisions and contractions.

    Examples are `le arbre` to `l'arbre`, `de le` to `du`, `que il` to `qu'il`, `si il` to `s'il`, `ce est` to `c'est`.
    """
    done: list[PhraseWord] = []
    for word, following in _with_next(words):
        text = word.text
        if opens_with_vowel(following):
            text = BEFORE_VOWEL.get(text, ELIDING.get(text, text))
        if text == "si" and following in {"il", "ils"}:
            text = "s'"
        if word.text == "ce" and following == "est":
            text = "c'"
        if done and (done[-1].text, text) in CONTRACTED:
            before = done.pop()
            done.append(PhraseWord(CONTRACTED[before.text, text], before.labels | word.labels))
        else:
            done.append(PhraseWord(text, word.labels))
    return done


def _with_next(words: Sequence[PhraseWord]) -> Iterator[tuple[PhraseWord, str]]:
    return zip(words, [*(word.text for word in words), "."][1:], strict=True)


def _write(words: Sequence[PhraseWord], *, spaced: frozenset[str]) -> tuple[str, list[Span]]:
    text = ""
    spans: list[Span] = []
    starts = True
    for word in words:
        shown = word.text[0].upper() + word.text[1:] if starts else word.text
        glued = (
            text.endswith("'") or word.text.startswith("'") or (word.text in PUNCTUATION and word.text not in spaced)
        )
        if text and not glued:
            text += " "
        spans.append((len(text), len(text) + len(shown)))
        text += shown
        starts = word.text in {".", "?", "!"}
    return text, spans
