"""A text with a second segment: the words of one looking at those of the other alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from attn_cli.data.record import Record
from attn_cli.data.selection import Choices, Selection, check_syntax
from attn_cli.data.text import make_tokens
from attn_cli.draw.screen import Screen, to_text
from attn_cli.errors import InputError, SelectionError, UsageError
from attn_cli.io.document import encode
from attn_cli.io.read import read_records
from attn_cli.questions.find.measure import find
from attn_cli.questions.inspect.draw import draw
from attn_cli.questions.inspect.measure import Inspection, look
from tests.conftest import Run
from tests.samples import HEADS, LAYERS, decoder_record, encoder_record, translation_record

TEXT, PAIR = "The trophy didn't fit.", "It was big"
# [CLS] and 9 tokens of A, [SEP], and 3 of B, [SEP]: of 15 tokens, 9 rows and 3 columns.
ACROSS = Selection(from_segment=0, to_segment=1)


def two_segments(record: Record) -> Record:
    """Give the record's 11 tokens to two segments: 2 words of 3 pieces, and 3 words of 5 pieces."""
    pieces = ("[CLS]", "the", "tro", "##phy", "[SEP]", "didn", "'", "t", "fit", ".", "[SEP]")
    offsets = ((0, 0), (0, 3), (4, 7), (7, 10), (0, 0), (0, 4), (4, 5), (5, 6), (7, 10), (10, 11), (0, 0))
    special = [piece.startswith("[") for piece in pieces]
    segments = [0] * 5 + [1] * 6
    text, pair = "The trophy", "didn't fit."
    source = make_tokens(text, pieces, offsets, special, ids=range(11), pair=pair, segments=segments)
    return replace(record, source=source)


def across(record: Record, selection: Selection = ACROSS) -> Inspection:
    return look(two_segments(record), selection, keep=True)


def drawn(answer: Inspection) -> str:
    screen = Screen(width=80, color=False)
    return to_text(draw(answer, screen), screen)


def test_tokens_are_those_of_transformers(minilm: str) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    import attn_cli

    answer = attn_cli.load(minilm).inspect(TEXT, pair=PAIR, unit="token", from_segment=0, to_segment=1)
    tokenizer, model = (
        AutoTokenizer.from_pretrained(minilm),
        AutoModel.from_pretrained(minilm, attn_implementation="eager"),
    )
    inputs = tokenizer(TEXT, PAIR, return_tensors="pt")
    parts = inputs.sequence_ids(0)
    rows, columns = ([place for place, part in enumerate(parts) if part == one] for one in (0, 1))
    assert len(rows) > len(columns) == 3
    with torch.no_grad():
        every = model(**inputs, output_attentions=True).attentions
    whole = np.stack([layer[0].numpy() for layer in every])[:, :, rows][..., columns]
    weights = np.array([row[7] for row in answer.rows()], np.float64).reshape(whole.shape)
    np.testing.assert_allclose(weights, whole / whole.sum(axis=-1, keepdims=True), atol=1e-4)
    assert answer.segments is not None
    shares = whole.sum(axis=-1).mean(axis=-1)
    for layer, head, share in answer.segments.heads:
        assert share == pytest.approx(shares[layer, head], abs=1e-5)
    assert answer.segments.mean == pytest.approx(shares.mean(), abs=1e-5)


def test_words_by_hand() -> None:
    record = encoder_record()
    answer = across(record)
    assert answer.figures.plan.queries.labels == ("The", "trophy")
    assert answer.figures.plan.keys.labels == ("didn't", "fit", ".")
    weights = np.array([row[7] for row in answer.rows()]).reshape(LAYERS, HEADS, 2, 3)
    for layer in range(LAYERS):
        whole = record.maps[layer].weights
        summed = np.stack([whole[..., 5:8].sum(-1), whole[..., 8], whole[..., 9]], axis=-1)
        shares = summed / summed.sum(-1, keepdims=True)
        np.testing.assert_allclose(weights[layer], np.stack([shares[:, 1], shares[:, 2:4].mean(1)], 1), rtol=1e-5)
    # A word is looked at from elsewhere, so it is neither near nor far from itself.
    assert {(head.itself, head.previous, head.distance, head.first) for head in answer.heads} == {(None,) * 4}


@pytest.mark.parametrize(
    ("choice", "rows", "columns"),
    [
        ({"from_segment": 1}, ("didn't", "fit", "."), 8),
        ({"to_segment": 0}, 8, ("The", "trophy")),
        ({"from_segment": 1, "to_segment": 1}, ("didn't", "fit", "."), ("didn't", "fit", ".")),
        ({"from_segment": 1, "to_segment": 0}, ("didn't", "fit", "."), ("The", "trophy")),
    ],
)
def test_either_side(choice: dict[str, Any], rows: Iterable[str] | int, columns: Iterable[str] | int) -> None:
    plan = across(encoder_record(), Selection(**choice)).figures.plan
    for units, wanted in ((plan.queries, rows), (plan.keys, columns)):
        assert (len(units) if isinstance(wanted, int) else units.labels) == wanted
    # Within one segment a word can look at itself.
    assert plan.crosses == (choice.get("from_segment") != choice.get("to_segment"))


@pytest.mark.parametrize("view", ["heads", "grid", "query"])
@pytest.mark.parametrize("measure", ["weights", "scores"])
def test_every_view_says_what_share_it_is(view: Any, measure: Any) -> None:
    unit: Any = "token" if measure == "scores" else "word"
    query = "fit" if view == "query" else None
    chosen = Selection(view=view, query=query, measure=measure, unit=unit, from_segment=1, to_segment=0)
    answer = across(encoder_record(), chosen)
    assert answer.segments is not None
    rows = [8] if query else range(5, 10)
    shares = np.stack([map_.weights[:, rows, 1:4].sum(2).mean(1) for map_ in encoder_record().maps])
    assert answer.segments.mean == pytest.approx(shares.mean(), rel=1e-5)
    said = " ".join(drawn(answer).split())
    assert f"of segment 0, which have {shares.mean():.2f} of a row's weight on average, most in" in said
    assert ("scores stay as they are" in said) == (measure == "scores")


def test_a_record_keeps_the_choice_and_the_whole_maps(tmp_path: Path) -> None:
    answer = across(encoder_record())
    document = orjson.loads(encode(answer.document()))
    assert (document["selection"]["from_segment"], document["selection"]["to_segment"]) == (0, 1)
    assert len(document["segments"]) == LAYERS * HEADS
    assert document["segments"][0]["share"] == max(one["share"] for one in document["segments"])
    for name, data in (("a.json", orjson.dumps(document)), ("a.npz", answer.archive())):
        (tmp_path / name).write_bytes(data)
        (record,) = read_records(tmp_path / name)
        assert record.selection == ACROSS
        assert list(look(record, record.selection, keep=True).rows()) == list(answer.rows())
        assert look(record, Selection(), keep=False).segments is None


def test_find_looks_across() -> None:
    found = find(two_segments(encoder_record()), Selection(from_segment=0, to_segment=1), "trophy", "fit")
    assert len(found.links) == LAYERS * HEADS


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (encoder_record(), "no second segment.*--pair"),
        (two_segments(decoder_record()), "no word of 0 looks at 1.*--from-segment 1 --to-segment 0"),
        (translation_record(), "two texts already.*--kind encoder"),
    ],
    ids=["one", "decoder", "cross"],
)
def test_what_cannot_be(record: Record, said: str) -> None:
    with pytest.raises(SelectionError, match=said):
        look(record, ACROSS, keep=False)


def test_a_decoder_looks_back() -> None:
    answer = across(decoder_record(), Selection(from_segment=1, to_segment=0))
    assert len(list(answer.rows())) == 2 * HEADS * 3 * 2


def test_faults() -> None:
    for wrong in (2, -1):
        with pytest.raises(UsageError, match="There is no segment"):
            check_syntax(Selection(from_segment=wrong))
    with pytest.raises(SelectionError, match=r"is hidden here.*--from-segment"):
        across(encoder_record(), replace(ACROSS, query="fit", view="query"))
    empty = two_segments(encoder_record())
    empty = replace(
        empty,
        source=replace(
            empty.source,
            tokens=tuple(
                replace(token, special=True, word=None) if token.segment else token for token in empty.source.tokens
            ),
        ),
    )
    with pytest.raises(InputError, match=r"Nothing is left to show.*--from-segment"):
        look(empty, ACROSS, keep=False)
    assert "from_segment" not in Choices.__annotations__


def test_the_command(attn: Run, tmp_path: Path) -> None:
    asked = ["inspect", TEXT, "--model", "MODEL", "--from-segment", "0", "--to-segment", "1"]
    assert attn(*asked, code=2) == (
        "attn: The text has no second segment, so --from-segment and --to-segment cannot be used. "
        "Give a second text with --pair.\n"
    )
    record, table = str(tmp_path / "a.json"), tmp_path / "a.csv"
    attn(*asked, "--pair", PAIR, "--head", "2.6", "--save", record)
    shown = attn("view", record, "--no-color", "--width", "80")
    assert "Rows: the words of segment 0 alone; columns: those of segment 1, which have" in shown
    attn("view", record, "--to-segment", "0", "--save", str(table))  # of both ends, one that is named replaces both
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert "[CLS]" in {row["query_text"] for row in rows}
    assert "big" not in {row["key_text"] for row in rows}


def test_a_grid_says_where_the_second_segment_begins() -> None:
    assert "Segment 1 begins at word 4." in drawn(across(encoder_record(), Selection(view="grid")))
