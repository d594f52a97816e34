"""Tests of a user's names for words: one, several in a row, an occurrence, a position; and of names not found."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import numpy as np
import pytest
import regex
from hypothesis import assume, given
from hypothesis import strategies as st

from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.naming import choose_units, occurrence
from attn_cli.data.plan import make_plan
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Block
from attn_cli.data.text import Token, Tokens, make_tokens
from attn_cli.data.units import Units
from attn_cli.errors import SelectionError
from tests.samples import encoder_record, softmax, translation_record


def tokens_of(text: str, pair: str | None = None) -> Tokens:
    """The text's letters between special tokens, each a token of its own; spaces go with what follows."""
    pieces, offsets, special, segments = ["[CLS]"], [(0, 0)], [True], [0]
    for segment, content in enumerate([text] if pair is None else [text, pair]):
        for match in regex.finditer(r" *\X| +$", content):
            pieces.append(match[0].replace(" ", "▁"))
            offsets.append(match.span())
            special.append(False)
            segments.append(segment)
        pieces.append("[SEP]")
        offsets.append((0, 0))
        special.append(True)
        segments.append(segment)
    return make_tokens(text, pieces, offsets, special, pair=pair, segments=segments)


def named(text: str, query: str, *, unit: str = "word", pair: str | None = None) -> list[str]:
    """Return the texts of the units that a query names."""
    units = Units.of(tokens_of(text, pair), "token" if unit == "token" else "word")
    return [units.text_of(span) for span in choose_units(units, query)]


THRICE = "it said it, It #2"
IT = Units.of(
    make_tokens(
        THRICE, ["it", "said", "it", ",", "It", "#", "2"],
        [(0, 2), (3, 7), (8, 10), (10, 11), (12, 14), (15, 16), (16, 17)], [False] * 7,
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("it", (0, 2)), ("It", (4,)), ("IT", (0, 2, 4)), ("it#2", (2,)), ("it#1", (0,)), ("said", (1,)), ("0", (0,)),
        ("-1", (6,)), ("2", (6,)), ("3", (3,)), (",", (3,)), ("said,it#2", (1, 2)), ("#", (5,)),
        ("#3", (3,)), ("#-2", (5,)), ("#1,#4", (1, 4)), ("said,#4", (1, 4)), ("#02", (2,)),
        ("it,said,it", (0, 1, 2)),
    ],
)  # fmt: skip
def test_queries_are_words_occurrences_or_positions(query: str, expected: tuple[int, ...]) -> None:
    assert choose_units(IT, query) == tuple(range(index, index + 1) for index in expected)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("cat", r"'cat' is not in the text.*Its words are: it, said"),
        ("it#3", r"only 2 times.*it#1 to it#2"),
        ("it#0", r"only 2 times"),
        ("said#2", r"only once\. Write said#1\.$"),
        ("said#" + "9" * 5000, r"'said#9+…9+' is not in the text"),
        ("9" * 5000, r"'9+…9+' is not in the text"),
        (",,", r"',,' is not in the text"),
        ("cat#1", r"not in the text"),
        ("7", r"no position 7.*0 to 6"),
        ("#7", r"no position 7.*0 to 6"),
        ("-8", r"no position -8"),
        ("[bold]", r"not in the text"),
    ],
)
def test_queries_that_are_not_there(query: str, message: str) -> None:
    with pytest.raises(SelectionError, match=message) as raised:
        choose_units(IT, query)
    assert len(str(raised.value)) < 200


def test_a_number_of_the_text_is_a_word_and_its_place_has_a_mark() -> None:
    units = Units.of(make_tokens("2 and 3", ["2", "and", "3"], [(0, 1), (2, 5), (6, 7)], [False] * 3))
    assert choose_units(units, "2") == (range(1),)
    assert choose_units(units, "#2") == (range(2, 3),)
    assert choose_units(IT, "#2") == (range(5, 7),)  # stands there


def test_a_piece_that_looks_like_an_occurrence() -> None:
    pieces = Units.of(make_tokens("12", ["1", "##2"], [(0, 1), (1, 2)], [False] * 2), "token")
    assert choose_units(pieces, "##2") == (range(1, 2),)
    assert choose_units(pieces, "##2#1") == (range(1, 2),)


def test_words_as_long_as_a_book_are_listed_by_their_ends() -> None:
    long = Units.of(make_tokens("x" * 9999, ["x" * 9999], [(0, 9999)], [False]))
    with pytest.raises(SelectionError, match=r"Its words are: x+…x+\.$"):
        choose_units(long, "y")


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("我喜欢自然语言处理", "自然", ["自然"]),
        ("我喜欢自然语言处理", "我", ["我"]),
        ("自然的自然", "自然", ["自然", "自然"]),
        ("自然的自然", "自然#2", ["自然"]),
        ("I love New York and New Jersey", "New York", ["New York"]),
        ("I love New York and New Jersey", "new  york", ["New York"]),
        ("I love New\nYork", "New York", ["New\nYork"]),
        ("a state-of-the-art model", "state-of-the-art", ["state-of-the-art"]),
        ("a state‑of‑the‑art model", "State-of-the-art", ["state‑of‑the‑art"]),
        ("write to jane.doe+x@mail.example.org now", "jane.doe+x@mail.example.org", ["jane.doe+x@mail.example.org"]),
        ("see https://example.org/a?b=1, then go", "https://example.org/a?b=1", ["https://example.org/a?b=1"]),
        ("Hello, world!", "Hello, world", ["Hello, world"]),
        ("Hello, world!", "hello, WORLD!", ["Hello, world!"]),
        ("Hello, world!", "world,Hello", ["Hello", "world"]),
        ("it didn't fit", "didn’t", ["didn't"]),
        ("it didn’t fit", "didn't fit", ["didn’t fit"]),
        ("pi is 3.14, not $3", "3.14", ["3.14"]),
        ("pi is 3.14, not $3", "$3", ["$3"]),
        ("the U.S.A. won", "U.S.A.", ["U.S.A."]),
        ("a 👨‍👩‍👧 here 👍🏽", "👨‍👩‍👧", ["👨‍👩‍👧"]),
        ("I ❤️ it", "❤", ["❤️"]),
        ("I ❤️ it", "I ❤ it", ["I ❤️ it"]),
        ("un café à Paris", "cafe a", ["café à"]),
        ("un café à Paris", unicodedata.normalize("NFD", "café à"), ["café à"]),
        (unicodedata.normalize("NFD", "un café à Paris"), "café", [unicodedata.normalize("NFD", "café")]),
        ("ＡＢＣ ﬁn", "abc FIN", ["ＡＢＣ ﬁn"]),
        ("die Straße dort", "STRASSE", ["Straße"]),
        ("cafe and café", "cafe", ["cafe"]),  # as it is typed comes first
        ("cafe and café", "CAFÉ", ["café"]),
        ("Ελλάδα and Київ", "ελλαδα", ["Ελλάδα"]),
        ("<s> x </s>", "<s>", ["<s>"]),
        ("a a a a a", "a a", ["a a", "a a"]),
        ("a a a a a", "a a#2", ["a a"]),
        ("one two three", "1", ["one"]),
        ("x² and 2 y", "2", ["2"]),
    ],
)
def test_names_of_one_word_and_of_several(text: str, query: str, expected: list[str]) -> None:
    assert named(text, query) == expected


def test_in_tokens_a_name_covers_the_pieces_of_a_word() -> None:
    assert named("it didn't fit", "didn't", unit="token") == ["didn't"]
    assert named("我 👍🏽 好", "👍🏽 好", unit="token") == ["👍🏽 好"]
    assert named("it didn't fit", "▁d", unit="token") == ["▁d"]  # a piece as the vocabulary spells it


def test_a_name_of_pieces_that_share_a_letter_covers_them_all() -> None:
    """The offsets are those of an emoji that a byte-level tokenizer cuts, and of one that a decoder writes."""
    for offsets in ([(0, 1), (1, 3), (1, 3), (1, 3), (3, 5)], [(0, 1), (1, 1), (1, 1), (1, 3), (3, 5)]):
        tokens = make_tokens("a 😀 b", ["a", "Ġð", "Ł", "ĺ", "Ġb"], offsets, [False] * 5)
        assert choose_units(Units.of(tokens, "token"), "😀") == (range(1, 4),)
        assert choose_units(Units.of(tokens, "token"), "a 😀") == (range(4),)
        assert choose_units(Units.of(tokens), "😀") == (range(1, 2),)


def test_names_do_not_run_from_one_segment_into_the_other() -> None:
    assert named("New York", "York is", pair="York is big") == ["York is"]
    with pytest.raises(SelectionError, match="not in the text"):
        named("New York", "New York is", pair="is big")


def test_several_words_of_a_tokenizer_that_does_not_say_where_they_stand() -> None:
    tokens = Tokens("", tuple(Token(piece, 0, 0, None) for piece in ("▁in", "▁New", "▁York", "▁new", "▁york")), ())
    assert choose_units(Units.of(tokens), "New York") == (range(1, 3), range(3, 5))


@pytest.mark.parametrize(
    ("text", "query", "message"),
    [
        ("it didn't fit", "didn", r"""'didn' is only part of "didn't" in the text\. Name the whole word, or choose"""),
        ("in New York", "ew Yor", r"'ew Yor' is only part of 'New York' in the text\."),
        ("the chatter of chatting", "Chat", r"'Chat' is only part of 'chatter', 'chatting' in the text\. Name whole w"),
        ("a 👨‍👩‍👧", "👩", "'👩' is only part of '👨.*' in the text"),
        ("the trophy is big", "trophey", r"'trophey' is not in the text; the nearest is trophy\. Its words are: "),
        ("in New York", "New Yrok", "'New Yrok' is not in the text; the nearest is York"),
        ("in York and New Jersey", "New York", "is not in the text as it is typed: its words are separate there"),
        ("New York", "New York#2", r"'New York' appears only once\. Write New York#1"),
        ("New York", "New York,York", "'New York' and 'York' share a word. Name them one at a time"),
    ],
)
def test_what_is_said_of_a_name_in_vain(text: str, query: str, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        make_plan(record_of(tokens_of(text)), Selection(query=query))


def test_what_is_hidden_is_said_to_be() -> None:
    words = make_tokens("The cat sat", ["The", "cat", "sat"], [(0, 3), (4, 7), (8, 11)], [False] * 3)
    for record, chosen in (
        (encoder_record(), Selection(query="[CLS]", special=False)),
        (encoder_record(), Selection(query="[CLS]", sink=False)),
        (record_of(words), Selection(query="The cat", sink=False)),
    ):
        assert make_plan(record, Selection(query=chosen.query)).chosen
        with pytest.raises(SelectionError, match=r"or part of it, is hidden here\. Show it with --special or --sink"):
            make_plan(record, chosen)


def record_of(tokens: Tokens) -> Record:
    """A head whose weights are random, over a text."""
    count = len(tokens)
    weights = softmax(np.random.default_rng(count).normal(scale=3, size=(2, count, count))).astype(np.float32)
    map_ = AttentionMap("encoder", 0, (0, 1), tuple(range(count)), weights, np.tile([0, count], (count, 1)))
    return Record(ModelInfo("made", "made", {"encoder": Stack(1, {0: 2}, 2)}, "interface"), tokens, None, (map_,))


TEXT_LETTERS = st.text("ab é-.,#'2我然😀\u200d", min_size=1, max_size=14)


@given(TEXT_LETTERS, st.sampled_from(["word", "token"]), st.data())
def test_every_span_of_every_text_is_found_and_its_rows_sum_to_1(text: str, unit: str, data: st.DataObject) -> None:
    record = record_of(tokens_of(text))
    units = Units.of(record.source, "token" if unit == "token" else "word")
    plain = [index for index, extent in enumerate(units.extents) if extent is not None]
    assume(plain)
    first = data.draw(st.sampled_from(plain))
    last = data.draw(st.sampled_from([index for index in plain if index >= first]))
    name = units.text_of(range(first, last + 1))
    assume(name.strip() == name and (first < last or name == units.labels[first]))
    spans = choose_units(units, name)
    assert all(one.stop <= other.start for one, other in pairwise(spans))
    assert any(set(span) & set(range(first, last + 1)) for span in spans)
    assert {units.text_of(span) for span in spans if len(span) > 1} <= {name}
    plan = make_plan(record, Selection(query=name, unit="token" if unit == "token" else "word"))
    assert plan.chosen is not None
    assert [plan.queries.positions[index] for index in plan.chosen] == [span.start for span in spans]
    blocks: list[Block] = []
    record.stream(plan.request(), Regroup(plan.queries, plan.keys, blocks.append))
    rows = {block.start + row: block.weights[:, row] for block in blocks for row in range(len(block.visible))}
    (map_,) = record.maps
    every = [units.token_positions(index) for index in range(len(units))]
    for index, span in zip(plan.chosen, spans, strict=True):
        np.testing.assert_allclose(rows[index].sum(axis=1), 1, atol=1e-5)
        pieces = [token for one in span for token in every[one]]
        mean = map_.weights[:, pieces].mean(axis=1)
        np.testing.assert_allclose(rows[index][:, index], mean[:, pieces].sum(axis=1), atol=1e-5)


def test_a_row_of_several_words_by_hand() -> None:
    """Rows are averaged over the tokens, columns summed, and what stands beside keeps its position."""
    record = encoder_record()
    plan = make_plan(record, Selection(query="trophy didn't"))
    assert plan.queries.labels == plan.keys.labels
    assert plan.queries.labels == ("[CLS]", "The", "trophy didn't", "fit", ".", "[SEP]", "[SEP]")
    assert plan.queries.positions == (0, 1, 2, 4, 5, 6, 7)
    assert plan.chosen == (2,)
    assert plan.positions == (2, 3, 4, 5, 6)
    blocks: list[Block] = []
    record.stream(plan.request(), Regroup(plan.queries, plan.keys, blocks.append))
    mean = record.maps[0].weights[:, 2:7].mean(axis=1)
    expected = np.concatenate([mean[:, :2], mean[:, 2:7].sum(axis=1, keepdims=True), mean[:, 7:]], axis=1)
    np.testing.assert_allclose(blocks[0].weights[:, 2 - blocks[0].start], expected, atol=1e-6)


def test_in_cross_attention_only_the_rows_are_joined() -> None:
    plan = make_plan(translation_record(), Selection(query="Le trophée"))
    assert plan.queries.labels == ("<s>", "Le trophée", ".")
    assert len(plan.keys) == 8


def test_several_pieces_have_no_score() -> None:
    with pytest.raises(SelectionError, match=r"no single score\. Name one of them \(tro, ##phy\), or choose another m"):
        make_plan(encoder_record(), Selection(query="trophy", unit="token", measure="scores"))


def test_occurrences_are_counted_as_they_are_named() -> None:
    units = Units.of(tokens_of("it is New York, New Jersey and New York"))
    assert [occurrence(units, index) for index in range(1, 5)] == [None, None, 1, 1]
    joined = units.joined(choose_units(units, "New York"))
    numbered = [(label, occurrence(joined, index)) for index, label in enumerate(joined.labels)]
    assert numbered[3:8] == [("New York", 1), (",", None), ("New", 2), ("Jersey", None), ("and", None)]
    assert numbered[8] == ("New York", 2)
    for index, (label, number) in enumerate(numbered):
        typed = label if number is None else f"{label}#{number}"
        (span,) = choose_units(units, typed)
        assert span.start == joined.positions[index]


def test_a_comma_that_occurs_twice_is_named_like_any_word() -> None:
    assert named("a, b, c", ",") == [",", ","]
    units = Units.of(tokens_of("a, b, c"))
    assert choose_units(units, ",#2") == (range(4, 5),)


def test_accents_may_be_asked_for() -> None:
    """So that `café` is looked for in a translation before it is taken for the text's `cafe`."""
    units = Units.of(tokens_of("the cafe"))
    assert choose_units(units, "café") == (range(2, 3),)
    with pytest.raises(SelectionError):
        choose_units(units, "café", accents=True)
    assert choose_units(units, "CAFE", accents=True) == (range(2, 3),)


def test_a_number_of_the_text_that_is_hidden_is_not_a_position() -> None:
    tokens = tokens_of("2 and 3", "5")
    for hidden, name in ((Units.of(tokens, segment=1), "2"), (Units.of(tokens, segment=0), "5")):
        with pytest.raises(SelectionError, match=rf"'{name}', or part of it, is hidden here. .* write #{name} for"):
            choose_units(hidden, name)
    shown = Units.of(tokens, segment=0)
    assert [shown.text_of(span) for span in choose_units(shown, "#2")] == ["3"]
    assert [shown.text_of(span) for span in choose_units(shown, "1")] == ["and"]  # not in the text: a position
    assert [shown.text_of(span) for span in choose_units(shown, "3")] == ["3"]
