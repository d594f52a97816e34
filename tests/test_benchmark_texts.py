"""The sentences that `benchmarks/quality.py` judges a model by: well-formed, and scored as they should be."""

from __future__ import annotations

import re

import pytest
from quality import is_right, plain, table, unstopped, written_together

from attn_cli.train.names import is_held_out


def test_everyday_sentences_expect_a_translation() -> None:
    patterns = {row["english"]: row["french"] for row in table("everyday.tsv")}
    assert len(patterns) == 60
    for english, french in {
        "Hello, how are you?": "Bonjour, comment allez-vous ?",
        "My name is Ahmed.": "Je m'appelle Ahmed.",
        "The train leaves at 8:45 from platform 3.": "Le train part à 8 h 45 du quai 3.",
        "I am hungry.": "J’ai faim !",
        "My brother likes apples.": "Mon frère aime bien les pommes.",
        "I have been learning French for a year.": "J'apprends le français depuis un an.",
    }.items():
        assert re.fullmatch(patterns[english], plain(french))
    for english, french in {
        "Hello, how are you?": "Bonjour, comment êtes-vous ?",
        "My name is Ahmed.": "Mon nom est en ordre.",
        "I love you.": "Je t'aime bien.",
        "I am hungry.": "J'ai faim de faim.",
    }.items():
        assert not re.fullmatch(patterns[english], plain(french))


def test_names_and_numbers_are_as_many_as_the_table_says() -> None:
    names = [name for row in table("names.tsv") for name in row["names"].split()]
    assert len(table("names.tsv")) == 100
    assert len(names) == len(set(names)) == 130
    assert all(name in row["english"] for row in table("names.tsv") for name in row["names"].split())
    assert all(is_held_out(name) for name in names)
    assert sum(len(row["numbers"].split()) for row in table("numbers.tsv")) == 60


@pytest.mark.parametrize(
    ("french", "together"),
    [
        ("Le train part à 8 h 45 du quai 3.", "Le train part à 8h45 du quai 3."),
        ("à 8h45", "à 8h45"),
        ("à 8:45", "à 8h45"),
        ("à 14 heures 05", "à 14h05"),
        ("52 000 habitants, 3.120 mètres", "52000 habitants, 3120 mètres"),
        ("5 heures, 2,5 kilomètres", "5 heures, 2,5 kilomètres"),
    ],
)
def test_numbers_are_compared_in_one_spelling(french: str, together: str) -> None:
    assert written_together(french) == together


def test_twins_differ_in_the_reason_and_in_the_pronoun() -> None:
    rows = table("pronouns.tsv")
    assert len(rows) == 32
    for one, twin in zip(rows[::2], rows[1::2], strict=True):
        assert {one["pronoun"], twin["pronoun"]} == {"il", "elle"}
        assert one["english"].partition(" because ")[0] == twin["english"].partition(" because ")[0]
    for row in rows:
        assert is_right(row["pronoun"], row["french"]), row["french"]
        assert not is_right("elle" if row["pronoun"] == "il" else "il", row["french"]), row["french"]


def test_a_pronoun_that_does_not_agree_is_wrong() -> None:
    assert is_right("il", "Le vent a cassé la branche parce qu'il soufflait fort.")
    assert not is_right("il", "Le vent a cassé la branche parce qu'il était très forte.")
    assert not is_right("il", "Le vent a cassé la branche.")


def test_only_a_full_stop_is_left_out() -> None:
    assert [unstopped(text) for text in ("Il pleut.", "Il pleut", "Pleut-il ?")] == [
        "Il pleut",
        "Il pleut",
        "Pleut-il ?",
    ]
