"""Scores of heads in roles: their weight on the keys of a role, against the weight of an even row on these keys.

For each query, a role names the keys that a head of that role looks at. Only sums are kept, so memory does not grow
with the number of texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float, Int
from attn_cli.data.stream import Block
from attn_cli.data.sums import Sums, layers_in
from attn_cli.data.units import Units
from attn_cli.measure.derived import centred
from attn_cli.questions.heads.roles import NATS, OFFSET, ROLES, Role

if TYPE_CHECKING:
    from attn_cli.questions.heads.roles import PairsOfRows

__all__ = ["CollectRoles", "RoleOrigin", "RoleScore", "signed"]


RoleOrigin = Literal["measured", "training", "declared"]


@dataclass(frozen=True, slots=True)
class RoleScore:
    """Score of one head in one role."""

    role: Role
    score: float
    """Value of `Role.formula`; not-a-number if no row has a key of the role."""
    baseline: float
    """Value of `Role.baseline` over the same rows."""
    rows: int
    """Number of rows that have a key of the role and can see another key."""
    share: float | None = None
    """Weight on keys of the role as a share of the weight of all rows, including those without such a key."""
    rest: float | None = None
    """Weight on keys of the role as a share of the weight of the same rows, both without the first key and the
    query's own; in cross-attention, whose keys are none of the queries, without the first alone. None if the role is
    about one of these two."""
    detail: str = ""
    """The offset or the relation; empty for other roles."""
    margin: float = 0.0
    """Margin by which the score must exceed its baseline."""
    origin: RoleOrigin = "measured"
    """Origin of the role: what the head does in texts, what it was trained for, or what the model's config says."""

    @classmethod
    def named(cls, role: Role, origin: RoleOrigin, detail: str = "") -> RoleScore:
        """Return a role that a model names, without a score."""
        return cls(role, float("nan"), float("nan"), rows=0, detail=detail, origin=origin)

    @property
    def fewest(self) -> int:
        """Least number of rows for the head to have the role."""
        return self.role.fewest

    @property
    def given(self) -> bool:
        """True if the head has this role."""
        if self.origin != "measured":
            return True
        beats = self.score > self.baseline + self.margin
        return beats and self.rows >= self.fewest and self.score >= self.role.threshold

    @property
    def name(self) -> str:
        """Name of the role as shown: `previous`, `offset -2`, `nsubj → head`."""
        return f"offset {self.detail}" if self.role is OFFSET else self.detail or self.role.name


MOST_PAIRS = 2**21
"""Most pairs kept from one layer to the next; a long text has far more, which are found again."""


class _Slice:
    """Visible pairs of each role within the rows of one block.

    Args:
        block: the block.
        roles: role -> first row of each text, and how to find its pairs.
    """

    def __init__(self, block: Block, roles: Mapping[int, Sequence[tuple[int, PairsOfRows]]]) -> None:
        self.visible = visible = block.visible
        self.positions = positions = block.positions
        start, keys, crosses = block.start, block.weights.shape[2], block.kind == "cross"
        counts = visible[:, 1] - visible[:, 0]
        self.telling = np.flatnonzero(counts >= 2)
        self.counts = counts[self.telling]
        telling = counts >= 2
        flat, kept, rows, self.present = [], [], [], []
        self.starts, self.row_starts, self.row_counts, self.pair_counts, self.even = [], [], [], [], []
        pairs_so_far = rows_so_far = 0
        for number, texts in roles.items():
            found = [(first, *pairs(start - first, start - first + len(visible))) for first, pairs in texts]
            row = np.concatenate([queries + first for first, queries, _ in found]) - start
            column = np.concatenate([own for *_, own in found])
            seen = (column >= visible[row, 0]) & (column < visible[row, 1]) & telling[row]
            row, column = row[seen], column[seen]
            if not len(row):
                continue
            own = np.unique(row)
            self.present.append(number)
            self.starts.append(pairs_so_far)
            self.row_starts.append(rows_so_far)
            self.row_counts.append(len(own))
            self.pair_counts.append(len(row))
            self.even.append(float((1 / counts[row]).sum()))
            flat.append(row * keys + column)
            kept.append((column != 0) & (crosses | (column != positions[row])))
            rows.append(own)
            pairs_so_far += len(row)
            rows_so_far += len(own)
        self.flat = np.concatenate(flat) if flat else np.zeros(0, np.intp)
        self.kept = np.concatenate(kept).astype(np.float32) if kept else np.zeros(0, np.float32)
        self.rows = np.concatenate(rows) if rows else np.zeros(0, np.intp)


class _Sums:
    """Sums over the blocks of one layer."""

    def __init__(self, heads: tuple[int, ...], roles: int) -> None:
        self.heads = heads
        self.all_rows = 0
        self.rows: Int[np.ndarray, "role"] = np.zeros(roles, np.intp)
        self.pairs: Int[np.ndarray, "role"] = np.zeros(roles, np.intp)
        """Number of pairs of query and key of each role."""
        self.even: Float[np.ndarray, "role"] = np.zeros(roles)
        self.weight: Float[np.ndarray, "role head"] = np.zeros((roles, len(heads)))
        self.kept: Float[np.ndarray, "role head"] = np.zeros((roles, len(heads)))
        """Weight on keys of the role, without the first key and, but for cross-attention, the query's own."""
        self.left: Float[np.ndarray, "role head"] = np.zeros((roles, len(heads)))
        """Weight on all keys but these, in the same rows."""
        self.telling = 0
        self.chance = 0.0
        self.reach = 0
        self.offsets: Int[np.ndarray, "head offset"] = np.zeros((len(heads), 1), np.intp)
        """Number of rows whose strongest key stands at each offset from -reach to reach."""

    def widen(self, reach: int) -> None:
        if reach > self.reach:
            self.offsets = _widened(self.offsets, reach - self.reach)
            self.reach = reach

    def state(self) -> dict[str, np.ndarray]:
        """Return the sums by name."""
        return {name: np.asarray(getattr(self, name)) for name in SUMMED}

    def merge(self, state: Sums) -> None:
        """Add others of the same heads and roles.

        Raises:
            ValueError: they are not of as many.
        """
        *scores, offsets = (state[name] for name in SUMMED)
        if offsets.ndim != 2 or offsets.shape[0] != len(self.heads) or offsets.shape[1] % 2 == 0:
            raise ValueError(f"offsets have shape {offsets.shape}")
        reach = offsets.shape[1] // 2
        self.widen(reach)
        self.offsets = self.offsets + _widened(offsets, self.reach - reach)
        for name, other in zip(SUMMED[:-1], scores, strict=True):
            own = getattr(self, name)
            if np.shape(own) != other.shape:
                raise ValueError(f"{name} has shape {other.shape}")
            setattr(self, name, own + (other if other.ndim else other.item()))


SUMMED = ("all_rows", "rows", "pairs", "even", "weight", "kept", "left", "telling", "chance", "offsets")
"""Names of the sums in `_Sums`."""


def _widened(offsets: Int[np.ndarray, "head offset"], more: int) -> Int[np.ndarray, "head wider"]:
    """Add zeros at both ends of the counts of each offset."""
    return np.pad(offsets, ((0, 0), (more, more)))


class CollectRoles:
    """Collector of the role scores of every head, over one text after another.

    Args:
        roles: roles to look for.
        scores: use attention scores less the mean of their row (`centred`) instead of weights; an even row gives 0.
    """

    def __init__(self, roles: Sequence[Role] = ROLES, *, scores: bool = False) -> None:
        self.roles = tuple(role.by_scores() for role in roles) if scores else tuple(roles)
        self._scores = scores
        self._sums: dict[tuple[Kind, int], _Sums] = {}
        self._pairs: dict[int, list[tuple[int, PairsOfRows]]] = {}
        self._slices: dict[tuple[int, int], _Slice] = {}
        self._kept = 0
        """Number of pairs in `_slices`."""

    def turn(self, sides: Sequence[tuple[Units, Units]], kind: Kind) -> None:
        """Turn to the next text or texts, whose blocks come in these units.

        Args:
            sides: the units along the rows and along the columns of each text.
            kind: kind of attention.
        """
        crosses = kind == "cross"
        firsts = np.cumsum([0, *(len(queries) for queries, _ in sides[:-1])]).tolist()
        self._pairs = {}
        for number, role in enumerate(self.roles):
            if role.keys is not None and (role.crosses or not crosses):
                found = [role.keys(queries, keys, crosses) for queries, keys in sides]
                self._pairs[number] = list(zip(firsts, found, strict=True))
        self._slices.clear()
        self._kept = 0

    def __call__(self, block: Block) -> None:
        heads, rows, keys = block.weights.shape
        sums = self._sums.setdefault((block.kind, block.layer), _Sums(block.heads, len(self.roles)))
        part = self._slice(block)
        sums.all_rows += int((block.visible[:, 1] > block.visible[:, 0]).sum())
        if part.present:
            flat = (centred(block) if self._scores else block.weights).reshape(heads, rows * keys)
            values = flat[:, part.flat]
            sums.weight[part.present] += _added(values, part.starts)
            sums.pairs[part.present] += part.pair_counts
            sums.kept[part.present] += _added(values * part.kept, part.starts)
            sums.left[part.present] += _added(self._others(block, part)[:, part.rows], part.row_starts)
            sums.rows[part.present] += part.row_counts
            sums.even[part.present] += part.even
        if block.kind != "cross" and len(part.telling):
            self._add_offsets(sums, block, part)

    def _slice(self, block: Block) -> _Slice:
        """Find the visible pairs of a block, reusing those of an earlier layer that sees the same keys."""
        place = block.start, block.weights.shape[2]
        known = self._slices.get(place)
        if known is None or not np.array_equal(known.visible, block.visible):
            known = _Slice(block, self._pairs)
            if self._kept + len(known.flat) <= MOST_PAIRS:
                self._slices[place] = known
                self._kept += len(known.flat)
        return known

    @staticmethod
    def _others(block: Block, part: _Slice) -> Float[np.ndarray, "head query"]:
        """Sum the weight of each row on keys other than the first and, but for cross-attention, the query's own."""
        weights = block.weights
        rest = weights @ np.ones(weights.shape[2], weights.dtype)
        if weights.shape[2]:
            rest = rest - weights[:, :, 0]
        if block.kind != "cross":
            rows = np.flatnonzero((part.positions > 0) & (part.positions < weights.shape[2]))
            rest[:, rows] -= weights[:, rows, part.positions[rows]]
        others: Float[np.ndarray, "head query"] = np.maximum(rest, 0)
        return others

    @staticmethod
    def _add_offsets(sums: _Sums, block: Block, part: _Slice) -> None:
        strongest = np.asarray(block.weights.argmax(axis=2))[:, part.telling] - part.positions[part.telling]
        sums.telling += len(part.telling)
        sums.chance += float((1 / part.counts).sum())
        sums.widen(int(np.abs(strongest).max()))
        size = sums.offsets.shape[1]
        place = strongest + sums.reach + np.arange(len(sums.heads))[:, None] * size
        sums.offsets += np.bincount(place.ravel(), minlength=sums.offsets.size).reshape(sums.offsets.shape)

    def state(self) -> dict[str, np.ndarray]:
        """Return the sums so far: those of each role `[role]` or `[role, head]`, in the order of `roles`."""
        state = {"roles": np.array([role.name for role in self.roles])}
        for (kind, layer), sums in self._sums.items():
            state[f"{kind}.{layer}.heads"] = np.array(sums.heads, np.int64)
            state |= {f"{kind}.{layer}.role.{name}": array for name, array in sums.state().items()}
        return state

    def merge(self, state: Sums) -> None:
        """Add the sums of another collector over other texts.

        Raises:
            ValueError: they are of other roles, or not of the heads that they name.
        """
        if state["roles"].tolist() != [role.name for role in self.roles]:
            raise ValueError("these are sums of other roles")
        for kind, layer, heads in layers_in(state):
            sums = self._sums.setdefault((kind, layer), _Sums(heads, len(self.roles)))
            sums.merge({name: state[f"{kind}.{layer}.role.{name}"] for name in SUMMED})

    def shown(self, kind: Kind) -> tuple[Role, ...]:
        """Return the roles that attention of this kind can have."""
        return tuple(role for role in (*self.roles, OFFSET) if role.crosses or kind != "cross")

    @property
    def result(self) -> dict[tuple[Kind, int, int], tuple[RoleScore, ...]]:
        """Scores by kind, layer and head, in order of arrival: the roles in their order, then the offset."""
        found = {}
        for (kind, layer), sums in self._sums.items():
            for index, head in enumerate(sums.heads):
                scores = [
                    self._score(role, sums, number, index)
                    for number, role in enumerate(self.roles)
                    if role.crosses or kind != "cross"
                ]
                if kind != "cross":
                    scores.append(_offset(sums, index))
                found[kind, layer, head] = tuple(scores)
        return found

    def _score(self, role: Role, sums: _Sums, number: int, index: int) -> RoleScore:
        weight, rows = float(sums.weight[number, index]), int(sums.rows[number])
        if self._scores:
            mean = _over(weight, int(sums.pairs[number]))
            return RoleScore(role, score=mean, baseline=0.0 if rows else mean, rows=rows, margin=NATS)
        left = float(sums.left[number, index])
        beside = role.has_rest and left > 0
        return RoleScore(
            role,
            score=_over(weight, rows),
            baseline=_over(float(sums.even[number]), rows),
            rows=rows,
            share=_over(weight, sums.all_rows),
            rest=float(sums.kept[number, index]) / left if beside else None,
        )


def _offset(sums: _Sums, index: int) -> RoleScore:
    """Score the most frequent offset of the strongest key; of equals, the nearest, then the one before the query."""
    counts = sums.offsets[index]
    offsets = np.arange(-sums.reach, sums.reach + 1)
    best = max(range(len(counts)), key=lambda place: (counts[place], -abs(offsets[place]), -offsets[place]))
    return RoleScore(
        OFFSET,
        score=_over(float(counts[best]), sums.telling),
        baseline=_over(sums.chance, sums.telling),
        rows=sums.telling,
        detail=signed(int(offsets[best])) if sums.telling else "",
    )


def _added(values: Float[np.ndarray, "head pair"], starts: Sequence[int]) -> Float[np.ndarray, "role head"]:
    """Sum the values of each role's pairs, which begin at `starts`."""
    total: Float[np.ndarray, "role head"] = np.add.reduceat(values, starts, axis=1, dtype=np.float64).T
    return total


def signed(offset: int) -> str:
    """Write an offset with its sign: `-2`, `+1`, `0`."""
    return f"{offset:+d}" if offset else "0"


def _over(part: float, whole: int) -> float:
    return part / whole if whole else float("nan")
