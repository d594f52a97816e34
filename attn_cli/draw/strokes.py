"""Building blocks shared by all drawings: lines, text flow, numbers, bars, mosaics and scales."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

import numpy as np
from rich.console import Group, RenderableType
from rich.style import Style
from rich.text import Text

from attn_cli.data.pooling import pool
from attn_cli.data.shapes import Float
from attn_cli.draw.colors import BLANK, Scale, bar_styles, ink, marks, painted
from attn_cli.draw.labels import clean, clipped, fit, letters, width
from attn_cli.draw.screen import Screen

__all__ = [
    "BOLD",
    "DIM",
    "MARKED",
    "PLAIN",
    "Part",
    "bar",
    "caption_lines",
    "cells",
    "change",
    "decimals",
    "drawing",
    "emphasized",
    "flow",
    "line",
    "mosaic",
    "number",
    "stacked",
    "swatches",
    "text_lines",
    "title_lines",
    "titled",
]

PLAIN = Style.null()
DIM = Style(dim=True)
BOLD = Style(bold=True)
MARKED = Style(bold=True, reverse=True)
"""A name that somebody has gone to."""

Part = tuple[str, Style]
"""A piece of clean text and its style."""


def line(*parts: Part) -> Text:
    """Join parts into one line, never wrapped, without trailing blanks; neighbours of one style are merged."""
    runs: list[Part] = []
    for piece, style in parts:
        if runs and runs[-1][1] == style:
            runs[-1] = (runs[-1][0] + piece, style)
        else:
            runs.append((piece, style))
    while runs and runs[-1][1].bgcolor is None:
        piece, style = runs.pop()
        if piece.rstrip(" "):
            runs.append((piece.rstrip(" "), style))
            break
    return Text.assemble(*runs, no_wrap=True, overflow="ignore", end="")


def drawing(lines: Iterable[Text]) -> Group:
    """Stack lines into one drawing."""
    whole = Text("\n", no_wrap=True, overflow="ignore").join(lines)
    whole.no_wrap, whole.overflow = True, "ignore"
    return Group(whole)


def cells(parts: Sequence[Part]) -> int:
    """Measure the total width of parts in cells."""
    return sum(width(text) for text, _ in parts)


def flow(pieces: Sequence[Sequence[Part]], screen: Screen, between: str = "   ", *, indent: int = 0) -> list[Text]:
    """Lay out pieces side by side, continuing on the next line; only a piece wider than a line is split.

    Args:
        pieces: the pieces.
        screen: the screen to draw on.
        between: text between two pieces on a line.
        indent: cells to leave free at the start of each line but the first.
    """
    rows: list[list[Part]] = []
    for piece in pieces:
        split = cells(piece) > screen.width
        gap = _widest_gap(piece) if split else between
        for number, words in enumerate(_split(piece, gap) if split else [piece]):
            beside = number > 0 or not split
            if beside and rows and cells(rows[-1]) + width(gap) + cells(words) <= screen.width:
                rows[-1].append((gap, DIM if gap.strip() else PLAIN))
            else:
                rows.append([(" " * indent, PLAIN)] if rows and indent else [])
            rows[-1].extend(words)
    return [line(*row) for row in rows]


def _widest_gap(piece: Sequence[Part]) -> str:
    """Return the widest gap in a piece, which separates the largest groups of its words."""
    return "  " if any("  " in text.strip() for text, _ in piece) else " "


def _split(piece: Sequence[Part], gap: str) -> list[list[Part]]:
    return [[(word, style)] for text, style in piece for word in text.split(gap) if word.strip()]


def title_lines(title: str, screen: Screen) -> list[Text]:
    """Draw a title, wrapped word by word where it is wider than the screen; no line if it is empty."""
    shown = clean(title, unicode=screen.unicode)
    return [line((shown, BOLD))] if title and width(shown) <= screen.width else text_lines(title, screen)


def caption_lines(caption: str, screen: Screen) -> list[Text]:
    """Wrap a caption word by word; no line if it is empty."""
    words = (clean(word, unicode=screen.unicode) for word in caption.split())
    return flow([[(fit(word, min(width(word), screen.width)), DIM)] for word in words], screen, between=" ")


def text_lines(text: str, screen: Screen, style: Style = BOLD) -> list[Text]:
    """Wrap a text word by word; a word longer than a line continues on the next."""
    pieces: list[str] = []
    for word in (clean(word, unicode=screen.unicode) for word in text.split()):
        pieces.append("")
        for letter in letters(word):
            if width(pieces[-1]) + width(letter) > screen.width:
                pieces.append("")
            pieces[-1] += letter
    return flow([[(piece, style)] for piece in pieces], screen, between=" ")


def emphasized(text: str, other: str, screen: Screen, *, lead: str = "", indent: int = 0) -> list[Text]:
    """Wrap a text word by word, with the words that another text does not have in bold.

    Args:
        text: the text.
        other: the other text.
        screen: the screen to draw on.
        lead: a name before the text.
        indent: cells to leave free at the start of each line but the first.
    """
    words, others = text.split(), other.split()
    same: set[int] = set()
    for block in SequenceMatcher(None, words, others, False).get_matching_blocks():
        same |= set(range(block.a, block.a + block.size))
    pieces: list[list[Part]] = [[(lead, DIM)]] if lead else []
    for index, word in enumerate(words):
        pieces.append([(clipped(word, screen.width, unicode=screen.unicode), PLAIN if index in same else BOLD)])
    return flow(pieces, screen, between=" ", indent=indent)


def number(value: float, *, places: int = 2, unicode: bool = True) -> str:
    """Format a weight in one cell more than its decimals: `.58`, `1.0`, or a dot below half of the last decimal.

    A weight above 1, of a row that does not sum to 1, has as many digits before the point as it needs: `3.7`, `120`.
    """
    least = 0.5 / 10**places
    if value < least:
        return "·" if unicode else "."
    if value >= 1 - least:
        return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
    return f"{value:.{places}f}"[1:]


def decimals(largest: float) -> int:
    """Return the decimals for scores: two, but fewer for large scores and more for scores that would all be 0.

    Args:
        largest: largest magnitude of the scores.
    """
    if largest >= 0.1 or largest < 1e-6:
        return 2 if largest < 100 else 1 if largest < 1000 else 0
    return 1 - int(np.floor(np.log10(largest)))


def change(value: float, *, unicode: bool = True) -> str:
    """Format a change of a weight or score in at most four cells: `+.58`, `-1.0`, `+12`, or a dot within .005 of 0."""
    if abs(value) >= 0.995:
        return f"{value:+.1f}" if abs(value) < 9.95 else f"{value:+.0f}"
    size = number(abs(value), unicode=unicode)
    return size if abs(value) < 0.005 else f"{'-' if value < 0 else '+'}{size}"


def bar(share: float, size: int, screen: Screen, *, rail: bool = False) -> list[Part]:
    """Draw a bar over this share of `size` cells, in half cells; with `rail`, the rest of its length is drawn too."""
    share = min(max(share, 0.0), 1.0) if np.isfinite(share) else 0.0
    halves = round(share * size * 2)
    if not screen.unicode:
        return [(("#" * round(share * size)).ljust(size), PLAIN)]
    drawn = "━" * (halves // 2) + "╸" * (halves % 2)
    if not screen.color:
        return [(drawn.ljust(size), PLAIN)]
    rest = size - len(drawn)
    full, left = bar_styles(screen)
    return [(drawn, full), ("━" * rest, left) if rail else (" " * rest, PLAIN)]


def mosaic(
    values: Float[np.ndarray, "query key"], scale: Scale, screen: Screen, *, largest: bool = False
) -> list[list[Part]]:
    """Draw a map in as few characters as possible: half-blocks of two rows, or a shade or colour for the larger of two.

    Each variant takes the same number of lines, so a layout need not distinguish them.

    Args:
        values: the map.
        scale: the scale of the colours and shades.
        screen: the screen to draw on.
        largest: take the larger of two values with a sign too, not the one further from 0.
    """
    if not (screen.color and screen.unicode):
        low = pool(values, 2, 1, signed=scale.signed and not largest)
        if screen.color:
            return [[(" ", painted(level, screen)) for level in row] for row in scale.levels(low).tolist()]
        glyphs = (*marks(unicode=screen.unicode), " ")  # the last is BLANK's, -1
        return [[("".join(glyphs[shade] for shade in row), PLAIN)] for row in scale.shades(low)]
    levels = scale.levels(values)
    if len(levels) % 2:
        levels = np.vstack([levels, np.full((1, levels.shape[1]), BLANK, dtype=levels.dtype)])
    return [
        [
            (" " if up == low == BLANK else "▄" if up == BLANK else "▀", ink(up, low, screen))
            for up, low in zip(upper, lower, strict=True)
        ]
        for upper, lower in zip(levels[::2].tolist(), levels[1::2].tolist(), strict=True)
    ]


def swatches(scale: Scale, name: str, screen: Screen) -> list[Part]:
    """Draw the scale itself: the values that colours or shades stand for."""
    steps = scale.steps
    ticks: tuple[float, ...] = (scale.low, *steps, scale.high)
    if scale.signed:
        ticks = (scale.low, -steps[2], -steps[0], 0.0, steps[0], steps[2], scale.high)
    words = [_tick(tick, scale) for tick in ticks]
    if scale.clipped and scale.signed:  # both ends are open
        least, most = "≤≥" if screen.unicode else ("<=", ">=")
        words[0], words[-1] = least + words[0], most + words[-1]
    elif scale.clipped:
        words[-1] += "+"
    parts: list[Part] = [(f"{name} ", DIM)]
    if screen.color:
        size = min(max(map(len, words)) + 2, (screen.width - cells(parts)) // len(words))
        levels = scale.levels(np.asarray(ticks))
        return parts + [
            (word.center(size), painted(int(level), screen)) for word, level in zip(words, levels, strict=True)
        ]
    glyphs = marks(unicode=screen.unicode)
    if scale.signed:
        said = [f"{glyphs[shade]} {words[tick]}" for shade, tick in ((5, 1), (6, 2), (0, 3), (7, 4), (8, 5))]
        return [*parts, ("  ".join(said), PLAIN)]
    glyphs = glyphs[:5]
    pieces = [f"{glyph} {word}" for glyph, word in zip(glyphs, [f"<{words[1]}", *words[1:5]], strict=True)]
    to = "–" if screen.unicode and scale.low >= 0 else " to "
    return [*parts, ("  ".join(pieces) + ("+" if scale.clipped else to + words[5]), PLAIN)]


def _tick(value: float, scale: Scale) -> str:
    if scale.signed:
        return f"{value:+.3g}".replace("0.", ".") if value else "0"
    if scale.low != 0:
        return f"{value:z.{decimals(max(abs(scale.low), abs(scale.high)))}f}"
    if scale.high > 1:
        return f"{value:.1f}"
    return f"{value:.2f}".removeprefix("0") if scale.high == 1 and 0 < value < 1 else f"{value:.3g}".replace("0.", ".")


def stacked(parts: Sequence[RenderableType]) -> Group:
    """Stack drawings with a blank line between them."""
    first, *rest = parts
    return Group(first, *(piece for part in rest for piece in (Text(""), part)))


def titled(drawing: Group, title: str, screen: Screen) -> Group:
    """Put a drawing below its title on one line, which may be a long text, if it has one."""
    shown = clean(title, unicode=screen.unicode)
    above = line((fit(shown, min(width(shown), screen.width), unicode=screen.unicode), BOLD))
    return stacked([Group(above), drawing]) if title else drawing
