"""The few strokes that every drawing is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from rich.console import Group
from rich.style import Style
from rich.text import Text

from attn_cli.render import labels
from attn_cli.render.scale import BLANK, Scale, accent, ink, marks, painted
from attn_cli.render.screen import Screen
from attn_cli.shapes import Float

__all__ = ["BOLD", "DIM", "PLAIN", "Part", "bar", "drawing", "flow", "line", "mosaic", "number", "pool", "swatches"]

PLAIN = Style.null()
DIM = Style(dim=True)
BOLD = Style(bold=True)

Part = tuple[str, Style]

EIGHTHS = " ▏▎▍▌▋▊▉█"


def line(*parts: Part) -> Text:
    """One line, never wrapped; neighbours of one style become one."""
    text = Text(no_wrap=True, overflow="ignore", end="")
    run, current = "", PLAIN
    for piece, style in parts:
        if style is current or style == current:
            run += piece
        else:
            text.append(run, current)
            run, current = piece, style
    text.append(run, current)
    text.rstrip() if current is PLAIN else None
    return text


def drawing(lines: Iterable[Text]) -> Group:
    """Lines below each other."""
    whole = Text("\n", no_wrap=True, overflow="ignore").join(lines)
    whole.no_wrap, whole.overflow = True, "ignore"
    return Group(whole)


def flow(pieces: Sequence[Sequence[Part]], width: int, gap: int = 3) -> list[Text]:
    """Pieces side by side, and on the next line where they do not fit; no piece is split."""
    rows: list[list[Part]] = []
    used = 0
    for piece in pieces:
        size = sum(labels.width(text) for text, _ in piece)
        if rows and used + gap + size <= width:
            rows[-1].append((" " * gap, PLAIN))
            used += gap + size
        else:
            rows.append([])
            used = size
        rows[-1].extend(piece)
    return [line(*row) for row in rows]


def number(value: float) -> str:
    """A weight in three cells: `.58`, `1.0`, and a dot below .005."""
    if value < 0.005:
        return "·"
    return "1.0" if value >= 0.995 else f"{value:.2f}"[1:]


def bar(share: float, cells: int, screen: Screen) -> list[Part]:
    """A bar of this share of `cells`."""
    share = min(max(share, 0.0), 1.0) if np.isfinite(share) else 0.0
    if not screen.unicode:
        return [(("#" * round(share * cells)).ljust(cells), accent(screen.theme))]
    eighths = round(share * cells * 8)
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + (EIGHTHS[rest] if rest else "")
    return [(drawn.ljust(cells), accent(screen.theme, ground=True))]


def pool(values: Float[np.ndarray, "query key"], rows: int, columns: int) -> Float[np.ndarray, "row column"]:
    """The largest of each rectangle of `rows` × `columns` values; not-a-number only where all of it is."""
    if rows > 1:
        values = np.fmax.reduceat(values, np.arange(0, values.shape[0], rows), axis=0)
    if columns > 1:
        values = np.fmax.reduceat(values, np.arange(0, values.shape[1], columns), axis=1)
    return values


def mosaic(values: Float[np.ndarray, "query key"], scale: Scale, screen: Screen) -> list[list[Part]]:
    """A map in as few characters as can be: half-blocks of two rows each, or shades of the larger of two rows.

    Both take as many lines, so a layout need not know which it is.
    """
    if not screen.color:
        glyphs = (*marks(unicode=screen.unicode), " ")
        return [[("".join(glyphs[shade] for shade in row), PLAIN)] for row in scale.shades(pool(values, 2, 1))]
    levels = scale.levels(values)
    if len(levels) % 2:
        levels = np.vstack([levels, np.full((1, levels.shape[1]), BLANK, dtype=levels.dtype)])
    rows: list[list[Part]] = []
    for upper, lower in zip(levels[::2].tolist(), levels[1::2].tolist(), strict=True):
        rows.append(
            [
                (" " if up == low == BLANK else "▄" if up == BLANK else "▀", ink(up, low, screen.theme))
                for up, low in zip(upper, lower, strict=True)
            ]
        )
    return rows


def swatches(scale: Scale, name: str, screen: Screen, *, strongest: bool = False) -> list[Part]:
    """The scale itself: what each colour or shade stands for."""
    ticks = (scale.low, *scale.steps, scale.high)
    words = [_tick(tick, scale) for tick in ticks]
    parts: list[Part] = [(f"{name} ", DIM)]
    if screen.color:
        cells = max(map(len, words)) + 2
        for word, level in zip(words, scale.levels(np.asarray(ticks)), strict=True):
            parts.append((word.center(cells), painted(int(level), screen.theme)))
        return parts
    glyphs = marks(unicode=screen.unicode, strongest=strongest)
    if strongest:
        return [*parts, (f"{glyphs[5]} strongest of its row  {glyphs[1]} {words[1]} or more  {glyphs[0]} less", PLAIN)]
    pieces = [
        f"{glyphs[0]} <{words[1]}",
        *(f"{glyph} {word}" for glyph, word in zip(glyphs[1:], words[1:5], strict=True)),
    ]
    return [*parts, ("  ".join(pieces), PLAIN), (f"–{words[5]}" if screen.unicode else f"-{words[5]}", PLAIN)]


def _tick(value: float, scale: Scale) -> str:
    if not scale.root:
        return f"{value:.1f}"
    return f"{value:.0f}" if value in (0, 1) else f"{value:.2f}"[1:]
