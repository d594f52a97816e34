"""Drawing of each head's effect over the texts of a corpus: an atlas of means, and the largest with their spread."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType

from attn_cli.data.plan import name_head
from attn_cli.data.selection import Kind
from attn_cli.draw.captions import guided_line, model_line, remarks
from attn_cli.draw.layout import FEWEST_ROWS, fitting, room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import caption_lines, drawing, stacked, text_lines
from attn_cli.draw.table import Column, figures, form_of, names, table
from attn_cli.errors import counted
from attn_cli.models.spelled import MASK
from attn_cli.questions.ablate.draw_heading import in_turn, quotation, replaced
from attn_cli.questions.ablate.draw_trials import NOISE, effect_atlases, effects_column
from attn_cli.questions.ablate.effects import HeadEffect, HeadEffects
from attn_cli.questions.ablate.trials import LISTED

__all__ = ["draw_effects"]


def draw_effects(found: HeadEffects, screen: Screen) -> Group:
    """Draw each head's effect over the texts of a corpus."""
    much = f"{counted(found.texts, 'text')}, {counted(found.tokens, 'token')}"
    total = len(found.heads) if len(found.kinds) > 1 else None
    line = model_line(found.record, found.kinds[0], screen, much=much, total=total)
    top = Group(line, *remarks(found.record, found.kinds[0], screen), *guided_line(found.guided, screen))
    turns = in_turn(found.record, [(one.kind, one.layer, one.head) for one in found.heads])
    lines = text_lines(f"{turns}, {replaced(found.instead, found.donor, screen)}", screen)
    lines += caption_lines(f"Output: {_measured(found, screen)}.", screen)
    values: dict[Kind, dict[tuple[int, int], float]] = {kind: {} for kind in found.kinds}
    for one in found.heads:
        values[one.kind][one.layer, one.head] = one.mean
    states = found.output == "states"
    # A mean over tokens is small: two decimals would tell few heads apart.
    every = found.record.selection.all
    ranked = found.ranked if every else found.ranked[:LISTED]
    above: list[RenderableType] = [top, drawing(lines)]
    room = room_left([*above, _heads(found, ranked[:FEWEST_ROWS], screen)], screen, everything=every)
    above += effect_atlases(values, screen, states=states, least=0.0 if states else 1.0, room=room)
    room = room_left(above, screen, everything=every)
    return stacked([*above, fitting(lambda limit: _heads(found, ranked[:limit], screen), len(ranked), screen, room)])


def _heads(found: HeadEffects, some: list[HeadEffect], screen: Screen) -> RenderableType:
    """Draw the heads with the largest mean effects."""
    columns: list[Column] = []
    if len(found.kinds) > 1:
        columns.append(names("kind", [one.kind for one in some], screen))
    columns.append(names("head", [name_head(one.layer, one.head) for one in some], screen, right=True))
    states = found.output == "states"
    form = form_of((one.mean for one in some), ".4f" if states else "+.3f", noise=0.0 if states else NOISE)
    columns.append(effects_column([one.mean for one in some], form=form))
    columns.append(figures("spread", [one.spread for one in some], form=form.removeprefix("+")))
    if found.paired:
        columns.append(figures("moved", [one.moved for one in some]))
    if not states:
        columns.append(figures("changes", [float(one.changed) for one in some], form=".0f", faint=0.0))
    columns.append(figures("focus", [one.focus for one in some], rank=2))
    columns.append(figures("sink", [one.first for one in some], rank=1))
    return table(columns, screen, order="effect", caption=" ".join(_caption(found, len(some))))


def _caption(found: HeadEffects, shown: int) -> list[str]:
    """Say what the columns mean, and how the figures go together over heads."""
    if found.output == "states":
        said = ["effect: 1 - cosine of the mean of the last states, before and after, the mean over texts."]
    elif found.compared:
        said = ["effect: difference of the logits after the cut less before, the mean over texts."]
    else:
        said = ["effect: log-probability of a token after the cut less before, in nats, the mean over texts."]
    said.append("spread: standard deviation over texts.")
    if found.paired:
        said.append("moved: from the text's output, 0, to the other's, 1.")
    if found.output != "states":
        said.append("changes: texts whose likeliest token is then another.")
    if shown < len(found.heads):
        said.append(f"{shown} of {counted(len(found.heads), 'head')}, largest effects first.")
    said.append("sink: weight on the first token.")
    if found.correlation is not None:
        said.append(f"Rank correlation over heads of focus and size of effect: {found.correlation:+.2f}.")
    if found.halves is not None:
        said.append(f"The same effects in every other text and in the rest: {found.halves:+.2f}.")
    return said


def _measured(found: HeadEffects, screen: Screen) -> str:
    """Name the output."""
    if found.output == "states":
        return "last states, and how far they turn (1 - cosine)"
    if found.compared:
        several = "one token less that of another, not the same two in all texts"
        pair = several if found.against is None else " less that of ".join(found.against)
        return f"logit of {pair}, {found.before:+.2f} in the mean"
    chance = f", log-probability {found.before:.2f} for each token" if math.isfinite(found.before) else ""
    return f"{_words_measured(found, screen)}{chance}"


def _words_measured(found: HeadEffects, screen: Screen) -> str:
    """Name the words measured, if they are the same in all texts, or else say what they are."""
    word = None if found.named is None else quotation(found.named, screen)
    if found.output == "target":
        own = "its own translation"
        return {"named": word or "the target", "own": own, "mixed": f"the target, or else {own}"}[found.origin]
    if found.output == "mask":
        likeliest = ", the likeliest" if found.origin == "own" else ""
        return f"{word or 'the word'} in place of {MASK}{likeliest}"
    follows = f"{word} after each text" if word is not None else "what follows each text"
    own = "each next token"
    return {"named": follows, "own": own, "mixed": f"{follows}, or else {own}"}[found.origin]
