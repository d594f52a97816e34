"""Pairs of sentences to train on: reading them, setting some aside for evaluation, and aligning their words.

The words are aligned by eflomal (Östling and Tiedemann 2016); one head is trained towards these links.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from attn_cli.errors import InputError, UsageError
from attn_cli.grammar.lexicon import written
from attn_cli.grammar.words import spans
from attn_cli.system.encoding import decode_text
from attn_cli.train.linked import SpanLink

__all__ = ["Pair", "align", "by_source", "can_align", "read_pairs", "split", "written_for"]

Pair = tuple[str, str]
"""A sentence and its translation."""

WRITTEN = 0.48
"""Most sentences that the project adds to the pairs, as a share of their number."""


def read_pairs(path: Path) -> list[Pair]:
    """Read pairs from a file with a tab between the two sentences of each line.

    Raises:
        InputError: the file cannot be read, a line does not have two columns, or there are no pairs.
    """
    try:
        text = decode_text(path.read_bytes(), str(path))
    except OSError as fault:
        raise InputError(f"{path} cannot be read: {fault.strerror}", "Give a file of pairs, one per line") from fault
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


def written_for(pairs: Sequence[Pair], aside: Sequence[Pair]) -> list[Pair]:
    """Return sentences that were written for the project, with words and turns of phrase that such pairs seldom hold.

    Args:
        pairs: pairs to train on, which limit how many are returned; they are taken evenly from all.
        aside: pairs to evaluate on, whose sentences are left out.
    """
    kept = {sentence for pair in aside for sentence in pair}
    found = [pair for pair in written() if kept.isdisjoint(pair)]
    count = min(len(found), round(WRITTEN * len(pairs)))
    return [found[index * len(found) // count] for index in range(count)]


def can_align() -> bool:
    """Return whether eflomal is installed, without which `align` fails."""
    return find_spec("eflomal") is not None


def align(pairs: Sequence[tuple[str, str]]) -> list[list[SpanLink]]:
    """Link the words of each pair: each French word to the English word that it most likely translates.

    A French word that eflomal leaves unlinked takes its links from the other direction.

    Args:
        pairs: English sentences and their French translations.

    Raises:
        UsageError: eflomal is not installed.
    """
    try:
        from eflomal import Aligner
    except ImportError as missing:
        raise UsageError(
            "Word alignments for guided attention need eflomal", "Run pip install eflomal, or add --no-guide"
        ) from missing
    english, french = ([spans(pair[side]) for pair in pairs] for side in (0, 1))
    with tempfile.TemporaryDirectory() as folder:
        forward, reverse = Path(folder, "forward"), Path(folder, "reverse")
        Aligner().align(
            [_lower(pair[0], words) for pair, words in zip(pairs, english, strict=True)],
            [_lower(pair[1], words) for pair, words in zip(pairs, french, strict=True)],
            links_filename_fwd=str(forward),
            links_filename_rev=str(reverse),
        )
        found = zip(forward.read_text().splitlines(), reverse.read_text().splitlines(), english, french, strict=True)
        return [_links(there, back, ours, theirs) for there, back, ours, theirs in found]


def _lower(text: str, words: Sequence[tuple[int, int]]) -> str:
    return " ".join(text[start:end] for start, end in words).lower()


def _links(
    forward: str, reverse: str, english: Sequence[tuple[int, int]], french: Sequence[tuple[int, int]]
) -> list[SpanLink]:
    there, back = (
        [tuple(int(number) for number in link.split("-")) for link in line.split()] for line in (forward, reverse)
    )
    linked = {target for _, target in there}
    chosen = there + [link for link in back if link[1] not in linked]
    return [(english[source], french[target]) for source, target in chosen]
