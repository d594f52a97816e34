"""Drawing of a logit that is taken apart: the sums of its parts, an atlas of heads, and the heads that add most."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType

from attn_cli.data.plan import name_head
from attn_cli.draw.captions import guided_line, model_line, remarks
from attn_cli.draw.layout import fitting, room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import caption_lines, drawing, stacked, text_lines
from attn_cli.draw.table import Column, figures, form_of, names, numeral, table
from attn_cli.errors import counted, shortened
from attn_cli.models.encoding import named_alone
from attn_cli.questions.ablate.attribution import Attributed, HeadPart
from attn_cli.questions.ablate.draw_heading import replaced
from attn_cli.questions.ablate.draw_trials import TrialDrawing, correlated, effect_atlases, effects_column
from attn_cli.questions.ablate.trials import LISTED

__all__ = ["draw_attribution"]

LONGEST = 24
"""Most letters of a token in a heading."""


def draw_attribution(found: Attributed, screen: Screen) -> Group:
    """Draw what each head adds to the logit by itself, beside the effects of cuts if there are any."""
    kind = found.heads[0].kind
    everything = found.record.selection.all
    top = Group(
        model_line(found.record, kind, screen), *remarks(found.record, kind, screen), *guided_line(found.guided, screen)
    )
    parts: list[RenderableType] = [top, _heading(found, screen), _sums(found, screen), *_atlases(found, screen)]
    ranked = found.ranked if everything else found.ranked[:LISTED]
    room = room_left(parts, screen, everything=everything)
    return stacked([*parts, fitting(lambda limit: _heads(found, ranked[:limit], screen), len(ranked), screen, room)])


def _heading(found: Attributed, screen: Screen) -> RenderableType:
    one, other = (None if name is None else shortened(named_alone(name), LONGEST) for name in found.names)
    said = f"logit of {one}"
    chance = numeral(found.probability, form_of([found.probability], ".2f"))
    if other is not None:
        said += f" less that of {other} after the text"
    elif found.is_likeliest:
        said += f", the likeliest next token ({chance})"
    else:
        said += f" after the text ({chance})"
    sign = "+" if other is not None else ""
    lines = text_lines("What each head adds to the logit by itself", screen)
    lines += caption_lines(f"Output: {said}, {found.attribution.logit:{sign}.2f}.", screen)
    if found.ablation is not None:
        instead = replaced(found.ablation.instead or "zero", found.ablation.donor, screen)
        lines += caption_lines(f"Effects: every head in turn, {instead}.", screen)
    return drawing(lines)


def _sums(found: Attributed, screen: Screen) -> RenderableType:
    """Draw the sum of each kind of part, and of all."""
    parts = found.attribution.parts
    groups = {name: part for name, part in parts.groups.items() if part or name != "biases"}
    columns = [
        names("part", [*groups, "sum"], screen, most=40),
        figures("logit", [*groups.values(), parts.total], form="+.2f"),
    ]
    return table(
        columns,
        screen,
        apart=[len(groups)],
        caption=f"The model's own logit{' difference' if found.names[1] is not None else ''} is "
        f"{found.attribution.logit:.4f}, the sum {parts.total:.4f}. embedding: what enters the first layer.",
    )


def _atlases(found: Attributed, screen: Screen) -> list[RenderableType]:
    values = {(one.layer, one.head): one.part for one in found.heads}
    drawn = effect_atlases({found.heads[0].kind: values}, screen, states=False, name="logit")
    effects = TrialDrawing(found.ablation, screen).atlases() if found.ablation is not None else []
    return [*drawn, *effects]


def _heads(found: Attributed, heads: Sequence[HeadPart], screen: Screen) -> RenderableType:
    """Draw the heads with the largest parts."""
    columns: list[Column] = [
        names("head", [name_head(one.layer, one.head) for one in heads], screen, right=True),
        effects_column([one.part for one in heads], name="logit"),
    ]
    one, other = (None if name is None else shortened(named_alone(name), LONGEST) for name in found.names)
    against = f"for {other}" if other is not None else "against it"
    adds = (
        "logit: what the head adds through the output projection, the normalizations at the scale that they have here "
        f"and the unembedding; above 0, the head speaks for {one}, below 0 {against}."
    )
    said = [adds]
    if found.ablation is not None:
        columns.append(effects_column([one.effect for one in heads]))
        what = "the logits' difference" if other is not None else "the log-probability"
        together = correlated("what a head adds and what its cut takes away", found.correlation)
        said.append(f"effect: {what} after the cut less before. {together}")
    if len(heads) < len(found.heads):
        said.append(f"{len(heads)} of {counted(len(found.heads), 'head')}, largest first; --all shows all.")
    return table(columns, screen, order="logit", caption=" ".join(said))
