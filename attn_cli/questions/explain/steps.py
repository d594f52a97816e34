"""The three steps of attention for one query in one head: score, normalize, weighted sum, each with its numbers.

Vaswani et al. 2017, equation 1; Bahdanau et al. 2015, section 3.1 and appendix A.1.2, where the score is additive.
Everything is computed anew, in double precision, from the query, the keys and the values of the layer itself, and then
compared with the layer's own results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Steps
from attn_cli.errors import ExactnessError, InputError, UsageError, counted

__all__ = ["PARTS", "Context", "Explanation", "Part", "Sink", "explain_numbers", "explain_row"]

Part = Literal["scaled", "additive", "soft_capping", "bias", "other", "mask"]
"""Summands of a score, in this order:

- `scaled`: query · key, times the scaling;
- `additive`: vector · tanh(query + key), with query and key projected;
- `soft_capping`: cap · tanh(x / cap) - x, the change of the scaled product x (Gemma 2);
- `bias`: summand for the positions of query and key (T5), or from a mask that weighs instead of hiding;
- `other`: the rest that the model's own function adds, computed as the difference from its score;
- `mask`: minus infinity where the query cannot see the key.
"""

PARTS: tuple[Part, ...] = get_args(Part)

TOLERANCE: Mapping[str, float] = {"float32": 1e-3, "float64": 1e-3, "float16": 2e-2, "bfloat16": 1e-1}
"""dtype -> largest difference of a score from ours that is rounding, in units of the largest part in its row."""


@dataclass(frozen=True)
class Sink:
    """Term of a learned sink in the softmax (gpt-oss), which belongs to no key."""

    score: float
    exponential: float
    weight: float


@dataclass(frozen=True, eq=False)
class Context:
    """The weighted sum of the values."""

    vector: Float[np.ndarray, "dim"]
    values: Float[np.ndarray, "key dim"]
    value_norms: Float[np.ndarray, "key"]
    """Euclidean length of each value."""
    shares: Float[np.ndarray, "key"]
    """weight · value · vector / |vector|^2 of each key: they sum to 1; a negative one pulls the other way. Zero if the
    context vector is zero."""

    @property
    def norm(self) -> float:
        """Euclidean length of the context vector."""
        return float(np.linalg.norm(self.vector))


@dataclass(frozen=True, eq=False)
class Explanation:
    """Steps from one query's scores to its weights and its context vector. All arrays are float64."""

    parts: Mapping[Part, Float[np.ndarray, "key"]]
    """Summands of the scores; empty if only the scores themselves are known."""
    products: Float[np.ndarray, "key"] | None
    """query · key before scaling; None if the score is additive or the products are not known."""
    scaling: float | None
    """Factor of the products: 1 / sqrt(dim) in most models; 1 / temperature for plain numbers."""
    soft_cap: float | None
    scores: Float[np.ndarray, "key"]
    """Score of each key; minus infinity if it is masked."""
    maximum: float
    """Largest score, a learned sink's included; subtracted before the exponential, which then cannot overflow."""
    exponentials: Float[np.ndarray, "key"]
    """exp(score - maximum)."""
    total: float
    """Sum of the exponentials, a learned sink's included."""
    weights: Float[np.ndarray, "key"]
    """exponential / total."""
    sink: Sink | None = None
    context: Context | None = None
    """Weighted sum of the values; None if there are none."""
    size: int | None = None
    """Size of the head: the numbers of a query and of a key; None if they are not known."""
    missing: tuple[str, ...] = ()
    """Data that this model family does not show, in half sentences."""
    differences: Mapping[Literal["scores", "weights", "context"], float] | None = None
    """Largest difference of each from what the layer itself computed; None if there was no layer."""

    @property
    def largest_difference(self) -> float | None:
        """The largest of the `differences`."""
        return None if self.differences is None else max(self.differences.values())


def explain_numbers(
    scores: Float[np.ndarray, "key"],
    values: Float[np.ndarray, "value dim"] | None = None,
    temperature: float = 1.0,
) -> Explanation:
    """Explain plain numbers.

    Args:
        scores: one for each key; minus infinity hides a key.
        values: one vector for each key.
        temperature: divisor of the scores before the softmax: below 1 it sharpens, above 1 it flattens.

    Raises:
        InputError: the numbers cannot be scores or values, or do not fit each other.
        UsageError: the temperature is not a finite number above 0.
    """
    given = np.asarray(scores, np.float64)
    if not given.size:
        raise InputError("There are no scores", "Give at least one")
    if np.isnan(given).any() or np.isposinf(given).any():
        raise InputError("A score is not a number", "Give finite numbers, or -inf for a key that is masked")
    if np.isneginf(given).all():
        raise InputError("Every key is masked, so there is nothing to normalize", "Give at least one finite score")
    if not (np.isfinite(temperature) and temperature > 0):
        raise UsageError(f"--temperature must be above 0, and {temperature:g} is not", "1 changes nothing")
    if values is not None:
        if len(values) != len(given):
            raise InputError(
                f"There are {counted(len(given), 'score')} and {counted(len(values), 'value')}",
                "Give one value for each score",
            )
        if not np.isfinite(values).all():
            raise InputError("A value is not a number", "Give finite numbers")
    with np.errstate(over="ignore"):
        scaled = given / temperature
    if not np.isfinite(scaled[np.isfinite(given)]).all():
        raise InputError(f"A temperature of {temperature:g} makes these scores infinite", "Give a higher one")
    parts: dict[Part, Float[np.ndarray, "key"]] = {"scaled": scaled}
    products = given if temperature != 1 else None
    return _finish(parts, sum(parts.values(), np.zeros(len(given))), values, products, 1 / temperature)


def explain_row(block: Block, head: int, query: int, keys: int, dtype: str = "float32") -> Explanation:
    """Explain one row of a layer.

    Args:
        block: a block streamed with `Request.steps`.
        head: the model's number of one of the block's heads.
        query: position of one of the block's rows.
        keys: number of keys; the block may leave out those that none of its queries can see.
        dtype: data type in which the model computed, which determines how much may be rounding.

    Raises:
        ExactnessError: the block has no scores, or the query can see no key.
    """
    index, row = block.heads.index(head), query - block.start
    own_weights = _padded(block.weights[index, row], keys, 0.0)
    if block.scores is None:
        raise ExactnessError(f"{block.kind} layer {block.layer} was streamed without its scores")
    own = _padded(block.scores[index, row], keys, -np.inf)
    hidden = np.isneginf(own)
    if hidden.all():
        raise ExactnessError(
            f"Query {query} of {block.kind} layer {block.layer} can see no key, so there is nothing to explain",
            "Choose another with --query",
        )
    steps = block.steps
    values = None if steps is None or steps.values is None else steps.values[index]
    sink = None if steps is None or steps.sink_scores is None else float(steps.sink_scores[index, row])
    missing = [] if steps is None else list(steps.missing)
    if steps is None or steps.queries is None or steps.keys is None:
        result = _finish({}, own, values, sink_score=sink, missing=missing)
    else:
        parts, products = _parts(steps, index, row, keys, own, dtype)
        scores = sum(parts.values(), np.zeros(keys))
        result = _finish(parts, scores, values, products, steps.scaling, steps.soft_cap, sink, missing)
        result = replace(result, size=steps.keys.shape[-1])
    return _compared(result, own, own_weights, steps, index, row)


def _parts(
    steps: Steps, head: int, row: int, keys: int, own: Float[np.ndarray, "key"], dtype: str
) -> tuple[dict[Part, Float[np.ndarray, "key"]], Float[np.ndarray, "key"] | None]:
    """Compute the summands of the scores, and the products before scaling."""
    assert steps.queries is not None  # noqa: S101 - for the type checker: the caller has checked it
    assert steps.keys is not None  # noqa: S101
    query, key = steps.queries[head, row].astype(np.float64), steps.keys[head].astype(np.float64)
    parts: dict[Part, Float[np.ndarray, "key"]] = {}
    products = None
    if steps.vector is not None:
        parts["additive"] = np.tanh(query + key) @ steps.vector.astype(np.float64)
    else:
        products = key @ query
        parts["scaled"] = scaled = products * (1.0 if steps.scaling is None else steps.scaling)
        if steps.soft_cap is not None:
            parts["soft_capping"] = steps.soft_cap * np.tanh(scaled / steps.soft_cap) - scaled
    if steps.bias is not None:
        bias = _padded(steps.bias[head, row], keys, 0.0)
        if bias.any():
            parts["bias"] = bias
    seen = ~np.isneginf(own)
    rest = np.where(seen, np.where(seen, own, 0.0) - sum(parts.values(), np.zeros(keys)), 0.0)
    size = max(1.0, *(float(np.abs(part[seen]).max()) for part in parts.values()))
    if np.abs(rest).max() > TOLERANCE.get(dtype, 1e-3) * size:
        parts["other"] = rest
    if not seen.all():
        parts["mask"] = np.where(seen, 0.0, -np.inf)
    return parts, products


def _finish(
    parts: Mapping[Part, Float[np.ndarray, "key"]],
    scores: Float[np.ndarray, "key"],
    values: Float[np.ndarray, "key dim"] | None,
    products: Float[np.ndarray, "key"] | None = None,
    scaling: float | None = None,
    soft_cap: float | None = None,
    sink_score: float | None = None,
    missing: list[str] | None = None,
) -> Explanation:
    """Compute steps two and three from the scores."""
    maximum = float(max(scores.max(), -np.inf if sink_score is None else sink_score))
    exponentials = np.exp(scores - maximum)
    extra = 0.0 if sink_score is None else float(np.exp(sink_score - maximum))
    total = float(exponentials.sum()) + extra
    weights = exponentials / total
    return Explanation(
        parts=parts,
        products=products,
        scaling=scaling,
        soft_cap=soft_cap,
        scores=scores,
        maximum=maximum,
        exponentials=exponentials,
        total=total,
        weights=weights,
        sink=None if sink_score is None else Sink(sink_score, extra, extra / total),
        context=None if values is None else _context(weights, values.astype(np.float64)),
        missing=tuple(missing or ()),
    )


def _context(weights: Float[np.ndarray, "key"], values: Float[np.ndarray, "key dim"]) -> Context:
    vector = weights @ values
    square = float(vector @ vector)
    shares = weights * (values @ vector) / square if square > 0 else np.zeros_like(weights)
    return Context(vector, values, np.linalg.norm(values, axis=1), shares)


def _compared(
    result: Explanation,
    own_scores: Float[np.ndarray, "key"],
    own_weights: Float[np.ndarray, "key"],
    steps: Steps | None,
    head: int,
    row: int,
) -> Explanation:
    """Add the differences from what the layer itself computed."""
    seen = ~np.isneginf(own_scores)
    differences: dict[Literal["scores", "weights", "context"], float] = {}
    if result.parts:
        differences["scores"] = float(np.abs(result.scores[seen] - own_scores[seen]).max())
    differences["weights"] = float(np.abs(result.weights - own_weights).max())
    if result.context is not None and steps is not None and steps.contexts is not None:
        differences["context"] = float(np.abs(result.context.vector - steps.contexts[head, row]).max())
    return replace(result, differences=differences)


def _padded(row: Float[np.ndarray, "some_keys"], keys: int, fill: float) -> Float[np.ndarray, "key"]:
    """Return the row in double precision, with the keys that it left out."""
    whole = np.full(keys, fill)
    whole[: len(row)] = row
    return whole
