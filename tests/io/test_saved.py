"""Documents that an earlier version wrote, in `saved/`: valid against today's schemas, and its records are read."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from attn_cli.io.read import read_records
from attn_cli.io.records import to_json
from attn_cli.questions.schema.measure import names
from tests.conftest import Run
from tests.records import same, validated

SAVED = sorted((Path(__file__).parent / "saved").glob("*.json"))
RECORDS = [path for path in SAVED if path.stem.startswith("record-")]


def test_there_is_one_of_every_kind() -> None:
    assert {path.stem.partition("-")[0] for path in SAVED} == set(names())


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_saved_documents_are_valid(path: Path) -> None:
    validated(path.read_bytes(), path.stem.partition("-")[0])


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_saved_records_are_read_and_written_again(path: Path) -> None:
    (record,) = read_records(path)
    saved = orjson.loads(path.read_bytes())
    saved.pop("heads", None)  # derived from the maps, and not read
    saved["units"] |= {"maps": "token", "links": saved["selection"]["unit"]}  # which it did not say then
    if "written" in saved:
        saved["written"]["live"] = False  # nor this
    assert orjson.loads(to_json(record)) == saved


def test_a_saved_archive_is_read() -> None:
    (record,) = read_records(Path(__file__).parent / "saved" / "record.npz")
    (expected,) = read_records(next(path for path in RECORDS if path.stem == "record-scores"))
    assert same(record, expected)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_saved_records_are_shown(path: Path, attn: Run) -> None:
    assert "float32" in attn("view", str(path))
