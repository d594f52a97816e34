"""Cuts: changes to attention while a model runs, to see whether it matters (Michel et al. 2019; Geva et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from attn_cli.data.model import Heads, Stack
from attn_cli.data.plan import listed, name_head
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float
from attn_cli.errors import ModelError, SelectionError, enumerated

__all__ = [
    "COMPARED_UNCUT",
    "Cut",
    "CutEdges",
    "EvenHeads",
    "ReplacedHeads",
    "Variation",
    "ZeroedHeads",
    "check_cuts",
    "cuts_by_layer",
    "kinds_of_edges",
    "left_nothing",
    "zeroed",
]

COMPARED_UNCUT = "The model's output was compared with that of a plain run with nothing cut in either"
"""The note on a check of a model with heads cut: without attn, it has no such heads."""


@dataclass(frozen=True, eq=False)
class Cut:
    """Some heads of one layer whose attention is changed; the classes below say how."""

    kind: Kind
    layer: int
    heads: tuple[int, ...] | None = None
    """The heads to change; None for all heads of the layer."""

    def heads_of(self, count: int) -> tuple[int, ...]:
        """Return the heads to change in a layer of that many."""
        return tuple(range(count)) if self.heads is None else self.heads


@dataclass(frozen=True, eq=False)
class ZeroedHeads(Cut):
    """Heads whose weighted sum of the values is 0, and with it their part of what enters the output projection."""


@dataclass(frozen=True, eq=False)
class EvenHeads(Cut):
    """Heads whose scores, with any position bias, are 0 for all visible keys; mask and learned sink stay."""


@dataclass(frozen=True, eq=False)
class ReplacedHeads(Cut):
    """Heads whose weighted sum of the values is replaced by other vectors: a mean, or that of another text."""

    vectors: Float[np.ndarray, "head #query dim"] = field(kw_only=True)
    """One vector for each head, or for each head and query, in the order of `heads`."""

    def of_queries(self, start: int, shape: tuple[int, int, int]) -> Float[np.ndarray, "head #query dim"]:
        """Return the vectors of some queries.

        Args:
            start: position of the first query.
            shape: numbers of heads, queries and numbers of a vector that the layer has.

        Raises:
            ModelError: there are fewer vectors than that, or of another length.
        """
        heads, queries, size = shape
        single = self.vectors.shape[1] == 1
        vectors = self.vectors if single else self.vectors[:, start : start + queries]
        if vectors.shape != (heads, 1 if single else queries, size):
            raise ModelError(
                f"{heads} heads of {self.kind} layer {self.layer} are to be replaced by vectors of {size} numbers, but "
                f"{' x '.join(map(str, self.vectors.shape))} are given",
                "Take them from a text of the same number of tokens",
            )
        return vectors


@dataclass(frozen=True, eq=False)
class CutEdges(Cut):
    """Edges whose score is minus infinity, so that the other weights of the row grow (attention knockout)."""

    edges: tuple[tuple[int, int], ...] = field(kw_only=True)
    """Pairs of a query's position and a key's; those of a decoder that writes may lie ahead of what is written."""


Variation = tuple[Cut, ...]
"""The cuts of one run; none for the model as it is."""


def zeroed(heads: Heads) -> tuple[ZeroedHeads, ...]:
    """Return the cuts that set the output of these heads to zero."""
    return tuple(ZeroedHeads(kind, layer, some) for kind, layers in heads.items() for layer, some in layers.items())


def cuts_by_layer(variations: Iterable[Variation]) -> dict[tuple[Kind, int], list[tuple[int, Cut]]]:
    """Return the cuts of each layer, each with the index of its variation."""
    found: dict[tuple[Kind, int], list[tuple[int, Cut]]] = {}
    for index, variation in enumerate(variations):
        for cut in variation:
            found.setdefault((cut.kind, cut.layer), []).append((index, cut))
    return found


def kinds_of_edges(variations: Iterable[Variation]) -> frozenset[Kind]:
    """Return the kinds of attention in which a cut depends on the query's position."""
    return frozenset(
        cut.kind
        for variation in variations
        for cut in variation
        if isinstance(cut, CutEdges) or (isinstance(cut, ReplacedHeads) and cut.vectors.shape[1] > 1)
    )


def left_nothing(layers: Iterable[tuple[Kind, int]]) -> tuple[str, ...]:
    """Return the note about queries all of whose visible keys are cut; their context is 0 in every model alike.

    Args:
        layers: the kind and number of each layer that has such a query; without any, there is no note.
    """
    numbers: dict[Kind, list[int]] = {}
    for kind, layer in layers:
        numbers.setdefault(kind, []).append(layer)
    if not numbers:
        return ()
    where = enumerated(f"{kind} layer{'s' * (len(own) > 1)} {listed(own)}" for kind, own in numbers.items())
    note = f"A position is left nothing to look at by the cut in {where}: its context vector there is 0"
    return (f"{note}, not a mean over what it cannot see",)


def check_cuts(variations: Sequence[Variation], stacks: Mapping[Kind, Stack]) -> None:
    """Check that a model has the heads that are cut.

    Raises:
        SelectionError: it does not.
    """
    for variation in variations:
        for cut in variation:
            stack = stacks.get(cut.kind)
            if stack is None or cut.layer not in stack.heads:
                if stack is None:
                    what = ", ".join(stacks) or "no attention"
                    raise SelectionError(f"There is no {cut.kind} attention to cut", f"This model has {what}")
                raise SelectionError(
                    f"There is no {cut.kind} layer {cut.layer} with attention to cut",
                    f"The layers with attention are {listed(tuple(stack.heads))}",
                )
            count = stack.heads[cut.layer]
            for head in cut.heads_of(count):
                if not 0 <= head < count:
                    raise SelectionError(
                        f"There is no head {name_head(cut.layer, head)} to cut", f"The layer has heads 0 to {count - 1}"
                    )
