"""Drawing of what a model wrote: for each word its probability, what it looked at, and what it might have written."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from rich.console import RenderableType

from attn_cli.data.outcomes import Chances
from attn_cli.data.plan import Plan, name_head
from attn_cli.data.shapes import Float
from attn_cli.data.text import Tokens
from attn_cli.draw.captions import labels_of
from attn_cli.draw.heatmap import heatmap
from attn_cli.draw.labels import Labels, clean, clipped, fit_name, name_width, width
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, caption_lines, cells, drawing, text_lines
from attn_cli.draw.table import GAP, Column, Rest, bars, figures, table
from attn_cli.errors import counted
from attn_cli.measure.telling import resting
from attn_cli.questions.inspect.figures import AlignmentFigures, Figures, WrittenFigures

__all__ = ["step_table", "text_written", "written_map", "written_view"]

LONGEST = 12
"""Most cells of a word in the table."""
MOST_LOOKED_AT, MOST_OTHERS = 3, 3
"""Most words that a row looked at, and most tokens that might have stood there, that are listed."""
NARROWEST = 12
"""Cells that the last column must have."""
NARROWER = (6, 3)
"""Cells of a bar where there is little room."""
FAINT, LEAST = 0.05, 0.005
"""Share below which a word is dimmed, and below which only the first is listed."""


def text_written(side: Tokens, screen: Screen) -> RenderableType:
    """Draw what was written behind a prompt, on as many lines as it takes."""
    begin = side.tokens[side.written].start if side.written is not None else 0
    text = side.text[begin:].strip()
    return drawing(text_lines(text, screen) if text else caption_lines("(The model wrote nothing.)", screen))


def written_map(figures: WrittenFigures, screen: Screen, room: int | None) -> Sequence[RenderableType]:
    """Draw the mean map of the heads: a row for each word written."""
    plan = figures.plan
    view = written_view(figures)
    noun = plan.selection.noun.capitalize()
    if plan.head_count == 1:
        ((layer, (head,)),) = plan.heads.items()
        title = f"{noun}s of head {name_head(layer, head)}"
    else:
        title = f"Mean {plan.selection.noun} of {plan.head_count:,} heads"
    numbers = plan.selection.all
    return [heatmap(view, screen, title=title, numbers=numbers, mark_strongest=True, room=room, legible=True)]


def written_view(figures: WrittenFigures) -> MapView:
    """Convert the map of what was written for a heatmap."""
    plan, mean = figures.plan, figures.mean
    return MapView(
        mean.values,
        labels_of(plan.queries),
        labels_of(plan.keys),
        plan.kind,
        plan.selection.drawn,
        plan.selection.unit,
        mean.visible,
        plan.rows,
        plan.selection.noun,
    )


def step_table(chances: Chances, figures_: Figures, screen: Screen) -> RenderableType:
    """Draw a row for each word written; with input rows, no row for the start token and the last, which no step reads.

    Args:
        chances: the chances at each step.
        figures_: the figures of the run, which have the map of the words looked at, if one map is shown.
        screen: the screen to draw on.
    """
    plan = figures_.plan
    shown = range(len(plan.queries)) if plan.chosen is None else plan.chosen
    written = {row: own for row in shown if (own := _steps(plan, row, len(chances.entropies)))}
    if not written:
        return drawing(caption_lines(_summary(chances), screen))
    rows, steps = list(written), list(written.values())
    labels = labels_of(plan.queries)
    logs = [float(chances.log_probabilities[own].sum()) for own in steps]
    shares = [float(np.exp(one)) for one in logs]
    words = _words([labels.parts(row) for row in rows], [labels.special[row] for row in rows], screen)
    entropies = [float(chances.entropies[own].mean()) for own in steps]
    columns = [words, bars("p", shares, screen), figures("entropy", entropies, rank=4, faint=0.0)]
    said = _summary(chances)
    if isinstance(figures_, WrittenFigures):
        back = figures_.lookback.result.steps
        columns.append(figures("lookback", [_mean(back[own]) for own in steps], rank=5))
        said += _most_back(figures_)
    values = _map_of(figures_)
    if values is not None:
        aside = resting(plan.keys.special, plan.kind, first=plan.keys.shows_first)
        if aside.any():
            kept = [float(values[row, aside].sum()) for row in rows]
            columns.append(figures("aside", kept, rank=3, note=_aside_note(plan)))
        columns.append(_looked_at([np.where(aside, 0, values[row]) for row in rows], labels_of(plan.keys), screen))
    narrower = [[words, bars("p", shares, screen, size=size), *columns[2:]] for size in NARROWER]
    others = [_others(chances, own[0]) for own in steps]
    rest = Rest(NARROWEST, lambda room: _might(others, room, screen))
    return table(columns, screen, narrower=narrower, rest=rest, caption=said)


def _steps(plan: Plan, row: int, count: int) -> list[int]:
    """Return the steps that wrote the tokens of a row's word."""
    # The row of a token that is read is one further down, and that of an encoder-decoder's start token was not written.
    first = plan.begins + (plan.rows == "input" and not plan.begins)
    return [token - first for token in plan.queries.token_positions(row) if 0 <= token - first < count]


def _mean(ratios: Float[np.ndarray, "step"]) -> float | None:
    known = ratios[~np.isnan(ratios)]
    return float(known.mean()) if len(known) else None


def _map_of(figures_: Figures) -> Float[np.ndarray, "query key"] | None:
    """Return the map of the heads shown, with a share for each key; None where there is no such map."""
    if figures_.plan.selection.scores:
        return None
    if isinstance(figures_, WrittenFigures):
        return figures_.mean.values
    if isinstance(figures_, AlignmentFigures) and figures_.alignment.map.pooled is None:
        return figures_.alignment.map.values
    return None


def _aside_note(plan: Plan) -> str:
    first = plan.kind == "decoder" and plan.keys.shows_first
    if not any(plan.keys.special):
        what = "the first token, where heads rest"
    else:
        what = "special tokens and the first, where heads rest" if first else "special tokens"
    return f"aside: the row's share on {what}; the words looked at are without it."


def _summary(chances: Chances) -> str:
    count = counted(len(chances.entropies), "token")
    return (
        f"All of it: log-probability {chances.log_probability:.2f} over {count}, perplexity {chances.perplexity:.2f}."
    )


def _most_back(figures_: WrittenFigures) -> str:
    heads = figures_.lookback.result.heads
    if len(heads) < 2:
        return ""
    named = ", ".join(f"{name_head(layer, head)} {ratio:.2f}" for layer, head, ratio in heads[:3])
    return f" Heads that look back most (attn terms lookback): {named}."


def _words(names: Sequence[tuple[str, str]], special: Sequence[bool], screen: Screen) -> Column:
    size = min(max(name_width(name, unicode=screen.unicode) for name in names), LONGEST)
    fit = partial(fit_name, unicode=screen.unicode)
    drawn = [[(fit(name, size), DIM if dim else BOLD)] for name, dim in zip(names, special, strict=True)]
    return Column("word", drawn, right=False)


def _looked_at(rows: Sequence[Float[np.ndarray, "key"]], keys: Labels, screen: Screen) -> Column:
    """Make the column of the words that each row looked at most."""
    most = 1 if screen.width < 76 else 2 if screen.width < 110 else MOST_LOOKED_AT
    size = LONGEST if screen.width >= 72 else LONGEST - 4
    found = [[int(key) for key in np.argsort(-row, kind="stable")[:most]] for row in rows]
    found = [own[:1] + [key for key in own[1:] if row[key] >= LEAST] for row, own in zip(rows, found, strict=True)]
    widths = [
        max(
            (min(name_width(keys.parts(own[rank]), unicode=screen.unicode), size) for own in found if len(own) > rank),
            default=0,
        )
        for rank in range(most)
    ]
    drawn: list[list[Part]] = []
    for row, own in zip(rows, found, strict=True):
        parts: list[Part] = []
        for rank, key in enumerate(own):
            style = DIM if row[key] < FAINT else PLAIN
            name = fit_name(keys.parts(key), widths[rank], unicode=screen.unicode)
            parts += [(GAP if rank else "", PLAIN), (name, style), (f" {row[key]:.2f}", style)]
        drawn.append(parts)
    return Column("looks at", drawn, right=False, rank=1)


def _others(chances: Chances, step: int) -> list[tuple[str, float]]:
    """Return the likeliest tokens other than the one written, with their probabilities."""
    own = float(chances.log_probabilities[step])
    logs = chances.log_likeliest[step].tolist()
    # The token written is the one of the likeliest that has its probability; it may be none of them.
    mine = next((place for place, one in enumerate(logs) if abs(one - own) < 1e-6), None)
    listed = zip(chances.spelled[step], logs, strict=True)
    return [(text, float(np.exp(log))) for place, (text, log) in enumerate(listed) if place != mine][:MOST_OTHERS]


def _might(others: Sequence[Sequence[tuple[str, float]]], room: int, screen: Screen) -> Column:
    """Make the column of what might have been written, as much as there is room for."""
    drawn: list[list[Part]] = []
    for own in others:
        parts: list[Part] = []
        for text, share in own:
            most = min(LONGEST, room - len(" 0.00"))
            name = clipped(clean(text.strip() or text, unicode=screen.unicode), most, unicode=screen.unicode)
            item: list[Part] = [(GAP if parts else "", PLAIN), (name, PLAIN), (f" {share:.2f}", DIM)]
            if cells(parts) + cells(item) > room:
                break
            parts += item
        drawn.append(parts)
    name = "might have written"
    return Column(name if width(name) <= room else "instead", drawn, right=False)
