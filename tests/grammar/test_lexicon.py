"""The tables of words: what they name in one another is there."""

from __future__ import annotations

import pytest

from attn_cli.grammar.constructions import CLAUSES, COMPARED, CONSTRUCTIONS, DEGREES, FRAMES, Construction
from attn_cli.grammar.lexicon import ADJECTIVES, BY_KIND, COLORS, rows
from attn_cli.grammar.simple import PLACES, PREPOSITIONS

REASONS = ADJECTIVES.keys() | CLAUSES.keys() | COMPARED.keys()


@pytest.mark.parametrize("row", CONSTRUCTIONS, ids=[row.name for row in CONSTRUCTIONS])
def test_a_construction_names_kinds_reasons_degrees_and_frames_that_there_are(row: Construction) -> None:
    assert {*row.a.split(), *row.b.split()} <= BY_KIND.keys()
    reasons = " ".join([row.because_of_a, row.because_of_b, *(row.despite or ())]).split()
    assert {reason.lstrip("+-") for reason in reasons} <= REASONS
    assert set(row.degrees) <= DEGREES.keys()
    assert set(row.frames) <= FRAMES.keys()
    assert ("{verb}" in row.clause[0]) == (row.verb is not None)


def test_places_and_adjectives_name_prepositions_and_reasons_that_there_are() -> None:
    assert {name for place in PLACES for name in place.prepositions} == PREPOSITIONS.keys()
    assert {name for preposition in PREPOSITIONS.values() for name in preposition.then} <= PREPOSITIONS.keys()
    assert {name for adjective in ADJECTIVES.values() for name in adjective.contraries} <= ADJECTIVES.keys()
    assert {positive for _, positive in COMPARED.values()} <= ADJECTIVES.keys()
    assert len(COLORS) == 8


@pytest.mark.parametrize("name", ["nouns.tsv", "places.tsv", "people.tsv"])
def test_genders_are_m_and_f(name: str) -> None:
    assert {row["gender"] for row in rows(name)} == {"m", "f"}


def test_an_empty_cell_at_the_end_of_a_line_may_be_left_out() -> None:
    row = next(row for row in rows("adjectives.tsv") if row["english"] == "long")
    assert list(row.values()) == ["long", "long", "longue", "", "", ""]
