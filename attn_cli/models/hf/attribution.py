"""The parts of the logit that a transformers decoder gives a token in one place of a text."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from attn_cli.data.attribution import Attribution
from attn_cli.data.cuts import zeroed
from attn_cli.data.shapes import Float
from attn_cli.models.capture.attributed import attribute
from attn_cli.models.capture.delivery import lengths
from attn_cli.models.capture.edited import Edited, edited
from attn_cli.models.hf.outputs import logits_of
from attn_cli.models.hf.prepared import PretrainedSource

__all__ = ["attribute_logit"]


def attribute_logit(
    source: PretrainedSource, whole: PreTrainedModel, place: int, token: int | None, against: int | None
) -> Attribution:
    """Compute the parts of a logit.

    Args:
        source: the text.
        whole: the model with the layer that chooses words.
        place: the position whose logits are meant.
        token: the token whose logit is taken apart; None for the likeliest.
        against: the token whose logit is taken off; None for nothing.

    Raises:
        ModelError: the logit is not a sum of parts, or the model could not be run.
    """

    def run() -> Float[torch.Tensor, "vocabulary"]:
        return logits_of(whole, source.inputs, place)[0, 0].float()

    cuts = zeroed(source.model.without)
    with edited(source.module, Edited(source.module, [cuts], lengths(source.inputs))):
        own = run()
    chosen = int(own.argmax()) if token is None else token

    def choose(logits: Float[torch.Tensor, "vocabulary"]) -> torch.Tensor:
        return logits[chosen] if against is None else logits[chosen] - logits[against]

    parts, logit = attribute(source.module, whole, source.inputs, run, choose, own, cuts)
    capped = float(choose(own))
    return Attribution(chosen, against, parts, logit, None if abs(capped - logit) < 1e-3 else capped, own.cpu().numpy())
