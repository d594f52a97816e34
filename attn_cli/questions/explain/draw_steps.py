"""The three steps of one query in one head, as a table of its keys: score, normalize, weighted sum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from rich.console import Group, RenderableType
from rich.style import Style
from rich.text import Text

from attn_cli.data.shapes import Float, Int
from attn_cli.draw.colors import Scale
from attn_cli.draw.labels import Labels, clean, clipped, fit, width
from attn_cli.draw.layout import stacked_height
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, bar, caption_lines, drawing, flow, swatches
from attn_cli.draw.strokes import Part as Painted
from attn_cli.draw.table import GAP, Column, table, total_width
from attn_cli.draw.vectors import strip
from attn_cli.questions.explain.steps import Context, Explanation, Part

__all__ = ["FEWEST_KEYS", "explanation"]

LONGEST_KEY = 16
FAINT = 0.05
"""Weight below which a key's figures of the second step are faint."""
FEWEST_KEYS = 5
"""Least number of keys to show, even if the screen is too low for them."""
BARS = (12, 8, 6, 4, 0)
"""Widths of a bar in cells, the best first."""
MOST_NAMED = 3
"""Most contributors to name below the table."""
TINY = 1e-9
"""Smallest difference to report."""
SHARE = (
    "share: what a key adds to the context vector, along it. Shares sum to 1; below 0 a key pulls the other way, so "
    "others can be above 1 (attn terms share)."
)
"""Caption of the column of shares."""
WIDEST_CELL = 4
"""Most cells of the screen for a number of a vector that is drawn."""
SHORT_VECTOR = 8
"""Most numbers of a context vector to write out."""

NAMES: Mapping[Part, str] = {
    "scaled": "scaled",
    "additive": "v·tanh(q+k)",
    "soft_capping": "capping",
    "bias": "bias",
    "other": "other",
    "mask": "mask",
}
STEPS = ("1 score", "2 normalize", "3 weighted sum")


def explanation(
    found: Explanation,
    keys: Labels,
    screen: Screen,
    *,
    given: bool = False,
    room: int | None = None,
    vectors: bool = False,
) -> Sequence[RenderableType]:
    """Draw the steps: their formulas, the table of keys, and the resulting context vector.

    Args:
        found: numbers of the steps.
        keys: label and number of each key.
        screen: screen to draw on.
        given: True if the scores are plain numbers from the user.
        room: lines available; None for no limit. If not all keys fit, those with the most weight are shown.
        vectors: draw the values, each times its weight, and their sum.
    """
    formulas = drawing(_formulas(found, screen, given=given))
    results = _below(found, keys, screen)
    below = [drawing(results)] if results else []

    def tables_of(chosen: Int[np.ndarray, "shown"]) -> list[RenderableType]:
        drawn = _tables(found, keys, chosen, screen, given=given)
        if vectors and found.context is not None:
            drawn.append(_vectors(found, found.context, keys, chosen, screen))
        return drawn

    if room is not None:
        room -= stacked_height([formulas, *below], screen)
    tables = tables_of(np.arange(len(keys)))
    if room is not None and stacked_height(tables, screen) - 1 > room:
        least = stacked_height(tables, screen) - 1 - len(tables) * len(keys)
        shown = max((room - least) // len(tables) - 1, FEWEST_KEYS)
        if shown < len(keys):
            tables = tables_of(np.sort(np.argsort(-found.weights, kind="stable")[:shown]))
    return [formulas, *tables, *below]


def _vectors(
    found: Explanation, context: Context, keys: Labels, chosen: Int[np.ndarray, "shown"], screen: Screen
) -> RenderableType:
    """Draw the values, each times its weight, as rows of cells, and below them their sum: as many numbers as fit."""
    times = "×" if screen.unicode else "x"
    shares = found.weights[:, None] * context.values
    rest = np.setdiff1d(np.arange(len(keys)), chosen)
    rows = [*shares[chosen], *([shares[rest].sum(axis=0)] if len(rest) else []), context.vector]
    labels = _labels(replace(found, sink=None), keys, chosen, screen)  # a learned sink has no value
    labels = replace(labels, cells=[*labels.cells, [("sum", BOLD)]])
    room, size = screen.width - labels.width - len(GAP), len(context.vector)
    shown, cell = min(room, size), max(min(room // size, WIDEST_CELL), 1)
    scale = Scale.around(np.asarray([row[:shown] for row in rows]))
    title = f"weight {times} value, " + (f"the first {shown} of {size} numbers" if shown < size else f"{size} numbers")
    columns = [
        replace(labels, name=""),
        Column(
            clipped(title, room, unicode=screen.unicode),
            [strip(row[:shown], scale, screen, cell=cell) for row in rows],
            right=False,
        ),
    ]
    return Group(table(columns, screen), drawing(flow([swatches(scale, "number", screen)], screen)))


def _formulas(found: Explanation, screen: Screen, *, given: bool) -> list[Text]:
    times = "×" if screen.unicode else "x"
    added = [name for name in found.parts if name not in ("scaled", "additive")]
    if "additive" in found.parts:
        score = "v·tanh(query + key)" if screen.unicode else "v.tanh(query + key)"
    elif given:
        score = "as given" if found.products is None else f"given / {1 / (found.scaling or 1):g}"
    elif not found.parts:
        score = "as the model computed it"
    else:
        scaling = 1.0 if found.scaling is None else found.scaling
        score = ("query·key" if screen.unicode else "query.key") + ("" if scaling == 1 else f" {times} {scaling:.4g}")
    root = _root(found, screen)
    summands = [root] if root else []
    summands += [f"+ soft-capping at {found.soft_cap:g}" if name == "soft_capping" else f"+ {name}" for name in added]
    formulas = [("1 score  ", [score, *summands])]
    formulas.append(("2 weight ", [f"exp(score - {_figure(found.maximum)}) / {found.total:.3f}"]))
    if found.context is not None:
        formulas.append(("3 context", [f"sum of weight {times} value"]))
    lines = []
    for name, (first, *rest) in formulas:
        pieces: list[list[Painted]] = [[(name, BOLD), (" = ", DIM), (first, PLAIN)], *([(one, PLAIN)] for one in rest)]
        lines += flow(pieces, screen, between=" ")
    return lines


def _root(found: Explanation, screen: Screen) -> str:
    """Say that the scaling is one over the root of the head's size; nothing if it is not."""
    if found.scaling is None or found.size is None or not math.isclose(found.scaling, found.size**-0.5, rel_tol=1e-6):
        return ""
    root = f"√{found.size}" if screen.unicode else f"sqrt({found.size})"
    return f"(1/{root}; the head's size is {found.size})"


def _tables(
    found: Explanation, keys: Labels, chosen: Int[np.ndarray, "shown"], screen: Screen, *, given: bool
) -> list[RenderableType]:
    """Draw one table, or several with fewer steps each if the screen is narrow."""
    labels = _labels(found, keys, chosen, screen)
    variants = [_columns(found, chosen, len(keys), screen, size, given=given) for size in BARS]
    steps = sorted({column.group for column in variants[0]})
    for together in ([steps], [steps[:1], steps[1:]] if len(steps) > 2 else [], [[step] for step in steps]):
        parts = [
            [[labels, *(column for column in columns if column.group in part)] for columns in variants]
            for part in together
        ]
        if parts and all(total_width(narrowest) <= screen.width for *_, narrowest in parts):
            break
    return [table(widest, screen, narrower=narrower) for widest, *narrower in parts]


def _columns(
    found: Explanation, chosen: Int[np.ndarray, "shown"], keys: int, screen: Screen, size: int, *, given: bool
) -> list[Column]:
    """Make the columns of figures, with bars of the given size beside the weights."""
    infinite = "-∞" if screen.unicode else "-inf"
    dot = "·" if screen.unicode else "."
    rest = np.setdiff1d(np.arange(keys), chosen)
    masked = np.isneginf(found.scores[chosen])
    weights = [*found.weights[chosen].tolist(), *([found.sink.weight] if found.sink else [])]
    weights += [float(found.weights[rest].sum())] if len(rest) else []

    def scores(values: Float[np.ndarray, "key"], sink: str = "") -> list[str]:
        texts = [infinite if math.isinf(value) else _figure(value) for value in values[chosen].tolist()]
        return [*texts, *([sink] if found.sink else []), *([""] if len(rest) else [])]

    def shares(values: Float[np.ndarray, "key"], sink: str = "") -> list[str]:
        texts = [_share(value) for value in values[chosen].tolist()]
        return [*texts, *([sink] if found.sink else []), *([_share(float(values[rest].sum()))] if len(rest) else [])]

    def column(step: int, name: str, texts: Sequence[str]) -> Column:
        cells: list[list[Painted]] = []
        for row, text in enumerate(texts):
            faint = (step == 1 and weights[row] < FAINT) or (row < len(chosen) and masked[row])
            cells.append([(text, DIM if faint else PLAIN)])
        return Column(name, cells, group=STEPS[step])

    columns = []
    if found.products is not None:
        columns.append(column(0, "given" if given else f"q{dot}k", scores(found.products)))
    shown = {name: values for name, values in found.parts.items() if len(found.parts) > 1}
    if given and found.products is None:
        shown = {}
    columns += [column(0, NAMES[name].replace("·", dot), scores(values)) for name, values in shown.items()]
    columns.append(column(0, "score", scores(found.scores, _figure(found.sink.score) if found.sink else "")))
    columns.append(column(1, "exp", shares(found.exponentials, _share(found.sink.exponential) if found.sink else "")))
    columns.append(column(1, "weight", shares(found.weights, _share(found.sink.weight) if found.sink else "")))
    weight = len(columns) - 1
    if found.context is not None:
        columns.append(column(2, "|value|", scores(found.context.value_norms)))
        columns.append(column(2, "share", shares(found.context.shares)))
    columns = _with_room_for_names(columns)
    if size:
        columns[weight] = _with_bars(columns[weight], weights, size, screen)
    # The first are left out first; of several steps, the last column always stays.
    return [replace(one, rank=len(columns) - 1 - place) for place, one in enumerate(columns)]


def _with_room_for_names(columns: Sequence[Column]) -> list[Column]:
    """Widen the first column of a step, so that the step's name fits above its columns."""
    roomy = []
    for group, members in groupby(columns, lambda column: column.group):
        first, *others = members
        missing = max(0, len(group) - total_width([first, *others]))
        roomy += [replace(first, least=first.width + missing), *others]
    return roomy


def _with_bars(column: Column, shares: Sequence[float], size: int, screen: Screen) -> Column:
    cells: list[list[Painted]] = [
        [(" " * (column.width - width(text)), PLAIN), (text, style), (" ", PLAIN), *bar(share, size, screen)]
        for [(text, style)], share in zip(column.cells, shares, strict=True)
    ]
    return replace(column, cells=cells, right=False)


def _labels(found: Explanation, keys: Labels, chosen: Int[np.ndarray, "shown"], screen: Screen) -> Column:
    """Make the column of the keys, with rows for a learned sink and for the keys that are left out."""
    best, masked = int(found.weights[chosen].argmax()), np.isneginf(found.scores[chosen])
    rows: list[tuple[str, str, Style]] = []
    for row, key in enumerate(chosen.tolist()):
        number = f"h{key + 1}" if "additive" in found.parts else str(keys.positions[key])
        style = BOLD if row == best else DIM if keys.special[key] or masked[row] else PLAIN
        rows.append((number, clean(keys.texts[key], unicode=screen.unicode), style))
    rows += [("", "learned sink", DIM)] if found.sink is not None else []
    rows += [("", f"{len(keys) - len(chosen)} more", DIM)] if len(chosen) < len(keys) else []
    digits = max(len(number) for number, _, _ in rows)
    size = min(max(width(text) for _, text, _ in rows), LONGEST_KEY)
    cells: list[list[Painted]] = [
        [(number.rjust(digits) + " ", DIM), (fit(text, size, unicode=screen.unicode), style)]
        for number, text, style in rows
    ]
    return Column("key", cells, right=False)


def _below(found: Explanation, keys: Labels, screen: Screen) -> list[Text]:
    """Write the context vector, the data that are not shown, and the agreement with the layer."""
    sentences = []
    lines: list[Text] = []
    if found.context is not None:
        size = np.abs(found.context.shares)
        order = [int(key) for key in np.argsort(-size, kind="stable")[:MOST_NAMED] if size[key] >= 0.005]
        named = ", ".join(f"{keys.named(key)} {found.context.shares[key]:.2f}" for key in order)
        vector = found.context.vector
        written = f" ({' '.join(_figure(float(one)) for one in vector)})" if len(vector) <= SHORT_VECTOR else ""
        words = f"The context vector{written} has length {_figure(found.context.norm)}" + (
            f"; the largest shares: {named}." if named else "."
        )
        pieces = (clean(word, unicode=screen.unicode) for word in words.split())
        lines = flow([[(fit(word, min(width(word), screen.width)), PLAIN)] for word in pieces], screen, between=" ")
        sentences.append(SHARE)
    sentences += [f"Not shown: {missing}." for missing in found.missing]
    if found.largest_difference is not None and found.differences is not None:
        *most, last = found.differences
        names = f"{', '.join(most)} and {last}" if most else last
        # The digits are rounding errors, which differ between processors, so only their magnitude is written.
        size = f"{10.0 ** math.ceil(math.log10(max(found.largest_difference, TINY))):.0e}"
        sentences.append(f"The layer itself computed the same {names}, within {size}.")
    return [*lines, *(text for sentence in sentences for text in caption_lines(sentence, screen))]


def _figure(value: float) -> str:
    """Write a score with two decimals, or if it is large, with three significant digits."""
    return f"{value:.2f}".replace("-0.00", "0.00") if abs(value) < 100_000 else f"{value:.3g}"


def _share(value: float) -> str:
    """Write three decimals, without a sign before a zero."""
    return f"{value:.3f}".replace("-0.000", "0.000")
