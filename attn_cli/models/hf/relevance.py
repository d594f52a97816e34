"""The outputs of a transformers model whose relevance can be measured, each as one number that has gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from attn_cli.data.naming import choose_units
from attn_cli.data.relevance import OutputUnit
from attn_cli.data.text import Tokens
from attn_cli.data.units import Units
from attn_cli.errors import SelectionError, quoted, shortened
from attn_cli.models.capture.delivery import lengths
from attn_cli.models.capture.edited import Edited, edited
from attn_cli.models.capture.relevance import ModelOutput
from attn_cli.models.encoding import named_alone
from attn_cli.models.hf.outputs import logits_of, states_of

__all__ = ["Goal", "filled_masks", "next_token", "similarity", "written_tokens"]

Spell = Callable[[Sequence[int]], list[str]]


@dataclass(frozen=True, eq=False)
class Goal:
    """One number of a model's output."""

    whole: PreTrainedModel
    """The model that computes it."""
    compute: Callable[[Mapping[str, torch.Tensor]], ModelOutput]
    """Function that runs the model on its inputs."""


def next_token(whole: PreTrainedModel, last: int, token: int | None, spell: Spell) -> Goal:
    """Return the logit of the token after a decoder's text.

    Args:
        whole: the model with the layer that chooses words.
        last: position of the text's last token.
        token: id of the token; None for the likeliest.
        spell: a function that spells tokens.
    """

    def compute(given: Mapping[str, torch.Tensor]) -> ModelOutput:
        row = logits_of(whole, given, last)[0, 0]
        chosen = int(row.argmax()) if token is None else token
        name = f"{_spelled(spell, [chosen])} as the next token{_likeliest(token)}"
        return ModelOutput(row[chosen].float(), {last: 1.0}, name, "logit")

    return Goal(whole, compute)


def filled_masks(whole: PreTrainedModel, places: Sequence[int], token: int | None, spell: Spell) -> Goal:
    """Return the sum of the logits of the tokens at an encoder's masks.

    Args:
        whole: the model with the layer that chooses words.
        places: positions of the masks.
        token: id of the token at the only mask; None for the likeliest at each.
        spell: a function that spells tokens.
    """

    def compute(given: Mapping[str, torch.Tensor]) -> ModelOutput:
        rows = logits_of(whole, given, 0)[0, list(places)]
        chosen = rows.argmax(dim=1).tolist() if token is None else [token]
        number = rows[range(len(chosen)), chosen].float().sum()
        name = f"{_spelled(spell, chosen)} at the mask{'s' if len(chosen) > 1 else ''}{_likeliest(token)}"
        return ModelOutput(number, dict.fromkeys(places, 1.0), name, _unit(chosen))

    return Goal(whole, compute)


def written_tokens(whole: PreTrainedModel, target: Tokens, word: str | None, *, own: bool) -> Goal:
    """Return the sum of the logits of the tokens of a target or a continuation, each at the step that writes it.

    Args:
        whole: the model with the layer that chooses words.
        target: the tokens of the decoder's side, the start token or the prompt first.
        word: the only word that is meant; None for all.
        own: True if the model wrote it itself.

    Raises:
        SelectionError: the target has no such word.
    """
    first = target.written or 1
    if target.written is None:
        text = "its translation" if own else "the target"
    else:
        text = "what was written" if own else "what follows the prompt"
    name = text
    positions: list[int] = list(range(first, len(target)))
    if word is not None:
        units = Units.of(target, begins=target.written or 0)
        spans = choose_units(units, word, f"{text}, which is what relevance is measured for")
        chosen = [token for span in spans for unit in span for token in units.token_positions(unit)]
        positions = [token for token in chosen if token >= first]
        if not positions:
            raise SelectionError(
                f"{quoted(word)} is given to the decoder, so nothing can be relevant to it", "Name a word of the target"
            )
        name = f"{shortened(units.text_of(spans[0]))} in {text}"

    def compute(given: Mapping[str, torch.Tensor]) -> ModelOutput:
        steps = [position - 1 for position in positions]
        ids = [target.tokens[position].id or 0 for position in positions]
        number = logits_of(whole, given, 0)[0, steps, ids].float().sum()
        return ModelOutput(number, dict.fromkeys(steps, 1.0), name, _unit(ids))

    return Goal(whole, compute)


def similarity(model: PreTrainedModel, other: Mapping[str, torch.Tensor], text: str) -> Goal:
    """Return the cosine of the mean last states of a text and another.

    Args:
        model: the encoder.
        other: its inputs for the other text.
        text: the other text, for a heading.
    """

    def compute(given: Mapping[str, torch.Tensor]) -> ModelOutput:
        # The other text's run would count as layers of this one.
        own = states_of(model, given)[0].mean(dim=0)
        number = torch.nn.functional.cosine_similarity(own, beside, dim=0)
        count = int(given["input_ids"].shape[1])
        name = f"similarity to “{shortened(text)}”"
        return ModelOutput(number, dict.fromkeys(range(count), 1 / count), name, "cosine")

    with edited(model, Edited(model, [()], lengths(other))):  # with nothing cut, as the model runs on its own text
        beside = states_of(model, other)[0].mean(dim=0)
    return Goal(model, compute)


def _spelled(spell: Spell, tokens: Sequence[int]) -> str:
    return ", ".join(shortened(named_alone(text)) for text in spell(tokens))


def _unit(tokens: Sequence[int]) -> OutputUnit:
    return "sum of logits" if len(tokens) > 1 else "logit"


def _likeliest(token: int | None) -> str:
    return ", the likeliest" if token is None else ""
