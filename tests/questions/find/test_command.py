"""`attn find` through the command line, on MiniLM and on the built-in model."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import attn_cli
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.records import validated

SENTENCE = "The trophy didn't fit in the suitcase because it was too big"


def found(attn: Run, *arguments: str) -> dict[str, Any]:
    return validated(attn("find", *arguments, "--json").encode(), "find")


def test_head_3_1_of_minilm_leads_from_it_to_the_trophy(attn: Run) -> None:
    document = found(attn, SENTENCE, "it", "trophy", "--model", "MODEL")
    first = document["links"][0]
    assert (first["layer"], first["head"], round(first["weight"], 2)) == (3, 1, 0.58)
    assert first["even"] == pytest.approx(1 / 16)
    assert len(document["links"]) == 72
    assert document["pairs"] == [
        {"query": 9, "query_text": "it", "key": 2, "key_text": "trophy", "offset": -7, "alike": 4, "visible": True}
    ]


def test_a_positional_head_is_told_by_what_is_usual(attn: Run) -> None:
    """Head 0.2 looks at the word before, whatever it is."""
    document = found(attn, SENTENCE, "it", "because", "--model", "MODEL")
    assert (document["links"][0]["layer"], document["links"][0]["head"]) == (0, 2)
    assert document["links"][0]["weight"] > 0.99
    assert document["links"][0]["usual"] > 0.9
    first = found(attn, SENTENCE, "it", "because", "--model", "MODEL", "--sort", "usual")["links"][0]
    assert (first["layer"], first["head"]) != (0, 2)


def test_the_built_in_model_finds_the_noun(attn: Run) -> None:
    for adjective, noun in (("big", "trophy"), ("small", "suitcase")):
        document = found(attn, SENTENCE.replace("big", adjective), "it", noun, "--layer", "2")
        assert (document["links"][0]["layer"], document["links"][0]["head"]) == (2, 0)
        assert document["links"][0]["weight"] > 0.9


def test_all_kinds_of_the_built_in_model(attn: Run) -> None:
    cat = "The cat sat on the mat because it was tired"
    chat = "Le chat était assis sur le tapis parce qu'il était fatigué"
    assert found(attn, cat, "it", "cat")["kind"] == "encoder"
    cross = found(attn, cat, "chat", "cat", "--target", chat, "--head", "1.0")
    assert cross["kind"] == "cross"
    assert cross["links"][0]["weight"] > 0.9
    decoder = found(attn, cat, "fatigué", "chat", "--target", chat, "--kind", "decoder")
    assert {link["layer"] for link in decoder["links"]} == {0, 1, 2}
    later = found(attn, cat, "chat", "fatigué", "--target", chat, "--kind", "decoder")
    assert later["links"] == []
    assert [pair["visible"] for pair in later["pairs"]] == [False]
    shown = attn("find", cat, "chat", "fatigué", "--target", chat, "--kind", "decoder")
    assert "masked in every head" in shown
    assert "--both looks the other way" in shown


def test_a_word_of_the_translation_is_found_in_it(attn: Run) -> None:
    for more in ([], ["--kind", "cross"], ["--target", "Le chat était assis sur le tapis"]):
        document = found(attn, "The cat sat on the mat", "chat", "cat", *more)
        assert document["kind"] == "cross"
        assert document["target"]["text"].startswith("Le chat")
        assert document["links"][0]["weight"] > 0.9
    links = attn_cli.load().find("The cat sat on the mat", "chat", "cat").links
    assert (links[0].layer, links[0].head) == (2, 0)


def test_pieces_and_positions(attn: Run) -> None:
    assert found(attn, SENTENCE, "9", "2", "--model", "MODEL")["pairs"][0]["key_text"] == "trophy"
    pieces = found(attn, SENTENCE, "'", "t", "--tokens", "--model", "MODEL")
    assert pieces["pairs"][0]["offset"] == 1
    assert pieces["selection"]["unit"] == "token"


def test_nothing_is_strong_enough(attn: Run) -> None:
    shown = attn("find", SENTENCE, "it", "trophy", "--model", "MODEL", "--min", "0.9")
    assert "No head gives it 0.9 or more; the most is 0.58, in head 3.1." in shown
    assert found(attn, SENTENCE, "it", "trophy", "--model", "MODEL", "--min", "0.9")["links"] == []
    assert attn("find", SENTENCE, "it", "trophy", "--model", "MODEL", "--min", "0.5").count("\n 3.1 ") == 1


def test_a_saved_record_gives_the_same(attn: Run, tmp_path: Path) -> None:
    for suffix in (".json", ".npz"):
        file = str(tmp_path / f"a record{suffix}")
        attn("inspect", SENTENCE, "--model", "MODEL", "--save", file)
        assert attn("find", file, "it", "trophy") == attn("find", SENTENCE, "it", "trophy", "--model", "MODEL")
    file = str(tmp_path / "one.json")
    attn("inspect", SENTENCE, "--model", "MODEL", "--query", "it", "--save", file)
    assert "holds only 1 of the queries" in attn("find", file, "it", "trophy", code=4)
    assert "cannot be read" in attn("find", "missing.json", "it", "trophy", code=3)


def test_several_sentences(attn: Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(f"{SENTENCE}\n\n{SENTENCE.replace('big', 'small')}\n")
    file = ("--file", str(tmp_path / "in.txt"), "--model", "MODEL")
    lines = attn("find", "it", "trophy", *file, "--json").splitlines()
    assert [round(json.loads(line)["links"][0]["weight"], 2) for line in lines] == [0.58, 0.6]
    shown = attn("find", "it", "trophy", *file, "--min", "0.5")
    assert f"1  {SENTENCE}\n" in shown
    assert f"2  {SENTENCE.replace('big', 'small')}\n" in shown
    assert "line 1 of" in attn("find", "it", "small", *file, code=4)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".svg", ".html", ".txt"])
def test_every_format_but_that_for_maps(suffix: str, attn: Run, tmp_path: Path) -> None:
    file = tmp_path / f"out{suffix}"
    shown = attn("find", SENTENCE, "it", "trophy", "--model", "MODEL")
    attn("find", SENTENCE, "it", "trophy", "--model", "MODEL", "--save", str(file))
    if suffix == ".txt":
        assert file.read_text() == shown
    elif suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
        assert len(rows) == 72
        assert [rows[0][name] for name in ("layer", "head", "query_text", "key_text")] == ["3", "1", "it", "trophy"]
        assert round(float(rows[0]["weight"]), 2) == 0.58
    elif suffix.startswith(".json"):
        assert file.read_bytes() == attn("find", SENTENCE, "it", "trophy", "--model", "MODEL", "--json").encode()
    error = attn("find", SENTENCE, "it", "trophy", "--model", "no/such", "--save", str(tmp_path / "a.npz"), code=6)
    assert "there are none to save" in error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([SENTENCE], 2, "FROM and TO are missing"),
        ([SENTENCE, "it"], 2, "Write attn find TEXT FROM TO"),
        ([SENTENCE, "it", " "], 2, "TO is empty"),
        ([SENTENCE, "it", "dog"], 4, "'dog' is not in the text. Its words are: The, trophy"),
        ([SENTENCE, "it", "dog"], 4, "</s>; the attending word may also be one of the translation."),
        ([SENTENCE, "chien", "it"], 4, "</s>; the attending word may also be one of the translation."),
        ([SENTENCE, "it", "dog", "--kind", "encoder"], 4, "big, </s>."),
        ([SENTENCE, "dog", "it", "--kind", "decoder"], 4, "; in decoder attention, both are words of the translation."),
        ([SENTENCE, "it", "dog", "--model", "MODEL"], 4, "big, [SEP]."),
        ([SENTENCE, "it#2", "trophy"], 4, "appears only once"),
        ([SENTENCE, "it", "99"], 4, "There is no position 99 in the text. Its positions are 0 to 12;"),
        ([SENTENCE, "it", "trophy", "--min", "2"], 2, "--min must be between 0 and 1, and 2 is not."),
        ([SENTENCE, "it", "trophy", "--min", "nan"], 2, "--min must be between 0 and 1, and nan is not"),
        ([SENTENCE, "it", "trophy", "--min", "few"], 2, "'few' is not a number"),
        ([SENTENCE, "it", "trophy", "--sort", "focus"], 2, "is not one of weight, usual, others, layer"),
        ([SENTENCE, "it", "trophy", "--layer", "7"], 4, "There is no layer 7"),
        ([SENTENCE, "it", "trophy", "--head", "2.5,3"], 2, "mixes"),
        ([SENTENCE, "it", "trophy", "more"], 2, "Unexpected argument 'more'. Put the sentence in quotes."),
        (["The cat", "chat", "cat", "--target", "Le chat", "--both"], 2, "only the target looks at the source"),
        (["The cat", "chat", "dog"], 4, "'dog' is not in the source, whose words are the columns. Its words are: The"),
        (["The cat", "chien", "cat"], 4, "'chien' is not in the text. Its words are: The, cat"),
        ([" ", "it", "trophy"], 3, "empty"),
        ([SENTENCE, "it", "trophy", "--no-check"], 2, "--no-check is for a matrix of weights, and this is a text"),
        (["The cat", "chat", "cat", "--sort", "usual"], 2, "no pairs are equally far apart, as --sort usual needs"),
        (["record.json", "it", "trophy", "--verify"], 2, "record.json is a record, so --verify cannot be used with"),
        (["record.json", "it", "trophy", "--dtype", "float16"], 2, "so --dtype cannot be used with it"),
        (
            ["2 cats saw 3 dogs", "2", "cats", "--no-sink"],
            4,
            "is hidden here. Show it with --special or --sink, or",
        ),
    ],
)
def test_errors(arguments: list[str], code: int, message: str, attn: Run) -> None:
    error = attn("find", *arguments, code=code)
    assert message in error
    assert error.count("\n") == 1


def test_from_python(minilm: str) -> None:
    links = attn_cli.load(minilm).find(SENTENCE, "it", "trophy").links
    assert (links[0].layer, links[0].head, round(links[0].weight, 2)) == (3, 1, 0.58)
    assert len(attn_cli.load(minilm).find(SENTENCE, "it", "trophy", both=True, layer=3).links) == 24


SCREENS = {
    "one": [SENTENCE, "it", "trophy"],
    "several": [SENTENCE, "it", "the,trophy,suitcase", "--both", "--min", "0.2", "--sort", "usual"],
}


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("color", [True, False], ids=["color", "plain"])
@pytest.mark.parametrize("screen", SCREENS)
def test_golden_screens(screen: str, width: int, color: bool, attn: Run) -> None:
    flags = ["--width", str(width), "--color" if color else "--no-color"]
    assert_golden(f"find-{screen}-{width}{'-color' if color else ''}", attn("find", *SCREENS[screen], *flags))
