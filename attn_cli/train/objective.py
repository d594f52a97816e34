"""What training makes small: the surprise at each word of the translation, and how far guided heads look elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch

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
        """The decoder's state after each token that it reads."""

    def logits(self, states: Float[torch.Tensor, "*batch dim"]) -> Float[torch.Tensor, "*batch vocabulary"]:
        """What the states say of the next token."""


@dataclass(frozen=True)
class Guide:
    """Heads that are trained towards links, and how much that counts beside the translation."""

    heads: Mapping[Literal["encoder", "cross"], tuple[int, int]]
    """`cross` towards word alignments, `encoder` from pronouns towards their nouns: (layer, head)."""
    weight: float = 0.1


Surprise = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
Losses = tuple[Float[torch.Tensor, ""], Float[torch.Tensor, ""], Float[torch.Tensor, ""], Float[torch.Tensor, ""]]


def objective(
    model: Learner,
    guide: Guide,
    surprised: Surprise,
    source: Int[torch.Tensor, "batch source"],
    read: Int[torch.Tensor, "batch target"],
    places: Int[torch.Tensor, "token"],
    written: Int[torch.Tensor, "token"],
    links: Bool[torch.Tensor, "batch target source"],
    references: Bool[torch.Tensor, "batch source source"],
) -> Losses:
    """The loss, and what it is made of: cross-entropy in nats a token, and the guided heads' (alignment, coreference).

    Args:
        model: what is trained.
        guide: the heads to guide.
        surprised: `surprise`, or a compiled form of it.
        source: tokens of the texts.
        read: what the decoder reads.
        places: where, in `read` laid flat, there are tokens to write.
        written: those tokens.
        links: which source tokens each token read is linked to.
        references: which tokens each pronoun stands for.
    """
    kept: dict[str, Float[torch.Tensor, "batch query key"]] = {}

    def see(kind: str, layer: int, _scores: object, weights: torch.Tensor, *_: object) -> None:
        for name, (wanted, head) in guide.heads.items():
            if (kind, layer) == (name, wanted):
                kept[name] = weights[:, head]

    states = model.states(source, read, see if guide.heads else None)
    flat = states.reshape(-1, states.shape[-1])[places]
    surprised_by, spread = surprised(model.logits(flat), written)
    aligned = _guided(kept["cross"], links) if "cross" in kept else torch.zeros(())
    referred = _guided(kept["encoder"], references) if "encoder" in kept else torch.zeros(())
    total = (1 - SMOOTHING) * surprised_by + SMOOTHING * spread + guide.weight * (aligned + referred)
    return total, surprised_by, aligned, referred


def surprise(
    logits: Float[torch.Tensor, "token vocabulary"], written: Int[torch.Tensor, "token"]
) -> tuple[Float[torch.Tensor, ""], Float[torch.Tensor, ""]]:
    """Mean cross-entropy with the tokens written, and with an even distribution over the vocabulary."""
    logits = logits.float()
    normalizer = torch.logsumexp(logits, dim=-1)
    # A sum over a mask and not a look-up: its gradient is one pass over the logits, together with that of the rest.
    true = torch.arange(logits.shape[-1], dtype=torch.int32, device=logits.device) == written[:, None].int()
    return (normalizer - (logits * true).sum(dim=-1)).mean(), (normalizer - logits.mean(dim=-1)).mean()


def _guided(
    weights: Float[torch.Tensor, "batch query key"], links: Bool[torch.Tensor, "batch query key"]
) -> Float[torch.Tensor, ""]:
    """-log of the weight on linked keys, the mean over queries that have any (after Garg et al. 2019, equation 3)."""
    rows = links.any(dim=-1)
    found = -torch.log((weights.float() * links).sum(dim=-1) + 1e-5)
    return (found * rows).sum() / rows.sum().clamp(min=1)


def quick_dropout(
    rate: float, seed: Int[torch.Tensor, ""]
) -> Callable[[Float[torch.Tensor, "*shape"]], Float[torch.Tensor, "*shape"]]:
    """Dropout (Srivastava et al. 2014) whose random numbers are a hash of place and seed.

    They cost a few operations that a compiler fuses with their neighbours, where torch's own take as long as the
    matrices on a processor.

    Args:
        rate: the share of values that become 0; the others grow to make up for it.
        seed: int32; another one for each step.
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
