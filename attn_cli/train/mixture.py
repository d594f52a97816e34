"""What a model is trained on: pairs, runs of pairs, pairs spaced as aligners write them, the grammar's sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from tokenizers import Tokenizer

from attn_cli.grammar import sentences as grammar
from attn_cli.grammar.words import spaced
from attn_cli.train.batches import Batch, Encoded, SpanLink, batches, encode, joined

__all__ = ["LONGEST_RUN", "Mixture"]

LONGEST_RUN = 60
"""Words of the longest text that a model is trained on."""
SPACED = 0.06
"""The share of the pairs that are also read with a space before every mark."""
RUNS = 0.12
"""Joined runs of 2 to 5 pairs, as a share of the number of pairs."""
PICTURES = "😀😂😍😎😢😡👍👏🙏💪🎉🎂🍎🍕🍷☕🐱🐶🐭🐟🌳🌹🌞🌙⭐🔥🌍🏠🚗🚲🚆📚📷🎵🎸⚽🏆🎁💡❤"


@dataclass(frozen=True)
class Mixture:
    """The texts of every epoch.

    Args:
        tokenizer: of both languages.
        pairs: English and French.
        links: linked words of each pair, or None.
        coreference: sentences of the grammar in each epoch whose pronoun has two nouns to choose from; half as many
            simple ones come along.
        seed: what all random choices come from.
        longest: tokens of the longest text that the model has positions for; longer ones are left out.
    """

    tokenizer: Tokenizer
    pairs: Sequence[tuple[str, str]]
    links: Sequence[Sequence[SpanLink]] | None
    coreference: int
    seed: int
    longest: int

    def fixed(self) -> list[Encoded]:
        """What every epoch has: the pairs, and some of them spaced or with a picture."""
        random = np.random.default_rng([self.seed, 1])
        links = self.links or [[]] * len(self.pairs)
        texts, moved = list(self.pairs), list(links)
        for index in np.flatnonzero(random.random(len(self.pairs)) < SPACED).tolist():
            (english, theirs), (french, ours) = (
                spaced(self.pairs[index][side], [link[side] for link in links[index]]) for side in (0, 1)
            )
            texts.append((english, french))
            moved.append(list(zip(theirs, ours, strict=True)))
        for index in random.integers(0, len(self.pairs), len(self.pairs) // 100).tolist():
            english, french = self.pairs[index]
            mark = " " + PICTURES[random.integers(len(PICTURES))]
            texts.append((english + mark, french + mark))
            moved.append([*links[index], ((len(english) + 1, len(english) + 2), (len(french) + 1, len(french) + 2))])
        return self._fitting(encode(self.tokenizer, texts, moved))

    def epoch(self, number: int, fixed: Sequence[Encoded], tokens: int) -> Iterator[Batch]:
        """The batches of one epoch; the same for the same number.

        Args:
            number: counted from 0.
            fixed: from `fixed`.
            tokens: see `batches`.
        """
        random = np.random.default_rng([self.seed, 2, number])
        drawn: list[grammar.Example] = []
        if self.coreference:
            seed = int(random.integers(2**31))
            drawn += islice(grammar.examples(seed), self.coreference)
            drawn += islice(grammar.simple(seed), self.coreference // 2)
        written = encode(
            self.tokenizer,
            [(one.english, one.french) for one in drawn],
            [one.links for one in drawn],
            [() if one.coreference is None else [(one.coreference.pronoun, one.coreference.meant)] for one in drawn],
        )
        short = [*fixed, *self._fitting(written)]
        runs = self._fitting(joined(short, int(RUNS * len(fixed)), LONGEST_RUN, random))
        yield from batches([*short, *runs], tokens, random)

    def _fitting(self, pairs: Sequence[Encoded]) -> list[Encoded]:
        return [pair for pair in pairs if pair.size <= self.longest]
