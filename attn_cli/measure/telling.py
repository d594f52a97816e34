"""The rows of a map that tell something about its text, and the head from whose rows a reader learns most."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from attn_cli.data.model import GuidedHead
from attn_cli.data.plan import Plan
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.data.statistics import LayerStatistics
from attn_cli.data.stream import Block
from attn_cli.errors import ExactnessError
from attn_cli.measure.maps import BestMap, MeanMap
from attn_cli.measure.summary import Link

__all__ = ["PRONOUN", "TellingHead", "TellingMap", "looks_at_words", "resting"]

PRONOUN = re.compile("it(?:['’]s)?")
"""The pronoun from which heads are trained to look to its noun; the grammar that they are trained on has no other."""


def resting(special: Sequence[bool], kind: Kind, *, first: bool = True) -> Bool[np.ndarray, "key"]:
    """Return True for each key on which a weight says little, since heads rest there.

    These are special tokens and a decoder's first token (Xiao et al. 2024).

    Args:
        special: True for each key that is a special token.
        kind: the kind of attention.
        first: True if the first key is that of the text's first token.
    """
    keys = np.array(special, np.bool_)
    if kind == "decoder" and first:
        keys[:1] = True
    return keys


def looks_at_words(
    keys: Int[np.ndarray, "*heads row"],
    queries: Int[np.ndarray, "row"],
    rests: Bool[np.ndarray, "key"],
    *,
    crosses: bool,
) -> Bool[np.ndarray, "*heads row"]:
    """Return True for each row whose strongest key is a word other than the query itself.

    Args:
        keys: the strongest key of each row.
        queries: the position of each row.
        rests: True for each key where heads rest; see `resting`.
        crosses: True if no key is the query itself (`Plan.crosses`).
    """
    words: Bool[np.ndarray, "*heads row"] = ~rests[keys]
    return words if crosses else words & (keys != queries)


@dataclass(frozen=True, slots=True, order=True)
class _Rank:
    """The rank of a head: heads are compared by the first field, then by the next."""

    guided: bool
    """True if the head was trained to look where it looks, and this text has something for it to look from."""
    telling: float
    """Mean gain of the words' strongest keys, without neighbours; see `TellingMap`."""
    near: float
    """The same with neighbours, which tells apart the heads of a text that has little else."""


@dataclass(frozen=True, slots=True)
class TellingHead:
    """The head that was chosen, and why."""

    layer: int
    head: int
    telling: float
    """Mean gain of the words' strongest keys, without neighbours; see `TellingMap`."""
    link: Link | None
    """The link that shows best what the head does; None if in none of its rows words look at words."""
    guided: GuidedHead | None
    """The role that the head was trained for, if it was chosen for that; else None."""


class _Telling:
    """The running figures of one head; called with its blocks, in order."""

    def __init__(self, plan: Plan, guided: GuidedHead | None) -> None:
        self._crosses = plan.crosses
        self._guided = guided
        self._rests = resting(plan.keys.special, plan.kind, first=plan.keys.shows_first)
        self._words = ~np.asarray(plan.queries.special, np.bool_)
        self._pronouns = np.array([bool(PRONOUN.fullmatch(word or "")) for word in plan.queries.read_as], np.bool_)
        self._sums: Float[np.ndarray, "key"] = np.zeros(len(plan.keys))
        self._seen: Int[np.ndarray, "key_and_end"] = np.zeros(len(plan.keys) + 1, np.intp)
        """Changes of the number of words that see a key, from each key to the next."""
        self._keys: Int[np.ndarray, "query"] = np.zeros(len(plan.queries), np.intp)
        self._weights: Float[np.ndarray, "query"] = np.zeros(len(plan.queries))

    def __call__(self, block: Block) -> None:
        rows = slice(block.start, block.start + len(block.visible))
        weights = block.weights[0]
        words = self._words[rows]
        self._sums = np.asarray(self._sums, like=weights)
        self._sums[: weights.shape[1]] += words @ weights
        np.add.at(self._seen, block.visible[words, 0], 1)
        np.add.at(self._seen, block.visible[words, 1], -1)
        if weights.shape[1]:
            self._keys[rows] = np.asarray(weights.argmax(axis=1))
            self._weights[rows] = np.asarray(weights.max(axis=1))

    def take(self, layer: LayerStatistics, index: int) -> None:
        """Take the figures of all rows from statistics, those of the head with this index."""
        self._sums = layer.sums[index]
        np.add.at(self._seen, layer.visible[self._words, 0], 1)
        np.add.at(self._seen, layer.visible[self._words, 1], -1)
        self._keys, self._weights = layer.key[index], layer.weight[index]

    def _gains(self) -> Float[np.ndarray, "query"]:
        """Return how much more weight each word gives its strongest key than words do on average; 0 for other rows."""
        means = np.asarray(self._sums) / np.maximum(np.cumsum(self._seen[:-1]), 1)
        gains = np.maximum(self._weights - means[self._keys], 0) if len(means) else self._weights
        return np.where(self._words & self._looking, gains, 0)

    @property
    def _looking(self) -> Bool[np.ndarray, "query"]:
        if not len(self._rests):
            return np.zeros(len(self._keys), np.bool_)
        return looks_at_words(self._keys, np.arange(len(self._keys)), self._rests, crosses=self._crosses)

    @property
    def _far(self) -> Bool[np.ndarray, "query"]:
        """True for each row whose strongest key is not the word before or after it."""
        away = np.abs(self._keys - np.arange(len(self._keys))) > 1
        return np.ones_like(away) if self._crosses else away

    @property
    def _sources(self) -> Bool[np.ndarray, "query"]:
        """True for each row from which a guided head was trained to look, and does look at a word."""
        if self._guided is None:
            return np.zeros(len(self._keys), np.bool_)
        return self._looking & (self._pronouns if self._guided.role == "coreference" else self._words)

    @property
    def result(self) -> _Rank:
        """The rank of the head."""
        gains, words = self._gains(), max(int(self._words.sum()), 1)
        return _Rank(bool(self._sources.any()), float(gains[self._far].sum() / words), float(gains.sum() / words))

    @property
    def link(self) -> Link | None:
        """The link that shows best what the head does; None if none of its rows tells anything."""
        gains = self._gains()
        for rows in (self._sources, gains * self._far > 0, gains > 0):
            if rows.any():
                query = int(np.where(rows, self._weights if rows is self._sources else gains, -1).argmax())
                return Link(query, int(self._keys[query]), float(self._weights[query]))
        return None


class TellingMap:
    """A collector of the map of one head, the most telling of those streamed; of equals, the first.

    First comes a head that was trained on coreference, if it looks from a pronoun of this text at another word; in
    cross-attention, one that was trained to align words at the rows shown. Of the others it is the one with the largest
    mean, over all words, of the weight of a word's strongest key less the mean weight that the words give that key,
    where that key is a word, but neither the query itself nor a neighbour; of other words the mean takes 0. So heads in
    which words look at themselves, all at one place, or always at the next word, come last. Where no head has more than
    0, as in a text of two words, neighbours count too. Special tokens and a decoder's first token are not words.

    Args:
        plan: the plan of the view (source, selection, rows and columns).
        empty: function that makes an empty collector of the mean map of some layers, in the plan's units.
    """

    def __init__(self, plan: Plan, empty: Callable[[Collection[int]], MeanMap]) -> None:
        guided = {
            (one.layer, one.head): one
            for one in plan.source.model.guided_among(plan.places)
            if one.role == "coreference" or one.aligns_at == plan.rows
        }
        self._guided, self._plan = guided, plan
        self._best = BestMap(len(plan.queries), empty, self._empty_ranking)
        self._left: Callable[[], Iterable[Block]] | None = None
        """Function that streams the map of the best head, if its statistics came without it."""

    def _empty_ranking(self, layer: int, head: int) -> _Telling:
        return _Telling(self._plan, self._guided.get((layer, head)))

    def __call__(self, block: Block) -> None:
        self._best(block)

    def add(self, layer: LayerStatistics) -> None:
        """Rank the heads of one layer by statistics that were computed without its weights."""
        for index, head in enumerate(layer.heads):
            ranking = self._empty_ranking(layer.layer, head)
            ranking.take(layer, index)
            if self._best.rank(layer.layer, head, ranking):
                self._left = layer.blocks_of(head)

    def finish(self) -> None:
        """Compute the map of the head that was chosen, if its weights were not streamed."""
        for block in () if self._left is None else self._left():
            self.map(block)

    def bytes_needed(self, heads: int) -> int:
        """Return the memory that the collector takes, in bytes, if no layer has more heads than these."""
        return self._best.bytes_needed(heads)

    @property
    def chosen(self) -> TellingHead:
        """The head whose map this is."""
        layer, head, _, ranking = self._found
        rank = ranking.result
        guided = self._guided[layer, head] if rank.guided else None
        return TellingHead(layer, head, rank.telling, ranking.link, guided)

    @property
    def map(self) -> MeanMap:
        """The map of the head."""
        return self._found[2]

    @property
    def _found(self) -> tuple[int, int, MeanMap, _Telling]:
        if self._best.best is None:
            raise ExactnessError("No head was streamed")
        return self._best.best
