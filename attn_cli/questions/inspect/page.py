"""The data of an interactive page: the maps of a record, packed, and the sentences on them.

A page holds the model's own tokens, which it merges into words as `attn_cli.data.regroup` does. Weights are exact where
that takes no more room than a page may have; of longer texts they are rounded, and of still longer ones pooled.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple
from zlib import compress

import numpy as np

from attn_cli.data.image import PatchGrid
from attn_cli.data.plan import Plan, make_plan
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Unit
from attn_cli.data.shapes import Bool, Float
from attn_cli.data.stream import Block, Request
from attn_cli.data.suggestion import typed_name
from attn_cli.data.units import Units
from attn_cli.draw.captions import attends, guided_line, labels_of, model_line, remarks
from attn_cli.draw.colors import ROUNDED
from attn_cli.draw.labels import clean
from attn_cli.draw.page import to_text
from attn_cli.draw.screen import Screen
from attn_cli.measure.maps import PoolMaps
from attn_cli.questions.heads.measure import HeadFigures
from attn_cli.questions.heads.scores import CollectRoles
from attn_cli.questions.inspect.figures import Figures, MeanFigures, QueryFigures
from attn_cli.questions.inspect.page_patches import PageGridEntry, describe_grid, joined, joined_ends, squares_of
from attn_cli.system.encoding import json_bytes

if TYPE_CHECKING:
    from rich.console import RenderableType

    from attn_cli.questions.inspect.measure import Inspection

__all__ = ["describe"]

ROOM = 680_000
"""Most characters that the maps of one text take."""
FIGURES = ("focus", "entropy", "distance", "first", "itself", "previous")
"""The figures of a head by which a page colours and sorts heads, beside its strongest link and its roles."""
DECIMALS = 4
"""Decimals of the figures of a head."""
UNITS: tuple[Unit, ...] = ("word", "token")
WIDE = Screen(width=10_000, color=False)
"""A screen on which every remark is one line."""

Packing = Literal["float32", "float16", "squares"]
"""The form of numbers: four bytes, two bytes, or one byte of steps whose square the number is."""


class _Form(NamedTuple):
    """A form of numbers."""

    packing: Packing
    levels: int
    """Number of steps from 0 to 1 of squares; 0 of other numbers."""
    least: float
    """Characters that a number which is not 0 takes at the very least."""


FORMS = (
    _Form("float32", 0, 3.5),
    _Form("float16", 0, 2.0),
    _Form("squares", 255, 0.4),
    _Form("squares", 63, 0.2),
)
"""Forms, from the most exact to the shortest."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """The rows or columns of a map in one unit, each a run of rows or columns of the packed map."""

    labels: list[str]
    names: list[str]
    """Names by which a command finds them: `it#2`, `#11`."""
    special: list[bool]
    starts: list[int]
    stops: list[int]
    second: int | None = None
    """Index of the first that is of the text's second segment; None if there are not two."""
    patches: list[list[int]] = field(default_factory=list)
    """Numbers of the patches that each stands for, counted row by row; none for a special token. Empty for a text."""


@dataclass(frozen=True, slots=True)
class _RolesEntry:
    """A role, and each head's score in it."""

    name: str
    short: str
    looks_at: str
    scores: list[float]


@dataclass(frozen=True, slots=True)
class _UnitEntry:
    """One way to look at the text: in words, in tokens, or in pooled cells."""

    queries: _Axis
    keys: _Axis
    hides: bool
    """True if some keys are hidden, so that rows must be renormalized."""
    figures: dict[str, list[float | None]]
    """Name -> the figure of each head."""
    roles: list[_RolesEntry]
    has: list[str]
    """The role that each head has, or an empty string."""


@dataclass(frozen=True, slots=True)
class _MapsEntry:
    """The numbers of every head, `[head, row, column]`: their bytes are transposed, deflated and written in base64."""

    packing: Packing
    levels: int
    """Steps from 0 to 1 if the packing is `squares`, else 0."""
    heads: int
    rows: int
    columns: int
    numbers: str
    visible: list[list[int]]
    """For each pattern, the first column that each row sees and one past the last, one after the other."""
    patterns: list[int]
    """Index of the pattern of each head."""


@dataclass(frozen=True, slots=True)
class _PageEntry:
    """Everything that a page shows of one text."""

    title: str
    about: list[str]
    """Sentences on the model and the figures."""
    trained: list[str]
    """For each head, a sentence on what it was trained to look at, or an empty string."""
    attends: str
    sides: tuple[str, str]
    """Names of the texts along the rows and along the columns, where these are two."""
    noun: str
    signed: bool
    joint: bool
    """True if there is one map for each layer."""
    kind: str
    squares: int
    """Side of the squares that maps are pooled into; 1 if they are not."""
    grid: PageGridEntry | None
    """The grid of patches; None for a text."""
    mapped: bool
    """True if the map of an image is shown first, and not a row on its patches."""
    heads: list[tuple[int, int]]
    units: dict[str, _UnitEntry]
    unit: str
    head: int
    query: str
    maps: _MapsEntry


def describe(answer: Inspection) -> bytes | None:
    """Write the data of a page as JSON.

    Returns:
        The data; None if the maps were not kept, since the text is too long, or if there is no attention.
    """
    plan = answer.figures.plan
    if not answer.maps or not plan.heads:
        return None
    places = [(layer, head) for _, layer, head in plan.places]
    size, maps, units, grid = _mapped(answer, plan)
    if maps is None:
        return None
    chosen = answer.figures.chosen
    place = _first(answer.figures) if chosen is None else (chosen.layer, chosen.head)
    query = plan.chosen[0] if plan.chosen else None if chosen is None or chosen.link is None else chosen.link.query
    named = "" if query is None or size > 1 else typed_name(plan.queries, query)
    entry = _PageEntry(
        title=clean(answer.title),
        about=_about(answer, size, 1 if grid is None else grid.side),
        trained=[_trained(answer, *one) for one in places],
        attends=attends(plan.kind, plan.step),
        sides=("target", "source") if plan.kind == "cross" and plan.step is not None else ("rows", "columns"),
        noun=plan.selection.noun,
        signed=plan.selection.scores,
        joint=plan.selection.joint,
        kind=plan.kind,
        squares=size,
        grid=grid,
        mapped=not plan.draws_patches,
        heads=places,
        units=units,
        unit=plan.selection.unit,
        head=places.index(place),
        query=named,
        maps=maps,
    )
    return json_bytes(entry)


def _mapped(
    answer: Inspection, plan: Plan
) -> tuple[int, _MapsEntry | None, dict[str, _UnitEntry], PageGridEntry | None]:
    """Pack the maps, and describe their rows and columns.

    Returns:
        The side of the squares that maps are pooled into, the maps (None if there is no room for those of an image),
        the units by name, and the grid of an image.
    """
    values, visible, patterns = _whole(answer, plan)
    grid = plan.keys.side.grid
    if grid is not None:
        return 1, *_of_patches(answer, plan, grid, values, visible, patterns)
    maps = _packed(values, visible, patterns)
    if maps is None:
        return *_pooled(answer, plan), None
    alone = plan.selection.scores or answer.model.captured == "given"
    shown = (plan.selection.unit,) if alone else UNITS
    return 1, maps, {unit: _unit(answer, _plan_in(unit, answer)) for unit in shown}, None


def _of_patches(
    answer: Inspection,
    plan: Plan,
    grid: PatchGrid,
    values: Float[np.ndarray, "head query key"],
    visible: list[list[int]],
    patterns: list[int],
) -> tuple[_MapsEntry | None, dict[str, _UnitEntry], PageGridEntry]:
    """Pack the maps of an image, with the rows of as few patches joined as there is room for."""
    tokens = plan.queries.side.tokens
    words = [tokens[token].word for token in answer.maps[0].queries]
    cells = [None if word is None else divmod(word, grid.columns) for word in words]
    maps, side, groups = None, 0, []
    while maps is None and side < max(grid.rows, grid.columns):
        side += 1
        groups = squares_of(cells, side)
        maps = _packed(joined(values, groups), [joined_ends(ends, groups) for ends in visible], patterns)
    # A patch is one token and one word, so that there is no second unit.
    return maps, {plan.selection.unit: _unit(answer, plan, groups)}, describe_grid(grid, side)


def _first(figures: Figures) -> tuple[int, int]:
    """Return layer and number of the head that is shown first.

    Of layers that are averaged it is one of the first; where a query was chosen, the one that looks most at one word.
    """
    if isinstance(figures, QueryFigures):
        best = max(figures.telling, key=lambda head: head.links[0].weight if head.links else -1.0)
        return best.layer, best.head
    if isinstance(figures, MeanFigures):
        return figures.layers[0], figures.plan.heads[figures.layers[0]][0]
    _, layer, head = figures.places[0]
    return layer, head


def _trained(answer: Inspection, layer: int, head: int) -> str:
    """Say what a head was trained to look at."""
    own = [one for one in answer.guided if (one.layer, one.head) == (layer, head)]
    return " ".join(_lines(guided_line(own, WIDE)))


def _lines(drawings: Iterable[RenderableType]) -> list[str]:
    return [line for drawing in drawings for line in to_text(drawing, WIDE).splitlines() if line.strip()]


def _about(answer: Inspection, size: int, side: int) -> list[str]:
    """Return the lines above a drawing, each of one sentence or more.

    Args:
        answer: the answer.
        size: side of the squares that maps are pooled into.
        side: side of the squares of patches whose rows are joined.
    """
    plan = answer.figures.plan
    said = [model_line(answer, plan.kind, WIDE), *remarks(answer, plan.kind, WIDE, answer.figures.sink.mean)]
    lines = _lines([*said, *guided_line(answer.guided, WIDE)])
    if size > 1:
        lines.append(
            f"A cell is the largest {plan.selection.noun} of {size} × {size} {plan.selection.unit}s, since the text is "
            "too long for a page; --head or --layer gives a page of fewer heads, with each of their numbers."
        )
    if side > 1:
        lines.append(
            f"A row is the mean of {side} × {side} patches, since there are too many {plan.selection.noun}s for a "
            "page; --head or --layer gives a page of fewer heads, with a row for each patch."
        )
    return lines


def _plan_in(unit: Unit, answer: Inspection) -> Plan:
    """Resolve the selection of an answer in words or in tokens."""
    plan = answer.figures.plan
    if unit == plan.selection.unit:
        return plan
    return make_plan(answer, replace(plan.selection, unit=unit, query=None))


def _whole(answer: Inspection, plan: Plan) -> tuple[Float[np.ndarray, "head query key"], list[list[int]], list[int]]:
    """Return the numbers of every head, the patterns of what their rows see, and each head's pattern."""
    maps = [map_ for map_ in answer.maps if map_.kind == plan.kind]
    values = [map_.weights if map_.scores is None or not plan.selection.scores else map_.scores for map_ in maps]
    seen: dict[bytes, list[int]] = {}
    patterns = []
    for map_ in maps:
        pattern = map_.visible.astype("<i4").tobytes()
        seen.setdefault(pattern, map_.visible.ravel().tolist())
        patterns += [list(seen).index(pattern)] * len(map_.heads)
    return np.concatenate(values), list(seen.values()), patterns


def _packed(
    values: Float[np.ndarray, "head query key"], visible: list[list[int]], patterns: list[int]
) -> _MapsEntry | None:
    """Pack numbers as exactly as there is room for; None if there is none."""
    shares = bool((values >= 0).all()) and bool((values <= ROUNDED).all())
    count = int(np.count_nonzero(values))
    for packing, levels, least in FORMS:
        if count * least > ROOM or (packing == "squares" and not shares):
            continue
        numbers = _rounded(values, packing, levels)
        planes = np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, numbers.itemsize).T
        text = b64encode(compress(planes.tobytes())).decode()
        if len(text) <= ROOM:
            heads, rows, columns = values.shape
            return _MapsEntry(packing, levels, heads, rows, columns, text, visible, patterns)
    return None


def _rounded(values: Float[np.ndarray, "head query key"], packing: Packing, levels: int) -> np.ndarray:
    """Return numbers in the form in which they are written."""
    if packing == "squares":
        steps: np.ndarray = np.rint(np.sqrt(np.minimum(values, 1)) * levels).astype(np.uint8)
        return steps
    with np.errstate(over="ignore"):  # a score beyond what two bytes hold is infinite
        return values.astype("<f4" if packing == "float32" else "<f2")


def _pooled(answer: Inspection, plan: Plan) -> tuple[int, _MapsEntry, dict[str, _UnitEntry]]:
    """Pool the maps into the smallest squares for which there is room."""
    request, figures = _request(answer, plan), Figures(plan)
    answer.stream(request, Regroup(plan.queries, plan.keys, figures))
    cells = plan.head_count * len(plan.queries) * len(plan.keys)
    longest = max(len(plan.queries), len(plan.keys))
    size, packed = max(1, math.isqrt(int(cells * FORMS[-1].least) // ROOM)), None
    while packed is None:
        size += 1
        pool = PoolMaps(len(plan.queries), len(plan.keys), -(-longest // size), scores=plan.selection.scores)
        answer.stream(request, Regroup(plan.queries, plan.keys, pool))
        values = np.stack([pool.maps[layer, head] for _, layer, head in plan.places])
        packed = _packed(np.nan_to_num(values), *_patterns(np.isfinite(values)))
    entry = _UnitEntry(
        _squares(plan.queries, pool.size),
        _squares(plan.keys, pool.size),
        hides=False,
        figures=_figures(figures),
        roles=[],
        has=[""] * plan.head_count,
    )
    return pool.size, packed, {plan.selection.unit: entry}


def _patterns(seen: Bool[np.ndarray, "head query key"]) -> tuple[list[list[int]], list[int]]:
    """Return the patterns of what rows see, from the first key to the last, and each head's pattern."""
    some = seen.any(axis=2)
    firsts = np.where(some, seen.argmax(axis=2), 0)
    stops = np.where(some, seen.shape[2] - seen[:, :, ::-1].argmax(axis=2), 0)
    ends = np.stack([firsts, stops], axis=2).reshape(len(seen), -1)
    kinds, patterns = np.unique(ends, axis=0, return_inverse=True)
    return kinds.tolist(), patterns.ravel().tolist()


def _squares(units: Units, size: int) -> _Axis:
    """Name runs of units by their first and last."""
    labels, count = labels_of(units), len(units)
    firsts = range(0, count, size)
    lasts = [min(first + size, count) - 1 for first in firsts]
    named = [
        clean(labels.named(one)) if one == last else f"{clean(labels.named(one))} … {clean(labels.named(last))}"
        for one, last in zip(firsts, lasts, strict=True)
    ]
    places = [f"#{units.positions[one]}" for one in firsts]
    index = list(range(len(firsts)))
    return _Axis(named, places, [False] * len(index), index, [one + 1 for one in index])


def _request(answer: Inspection, plan: Plan) -> Request:
    """Ask for the rows that the record holds of the units of a plan."""
    held = answer.maps[0].queries
    if len(held) == len(plan.every_position):
        return plan.request(rows=held)
    rows = (token for unit in _held(plan, held) for token in plan.queries.token_positions(unit))
    return plan.request(rows=tuple(rows))


def _held(plan: Plan, held: Sequence[int]) -> list[int]:
    """Return the units along the rows of which every token was held."""
    known = frozenset(held)
    return [unit for unit in range(len(plan.queries)) if known.issuperset(plan.queries.token_positions(unit))]


def _unit(answer: Inspection, plan: Plan, groups: Sequence[Sequence[int]] = ()) -> _UnitEntry:
    """Describe the rows, the columns and the figures of every head in one unit.

    Args:
        answer: the answer.
        plan: the plan in that unit.
        groups: the rows of the record that were joined into each row of the maps; empty for a text.
    """
    held = answer.maps[0].queries
    row_of = {position: row for row, position in enumerate(held)}
    figures = Figures(plan)
    # Roles are of the model's own weights, of whole texts, and where a row and the column with its number are one word.
    collects = (
        not groups
        and plan.selection.measure == "weights"
        and not answer.model.unscaled
        and len(held) == len(plan.every_position)
        and (plan.kind == "cross" or not plan.crosses)
    )
    roles = CollectRoles()
    roles.turn([(plan.queries, plan.keys)], plan.kind)

    def eat(block: Block) -> None:
        figures(block)
        if collects:
            roles(block)

    answer.stream(_request(answer, plan), Regroup(plan.queries, plan.keys, eat))
    rows = _held(plan, held)
    spans = [plan.queries.token_positions(unit) for unit in rows]
    columns = [plan.keys.token_positions(unit) for unit in range(len(plan.keys))]
    starts, stops = [row_of[span.start] for span in spans], [row_of[span[-1]] + 1 for span in spans]
    queries = _grouped(plan.queries, rows, starts, groups) if groups else _axis(plan.queries, rows, starts, stops)
    return _UnitEntry(
        queries,
        _axis(plan.keys, range(len(columns)), [span.start for span in columns], [span.stop for span in columns]),
        plan.keys.hides,
        _figures(figures),
        *(_roles(roles, figures) if collects else ([], [""] * len(figures.heads))),
    )


def _roles(roles: CollectRoles, figures: Figures) -> tuple[list[_RolesEntry], list[str]]:
    """Return each head's scores in the roles, and the role that it has."""
    scores = list(roles.result.values())
    entries = [
        _RolesEntry(role.name, role.short, role.looks_at, [round(each[number].score, DECIMALS) for each in scores])
        for number, role in enumerate(roles.shown(figures.plan.kind))
    ]
    told = (HeadFigures(summary, own).roles for summary, own in zip(figures.heads, scores, strict=True))
    return entries, [own[0].name if own else "" for own in told]


def _grouped(units: Units, shown: Sequence[int], rows: Sequence[int], groups: Sequence[Sequence[int]]) -> _Axis:
    """Describe rows of which some are joined: each group is named by its first and its last.

    Args:
        units: the units along the rows.
        shown: the units that are held.
        rows: the row of the record that is each one's.
        groups: the rows of the record that were joined into each row of the maps.
    """
    unit_of = dict(zip(rows, shown, strict=True))
    places = [number for number, group in enumerate(groups) if group[0] in unit_of]
    members = [[unit_of[row] for row in groups[number]] for number in places]
    axis = _axis(units, [own[0] for own in members], places, [number + 1 for number in places])
    labels = labels_of(units).texts
    joined_labels = [" … ".join(clean(labels[one]) for one in dict.fromkeys((own[0], own[-1]))) for own in members]
    return replace(
        axis, labels=joined_labels, patches=[[n for one in own for n in _patch(units, one)] for own in members]
    )


def _patch(units: Units, unit: int) -> list[int]:
    """Return the number of a unit's patch, counted row by row; nothing for a special token and in a text."""
    cell, grid = units.cells[unit], units.side.grid
    return [] if cell is None or grid is None else [cell[0] * grid.columns + cell[1]]


def _axis(units: Units, shown: Sequence[int], starts: list[int], stops: list[int]) -> _Axis:
    labels = labels_of(units)
    return _Axis(
        [clean(labels.texts[one]) for one in shown],
        [typed_name(units, one) for one in shown],
        [units.special[one] for one in shown],
        starts,
        stops,
        labels.second_segment if len(shown) == len(units) else None,
        [_patch(units, one) for one in shown],
    )


def _figures(figures: Figures) -> dict[str, list[float | None]]:
    """Return the figures that some head has, and the weight of each head's strongest link."""
    heads = figures.heads
    named = {name: [getattr(head, name) for head in heads] for name in FIGURES}
    named["link"] = [head.links[0].weight if head.links else None for head in heads]
    return {
        name: [None if value is None else round(value, DECIMALS) for value in values]
        for name, values in named.items()
        if any(value is not None for value in values)
    }
