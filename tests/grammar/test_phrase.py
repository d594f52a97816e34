"""Two languages at once: templates, links, and what French does to words that meet."""

from __future__ import annotations

import pytest

from attn_cli.grammar.phrase import Phrase, Spelled, marked, opens_with_vowel, spell, weave


def pharaoh(spelled: Spelled) -> str:
    """Links as numbers of words, English-French."""
    english = sorted({source for source, _ in spelled.links})
    french = sorted({target for _, target in spelled.links})
    return " ".join(f"{english.index(source)}-{french.index(target)}" for source, target in spelled.links)


def test_words_that_share_a_label_are_linked() -> None:
    spelled = spell(weave("the/1 cat/2 sat/3 .", "le/1 chat/2 était/3 assis/3 ."))
    assert (spelled.english, spelled.french) == ("The cat sat.", "Le chat était assis.")
    assert pharaoh(spelled) == "0-0 1-1 2-2 2-3 3-4"
    assert [spelled.french[slice(*target)] for _, target in spelled.links] == ["Le", "chat", "était", "assis", "."]


def test_labels_are_local_to_their_template_and_marks_are_not() -> None:
    cat = weave("the/1 cat/@a", "le/1 chat/@a")
    dog = weave("the/1 dog/@b", "le/1 chien/@b")
    spelled = spell(weave("{one} sees/1 {other}", "{one} voit/1 {other}", one=cat, other=dog))
    assert pharaoh(spelled) == "0-0 1-1 2-2 3-3 4-4"
    assert spelled.marks == {"@a": (4, 7), "@b": (17, 20)}


def test_the_last_english_word_of_a_phrase_is_marked() -> None:
    man = marked(weave("the/1 old/2 man/3", "le/1 vieil/2 homme/3"), "@main.subject")
    spelled = spell(weave("{who} slept/1+@main.verb", "{who} dormait/1", who=man))
    assert spelled.marks == {"@main.subject": (8, 11), "@main.verb": (12, 17)}
    assert pharaoh(spelled) == "0-0 1-1 2-2 3-3"


def test_a_missing_slot_is_an_error() -> None:
    with pytest.raises(KeyError, match="thing"):
        weave("the/1 {thing}", "le/1", other=Phrase((), ()))


@pytest.mark.parametrize(
    ("french", "spelled"),
    [
        ("le arbre", "L'arbre"),
        ("la école", "L'école"),
        ("le hôtel", "L'hôtel"),
        ("la haute tour", "La haute tour"),
        ("de le chat", "Du chat"),
        ("de le hôtel", "De l'hôtel"),
        ("de la orange", "De l'orange"),
        ("à le chat", "Au chat"),
        ("à le arbre", "À l'arbre"),
        ("près de les arbres", "Près des arbres"),
        ("ce arbre", "Cet arbre"),
        ("ce grand arbre", "Ce grand arbre"),
        ("ma école", "Mon école"),
        ("sa nouvelle école", "Sa nouvelle école"),
        ("je ai un œuf", "J'ai un œuf"),
        ("ne entre pas", "N'entre pas"),
        ("parce que il est là", "Parce qu'il est là"),
        ("parce que , selon elle , il", "Parce que, selon elle, il"),
        ("puisque elle", "Puisqu'elle"),
        ("même si il", "Même s'il"),
        ("même si elle", "Même si elle"),
        ("il se est endormi", "Il s'est endormi"),
        ("ce est pourquoi ce enfant", "C'est pourquoi cet enfant"),
        ("jusque à ce que il soit plein", "Jusqu'à ce qu'il soit plein"),
        ("le hamster près de le hamac", "Le hamster près du hamac"),
        ("tu viens ?", "Tu viens ?"),
        ("oui ! je viens . et toi ?", "Oui ! Je viens. Et toi ?"),
    ],
)
def test_french_is_spelled_as_it_is_said(french: str, spelled: str) -> None:
    assert spell(weave("", french)).french == spelled


def test_an_elided_or_contracted_word_keeps_its_links() -> None:
    spelled = spell(weave("near/1 the/2 hotel/3", "près/1 de/1 le/2 hôtel/3"))
    assert spelled.french == "Près de l'hôtel"
    assert pharaoh(spelled) == "0-0 0-1 1-2 2-3"
    spelled = spell(weave("near/1 the/2 tree/3 .", "près/1 de/1 le/2 mur/3 ."))
    assert spelled.french == "Près du mur."
    assert pharaoh(spelled) == "0-0 0-1 1-1 2-2 3-3"


def test_english_says_an() -> None:
    assert spell(weave("a/1 old/2 cat/3 saw/4 a/5 hotel/6 ?", "")).english == "An old cat saw a hotel?"


@pytest.mark.parametrize(
    ("word", "vowel"),
    [("arbre", True), ("œuf", True), ("École", True), ("homme", True), ("hache", False), ("mur", False)],
)
def test_what_elides(word: str, *, vowel: bool) -> None:
    assert opens_with_vowel(word) is vowel
