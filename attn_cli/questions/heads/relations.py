"""Attention heads that find grammatical heads, as in Clark et al. 2019, "What Does BERT Look At?", section 4.2.

An attention head *finds* a word's grammatical head in one of two ways: the grammatical head is the strongest key of the
word's row (`to head`), or the strongest query of its column (`from head`). Special tokens and the word itself are left
out. The baseline is the best fixed offset, which always names the word at the same distance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block
from attn_cli.data.sums import Sums, layers_in
from attn_cli.questions.heads.roles import ERRORS, RELATION
from attn_cli.questions.heads.scores import RoleScore

__all__ = ["WAYS", "CollectRelations", "Dependency", "RelationScore", "Way", "best", "margin"]

Way = Literal["to head", "from head"]
WAYS: tuple[Way, ...] = ("to head", "from head")


def margin(share: float, count: int) -> float:
    """Return the margin by which a share of `count` cases must exceed its baseline."""
    return ERRORS * math.sqrt(max(share * (1 - share), 1 / max(count, 1)) / max(count, 1))


@dataclass(frozen=True, slots=True)
class Dependency:
    """Dependency of one word on another, both as indices into the units of a text."""

    dependent: int
    head: int
    relation: str


@dataclass(frozen=True, slots=True)
class RelationScore:
    """Accuracy of one attention head in finding the grammatical heads of one relation."""

    relation: str
    way: Way
    layer: int
    head: int
    count: int
    """Number of occurrences of the relation in which the query can see the key."""
    accuracy: float
    offset: int
    """Best fixed offset, from the dependent to its head."""
    baseline: float
    """Accuracy of the best fixed offset."""

    @property
    def role(self) -> RoleScore:
        """The accuracy as a score in a role."""
        return RoleScore(
            RELATION,
            score=self.accuracy,
            baseline=self.baseline,
            rows=self.count,
            detail=f"{self.relation} → head" if self.way == "to head" else f"head → {self.relation}",
            margin=margin(self.accuracy, self.count),
        )


class _CountedLayer:
    def __init__(self, heads: tuple[int, ...]) -> None:
        self.heads = heads
        self.right: dict[tuple[str, Way], Int[np.ndarray, "head"]] = {}
        self.offsets: dict[tuple[str, Way], Counter[int]] = {}


class CollectRelations:
    """Collector of `RelationScore`, over one text after another.

    The maps of each text are kept until the text has ended, and are then reduced to counts.
    """

    def __init__(self) -> None:
        self._layers: dict[tuple[Kind, int], _CountedLayer] = {}
        self._links: Sequence[Dependency] = ()
        self._words = 0
        self._maps: dict[tuple[Kind, int], tuple[Float[np.ndarray, "head query key"], Int[np.ndarray, "query 2"]]] = {}

    def turn(self, words: int, links: Sequence[Dependency]) -> None:
        """Turn to the next text, whose blocks come in words, without special tokens (see `Regroup`).

        Args:
            words: number of words.
            links: relations between the words.
        """
        self.end()
        self._words, self._links = words, links

    def __call__(self, block: Block) -> None:
        place = block.kind, block.layer
        self._layers.setdefault(place, _CountedLayer(block.heads))
        if place not in self._maps:
            self._maps[place] = (
                np.zeros((len(block.heads), self._words, self._words), np.float32),
                np.zeros((self._words, 2), np.intp),
            )
        weights, visible = self._maps[place]
        rows = slice(block.start, block.start + block.visible.shape[0])
        weights[:, rows, : block.weights.shape[2]] = block.weights
        visible[rows] = block.visible

    def end(self) -> None:
        """Count the relations that the heads find in the last text."""
        for place, (weights, visible) in self._maps.items():
            self._count(self._layers[place], weights, visible)
        self._maps.clear()

    def _count(
        self, layer: _CountedLayer, weights: Float[np.ndarray, "head query key"], visible: Int[np.ndarray, "query 2"]
    ) -> None:
        diagonal = np.arange(self._words)
        weights[:, diagonal, diagonal] = -1
        found = {"to head": weights.argmax(axis=2), "from head": weights.argmax(axis=1)}
        for link in self._links:
            for way in WAYS:
                query, key = (link.dependent, link.head) if way == "to head" else (link.head, link.dependent)
                if query == key or not visible[query, 0] <= key < visible[query, 1]:
                    continue
                place = link.relation, way
                right = found[way][:, link.dependent] == link.head
                layer.right[place] = layer.right.get(place, np.zeros(len(layer.heads), np.intp)) + right
                layer.offsets.setdefault(place, Counter())[link.head - link.dependent] += 1

    def state(self) -> dict[str, np.ndarray]:
        """Return the counts so far as arrays, for `merge`.

        Of each layer these are the relations and ways `[place]`, how often each head was right `[place, head]`, and
        how often each offset was that to the head, as rows of place, offset and count.
        """
        self.end()
        state = {}
        for (kind, number), layer in self._layers.items():
            begin = f"{kind}.{number}"
            offsets = [
                (index, *pair) for index, place in enumerate(layer.right) for pair in layer.offsets[place].items()
            ]
            state[f"{begin}.heads"] = np.array(layer.heads, np.int64)
            state[f"{begin}.relation"] = np.array([relation for relation, _ in layer.right], np.str_)
            state[f"{begin}.relation.way"] = np.array([WAYS.index(way) for _, way in layer.right], np.int64)
            state[f"{begin}.relation.right"] = np.array([*layer.right.values()], np.int64)
            state[f"{begin}.relation.offsets"] = np.array(offsets, np.int64)
        return state

    def merge(self, state: Sums) -> None:
        """Add the counts of another collector over other texts.

        Raises:
            ValueError: they are not of the heads that they name.
            KeyError: some are missing.
        """
        self.end()
        for kind, number, heads in layers_in(state):
            begin = f"{kind}.{number}.relation"
            layer = self._layers.setdefault((kind, number), _CountedLayer(heads))
            ways = [WAYS[way] for way in state[f"{begin}.way"].tolist()]
            places = list(zip(state[begin].tolist(), ways, strict=True))
            for place, right in zip(places, state[f"{begin}.right"], strict=True):
                if right.shape != (len(layer.heads),):
                    raise ValueError(f"{begin}.right has rows of shape {right.shape}")
                layer.right[place] = layer.right.get(place, 0) + right
            for index, offset, count in state[f"{begin}.offsets"].tolist():
                layer.offsets.setdefault(places[index], Counter())[offset] += count

    def result(self) -> tuple[RelationScore, ...]:
        """Return the score of each relation, way and head: by layer, the most frequent relations first."""
        self.end()
        scores = []
        for (_, number), layer in self._layers.items():
            counts = {place: sum(offsets.values()) for place, offsets in layer.offsets.items()}
            for (relation, way), count in sorted(counts.items(), key=_frequent_first):
                right, offsets = layer.right[relation, way], layer.offsets[relation, way]
                offset = min(offsets, key=lambda one: (-offsets[one], abs(one), one))
                scores += [
                    RelationScore(
                        relation, way, number, head, count, int(correct) / count, offset, offsets[offset] / count
                    )
                    for head, correct in zip(layer.heads, right.tolist(), strict=True)
                ]
        return tuple(scores)


def _frequent_first(counted: tuple[tuple[str, Way], int]) -> tuple[int, str, int]:
    """Return the key by which relations and ways are sorted, given how often each occurs."""
    (relation, way), count = counted
    return -count, relation, WAYS.index(way)


def best(scores: Sequence[RelationScore]) -> Mapping[tuple[str, Way], RelationScore]:
    """Find the best head for each relation and way, the most frequent relations first."""
    found: dict[tuple[str, Way], RelationScore] = {}
    for score in scores:
        place = score.relation, score.way
        if place not in found or score.accuracy > found[place].accuracy:
            found[place] = score
    return dict(sorted(found.items(), key=lambda item: (-item[1].count, item[0])))
