"""Rows of a decoder at the step that writes a word: those of the step before, under the word that it wrote."""

from __future__ import annotations

import numpy as np
import pytest

from attn_cli.data.record import Record
from attn_cli.data.selection import Selection
from attn_cli.errors import SelectionError
from attn_cli.questions.ablate.cutting import find_edges
from attn_cli.questions.find.measure import find
from attn_cli.questions.heads.measure import find_heads
from attn_cli.questions.inspect.figures import OneHeadFigures
from attn_cli.questions.inspect.measure import look
from tests.samples import decoder_record, encoder_record, translation_record

OUTPUT = Selection(rows="output", head="2.1")
WORDS = ("The", "trophy", "didn't", "fit", ".", "[SEP]", "[SEP]")


def weights(record: Record) -> np.ndarray:
    found: np.ndarray = record.maps[-1].weights[1]
    return found


def test_a_row_is_the_step_before_its_word() -> None:
    record = decoder_record()
    tokens = look(record, Selection(rows="output", head="2.1", unit="token"), keep=True)
    assert isinstance(tokens.figures, OneHeadFigures)
    plan = tokens.figures.plan
    assert plan.queries.labels == tuple(token.piece for token in record.source.tokens[1:])
    assert plan.keys.labels == tuple(token.piece for token in record.source.tokens[:-1])
    np.testing.assert_array_equal(tokens.figures.map.values, weights(record)[:-1, :-1])
    words = look(record, OUTPUT, keep=True)
    assert isinstance(words.figures, OneHeadFigures)
    assert words.figures.plan.queries.labels == WORDS
    # "trophy" has two pieces, written at the steps that read "the" and "tro".
    row = weights(record)[1:3].mean(axis=0)
    np.testing.assert_allclose(words.figures.map.values[1, :3], [row[0], row[1], row[2]], rtol=1e-6)
    np.testing.assert_allclose(words.figures.map.values.sum(axis=1), 1, atol=1e-6)


def test_every_form_says_which_step_it_is() -> None:
    answer = look(decoder_record(), OUTPUT, keep=True)
    assert answer.to_dict()["units"]["rows"].startswith("output row")
    assert answer.columns[1] == "rows"
    assert {row[1] for row in answer.rows()} == {"output"}
    shown = answer._repr_html_()
    assert "rows (words, when written) attend to columns (keys)" in shown
    # A record holds the rows as the model made them, and shows them again either way.
    assert [len(map_.queries) for map_ in answer.maps] == [11]
    again = look(answer, OUTPUT, keep=True)
    assert list(again.rows()) == list(answer.rows())
    one = look(decoder_record(), Selection(rows="output", head="2.1", query="fit", view="query"), keep=True)
    assert "  query 3, when written" in one._repr_html_()


def test_a_link_is_from_the_step_that_writes() -> None:
    record = decoder_record()
    found = find(record, OUTPUT, "fit", "the")
    assert [link.weight for link in found.links] == [pytest.approx(float(weights(record)[6, 1]), rel=1e-6)]
    assert found.to_dict()["pairs"][0]["offset"] is None
    assert find_edges(record, OUTPUT, "fit:the").pairs == ((6, 1),)


def test_where_nothing_is_written_it_is_refused() -> None:
    for record in (encoder_record(), translation_record()):
        with pytest.raises(SelectionError, match="an encoder writes none"):
            look(record, Selection(rows="output", kind="encoder"), keep=False)
    with pytest.raises(SelectionError, match="told from the steps that read"):
        find_heads(decoder_record(), Selection(rows="output"))


def test_an_encoder_decoder_writes_as_well() -> None:
    record = translation_record()
    answer = look(record, Selection(rows="output", kind="decoder", head="1.2"), keep=True)
    assert answer.figures.plan.queries.labels == ("Le", "trophée", ".", "</s>")
    assert answer.figures.plan.keys.labels == ("<s>", "Le", "trophée", ".")
