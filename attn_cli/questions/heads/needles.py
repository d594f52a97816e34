"""Needles: made-up facts hidden in a longer text and asked for at its end, so that they can only be copied."""

from __future__ import annotations

import tomllib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Protocol, runtime_checkable

import numpy as np

from attn_cli.data.cuts import Variation
from attn_cli.data.model import ModelInfo
from attn_cli.data.outcomes import Outcome, OutputKind, Wanted
from attn_cli.data.shapes import Bool, Int
from attn_cli.data.stream import Source
from attn_cli.errors import ModelError, counted
from attn_cli.models import Input

__all__ = [
    "Continues",
    "Hidden",
    "HiddenNeedle",
    "Needle",
    "NeedleCut",
    "NeedleTrial",
    "Needles",
    "Texts",
    "hide",
    "known_texts",
    "notes_on_hidden",
]

FEWEST_SENTENCES = 4
"""Fewest sentences of a text to hide a fact in."""


@runtime_checkable
class Continues(Protocol):
    """Interface that needles need of a model."""

    @property
    def info(self) -> ModelInfo:
        """The model's shape and name."""

    @property
    def outputs(self) -> tuple[OutputKind, ...]:
        """The outputs that `run` can measure; the first is the model's own."""

    @property
    def unknown_token(self) -> int | None:
        """Id of the token that stands for whatever the tokenizer has no token for; None if there is none."""

    def prepare(self, given: Input) -> Source:
        """Tokenize a text and what follows it."""

    def run(
        self, source: Source, variations: Sequence[Variation], wanted: Wanted | None = None
    ) -> Generator[tuple[int, Outcome]]:
        """Run the model on a text once with each variation of its attention."""


@dataclass(frozen=True, slots=True)
class Needle:
    """A made-up fact, and how it is asked for."""

    fact: str
    """A sentence that contains `copied` once, behind a space."""
    question: str
    answer: str
    """The beginning of the answer, which the model must go on with."""
    copied: str
    """The words that it must copy."""

    @property
    def asked(self) -> str:
        """The end of the text, behind which the words copied follow."""
        return f"\n\nQuestion: {self.question}\nAnswer: {self.answer}"


@dataclass(frozen=True)
class Texts:
    """A text to hide facts in, and facts that a model cannot know."""

    sentences: tuple[str, ...]
    needles: tuple[Needle, ...]


@dataclass(frozen=True, eq=False)
class HiddenNeedle:
    """A needle in a text that a model has been given, with the words to copy behind it."""

    needle: Needle
    depth: float
    """Share of the text that stands before the fact."""
    source: Source
    written: tuple[int, ...]
    """Ids of the tokens to copy."""
    keys: Int[np.ndarray, "copied"]
    """Positions of these tokens in the fact."""
    others: Bool[np.ndarray, "token"]
    """True for each token of the text around the fact, of which a baseline is taken."""

    @property
    def steps(self) -> range:
        """Positions of the steps that write the tokens."""
        last = len(self.source.source) - 1
        return range(last - len(self.written), last)


@dataclass(frozen=True, eq=False)
class Hidden:
    """All needles that a model has been given."""

    needles: tuple[HiddenNeedle, ...]
    sentences: int
    """Number of sentences of the text that each fact is hidden in."""


@cache
def known_texts() -> Texts:
    """Read the text and the needles of `needles.toml`, which explains them."""
    table = tomllib.loads(files(__package__).joinpath("needles.toml").read_text(encoding="utf-8"))
    needles: Sequence[Mapping[str, str]] = table["needles"]
    return Texts(tuple(table["haystack"].strip().split("\n")), tuple(Needle(**one) for one in needles))


def hide(model: Continues, texts: Texts) -> Hidden:
    """Hide each needle in the text, the first near its beginning and the last near its end.

    Args:
        model: the model that is to find them.
        texts: the text and the needles; its last sentences are left out where the model has too few positions.

    Raises:
        ModelError: the model does not continue texts, has too few positions, or reads no needle as it is copied.
    """
    name, sentences = model.info.name, texts.sentences[: _room(model, texts)]
    if len(sentences) < FEWEST_SENTENCES:
        raise ModelError(
            f"{name} has too few positions for a fact in a longer text", "Name a decoder that reads longer texts"
        )
    count = len(texts.needles)
    placed = [_place(model, one, sentences, (index + 0.5) / count) for index, one in enumerate(texts.needles)]
    hidden = [one for one in placed if one is not None]
    if not hidden:
        raise ModelError(
            f"{name} has no tokens of its own for the words of any needle, or others where they are copied",
            "Name another decoder",
        )
    return Hidden(tuple(hidden), len(sentences))


def notes_on_hidden(model: ModelInfo, texts: Texts, sentences: int, needles: int) -> tuple[str, ...]:
    """Return notes on what could not be hidden.

    Args:
        model: the model.
        texts: the text and all needles.
        sentences: the number of sentences that needles are hidden in.
        needles: the number of needles hidden.
    """
    notes = []
    if sentences < len(texts.sentences):
        notes.append(
            f"{model.name} has {model.positions:,} positions, so facts are hidden in the first {sentences} of "
            f"{len(texts.sentences)} sentences"
        )
    if missing := len(texts.needles) - needles:
        notes.append(
            f"{counted(missing, 'needle')} {'was' if missing == 1 else 'were'} left out: the words to copy are "
            "other tokens where they are copied, or unknown to the model"
        )
    return tuple(notes)


def _room(model: Continues, texts: Texts) -> int:
    """Return how many sentences the model has positions for, beside the longest needle and its question."""
    if model.info.positions is None:
        return len(texts.sentences)

    def count(text: str) -> int:
        return len(model.prepare(Input(text, truncate=True)).source)

    longest = max(count(one.fact) + count(f"{one.asked} {one.copied}") for one in texts.needles)
    counts = np.cumsum([count(sentence) for sentence in texts.sentences])
    return int((counts + longest <= model.info.positions).sum())


def _place(model: Continues, needle: Needle, sentences: Sequence[str], depth: float) -> HiddenNeedle | None:
    """Hide a needle in a text; None if the words to copy cannot be told as tokens."""
    before = round(depth * len(sentences))
    text = " ".join((*sentences[:before], needle.fact, *sentences[before:]))
    source = model.prepare(Input(text + needle.asked, continuation=f" {needle.copied}"))
    start = text.index(needle.fact)
    first = start + needle.fact.index(needle.copied)
    tokens, begin = source.source.tokens, source.source.written or 0

    def within(start: int, stop: int) -> Bool[np.ndarray, "token"]:
        inside = [not one.special and one.start < stop and one.end > start for one in tokens[:begin]]
        return np.array(inside, np.bool_)

    keys = np.flatnonzero(within(first, first + len(needle.copied)))
    ids = [tokens[key].id for key in keys]
    written = tuple(one.id for one in tokens[begin:] if one.id is not None)
    if not written or ids != list(written) or model.unknown_token in written:
        return None
    others = within(0, len(text)) & ~within(start, start + len(needle.fact))
    return HiddenNeedle(needle, before / len(sentences), source, written, keys, others)


@dataclass(frozen=True, slots=True)
class NeedleTrial:
    """The outcome of asking a model for one needle."""

    needle: Needle
    depth: float
    """Share of the text that stands before the fact."""
    tokens: int
    """Number of tokens to copy."""
    written: int
    """Number of them that the model writes, each as its likeliest token, until it first writes another."""

    @property
    def found(self) -> bool:
        """True if the model writes them all."""
        return self.written == self.tokens


@dataclass(frozen=True, slots=True)
class NeedleCut:
    """The number of needles found without some heads, whose output is zero."""

    heads: tuple[tuple[int, int], ...]
    """Layer and head of each."""
    found: int
    """Number of needles still found."""
    seed: int | None = None
    """Seed that the heads were drawn with; None if they are the retrieval heads."""

    @property
    def name(self) -> str:
        """Name of the run: `without 9 retrieval heads`, `without 9 random heads (seed 0)`."""
        if self.seed is None:
            return f"without {counted(len(self.heads), 'retrieval head')}"
        return f"without {counted(len(self.heads), 'random head')} (seed {self.seed})"


@dataclass(frozen=True, slots=True)
class Needles:
    """The needles of one model, and what becomes of them without its retrieval heads."""

    trials: tuple[NeedleTrial, ...]
    sentences: int
    """Number of sentences of the text that each fact is hidden in."""
    cut: NeedleCut | None = None
    """The run without the retrieval heads; None if nothing was cut."""
    random: tuple[NeedleCut, ...] = ()
    """Runs without as many other heads, drawn at random."""

    @property
    def found(self) -> int:
        """Number of needles found with all heads."""
        return sum(one.found for one in self.trials)

    @property
    def random_share(self) -> float | None:
        """Mean share of needles found without random heads; None if none were drawn."""
        if not self.random:
            return None
        return sum(one.found for one in self.random) / len(self.random) / len(self.trials)

    @property
    def runs(self) -> list[tuple[str, int]]:
        """The name of each run and the number of needles found in it."""
        cut = [] if self.cut is None else [(self.cut.name, self.cut.found)]
        return [("with all heads", self.found), *cut, *((one.name, one.found) for one in self.random)]
