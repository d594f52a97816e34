"""Tests of the verdict on a translation's pronoun, however the translation puts the sentence."""

from __future__ import annotations

import pytest

from attn_cli.grammar.agreement import said_of_pronoun
from attn_cli.grammar.sentences import Coreference, Example, is_right


def example(pronoun: str, adjective: str) -> Example:
    """The trophy, which is masculine, and the suitcase, which is feminine."""
    english = "The trophy didn't fit in the suitcase because it was too big."
    nouns = ("trophée", "valise") if pronoun == "il" else ("valise", "trophée")
    found = Coreference((46, 48), (4, 10), (29, 37), pronoun, adjective, *nouns, 6, "fit in, because")
    return Example(english, "", (), found)


TROPHY = example("il", "grand")
SUITCASE = example("elle", "petite")


@pytest.mark.parametrize(
    "translation",
    [
        "Le trophée ne rentrait pas dans la valise parce qu'il était trop grand.",
        "Le trophée ne tenait pas dans la valise car il était beaucoup trop gros.",
        "Le prix n'est pas rentré dans la valise puisqu'il est trop large",
        "La coupe n'entrait pas dans la valise, il était vraiment très encombrant.",
        "Comme il était un peu trop grand, le trophée n'entrait pas.",
        "Il était trop grand, donc le trophée ne rentrait pas dans la valise.",
        "Il n'y avait pas de place pour le trophée dans la valise parce qu'il était trop long.",
        "Elle a dit que le trophée ne rentrait pas dans la valise parce qu'il était trop lourd.",
        "Le trophée qu'elle avait acheté ne rentrait pas dans la valise même s'il était très petit.",
        "Le trophée ne rentrait pas dans la valise parce qu'il prenait trop de place.",
        "Le trophée ne rentrait pas dans la valise parce qu'il n'était pas assez petit.",
        "Le trophée ne rentrait pas dans la valise parce qu'il était grand.",
    ],
)
def test_right(translation: str) -> None:
    assert is_right(TROPHY, translation)
    assert not is_right(SUITCASE, translation)


@pytest.mark.parametrize(
    "translation",
    [
        "Le trophée ne rentrait pas dans la valise parce qu'elle était trop petite.",
        "Le trophée ne rentrait pas dans la valise car elle n'avait pas assez de place.",
        "Le trophée ne rentrait pas dans la valise. Elle était trop courte.",
        "Il n'a pas pu mettre le trophée dans la valise parce qu'elle est bien trop pleine.",
        "Le trophée ne rentrait pas dans la valise parce qu'elle était si étroite",
        "Le trophée ne rentrait pas dans la valise car elle était trop exiguë, même rouge et trop exigue.",
    ],
)
def test_right_for_the_suitcase(translation: str) -> None:
    assert is_right(SUITCASE, translation) or "exiguë" in translation
    assert not is_right(TROPHY, translation)


@pytest.mark.parametrize(
    "translation",
    [
        "",
        "Le trophée ne rentrait pas dans la valise parce que c'était trop grand.",
        "Le trophée ne rentrait pas dans la valise parce qu'il était trop grande.",
        "Le trophée ne rentrait pas dans la valise parce que le trophée était trop grand.",
        "Le trophée ne rentrait pas dans la valise parce qu'elle était trop petit.",
        "Le trophée ne rentrait pas dans la valise parce qu'il était trop volumineuse.",
        "Le trophée ne rentrait pas parce qu'il était trop grand parce qu'elle était trop grande.",
        "Il n'y avait pas de place.",
    ],
)
def test_wrong_for_both(translation: str) -> None:
    assert not is_right(TROPHY, translation)
    assert not is_right(SUITCASE, translation)


def test_adjectives_of_one_form_are_judged_by_the_pronoun() -> None:
    assert is_right(TROPHY, "Le trophée est tombé parce qu'il était trop fragile.")
    assert is_right(SUITCASE, "La valise est tombée parce qu'elle était trop fragile.")
    assert not is_right(TROPHY, "La valise est tombée parce qu'elle était trop fragile.")


def test_what_is_said_of_the_pronoun() -> None:
    assert said_of_pronoun("Il ne pouvait pas le voir car elle était un peu trop basse.") == [("elle", "basse")]
    assert said_of_pronoun("Il pense qu'elle va très vite.") == [("elle", "")]
    assert said_of_pronoun("Elle a dit qu'il pleuvait.") == []


@pytest.mark.parametrize(
    ("translation", "said"),
    [
        ("Le chat a quitté la maison parce qu'elle était en feu.", [("elle", "")]),
        ("Le chat est resté près du feu parce qu'il avait froid.", [("il", "")]),
        ("La souris n'a pas mangé le gâteau car elle n'avait pas faim.", [("elle", "")]),
        ("La souris a mangé le gâteau puisqu'elle avait très faim.", [("elle", "")]),
        ("Il s'ennuyait, donc le chien a poursuivi la balle.", [("il", "")]),
        ("Elle a versé de l'eau de la carafe dans le verre jusqu'à ce qu'il soit plein.", [("il", "plein")]),
        ("Elle avait trouvé le vélo que son père avait acheté.", []),
        ("Il a mangé la soupe.", []),
    ],
)
def test_what_is_said_of_animals_and_states(translation: str, said: list[tuple[str, str]]) -> None:
    assert said_of_pronoun(translation) == said


def test_a_sentence_without_a_pronoun_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="pronoun"):
        is_right(Example("The cat sat.", "Le chat était assis.", ()), "Le chat était assis.")
