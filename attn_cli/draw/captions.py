"""The words around a drawing: the model line above it, the legend of a map, and remarks on how to read its numbers."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import partial
from itertools import groupby

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.data.model import NOT_GIVEN, GuidedHead
from attn_cli.data.naming import occurrence
from attn_cli.data.plan import listed, name_head, told_guided
from attn_cli.data.record import Record
from attn_cli.data.selection import Kind, Rows
from attn_cli.data.shapes import Float
from attn_cli.data.stream import key_tokens, query_tokens
from attn_cli.data.suggestion import Suggestion
from attn_cli.data.text import Tokens
from attn_cli.data.units import Units
from attn_cli.data.without import named_without
from attn_cli.draw.colors import Scale
from attn_cli.draw.labels import Labels, clean, clipped, fit, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, caption_lines, cells, drawing, flow, line, text_lines
from attn_cli.errors import counted
from attn_cli.measure.measures import MEASURES

__all__ = [
    "CAPTURED",
    "attends",
    "brightest",
    "cell_note",
    "guided_line",
    "labels_of",
    "model_line",
    "remarks",
    "scale_note",
    "sides",
    "special_label",
    "suggestion_line",
    "translation_text",
    "when",
]

MOST_NAMED = 5
STARTS = ("<pad>", "[PAD]", "</s>")
"""Pieces that mean something else anywhere but in the first place."""
LONGEST_LABEL = 12
"""In the list of the columns with most weight."""

PATHS: Mapping[Kind, str] = {
    "encoder": "the layers from the first to the one named.",
    "decoder": "the layers from the first to the one named; what comes in by cross-attention is left out.",
    "cross": "the layer named, which has no residual connection to the text, and all layers of the encoder.",
}


def remarks(record: Record, kind: Kind, screen: Screen, sink: float | None = None) -> list[RenderableType]:
    """Collect remarks: layers without attention, the measure, hidden keys, a learned sink's share, checks that passed.

    Args:
        record: the record of the run; its maps are not needed.
        kind: the kind of attention shown.
        screen: the screen to draw on.
        sink: mean share of a row that a learned sink takes; None if there is none.

    Returns:
        One drawing of all remarks, or an empty list if there are none.
    """
    said = []
    selection, stacks = record.selection, record.model.stacks
    instead: dict[str, list[int]] = {}
    for layer, name in stacks[kind].without.items() if kind in stacks else ():
        instead.setdefault(name, []).append(layer)
    for name, layers in instead.items():
        which = f"layer{'s' if len(layers) > 1 else ''} {listed(layers)}"
        if name == NOT_GIVEN:
            said.append(f"Not shown: {which}, whose maps were not given.")
            continue
        what = "Not shown" if name.startswith("attention") else "Without attention"
        said.append(f"{what}: {name} in {which}.")
    if remark := MEASURES[selection.measure].remark:
        said.append(remark + (_path(kind, stacks) if selection.joint else ""))
    if record.relevance is not None:
        said.append(f"The output is {record.relevance.output} ({record.relevance.unit} {record.relevance.value:.2f}).")
    hidden = [
        name
        for name, shown in (("special tokens", selection.special), ("the first token", not selection.hides_first(kind)))
        if not shown
    ]
    if hidden:
        rest = "the rest of each row is renormalized to sum to 1"
        if selection.scores:
            rest = "scores stay as they are, and the mean of a row is that of the remaining keys"
        said.append(f"Without {' and '.join(hidden)}: {rest}.")
    if sink is not None:
        said.append(f"A learned sink takes {sink:.2f} of the average row; the weights sum to the rest.")
    if checks := _verified(record):
        said.append(f"Verified: {' and '.join(checks)}.")
    lines = caption_lines(" ".join(said), screen)
    return [drawing(lines)] if lines else []


def guided_line(guided: Sequence[GuidedHead], screen: Screen, *, lead: str = "") -> list[RenderableType]:
    """Say of heads that are shown that they were trained to look where they look.

    Args:
        guided: the heads.
        screen: the screen to draw on.
        lead: text before the line: the model's name, if heads of several models are shown.

    Returns:
        One drawing, or an empty list if there are no such heads.
    """
    if not guided:
        return []
    if len(guided) == 1:
        (head,) = guided
        said = f"{lead}{told_guided(head)}"
        whole = f"{said}, on {head.on}."
        return [drawing(caption_lines(whole if width(whole) <= screen.width else f"{said}.", screen))]
    several = len({head.kind for head in guided}) > 1
    listed = [
        (f"{kind} " if several and not index else "") + f"{name_head(head.layer, head.head)} ({head.title})"
        for kind, heads in groupby(guided, key=lambda head: head.kind)
        for index, head in enumerate(heads)
    ]
    return [drawing(caption_lines(f"{lead}Trained to look where they look: {', '.join(listed)}.", screen))]


def suggestion_line(suggestion: Suggestion, default_model: str, screen: Screen) -> RenderableType:
    """Draw the command to try next, with `TEXT` for the text where it has no room on one line.

    Args:
        suggestion: the command.
        default_model: the model that commands take by themselves.
        screen: the screen to draw on.
    """
    lead = "Try next: "
    whole = suggestion.typed(default_model)
    if clean(whole, unicode=screen.unicode) == whole and width(lead + whole) <= screen.width:
        return drawing([line((lead + whole, DIM))])
    return drawing(text_lines(lead + suggestion.typed(default_model, placeholder="TEXT"), screen, DIM))


def _verified(record: Record) -> list[str]:
    """Return the results of `--verify`, each as half a sentence."""
    checks = []
    if record.verified is not None:
        checks.append(f"softmax(scores)·values is what the layers computed, within {record.verified:.1e}")
    if record.output is not None:
        what = ", ".join(record.output.compared)
        uncut = ", with no head cut in either" if record.model.without else ""
        checks.append(
            f"the {what} is that of the model without attn ({record.output.attention} attention){uncut}, within "
            f"{record.output.difference:.1e}"
        )
    return checks


def _path(kind: Kind, stacks: Container[Kind]) -> str:
    """Return the words for the layers that a measure over several layers combines."""
    if kind == "decoder" and "cross" not in stacks:
        return PATHS["encoder"]
    if kind == "cross" and "encoder" not in stacks:
        return "the layer named alone, whose weights it is: the encoder has no attention to go on through."
    return PATHS[kind]


def labels_of(units: Units) -> Labels:
    """Make the row or column labels of these units."""
    labels = tuple(
        special_label(label, first=place == 0 and units.shows_first and not units.output) if special else label
        for place, (label, special) in enumerate(zip(units.labels, units.special, strict=True))
    )
    return Labels(labels, units.special, units.positions, partial(occurrence, units), units.second_segment)


def special_label(piece: str, *, first: bool) -> str:
    """Return the label of a special token: its piece, but `<start>` for the padding or the end that a text begins with.

    An encoder-decoder starts its translation with such a token, for want of one of its own.
    """
    return "<start>" if first and piece in STARTS else piece


def translation_text(text: str, screen: Screen) -> RenderableType:
    """Draw a translation on as many lines as it takes."""
    return drawing(text_lines(text, screen) if text.strip() else caption_lines("(The model wrote nothing.)", screen))


CAPTURED: Mapping[str, str] = {
    "interface": "captured inside the model's attention",
    "hooks": "captured from its layers' outputs",
    "numpy": "computed by attn",
    "given": "given as a matrix",
}

GIVEN_KINDS: Mapping[Kind, str] = {
    "encoder": "self-attention",
    "decoder": "causal self-attention",
    "cross": "rows to columns",
}
"""The kind of a matrix whose model is not known."""


def model_line(
    record: Record,
    kind: Kind,
    screen: Screen,
    *,
    lead: str = "",
    much: str = "",
    total: int | None = None,
) -> Group:
    """Draw the model's name, shape, input size, capture method and cut heads, on as few lines as possible.

    Args:
        record: the record of the run; its maps are not needed.
        kind: the kind of attention shown.
        screen: the screen to draw on.
        lead: text before the model's name.
        much: size of the input if it is not one text; by default the words and tokens of the record's text.
        total: number of heads if attention of several kinds is shown, for the shape of one kind.
    """
    model, source, target = record.model, record.source, record.target
    stack = model.stacks[kind]
    times, dot = ("×", " · ") if screen.unicode else ("x", ", ")
    counts = sorted(set(stack.heads.values()))
    heads = ("–" if screen.unicode else "-").join(str(count) for count in counts[:: max(len(counts) - 1, 1)])
    layers = counted(stack.layers, "layer") if not stack.without else f"{len(stack.heads)} of {stack.layers} layers"
    groups = f", {stack.key_value_heads} key-value heads" if counts and stack.key_value_heads < counts[-1] else ""
    shape = f"{layers} {times} {heads} head{'' if heads == '1' else 's'}{groups}"
    if much:
        read = [much]
    elif (kind == "cross" or total is not None) and target is not None:
        read = [f"source {_counted(source)}", f"target {_counted(target)}"]
    else:
        read = [_counted(source if target is None or kind == "encoder" else target)]
    named = f"{model.family} {'cross-attention' if kind == 'cross' else kind}"
    if model.captured == "given":
        named, read = GIVEN_KINDS[kind], [f"{len(query_tokens(record, kind))} {times} {len(key_tokens(record, kind))}"]
    facts = [
        model.family if total is not None else named,
        counted(total, "head")
        if total is not None
        else f"{layers}, heads averaged"
        if record.selection.joint
        else shape,
        *read,
        model.dtype if model.device == "cpu" else f"{model.dtype} on {model.device}",
        CAPTURED[model.captured],
    ]
    name = clean(model.name, unicode=screen.unicode)
    # The end of a long path is more informative than its start.
    size = min(width(name), screen.width // 2)
    pieces: list[list[Part]] = [[(lead, DIM), (fit(name, size, keep="end", unicode=screen.unicode), BOLD)]]
    pieces += [[(clean(fact, unicode=screen.unicode), DIM)] for fact in facts]
    if model.without:
        pieces.append([(named_without(model.without, model.stacks), PLAIN)])
    return drawing(flow(pieces, screen, between=dot))


def _counted(tokens: Tokens) -> str:
    if (grid := tokens.grid) is not None:
        rows, columns = counted(grid.rows, "row"), f"{grid.columns} patch{'' if grid.columns == 1 else 'es'}"
        return f"{grid.name}: {rows} of {columns}, {counted(len(tokens), 'token')}"
    return f"{counted(len(tokens.words), 'word')}, {counted(len(tokens), 'token')}"


def when(rows: Rows) -> str:
    """Name the decoder step that a word's row belongs to."""
    return "when written" if rows == "output" else "when read"


def attends(kind: Kind, rows: Rows | None) -> str:
    """Say what rows and columns are.

    Args:
        kind: the kind of attention.
        rows: the decoder step that a row belongs to; None where it goes without saying, or is not known.
    """
    if kind == "cross" and rows is None:
        return "rows attend to columns"
    row, column = sides(kind, rows)
    return f"rows ({row}) attend to columns ({column})"


def sides(kind: Kind, rows: Rows | None) -> tuple[str, str]:
    """Name what the rows and the columns of a map are; see `attends`."""
    if kind == "cross":
        return ("rows", "columns") if rows is None else (f"target, {when(rows)}", "source")
    return f"words, {when(rows)}" if rows == "output" else "queries", "keys"


def brightest(key: Labels, totals: Float[np.ndarray, "key"], screen: Screen) -> list[Text]:
    """Name the columns with the largest totals, the brightest of a mosaic, on one line."""
    parts: list[Part] = [("most weight in columns", DIM)]
    for column in np.argsort(-totals, kind="stable")[:MOST_NAMED]:
        place = f" {key.positions[column]} "
        label = clipped(key.texts[column], LONGEST_LABEL, unicode=screen.unicode)
        if cells(parts) + len(place) + width(label) + 1 > screen.width:
            break
        parts += [("," if len(parts) > 1 else "", DIM), (place, DIM), (label, PLAIN)]
    return [line(*parts)]


def cell_note(rows: int, columns: int, unit: str, measure: str, screen: Screen) -> str:
    """Say how many units one cell stands for; empty if it is one."""
    rows *= 1 if screen.color and screen.unicode else 2
    if rows == columns == 1:
        return ""
    return f"cell = largest {measure} of {rows} {'×' if screen.unicode else 'x'} {columns} {_several(unit)}"


def _several(unit: str) -> str:
    """Return the plural of a unit's name."""
    return f"{unit}es" if unit.endswith("ch") else f"{unit}s"


def scale_note(scale: Scale) -> str:
    """Say that a scale of weights or their changes does not end at 1; empty if it does."""
    return f"the scale ends at {f'{scale.high:.3g}'.removeprefix('0')}, not at 1" if scale.high != 1 else ""
