"""Reading pairs of sentences, and setting some aside for evaluation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from attn_cli.errors import InputError
from attn_cli.system.encoding import decode_text

__all__ = ["Pair", "by_source", "read_pairs", "split"]

Pair = tuple[str, str]
"""A sentence and its translation."""


def read_pairs(path: Path) -> list[Pair]:
    """Read pairs from a file with a tab between the two sentences of each line.

    Raises:
        InputError: the file cannot be read, a line does not have two columns, or there are no pairs.
    """
    try:
        text = decode_text(path.read_bytes(), str(path))
    except OSError as fault:
        raise InputError(f"{path} cannot be read: {fault.strerror}", "Give a file of pairs, one a line") from fault
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 2 or not all(columns):
            raise InputError(
                f"{path}, line {number} has {sum(map(bool, columns))} of the two sentences of a pair",
                "Write the sentence, a tab and its translation",
            )
        pairs.append((columns[0], columns[1]))
    if not pairs:
        raise InputError(f"{path} holds no pairs", "Write a sentence, a tab and its translation on each line")
    return pairs


def by_source(pairs: Sequence[Pair]) -> Mapping[str, Sequence[str]]:
    """Group all translations by their source sentence."""
    found: dict[str, list[str]] = defaultdict(list)
    for source, target in pairs:
        found[source].append(target)
    return found


def split(pairs: Sequence[Pair], sentences: int) -> tuple[list[Pair], list[Pair]]:
    """Split pairs into those to train on and those to evaluate on, which hold all translations of their sentences.

    Args:
        pairs: all pairs.
        sentences: number of sentences to set aside, spread evenly; at most a tenth of them.
    """
    sources = list(dict.fromkeys(source for source, _ in pairs))
    aside = set(sources[:: max(10, len(sources) // max(1, sentences))][:sentences])
    return [pair for pair in pairs if pair[0] not in aside], [pair for pair in pairs if pair[0] in aside]
