"""Splitting tokens into smaller ones of the same vocabulary, so that a model knows words in parts as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tokenizers import Tokenizer

from attn_cli.data.shapes import Int

__all__ = ["Splitter"]

SHARE = 0.12
"""Share of the tokens that are split."""
OPENING = "▁"
"""First character of a token that opens a word; alone it says nothing."""


@dataclass(frozen=True)
class Splitter:
    """Splits some tokens of a text, as BPE-dropout does (Provilkov et al. 2020), but from a seed.

    Args:
        tokenizer: tokenizer whose tokens are split.
    """

    tokenizer: Tokenizer

    @cached_property
    def _ways(self) -> Mapping[int, Sequence[tuple[int, int]]]:
        """The two smaller tokens of each token, for each place where it can be cut."""
        vocabulary = self.tokenizer.get_vocab()
        ways: dict[int, list[tuple[int, int]]] = {}
        for token, number in vocabulary.items():
            if token.startswith("<"):  # special tokens and bytes
                continue
            for place in range(1 + token.startswith(OPENING), len(token)):
                parts = vocabulary.get(token[:place]), vocabulary.get(token[place:])
                if parts[0] is not None and parts[1] is not None:
                    ways.setdefault(number, []).append((parts[0], parts[1]))
        return ways

    def split(
        self, tokens: Int[np.ndarray, "token"], random: np.random.Generator
    ) -> tuple[Int[np.ndarray, "part"], Int[np.ndarray, "part"]]:
        """Split some tokens of a text.

        Returns:
            The new tokens, and for each the index of the token that it is or is a part of.
        """
        made: list[int] = []
        places: list[int] = []
        for place, (token, chance) in enumerate(zip(tokens.tolist(), random.random(len(tokens)).tolist(), strict=True)):
            ways = self._ways.get(token) if chance < SHARE else None
            parts = (token,) if ways is None else ways[int(chance / SHARE * len(ways))]
            made += parts
            places += [place] * len(parts)
        return np.asarray(made, np.int32), np.asarray(places, np.int32)
