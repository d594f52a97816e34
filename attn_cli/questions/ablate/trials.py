"""The answer of `attn ablate` about a text: the output with nothing cut, and in the run with each cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Literal

import numpy as np

from attn_cli.answer import Answer
from attn_cli.data.model import GuidedHead
from attn_cli.data.plan import name_head
from attn_cli.data.record import Record
from attn_cli.data.selection import KINDS, Kind
from attn_cli.data.suggestion import Suggestion, suggest
from attn_cli.data.without import typed_without
from attn_cli.io.csv import Cell
from attn_cli.measure.summary import HeadSummary
from attn_cli.questions.ablate.choices import Instead
from attn_cli.questions.ablate.cutting import Edges
from attn_cli.questions.ablate.donors import Donor
from attn_cli.questions.ablate.output import Likely, OutputFigures, ReadOutput

__all__ = ["LISTED", "Ablation", "CutTrial", "Flip", "OtherText", "View", "beyond_rounding", "rank_correlation"]

ROUNDING = {"float64": 1e-12, "float32": 4e-6, "float16": 1e-3, "bfloat16": 1e-2}
"""Largest effect, in nats, that counts as none in a rank correlation, by number format. Keys with next to no weight
have effects of some 1e-7 in float32, whose order is another on every processor."""

View = Literal["heads", "cut", "layers", "keys"]
"""`heads`: each head in turn, whole or the edges in it; `cut`: one cut; `layers`: edges in each band of
layers; `keys`: each key of a query."""

LISTED = 10
"""The heads with the largest effects that are listed, and the most that are cut together to change a prediction."""


@dataclass(frozen=True, eq=False)
class CutTrial:
    """One run with a cut."""

    kind: Kind
    heads: Mapping[int, tuple[int, ...]]
    """layer -> the heads that are cut."""
    after: OutputFigures
    effect: float
    """Change of the output: after - before, in nats; of states, 1 - cosine."""
    edges: tuple[Edges, ...] = ()
    """The edges that are cut; none if the heads are cut whole."""
    weight: float | None = None
    """Weight of the edges: their share of a row, the mean over heads and rows."""
    summary: HeadSummary | None = None
    """Figures of the head, if it is one."""
    translation: str | None = None
    """The text that the model then writes, if it was asked to."""
    moved: float | None = None
    """Share of the way that the output moved from this text's, 0, to the other's, 1, if heads' outputs are taken from
    another text; None if both have the same output."""

    @property
    def only(self) -> tuple[int, int] | None:
        """The layer and head that are cut, if it is one alone."""
        places = self.places
        return places[0][1:] if len(places) == 1 else None

    @property
    def places(self) -> list[tuple[Kind, int, int]]:
        """Kind, layer and number of each head that is cut."""
        return [(self.kind, layer, head) for layer, heads in self.heads.items() for head in heads]


@dataclass(frozen=True, eq=False)
class OtherText:
    """The text that heads' outputs are taken from, position by position, and its own output."""

    text: str
    figures: OutputFigures
    """The same output of that text; its words are not-a-number if they are not the same words."""
    translation: str | None = None
    """The text's own translation, if the model was asked for one."""


@dataclass(frozen=True)
class Flip:
    """The fewest of the heads with the largest effects that, cut together, change the likeliest token of a place."""

    heads: tuple[tuple[Kind, int, int], ...]
    """Kind, layer and head of each."""
    place: int
    """The first place whose likeliest token changes."""
    after: Likely
    """The token that is then likeliest."""
    translation: str | None = None
    """The text that the model then writes, if it was asked to."""


@dataclass(frozen=True, eq=False, repr=False)
class Ablation(Answer):
    """The answer of `attn ablate`."""

    record: Record
    """The model, the text and the selection, without maps."""
    output: ReadOutput
    view: View
    instead: Instead | None
    """The replacement of the heads' output; None if edges are cut."""
    before: OutputFigures
    trials: tuple[CutTrial, ...]
    """The runs, in the order of the model's heads, layers or keys."""
    flip: Flip | None = None
    """The heads that together change the likeliest token, if no head does alone."""
    correlation: float | None = None
    """Spearman's rank correlation of the keys' weights and the sizes of their effects; None if it is not defined."""
    donor: Donor | None = None
    """The texts that the heads' outputs are taken from, if it is not this text."""
    other: OtherText | None = None
    """The same text with its output, if they are taken position by position."""
    text_before: str | None = None
    """The text that the model writes with nothing cut, if it was asked to."""
    more_notes: tuple[str, ...] = field(default=())

    columns = (
        *("kind", "layer", "head", "layers", "heads", "query", "key", "weight", "instead", "output"),
        *("position", "text", "before", "after", "effect", "other", "moved"),
    )

    @property
    def title(self) -> str:
        return self.record.source.name

    @property
    def unit(self) -> str:
        """The name of one place of the output: a word, a token, or a patch of an image."""
        return self.record.selection.unit if self.record.source.grid is None else "patch"

    @property
    def without(self) -> str:
        return typed_without(self.record.model.without)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Notes of the reading, of the cuts and of their runs."""
        cut = chain.from_iterable(trial.after.notes for trial in self.trials)
        return tuple(dict.fromkeys((*self.record.notes, *self.output.notes, *self.more_notes, *cut)))

    @property
    def guided(self) -> tuple[GuidedHead, ...]:
        places = [place for trial in self.trials for place in trial.places]
        return self.record.model.guided_among(places)

    @property
    def suggestion(self) -> Suggestion | None:
        strongest = self.ranked[0].only if self.view == "heads" else None
        if strongest is None:
            return None
        kind = self.ranked[0].kind
        options = () if kind == next(iter(self.record.model.stacks)) else ("--kind", kind)
        command = "translate" if kind == "cross" else "inspect"
        return suggest(self.record, command, "--head", name_head(*strongest), *options)

    @property
    def ranked(self) -> list[CutTrial]:
        """The runs by the size of their effect, largest first."""
        return sorted(self.trials, key=lambda trial: -abs(trial.effect))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of attention that are cut."""
        return tuple(kind for kind in KINDS if any(trial.kind == kind for trial in self.trials))

    def changed_place(self, after: OutputFigures) -> int | None:
        """Return the first place whose likeliest token is another in a run; None if there is none."""
        pairs = zip(self.before.top, after.top, strict=True)
        return next((place for place, (one, other) in enumerate(pairs) if one.token != other.token), None)

    @property
    def changing(self) -> list[CutTrial]:
        """The runs that change the likeliest token of a place, largest effect first."""
        return [trial for trial in self.ranked if self.changed_place(trial.after) is not None]

    def hit(self, trial: CutTrial) -> int:
        """Return the word of the output that a run changes most."""
        return int(np.abs(trial.after.words - self.before.words).argmax())

    def rows(self) -> Iterable[Sequence[Cell]]:
        """Yield a row for each run and each word of the output, after one for the whole output.

        Only a run that cuts one layer or one head has it in a column of its own. All heads stand in `heads` as
        `--without` takes them, `encoder:5.10`, which no reader takes for a number.
        """
        whole_there: float | None = None
        words_there: list[float | None] = [None] * len(self.output.words)
        if self.other is not None and self.output.comparable:
            whole_there, words_there = self.other.figures.whole, self.other.figures.words.tolist()
        for trial in self.trials:
            layers = " ".join(map(str, trial.heads))
            layer = next(iter(trial.heads)) if len(trial.heads) == 1 else None
            _, head = trial.only or (None, None)
            heads = typed_without({trial.kind: trial.heads})
            names = [" ".join(edges.names[end] or "*" for edges in trial.edges) for end in (0, 1)]
            place = trial.kind, layer, head, layers, heads
            front = (*place, *names, trial.weight, self.instead or "cut", self.output.kind)
            yield *front, None, None, self.before.whole, trial.after.whole, trial.effect, whole_there, trial.moved
            columns = self.before.words.tolist(), trial.after.words.tolist(), words_there
            for word, before, after, there in zip(self.output.words, *columns, strict=True):
                yield *front, word.position, word.label, before, after, after - before, there, None


def beyond_rounding(effect: float, dtype: str) -> float:
    """Return an effect, or 0 if rounding alone could have made it, so that effects of nothing are ranked alike.

    Args:
        effect: the effect.
        dtype: number format that the model computes in.
    """
    return effect if abs(effect) > ROUNDING.get(dtype, ROUNDING["float32"]) else 0.0


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Compute Spearman's rank correlation of weights and sizes of effects; None for fewer than 3 or all the same."""
    # Imported late: it takes longer than running the built-in model.
    from scipy.stats import spearmanr

    if len(pairs) < 3 or any(len(set(column)) < 2 for column in zip(*pairs, strict=True)):
        return None
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)
