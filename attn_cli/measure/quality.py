"""How good translations are, by sacrebleu (Post 2018), and how good a toy model is at what it was trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Quality", "judge"]


@dataclass(frozen=True)
class Quality:
    """Scores of translations against all references there are of each sentence."""

    bleu: float
    """BLEU (Papineni et al. 2002), from 0 to 100."""
    chrf: float
    """chrF (Popović 2015), from 0 to 100."""
    sentences: int


def judge(translations: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> Quality:
    """Score translations.

    Args:
        translations: sentence -> what a model made of it.
        references: sentence -> its translations by people; sentences may differ in how many they have.
    """
    import sacrebleu

    most = max(len(references[sentence]) for sentence in translations)
    streams: Any = [  # None where a sentence has fewer, which sacrebleu takes and its annotations forget
        [references[sentence][number] if number < len(references[sentence]) else None for sentence in translations]
        for number in range(most)
    ]
    made = list(translations.values())
    return Quality(
        bleu=float(sacrebleu.corpus_bleu(made, streams).score),
        chrf=float(sacrebleu.corpus_chrf(made, streams).score),
        sentences=len(made),
    )
