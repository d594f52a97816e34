"""Parallelization: number of steps that must wait for one another to read a text, and time to read it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

import numpy as np

from attn_cli.models.toy import recurrent
from attn_cli.models.toy.model import Toy
from attn_cli.questions.why.measure import Experiment, Measure, Point, Series

__all__ = ["NAME", "run", "waiting_steps"]

NAME: Final = "parallelization"
LENGTHS = (8, 16, 32, 64, 128, 256)
"""Lengths of the texts in tokens."""
TURNS = 9


def run(models: Mapping[str, Toy]) -> Experiment:
    """Encode texts of random tokens that double in length, count the steps and take the time."""
    random = np.random.default_rng(3)
    steps, times = [], []
    for name, model in models.items():
        texts = [random.integers(2, model.shape.vocabulary, (1, length)) for length in LENGTHS]
        steps.append(_series(name, [float(waiting_steps(model, ids)) for ids in texts], 1))
        times.append(_series(name, [1000 * _seconds(model, ids) for ids in texts], TURNS))
    return _judged(
        Measure("steps that wait for one another", "", "tokens", "low", None, tuple(steps)),
        Measure("time to read", "ms", "tokens", "low", None, tuple(times)),
        models,
    )


def _series(name: str, values: Sequence[float], count: int) -> Series:
    points = (Point(float(length), value, count) for length, value in zip(LENGTHS, values, strict=True))
    return Series(name, tuple(points))


def waiting_steps(model: Toy, ids: np.ndarray) -> int:
    """Count the steps of reading that cannot begin before another has ended, while the model reads.

    A recurrent model reads in two directions at once; a Transformer's layers wait for one another, its words do not.
    """
    network = model.network
    present = np.ones(ids.shape, np.bool_)
    count = 0
    if isinstance(network, recurrent.Recurrent):

        def read(*arrays: Any) -> Any:
            nonlocal count
            count += 1
            return recurrent.read(*arrays)

        counting = recurrent.Recurrent(network.shape, network.weights, steps=(read, recurrent.write))
        counting.encode(ids, present)
        return count // 2

    def see(*_: object) -> None:
        nonlocal count
        count += 1

    network.encode(ids, present, see)
    return count


def _seconds(model: Toy, ids: np.ndarray) -> float:
    """Measure the time to encode a text, as the median of several turns."""
    present = np.ones(ids.shape, np.bool_)
    taken = []
    for _ in range(TURNS + 1):
        start = time.perf_counter()
        model.network.encode(ids, present)
        taken.append(time.perf_counter() - start)
    return median(taken[1:])


def _judged(steps: Measure, times: Measure, models: Mapping[str, Toy]) -> Experiment:
    recurrent_ones = [name for name, model in models.items() if isinstance(model.shape, recurrent.RecurrentShape)]
    parallel = [name for name in models if name not in recurrent_ones]
    constant = all(len({point.value for point in steps.of(name).points}) == 1 for name in parallel)
    last = {name: times.of(name).points[-1].value for name in models}
    listed = ", ".join(f"{name} {steps.of(name).points[-1].value:,.0f} and {last[name]:.0f} ms" for name in models)
    return Experiment(
        name=NAME,
        claim="A recurrent model reads one word after another; a Transformer reads all of them at once, so that a "
        "longer text needs no more steps, and less time.",
        how="Random tokens, encoded by each model on this machine's processor; the steps are counted while it does so.",
        measures=(steps, times),
        borne_out=constant and all(last[name] < last[other] for name in parallel for other in recurrent_ones),
        found=f"Steps and time for {LENGTHS[-1]} tokens: {listed}.",
    )
