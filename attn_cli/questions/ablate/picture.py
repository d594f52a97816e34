"""The picture of what becomes of the output for a paper: the effect of each head."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from attn_cli.data.selection import Kind
from attn_cli.draw.colors import Scale
from attn_cli.draw.picture import PaperPicture, picture_of_heads
from attn_cli.errors import UsageError
from attn_cli.questions.ablate.attribution import Attributed
from attn_cli.questions.ablate.corpus import Correlations
from attn_cli.questions.ablate.effects import HeadEffects
from attn_cli.questions.ablate.trials import Ablation

__all__ = ["picture"]

TINIEST = 1e-9
"""Reach of the scale where nothing has an effect."""


def picture(answer: Ablation | Attributed | Correlations | HeadEffects) -> PaperPicture:
    """Return the effect of cutting each head, or what each adds to a logit.

    Raises:
        UsageError: not every head is cut in turn.
    """
    values, quantity, signed = _effects(answer)
    effects = np.array([effect for heads in values.values() for effect in heads.values()], np.float32)
    reach = max(float(np.abs(effects).max(initial=0)), TINIEST)
    return picture_of_heads(values, Scale.around(effects) if signed else Scale.weights(reach), quantity)


def _effects(
    answer: Ablation | Attributed | Correlations | HeadEffects,
) -> tuple[Mapping[Kind, Mapping[tuple[int, int], float]], str, bool]:
    """Return the heads' effects by kind, what they are, and whether they have a sign."""
    values: defaultdict[Kind, dict[tuple[int, int], float]] = defaultdict(dict)
    if isinstance(answer, Attributed):
        return {answer.heads[0].kind: {(one.layer, one.head): one.part for one in answer.heads}}, "logit", True
    if isinstance(answer, HeadEffects):
        for one in answer.heads:
            values[one.kind][one.layer, one.head] = one.mean
        return values, *_named(states=answer.output == "states", against=answer.against is not None)
    if isinstance(answer, Correlations) or answer.view != "heads":
        raise UsageError(
            "Only the effects of many heads, each cut in turn, have a figure", "Leave out --edge, --by and one --head"
        )
    for trial in answer.trials:
        for layer, heads in trial.heads.items():
            values[trial.kind] |= {(layer, head): trial.effect for head in heads}
    return values, *_named(states=answer.output.states, against=answer.output.against is not None)


def _named(*, states: bool, against: bool) -> tuple[str, bool]:
    if states:
        return "effect (1 − cosine)", False
    return "effect (logit difference)" if against else "effect (log-probability, nats)", True
