"""The training texts: pairs, runs of pairs, pairs spaced as aligners write them, the grammar's sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from tokenizers import Tokenizer

from attn_cli.grammar import sentences as grammar
from attn_cli.grammar.words import spaced
from attn_cli.train.batches import Encoded, SpanLink, TrainingBatch, batches, encode, joined

__all__ = ["LONGEST_RUN", "Mixture"]

LONGEST_RUN = 60
"""Most source words of a joined run."""
SPACED = 0.06
"""Share of the pairs that are also read with spaces between all words and marks."""
RUNS = 0.12
"""Number of joined runs of 2 to 5 texts, as a share of the number of `Mixture.fixed` texts."""
PICTURES = "😀😂😍😎😢😡👍👏🙏💪🎉🎂🍎🍕🍷☕🐱🐶🐭🐟🌳🌹🌞🌙⭐🔥🌍🏠🚗🚲🚆📚📷🎵🎸⚽🏆🎁💡❤"


@dataclass(frozen=True)
class Mixture:
    """The training texts of every epoch.

    Args:
        tokenizer: tokenizer of both languages.
        pairs: English sentences and their French translations.
        links: linked words of each pair, or None.
        coreference: number of the grammar's sentences in each epoch whose pronoun has two nouns to choose from; half as
            many simple ones are added.
        seed: seed of all random choices.
        longest: number of the model's positions; texts with more tokens are left out.
    """

    tokenizer: Tokenizer
    pairs: Sequence[tuple[str, str]]
    links: Sequence[Sequence[SpanLink]] | None
    coreference: int
    seed: int
    longest: int

    def fixed(self) -> list[Encoded]:
        """Encode the texts of every epoch: the pairs, and copies of some of them spaced or with an emoji."""
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

    def epoch(self, number: int, fixed: Sequence[Encoded], tokens: int) -> Iterator[TrainingBatch]:
        """Yield the batches of one epoch; the same for the same number.

        Args:
            number: number of the epoch, counted from 0.
            fixed: texts from `fixed`.
            tokens: most tokens of a batch; see `batches`.
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
