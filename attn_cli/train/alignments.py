"""Word alignments of the training pairs, by eflomal (Östling and Tiedemann 2016); one head is trained towards them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from attn_cli.errors import UsageError
from attn_cli.grammar.words import spans
from attn_cli.train.batches import SpanLink

__all__ = ["align"]


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
