"""Outcomes of a run: the part of a model's output that a change of its attention is measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attn_cli.data.shapes import Float, Int
from attn_cli.errors import ModelError

__all__ = ["LIKELIEST", "Chances", "LookbackRatios", "Outcome", "OutputKind", "Wanted", "choose_output"]

LIKELIEST = 4
"""Likeliest tokens of each step: the one written, where that is the likeliest, and three runners-up."""

OutputKind = Literal["next", "target", "mask", "states"]
"""`next`: a decoder's next tokens of the text; `target`: an encoder-decoder's tokens of a target; `mask`: the tokens
that a masked encoder puts in place of mask tokens; `states`: the last hidden state of each position."""


@dataclass(frozen=True)
class Wanted:
    """The part of a model's output that is wanted."""

    output: OutputKind
    places: tuple[int, ...] = ()
    """Positions whose logits are wanted whole: steps of a decoder, or positions of an encoder. Empty for the last step
    of a decoder, the mask tokens of an encoder, and none of an encoder-decoder."""
    tokens: bool = True
    """True to include the log-probability of each token of the text or the target."""
    written: tuple[int, ...] = ()
    """Ids of the token written at each place; with them come the chances at these places, and neither their logits nor
    the log-probabilities of all tokens."""


@dataclass(frozen=True, eq=False)
class Chances:
    """A model's own distribution over its vocabulary (at temperature 1), at each step that wrote a token; float32."""

    log_probabilities: Float[np.ndarray, "step"]
    """Log-probability of the token written, in nats."""
    entropies: Float[np.ndarray, "step"]
    """Shannon entropy, in nats: 0 where one token is certain, ln(vocabulary) where all are alike."""
    likeliest: Int[np.ndarray, "step best"]
    """Ids of the likeliest tokens, the likeliest first."""
    log_likeliest: Float[np.ndarray, "step best"]
    """Their log-probabilities, in nats."""
    spelled: tuple[tuple[str, ...], ...] = ()
    """The likeliest tokens, as they would stand in the text."""
    live: bool = False
    """True if these and the weights were taken while the model wrote, at each step under its cache; False if in one
    pass over its tokens."""

    @property
    def log_probability(self) -> float:
        """Log-probability of all that was written, in nats."""
        return float(self.log_probabilities.sum(dtype=np.float64))

    @property
    def perplexity(self) -> float:
        """The exponential of the mean negative log-probability of a token."""
        return float(np.exp(-self.log_probabilities.mean(dtype=np.float64)))


@dataclass(frozen=True, eq=False)
class LookbackRatios:
    """Ratios m / (m + n) of attention on the prompt and on what was written; see `attn_cli.measure.lookback`."""

    steps: Float[np.ndarray, "step"]
    """The mean ratio over the heads at each step; not-a-number where no head has one."""
    heads: tuple[tuple[int, int, float], ...]
    """Layer, head and mean ratio over the steps, that of the largest mean first."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The output of one run, float32."""

    tokens: Float[np.ndarray, "token"] | None = None
    """Log-probability, in nats, of each token of a decoder's text but the first, or of the target of an
    encoder-decoder without its start token; where asked for."""
    logits: Float[np.ndarray, "place vocabulary"] | None = None
    """Logits at the places wanted."""
    chances: Chances | None = None
    """Chances at the places wanted, where the tokens written there are known."""
    states: Float[np.ndarray, "position dim"] | None = None
    """Last hidden states, in a run for `states`."""
    notes: tuple[str, ...] = ()
    """Notes for the reader of the result, one sentence each."""


def choose_output(wanted: Wanted | None, known: Sequence[OutputKind], name: str) -> Wanted:
    """Return the output to measure: the one wanted, or else the model's own.

    Args:
        wanted: the output wanted; None for the first that is known.
        known: the outputs that the model has.
        name: the model's name, for messages.

    Raises:
        ModelError: the model has no such output.
    """
    if wanted is None:
        return Wanted(known[0])
    if wanted.output not in known:
        raise ModelError(f"{name} has no output of the kind {wanted.output}", f"Choose from {', '.join(known)}")
    return wanted


@dataclass(frozen=True, eq=False)
class SegmentShares:
    """The share of each head's weight on the one segment whose words are the columns."""

    heads: tuple[tuple[int, int, float], ...]
    """Layer, head, and mean of its share over the rows, the largest first."""

    @property
    def mean(self) -> float:
        """The mean over the heads."""
        return sum(share for _, _, share in self.heads) / max(len(self.heads), 1)
