"""Drawing of what each word is for an output, and of the heads that handed it on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType

from attn_cli.data.record import Record
from attn_cli.data.relevance import Relevance
from attn_cli.data.selection import Kind
from attn_cli.draw.atlas import Written, atlas
from attn_cli.draw.colors import Scale
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import drawing, title_lines
from attn_cli.draw.table import bars, names, table
from attn_cli.measure.relevance import RelevantWords, relevant_words

__all__ = ["relevance_of_words"]

MOST = 16
"""Most words that are listed without `--all`."""


def relevance_of_words(record: Record, kind: Kind, screen: Screen) -> list[RenderableType]:
    """Draw the relevance of each word for the output, and the share that each head of a kind handed on.

    Args:
        record: the record of the run.
        kind: the kind of attention shown.
        screen: the screen to draw on.

    Returns:
        The drawings; an empty list if relevance was not measured.
    """
    relevance = record.relevance
    if relevance is None:
        return []
    title = f"Relevance for {relevance.output}"
    sides = [_words(side, screen, everything=record.selection.all) for side in relevant_words(record)]
    return [
        Group(drawing(title_lines(title, screen)), sides[0]),
        *sides[1:],
        *_heads(relevance, kind, screen),
    ]


def _words(side: RelevantWords, screen: Screen, *, everything: bool) -> RenderableType:
    """Draw the words of one side in their order, or those with the most relevance."""
    count = len(side.units)
    listed: Sequence[int] = range(count)
    said = "share: of the relevance of all words shown."
    if count > MOST and not everything:
        listed = sorted(np.argsort(-side.shares, kind="stable")[:MOST].tolist())
        said += f" {MOST} of {count:,} words, those with the most; --all shows all."
    if side.first is not None:
        said += f" Without the first token, which has {side.first:.2f} of all; --sink shows it."
    shares = [float(side.shares[index]) for index in listed]
    columns = [
        names("word" if side.units.unit == "word" else "token", [side.units.labels[index] for index in listed], screen),
        bars("share", shares, screen, high=max(shares, default=1.0)),
    ]
    return table(columns, screen, caption=said)


def _heads(relevance: Relevance, kind: Kind, screen: Screen) -> list[RenderableType]:
    layers = relevance.heads.get(kind, {})
    total = sum(float(heads.sum()) for one in relevance.heads.values() for heads in one.values()) or 1.0
    values = {
        (layer, head): 100 * float(value) / total for layer, heads in layers.items() for head, value in enumerate(heads)
    }
    reach = Scale.reaching(np.array(list(values.values()), np.float32) / 100)
    return atlas(
        values,
        screen,
        name="%",
        scale=Scale.weights(100 * reach.high, clipped=reach.clipped),
        written={place: Written(f"{value:.1f}", " ") for place, value in values.items()},
        title=f"Handed on by each {kind} head",
        caption="%: of the relevance that all heads of the model hand on.",
    )
