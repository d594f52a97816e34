"""Drawings below each other, fitted to the height of a screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import RenderableType

from attn_cli.draw.screen import Screen, lines_of
from attn_cli.draw.strokes import caption_lines, drawing

__all__ = ["FEWEST_ROWS", "MANY", "fitting", "overview", "room_left", "stacked_height"]

FEWEST_ROWS = 4
"""Least rows of a table, even on a screen that is too low for them."""
MANY = 100
"""Number of heads above which a picture of all heads tells more than one heatmap."""


def stacked_height(parts: Sequence[RenderableType], screen: Screen) -> int:
    """Count the lines that drawings take, each with the blank line that keeps it apart from the next."""
    return sum(lines_of(part, screen) + 1 for part in parts)


def room_left(parts: Sequence[RenderableType], screen: Screen, *, everything: bool = False) -> int | None:
    """Count the lines left on the screen for one more drawing stacked with these, above the prompt's line.

    Args:
        parts: the drawings that are shown in any case.
        screen: the screen to draw on.
        everything: show everything, however low the screen is.

    Returns:
        The number of lines, negative if there is no room at all; None for no limit.
    """
    if screen.height is None or everything:
        return None
    return screen.height - 1 - stacked_height(parts, screen)


def fitting(
    make: Callable[[int | None], RenderableType], count: int, screen: Screen, room: int | None
) -> RenderableType:
    """Draw a table with as many rows as there is room for, `FEWEST_ROWS` at least.

    Args:
        make: a function that draws the given number of rows, or with None all of them.
        count: the number of rows.
        screen: the screen to draw on.
        room: lines left for the table; None for no limit.
    """
    drawn = make(None)
    if room is None:
        return drawn
    limit = max(min(room, count), FEWEST_ROWS)
    while lines_of(drawn, screen) > room and limit >= FEWEST_ROWS:
        drawn = make(limit)
        limit -= 1
    return drawn


def overview(
    atlas: Callable[[int | None], Sequence[RenderableType]],
    make: Callable[[int | None], RenderableType],
    count: int,
    picture: Callable[[int | None], RenderableType],
    pictured: str,
    screen: Screen,
    room: int | None,
) -> list[RenderableType]:
    """Draw a table of heads between an atlas and a heatmap, as much of each as there is room for.

    Where there is no room for all three, the atlas is left out, as the table's caption says how to see every head. If
    there are many heads, it is the heatmap and on the lowest screens the table, and a line says so. On a screen that
    has no room for the table of few heads either, the atlas is shown if it fits beside the heatmap.

    Args:
        atlas: a function that draws all heads at once in the given number of lines, or in the fewest that it can.
        make: a function that draws the given number of the table's rows, or with None all of them.
        count: the number of rows.
        picture: a function that draws the heatmap in the given number of lines, or in the fewest that it can.
        pictured: name of what the heatmap shows, for the line that says that it is left out.
        screen: the screen to draw on.
        room: lines left for all; None for no limit.
    """
    if room is None:
        return [*atlas(None), make(None), picture(None)]
    room += 1  # the last drawing has no blank line below it
    many = count > MANY
    least = stacked_height([make(FEWEST_ROWS)], screen)
    lowest = stacked_height(atlas(0), screen)
    above: Sequence[RenderableType] = []
    below = [picture(room - least - lowest * many - 1)]
    left = room - stacked_height(below, screen)
    if least + lowest <= left:
        above = atlas(left - least - 1)
    elif many:
        below = [_left_out(pictured, screen)]
        if lowest and least + lowest + stacked_height(below, screen) > room:
            return [*atlas(0), _left_out(f"the table of heads, nor for {pictured}", screen)]
        above = atlas(room - least - stacked_height(below, screen) - 1)
    elif least > left:
        below = [picture(room - lowest - 1)]
        return [*atlas(0), *below] if lowest + stacked_height(below, screen) <= room else [picture(room - 1)]
    room -= stacked_height([*above, *below], screen)
    return [*above, fitting(make, count, screen, room - 1), *below]


def _left_out(what: str, screen: Screen) -> RenderableType:
    return drawing(caption_lines(f"No room here for {what}; --all shows everything.", screen))
