"""`attn inspect` and `attn view` on real weights, through the command line."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import attn_cli
from attn_cli.answer.formats import FORMATS
from attn_cli.cli.app import main
from attn_cli.errors import SelectionError
from attn_cli.io.npz import from_npz
from attn_cli.io.records import from_json
from attn_cli.questions.schema.measure import schema
from tests.conftest import Run
from tests.golden_files import assert_golden

SENTENCE = "The trophy didn't fit in the suitcase because it was too big"


def documents(text: str) -> list[dict[str, Any]]:
    """Read what `--json` printed, and hold each line against the schema."""
    found: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    for document in found:
        jsonschema.validate(document, json.loads(schema()))
    return found


def inspect_json(attn: Run, *arguments: str) -> dict[str, Any]:
    (document,) = documents(attn("inspect", SENTENCE, "--model", "MODEL", "--json", *arguments))
    return document


def head_map(document: dict[str, Any], layer: int, head: int) -> dict[str, Any]:
    (found,) = (one for one in document["maps"] if (one["layer"], one["head"]) == (layer, head))
    return dict(found)


@pytest.mark.parametrize(
    ("layer", "head", "word", "weight"), [(0, 2, "because", 1.00), (3, 1, "trophy", 0.58), (2, 1, "big", 0.80)]
)
def test_where_it_looks(layer: int, head: int, word: str, weight: float, attn: Run) -> None:
    document = inspect_json(attn, "--tokens")
    pieces = [token["piece"] for token in document["source"]["tokens"]]
    row = head_map(document, layer, head)["weights"][pieces.index("it")]
    assert pieces[int(np.argmax(row))] == word
    assert round(max(row), 2) == weight
    line = next(
        line
        for line in attn("inspect", SENTENCE, "--model", "MODEL", "--query", "it", "--tokens").splitlines()
        if line.startswith(f"{layer}.{head} ")
    )
    assert line.split()[1:3] == [word, f"{weight:.2f}"]


def test_json_says_what_was_asked_and_found(attn: Run) -> None:
    document = inspect_json(attn, "--head", "2.5,4.1", "--verify")
    assert document["schema_version"] == 1
    assert document["tool"]["name"] == "attn"
    assert document["model"]["family"] == "bert"
    assert document["model"]["captured"] == "interface"
    assert document["selection"]["head"] == "2.5,4.1"
    assert [(one["kind"], one["layer"], one["head"]) for one in document["maps"]] == [
        ("encoder", 2, 5),
        ("encoder", 4, 1),
    ]
    assert np.shape(document["maps"][0]["weights"]) == (16, 16)
    assert document["verified"] < 1e-5
    source = document["source"]
    assert source["text"] == SENTENCE
    for token in source["tokens"]:
        if token["word"] is not None:
            word = source["words"][token["word"]]
            assert word["start"] <= token["start"] < token["end"] <= word["end"]
    assert [word["text"] for word in source["words"]] == SENTENCE.split()


def test_verify_prints_the_largest_difference(attn: Run) -> None:
    document = inspect_json(attn, "--layer", "3", "--verify")
    assert 0 < document["verified"] < 1e-5
    shown = attn("inspect", SENTENCE, "--model", "MODEL", "--layer", "3", "--verify")
    output = document["verified_output"]
    assert (output["compared"], output["attention"]) == (["last hidden state"], "sdpa")
    assert 0 < output["difference"] < 1e-5
    assert (
        f"Verified: softmax(scores)·values is what the layers computed, within {document['verified']:.1e} and the last "
        f"hidden state is that of the model without attn (sdpa attention), within {output['difference']:.1e}."
    ) in " ".join(shown.split())
    assert "Verified" not in attn("inspect", SENTENCE, "--model", "MODEL", "--layer", "3")
    without = inspect_json(attn, "--layer", "3")
    assert without["verified"] is without["verified_output"] is None


@pytest.mark.parametrize("selection", [["--query", "it"], ["--scores"], ["--grid"], ["--no-special", "--no-sink"]])
def test_every_selection_keeps_to_the_schema(selection: list[str], attn: Run) -> None:
    document = inspect_json(attn, *selection, "--layer", "0")
    rows = document["heads"]
    assert len(rows) == len(document["maps"]) == 12
    for row, map_ in zip(rows, document["maps"], strict=True):
        assert (row["layer"], row["head"]) == (map_["layer"], map_["head"])


SELECTIONS = [
    [],
    ["--all"],
    ["--layer", "0-2,-1"],
    ["--layer", "2", "--head", "5"],
    ["--head", "2.5,4.1"],
    ["--query", "it"],
    ["--query", "it", "--top-k", "5", "--layer", "3"],
    ["--query", "suitcase,it", "--sort", "focus"],
    ["--grid"],
    ["--grid", "--layer", "-1", "--tokens"],
    ["--scores"],
    ["--scores", "--grid"],
    ["--scores", "--query", "it"],
    ["--scores", "--head", "3.1"],
    ["--no-special"],
    ["--no-sink", "--sort", "link"],
    ["--no-special", "--no-sink", "--query", "it"],
    ["--tokens", "--query", "11"],
    ["--verify", "--sort", "first"],
]  # fmt: skip


@pytest.mark.parametrize("selection", SELECTIONS, ids=" ".join)
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_saved_record_shows_the_same_screen(selection: list[str], suffix: str, attn: Run, tmp_path: Path) -> None:
    file = str(tmp_path / f"record{suffix}")
    shown = attn("inspect", SENTENCE, "--model", "MODEL", *selection)
    attn("inspect", SENTENCE, "--model", "MODEL", *selection, "--save", file)
    assert shown == attn("view", file)
    assert "nan" not in shown.split()


@pytest.mark.unchecked
def test_a_record_can_be_looked_at_in_every_other_way(attn: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "record.npz")
    attn("inspect", SENTENCE, "--model", "MODEL", "--save", file)
    for selection in SELECTIONS:
        if "--scores" in selection:
            assert "Save it again with --scores" in attn("view", file, *selection, code=4)
            assert "add --measure weights" in attn("view", file, "--words", *selection, code=2)
        elif "--verify" not in selection:
            assert attn("view", file, *selection) == attn("inspect", SENTENCE, "--model", "MODEL", *selection)


def test_rows_that_were_not_saved_are_missed_by_name(attn: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "record.json")
    attn("inspect", SENTENCE, "--model", "MODEL", "--query", "it", "--layer", "3", "--save", file)
    assert len(from_json(Path(file).read_bytes()).maps[0].queries) == 1
    assert "--query" in attn("view", file, "--grid", code=4)
    assert "layer 2" in attn("view", file, "--layer", "2", code=4)


def test_maps_of_all_heads_of_a_text_have_no_query(attn: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "record.json")
    attn("inspect", SENTENCE, "--model", "MODEL", "--save", file)
    assert "--grid shows all queries of a text" in attn("view", file, "--grid", "--query", "it", code=4)
    with pytest.raises(SelectionError, match="--grid shows all queries of a text"):
        attn_cli.load("toy").inspect("it sat", view="grid", query="it")


def test_hiding_says_so_and_renormalizes(attn: Run) -> None:
    shown = attn("inspect", SENTENCE, "--model", "MODEL", "--no-special", "--head", "3.1")
    assert "Without special tokens" in shown
    assert "[CLS]" not in shown
    _, _, table = shown.partition("Weights of head 3.1")
    rows = [line for line in table.splitlines() if line.split()[:1] and line.split()[0].isdecimal()]
    sums = [sum(map(float, re.findall(r"\d?\.\d+", row))) for row in rows]
    assert len(sums) == 12
    assert all(abs(total - 1) < 0.1 for total in sums)


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_every_format_is_written_once_and_not_over(suffix: str, attn: Run, tmp_path: Path) -> None:
    file = tmp_path / f"out{suffix}"
    save = ("inspect", SENTENCE, "--model", "MODEL", "--head", "3.1", "--save", str(file))
    attn(*save)
    first = file.read_bytes()
    assert len(first) > 500
    assert "--force" in attn(*save, code=6)
    assert file.read_bytes() == first
    attn(*save, "--force")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_the_same_weights_in_every_format(attn: Run, tmp_path: Path) -> None:
    for suffix in ("json", "npz", "csv"):
        attn(
            "inspect",
            SENTENCE,
            "--model",
            "MODEL",
            "--head",
            "3.1",
            "--tokens",
            "--save",
            str(tmp_path / f"x.{suffix}"),
        )
    weights = from_npz((tmp_path / "x.npz").read_bytes()).maps[0].weights[0]
    (document,) = documents((tmp_path / "x.json").read_text())
    np.testing.assert_array_equal(np.asarray(document["maps"][0]["weights"], np.float32), weights)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text())))
    assert len(rows) == 16 * 16
    for row in rows:
        assert np.float32(row["weight"]) == weights[int(row["query"]), int(row["key"])]


@pytest.mark.unchecked
def test_several_sentences_are_one_record_each_in_order(attn: Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("The cat sat.\n\nIt was big.\r\n")
    arguments = ("inspect", "--file", str(tmp_path / "in.txt"), "--model", "MODEL")
    found = documents(attn(*arguments, "--json"))
    assert [document["source"]["text"] for document in found] == ["The cat sat.", "It was big."]
    shown = attn(*arguments, "--query", "1")
    assert shown.startswith("1  The cat sat.\n")
    assert "\n\n2  It was big.\n" in shown
    attn(*arguments, "--save", str(tmp_path / "out.jsonl"))
    assert attn("view", str(tmp_path / "out.jsonl")) == attn(*arguments)
    attn(*arguments, "--layer", "0", "--head", "0", "--save", str(tmp_path / "out.csv"))
    table = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert {row["sentence"] for row in table} == {"0", "1"}
    assert "out.jsonl" in attn(*arguments, "--save", str(tmp_path / "out.json"), code=6)
    assert not (tmp_path / "out.json").exists()


def test_a_fault_in_a_later_line_is_located_and_what_came_before_is_out(
    minilm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("The cat sat.\n" + "word " * 600 + "\n")
    saved = tmp_path / "out.jsonl"
    saved.write_text("old")
    arguments = ["inspect", "--file", str(tmp_path / "in.txt"), "--model", minilm, "--head", "0.0", "--json"]
    assert main([*arguments, "--save", str(saved), "--force"]) == 3
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "line 2" in err
    assert "602" in err
    assert "512" in err
    assert "--truncate" in err
    assert saved.read_text() == "old"
    assert main([*arguments, "--truncate"]) == 0
    out, err = capsys.readouterr()
    assert len(documents(out)[1]["source"]["tokens"]) == 512
    assert "512" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--layer", "6"], 4, "layers 0 to 5"),
        (["--head", "0.12"], 4, "heads 0 to 11"),
        (["--query", "elephant"], 4, "trophy"),
        (["--query", "it#2"], 4, "only once"),
        (["--kind", "cross"], 4, "encoder"),
        (["--target", "Le trophée"], 3, "Leave the target out"),
        (["--device", "cuda"], 5, "cuda"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_not_there(arguments: list[str], code: int, message: str, attn: Run) -> None:
    error = attn("inspect", SENTENCE, "--model", "MODEL", *arguments, code=code)
    assert message in error
    assert error.count("\n") == 1


def test_two_segments(attn: Run) -> None:
    document = inspect_json(attn, "--pair", "It was big.")
    assert document["source"]["pair"] == "It was big."
    assert [word["segment"] for word in document["source"]["words"]] == [0] * 12 + [1] * 4


NASTY = "[bold]a[/] \x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eabc\u202c \x00 👨‍👩‍👧 日本語 שלום e\u0301"


@pytest.mark.parametrize("selection", [[], ["--query", "abc"], ["--grid"], ["--head", "0.0"]], ids=" ".join)
def test_nasty_text_shows_as_text(selection: list[str], attn: Run) -> None:
    shown = attn("inspect", NASTY, "--model", "MODEL", *selection)
    assert not any(character in shown for character in "\x1b\x07\x00\u202e\u202c")
    joiners = "\n\u200d\u200e"  # emoji are joined, and a mark keeps right-to-left words in their cells
    assert all(character.isprintable() or character in joiners for character in shown)


SCREENS = {
    "first": [],
    "head": ["--head", "3.1"],
    "query": ["--query", "it", "--layer", "2-3"],
    "grid": ["--grid", "--layer", "0-1"],
}


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("color", [True, False], ids=["color", "plain"])
@pytest.mark.parametrize("screen", SCREENS)
def test_golden_screens(screen: str, width: int, color: bool, attn: Run, minilm: str) -> None:
    flags = ["--width", str(width), "--color" if color else "--no-color"]
    shown = attn("inspect", SENTENCE, "--model", "MODEL", *SCREENS[screen], *flags)
    lines = shown.splitlines()
    # The first lines name the folder, which is another on every machine.
    start = next(number for number, line in enumerate(lines) if not line.strip())
    kept = "\n".join(lines[start:]) + "\n"
    assert_golden(f"minilm-{screen}-{width}{'-color' if color else ''}", kept)


def test_the_first_screen_draws_the_most_telling_head_and_says_why(attn: Run) -> None:
    screen = attn("inspect", SENTENCE, "--model", "toy")
    assert "Weights of head 2.0\n" in screen
    assert screen.endswith("\nTrained to look from “it” to the noun that it stands for: it → trophy 1.00.\n")
    (document,) = documents(attn("inspect", SENTENCE, "--model", "toy", "--json"))
    chosen = document["chosen"]
    link = {"query": 8, "query_text": "it", "key": 1, "key_text": "trophy", "weight": chosen["link"]["weight"]}
    assert chosen == {
        "kind": "encoder",
        "layer": 2,
        "head": 0,
        "why": "guided",
        "telling": chosen["telling"],
        "link": link,
    }
    assert len(document["maps"]) == 24


def test_a_model_that_declares_nothing_is_measured(attn: Run) -> None:
    text = "The children saw the black dog that their mother had bought yesterday"
    (document,) = documents(attn("inspect", text, "--model", "MODEL", "--json", "--tokens"))
    chosen = document["chosen"]
    assert chosen["why"] == "telling"
    scores = {}
    for map_ in document["maps"]:
        weights = np.asarray(map_["weights"])[1:-1, :]
        gains = [
            row[key] - weights[:, key].mean() if 0 < key < len(row) - 1 and abs(key - query) > 1 else 0
            for query, row in enumerate(weights, start=1)
            for key in [row.argmax()]
        ]
        scores[map_["layer"], map_["head"]] = np.maximum(gains, 0).mean()
    best = max(scores, key=lambda place: scores[place])
    assert (chosen["layer"], chosen["head"]) == best
    assert chosen["telling"] == pytest.approx(scores[best], abs=1e-5)
    (selected,) = documents(attn("inspect", text, "--model", "MODEL", "--json", "--layer", "1"))
    assert "chosen" not in selected
