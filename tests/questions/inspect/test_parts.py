"""Tests of the shares of a prompt's parts, against shares worked out from transformers' own attention."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attn_cli.api import Inspector
from attn_cli.data.model import ModelInfo, Stack
from attn_cli.data.parts import OUTSIDE, PAIR, WRITTEN, line_parts, named_parts, split_parts
from attn_cli.data.record import AttentionMap, Record
from attn_cli.data.selection import Selection
from attn_cli.data.shapes import Float
from attn_cli.data.text import Tokens, make_tokens
from attn_cli.draw.screen import Screen, to_text
from attn_cli.errors import InputError
from attn_cli.models import Decoding, Input
from attn_cli.models.hf.model import Pretrained
from attn_cli.questions.inspect.draw_parts import share_of_parts
from attn_cli.questions.inspect.measure import Inspection, look
from tests.conftest import Run
from tests.models.chats import chatting
from tests.records import validated

CHAT = [
    {"role": "system", "content": "Answer in verse"},
    {"role": "user", "content": "Did the trophy fit?"},
    {"role": "assistant", "content": "It was too big"},
    {"role": "user", "content": "Why?"},
]


def plain(model: Pretrained, ids: list[int]) -> np.ndarray:
    """The mean map of all heads, `[query, key]`, from a plain eager run."""
    whole: Any = model._saved
    whole.set_attn_implementation("eager")
    with torch.no_grad():
        maps = whole(torch.tensor([ids]), output_attentions=True).attentions
    mean: np.ndarray = torch.cat(maps, 1)[0].mean(0).numpy()
    return mean


def test_shares_of_the_last_row_by_hand() -> None:
    model = chatting("smollm2")
    answer = Inspector(model).inspect(CHAT, unit="token")
    found = answer.parts
    assert found is not None
    assert found.names == ("system", "user", "assistant", "user#2")
    tokens = answer.source.tokens
    row = plain(model, [token.id or 0 for token in tokens])[-1]
    turn = np.cumsum([token.piece == "<|im_start|>" for token in tokens]) - 1
    assert found.tokens == tuple(np.bincount(turn))
    shares = np.bincount(turn, row)
    np.testing.assert_allclose(found.shares[0], shares, atol=1e-6)
    np.testing.assert_allclose(found.sinks, [row[0]], atol=1e-6)
    rest = np.bincount(turn[1:], row[1:])
    np.testing.assert_allclose(found.aside[0], rest / rest.sum(), atol=1e-6)
    np.testing.assert_allclose(found.even[0], np.bincount(turn) / len(tokens), atol=1e-6)


def test_hidden_marks_are_no_part_of_a_turn() -> None:
    model = chatting("smollm2")
    answer = Inspector(model).inspect(CHAT, special=False)
    found = answer.parts
    assert found is not None
    assert found.first is None
    tokens = answer.source.tokens
    mean = plain(model, [token.id or 0 for token in tokens])
    keys = np.array([not token.special for token in tokens])
    rows = [index for index, token in enumerate(tokens) if token.word == len(answer.source.words) - 1]
    turn = np.cumsum([token.piece == "<|im_start|>" for token in tokens]) - 1
    assert found.tokens == tuple(np.bincount(turn[keys]))
    # Each head's row is renormalized before the mean, so only the sum and the order of sizes are plain here.
    np.testing.assert_allclose(found.shares.sum(axis=1), 1, atol=1e-6)
    seen = np.array([np.bincount(turn[keys][: np.cumsum(keys)[row]], minlength=4) for row in rows])
    np.testing.assert_allclose(found.even[0], (seen / seen.sum(1, keepdims=True)).mean(0), atol=1e-6)
    assert mean.shape == (len(tokens), len(tokens))


@pytest.mark.parametrize("unit", ["word", "token"])
def test_shares_of_all_that_was_written(unit: Any) -> None:
    model = chatting("smollm2")
    text = "The trophy didn't fit.\nThe suitcase was too small."
    given = model.write(Input(text, parts=line_parts(text)), Decoding(1, 6))
    answer = look(model.prepare(given), Selection(unit=unit), keep=True)
    found = answer.parts
    assert found is not None
    assert found.names == ("1 The trophy didn't fit.", "2 The suitcase was too…", WRITTEN, OUTSIDE)
    tokens = answer.source
    mean = plain(model, [token.id or 0 for token in tokens.tokens[:-1]])
    written = tokens.written or 0
    of = np.array(
        [
            3 if token.special and token.start == token.end else 2 if index >= written else int(token.end > 23)
            for index, token in enumerate(tokens.tokens[:-1])
        ]
    )
    by_token = np.array([np.bincount(of, row, minlength=4) for row in mean[written - 1 :]])
    if unit == "token":
        np.testing.assert_allclose(found.shares, by_token, atol=1e-6)
    else:
        words = [token.word for token in tokens.tokens[written:]]
        assert found.rows == tuple(range(len(set(words))))
        expected = [by_token[[one == word for one in words]].mean(0) for word in dict.fromkeys(words)]
        np.testing.assert_allclose(found.shares, expected, atol=1e-6)


def test_the_rows_are_those_of_the_query() -> None:
    answer = Inspector(chatting("smollm2")).inspect(CHAT, query="trophy")
    assert answer.parts is not None
    assert len(answer.parts.rows) == 1
    assert answer.parts.tokens[2:] == Inspector(chatting("smollm2")).inspect(CHAT).parts.tokens[2:]  # type: ignore[union-attr]
    np.testing.assert_allclose(answer.parts.shares[0, 2:], 0)  # a decoder looks at no later turn
    assert "Who is looked at by trophy" in answer._repr_html_()


def test_a_saved_record_shows_the_same_parts(tmp_path: Any) -> None:
    from attn_cli.io.read import read_records

    answer = Inspector(chatting("smollm2")).inspect(CHAT)
    assert answer.parts is not None
    for name in ("it.json", "it.npz"):
        answer.save(tmp_path / name)
        (record,) = read_records(tmp_path / name)
        again = look(record, record.selection, keep=True)
        assert again.source == answer.source
        assert again.parts is not None
        assert again.parts.names == answer.parts.names
        np.testing.assert_allclose(again.parts.shares, answer.parts.shares, atol=1e-6)
    document = answer.to_dict()
    assert [part["name"] for part in document["parts"]["parts"]] == ["system", "user", "assistant", "user#2"]
    assert sum(part["shares"][0] for part in document["parts"]["parts"]) == pytest.approx(1, abs=1e-6)


def test_lines_turns_and_names() -> None:
    lines = "One\ntwo\n\nthree  \n\n\n"
    assert [(part.name, lines[part.start : part.end]) for part in line_parts(lines)] == [
        ("1 One", "One\ntwo\n\n"),
        ("2 three", "three  \n\n\n"),
    ]
    assert [part.name for part in line_parts("One\ntwo\n three\n")] == ["1 One", "2 two", "3 three"]
    talk = "Be kind.\nuser: Hi\nassistant: Hello\nuser: Bye"
    assert [part.name for part in split_parts(talk, "turns")] == ["start", "user", "assistant", "user#2"]
    named = named_parts("Read this. Paris is big. What is it?", [("fact", "Paris"), ("question", "What")])
    assert [part.name for part in named] == ["start", "fact", "question"]
    for text, how, said in (
        ("One line", "lines", "has one line"),
        ("One line", "turns", "no turns: no line begins with user:"),
        ("One line", [("a", "Two")], "The part 'a' is not found"),
    ):
        with pytest.raises(InputError, match=said):
            split_parts(text, how)


def test_an_encoder_has_special_tokens_in_no_part(minilm: str) -> None:
    import attn_cli

    answer = attn_cli.load(minilm).inspect("The cat sat.\nThe mat was red.", parts="lines", unit="token", layer=0)
    assert answer.parts is not None
    assert answer.parts.names == ("1 The cat sat.", "2 The mat was red.", OUTSIDE)
    row = np.mean([map_.weights[:, -1].mean(0) for map_ in answer.maps], 0)
    np.testing.assert_allclose(answer.parts.shares[0], [row[1:5].sum(), row[5:10].sum(), row[[0, 10]].sum()], atol=1e-6)


def looked_at(tokens: Tokens, weights: Float[np.ndarray, "key"]) -> Inspection:
    """Inspect a text whose last row has these weights in the only head."""
    count = len(tokens)
    maps = np.full((1, count, count), 1 / count, np.float32)
    maps[0, -1] = weights
    map_ = AttentionMap("encoder", 0, (0,), tuple(range(count)), maps, np.tile([0, count], (count, 1)))
    model = ModelInfo("made", "made", {"encoder": Stack(1, {0: 1}, 1)}, "interface")
    return look(Record(model, tokens, None, (map_,)), Selection(), keep=True)


def test_the_second_text_of_a_pair_is_a_part_of_its_own() -> None:
    """Its characters are counted from its own beginning, where the first text has parts."""
    text, pair = "aa bb\ncc", "dd ee ff"
    pieces = ("[CLS]", "aa", "bb", "cc", "[SEP]", "dd", "ee", "ff", "[SEP]")
    offsets = [(0, 0), (0, 2), (3, 5), (6, 8), (0, 0), (0, 2), (3, 5), (6, 8), (0, 0)]
    special = [piece[0] == "[" for piece in pieces]
    made = make_tokens(text, pieces, offsets, special, pair=pair, segments=[0, 0, 0, 0, 0, 1, 1, 1, 1])
    tokens = replace(made, parts=line_parts(text))
    found = looked_at(tokens, np.array([2, 3, 5, 7, 11, 13, 17, 19, 23]) / 100).parts
    assert found is not None
    assert found.names == ("1 aa bb", "2 cc", PAIR, OUTSIDE)
    assert found.tokens == (2, 1, 3, 3)
    np.testing.assert_allclose(found.shares[0], [0.08, 0.07, 0.49, 0.36], atol=1e-7)
    np.testing.assert_allclose(found.aside[0], np.array([8, 7, 49, 34]) / 98, atol=1e-6)
    np.testing.assert_allclose(found.even[0], np.array([2, 1, 3, 3]) / 9, atol=1e-7)


def test_rows_are_numbered_as_if_none_were_joined(attn: Run) -> None:
    asked = ["inspect", "The black cat\nsat on the mat", "--parts", "lines", "--query", "The black,mat"]
    document = validated(attn(*asked, "--json").encode())
    assert document["parts"]["rows"] == [0, 6]
    links = [link for head in document["heads"] for link in head["links"]]
    assert {link["query"] for link in links if link["query_text"] == "mat"} <= {6}
    one = validated(attn(*asked[:-1], "black cat", "--json").encode())
    assert one["parts"]["rows"] == [1]
    assert "Who is looked at by mat;" in attn(*asked[:-1], "mat")


def test_a_part_may_have_thousands_of_tokens() -> None:
    text = "\n".join([" ".join(["word"] * 1040), "end"])
    places = [*((5 * index, 5 * index + 4) for index in range(1040)), (len(text) - 3, len(text))]
    made = make_tokens(text, ["word"] * 1040 + ["end"], places, [False] * 1041)
    tokens = replace(made, parts=line_parts(text))
    found = looked_at(tokens, np.full(1041, 1 / 1041))
    assert found.parts is not None
    assert found.parts.tokens == (1040, 1)
    screen = Screen(color=False)
    assert " 1,040   1.00 " in to_text(share_of_parts(found.parts, found.figures.plan, screen), screen)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_screen_keeps_the_shares_and_what_they_are(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    from attn_cli.cli.app import main

    text = "The cat sat on the mat and slept.\nWho sat?"
    asked = ["inspect", text, "--parts", "lines", "--query", "Who", "--layer", "2", "--width", str(width), "--no-color"]
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    table = out[out.index("Who is looked at") : out.index("query")]
    assert " sink aside" in table
    assert "share: of the row's weight." in " ".join(table.split())
    assert ("Not shown for lack of width: tokens" in " ".join(table.split())) == (width < 80)
    numbers = [float(line.split()[-1 if width == 40 else -2]) for line in table.splitlines()[2:5]]
    assert sum(numbers) == pytest.approx(1, abs=0.02)
