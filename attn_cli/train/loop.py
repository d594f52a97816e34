"""Training steps, the schedule of the learning rate, the average of the weights, and the state to resume from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from attn_cli.train.batches import TrainingBatch
from attn_cli.train.objective import Guide, Learner, Losses, objective, quick_dropout, surprise

__all__ = ["Schedule", "Trainer", "Weights"]

Weights = dict[str, torch.Tensor]

AVERAGE_OVER = 1000
"""Steps over which the saved weights are averaged (exponentially)."""
AVERAGE_EVERY = 4


@dataclass(frozen=True)
class Schedule:
    """Number of steps and learning rate: the rate rises to `peak`, stays there, and falls to 0 at the end."""

    steps: int
    peak: float = 7e-4
    warm_up: int = 1000
    """Steps over which the rate rises; at most a tenth of all."""
    fall: float = 0.3
    """The share of the steps over which the rate falls."""

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rising = max(1, min(self.warm_up, self.steps // 10))
        falling = max(1, int(self.fall * self.steps))
        return self.peak * max(0.0, min(1.0, (step + 1) / rising, (self.steps - step) / falling))


class Trainer:
    """A model in training.

    Args:
        weights: weights to start from; training changes them.
        build: function that builds the model around weights and a dropout function.
        guide: heads to guide.
        schedule: number of steps and learning rate.
        dropout: share of the states' values to drop.
        device: device to train on.
        dtype: number format of the products; the same as that of `build`.
        fuse: parts to compile, which takes a minute once and makes each step several times faster: everything; only the
            loss, where the rest is loops over tokens that would be unrolled; or nothing.
    """

    def __init__(
        self,
        weights: Weights,
        build: Callable[[Mapping[str, torch.Tensor], Callable[[torch.Tensor], torch.Tensor]], Learner],
        guide: Guide,
        schedule: Schedule,
        *,
        dropout: float = 0.1,
        device: str = "cpu",
        dtype: torch.dtype = torch.bfloat16,
        fuse: Literal["all", "loss", "nothing"] = "all",
    ) -> None:
        self.schedule, self.device, self.guide = schedule, device, guide
        self.weights = {name: weight.to(device).requires_grad_() for name, weight in weights.items()}
        self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.step = 0
        self._optimizer = torch.optim.AdamW(
            list(self.weights.values()), lr=schedule.peak, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )

        def losses(seed: torch.Tensor, *batch: torch.Tensor) -> Losses:
            with torch.autocast(device, dtype, enabled=dtype != torch.float32):
                return objective(build(self.weights, quick_dropout(dropout, seed)), guide, surprised, *batch)

        surprised = torch.compile(surprise, dynamic=True) if fuse == "loss" else surprise
        self._losses = torch.compile(losses, dynamic=True) if fuse == "all" else losses

    def learn(self, batch: TrainingBatch) -> tuple[float, list[float]]:
        """Train one step, and return the surprise and the loss of each guided head."""
        total, surprise, guided = self._forward(batch)
        torch.autograd.backward(total)
        torch.nn.utils.clip_grad_norm_(list(self.weights.values()), 1.0)
        self._optimizer.param_groups[0]["lr"] = self.schedule.rate(self.step)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.step % AVERAGE_EVERY == 0:
            # Early on the average follows closely, so that the first weights do not weigh it down.
            keep = min(1 - AVERAGE_EVERY / AVERAGE_OVER, self.step / (self.step + 9 * AVERAGE_EVERY))
            with torch.no_grad():
                torch._foreach_lerp_(
                    list(self.average.values()), [weight.detach() for weight in self.weights.values()], 1 - keep
                )
        return float(surprise.detach()), guided.detach().tolist()

    def prepare(self, batch: TrainingBatch) -> None:
        """Compile what is to be compiled, with any batch; the model learns nothing."""
        torch.autograd.backward(self._forward(batch)[0])
        self._optimizer.zero_grad(set_to_none=True)

    def _forward(self, batch: TrainingBatch) -> Losses:
        written = torch.from_numpy(batch.written).reshape(-1)
        places = written.nonzero()[:, 0]
        targets = [torch.from_numpy(batch.targets[role]) for role in self.guide.heads]
        given = (torch.from_numpy(batch.source), torch.from_numpy(batch.read), places, written[places], *targets)
        tensors = [one.to(self.device) for one in given]
        seed = torch.tensor((self.step * 1_000_003) % 2**31, dtype=torch.int32, device=self.device)
        return self._losses(seed, *tensors)

    def state(self) -> Weights:
        """Return all tensors needed to resume, as one flat table."""
        state: Weights = {}
        for name, weight in self.weights.items():
            state[f"weights/{name}"] = weight.detach()
            state[f"average/{name}"] = self.average[name]
            for key, value in self._optimizer.state.get(weight, {}).items():
                state[f"{key}/{name}"] = value
        return state

    def restore(self, state: Mapping[str, torch.Tensor], step: int) -> None:
        """Resume from what `state` returned.

        Raises:
            KeyError: a tensor is missing.
            ValueError: a tensor has the wrong shape.
        """
        self.step = step
        for name, weight in self.weights.items():
            for part in ("weights", "average", "exp_avg", "exp_avg_sq"):
                tensor = state.get(f"{part}/{name}", weight)
                if tensor.shape != weight.shape:
                    raise ValueError(f"{part}/{name} is {tuple(tensor.shape)} and not {tuple(weight.shape)}")
            with torch.no_grad():
                weight.copy_(state[f"weights/{name}"])
                self.average[name].copy_(state[f"average/{name}"])
            kept = {
                key: state[f"{key}/{name}"].to(self.device)
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"{key}/{name}" in state
            }
            if kept:
                self._optimizer.state[weight] = kept
