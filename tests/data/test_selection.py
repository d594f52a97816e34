"""Tests of selections as a user types them: they are parsed, and found in a model."""

from __future__ import annotations

import pytest

from attn_cli.data.model import Stack
from attn_cli.data.plan import choose_heads, choose_kind, make_plan
from attn_cli.data.selection import Selection, check_syntax, parse_heads, parse_numbers
from attn_cli.data.text import make_tokens
from attn_cli.data.units import Units
from attn_cli.errors import InputError, SelectionError, UsageError
from tests.samples import decoder_record, encoder_record, source_tokens, translation_record

FLAT = Stack(5, dict.fromkeys(range(5), 3), 3)
HYBRID = Stack(7, {1: 3, 4: 2}, 1, dict.fromkeys((0, 2, 3, 5, 6), "mamba"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", ((3, 3),)),
        ("0-2,5", ((0, 2), (5, 5))),
        ("-1", ((-1, -1),)),
        ("-3--1", ((-3, -1),)),
        (" 1 , 2 ", ((1, 1), (2, 2))),
    ],
)
def test_lists_of_numbers(text: str, expected: tuple[tuple[int, int], ...]) -> None:
    assert parse_numbers(text, "--layer") == expected


@pytest.mark.parametrize("text", ["", "a", "1-", "-", "1..2", "1;2", "0x1", "1,,2", "2.5", "1 2", "٣-", "9" * 5000])
def test_what_is_no_list_of_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="--layer"):
        check_syntax(Selection(layer=text))


def test_heads_are_places_or_numbers() -> None:
    assert parse_heads("2.5, 4.1") == ((2, 5), (4, 1))
    assert parse_heads("-1.0") == ((-1, 0),)
    assert parse_heads("3") is None
    with pytest.raises(UsageError, match=r"which --kind names, and '0\.0,cross:1\.0' names a kind itself"):
        parse_heads("0.0,cross:1.0")


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(head="2.5,3"), "mixes"),
        (Selection(head="0.0,cross:1.0"), r"heads and layers of one kind .* Write it like --kind cross --head 1\.0"),
        (Selection(layer="cross:1"), r"one kind .* Write it like --kind cross --layer 1"),
        (Selection(head="x"), "not a list"),
        (Selection(head="1.2", layer="0"), "--layer"),
        (Selection(query="  "), "empty"),
    ],
)
def test_typing_errors(selection: Selection, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_syntax(selection)


@pytest.mark.parametrize(
    ("layer", "head", "expected"),
    [
        (None, None, dict.fromkeys(range(5), (0, 1, 2))),
        ("1", None, {1: (0, 1, 2)}),
        ("-1", "0", {4: (0,)}),
        ("3-4,0", "1-2", {0: (1, 2), 3: (1, 2), 4: (1, 2)}),
        (None, "2.1,0.2,2.0", {0: (2,), 2: (0, 1)}),
        (None, "-1.-1", {4: (2,)}),
        ("-2--1", "-1", {3: (2,), 4: (2,)}),
    ],
)
def test_choosing_heads(layer: str | None, head: str | None, expected: dict[int, tuple[int, ...]]) -> None:
    assert choose_heads(FLAT, layer, head) == expected


def test_layers_without_attention_keep_their_numbers() -> None:
    assert choose_heads(HYBRID, None, None) == {1: (0, 1, 2), 4: (0, 1)}
    assert choose_heads(HYBRID, "0-4", None) == {1: (0, 1, 2), 4: (0, 1)}
    assert choose_heads(HYBRID, None, "4.1") == {4: (1,)}


@pytest.mark.parametrize(
    ("stack", "layer", "head", "message"),
    [
        (FLAT, "5", None, r"no layer 5.*layers 0 to 4"),
        (FLAT, "-6", None, r"no layer -6"),
        (FLAT, "0-9", None, r"no layer 9"),
        (FLAT, "3-1", None, r"backwards"),
        (FLAT, None, "3", r"no head 3 in layer 0.*heads 0 to 2"),
        (FLAT, None, "9.0", r"no layer 9"),
        (FLAT, None, "1.7", r"no head 7 in layer 1"),
        (HYBRID, "2", None, r"Layer 2 has no attention \(in its place: mamba.*1, 4"),
        (HYBRID, "-1", None, r"Layer 6 has no attention"),
        (HYBRID, "2-3", None, r"no attention"),
        (HYBRID, "4", "2", r"no head 2 in layer 4"),
        (FLAT, None, "2-1", r"backwards"),
    ],
)
def test_what_is_not_there_is_an_error_that_lists_what_is(
    stack: Stack, layer: str | None, head: str | None, message: str
) -> None:
    with pytest.raises(SelectionError, match=message):
        choose_heads(stack, layer, head)


def test_kinds() -> None:
    stacks = translation_record().model.stacks
    assert choose_kind(stacks, None, has_target=True) == "cross"
    assert choose_kind(stacks, None, has_target=False) == "encoder"
    assert choose_kind(stacks, "decoder", has_target=True) == "decoder"
    assert choose_kind(decoder_record().model.stacks, None, has_target=False) == "decoder"
    with pytest.raises(SelectionError, match=r"no cross attention.*It has encoder"):
        choose_kind(encoder_record().model.stacks, "cross", has_target=False)


def test_a_plan_asks_for_the_tokens_of_the_chosen_word() -> None:
    plan = make_plan(encoder_record(), Selection(query="didn't", view="query", layer="-1", measure="scores"))
    request = plan.request(verify=True)
    assert plan.chosen == (3,)
    assert request.queries == {"encoder": (4, 5, 6)}
    assert request.heads == {"encoder": {1: (0, 1, 2)}}
    assert request.scores
    assert request.verify
    assert plan.head_count == 3


def test_rows_of_cross_attention_are_the_target() -> None:
    plan = make_plan(translation_record(), Selection(sink=False))
    assert plan.kind == "cross"
    assert plan.queries.labels == ("<s>", "Le", "trophée", ".")
    assert plan.keys.labels == ("The", "trophy", "didn't", "fit", ".", "[SEP]", "[SEP]")
    assert plan.positions == (0, 1, 2, 3, 4)


def test_nothing_left_to_show() -> None:
    record = encoder_record()
    only_special = make_tokens("", ["[CLS]", "[SEP]"], [(0, 0), (0, 0)], [True, True])
    assert len(Units.of(only_special, special=False)) == 0
    assert len(source_tokens()) == 11
    bare = type(record)(record.model, only_special, None, ())
    with pytest.raises(InputError, match="Nothing is left"):
        make_plan(bare, Selection(special=False))


def test_the_decoders_side_needs_a_text() -> None:
    record = translation_record()
    without = type(record)(record.model, record.source, None, ())
    with pytest.raises(SelectionError, match="--target"):
        make_plan(without, Selection(kind="cross"))
