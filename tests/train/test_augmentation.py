"""Variations of texts, by hand: names with their elisions, numbers and times, marks, small letters and capitals."""

from __future__ import annotations

from itertools import islice
from random import Random
from typing import get_args

import pytest
import regex

from attn_cli.grammar.lexicon import rows
from attn_cli.grammar.sentences import WordRelation
from attn_cli.train import names
from attn_cli.train.augmentation import Rates, vary
from attn_cli.train.everyday import drawn, everyday
from attn_cli.train.linked import Linked
from attn_cli.train.names import NAMES, NameKind, is_held_out, new_name
from attn_cli.train.numbers import MONTHS, ordinal


def only(**rates: float) -> Rates:
    return Rates(**{**dict.fromkeys(Rates.__dataclass_fields__, 0.0), **rates})


def link(english: str, french: str, *words: tuple[str, str]) -> Linked:
    def span(text: str, word: str) -> tuple[int, int]:
        return text.index(word), text.index(word) + len(word)

    return Linked(english, french, tuple((span(english, one), span(french, other)) for one, other in words))


def linked_words(text: Linked) -> list[tuple[str, str]]:
    return [(text.english[slice(*one)], text.french[slice(*other)]) for one, other in text.links]


@pytest.mark.parametrize(
    ("english", "french", "name", "expected"),
    [
        ("Tom's dog", "Le chien de Tom", "Ahmed", ("Ahmed's dog", "Le chien d'Ahmed")),
        ("Tom's dog", "Le chien de Tom", "Diego", ("Diego's dog", "Le chien de Diego")),
        ("See Alice's dog", "Vois le chien d'Alice", "Marie", ("See Marie's dog", "Vois le chien de Marie")),
        ("See Alice's dog", "Vois le chien d'Alice", "Aïssatou", ("See Aïssatou's dog", "Vois le chien d'Aïssatou")),
        ("that Mary sings", "que Marie chante", "Aisha", ("that Aisha sings", "qu'Aisha chante")),
        ("Look at Tom", "Regarde Tom", "Omar", ("Look at Omar", "Regarde Omar")),
        ("when Mary sings", "lorsque Mary chante", "Inès", ("when Inès sings", "lorsqu'Inès chante")),
        ("because Alice sings", "parce qu'Alice chante", "Hana", ("because Hana sings", "parce que Hana chante")),
        ("Mary's dog", "Le chien de Marie", "Hélène", ("Hélène's dog", "Le chien d'Hélène")),
        ("Tom's dog", "Le chien de Tom", "Yves", ("Yves's dog", "Le chien d'Yves")),
        ("Mary's dog", "Le chien de Marie", "Yasmin", ("Yasmin's dog", "Le chien de Yasmin")),
        ("Boston is big", "Boston est grande", "Osaka", ("Osaka is big", "Osaka est grande")),
        ("He left Boston", "Il est parti de Boston", "Osaka", ("He left Osaka", "Il est parti d'Osaka")),
    ],
)  # fmt: skip
def test_french_elides_before_names(
    english: str, french: str, name: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "new_name", lambda *_: name)
    varied = vary(Linked(english, french), only(names=1), Random(1))
    assert (varied.english, varied.french) == expected


def test_each_name_keeps_its_kind_and_its_links() -> None:
    words = (("Tom", "Tom"), ("Mary", "Marie"), ("hat", "chapeau"))
    text = link("Tom gave Mary Tom's hat.", "Tom a donné à Marie le chapeau de Tom.", *words)
    varied = vary(text, only(names=1), Random(2))
    (man, _), (woman, _), (hat, chapeau) = linked_words(varied)
    assert NAMES[man].kind == "man"
    assert NAMES[woman].kind == "woman"
    assert linked_words(varied) == [(man, man), (woman, woman), ("hat", "chapeau")]
    assert (hat, chapeau) == ("hat", "chapeau")
    assert varied.english == f"{man} gave {woman} {man}'s hat."
    assert regex.fullmatch(rf"{man} a donné à {woman} le chapeau (de |d'){man}\.", varied.french)


@pytest.mark.parametrize(
    ("english", "french"),
    [("Tom is here", "Il est là"), ("Tomorrow is fine", "Demain, Tom"), ("My cat is big", "Mon chat est grand")],
)
def test_a_name_that_stands_on_one_side_stays(english: str, french: str) -> None:
    assert vary(Linked(english, french), only(names=1), Random(3)) == Linked(english, french)


def test_held_out_names_are_never_drawn() -> None:
    kept = {name for name in NAMES if is_held_out(name)}
    assert len(kept) > 40
    text = Linked("Tom likes Mary, Mr. Jackson and Boston", "Tom aime Mary, M. Jackson et Boston")
    random = Random(4)
    drawn = set()
    for _ in range(1500):
        drawn |= set(regex.findall(r"\p{L}[\p{L}'-]+", vary(text, Rates(1, 0.5, 0, 0, 0, 0), random).french))
    assert not any(is_held_out(name) for name in drawn - {"aime", "et"})
    assert len(drawn) > 1000
    assert drawn - {"aime", "et", "M"} - NAMES.keys()  # made up


@pytest.mark.parametrize(
    ("english", "french", "pattern"),
    [
        ("I have 25 cats", "J'ai 25 chats", r"I have (\d\d) cats\|J'ai \1 chats"),
        ("at 8:30", "à 8h30", r"at (\d+):(\d\d)\|à \1 h \2"),
        ("from 8:30 to 2:30", "de 8:30 à 2:30", r"from (\d+):(\d\d) to (\d+):(\d\d)\|de \1:\2 à \3:\4"),
        ("It cost 3.50 euros", "Ça coûte 3,50 euros", r"It cost (\d)\.(\d\d) euros\|Ça coûte \1,\2 euros"),
        ("$10,000 a year", "10 000 dollars par an", r"\$(\d\d),(\d{3}) a year\|\1 \2 dollars par an"),
        ("in 1984", "en 1984", r"in ([12]\d{3})\|en \1"),
        ("on May 21st", "le 21 mai", r"on May (\d+)(?:st|nd|rd|th)\|le \1 mai"),
        ("1 cat", "1 chat", r"1 cat\|1 chat"),
        ("25 cats", "trente chats", r"25 cats\|trente chats"),
    ],
)
def test_numbers_and_times_are_redrawn_on_both_sides(english: str, french: str, pattern: str) -> None:
    random = Random(5)
    made = set()
    for _ in range(40):
        varied = vary(Linked(english, french), only(numbers=1), random)
        assert regex.fullmatch(pattern, f"{varied.english}|{varied.french}")
        made.add(varied)
    assert (len(made) > 5) == ("1 " not in english[:2] and "trente" not in french)


@pytest.mark.parametrize(
    ("english", "french", "gap", "hours"),
    [
        ("at 2:30 p.m.", "à 14 h 30", 12, range(1, 12)),
        ("at 8:30 am", "à 8h30", 0, range(1, 12)),
        ("at 8:30 a.m.", "à 8 h 30 du matin", 0, range(1, 12)),
        ("at 3:30 p.m.", "à 3 h 30 de l'après-midi", 0, range(1, 6)),
        ("at 8:30 tonight", "à 20 h 30 ce soir", 12, range(6, 12)),
        ("at 2:30", "à 14 h 30", 12, range(1, 12)),
        ("at 14:30", "à 14 h 30", 0, range(24)),
    ],
)
def test_redrawn_hours_suit_the_part_of_the_day(english: str, french: str, gap: int, hours: range) -> None:
    random = Random(5)
    seen = set()
    for _ in range(400):
        varied = vary(Linked(english, french), only(numbers=1), random)
        theirs, ours = (regex.search(r"(\d+)(?::| h )(\d\d)", side) for side in (varied.english, varied.french))
        assert theirs is not None
        assert ours is not None
        assert (int(ours[1]) - int(theirs[1]), ours[2]) == (gap, theirs[2])
        seen.add(int(theirs[1]))
    assert seen == set(hours)


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("at 12:30 a.m.", "à 0 h 30"),
        ("at 12:30 p.m.", "à 12 h 30"),
        ("at 0:30", "à 12 h 30"),
        ("at 2:30", "à 16 h 30"),
        ("at 2:30", "à 14 h 31"),
    ],
)
def test_times_that_count_otherwise_stay(english: str, french: str) -> None:
    for seed in range(20):
        assert vary(Linked(english, french), only(numbers=1), Random(seed)) == Linked(english, french)


def test_numbers_are_no_part_of_a_time() -> None:
    varied = vary(Linked("30 men at 2:30", "à 16 h 30, 30 hommes"), only(numbers=1), Random(5))
    assert regex.fullmatch(r"(\d\d) men at 2:30\|à 16 h 30, \1 hommes", f"{varied.english}|{varied.french}")


@pytest.mark.parametrize(("slot", "gap"), [("am", 0), ("pm", 12)])
def test_times_of_twelve_hours_become_those_of_twenty_four(slot: str, gap: int) -> None:
    random = Random(12)
    made = {(filling.english, filling.french) for filling in (drawn(slot, random) for _ in range(4000))}
    assert {f"2:36{mark}" for mark in (f" {slot[0]}.m.", f" {slot}", slot)} <= {english for english, _ in made}
    for english, french in made:
        hour, minute = english[: -len(slot)].split(":")
        assert french == f"{int(hour) + gap} h {minute[:2]}"
        assert 1 <= int(hour) <= 11


def test_some_numbers_are_round() -> None:
    random = Random(13)
    for english, french in (("8,315 men", "8 315 hommes"), ("2016 men", "2016 hommes")):
        made = [vary(Linked(english, french), only(numbers=1), random) for _ in range(500)]
        assert all(regex.sub(r"\D", "", one.english) == regex.sub(r"\D", "", one.french) for one in made)
        assert 0.2 < sum(regex.match(r"\d,?\d?00 ", one.english) is not None for one in made) / 500 < 0.4
    many = {drawn("many", random) for _ in range(4000)}
    assert {("1,000", "1 000"), ("200", "200"), ("70,000", "70 000")} <= {(one.english, one.french) for one in many}
    assert max(int(one.english.replace(",", "")) for one in many) > 9_000_000
    assert "40" in {drawn("count", random).english for _ in range(2000)}


@pytest.mark.parametrize(
    ("english", "french", "whole"),
    [("3,000,000 men", "3 000 000 d'hommes", True), ("3,200,000 men", "3 200 000 hommes", False)],
)
def test_whole_millions_stay_whole(english: str, french: str, whole: bool) -> None:
    random = Random(14)
    for _ in range(300):
        varied = vary(Linked(english, french), only(numbers=1), random)
        assert (",000,000 " in varied.english) == (" 000 000 " in varied.french) == whole


def test_ordinals_end_as_they_must() -> None:
    assert [ordinal(str(number)) for number in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 28, 111)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "28th", "111th"]
    )
    assert regex.fullmatch(
        r"on May (21st|22nd|23rd|2[4-8]th|20th|1\dth|[4-9]th|2nd|3rd)",
        vary(Linked("on May 21st", "le 21 mai"), only(numbers=1), Random(6)).english,
    )


def test_the_final_mark_goes_on_both_sides_with_its_link() -> None:
    text = link("Where is it?", "Où est-il ?", ("it", "il"), ("?", "?"))
    varied = vary(text, only(no_mark=1), Random(7))
    assert (varied.english, varied.french) == ("Where is it", "Où est-il")
    assert linked_words(varied) == [("it", "il")]
    for one in (Linked("Wait...", "Attends..."), Linked("Yes", "Oui."), Linked('He said "no."', "Il a dit « non. »")):
        assert vary(one, only(no_mark=1), Random(7)) == one


def test_small_letters_and_capitals_on_both_sides() -> None:
    text = link("I see Él.", "Je vois Él.", ("see", "vois"))
    assert vary(text, only(lower=1), Random(8)).french == "je vois él."
    capitals = vary(text, only(capitals=1), Random(8))
    assert (capitals.english, capitals.french) == ("I SEE ÉL.", "JE VOIS ÉL.")
    assert linked_words(capitals) == [("SEE", "VOIS")]
    sharp = Linked("Straße", "rue")
    assert vary(sharp, only(capitals=1), Random(8)) == sharp  # STRASSE would move the links


def test_relations_move_with_their_words() -> None:
    english = "Tom saw Mary."
    text = Linked(
        english,
        "Tom a vu Marie.",
        (),
        (WordRelation("subject", (0, 3), (4, 7)), WordRelation("object", (8, 12), (4, 7))),
    )
    varied = vary(text, only(names=1), Random(9))
    (subject, verb), (thing, same) = (
        (varied.english[slice(*one.query)], varied.english[slice(*one.key)]) for one in varied.relations
    )
    assert (verb, same) == ("saw", "saw")
    assert varied.english == f"{subject} saw {thing}."


def everyday_nouns() -> dict[str, set[str]]:
    """The English nouns of everyday sentences, with the French ones that translate each."""
    nouns: dict[str, set[str]] = {}
    for row in (*rows("vocabulary.tsv"), *rows("nouns.tsv")):
        if "kept" not in row.get("kinds", "").split():
            nouns.setdefault(row["english"], set()).add(row["french"])
    return nouns


def test_everyday_sentences_are_filled_and_follow_their_seed() -> None:
    texts = list(islice(everyday(3), 3000))
    assert texts == list(islice(everyday(3), 3000))
    nouns, articles = everyday_nouns(), {"the", "a", "an", "this", "my", "his", "her"}
    seen = set()
    for text in texts:
        assert not regex.search(r"[{}_]", text.english + text.french)
        assert text.english[0].isupper() or text.english[0].isdigit()
        assert not regex.search(
            r"\b(de|que|le|la|ce) (?!oui)[AEIOUÉaeioué]|\b(à|de) les? |'(?![\p{L}])", text.french
        ), text.french
        for one, other in linked_words(text):
            if one.lower() in articles:
                continue
            same = one == other or regex.sub(r"\D", "", one) == regex.sub(r"\D", "", other) != ""
            same = same or regex.search(r"\d ?p\.?m", one) is not None  # has a test of its own
            assert same or one in MONTHS or other.lower() in nouns[one.lower()], (one, other)
            seen |= {one} & nouns.keys()
    assert len(seen) > 200


def test_idioms_of_the_phrasebook_are_read_too() -> None:
    made = {(text.english, text.french) for text in islice(everyday(4), 3000)}
    assert ("What time is it?", "Quelle heure est-il ?") in made
    assert any(regex.fullmatch(r"Bonne nuit, \p{Lu}[\p{L}'-]+\.", french) for _, french in made)


@pytest.mark.parametrize(
    ("slot", "choices"),
    [
        ("the_place", {("the school", "l'école"), ("the park", "le parc")}),
        ("This_animal", {("This owl", "Cette chouette"), ("This donkey", "Cet âne")}),
        ("a_thing", {("an umbrella", "un parapluie"), ("a shovel", "une pelle")}),
        ("my_body", {("my ear", "l'oreille"), ("my nose", "le nez")}),
        ("mass", {("honey", "le miel"), ("water", "l'eau")}),
        ("person", {("a lawyer", "avocat"), ("an actor", "acteur")}),
        ("do", {("boil the eggs", "faire bouillir les œufs")}),
        ("did", {("dug a hole", "creusé un trou")}),
    ],
)
def test_what_fills_a_slot_agrees(slot: str, choices: set[tuple[str, str]]) -> None:
    random = Random(10)
    made = {(filling.english, filling.french) for filling in (drawn(slot, random) for _ in range(8000))}
    assert choices <= made


def test_the_names_of_test_sentences_are_held_out() -> None:
    kept = [row["name"] for row in rows("names.tsv") if row["kept"]]
    assert len(kept) > 100
    assert all(is_held_out(name) for name in kept)


def test_names_that_are_made_up_can_be_said() -> None:
    random = Random(11)
    made = {new_name(kind, 1, random) for kind in get_args(NameKind) for _ in range(300)}
    assert len(made) > 1100
    assert {len(name) for name in made} <= set(range(4, 13))
    assert all(regex.fullmatch(r"\p{Lu}[\p{L}']+", name) for name in made)
