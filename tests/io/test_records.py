"""Records as JSON: exact, as the schema says, and refused with a reason when somebody has meddled with them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from attn_cli import __version__
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.selection import Selection
from attn_cli.data.units import Units
from attn_cli.errors import ExactnessError, InputError
from attn_cli.io.records import from_json, to_json
from attn_cli.measure.summary import HeadSummary, Link
from attn_cli.questions.inspect.measure import head_rows
from attn_cli.questions.schema.measure import schema
from tests.records import may_check_shapes, records, same, validated
from tests.samples import decoder_record, encoder_record, image_record, source_tokens, translation_record


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(orjson.loads(schema()))


@may_check_shapes
@given(records())
@settings(max_examples=200)
def test_round_trip_is_exact(record: Record) -> None:
    data = to_json(record)
    validated(data)
    assert same(from_json(data), record)


@pytest.mark.parametrize("record", [encoder_record(), decoder_record(), translation_record()])
def test_samples(record: Record) -> None:
    document = validated(to_json(record))
    assert document["tool"] == {"name": "attn", "version": __version__}
    assert list(document)[-1] == "maps"
    assert same(from_json(to_json(record)), replace(record, tool_version=__version__))


def test_a_record_of_before_the_output_was_compared() -> None:
    document = orjson.loads(to_json(replace(encoder_record(), verified=0.25)))
    del document["verified_output"]
    record = from_json(orjson.dumps(document))
    assert (record.verified, record.output) == (0.25, None)


def test_every_part_of_a_selection_is_in_the_schema() -> None:
    described = orjson.loads(schema())["$defs"]["SelectionEntry"]
    known = {field.name for field in fields(Selection)}
    assert set(described["properties"]) == known
    assert set(described["required"]) == known - {"relevant_to", "from_segment", "to_segment"}


def test_one_weight_by_jq() -> None:
    record = encoder_record()
    query = ".maps[] | select(.layer == 1 and .head == 2) | .weights[7][3]"
    found = subprocess.run(["jq", query], input=to_json(record), capture_output=True, check=True).stdout
    assert np.float32(found.decode()) == record.maps[1].weights[2, 7, 3]


def test_masked_scores_are_null_and_weights_are_shortest() -> None:
    document = validated(to_json(decoder_record()))
    map_ = document["maps"][0]
    assert map_["scores"][0][1:] == [None] * 10
    assert map_["visible"][3] == [0, 4]
    assert b'"weights":[[1.0,0.0,' in to_json(decoder_record())
    third = AttentionMap(
        "encoder", 0, (0,), (0,), np.full((1, 1, 11), 1 / 11, np.float32), np.array([[0, 11]]), dtype="float32"
    )
    assert b"[[0.09090909,0.09090909," in to_json(replace(encoder_record(), maps=(third,)))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_one_float32_that_is_rounded_twice(sign: int) -> None:
    record = decoder_record()
    (first, _) = record.maps
    assert first.scores is not None
    scores = first.scores.copy()
    scores[0, 3, 2] = sign * np.uint32(0x15AE43FD).view(np.float32)
    assert same(
        from_json(to_json(replace(record, maps=(replace(first, scores=scores),)))),
        replace(record, maps=(replace(first, scores=scores),), tool_version=__version__),
    )


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_not_written_as_masked(score: float) -> None:
    record = decoder_record()
    scores = np.full((3, 11, 11), score, np.float32)
    with pytest.raises(ExactnessError, match="decoder layer 0 has scores that are not numbers"):
        to_json(replace(record, maps=(replace(record.maps[0], scores=scores),)))


def test_head_rows() -> None:
    units = Units.of(source_tokens())
    rows = head_rows(
        [
            HeadSummary("encoder", 1, 2, 0.25, 1.5, 2.0, None, 0.1, float("nan"), (Link(2, 1, 0.3),)),
            HeadSummary("cross", 0, 0, 0.25, 1.5, None, 0.5, None, None, ()),
        ],
        units,
        units,
    )
    document = validated(to_json(encoder_record(), rows))
    assert document["heads"] == [
        {
            "kind": "encoder",
            "layer": 1,
            "head": 2,
            "focus": 0.25,
            "entropy": 1.5,
            "distance": 2.0,
            "first": None,
            "itself": 0.1,
            "previous": None,
            "links": [{"query": 2, "query_text": "trophy", "key": 1, "key_text": "The", "weight": 0.3}],
        },
        {
            "kind": "cross",
            "layer": 0,
            "head": 0,
            "focus": 0.25,
            "entropy": 1.5,
            "distance": None,
            "first": 0.5,
            "itself": None,
            "previous": None,
            "links": [],
        },
    ]
    assert same(from_json(to_json(encoder_record(), rows)), replace(encoder_record(), tool_version=__version__))


Meddle = Callable[[dict[str, Any]], object]


def assign(path: str, value: object) -> Meddle:
    """`maps.0.weights` = value."""

    def meddle(document: dict[str, Any]) -> None:
        *way, last = path.split(".")
        place: Any = document
        for step in way:
            place = place[int(step) if step.isdecimal() else step]
        place[int(last) if last.isdecimal() else last] = value

    return meddle


ROW = [1.0] + [0.0] * 10

FAULTS: list[tuple[str, Meddle]] = [
    ("$ is not as it should be: Object missing required field `model`", lambda d: d.pop("model")),
    ("$ is not as it should be: Object contains unknown field `x`", assign("x", 1)),
    ("$.schema_version is not as it should be: Expected `int`, got `str`", assign("schema_version", "1")),
    ("$.schema_version is not as it should be: Invalid enum value 0", assign("schema_version", 0)),
    ("was written by a newer attn (schema version 2, this one reads 1)", assign("schema_version", 2)),
    ("is JSON, but not an attn record", lambda d: d.pop("schema_version")),
    ("$.selection.view is not as it should be: Invalid enum value 'table'", assign("selection.view", "table")),
    ("$.selection.top_k is not as it should be: Expected `int` >= 1", assign("selection.top_k", 0)),
    ("$.notes is not as it should be: Expected `array`, got `str`", assign("notes", "all is well")),
    (
        "$.source.tokens[0].segment is not as it should be: Expected `int`, got `float`",
        assign("source.tokens.0.segment", 0.0),
    ),
    (
        "$.model.stacks[0].layers is not as it should be: Expected `int` <= ",
        assign("model.stacks.0.layers", 65536),
    ),
    ("$.model.stacks[0].heads[0].heads is not as it", assign("model.stacks.0.heads.0.heads", 10**9)),
    ("$.maps is not as it should be: Expected `array`, got `int`", assign("maps", 7)),
    ("$.maps[0] is not as it should be: Expected `object`, got `int`", assign("maps.0", 7)),
    (
        "$.maps[1] is not as it should be: Object missing required field `we",
        lambda d: d["maps"][1].pop("weights"),
    ),
    ("$.maps[1].weights is not as it should be: Expected `array`, got `null`", assign("maps.1.weights", None)),
    ("$.maps[1].scores is not as it should be: Expected `array`, got `null`", assign("maps.1.scores", None)),
    ("$.maps[4].weights has rows of different lengths", assign("maps.4.weights.3", [0.5, 0.5])),
    ("$.maps[4].weights has shape (1, 10, 11), expected (1, 11, 11)", lambda d: d["maps"][4]["weights"].pop()),
    ("$.maps[4].weights has shape (1, 11), expected (1, 11, 11)", assign("maps.4.weights", ROW)),
    ("$.maps[4].weights has shape (1, 0), expected (1, 11, 11)", assign("maps.4.weights", [])),
    ("$.maps[4].weights holds something that is not a number", assign("maps.4.weights.3.0", None)),
    ("$.maps[4].weights holds something that is not a number", assign("maps.4.weights.3.0", "0.5")),
    ("$.maps[4].weights holds something that is not a number", assign("maps.4.weights.3.0", {})),
    ("$.maps[4].weights has rows of different lengths", assign("maps.4.weights.3.0", [1])),
    ("$.maps[4].weights holds a number too large for float32", assign("maps.4.weights.3.0", 1e39)),
    (
        "$.maps[4].weights are not attention weights: encoder layer 1: row 3 of head number 0 sums to 2.0000 instead",
        assign("maps.4.weights.3", [2.0] + [0.0] * 10),
    ),
    (
        "$.maps[4].weights are not attention weights: encoder layer 1 has negative weights",
        assign("maps.4.weights.3", [2.0, -1.0] + [0.0] * 9),
    ),
    ("$.maps[4].scores has shape (1, 1, 11), expected (1, 11, 11)", assign("maps.4.scores", [ROW])),
    ("$.maps[4].scores holds something that is not a number", assign("maps.4.scores.3.0", "0")),
    ("$.maps[4].scores holds something that is not a number", assign("maps.4.scores.3", [None] * 10 + [True])),
    ("$.maps[4].scores holds a number too large for float32", assign("maps.4.scores.3.0", -1e39)),
    ("$.maps[4] and head 1.0 do not both have scores", lambda d: d["maps"][4].pop("scores")),
    ("$.maps[4].sink has shape (1, 1), expected (1, 11)", assign("maps.4.sink", [0.0])),
    ("$.maps[4].sink has shares that are not numbers from 0", assign("maps.4.sink", [-1.0] * 11)),
    ("$.maps[4] and head 1.0 do not both have sink", assign("maps.4.sink", [0.0] * 11)),
    ("$.maps[4].visible holds something that is not a whole number", assign("maps.4.visible.0.0", 0.5)),
    ("$.maps[4].visible are not ranges of 11 keys", assign("maps.4.visible.0.1", 12)),
    ("$.maps[4].visible holds something that is not a whole number", assign("maps.4.visible.0.1", 2**64 - 1)),
    ("$.maps[4].visible are not ranges of 11 keys", assign("maps.4.visible.0.0", -1)),
    ("$.maps[4].visible are not ranges of 11 keys", assign("maps.4.visible.0", [5, 4])),
    ("$.maps[4] has other queries or visible keys than head 1.0", assign("maps.4.visible.0", [4, 5])),
    ("$.maps[4].queries are not rising positions among 11 tokens", assign("maps.4.queries.10", 11)),
    ("$.maps[4].queries are not rising positions among 11 tokens", assign("maps.4.queries.10", 9)),
    ("$.maps[4].queries are not rising positions among 11 tokens", assign("maps.4.queries.0", -1)),
    ("$.maps[4].queries are not rising positions among 11 tokens", assign("maps.4.queries", [[0]])),
    ("$.maps[4].queries are not rising positions among 11 tokens", assign("maps.4.queries", [])),
    ("$.maps[4] is a second map of encoder head 1.0", assign("maps.4.head", 0)),
    ("$.maps[4] is of head [3] of 3 in encoder layer 1", assign("maps.4.head", 3)),
    ("$.maps[4] is of head [1] of 0 in encoder layer 2", assign("maps.4.layer", 2)),
    ("$.maps[4].layer is not as it should be: Expected `int` >= 0", assign("maps.4.layer", -1)),
    ("$.maps[4] is of kind decoder, which $.model.stacks does not list", assign("maps.4.kind", "decoder")),
    (
        "$.model.stacks[1] is a second stack of kind encoder",
        lambda d: d["model"]["stacks"].append(d["model"]["stacks"][0]),
    ),
    (
        "$.model.stacks[0] lists a layer twice",
        assign("model.stacks.0.without_attention", [{"layer": 1, "instead": ""}]),
    ),
    ("$.model.stacks[0] lists layer 2 of 2", assign("model.stacks.0.heads.1.layer", 2)),
    ("$.source.tokens[3] has index 4: the tokens are out of order", assign("source.tokens.3.index", 4)),
    ("$.source.tokens[3] runs from character 7 to 23 of 22", assign("source.tokens.3.end", 23)),
    ("$.source.tokens[3] runs from character 11 to 10 of 22", assign("source.tokens.3.start", 11)),
    ("$.source.tokens[3] runs from character 7 to 10 of 0", assign("source.tokens.3.segment", 1)),
    ("$.source.tokens[3] belongs to word 5, but there are 5 words", assign("source.tokens.3.word", 5)),
    ("$.source.words[1] has index 2: the words are out of order", assign("source.words.1.index", 2)),
    ("$.source.words[1] runs from character 4 to 23 of 22", assign("source.words.1.end", 23)),
]


@pytest.mark.parametrize(("message", "meddle"), FAULTS, ids=[message[:70] for message, _ in FAULTS])
def test_meddled(message: str, meddle: Meddle) -> None:
    document = orjson.loads(to_json(encoder_record()))
    meddle(document)
    with pytest.raises(InputError) as error:
        from_json(orjson.dumps(document), "saved.json")
    assert str(error.value).startswith(f"saved.json {message}" if message[0] != "$" else f"saved.json: {message}")
    assert error.value.remedy
    assert len(str(error.value)) < 400


def test_cross_without_a_target() -> None:
    document = orjson.loads(to_json(translation_record()))
    document["target"] = None
    with pytest.raises(InputError, match=r"the record: \$\.maps\[6\] is of kind decoder, but \$\.target is null"):
        from_json(orjson.dumps(document))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "saved.json is not JSON: "),
        (b"attn", "saved.json is not JSON: "),
        (b'{"schema_version": 1,\n "a" 2}', "saved.json is not JSON: "),
        (b'{"schema_version": NaN}', "saved.json is not JSON: "),
        (b"[" * 5000 + b"]" * 5000, "saved.json is not JSON: "),
        (b'{"schema_version": 1, "a": "\xff"}', "saved.json is not UTF-8 (byte 0xff at position 28)"),
        ("{}".encode("utf-16"), "saved.json is not UTF-8 (byte 0xff at position 0)"),
        (b"{}", "saved.json is JSON, but not an attn record. Make one"),
        (b"[]", "saved.json is JSON, but not an attn record. Write its records one per line"),
        (b"3", "saved.json is JSON, but not an attn record. Make one"),
        (b'"schema_version"', "saved.json is JSON, but not an attn record. Make one"),
    ],
)
def test_something_else(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        from_json(data, "saved.json")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rows": 4}, r"grid has 4 x 5 patches, and the tokens that are not special are not as many"),
        ({"rows": 5, "columns": 3}, r"grid has the patch r1c0 where the tokens have 'r0c3'"),
        ({"thumbnail": {"width": 1, "height": 1, "rgb": "YWJj"}}, r"grid.thumbnail is not a picture: .* not divided"),
        ({"thumbnail": {"width": 5, "height": 3, "rgb": "YWJj"}}, r"grid.thumbnail is not a picture: .* has 3 bytes"),
    ],
)
def test_a_grid_that_is_not_that_of_the_tokens(changes: dict[str, Any], said: str) -> None:
    document = orjson.loads(to_json(image_record()))
    document["source"]["grid"].update(changes)
    with pytest.raises(InputError, match=said):
        from_json(orjson.dumps(document))
