"""The sentences and phrases that were written for the project: well-formed, and none of what is kept for testing."""

from __future__ import annotations

import re
from itertools import combinations

from attn_cli.grammar.lexicon import rows, written
from attn_cli.grammar.sentences import is_held_out
from attn_cli.train.names import is_held_out as is_held_out_name

PAIRS = list(written())
NOUNS = {row["english"]: "kept" in row["kinds"].split() for row in rows("nouns.tsv")}


def nouns_in(english: str) -> set[str]:
    """Nouns of the grammar in a sentence, in the singular."""
    words = re.findall(r"[a-z]+", english.lower())
    return {noun for word in words for noun in (word, word.removesuffix("s")) if noun in NOUNS}


def test_no_sentence_is_there_twice() -> None:
    assert len({english for english, _ in PAIRS}) == len(PAIRS) > 70_000


def test_both_sides_end_alike_and_are_spelled_as_the_pairs_are() -> None:
    for english, french in PAIRS:
        assert english[0].isupper() or english[0].isdigit() or english[0] == '"', english
        assert len(english.split()) <= 60, english
        assert english[-1] == french[-1] or english[-1] not in ".?!", (english, french)
        assert not re.search("[’‘“”…\u00a0\u202f]|  ", english + french), (english, french)
        assert not re.search(r"[^\s?!][?!;]|\w:(?!\d)", french), french
        assert not re.search(r"[cs]oeur|oeuf|oeil|oeuvre", french), french


def test_nothing_that_is_kept_for_testing_is_among_them() -> None:
    tables = ("activities.tsv", "phrasebook.tsv", "everyday.tsv")
    phrases = [text for name in tables for row in rows(name) for text in (row["english"], row.get("past")) if text]
    assert len(phrases) > 700
    for english in [*(english for english, _ in PAIRS), *phrases]:
        nouns = nouns_in(english)
        assert not any(NOUNS[noun] for noun in nouns), english
        names = set(re.findall(r"(?<=\w )[A-Z]\w+", english)) - {"France"}  # kept by its hash alone, and never drawn
        assert not any(is_held_out_name(name) for name in names), english
        if re.search(r"(?i)\b(it|its|they|them)\b", english):
            assert not any(is_held_out(*pair) for pair in combinations(sorted(nouns), 2)), english
