"""Word links from a map of weights, by one of three methods."""

from __future__ import annotations

import numpy as np

from attn_cli.data.shapes import Bool, Float
from attn_cli.measure.alignment import strongest
from attn_cli.questions.translate.choices import LinkChoice

__all__ = ["paired"]

ROUNDS, HALF_FREE = 2, 0.9
"""Rounds of itermax, and the factor on a weight between a word that has a link and one that has none: n_max and α of
Jalili Sabet et al. 2020, section 3.1."""


def paired(weights: Float[np.ndarray, "target source"], choice: LinkChoice) -> Bool[np.ndarray, "target source"]:
    """Return True for each link between words.

    A tie is won by the first word. Without words on one side there are no links.

    Args:
        weights: the weight of each target word on each source word.
        choice: the method, and the least weight of a link.
    """
    if not weights.size:
        return np.zeros(weights.shape, np.bool_)
    if choice.method == "argmax":
        links = _strongest_sources(weights)
    else:
        links = itermax(weights, 1 if choice.method == "mutual" else ROUNDS)
    kept: Bool[np.ndarray, "target source"] = links & (weights >= choice.least)
    return kept


def itermax(weights: Float[np.ndarray, "target source"], rounds: int) -> Bool[np.ndarray, "target source"]:
    """Link words that are each other's strongest, round after round (Jalili Sabet et al. 2020, Algorithm 1).

    From the second round on, weights between two words that have links are left out, and those between a word that has
    a link and one that has none are made smaller. One round gives the mutual links alone. The authors' own package,
    simalign, also stops as soon as all words of one side have links, which Algorithm 1 does not.
    """
    links = np.zeros(weights.shape, np.bool_)
    for _ in range(rounds):
        target, source = links.any(axis=1, keepdims=True), links.any(axis=0, keepdims=True)
        free = np.where(target & source, 0.0, np.where(target | source, HALF_FREE, 1.0)) * weights
        links |= _strongest_sources(free) & _strongest_sources(free.T).T & (free > 0)
    return links


def _strongest_sources(weights: Float[np.ndarray, "target source"]) -> Bool[np.ndarray, "target source"]:
    links = np.zeros(weights.shape, np.bool_)
    links[np.arange(len(weights)), strongest(weights)] = True
    return links
