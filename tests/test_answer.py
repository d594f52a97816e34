"""What all findings share: schemas in one frame, JSON, tables, and columns that give way."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import orjson
import pytest
from jsonschema import Draft202012Validator
from rich.console import RenderableType

from attn_cli.answer import Answer
from attn_cli.data.record import Record
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Source
from attn_cli.draw.layout import FEWEST_ROWS, fitting
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import PLAIN, Part, drawing, flow
from attn_cli.draw.table import Column, bars, figures, names, table
from attn_cli.errors import InputError, UsageError
from attn_cli.io.csv import CsvTable
from attn_cli.io.records import from_json
from attn_cli.models import Input, load
from attn_cli.questions.diff.measure import diff
from attn_cli.questions.explain.measure import explain
from attn_cli.questions.find.measure import find
from attn_cli.questions.heads.measure import find_heads
from attn_cli.questions.schema.measure import names as schema_names
from attn_cli.questions.schema.measure import schema
from tests.drawings import longest, shown
from tests.records import validated
from tests.samples import decoder_record, encoder_record, random_map, translation_record


def changed(record: Record) -> Record:
    """The same shape and text, other weights, and another name."""
    maps = (random_map(m.kind, m.layer, *m.weights.shape[1:], seed=5, causal=m.kind == "decoder") for m in record.maps)
    return replace(record, maps=tuple(maps), model=replace(record.model, name="other"), notes=("A note.",))


def built_in(target: str | None = None) -> Source:
    """A text that the built-in model has read."""
    return load("toy").prepare(Input("The trophy didn't fit because it was big", target=target))


FINDINGS: dict[str, Answer] = {
    "find": replace(find(encoder_record(), Selection(), "trophy", "fit", both=True), least=0.1, sort="usual"),
    "find-masked": find(decoder_record(), Selection(unit="token"), "tro", "fit"),
    "explain": explain(built_in(), Selection(query="it", head="2.0")),
    "explain-cross": explain(built_in("Le chat"), Selection(query="▁chat", unit="token", rows="output")),
    "find-cross": find(translation_record(), Selection(layer="1"), "trophée,Le", "trophy,didn't"),
    "diff": diff(encoder_record(), changed(encoder_record()), Selection()),
    "diff-query": replace(diff(encoder_record(), changed(encoder_record()), Selection(query="fit,.")), sort="layer"),
    "diff-row": diff(decoder_record(), changed(decoder_record()), Selection(query="fit", head="2.1")),
    "diff-blind": diff(decoder_record(), changed(decoder_record()), Selection(query="[CLS]")),
    "diff-cross": diff(translation_record(), changed(translation_record()), Selection(unit="token")),
    "diff-same": replace(diff(encoder_record(), encoder_record(), Selection()), fail_above=0.5),
    "heads": replace(find_heads(encoder_record(), Selection()), by="previous"),
    "heads-tokens": find_heads(decoder_record(), Selection(unit="token")),
    "heads-cross": replace(find_heads(translation_record(), Selection(layer="1")), by="focus"),
}
"""One of each question at least, by its name and what is special; a new one belongs here."""
WITHOUT_MODEL = {"terms", "why"}
"""What no model found in a text; tested where they are drawn."""


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
    assert {name.partition("-")[0] for name in FINDINGS} == set(schema_names()) - {"record"} - WITHOUT_MODEL
    with pytest.raises(UsageError, match=r"no schema 'nothing'\. Choose from record, .*find"):
        schema("nothing")


@pytest.mark.parametrize("name", FINDINGS)
def test_json_keeps_to_its_schema(name: str) -> None:
    finding = FINDINGS[name]
    question = name.partition("-")[0]
    document = validated(finding.data(), question)
    assert document["finding"] == question
    assert finding.title.startswith(document["source"]["text"])
    assert set(document["notes"]) <= set(finding.notes)
    with pytest.raises(InputError, match=f"is what attn {question} found, and not a record"):
        from_json(finding.data())


@pytest.mark.parametrize("finding", FINDINGS.values(), ids=FINDINGS)
def test_tables_have_a_cell_for_each_column(finding: Answer) -> None:
    file = io.BytesIO()
    finding.add_rows(CsvTable(file, finding.columns, sentences=True), 1)
    rows = list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))
    assert rows[0] == ["sentence", *finding.columns]
    assert {len(row) for row in rows} == {len(finding.columns) + 1}
    assert {row[0] for row in rows[1:]} <= {"1"}


@pytest.mark.parametrize("finding", FINDINGS.values(), ids=FINDINGS)
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
    assert "A row that sees one key alone cannot change." in shown(FINDINGS["diff-blind"].draw(screen), screen)
    both = diff(decoder_record(), changed(decoder_record()), Selection(query="[CLS]#1,fit", head="0.0"))
    lines = shown(both.draw(screen), screen)
    assert "Head 0.0 from [CLS]  sees one key alone" in lines
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
    assert shown(table(wide, narrow), narrow)[-1] == "Too narrow for text."
    wide[2] = figures("a very long name", [0.25, None], rank=4)
    assert shown(table(wide, narrow), narrow)[-1] == "Too narrow for a very long name."


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
