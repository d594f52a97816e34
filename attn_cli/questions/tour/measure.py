"""The answer of `attn tour`: chapters of plain words, each with the answers of other questions as its picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from attn_cli.answer import Answer
from attn_cli.data.selection import Selection
from attn_cli.io.csv import Cell
from attn_cli.models import Input, translate_one
from attn_cli.models.toy.model import Toy
from attn_cli.questions.inspect.figures import AlignmentFigures
from attn_cli.questions.inspect.measure import Inspection, look

__all__ = [
    "Chapter",
    "Figure",
    "Lesson",
    "RowLink",
    "SideBySide",
    "Tour",
    "command_line",
    "links_of",
    "strongest",
    "told_key",
]

UNSAFE = re.compile(r'([\\"$`])')
"""Characters that a shell reads as its own between double quotes."""
RARE_WORDS = re.compile(r"(?P<model>\S+) (?:reads \w+, and )?has hardly seen ")
"""The beginning of a built-in model's note about words that were rare in its training."""
NOTED = "toy"
"""The model whose note about rare words a tour repeats, if it has one: the best of those that it shows."""
ADVICE = re.compile(r";[^;]*--model.*")
"""The advice at the end of such a note to use an option, which a tour does not have."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, or a text that a model wrote, in the words of a chapter."""

    name: str
    """Its meaning: `weight chat → cat`."""
    value: float | str
    unit: str


@dataclass(frozen=True)
class SideBySide:
    """A text as several models translate it."""

    text: str
    translations: Mapping[str, str]
    """model -> its translation."""
    reference: str = ""
    """The translation to compare them with; empty if there is none."""
    notes: tuple[str, ...] = ()
    """Notes of the models that translated it."""


@dataclass(frozen=True, eq=False)
class Chapter:
    """One chapter: what it is about, the picture, what it shows, and the commands that make the picture."""

    name: str
    """The name in documents: `bottleneck`."""
    title: str
    about: str
    """The words above the picture."""
    pictures: tuple[Answer | SideBySide, ...]
    found: str
    """The words below the picture, which say what it shows and follow its figures."""
    figures: tuple[Figure, ...]
    commands: tuple[str, ...]
    note: str = ""
    """The reason why another sentence than the reader's is shown; empty if theirs is, or if there is none."""
    width: int | None = None
    """Columns that the pictures take, if they are not to fill the screen."""
    unfolds: bool = False
    """True if the picture is shown line by line where there is somebody to watch."""


@dataclass(frozen=True, eq=False, repr=False)
class Tour(Answer):
    """The answer of `attn tour`."""

    chapters: Mapping[int, Chapter]
    """Number of a chapter, from 1 -> the chapter; all of them, or the one that was asked for."""
    total: int
    """The number of all chapters."""
    text: str | None = None
    """The reader's own sentence; None if they gave none."""

    columns = ("chapter", "name", "figure", "value", "unit")

    @property
    def title(self) -> str:
        return self.text or ""

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Notes of all pictures, of which one at most is about rare words."""
        pictures = (picture for chapter in self.chapters.values() for picture in chapter.pictures)
        return tuple(_rare_words_once(dict.fromkeys(note for picture in pictures for note in picture.notes)))

    def rows(self) -> Iterable[Sequence[Cell]]:
        """Yield a row for each figure."""
        for number, chapter in self.chapters.items():
            for figure in chapter.figures:
                yield number, chapter.name, figure.name, figure.value, figure.unit


def _rare_words_once(notes: Iterable[str]) -> Iterator[str]:
    """Yield notes; of those about rare words only the first of the model `NOTED`, else the first, without advice."""
    every = dict.fromkeys(notes)
    models = {note: found["model"] for note in every if (found := RARE_WORDS.match(note))}
    told = next((note for note, model in models.items() if model == NOTED), next(iter(models), None))
    for note in every:
        if note == told:
            yield ADVICE.sub("", note)
        elif note not in models:
            yield note


@dataclass(frozen=True)
class Lesson:
    """The material of the chapters: the built-in models and the reader's sentence."""

    models: Mapping[str, Toy]
    """The built-in models, by name."""
    text: str | None = None
    """The reader's own sentence; None for the lesson's."""

    def translated(self, model: str, text: str) -> Inspection:
        """Translate a text, and look at its cross-attention, as `attn translate` does."""
        translator, given = self.models[model], Input(text)
        whole = replace(given, target=translate_one(translator, given))
        return look(translator.prepare(whole), Selection(translation=True), keep=False)


@dataclass(frozen=True, slots=True)
class RowLink:
    """The strongest weight of one row of a map."""

    row: int
    """Position of the row's word."""
    column: int
    """Position of the key's word."""
    query: str
    key: str
    weight: float
    ambiguous: bool
    """True if the query cannot be named by its text alone."""
    special: bool
    """True if the key is a special token: the mark at the end of the text."""

    @property
    def told(self) -> str:
        """The key's name in a sentence."""
        return told_key(self.key, special=self.special)


def links_of(translation: Inspection) -> list[RowLink]:
    """Return the strongest weight of each word's row in the map of a translation, rows of special tokens left out."""
    figures = translation.figures
    if not isinstance(figures, AlignmentFigures):
        return []
    queries, keys, values = figures.plan.queries, figures.plan.keys, figures.alignment.map.values
    best: list[int] = values.argmax(axis=1).tolist()
    return [
        RowLink(
            queries.positions[row],
            keys.positions[key],
            queries.labels[row],
            keys.labels[key],
            float(values[row, key]),
            queries.labels.count(queries.labels[row]) > 1 or not queries.labels[row].isalpha(),
            keys.special[key],
        )
        for row, key in enumerate(best)
        if not queries.special[row]
    ]


def strongest(links: Sequence[RowLink], favourite: str = "") -> RowLink | None:
    """Choose the link to tell of: that of a favourite word, or of the longer words the one with the most weight.

    Args:
        links: the strongest weight of each word's row.
        favourite: a word to choose if it is there.

    Returns:
        The link; None if there are none.
    """
    favoured = [link for link in links if link.query == favourite]
    longer = [link for link in links if len(link.query) > 3 and link.key.isalpha()]
    words = [link for link in links if not link.special]
    return max(favoured or longer or words or links, key=lambda link: link.weight, default=None)


def told_key(label: str, *, special: bool) -> str:
    """Return a key's name in a sentence: a word in quotes, or the end mark, the only special token of these models."""
    return f"the end mark {label}" if special else f"“{label}”"


def command_line(*words: str) -> str:
    """Write a command of attn that a shell reads as these words, the texts among them in quotes."""
    return " ".join(["attn", *map(_quoted, words)])


def _quoted(word: str) -> str:
    plain = re.fullmatch(r"[\w.,:/+-]+", word, re.ASCII) is not None
    return word if plain else '"' + UNSAFE.sub(r"\\\1", word) + '"'
