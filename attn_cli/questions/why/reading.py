"""Parallelization: the steps of reading a text that wait for one another, the arithmetic it takes, and the time."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from math import prod
from statistics import median
from typing import Any, Final

import numpy as np

from attn_cli.models.toy import recurrent
from attn_cli.models.toy.folder import weight_shapes
from attn_cli.models.toy.model import Toy
from attn_cli.questions.why.measure import Experiment, Measure, Point, Series, Verdict

__all__ = ["NAME", "operations", "run", "waiting_steps"]

NAME: Final = "parallelization"
LENGTHS = (8, 16, 32, 64, 128, 256)
"""Lengths of the texts in tokens."""
TURNS = 9
READS = ("model.encoder.", "encoder.", "attention.key.")
"""Prefixes of the names of the weights that a model reads a text with."""
QUICK = (8, 256), 3
"""Lengths and turns, if few are enough."""


def run(models: Mapping[str, Toy], *, quick: bool = False) -> Experiment:
    """Encode texts of random tokens that double in length, count the steps and take the time."""
    lengths, turns = QUICK if quick else (LENGTHS, TURNS)
    random = np.random.default_rng(3)
    steps, times, rates = [], [], []
    for name, model in models.items():
        texts = [random.integers(2, model.shape.vocabulary, (1, length)) for length in lengths]
        seconds = [_seconds(model, ids, turns) for ids in texts]
        done = [operations(model, length) for length in lengths]
        steps.append(_series(name, texts, [float(waiting_steps(model, ids)) for ids in texts], 1))
        times.append(_series(name, texts, [1000 * one for one in seconds], turns))
        rates.append(_series(name, texts, [count / one / 1e9 for count, one in zip(done, seconds, strict=True)], turns))
    return _judged(
        Measure("steps that wait for one another", "", "tokens", "low", None, tuple(steps)),
        Measure("time to read", "ms", "tokens", "low", None, tuple(times)),
        Measure("arithmetic", "billion operations a second", "tokens", "high", None, tuple(rates)),
        models,
    )


def _series(name: str, texts: Sequence[np.ndarray], values: Sequence[float], count: int) -> Series:
    points = (Point(float(ids.size), value, count) for ids, value in zip(texts, values, strict=True))
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


def operations(model: Toy, length: int) -> int:
    """Count the multiplications and additions in the matrix products with which a model reads so many tokens.

    In a Transformer, scores and weighted sums grow with the square of the length.
    """
    shape = model.shape
    read = sum(
        prod(sizes) for name, sizes in weight_shapes(shape).items() if name.startswith(READS) and len(sizes) == 2
    )
    each_pair = 0 if isinstance(shape, recurrent.RecurrentShape) else 2 * shape.encoder_layers * shape.dim
    return 2 * (length * read + length**2 * each_pair)


def _seconds(model: Toy, ids: np.ndarray, turns: int) -> float:
    """Measure the time to encode a text, as the median of some turns."""
    present = np.ones(ids.shape, np.bool_)
    taken = []
    for _ in range(turns + 1):
        start = time.perf_counter()
        model.network.encode(ids, present)
        taken.append(time.perf_counter() - start)
    return median(taken[1:])


def _judged(steps: Measure, times: Measure, rates: Measure, models: Mapping[str, Toy]) -> Experiment:
    recurrent_ones = [name for name, model in models.items() if isinstance(model.shape, recurrent.RecurrentShape)]
    parallel = [name for name in models if name not in recurrent_ones]
    shortest, longest = (int(steps.series[0].points[place].at) for place in (0, -1))
    last = {name: times.of(name).points[-1].value for name in models}
    work = {name: operations(model, longest) / 1e9 for name, model in models.items()}
    rate = {name: rates.of(name).points[-1].value for name in models}
    cores = os.cpu_count() or 1
    verdicts = (
        Verdict(
            "No more steps for a longer text",
            borne_out=all(len({point.value for point in steps.of(name).points}) == 1 for name in parallel),
            found=f"For {longest} tokens: "
            + ", ".join(f"{name} {steps.of(name).points[-1].value:,.0f}" for name in models)
            + ".",
        ),
        Verdict(
            f"Less time on this processor ({cores} core{'s' if cores > 1 else ''})",
            borne_out=all(last[name] < last[other] for name in parallel for other in recurrent_ones),
            found=f"For {longest} tokens: "
            + "; ".join(
                f"{name} {last[name]:.0f} ms for {work[name]:.2f} billion operations, {rate[name]:.0f} billion a second"
                for name in models
            )
            + ". "
            + " ".join(_squared(name, models[name], shortest, longest) for name in parallel),
        ),
    )
    return Experiment(
        name=NAME,
        claim="A recurrent model reads one word after another; a Transformer reads all of them at once. So a longer "
        "text needs no more steps that wait for one another, and, where there are enough processors to do the work of "
        "a step side by side, less time.",
        how="Random tokens, encoded by each model on this machine's processor; the steps are counted while it does so.",
        measures=(steps, times, rates),
        borne_out=all(one.borne_out for one in verdicts),
        found=" ".join(one.found for one in verdicts),
        verdicts=verdicts,
    )


def _squared(name: str, model: Toy, shortest: int, longest: int) -> str:
    """Say how much of the arithmetic is done for each pair of tokens, and so grows with the square of the length."""
    short, long = (1 - length * operations(model, 1) / operations(model, length) for length in (shortest, longest))
    return (
        f"The work of {name} grows with the square of the length, for it is done for each pair of tokens too: "
        f"{short:.1%} of it at {shortest} tokens, {long:.1%} at {longest}."
    )
