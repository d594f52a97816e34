"""Drawing of what becomes of the output: the output, an atlas of effects and a table, or before and after."""

from __future__ import annotations

import numpy as np
from rich.console import Group, RenderableType

from attn_cli.draw.captions import guided_line, model_line, remarks
from attn_cli.draw.layout import FEWEST_ROWS, fitting, room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import stacked
from attn_cli.questions.ablate.attribution import Attributed
from attn_cli.questions.ablate.corpus import Correlations
from attn_cli.questions.ablate.draw_attribution import draw_attribution
from attn_cli.questions.ablate.draw_corpus import draw_corpus
from attn_cli.questions.ablate.draw_effects import draw_effects
from attn_cli.questions.ablate.draw_heading import Heading
from attn_cli.questions.ablate.draw_trials import TrialDrawing
from attn_cli.questions.ablate.effects import HeadEffects
from attn_cli.questions.ablate.trials import LISTED, Ablation

__all__ = ["draw"]


def draw(answer: Ablation | Attributed | Correlations | HeadEffects, screen: Screen) -> Group:
    """Draw the answer of `attn ablate`."""
    if isinstance(answer, Attributed):
        return draw_attribution(answer, screen)
    if isinstance(answer, HeadEffects):
        return draw_effects(answer, screen)
    return draw_corpus(answer, screen) if isinstance(answer, Correlations) else _draw_text(answer, screen)


def _draw_text(found: Ablation, screen: Screen) -> Group:
    """Draw what becomes of the output of one text."""
    drawing = TrialDrawing(found, screen)
    kinds, everything = found.kinds, found.record.selection.all
    heads = len(found.trials) if found.view == "heads" and len(kinds) > 1 else None
    top = Group(
        model_line(found.record, kinds[0], screen, total=heads),
        *remarks(found.record, kinds[0], screen),
        *guided_line(found.guided, screen),
    )
    parts: list[RenderableType] = [top, Heading(found, screen).draw()]
    if found.view == "heads":
        ending = drawing.changes()
        ranked = found.ranked if everything else found.ranked[:LISTED]
        fewest = drawing.heads(ranked[:FEWEST_ROWS])
        parts += drawing.atlases(room_left([*parts, fewest, *ending], screen, everything=everything))
        room = room_left([*parts, *ending], screen, everything=everything)
        parts.append(fitting(lambda limit: drawing.heads(ranked[:limit]), len(ranked), screen, room))
        return stacked([*parts, *ending])
    if found.view == "cut":
        trial = found.trials[0]
        parts += drawing.texts()
        ending = drawing.likeliest(trial)
        sizes = np.abs(trial.after.words - found.before.words)
        fewest = drawing.words(trial, range(min(FEWEST_ROWS, len(sizes))))
        parts += drawing.on_image(trial, room_left([*parts, fewest, *ending], screen, everything=everything))
        words = drawing.fitted(lambda some: drawing.words(trial, some), sizes, [*parts, *ending])
        return stacked([*parts, words, *ending])
    if found.view == "layers":
        return stacked([*parts, drawing.layers()])
    sizes = np.array([abs(trial.effect) for trial in found.trials])
    return stacked([*parts, drawing.fitted(drawing.keys, sizes, parts)])
