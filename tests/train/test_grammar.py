"""Sentences whose pronoun stands for one of two nouns, and whether a translation has understood it."""

from __future__ import annotations

from itertools import islice

from attn_cli.train.grammar import examples, held_out, is_right, pairs


def test_gold_is_right_and_the_twin_is_wrong() -> None:
    for example, twin in islice(pairs(1), 500):
        assert is_right(example, example.french)
        assert example.coreference is not None
        assert twin.coreference is not None
        if example.coreference.french_pronoun != twin.coreference.french_pronoun:
            assert not is_right(example, twin.french)


def test_held_out_sentences_are_never_drawn_for_training() -> None:
    kept = {example.english for example in held_out(1000)}
    assert len(kept) == 1000
    assert not kept & {example.english for example in islice(examples(3), 5000)}
