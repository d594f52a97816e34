"""Attention flow: the maximum flow from a state to each token, with the attention weights as edge capacities.

Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3. SciPy computes the maximum flow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attn_cli.data.shapes import Float, Int

__all__ = ["flows"]

CAPACITY = 2**30
"""The capacity that stands for a weight of 1: SciPy takes capacities as 32-bit integers."""


def flows(
    layers: Sequence[Float[np.ndarray, "_ _"]], queries: Sequence[int], visible: Int[np.ndarray, "query 2"]
) -> Float[np.ndarray, "query key"]:
    """Compute the maximum flow from states of the last layer to each token, as shares of each row.

    Args:
        layers: weights of each layer, `[state after it, state before it]`, the first layer first; rows sum to 1.
        queries: the states to start from; the other rows are left 0.
        visible: first token that can reach each state, and one past the last.
    """
    # Imported late: the import takes as long as everything else that a short text needs.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_flow

    sizes = [layers[0].shape[1], *(len(layer) for layer in layers)]
    firsts = np.concatenate([[0], np.cumsum(sizes)])
    ends, capacities = [], []
    for number, layer in enumerate(layers):
        after, before = np.nonzero(layer)
        ends.append(np.stack([after + firsts[number + 1], before + firsts[number]]))
        capacities.append(np.round(layer[after, before].astype(np.float64) * CAPACITY).astype(np.int32))
    graph = coo_array((np.concatenate(capacities), np.concatenate(ends, axis=1)), shape=(firsts[-1],) * 2).tocsr()
    result = np.zeros((sizes[-1], sizes[0]), np.float32)
    for query in queries:
        for key in range(*visible[query].tolist()):
            found = maximum_flow(graph, int(firsts[-2] + query), key)
            result[query, key] = found.flow_value / CAPACITY
        total = result[query].sum()
        result[query] /= total if total > 0 else 1
    return result
