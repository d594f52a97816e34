"""Screens of the explorer after some keys, run by Textual's own pilot."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.segment import Segment, Segments

from attn_cli.data.suggestion import Suggestion
from attn_cli.draw.screen import Screen
from attn_cli.questions.explore.app import Explorer
from attn_cli.questions.explore.walk import Walk

__all__ = ["screens", "text_of", "typed"]


def screens(
    walk: Walk,
    steps: Iterable[str | Sequence[str] | tuple[int, int]],
    size: tuple[int, int] = (80, 24),
    look: Screen | None = None,
) -> list[str]:
    """Return what the terminal shows at first and after each step, with its colours.

    Args:
        walk: the walk.
        steps: keys with spaces between them, a text that is typed (in a list), a place that is clicked, or after
            `resize` the size of the terminal from then on.
        size: columns and lines of the terminal.
        look: the screen to draw on.
    """
    look = look or Screen()
    return asyncio.run(_screens(Explorer(walk, look), steps, size, look))


async def _screens(
    app: Explorer, steps: Iterable[str | Sequence[str] | tuple[int, int]], size: tuple[int, int], look: Screen
) -> list[str]:
    shown = []
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        shown.append(text_of(app, look))
        for step in steps:
            if isinstance(step, str):
                first, *rest = step.split()
                if first == "resize":
                    await pilot.resize_terminal(int(rest[0]), int(rest[1]))
                else:
                    for key in (first, *rest):  # what runs is done before the next key is pressed
                        await pilot.press(key)
                        await app.workers.wait_for_complete()
                        await pilot.pause()
            elif isinstance(step, tuple):
                await pilot.click(offset=(int(step[0]), int(step[1])))
            else:
                for letter in step[0]:
                    await pilot.press("space" if letter == " " else letter)
            await app.workers.wait_for_complete()
            await pilot.pause()
            shown.append(text_of(app, look))
    assert app.return_code in {0, None}
    return shown


def text_of(app: Explorer, look: Screen) -> str:
    """Return the lines of the terminal, with the codes of their colours."""
    file = io.StringIO()
    console = Console(
        file=file,
        width=app.size.width,
        force_terminal=look.color,
        color_system="truecolor" if look.color else None,
        legacy_windows=False,
        _environ={},
    )
    for strip in app.screen._compositor.render_strips():
        console.print(Segments([*strip, Segment.line()]), end="")
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def typed(command: Suggestion) -> str:
    """Return a command as a shell takes it."""
    return command.typed("toy")
