"""The picture of an explorer: the text, all heads, one head's map and one row, laid out on a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.console import Group
from rich.text import Text

from attn_cli.data.plan import name_head
from attn_cli.draw.captions import attends, when
from attn_cli.draw.colors import WEIGHTS, Scale
from attn_cli.draw.labels import clean, clipped, fit, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, MARKED, PLAIN, Part, cells, flow, line, swatches, text_lines
from attn_cli.draw.table import Column, bars, figures, names, table, total_width
from attn_cli.draw.viewport import NOWHERE, Drawn, Window, board, board_width, map_window, overview, shaded_text, slid
from attn_cli.measure.summary import HeadSummary, Link
from attn_cli.questions.explore.on_image import pictured
from attn_cli.questions.explore.spot import EFFECT
from attn_cli.questions.explore.walk import Walk
from attn_cli.questions.inspect.draw_patches import every_row
from attn_cli.questions.inspect.figures import QueryRow
from attn_cli.questions.inspect.tables import head_table, query_table

if TYPE_CHECKING:
    from attn_cli.questions.explore.beside import Beside

__all__ = ["FEWEST_COLUMNS", "FEWEST_LINES", "PaneName", "Picture", "Region", "all_heads", "picture", "status"]

PaneName = Literal["title", "text", "heads", "overview", "picture", "map", "facts", "row"]

FEWEST_COLUMNS, FEWEST_LINES = 40, 12
"""The smallest screen that all panes find room on."""
GAP = 2
"""Columns between the heads and the map."""
LEFT = 0.42
"""The most of the width that the heads may take."""
LOWEST_MAP = 5
LOW = 16
"""Height of the screen below which a map needs the lines of its legend and of a row's further keys."""
BOTH = 34
"""Height that a picture and a map take below each other."""
PICTURE_AROUND = 5
"""Lines that a picture takes beside one for each row of patches: title, columns, legend, and blank ones."""
MOST_PICTURE = 2 / 3
"""The most of the height that a picture takes above a map."""
FACTS = 4
"""Fewest lines below the map in which the figures of the head are written."""
LEAST = 18
"""Least width of the heads."""
MOST_KEYS = 12
"""Most keys of a row that are listed."""
KIND, TEXTS, WORDS, TYPE = "K kind", "< > texts", "w words", "i text"
RUNNING = ("x cut", TYPE, "e explain", "d beside")
"""The keys that run a model."""
HINTS = (
    "? help",
    "q quit",
    "tab pane",
    "/ find",
    TEXTS,
    "m measure",
    KIND,
    "a atlas",
    "s sort",
    "x cut",
    TYPE,
    WORDS,
    "e explain",
    "g grid",
    "d beside",
    "y command",
    "S save",
)
"""The keys on the last line, as many as there is room for."""


@dataclass(frozen=True)
class Region:
    """A part of the screen."""

    x: int
    y: int
    width: int
    height: int

    def holds(self, x: int, y: int) -> bool:
        """Return whether a cell of the screen is in it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


@dataclass(frozen=True)
class Picture:
    """Everything that is shown at one place of a walk, but for what is said on its last line."""

    lines: Sequence[Text]
    regions: Mapping[PaneName, Region]
    panes: Mapping[PaneName, Drawn]

    def at(self, x: int, y: int) -> tuple[PaneName, tuple[int, int]] | None:
        """Return the pane at a cell of the screen, and the row and column of what stands there."""
        for name, region in self.regions.items():
            if region.holds(x, y) and name in self.panes:
                place = self.panes[name].at(x - region.x, y - region.y)
                return None if place is None else (name, place)
        return None

    def saying(self, last: Sequence[Text]) -> list[Text]:
        """Return the lines, with others in the place of as many at the end."""
        kept = max(len(self.lines) - len(last), 0)
        return [*self.lines[:kept], *last][: len(self.lines)]

    def window(self, name: PaneName) -> Window:
        """Return the part of a pane that is in sight."""
        return self.panes[name].window if name in self.panes else NOWHERE


def picture(walk: Walk, screen: Screen, before: Picture | None = None) -> Picture:
    """Draw everything at a place of a walk.

    Args:
        walk: the walk.
        screen: the screen to draw on, in exactly its height.
        before: the picture before, whose windows stay where they can.
    """
    height = screen.height or 24
    if screen.width < FEWEST_COLUMNS or height < FEWEST_LINES:
        small = f"The explorer needs {FEWEST_COLUMNS} columns and {FEWEST_LINES} lines."
        told = text_lines(small, screen, PLAIN)[:height]
        return Picture([*told, *[line()] * (height - len(told))], {}, {})
    # Of an image there are no words to read: its picture takes the place of the map.
    shown = Drawn([]) if walk.image else _text(walk, replace(screen, height=2 * max(1, height // 10)))
    sizes: dict[PaneName, int] = {
        "title": 1,
        "text": len(shown.lines),
        "row": 2 if height < LOW else 3 + max(0, (height - 24) // 12),
    }
    middle = height - sum(sizes.values()) - 1
    columns = None if walk.spot.sort == "layer" else _columns(walk, screen)
    regions = _regions(walk, screen, sizes, middle, columns)
    panes: dict[PaneName, Drawn] = {
        "title": Drawn([_title(walk, screen)]),
        "text": shown,
        "row": Drawn(_row(walk, _part(screen, regions["row"]))),
    }
    right: PaneName = "map" if "map" in regions else "picture"
    if not walk.at_hand:
        panes[right] = Drawn([line((f"Running for layer {walk.spot.layer}", DIM))])
    if "map" in regions and walk.at_hand:
        panes["map"] = _map(walk, _part(screen, regions["map"]), before)
    if "picture" in regions and walk.at_hand:
        panes["picture"] = pictured(walk, _part(screen, regions["picture"]))
    spare = regions[right].height - len(panes[right].lines) - 1
    if spare >= FACTS and walk.laid is None and walk.at_hand:
        place = regions[right]
        below = replace(place, y=place.y + place.height - spare, height=spare)
        told = _lines(_facts(walk, _part(screen, below)))
        if all(_cells(one) <= below.width for one in told):
            regions[right], regions["facts"] = replace(place, height=place.height - spare), below
            panes["facts"] = Drawn(told)
    heads = _part(screen, regions["heads"])
    panes["heads"] = _heads(walk, heads, before) if columns is None else _list(walk, columns, heads)
    row = Window(range(walk.spot.query, walk.spot.query + 1), range(len(walk.keys)))
    window = panes["map"].window if "map" in panes else row
    if "overview" in regions and walk.at_hand and not _all_seen(walk, window):
        panes["overview"] = overview(walk.here.view, window, _part(screen, regions["overview"]), title="the whole map")
    return Picture(_composed(panes, regions, screen, height), regions, panes)


def all_heads(walk: Walk, screen: Screen) -> Group:
    """Draw all heads as small pictures, with the name of the one under the cursor marked."""
    # Imported late: the first picture does not need it, and is waited for.
    from attn_cli.questions.inspect.draw_maps import every_map

    marked = walk.spot.layer, walk.spot.head
    rows = walk.scene.everything.patches
    if rows is not None:
        return Group(every_row(walk.scene.plan, rows, screen, marked=marked))
    return Group(*every_map(walk.scene.grid, screen, None, marked=marked))


def _facts(walk: Walk, screen: Screen) -> Group:
    """Draw the figures of the head under the cursor."""
    return head_table([walk.summary], walk.queries, walk.keys, screen)


def _lines(drawing: Group) -> list[Text]:
    """Return the lines of a drawing, which is one text."""
    (whole,) = drawing.renderables
    assert isinstance(whole, Text)  # noqa: S101 - as `draw.strokes.drawing` makes it
    return list(whole.split("\n", allow_blank=True))


def _regions(
    walk: Walk, screen: Screen, sizes: Mapping[PaneName, int], middle: int, columns: Sequence[Column] | None
) -> dict[PaneName, Region]:
    """Divide the screen; `columns` are those of the list of heads, if there is one."""
    top = sizes["title"] + sizes["text"]
    places = walk.scene.places
    heads = max(head for _, head in places) + 1
    left, tall = board_width(heads, int(screen.width * LEFT)), min(len({layer for layer, _ in places}) + 3, middle)
    if columns is not None:
        left, tall = total_width(columns), middle
    left = max(left, LEAST)
    regions: dict[PaneName, Region] = {
        "title": Region(0, 0, screen.width, 1),
        "text": Region(0, sizes["title"], screen.width, sizes["text"]),
        "heads": Region(0, top, left, tall),
        "map": Region(left + GAP, top, screen.width - left - GAP, middle),
        "row": Region(0, top + middle, screen.width, sizes["row"]),
    }
    if walk.image and middle >= BOTH:
        place = regions["map"]
        half, whole = (middle + 1) // 2, walk.image.rows + PICTURE_AROUND
        above = max(half, whole) if whole <= middle * MOST_PICTURE else half
        regions["picture"] = replace(place, height=above - 1)
        regions["map"] = replace(place, y=place.y + above, height=middle - above)
    elif walk.image and walk.spot.pane != "map":
        regions["picture"] = regions.pop("map")
    if middle - tall >= LOWEST_MAP:
        regions["overview"] = Region(0, top + tall, left, middle - tall)
    return regions


def _part(screen: Screen, region: Region) -> Screen:
    return replace(screen, width=region.width, height=region.height, part=True)


def _all_seen(walk: Walk, window: Window) -> bool:
    return window.holds(len(walk.queries), len(walk.keys))


def _composed(
    panes: Mapping[PaneName, Drawn], regions: Mapping[PaneName, Region], screen: Screen, height: int
) -> list[Text]:
    """Put the panes beside and below each other, on exactly so many lines."""
    lines: list[Text] = []
    for y in range(height):
        whole = Text(no_wrap=True, overflow="ignore", end="")
        for name, region in sorted(regions.items(), key=lambda one: one[1].x):
            if name not in panes or not region.y <= y < region.y + region.height:
                continue
            index = y - region.y
            if index >= len(panes[name].lines):
                continue
            whole.append(" " * (region.x - _cells(whole)))
            whole.append_text(_cut(panes[name].lines[index], region.width))
        lines.append(_cut(whole, screen.width))
    return lines


def _cells(text: Text) -> int:
    return width(text.plain)


def _cut(text: Text, room: int) -> Text:
    """Cut a line that is too long for its pane."""
    if _cells(text) <= room:
        return text
    end = room
    while width(text.plain[:end]) > room:
        end -= 1
    return text[:end]


def _title(walk: Walk, screen: Screen) -> Text:
    """Name the model, the attention and the head."""
    spot, model = walk.spot, walk.scene.source.model
    dot = " · " if screen.unicode else ", "
    named = {"encoder": "encoder self-attention", "decoder": "causal self-attention", "cross": "cross-attention"}
    head = f"layers 0-{spot.layer}" if walk.scene.plan.selection.joint else f"head {name_head(spot.layer, spot.head)}"
    pieces: list[list[Part]] = [[(head, BOLD)], [(f"{spot.measure}, {'patche' if walk.image else spot.unit}s", PLAIN)]]
    pieces += [[(named[spot.kind], DIM)], [(_end_of(model.name, screen), DIM)]]
    if len(walk.subjects) > 1:
        pieces.append([(f"text {walk.number + 1} of {len(walk.subjects)}", DIM)])
    guided = model.guided_among([(spot.kind, spot.layer, spot.head)])
    if guided:
        pieces.append([(f"trained to look {guided[0].towards}", DIM)])
    return flow(pieces, screen, between=dot)[0]


def _end_of(name: str, screen: Screen) -> str:
    """Return a name, or the end of a long path."""
    shown = clean(name, unicode=screen.unicode)
    return fit(shown, min(width(shown), screen.width // 3), keep="end", unicode=screen.unicode)


def _text(walk: Walk, screen: Screen) -> Drawn:
    """Draw the text with the weights of the row below its words; of two texts, also the one that looks."""
    spot, scene = walk.spot, walk.scene
    if walk.laid is not None:
        return _both_texts(walk, walk.laid, screen)
    if not walk.at_hand:
        return shaded_text(scene.keys, np.full(len(scene.keys), np.nan), WEIGHTS, screen, pointed=spot.key)
    scale = walk.here.scale
    if scene.plan.crosses:
        above = shaded_text(
            scene.queries, None, scale, replace(screen, height=max((screen.height or 2) // 2, 1)), marked=spot.query
        )
        below = shaded_text(scene.keys, walk.row, scale, screen, pointed=spot.key)
        count = len(above.lines)

        def at(x: int, y: int) -> tuple[int, int] | None:
            if y < count:
                found = above.at(x, y)
                return None if found is None else (found[0], -1)
            found = below.at(x, y - count)
            return None if found is None else (-1, found[1])

        return Drawn([*above.lines, *below.lines], NOWHERE, at)
    one = shaded_text(scene.keys, walk.row, scale, screen, marked=spot.query, pointed=spot.key)
    return Drawn(one.lines, one.window, lambda x, y: None if (found := one.at(x, y)) is None else (found[0], -1))


def _both_texts(walk: Walk, laid: Beside, screen: Screen) -> Drawn:
    """Draw two texts below each other, each with its own weights of the row."""
    spot = walk.spot
    part = replace(screen, height=max((screen.height or 2) // 2, 2))
    sides = laid.sides(spot.layer, spot.head, spot.query)
    scale = Scale.around(np.stack(sides)) if walk.scene.plan.selection.scores else WEIGHTS
    drawn = [
        shaded_text(laid.keys, side, scale, part, marked=laid.marked(spot.query), pointed=spot.key, lead=f"{name} ")
        for name, side in zip("AB", sides, strict=True)
    ]
    count = len(drawn[0].lines)

    def at(x: int, y: int) -> tuple[int, int] | None:
        found = drawn[0].at(x, y) if y < count else drawn[1].at(x, y - count)
        return None if found is None else (-1, found[1])

    return Drawn([*drawn[0].lines, *drawn[1].lines], NOWHERE, at)


def _map(walk: Walk, screen: Screen, before: Picture | None) -> Drawn:
    """Draw the map of the head under the cursor, as much as there is room for."""
    spot, here = walk.spot, walk.here
    selection = walk.scene.plan.selection
    noun = selection.noun
    head = name_head(spot.layer, spot.head)
    which_one = f"layer {spot.layer}" if selection.joint else head
    name = f"{noun} to layer {spot.layer}" if selection.joint else f"{noun}s of {head}"
    if walk.laid is not None:
        name, which_one, noun = f"changes of {head}: B - A", f"B - A in {head}", "change"
    window = NOWHERE if before is None else before.window("map")
    height = screen.height or 24
    legends = [swatches(here.scale, noun, screen), [(attends(spot.kind, walk.scene.plan.step), DIM)]]
    legend = [] if height < LOW // 2 else _first(legends, screen)
    drawn = map_window(
        here.view,
        here.scale,
        replace(screen, height=height - 1 - len(legend)),
        cursor=(spot.query, spot.key),
        before=window,
    )
    seen = drawn.window
    style = MARKED if spot.pane == "map" else BOLD
    across = f"columns {seen.columns.start}-{seen.columns[-1]}"
    which = "" if _all_seen(walk, seen) else f"  rows {seen.rows.start}-{seen.rows[-1]}, {across}"
    titles: list[list[Part]] = [[(name, style), (which, DIM)]]
    if which:  # the rows have their numbers in any case
        titles += [[(one, style), (f"  {across}", DIM)] for one in (name, which_one)]
    titles += [[(which_one, style)]]
    lines = [*_first(titles, screen), *drawn.lines, *legend]
    return Drawn(lines, seen, lambda x, y: drawn.at(x, y - 1))


def _first(lines: Sequence[Sequence[Part]], screen: Screen) -> list[Text]:
    """Return the first line that fits on the screen; nothing if none does."""
    return [line(*one) for one in lines if cells(one) <= screen.width][:1]


def _heads(walk: Walk, screen: Screen, before: Picture | None) -> Drawn:
    """Draw a cell for each head."""
    spot, shown = walk.spot, walk.board
    window = NOWHERE if before is None else before.window("heads")
    drawn = board(
        shown.values,
        shown.scale,
        replace(screen, height=(screen.height or 24) - 2),
        cursor=(spot.layer, spot.head),
        before=window,
        write=shown.write,
    )
    value = shown.values[spot.layer, spot.head]
    form = ".2f" if shown.name != EFFECT else "+.2f" if shown.scale.signed else ".4f"
    told = f"{value:{form}}" if np.isfinite(value) else "none"
    style = MARKED if spot.pane == "heads" else BOLD
    title = line((shown.name, style), (f" {told}", PLAIN))
    ranks = f"rank {_rank(shown.values, spot.layer, spot.head)} of {len(shown.values)}"
    return Drawn([title, *drawn.lines, line((ranks, DIM))], drawn.window, lambda x, y: drawn.at(x, y - 1))


def _rank(values: Mapping[tuple[int, int], float], layer: int, head: int) -> int:
    """Return how many heads have as large a value, or a larger one."""
    own = abs(values[layer, head])
    return 1 + sum(abs(value) > own for value in values.values())


def _list(walk: Walk, columns: Sequence[Column], screen: Screen) -> Drawn:
    """Draw a list of the heads in the order asked for, as much as there is room for."""
    spot, order = walk.spot, walk.order
    index = order.index((spot.layer, spot.head))
    room = (screen.height or 24) - 2
    seen = slid(index - room // 2, room, len(order), index)
    # As wide as those of all heads, so that nothing moves aside while one goes down the list.
    shown = [replace(one, cells=one.cells[seen.start : seen.stop], least=one.width) for one in columns]
    sort = spot.sort if walk.laid is None else walk.board.name
    lines = _lines(table(shown, screen, order=sort))
    title = line((f"by {sort}", MARKED if spot.pane == "heads" else BOLD))

    def at(_: int, y: int) -> tuple[int, int] | None:
        return order[seen[y - 2]] if 0 <= y - 2 < len(seen) else None

    return Drawn([title, *lines], NOWHERE, at)


def _columns(walk: Walk, screen: Screen) -> list[Column]:
    """List all heads in the order asked for, with their focus where the screen has room for it beside a map."""
    spot, order = walk.spot, walk.order
    columns = [
        names("", [">" if one == (spot.layer, spot.head) else "" for one in order], screen),
        names("head", [name_head(*one) for one in order], screen, right=True),
    ]
    if walk.laid is not None:
        shown = walk.board
        values = [shown.values[one] for one in order]
        return [*columns, bars(shown.name, values, screen, size=4, high=shown.scale.high)]
    rows = [walk.scene.heads[one] for one in order]
    focus = bars("focus", [row.focus for row in rows], screen, size=4)
    if spot.sort == "focus":
        return [*columns, focus]
    sorted_by = figures(spot.sort, [_figure(row, spot.sort) for row in rows], faint=0.0)
    whole = [*columns, focus, sorted_by]
    return whole if total_width(whole) <= screen.width * LEFT else [*columns, sorted_by]


def _figure(row: HeadSummary, sort: str) -> float | None:
    if sort == "link":
        return row.links[0].weight if row.links else None
    value: float | None = getattr(row, sort)
    return value


def _row(walk: Walk, screen: Screen) -> list[Text]:
    """List the strongest keys of the row under the cursor, and the key under it."""
    if not walk.at_hand:
        return []
    spot, scene = walk.spot, walk.scene
    plan = scene.plan
    row = walk.row
    known = np.where(np.isfinite(row), row, -np.inf)
    laid = walk.laid
    best = np.argsort(-known if laid is None else -np.abs(np.where(np.isfinite(row), row, 0)), kind="stable")
    best = best[:MOST_KEYS]
    links = tuple(Link(spot.query, int(key), float(row[key])) for key in best if np.isfinite(row[key]))
    drawn: list[Text] = []
    for count in range(len(links), 0, -1):
        whole = query_table(
            [QueryRow(spot.layer, spot.head, spot.query, links[:count])],
            walk.queries,
            walk.keys,
            screen,
            step=plan.step,
            measure=plan.selection.drawn if laid is None else "score",
            noun=plan.selection.noun if laid is None else "change",
        )
        drawn = _lines(whole)
        if len(drawn) <= (screen.height or 3) and all(width(one.plain) <= screen.width for one in drawn):
            break
    value = row[spot.key]
    arrow = " → " if screen.unicode else " > "
    told = "masked" if not np.isfinite(value) else f"{float(value):z.3f}"
    if laid is not None:
        a, b = (float(np.nan_to_num(side[spot.key])) for side in laid.sides(spot.layer, spot.head, spot.query))
        told = f"A {a:z.3f}  B {b:z.3f}  {b - a:+z.3f}"
    name = f"{walk.queries.named(spot.query)}{arrow}{walk.keys.named(spot.key)}"
    step = "" if plan.step is None or not drawn else f" ({when(plan.step)})"
    if width(clean(name, unicode=screen.unicode)) + len(told) + len(step) + 2 > screen.width:
        step = ""
    name = clipped(name, screen.width - len(told) - len(step) - 2, unicode=screen.unicode)
    return [line((name, BOLD), (f"  {told}{step}", PLAIN)), *drawn[1:]]


def status(walk: Walk, screen: Screen, said: str) -> list[Text]:
    """Write the message, on as many lines as it takes, or the keys on one."""
    if not said:
        return [_hints(walk, screen)]
    shown = clean(said, unicode=screen.unicode)
    return [line((shown, BOLD))] if width(shown) <= screen.width else text_lines(said, screen)


def _hints(walk: Walk, screen: Screen) -> Text:
    """Name the keys that do something here, as many as there is room for."""
    useless = set() if len(walk.kinds) > 1 else {KIND}
    useless |= set() if len(walk.subjects) > 1 else {TEXTS}
    useless |= set() if walk.subject.model is not None else set(RUNNING)
    useless |= set() if walk.image is None else {WORDS}
    parts: list[Part] = []
    for hint in (one for one in HINTS if one not in useless):
        key, name = ("i image" if hint == TYPE and walk.image else hint).rsplit(" ", 1)
        piece: list[Part] = [("  " if parts else "", PLAIN), (key, BOLD), (f" {name}", DIM)]
        if cells(parts) + cells(piece) > screen.width:
            break
        parts += piece
    return line(*parts)
