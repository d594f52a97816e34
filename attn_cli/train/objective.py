"""The training loss: the surprise at each token of the translation, and the losses of the guided heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from attn_cli.data.model import GuidedHead, GuidedRole
from attn_cli.data.shapes import Bool, Float, Int
from attn_cli.models.toy.transformer import See

__all__ = ["Guide", "Learner", "Losses", "objective", "quick_dropout", "surprise"]

SMOOTHING = 0.1
"""Share of the target probability spread over the whole vocabulary (Szegedy et al. 2016)."""


@runtime_checkable
class Learner(Protocol):
    """A model that can be trained."""

    def states(
        self, source: Int[torch.Tensor, "batch source"], read: Int[torch.Tensor, "batch target"], see: See | None
    ) -> Float[torch.Tensor, "batch target dim"]:
        """Return the decoder's state after each token that it reads."""

    def logits(self, states: Float[torch.Tensor, "*batch dim"]) -> Float[torch.Tensor, "*batch vocabulary"]:
        """Compute the logits of the next token from the states."""


@dataclass(frozen=True)
class Guide:
    """Heads to train towards links, and the weight of their losses beside the translation's."""

    heads: Mapping[GuidedRole, GuidedHead]
    weight: float = 0.1


Surprise = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
Losses = tuple[Float[torch.Tensor, ""], Float[torch.Tensor, ""], Float[torch.Tensor, "guided"]]
"""The loss; its parts: the surprise, and the loss of each guided head."""


def objective(
    model: Learner,
    guide: Guide,
    surprised: Surprise,
    source: Int[torch.Tensor, "batch source"],
    read: Int[torch.Tensor, "batch target"],
    places: Int[torch.Tensor, "token"],
    written: Int[torch.Tensor, "token"],
    *targets: Bool[torch.Tensor, "batch _query _key"],
) -> Losses:
    """Compute the loss and its parts: cross-entropy in nats per token, and the loss of each guided head.

    Args:
        model: model to train.
        guide: heads to guide.
        surprised: `surprise`, or a compiled form of it.
        source: tokens of the texts.
        read: tokens that the decoder reads.
        places: indices, in `read` laid flat, at which there are tokens to write.
        written: tokens to write at these places.
        targets: for each guided head, True where a query should look at a key.
    """
    wanted = {place: index for index, place in enumerate(guide.heads.values())}
    losses = [torch.zeros(())] * len(targets)

    def see(kind: str, layer: int, _scores: object, weights: torch.Tensor, *_: object) -> None:
        for place, index in wanted.items():
            if (kind, layer) == (place.kind, place.layer):
                losses[index] = _guided(weights[:, place.head], targets[index])

    states = model.states(source, read, see if wanted else None)
    flat = states.reshape(-1, states.shape[-1])[places]
    surprised_by, spread = surprised(model.logits(flat), written)
    guided = torch.stack(losses) if losses else torch.zeros(0)
    total = (1 - SMOOTHING) * surprised_by + SMOOTHING * spread + guide.weight * guided.sum()
    return total, surprised_by, guided


def surprise(
    logits: Float[torch.Tensor, "token vocabulary"], written: Int[torch.Tensor, "token"]
) -> tuple[Float[torch.Tensor, ""], Float[torch.Tensor, ""]]:
    """Compute the mean cross-entropy with the tokens written, and with a uniform distribution over the vocabulary."""
    logits = logits.float()
    normalizer = torch.logsumexp(logits, dim=-1)
    # A masked sum and not a look-up, so that its gradient is computed in one pass over the logits with the rest.
    true = torch.arange(logits.shape[-1], dtype=torch.int32, device=logits.device) == written[:, None].int()
    return (normalizer - (logits * true).sum(dim=-1)).mean(), (normalizer - logits.mean(dim=-1)).mean()


def _guided(
    weights: Float[torch.Tensor, "batch query key"], links: Bool[torch.Tensor, "batch query key"]
) -> Float[torch.Tensor, ""]:
    """Average -log of the weight on linked keys over queries that have any (after Garg et al. 2019, equation 3)."""
    rows = links.any(dim=-1)
    found = -torch.log((weights.float() * links).sum(dim=-1) + 1e-5)
    return (found * rows).sum() / rows.sum().clamp(min=1)


def quick_dropout(
    rate: float, seed: Int[torch.Tensor, ""]
) -> Callable[[Float[torch.Tensor, "*shape"]], Float[torch.Tensor, "*shape"]]:
    """Return a dropout function (Srivastava et al. 2014) whose random numbers are a hash of position and seed.

    The hash costs a few operations that a compiler fuses with their neighbours; on a CPU, torch's own random numbers
    take as long as the matrix products.

    Args:
        rate: share of values to set to 0; the others are scaled up to compensate.
        seed: int32 scalar, a different one for each step.
    """
    floor = int(-(2**31) + rate * 2**32)
    sites = 0

    def drop(states: Float[torch.Tensor, "*shape"]) -> Float[torch.Tensor, "*shape"]:
        nonlocal sites
        sites += 1
        mixed = torch.arange(states.numel(), dtype=torch.int32, device=states.device).view(states.shape)
        mixed = (mixed + (seed + sites * 7919)) * -1640531527
        for shift, factor in ((15, -2048144789), (13, -1028477379)):
            mixed = (mixed ^ (mixed >> shift)) * factor
        return torch.where(mixed > floor, states * (1 / (1 - rate)), 0.0)

    return drop
