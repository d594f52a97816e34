"""The attention of each step and the chances of each token, taken while a model writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from transformers import PreTrainedModel

from attn_cli.data.cuts import Variation
from attn_cli.data.record import TakenLive
from attn_cli.data.stream import Request
from attn_cli.models.capture.live import LiveRun
from attn_cli.models.hf.outcomes import chances_in, chances_of_places
from attn_cli.models.hf.outputs import logits_in
from attn_cli.system.memory import require

__all__ = ["Live"]


class Live:
    """The attention and the chances of each step of a model that writes one text.

    Args:
        whole: the model with the layer that chooses words.
        body: the model whose attention is taken, which is part of it.
        request: the heads wanted, and whether their scores are.
        cuts: the cuts that are made all the while.
        read: the number of tokens that are read first: a prompt's, or those of an encoder-decoder's text.
        most: the most tokens to write.

    Raises:
        MemoryLimitError: so many rows would not fit in memory.
    """

    def __init__(
        self,
        whole: PreTrainedModel,
        body: PreTrainedModel,
        request: Request,
        cuts: Variation,
        read: int,
        most: int,
    ) -> None:
        heads = sum(len(some) for layers in request.heads.values() for some in layers.values())
        # The rows of the steps stay until they are joined.
        needed = 2 * 4 * heads * most * (read + most) * (1 + request.scores)
        require(needed, f"Keeping {heads} rows at each of {most} steps", "Choose fewer heads, or fewer --max-tokens")
        two_sided = bool(body.config.is_encoder_decoder)
        first, source = (0, read) if two_sided else (read - 1, 0)
        self._run = LiveRun(whole, body, request, cuts, first=first, source=source)
        self._whole = whole
        self._logits = torch.empty(0)
        self._chances: list[torch.Tensor] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take what the model computes in each of its passes, until the context is left."""

        def see(_: torch.nn.Module, __: tuple[Any, ...], result: Any) -> None:
            self._logits = logits_in(result, self._whole)[:, -1:]

        handle = self._whole.register_forward_hook(see)
        try:
            with self._run.watching():
                yield
        finally:
            handle.remove()

    def wrote(self, id_: int) -> None:
        """Take the chances of the token that the last pass wrote."""
        self._chances.append(chances_of_places(self._logits, [id_]))

    def result(self, spell: Callable[[Sequence[int]], list[str]]) -> TakenLive:
        """Return what was taken.

        Args:
            spell: a function that spells tokens one by one.

        Raises:
            ModelError: a layer took other steps than one for each token.
            ExactnessError: the values taken are not attention weights.
        """
        chances = chances_in(torch.cat(self._chances).cpu().numpy())
        spelled = tuple(tuple(spell(row)) for row in chances.likeliest.tolist())
        maps = self._run.maps(len(self._chances))
        return TakenLive(maps, replace(chances, spelled=spelled, live=True), self._run.notes())
