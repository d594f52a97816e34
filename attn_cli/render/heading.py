"""What stands above a drawing, below the line on the model: what a reader must know before believing the numbers."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np
from rich.console import RenderableType

from attn_cli.record import Record
from attn_cli.render.paint import caption_lines, drawing
from attn_cli.render.screen import Screen
from attn_cli.selection import Kind, Measure

__all__ = ["listed", "remarks"]

SAID: Mapping[Measure, str] = {
    "scores": "Scores: before the softmax, between the model's own pieces, since a word of several has no single one.",
    "norms": "Norms: the length of weight·value·output projection, as a share of each row's.",
    "rollout": "Rollout: half of each layer's mean weights and half of the residual connection, multiplied over ",
    "flow": "Flow: the most that can pass through half of each layer's mean weights and half of the residual "
    "connection, over ",
}
PATHS: Mapping[Kind, str] = {
    "encoder": "the layers from the first to the one named.",
    "decoder": "the layers from the first to the one named; what comes in by cross-attention is left out.",
    "cross": "the layer named, which has no residual connection to the text, and all layers of the encoder.",
}


def remarks(record: Record, kind: Kind, screen: Screen, sinks: Sequence[float] = ()) -> list[RenderableType]:
    """Layers without attention, what is hidden, what a learned sink takes, what was verified; or nothing.

    Args:
        record: of the run; its maps are not needed.
        kind: which of the model's stacks is shown.
        screen: where.
        sinks: shares of rows that a learned sink takes.
    """
    said = []
    selection, stacks = record.selection, record.model.stacks
    instead: dict[str, list[int]] = {}
    for layer, name in stacks[kind].without.items() if kind in stacks else ():
        instead.setdefault(name, []).append(layer)
    for name, layers in instead.items():
        what = "Not shown" if name.startswith("attention") else "Without attention"
        said.append(f"{what}: {name} in layer{'s' if len(layers) > 1 else ''} {listed(layers)}.")
    if selection.measure in SAID:
        said.append(SAID[selection.measure] + (_path(kind, stacks) if selection.joint else ""))
    hidden = [
        name
        for name, shown in (("special tokens", selection.special), ("the first token", selection.sink))
        if not shown
    ]
    if hidden:
        rest = "the rest of each row is renormalised to sum to 1"
        if selection.scores:
            rest = "scores stay as they are, and the mean of a row is that of the keys that are left"
        said.append(f"Without {' and '.join(hidden)}: {rest}.")
    if sinks:
        share = float(np.mean(sinks))
        said.append(f"A learned sink takes {share:.2f} of the average row; the weights sum to the rest.")
    if checks := _verified(record):
        said.append(f"Verified: {' and '.join(checks)}.")
    lines = caption_lines(" ".join(said), screen)
    return [drawing(lines)] if lines else []


def _verified(record: Record) -> list[str]:
    """What `--verify` found, each in half a sentence."""
    checks = []
    if record.verified is not None:
        checks.append(f"softmax(scores)·values is what the layers computed, within {record.verified:.1e}")
    if record.output is not None:
        what = ", ".join(record.output.compared)
        checks.append(
            f"the {what} is that of the model without attn ({record.output.attention} attention), within "
            f"{record.output.difference:.1e}"
        )
    return checks


def _path(kind: Kind, stacks: Container[Kind]) -> str:
    """Over which layers."""
    if kind == "decoder" and "cross" not in stacks:
        return PATHS["encoder"]
    if kind == "cross" and "encoder" not in stacks:
        return "the layer named alone, whose weights it is: the encoder has no attention to go on through."
    return PATHS[kind]


def listed(numbers: Sequence[int]) -> str:
    """`0-2, 5`: numbers in order, with runs drawn together."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
