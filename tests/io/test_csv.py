"""Weights as CSV: what a reader gets back, and what a spreadsheet must not do."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_cli.data.regroup import Regroup
from attn_cli.data.stream import Block
from attn_cli.data.text import Token, Tokens
from attn_cli.data.units import Units
from attn_cli.io.csv import CsvTable, harmless, weight_columns, weight_rows
from attn_cli.system.encoding import OBEYED
from tests.samples import decoder_record, source_tokens, target_tokens, translation_record

HOSTILE = st.text(
    st.one_of(
        st.characters(codec="utf-8"), st.sampled_from("\\u0aF9'=+-@\t\r\n\x00\x1b\x7f\x9b\u200f\u2028\u202e\u2066")
    ),
    max_size=7,
)
THIRD = np.float32(1 / 3)


def read(file: io.BytesIO) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.getvalue().decode(), newline="")))


def side(*texts: str) -> Units:
    return Units.of(Tokens(" ".join(texts), tuple(Token(text, 0, 0, None) for text in texts), ()), "token")


def block(start: int = 0) -> Block:
    """Two heads, two queries, three keys; the first query sees two keys."""
    weights = np.array([[[0.25, 0.75, 0], [0, THIRD, 2 / 3]], [[1, 0, 0], [1e-7, 0.5, 0.5]]], np.float32)
    scores = np.array([[[-1.5, 2, -np.inf], [0, 1, 2]], [[1, 0, 3], [-2, -np.inf, 0.5]]], np.float32)
    return Block("cross", 3, (0, 5), start, weights, np.array([[0, 2], [1, 3]]), scores)


def test_the_whole_text() -> None:
    file = io.BytesIO()
    table = CsvTable(file, weight_columns(scores=True))
    weight_rows(table, side("a", 'b"', "c,d"), side("x", "", "y\nz"), scores=True)(block(1))
    assert file.getvalue().decode().split("\r\n") == [
        "kind,layer,head,query,query_text,key,key_text,weight,score,unit",
        'cross,3,0,1,"b""",0,x,0.25,-1.5,token',
        'cross,3,0,1,"b""",1,,0.75,2.0,token',
        'cross,3,0,2,"c,d",1,,0.33333334,1.0,token',
        'cross,3,0,2,"c,d",2,y\\u000az,0.6666667,2.0,token',
        'cross,3,5,1,"b""",0,x,1.0,1.0,token',
        'cross,3,5,1,"b""",1,,0.0,0.0,token',
        'cross,3,5,2,"c,d",1,,0.5,,token',
        'cross,3,5,2,"c,d",2,y\\u000az,0.5,0.5,token',
        "",
    ]


def test_chosen_queries_of_the_second_sentence() -> None:
    file = io.BytesIO()
    table = CsvTable(file, weight_columns(), sentences=True)
    weight_rows(table, side("a", "b"), side("x", "y", "z"), sentence=1, only=(1,))(block())
    rows = read(file)
    assert [(row["sentence"], row["query"], row["head"]) for row in rows] == [("1", "1", "0")] * 2 + [
        ("1", "1", "5")
    ] * 2


def test_words_of_a_causal_model_in_small_blocks() -> None:
    record = decoder_record()
    units = Units.of(source_tokens())
    file = io.BytesIO()
    eat = Regroup(units, units, weight_rows(CsvTable(file, weight_columns()), units, units))
    for part in record.maps[1].blocks((0, 2), rows=2):
        eat(part)
    rows = read(file)
    count = len(units)
    assert len(rows) == 2 * count * (count + 1) // 2
    sums: dict[tuple[str, str], float] = {}
    for row in rows:
        assert int(row["key"]) <= int(row["query"])
        assert row["query_text"] == units.labels[int(row["query"])]
        assert row["key_text"] == units.labels[int(row["key"])]
        sums[row["head"], row["query"]] = sums.get((row["head"], row["query"]), 0) + float(row["weight"])
    assert len(sums) == 2 * count
    np.testing.assert_allclose(list(sums.values()), 1, atol=1e-6)


def test_scores_that_are_not_there_are_left_empty() -> None:
    record = translation_record()
    queries, keys = Units.of(target_tokens()), Units.of(source_tokens())
    file = io.BytesIO()
    table = CsvTable(file, weight_columns(scores=True))
    eat = Regroup(queries, keys, weight_rows(table, queries, keys, scores=True))
    for part in record.maps[4].blocks((1,)):
        eat(part)
    assert {row["score"] for row in read(file)} == {""}


def test_a_query_that_sees_nothing_has_no_rows() -> None:
    file = io.BytesIO()
    nothing = Block("encoder", 0, (0,), 0, np.zeros((1, 2, 3), np.float32), np.array([[0, 0], [3, 3]]))
    weight_rows(CsvTable(file, weight_columns()), side("a", "b"), side("x", "y", "z"))(nothing)
    assert read(file) == []


def test_rows_of_any_values() -> None:
    file = io.BytesIO()
    table = CsvTable(file, ["word", "count", "weight"], sentences=True)
    table.add([["=it", 3, np.float32(0.1)], ['a "b"', None, float("nan")], [None, 0, 1 / 3]], sentence=2)
    assert file.getvalue().decode().split("\r\n") == [
        "sentence,word,count,weight",
        "2,'=it,3,0.1",
        '2,"a ""b""",,',
        "2,,0,0.33333334",
        "",
    ]


def exact(field: str) -> str:
    """Return a field as it was before it was made harmless, by the rule that the documentation gives."""
    bare = re.sub("^'('*[=+\\-@＝＋－＠].)", r"\1", field)
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), bare)


@given(HOSTILE, HOSTILE)
def test_any_text_is_read_back(query: str, key: str) -> None:
    file = io.BytesIO()
    weights = np.ones((1, 1, 1), np.float32)
    eat = weight_rows(CsvTable(file, weight_columns()), side(query), side(key))
    eat(Block("encoder", 0, (0,), 0, weights, np.array([[0, 1]])))
    (row,) = read(file)
    assert (exact(row["query_text"]), exact(row["key_text"])) == (query, key)
    assert file.getvalue().count(b"\n") == 2
    assert not OBEYED.search(file.getvalue().decode().replace("\r\n", ""))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "\\u0009=1"),
        ("\r=1", "\\u000d=1"),
        ("=\x9b1m", "'=\\u009b1m"),
        ("\x1b[2J", "\\u001b[2J"),
        ("\\u009b", "\\u005cu009b"),
        ("C:\\users", "C:\\users"),
        ("'=1", "''=1"),
        ("＝1", "'＝1"),
        ("=\n", "'=\\u000a"),
        ("=", "="),
        ("-", "-"),
        ("'", "'"),
        ("'tis", "'tis"),
        ("1=1", "1=1"),
        ("", ""),
    ],
)
def test_formulas(text: str, written: str) -> None:
    assert harmless(text) == written


@given(st.text(st.sampled_from("'=+-@\t\ra1"), max_size=5))
def test_no_formula_is_left_and_no_text_is_lost(text: str) -> None:
    written = harmless(text)
    assert len(written) < 2 or written[0] not in "=+-@\t\r"
    assert exact(written) == text
