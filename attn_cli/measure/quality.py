"""Scores of translations against reference translations, computed by sacrebleu (Post 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Quality", "judge"]


@dataclass(frozen=True)
class Quality:
    """Scores of translations against all the references of each sentence."""

    bleu: float
    """BLEU (Papineni et al. 2002), from 0 to 100."""
    chrf: float
    """chrF (Popović 2015), from 0 to 100."""
    sentences: int


def judge(translations: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> Quality:
    """Score translations by BLEU and chrF.

    Args:
        translations: sentence -> the model's translation.
        references: sentence -> its reference translations, whose number may differ from sentence to sentence.
    """
    import sacrebleu

    most = max(len(references[sentence]) for sentence in translations)
    streams: Any = [  # None if a sentence has fewer: sacrebleu accepts it, but its annotations do not say so
        [references[sentence][number] if number < len(references[sentence]) else None for sentence in translations]
        for number in range(most)
    ]
    made = list(translations.values())
    return Quality(
        bleu=float(sacrebleu.corpus_bleu(made, streams).score),
        chrf=float(sacrebleu.corpus_chrf(made, streams).score),
        sentences=len(made),
    )
