"""Sentences whose pronoun stands for one of two nouns: what they say, what is linked, and what is kept for testing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from itertools import islice

import pytest

from attn_cli.train.clauses import Draw, negated, noun_phrase, reason
from attn_cli.train.constructions import CONSTRUCTIONS, FRAMES
from attn_cli.train.grammar import (
    HELD_OUT_CONSTRUCTIONS,
    Coreference,
    Example,
    examples,
    held_out,
    is_held_out,
    is_right,
    pairs,
    simple,
    simple_held_out,
)
from attn_cli.train.lexicon import NOUNS
from attn_cli.train.phrase import spell, weave

# A word, an elided word with its apostrophe, or a punctuation mark.
ENGLISH_WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")
FRENCH_WORD = re.compile(r"\w+'?|[^\w\s]")
TRAINING = [example for pair in islice(pairs(1), 2000) for example in pair]
TESTING = held_out(2000)
SIMPLE = list(islice(simple(1), 2000)) + list(simple_held_out(1000))
EVERYTHING = [*TRAINING, *TESTING, *SIMPLE]
NAMED = {noun.english: noun for noun in NOUNS}


def meaning(example: Example) -> Coreference:
    assert example.coreference is not None
    return example.coreference


def words(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


def pharaoh(example: Example) -> str:
    """Links as the numbers of words, English-French."""
    english = [found.span() for found in ENGLISH_WORD.finditer(example.english)]
    french = [found.span() for found in FRENCH_WORD.finditer(example.french)]
    return " ".join(f"{english.index(source)}-{french.index(target)}" for source, target in example.links)


def find(wanted: str, found: list[Example]) -> Example:
    return next(example for example in found if example.english == wanted)


# --- what they say


def test_the_trophy_and_the_suitcase() -> None:
    fit = next(row for row in CONSTRUCTIONS if row.name == "fit in")
    assert fit.verb is not None
    draw = Draw("any")
    made = {}
    for name, noun in (("big", "trophy"), ("small", "suitcase")):
        verb = next(verb for verb in iter(lambda: negated(fit.verb, "past", draw), None) if len(verb.english) == 2)  # type: ignore[arg-type]
        main = weave(
            *fit.clause,
            a=noun_phrase(NAMED["trophy"], ("the/1", "le/1"), mark="@a"),
            b=noun_phrase(NAMED["suitcase"], ("the/1", "la/1"), mark="@b"),
            verb=verb,
        )
        it, _ = reason(name, NAMED[noun].gender, "too", "past")
        spelled = spell(weave(*FRAMES["because"].templates, main=main, it=it, between=weave("", "")))
        made[name] = spelled
    assert made["big"].english.replace("couldn't", "didn't") == (
        "The trophy didn't fit in the suitcase because it was too big."
    )
    assert re.fullmatch(
        r"Le trophée ne (rentrait pas|pouvait pas rentrer) dans la valise parce qu'il était trop grand\.",
        made["big"].french,
    )
    assert made["small"].french.endswith("dans la valise parce qu'elle était trop petite.")


def test_twins_differ_only_in_the_reason_and_swap_the_nouns() -> None:
    for example, twin in zip(TESTING[::2], TESTING[1::2], strict=True):
        one, other = meaning(example), meaning(twin)
        assert (one.french_meant, one.french_other) == (other.french_other, other.french_meant)
        assert {one.french_pronoun, other.french_pronoun} == {"il", "elle"}
        assert one.construction == other.construction
        assert example.english.split()[0] == twin.english.split()[0]
        assert example.english != twin.english


def test_the_gold_translation_is_right_and_the_twins_is_not() -> None:
    for found in (TRAINING, list(TESTING)):
        for example, twin in zip(found[::2], found[1::2], strict=True):
            assert is_right(example, example.french), example.french
            assert is_right(twin, twin.french), twin.french
            if meaning(example).french_pronoun != meaning(twin).french_pronoun:
                assert not is_right(example, twin.french)
                assert not is_right(twin, example.french)


# --- spans and links


def test_spans_are_the_words_they_claim_to_be() -> None:
    nouns = {noun.french: noun.english for noun in NOUNS if noun.french != "tapis"} | {"tapis": "(mat|carpet)"}
    for example in (*TRAINING, *TESTING):
        it = meaning(example)
        pronoun, meant, other = words(example.english, [it.pronoun, it.meant, it.other])
        assert pronoun in {"it", "It"}
        assert re.fullmatch(nouns[it.french_meant], meant)
        assert re.fullmatch(nouns[it.french_other], other)
        assert re.search(rf"(?i)\b{it.french_pronoun}\b", example.french)
        assert not it.french_adjective or re.search(rf"\b{it.french_adjective}\b", example.french)
        between = example.english[min(it.meant[1], it.pronoun[1]) : max(it.meant[0], it.pronoun[0])]
        assert it.distance == sum(piece[0].isalpha() for piece in ENGLISH_WORD.findall(between))


def test_links_join_whole_words_and_leave_none_out() -> None:
    unlinked: Counter[str] = Counter()
    for example in EVERYTHING:
        english = [found.span() for found in ENGLISH_WORD.finditer(example.english)]
        french = [found.span() for found in FRENCH_WORD.finditer(example.french)]
        sources, targets = {link[0] for link in example.links}, {link[1] for link in example.links}
        assert sources <= set(english)
        assert targets <= set(french)
        assert len(set(example.links)) == len(example.links)
        assert sources == set(english), example.english
        unlinked.update(words(example.french, sorted(set(french) - targets)))
    assert set(unlinked) <= {"le", "la", "l'", "Le", "La", "L'"}  # le violon de mon oncle: my uncle's violin


def test_punctuation_is_linked_with_punctuation() -> None:
    for example in EVERYTHING:
        for source, target in example.links:
            one, other = example.english[slice(*source)], example.french[slice(*target)]
            assert one[0].isalnum() == other[0].isalnum()


def test_nouns_are_linked_with_their_translations_alone() -> None:
    for example in EVERYTHING:
        for noun in (NAMED[word] for word in re.findall(r"\w+", example.english) if word in NAMED):
            spans = [found.span() for found in re.finditer(rf"\b{noun.english}\b", example.english)]
            for span in spans:
                to = words(example.french, [target for source, target in example.links if source == span])
                assert to in ([noun.french], ["tenait"], ["tient"]), (example.english, to)


def test_marks_are_linked_once() -> None:
    for example in EVERYTHING:
        marks = [link for link in example.links if not example.english[slice(*link[0])][0].isalnum()]
        assert len(marks) == len({source for source, _ in marks}) == len({target for _, target in marks})


def test_the_pronoun_is_linked_with_its_translation() -> None:
    for example in (*TRAINING, *TESTING):
        it = meaning(example)
        to = [target for source, target in example.links if source == it.pronoun]
        assert [word.lower() for word in words(example.french, to)] == [it.french_pronoun]


# --- French


@pytest.mark.parametrize(
    "never",
    [
        r"\b(le|la|de|ne|que|je|se|puisque) [aeiouéèêàâîôœ]",
        r"\b(le|la|de|ne|que|je|se|puisque) h(?!aut)",
        r"\b(de|à) les?\b",
        r"\bsi ils?\b",
        r"\bce [aeiouéèêàâîôœ]",
        r"\b(ma|sa) [aeiouéèêàâîôœ]",
        r"\b(beau|nouveau|vieux) [aeiouéèêàâîôœ]\w+",
        r"' | [.,]|  |[~{}/@+]|’",
        r"\b(\w{3,})\s+\1\b",
    ],
)
def test_what_french_never_says(never: str) -> None:
    pattern = re.compile(never, re.IGNORECASE)
    assert not [example.french for example in EVERYTHING if pattern.search(example.french)]


def test_participles_and_adjectives_agree() -> None:
    feminine = "|".join(noun.french for noun in NOUNS if noun.gender == "f")
    masculine = "|".join(noun.french for noun in NOUNS if noun.gender == "m")
    who = r"(?:rouge|\w+e?)? ?(?:que|qu') ?(?:\w+ ){1,3}?(?:a|ai|ont|avons|avait|avais|avaient|avions) "
    ours = [re.compile(rf"\b({nouns}) {who}(\w+)") for nouns in (feminine, masculine)]
    seen: Counter[bool] = Counter()
    for example in TRAINING:
        for is_masculine, pattern in enumerate(ours):
            for match in pattern.finditer(example.french):
                assert match[2].endswith("e") != bool(is_masculine), example.french
                seen[bool(is_masculine)] += 1
    assert min(seen[True], seen[False]) > 100


# --- balance


def test_both_genders_and_both_answers_are_as_frequent() -> None:
    drawn = list(islice(examples(7), 4000))
    feminine = sum(meaning(example).french_pronoun == "elle" for example in drawn) / len(drawn)
    first = sum(meaning(example).meant < meaning(example).other for example in drawn) / len(drawn)
    nearer = sum(
        abs(meaning(example).meant[0] - meaning(example).pronoun[0])
        < abs(meaning(example).other[0] - meaning(example).pronoun[0])
        for example in drawn
    ) / len(drawn)
    assert 0.45 < feminine < 0.55
    assert 0.45 < first < 0.55
    assert 0.45 < nearer < 0.55
    assert Counter(meaning(example).french_pronoun for example in TESTING) == {"il": 1000, "elle": 1000}


def test_distances_and_constructions_are_covered() -> None:
    for found in (TRAINING, TESTING):
        distances = Counter(meaning(example).distance for example in found)
        assert set(range(3, 21)) <= set(distances)
        assert max(distances) <= 20
        assert {meaning(example).construction.split(", ")[1] for example in found} == set(FRAMES)
    used = Counter(meaning(example).construction.split(", ")[0] for example in TRAINING)
    assert set(used) == {row.name for row in CONSTRUCTIONS} - HELD_OUT_CONSTRUCTIONS
    assert {meaning(example).construction.split(", ")[0] for example in TESTING} == {row.name for row in CONSTRUCTIONS}


def test_nouns_of_both_genders_are_many() -> None:
    assert len(NOUNS) == len(NAMED) >= 120
    assert 0.4 < sum(noun.gender == "f" for noun in NOUNS) / len(NOUNS) < 0.6
    assert {noun.english for noun in NOUNS} >= {"trophy", "suitcase", "mat"}
    seen = {meaning(example).french_meant for example in islice(examples(2), 8000)}
    assert len(seen) >= 120


def test_nouns_mostly_differ_in_gender() -> None:
    gender = {noun.french: noun.gender for noun in NOUNS}
    differ = [gender[meaning(example).french_meant] != gender[meaning(example).french_other] for example in TRAINING]
    assert 0.75 < sum(differ) / len(differ) < 0.95


# --- held out


def test_held_out_is_never_drawn_for_training() -> None:
    kept = {example.english for example in TESTING}
    assert len(kept) == len(TESTING)
    for example in islice(examples(3), 20_000):
        it = meaning(example)
        assert example.english not in kept
        assert not is_held_out(*words(example.english, [it.meant, it.other]))
        assert it.construction.split(", ")[0] not in HELD_OUT_CONSTRUCTIONS


def test_what_is_held_out_is_only_the_combination() -> None:
    trained = {meaning(example).french_meant for example in islice(examples(4), 10_000)}
    assert {meaning(example).french_meant for example in TESTING} <= trained
    for example in TESTING:
        it = meaning(example)
        both = words(example.english, [it.meant, it.other])
        assert is_held_out(*both) or it.construction.split(", ")[0] in HELD_OUT_CONSTRUCTIONS


def test_the_sentences_that_the_product_is_shown_with_are_held_out() -> None:
    assert is_held_out("trophy", "suitcase")
    assert is_held_out("suitcase", "trophy")
    assert not [e for e in islice(simple(2), 20_000) if re.search(r"(?i)cat sat on \w+ mat", e.english)]


def test_simple_sentences_keep_their_test_sentences() -> None:
    kept = simple_held_out(1000)
    assert len({example.english for example in kept}) == 1000
    assert not {example.english for example in kept} & {example.english for example in islice(simple(5), 10_000)}


def test_simple_sentences_have_5_to_14_words_and_no_pronoun() -> None:
    for example in SIMPLE:
        assert example.coreference is None
        assert 4 <= sum(piece[0].isalpha() for piece in ENGLISH_WORD.findall(example.english)) <= 15


def test_the_same_seed_draws_the_same_sentences_in_any_process() -> None:
    code = (
        "from itertools import islice; from attn_cli.train.grammar import *;"
        "print([*islice(examples(11), 50), *held_out(20), *islice(simple(11), 50), *simple_held_out(20)])"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert [*islice(examples(11), 50)] != [*islice(examples(12), 50)]
