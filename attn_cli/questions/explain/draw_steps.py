"""The three steps of one query in one head, as a table of its keys: score, normalize, weighted sum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from attn_cli.data.shapes import Float, Int
from attn_cli.draw.labels import Labels, clean, fit, width
from attn_cli.draw.layout import stacked_height
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, bar, caption_lines, drawing, flow, line
from attn_cli.draw.strokes import Part as Painted
from attn_cli.questions.explain.steps import Explanation, Part

__all__ = ["FEWEST_KEYS", "explanation"]

GAP = "  "
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


@dataclass(frozen=True)
class _StepColumn:
    """A column of figures, one for each row of the table."""

    step: int
    name: str
    cells: Sequence[str]
    bars: Sequence[float] = field(default=())
    """Shares to draw as bars beside the figures."""
    least: int = 0
    """Least width in cells, which leaves room for the step's name above its columns."""

    @property
    def width(self) -> int:
        return max(self.least, *map(len, (self.name, *self.cells)))


def explanation(
    found: Explanation,
    keys: Labels,
    screen: Screen,
    *,
    given: bool = False,
    room: int | None = None,
) -> Sequence[RenderableType]:
    """Draw the steps: their formulas, the table of keys, and the resulting context vector.

    Args:
        found: numbers of the steps.
        keys: label and number of each key.
        screen: screen to draw on.
        given: True if the scores are plain numbers from the user.
        room: lines available; None for no limit. If not all keys fit, those with the most weight are shown.
    """
    formulas = drawing(_formulas(found, screen, given=given))
    results = _below(found, keys, screen)
    below = [drawing(results)] if results else []
    everything = np.arange(len(keys))
    if room is not None:
        room -= stacked_height([formulas, *below], screen)
    tables = _tables(found, keys, everything, screen, given=given)
    if room is not None and stacked_height(tables, screen) - 1 > room:
        least = stacked_height(tables, screen) - 1 - len(tables) * len(keys)
        shown = max((room - least) // len(tables) - 1, FEWEST_KEYS)
        if shown < len(keys):
            chosen = np.sort(np.argsort(-found.weights, kind="stable")[:shown])
            tables = _tables(found, keys, chosen, screen, given=given)
    return [formulas, *tables, *below]


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
    summands = [f"+ soft-capping at {found.soft_cap:g}" if name == "soft_capping" else f"+ {name}" for name in added]
    formulas = [("1 score  ", [score, *summands])]
    formulas.append(("2 weight ", [f"exp(score - {_figure(found.maximum)}) / {found.total:.3f}"]))
    if found.context is not None:
        formulas.append(("3 context", [f"sum of weight {times} value"]))
    lines = []
    for name, (first, *rest) in formulas:
        pieces: list[list[Painted]] = [[(name, BOLD), (" = ", DIM), (first, PLAIN)], *([(one, PLAIN)] for one in rest)]
        lines += flow(pieces, screen, between=" ")
    return lines


def _tables(
    found: Explanation, keys: Labels, chosen: Int[np.ndarray, "shown"], screen: Screen, *, given: bool
) -> list[RenderableType]:
    """Draw one table, or several with fewer steps each if the screen is narrow."""
    labels = _RowLabels.of(keys, chosen, found, screen)
    columns = _columns(found, chosen, len(keys), screen, given=given)
    steps = sorted({column.step for column in columns})
    for together in ([steps], [steps[:1], steps[1:]] if len(steps) > 2 else [], [[step] for step in steps]):
        tables = [[column for column in columns if column.step in part] for part in together]
        if tables and all(labels.width + _width(table) <= screen.width for table in tables):
            break
    return [_table(labels, table, found, chosen, screen) for table in tables]


def _width(columns: Sequence[_StepColumn]) -> int:
    return sum(len(GAP) + column.width for column in columns)


def _columns(
    found: Explanation, chosen: Int[np.ndarray, "shown"], keys: int, screen: Screen, *, given: bool
) -> list[_StepColumn]:
    infinite = "-∞" if screen.unicode else "-inf"
    dot = "·" if screen.unicode else "."
    rest = np.setdiff1d(np.arange(keys), chosen)

    def scores(values: Float[np.ndarray, "key"], sink: str = "") -> list[str]:
        texts = [infinite if math.isinf(value) else _figure(value) for value in values[chosen].tolist()]
        return [*texts, *([sink] if found.sink else []), *([""] if len(rest) else [])]

    def shares(values: Float[np.ndarray, "key"], sink: str = "") -> list[str]:
        texts = [_share(value) for value in values[chosen].tolist()]
        return [*texts, *([sink] if found.sink else []), *([_share(float(values[rest].sum()))] if len(rest) else [])]

    columns = []
    if found.products is not None:
        columns.append(_StepColumn(0, "given" if given else f"q{dot}k", scores(found.products)))
    shown = {name: values for name, values in found.parts.items() if len(found.parts) > 1}
    if given and found.products is None:
        shown = {}
    for name, values in shown.items():
        columns.append(_StepColumn(0, NAMES[name].replace("·", dot), scores(values)))
    columns.append(_StepColumn(0, "score", scores(found.scores, _figure(found.sink.score) if found.sink else "")))
    columns.append(
        _StepColumn(1, "exp", shares(found.exponentials, _share(found.sink.exponential) if found.sink else ""))
    )
    weights = shares(found.weights, _share(found.sink.weight) if found.sink else "")
    bars = [*found.weights[chosen].tolist(), *([found.sink.weight] if found.sink else [])]
    if len(rest):
        bars.append(float(found.weights[rest].sum()))
    columns.append(_StepColumn(1, "weight", weights, bars))
    if found.context is not None:
        columns.append(_StepColumn(2, "|value|", scores(found.context.value_norms)))
        columns.append(_StepColumn(2, "share", shares(found.context.shares)))
    return _with_room_for_names(columns)


def _with_room_for_names(columns: Sequence[_StepColumn]) -> list[_StepColumn]:
    roomy = []
    for index, column in enumerate(columns):
        if index == 0 or columns[index - 1].step != column.step:
            own = sum(len(GAP) + other.width for other in columns if other.step == column.step) - len(GAP)
            column = replace(column, least=column.width + max(0, len(STEPS[column.step]) - own))
        roomy.append(column)
    return roomy


@dataclass(frozen=True)
class _RowLabels:
    """Labels at the left of each row."""

    numbers: Sequence[str]
    texts: Sequence[str]
    quiet: Sequence[bool]
    """True for special tokens and for rows that are no key."""

    @classmethod
    def of(cls, keys: Labels, chosen: Int[np.ndarray, "shown"], found: Explanation, screen: Screen) -> _RowLabels:
        states = "additive" in found.parts
        numbers = [f"h{key + 1}" if states else str(keys.positions[key]) for key in chosen.tolist()]
        texts = [clean(keys.texts[key], unicode=screen.unicode) for key in chosen.tolist()]
        quiet = [bool(keys.special[key]) for key in chosen.tolist()]
        if found.sink is not None:
            numbers, texts, quiet = [*numbers, ""], [*texts, "learned sink"], [*quiet, True]
        if len(chosen) < len(keys):
            more = f"{len(keys) - len(chosen)} more"
            numbers, texts, quiet = [*numbers, ""], [*texts, more], [*quiet, True]
        return cls(numbers, texts, quiet)

    @property
    def sizes(self) -> tuple[int, int]:
        return max(map(len, self.numbers), default=0), min(max(map(width, self.texts), default=0), LONGEST_KEY)

    @property
    def width(self) -> int:
        return sum(self.sizes) + 1


def _table(
    labels: _RowLabels,
    columns: Sequence[_StepColumn],
    found: Explanation,
    chosen: Int[np.ndarray, "shown"],
    screen: Screen,
) -> RenderableType:
    number, text = labels.sizes
    hidden: list[str] = []
    columns = list(columns)
    while labels.width + _width(columns) > screen.width and len(columns) > 1:
        hidden.append(columns.pop(0).name)
    left = screen.width - labels.width - _width(columns)
    bar_cells = next(size for size in BARS if size + 1 <= left or size == 0)
    headings: list[Painted] = [(" " * (labels.width), PLAIN)]
    names: list[Painted] = [("key".ljust(labels.width), DIM)]
    for index, column in enumerate(columns):
        size = column.width + (bar_cells + 1 if column.bars and bar_cells else 0)
        first = index == 0 or columns[index - 1].step != column.step
        room = sum(
            other.width + len(GAP) + (bar_cells + 1 if other.bars and bar_cells else 0)
            for other in columns
            if other.step == column.step
        ) - len(GAP)
        if first:
            headings += [(GAP, PLAIN), (fit(STEPS[column.step], room), BOLD)]
        names.append((GAP + column.name.rjust(column.width) + " " * (size - column.width), DIM))
    best = int(found.weights[chosen].argmax())
    weights = next((column.bars for column in columns if column.bars), ())
    masked = np.isneginf(found.scores[chosen])
    lines = [line(*headings), line(*names)]
    for row, label in enumerate(labels.texts):
        quiet = labels.quiet[row] or (row < len(chosen) and bool(masked[row]))
        style = BOLD if row == best else DIM if quiet else PLAIN
        parts: list[Painted] = [
            (labels.numbers[row].rjust(number) + " ", DIM),
            (fit(label, text, unicode=screen.unicode), style),
        ]
        for column in columns:
            faint = column.step == 1 and weights[row] < FAINT
            figure = GAP + column.cells[row].rjust(column.width)
            parts.append((figure, DIM if faint or (row < len(chosen) and masked[row]) else PLAIN))
            if column.bars and bar_cells:
                parts += [(" ", PLAIN), *bar(column.bars[row], bar_cells, screen)]
        lines.append(line(*parts))
    caption = f"Too narrow for {', '.join(hidden)}." if hidden else ""
    return drawing([*lines, *caption_lines(caption, screen)])


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
