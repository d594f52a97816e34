"""The output that cuts are measured by, the words in it, and their figures in one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from attn_cli.data.outcomes import Outcome, OutputKind, Wanted
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Source
from attn_cli.errors import NOT_NUMBERS, ModelError, SelectionError, quoted
from attn_cli.models import Model, Translation
from attn_cli.models.encoding import named_alone
from attn_cli.questions.ablate.cutting import Edges

__all__ = ["LIKELIEST", "Apart", "Likely", "OutputFigures", "OutputWord", "ReadOutput"]

LIKELIEST = 5
"""The number of likeliest tokens that are kept of each place."""


@dataclass(frozen=True)
class OutputWord:
    """One word or token of the output."""

    label: str
    position: int
    """Its number among the words or tokens of its text."""
    special: bool
    places: tuple[int, ...]
    """Its tokens: indices into `Outcome.tokens`, into the masks, or positions of states."""


@dataclass(frozen=True, slots=True)
class Likely:
    """A token that is likely in one place."""

    token: int
    text: str
    probability: float


@dataclass(frozen=True, eq=False)
class OutputFigures:
    """The figures of the output in one run."""

    whole: float
    """Log-probability of the whole output in nats, or a difference of logits; of states, 1 - cosine of their mean
    and that of the model as it is."""
    words: Float[np.ndarray, "word"]
    """The same of each word."""
    top: tuple[Likely, ...] = ()
    """The likeliest token of each place; none of states."""
    likeliest: tuple[tuple[Likely, ...], ...] = ()
    """The likeliest tokens of each place, likeliest first, where they are wanted."""
    notes: tuple[str, ...] = ()
    answers: tuple[float, float] | None = None
    """Probabilities of the two answers, where the outputs of two texts are told apart by them."""
    lean: float | None = None
    """The place of this output on the line through those of two texts: the difference of the answers' logits, or the
    place of the mean state, from 0 for the first text to 1 for the other. None if both have the same output."""


@dataclass(frozen=True, eq=False)
class Apart:
    """The difference between the outputs of two texts."""

    place: int | None = None
    """The first place in which the likeliest tokens, the answers, are not the same; None of states."""
    tokens: tuple[int, int] = (0, 0)
    """The answer of the first text there, and that of the other."""
    names: tuple[str, str] = ("", "")
    """The texts of these tokens."""
    states: Float[np.ndarray, "2 dim"] | None = None
    """The mean state of the first text, and that of the other."""

    def place_of(self, output: Outcome) -> float | None:
        """Return where the output of a run is on the line through those of the two texts (`OutputFigures.lean`)."""
        if self.place is not None and output.logits is not None:
            one, other = self.tokens
            return float(output.logits[self.place, one] - output.logits[self.place, other])
        if self.states is None or output.states is None:
            return None
        line = self.states[1] - self.states[0]
        moved = output.states.mean(axis=0, dtype=np.float64) - self.states[0]
        return float(moved @ line / (line @ line))


@dataclass(frozen=True, eq=False)
class ReadOutput:
    """A text that was read for the output to measure."""

    model: Model = field(repr=False)
    source: Source
    wanted: Wanted
    words: tuple[OutputWord, ...]
    ids: tuple[int, ...] = ()
    """The token measured in each place, for a mask or for a token that is not in the text. Empty for the likeliest
    token at each mask, and where the text holds what is measured."""
    likeliest: bool = False
    """True if the tokens measured are the likeliest in their places, as none was named."""
    against: tuple[int, int] | None = None
    """The tokens whose logits are compared, in the first of the places."""
    names: tuple[str, str] | None = None
    """The texts of these tokens."""
    place_labels: tuple[str, ...] = ()
    """Name of each place with a likeliest token: `in the place of il`, `after the text`."""
    translation: Translation | None = None
    """The model's own translation, if that is measured."""
    notes: tuple[str, ...] = ()
    plain: Outcome | None = None
    """The output of the model as it is; states are compared with it."""
    there: Outcome | None = None
    """The same output of another text, whose heads' outputs are put in the place of this one's."""
    apart: Apart | None = None
    """The difference between both, once both are known; None if there is none."""

    @property
    def kind(self) -> OutputKind:
        return self.wanted.output

    @property
    def states(self) -> bool:
        """True if last states are measured, and not words."""
        return self.kind == "states"

    @property
    def named(self) -> str | None:
        """The words measured, if they are named: a target, or the word at a mask.

        None of a text's own next tokens, of the model's own translation or likeliest words, and of states.
        """
        named = {
            "next": bool(self.wanted.places) and not self.likeliest,
            "target": self.translation is None,
            "mask": bool(self.ids) and not self.likeliest,
            "states": False,
        }
        return " ".join(word.label for word in self.words) if named[self.kind] else None

    def of_plain(self, output: Outcome) -> ReadOutput:
        """Return the same with the output of the model as it is, which decides what is measured at a mask."""
        read = replace(self, plain=output)
        if self.kind == "mask" and not self.ids and output.logits is not None:
            ids = tuple(output.logits.argmax(axis=1).tolist())
            labels = [named_alone(text) for text in self.model.spell_tokens(ids)]
            words = tuple(replace(word, label=label) for word, label in zip(self.words, labels, strict=True))
            read = replace(read, ids=ids, words=words, likeliest=True)
        return read if self.there is None else replace(read, apart=read.told_apart(output, self.there))

    def told_apart(self, here: Outcome, there: Outcome) -> Apart | None:
        """Find what tells the output of this text from that of another."""
        if here.states is not None and there.states is not None:
            means = np.stack([states.mean(axis=0, dtype=np.float64) for states in (here.states, there.states)])
            return Apart(states=means) if (means[0] != means[1]).any() else None
        if here.logits is None or there.logits is None:
            return None
        if self.against is not None:
            pairs = [self.against]
        else:
            pairs = list(zip(self._own_tokens(here.logits), there.logits.argmax(axis=1).tolist(), strict=True))
        for place, (one, other) in enumerate(pairs):
            if one != other:
                return Apart(place, (one, other), (self._text_of(one), self._text_of(other)))
        return None

    def _own_tokens(self, logits: Float[np.ndarray, "place vocabulary"]) -> list[int]:
        """Return the token measured in each place, or else the likeliest."""
        if self.kind == "mask":
            return list(self.ids)
        tokens = self.source.target if self.kind == "target" else self.source.source
        if tokens is None or not self.wanted.places:
            return logits.argmax(axis=1).tolist()  # type: ignore[no-any-return]
        return [int(tokens.tokens[place + 1].id or 0) for place in self.wanted.places]

    @property
    def comparable(self) -> bool:
        """True if the words measured are the same in any text: those of a target or at a mask, or states."""
        return self.kind != "next" or bool(self.wanted.places)

    def check_reach(self, groups: Sequence[Edges]) -> None:
        """Check that what is measured depends on a row of each group of edges.

        Raises:
            SelectionError: all rows of a group are a decoder's, and come after all that is measured.
        """
        for edges in groups:
            last = self._last_row(edges.plan.kind)
            if last is None or any(row <= last for row, _ in edges.pairs):
                continue
            start, end = edges.labels
            rows = f"the row of {quoted(start)}" if start else f"the rows that look at {quoted(end)}"
            raise SelectionError(
                f"Nothing that is measured comes after {rows}, so a cut there changes nothing", "Name an earlier word"
            )

    def _last_row(self, kind: Kind) -> int | None:
        """Return the last row that what is measured depends on; None if it depends on all of this kind."""
        if kind == "encoder" or self.kind not in {"next", "target"}:
            return None
        return max(self.wanted.places, default=len(self.source.source) - 2)

    def figures_there(self) -> OutputFigures | None:
        """Compute the figures of the other text's output; its words are not-a-number if they are not the same."""
        if self.there is None:
            return None
        if self.comparable:
            return self.figures(self.there, likeliest=True)
        nothing = OutputFigures(float("nan"), np.full(len(self.words), np.nan, np.float32))
        return self._with_likeliest(nothing, self.there, likeliest=True)

    def figures(self, output: Outcome, *, likeliest: bool = False) -> OutputFigures:
        """Compute the figures of the output of one run.

        Args:
            output: the output of a run of this text for what is wanted.
            likeliest: list more than the first of the likeliest tokens.

        Raises:
            ModelError: the output is not a number, or the model returned no output.
        """
        found = self._of_states(output) if self.states else self._of_words(output)
        if np.isnan(found.whole):
            raise ModelError("The values that the model computes are not numbers", NOT_NUMBERS)
        return self._with_likeliest(found, output, likeliest=likeliest)

    def _with_likeliest(self, found: OutputFigures, output: Outcome, *, likeliest: bool) -> OutputFigures:
        if self.apart is not None:
            found = replace(found, lean=self.apart.place_of(output), answers=self._answers(self.apart, output))
        if output.logits is None:
            return found
        top = tuple(self._likeliest(row, 1)[0] for row in output.logits)
        every = tuple(self._likeliest(row, LIKELIEST) for row in output.logits) if likeliest else ()
        return replace(found, top=top, likeliest=every)

    @staticmethod
    def _answers(apart: Apart, output: Outcome) -> tuple[float, float] | None:
        if apart.place is None or output.logits is None:
            return None
        row = output.logits[apart.place]
        one, other = np.exp(row[list(apart.tokens)] - _log_sum(row)).tolist()
        return one, other

    def _of_words(self, output: Outcome) -> OutputFigures:
        if self.against is not None and output.logits is not None:
            first, other = self.against
            difference = float(output.logits[0, first] - output.logits[0, other])
            return OutputFigures(difference, np.array([difference], np.float32), notes=output.notes)
        if self.ids and output.logits is not None:
            tokens = _log_softmax(output.logits)[np.arange(len(self.ids)), list(self.ids)]
        elif output.tokens is not None:
            tokens = output.tokens
        else:
            raise ModelError(f"{self.source.model.name} returned no words to measure")
        words = np.array([tokens[list(word.places)].sum(dtype=np.float64) for word in self.words], np.float32)
        return OutputFigures(float(words.sum(dtype=np.float64)), words, notes=output.notes)

    def _of_states(self, output: Outcome) -> OutputFigures:
        if output.states is None or self.plain is None or self.plain.states is None:
            raise ModelError(f"{self.source.model.name} returned no states to measure")
        groups = [list(word.places) for word in self.words]
        before, after = (
            np.stack([states[places].mean(axis=0, dtype=np.float64) for places in groups])
            for states in (self.plain.states, output.states)
        )
        whole = _apart(*(states.mean(axis=0, dtype=np.float64)[None] for states in (self.plain.states, output.states)))
        return OutputFigures(float(whole[0]), _apart(before, after).astype(np.float32), notes=output.notes)

    def _likeliest(self, logits: Float[np.ndarray, "vocabulary"], count: int) -> tuple[Likely, ...]:
        best = np.argpartition(-logits, count)[:count] if count > 1 else np.array([logits.argmax()])
        best = best[np.argsort(-logits[best], kind="stable")]
        chances = np.exp(logits[best] - _log_sum(logits))
        return tuple(
            Likely(int(token), self._text_of(int(token)), float(chance))
            for token, chance in zip(best, chances, strict=True)
        )

    @cached_property
    def _texts(self) -> dict[int, str]:
        return {}

    def _text_of(self, token: int) -> str:
        if token not in self._texts:
            (self._texts[token],) = self.model.spell_tokens([token])
        return self._texts[token]


def _log_sum(row: Float[np.ndarray, "vocabulary"]) -> float:
    most = row.max()
    return float(most + np.log(np.exp(row - most).sum(dtype=np.float64)))


def _log_softmax(logits: Float[np.ndarray, "place vocabulary"]) -> Float[np.ndarray, "place vocabulary"]:
    found: Float[np.ndarray, "place vocabulary"] = logits - np.array([[_log_sum(row)] for row in logits], np.float32)
    return found


def _apart(one: Float[np.ndarray, "row dim"], other: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row"]:
    """Compute 1 - cosine of each two rows, from the distance of their directions, so that small ones are exact."""
    ends = [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30) for rows in (one, other)]
    apart: Float[np.ndarray, "row"] = ((ends[0] - ends[1]) ** 2).sum(axis=1) / 2
    return apart
