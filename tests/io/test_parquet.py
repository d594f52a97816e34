"""Parquet holds the rows of CSV, with types and exact texts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

import attn_cli
from attn_cli.io.parquet import ParquetTable
from tests.conftest import Run
from tests.questions.samples import ANSWERS


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_rows_are_those_of_the_answer(name: str, tmp_path: Path) -> None:
    answer, file = ANSWERS[name], tmp_path / "it.parquet"
    answer.save(file)
    read, rows = pd.read_parquet(file), answer.to_pandas()
    assert list(read.columns) == list(rows.columns)
    assert len(read) == len(rows)
    for column in read.columns:
        if read[column].dtype == np.float32:
            assert np.allclose(read[column], rows[column].astype(np.float32), equal_nan=True)
        else:
            assert [None if pd.isna(one) else one for one in read[column]] == [
                None if pd.isna(one) else one for one in rows[column]
            ]


def test_texts_are_exact_and_sentences_numbered(attn: Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("The =cat\nA dog\n")
    attn("inspect", "--file", str(tmp_path / "in.txt"), "--head", "2.0", "--save", str(tmp_path / "it.parquet"))
    table = pd.read_parquet(tmp_path / "it.parquet")
    assert set(table["sentence"]) == {0, 1}
    assert "=" in set(table["key_text"])
    assert table["weight"].dtype == np.float32
    weights = attn_cli.load("toy").inspect("A dog", head="2.0").to_pandas()["weight"]
    assert np.allclose(table[table["sentence"] == 1]["weight"], weights)


def test_columns_that_are_empty_at_first() -> None:
    table, file = ParquetTable(["a", "b"]), io.BytesIO()
    table.add([(None, 1), (None, 2)], {"sentence": 0})
    table.add([("x", None)], {"sentence": 1})
    table.add([], {"sentence": 2})
    table.write(file)
    read = pyarrow.parquet.read_table(file).to_pydict()
    assert read == {"sentence": [0, 0, 1], "a": [None, None, "x"], "b": [1, 2, None]}
