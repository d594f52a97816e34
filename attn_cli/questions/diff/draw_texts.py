"""Header of a comparison: one model or two, and the texts with their differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rich.console import RenderableType

from attn_cli.data.stream import largest_check
from attn_cli.data.without import named_without
from attn_cli.draw.captions import guided_line, model_line, remarks
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import caption_lines, drawing, emphasized, text_lines
from attn_cli.questions.diff.measure import Differences

__all__ = ["models", "texts"]


def models(found: Differences, screen: Screen) -> list[RenderableType]:
    """Draw the line on the model, or on each model if they differ; one line on the heads that the same model lacks."""
    kind = found.plans[0].kind
    sides = {"A": found.a, "B": found.b}
    whole = {name: replace(record, model=replace(record.model, without={})) for name, record in sides.items()}
    same = whole["A"].model == whole["B"].model
    if found.a.model == found.b.model:
        lines: list[RenderableType] = [model_line(found.a, kind, screen)]
    elif same:
        lines = [model_line(whole["A"], kind, screen)]
        lines += [
            drawing(text_lines(f"{name} {named_without(record.model.without, record.model.stacks)}", screen))
            for name, record in sides.items()
            if record.model.without
        ]
    else:
        lines = [model_line(record, kind, screen, lead=f"{name} ") for name, record in sides.items()]
    verified = [record.verified for record in (found.a, found.b) if record.verified is not None]
    output = largest_check(record.output for record in (found.a, found.b))
    said = (
        "Heads are compared by their numbers: in models trained separately, heads of one number need not do the same."
    )
    return [
        *lines,
        *remarks(replace(found.a, verified=max(verified, default=None), output=output), kind, screen),
        *_guided(found, screen),
        *([] if same else [drawing(caption_lines(said, screen))]),
    ]


def _guided(found: Differences, screen: Screen) -> list[RenderableType]:
    """Say which heads were trained to look where they look: of both models at once if they are the same."""
    one, other = found.guided_in(found.a), found.guided_in(found.b)
    if one == other:
        return guided_line(one, screen)
    return [*guided_line(one, screen, lead="A: "), *guided_line(other, screen, lead="B: ")]


def texts(found: Differences, screen: Screen) -> list[RenderableType]:
    """Draw both texts, with the words that differ in bold; of images, their names."""
    if found.a.source.grid is not None:
        one_name, other_name = found.a.source.name, found.b.source.name
        said = one_name if one_name == other_name else f"A {one_name}, B {other_name}"
        return [drawing(text_lines(f"{said}, patch by patch", screen))]
    sides = [(found.a.source, found.b.source)]
    if found.a.target is not None and found.b.target is not None:
        sides.append((found.a.target, found.b.target))
    drawn: list[RenderableType] = []
    for one, other in sides:
        if one.text == other.text:
            drawn.append(drawing(emphasized(one.text, one.text, screen)))
        else:
            drawn += [
                drawing(emphasized(one.text, other.text, screen, lead="A ")),
                drawing(emphasized(other.text, one.text, screen, lead="B ")),
            ]
    overlaid = caption_lines(_overlaid(found), screen)
    return [*drawn, *([drawing(overlaid)] if overlaid else [])]


def _overlaid(found: Differences) -> str:
    """Count the units that are the same, that differ, and that stand in one text only."""
    queries = found.queries
    unit = f"{found.plans[0].selection.unit}s"
    plain = ~np.asarray(queries.special, np.bool_)
    same = np.asarray(queries.same, np.bool_) & plain
    replaced = int((queries.both & plain & ~same).sum())
    alone = [
        f"{count} only in {name}"
        for name, missing in (("A", queries.b), ("B", queries.a))
        if (count := int(((missing < 0) & plain).sum()))
    ]
    if not replaced and not alone:
        return ""
    differ = [f"{replaced} differ{'s' if replaced == 1 else ''}"] if replaced else []
    count = int(same.sum())
    said = [f"{count} {unit[:-1]} is the same" if count == 1 else f"{count} {unit} are the same", *differ]
    without = f", {' and '.join(alone)}, whose rows cannot be compared" if alone else ""
    return f"{', '.join(said)}{without}."
