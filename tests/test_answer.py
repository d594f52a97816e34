"""Tests of the parts that all answers share: schemas in one frame, JSON, tables, and columns that give way."""

from __future__ import annotations

import csv
import io
from importlib import import_module

import orjson
import pytest
from jsonschema import Draft202012Validator
from rich.console import RenderableType

from attn_cli.answer import Answer
from attn_cli.data.selection import Selection
from attn_cli.draw.layout import FEWEST_ROWS, fitting
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import PLAIN, Part, drawing, flow
from attn_cli.draw.table import Column, bars, figures, names, table
from attn_cli.errors import InputError, UsageError
from attn_cli.io.csv import CsvTable
from attn_cli.io.records import from_json
from attn_cli.questions.diff.measure import diff
from attn_cli.questions.schema.measure import names as schema_names
from attn_cli.questions.schema.measure import schema
from tests.drawings import longest, shown
from tests.questions.diff.samples import changed
from tests.questions.samples import ANSWERS, ASKED
from tests.records import validated
from tests.samples import decoder_record


@pytest.mark.parametrize("name", schema_names())
def test_every_schema_is_one_and_whole(name: str) -> None:
    document = orjson.loads(schema(name))
    Draft202012Validator.check_schema(document)
    assert document["$id"] == f"urn:attn:{name}:1"
    assert set(document["required"]) <= set(document["properties"])
    text = schema(name).decode()
    for defined in document["$defs"]:
        assert f'"#/$defs/{defined}"' in text


def test_every_finding_has_a_schema_and_is_tried() -> None:
    declared = {name: import_module(f"attn_cli.questions.{name}.document").DOCUMENT for name in schema_names()[1:]}
    of_texts = {name for name, document in declared.items() if "source" in document.__struct_fields__}
    assert {name.partition("-")[0] for name in ANSWERS} == of_texts
    assert set(declared) <= set(ASKED)
    with pytest.raises(UsageError, match=r"no schema 'nothing'\. Choose from record, .*find"):
        schema("nothing")


@pytest.mark.parametrize("name", ANSWERS)
def test_json_keeps_to_its_schema(name: str) -> None:
    finding = ANSWERS[name]
    question = name.partition("-")[0]
    document = validated(finding.data(), question)
    assert document["finding"] == question
    assert finding.title.startswith(document["source"]["text"])
    sides = (document, document["other"]) if question == "diff" else (document,)
    assert list(dict.fromkeys(note for side in sides for note in side["notes"])) == list(finding.notes)
    with pytest.raises(InputError, match=f"is what attn {question} found, not a record"):
        from_json(finding.data())


@pytest.mark.parametrize("finding", ANSWERS.values(), ids=ANSWERS)
def test_tables_have_a_cell_for_each_column(finding: Answer) -> None:
    file = io.BytesIO()
    finding.add_rows(CsvTable(file, finding.columns, sentences=True), 1)
    rows = list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))
    assert rows[0] == ["sentence", *finding.columns]
    assert {len(row) for row in rows} == {len(finding.columns) + 1}
    assert {row[0] for row in rows[1:]} <= {"1"}


@pytest.mark.parametrize("finding", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_drawings_keep_to_the_screen(finding: Answer, width: int) -> None:
    for screen in (
        Screen(width=width),
        Screen(width=width, color=False),
        Screen(width=width, height=24, color=False, unicode=False),
    ):
        lines = shown(finding.draw(screen), screen)
        assert longest(lines) <= width
        assert screen.color or lines == [line.rstrip() for line in lines]
        assert screen.unicode or "".join(lines).isascii()


def test_a_row_that_sees_one_key_is_said_to() -> None:
    screen = Screen(color=False)
    assert "A row that sees only one key cannot change." in shown(ANSWERS["diff-blind"].draw(screen), screen)
    both = diff(decoder_record(), changed(decoder_record()), Selection(query="[CLS]#1,fit", head="0.0"))
    lines = shown(both.draw(screen), screen)
    assert "Head 0.0 from [CLS]  sees only one key" in lines
    assert not any("nan" in line for line in lines)


def test_columns_by_hand() -> None:
    screen = Screen(color=False, width=46)
    columns = [
        names("head", ["1.0", "2.11"], screen, right=True),
        bars("weight", [0.5, 0.03], screen),
        figures("usual", [0.25, None], rank=1),
        figures("others", [float("nan"), -0.5], rank=2),
    ]
    assert shown(table(columns, screen, caption="A note."), screen) == [
        "head  weight     usual  others",
        " 1.0  ━━   0.50   0.25       –",
        "2.11       0.03      –   -0.50",
        "A note.",
    ]
    narrow = Screen(color=False, width=40)
    wide = [*columns, Column("text", [[("x" * 9, PLAIN)]] * 2, right=False, rank=3)]
    assert shown(table(wide, narrow), narrow)[-1] == "Not shown for lack of width: text."
    wide[2] = figures("a very long name", [0.25, None], rank=4)
    assert " ".join(shown(table(wide, narrow), narrow)[-2:]) == "Not shown for lack of width: a very long name."


def test_rows_give_way_to_what_a_screen_is_low_for() -> None:
    screen = Screen(color=False)

    def make(limit: int | None) -> RenderableType:
        count = 20 if limit is None else limit
        return table([figures("x", [0.5] * count)], screen, caption="" if limit is None else f"{count} of 20.")

    for room, rows in ((None, 20), (21, 20), (20, 18), (9, 7), (2, FEWEST_ROWS)):
        drawn = fitting(make, 20, screen, room)
        assert sum("0.50" in line for line in shown(drawn, screen)) == rows


def test_a_piece_that_no_line_could_hold_is_split() -> None:
    screen = Screen(width=40, color=False)
    pieces: list[list[Part]] = [[("first", PLAIN)], [("x " * 30, PLAIN)], [("last", PLAIN)]]
    assert shown(drawing(flow(pieces, screen)), screen) == ["first", "x " * 19 + "x", "x " * 9 + "x   last"]
