"""Attention flow: how much can pass from a state to each token, if weights are the capacities of the way.

Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3. The maximum flow itself is SciPy's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attn_cli.data.shapes import Float, Int

__all__ = ["flows"]

CAPACITY = 2**30
"""What a weight of 1 is as a capacity: SciPy counts in whole numbers of 32 bits."""


def flows(
    layers: Sequence[Float[np.ndarray, "_ _"]], queries: Sequence[int], visible: Int[np.ndarray, "query 2"]
) -> Float[np.ndarray, "query key"]:
    """The maximum flow from states of the last layer to each token, as shares of each row.

    Args:
        layers: what each layer hands on, `[state after it, state before it]`, the first layer first; rows sum to 1.
        queries: the states to start from; the other rows are left 0.
        visible: first token that each state can have anything from, and one past the last.
    """
    # Imported late: it takes as long as all else that a short text needs.
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
