"""`attn diff` through the command line, on MiniLM, on the built-in model, and on saved records."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

import attn_cli
from attn_cli.cli.app import main
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.records import validated

BIG = "The trophy didn't fit in the suitcase because it was too big"
SMALL = BIG.replace("big", "small")
OTHER = "toy-rnn-attention"


def changed(attn: Run, *arguments: str) -> dict[str, Any]:
    return validated(attn("diff", *arguments, "--json").encode(), "diff")


def weight(document: dict[str, Any], side: str, key: str) -> float:
    (index,) = (place for place, unit in enumerate(document["keys"]) if unit[f"{side}_text"] == key)
    return float(document["heads"][0][side][0][index])


def test_head_3_1_of_minilm_stays_on_the_trophy(attn: Run) -> None:
    document = changed(attn, BIG, SMALL, "--query", "it", "--head", "3.1", "--model", "MODEL")
    assert [round(weight(document, side, "trophy"), 2) for side in "ab"] == [0.58, 0.60]
    assert document["heads"][0]["divergence"] < 0.01


def test_head_2_0_of_the_built_in_model_moves(attn: Run) -> None:
    document = changed(attn, BIG, SMALL, "--query", "it", "--head", "2.0")
    assert [round(weight(document, side, "trophy"), 2) for side in "ab"] == [1, 0]
    assert [round(weight(document, side, "suitcase"), 2) for side in "ab"] == [0, 1]
    assert document["heads"][0]["divergence"] > 0.99
    first = changed(attn, BIG, SMALL)["heads"][0]
    assert (first["layer"], first["head"]) == (2, 0)
    assert document["keys"][11]["a_text"] == "big"
    assert document["keys"][11]["b_text"] == "small"


def test_fail_above(attn: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", BIG, SMALL, "--fail-above", "0.05", "--json"]) == 1
    out, err = capsys.readouterr()
    assert validated(out.encode(), "diff")["fail_above"] == 0.05
    assert re.fullmatch(r"attn: head 2\.0 changed by 0\.0[5-9]\d+ bits, which is above 0\.05\n", err)
    attn("diff", BIG, SMALL, "--fail-above", "0.1")
    attn("diff", BIG, BIG, "--fail-above", "0")
    assert "3.1 changed by 0.00267" in attn(
        "diff", BIG, SMALL, "--query", "it", "--head", "3.1", "--model", "MODEL", "--fail-above", "0.001", code=1
    )


def test_saved_records_give_the_same(attn: Run, tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("big.json", "small.npz")]
    for text, file in zip((BIG, SMALL), files, strict=True):
        attn("inspect", text, "--save", file, "--query", "it")
        attn("inspect", text, "--save", file, "--force")
    for query in ([], ["--query", "it"]):
        expected = attn("diff", BIG, SMALL, *query)
        assert attn("diff", *files, *query) == expected
        assert attn("diff", files[0], SMALL, *query) == expected
        assert attn("diff", BIG, files[1], *query) == expected
    attn("inspect", BIG, "--save", files[0], "--force", "--tokens", "--layer", "1")
    document = changed(attn, files[0], BIG)
    assert document["selection"]["unit"] == "token"
    assert {head["layer"] for head in document["heads"]} == {1}
    assert document["most"] == 0
    assert "Nothing changed." in attn("diff", files[0], BIG)
    assert "does not hold" in attn("diff", files[0], BIG, "--layer", "0", code=4)


def test_files_of_several_records_are_paired(attn: Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(f"{BIG}\n{SMALL}\n")
    both, one = str(tmp_path / "both.jsonl"), str(tmp_path / "one.json")
    attn("inspect", "--file", str(tmp_path / "in.txt"), "--save", both)
    attn("inspect", BIG, "--save", one)
    lines = attn("diff", both, both, "--json").splitlines()
    assert [json.loads(line)["most"] for line in lines] == [0, 0]
    lines = attn("diff", both, BIG, "--json").splitlines()
    assert [json.loads(line)["most"] > 0 for line in lines] == [False, True]
    assert f"{both} holds more records than {one}" in attn("diff", one, both, code=3)


def test_a_table_of_pairs(attn: Run, tmp_path: Path) -> None:
    table = tmp_path / "pairs.tsv"
    table.write_text(f"{BIG}\t{BIG}\n{BIG}\t{SMALL}\n")
    lines = attn("diff", "--file", str(table), "--json").splitlines()
    assert [json.loads(line)["most"] > 0 for line in lines] == [False, True]
    shown = attn("diff", "--file", str(table), "--query", "it", "--head", "2.0")
    assert f"1  {BIG}\n" in shown
    assert f"2  {BIG}"[:40] in shown
    attn("diff", "--file", str(table), "--fail-above", "0.05", code=1)
    table.write_text(f"{BIG}\n")
    assert "has no B" in attn("diff", "--file", str(table), code=3)


def test_a_column_of_targets_beside_pairs_is_the_decoders_text_of_both(attn: Run, tmp_path: Path) -> None:
    a, b, target = "The cat sat on the mat", "The dog sat on the mat", "Le chat dort"
    table = tmp_path / "tri.csv"
    table.write_text(f"text,fr,other\n{a},{target},{b}\n")
    columns = ["--file", str(table), "--field", "text", "--target-field", "fr", "--pair-field", "other"]
    document = changed(attn, *columns, "--kind", "cross")
    assert document["target"]["text"] == document["other"]["target"]["text"] == target
    expected = changed(attn, a, b, "--target", target, "--kind", "cross")
    assert document["heads"] == expected["heads"]
    error = attn("diff", *columns, "--target", target, code=3)
    assert "line 2 of" in error
    assert "has a target, and --target is given as well" in error


def test_two_models_of_one_shape(attn: Run, tmp_path: Path, minilm: str) -> None:
    import torch
    from transformers import AutoModel

    torch.manual_seed(0)
    model = AutoModel.from_pretrained(minilm)
    with torch.no_grad():
        model.encoder.layer[3].attention.self.query.weight[32:64] *= 2  # head 1 alone
    model.save_pretrained(tmp_path / "other")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        if (Path(minilm) / name).exists():
            (tmp_path / "other" / name).write_bytes((Path(minilm) / name).read_bytes())
    document = changed(attn, BIG, "--model", "MODEL", "--against", str(tmp_path / "other"))
    by_head = {(head["layer"], head["head"]): head["divergence"] for head in document["heads"]}
    assert all(by_head[layer, head] < 1e-6 for layer in range(4) for head in range(12) if (layer, head) != (3, 1))
    assert by_head[3, 1] > 0.001
    assert document["other"]["model"]["name"] == str(tmp_path / "other")
    shown = attn("diff", BIG, "--model", "MODEL", "--against", str(tmp_path / "other"))
    assert "in models trained separately, heads of one number" in " ".join(shown.split())
    assert "Nothing changed" in attn("diff", BIG, "--model", "MODEL", "--against", "MODEL")
    assert "a different shape from that of B (3 layers × 8 heads, 6 layers × 12 heads)" in attn(
        "diff", BIG, "--against", "MODEL", code=5
    )


def test_cross_attention_with_one_target(attn: Run) -> None:
    document = changed(attn, "The cat sat", "The dog sat", "--target", "Le chat était assis", "--layer", "1")
    assert document["kind"] == "cross"
    assert [unit["b_text"] for unit in document["keys"]] == ["The", "dog", "sat", "</s>"]


@pytest.mark.parametrize("suffix", [".json", ".csv", ".svg", ".html", ".txt"])
def test_every_format(suffix: str, attn: Run, tmp_path: Path) -> None:
    file = tmp_path / f"out{suffix}"
    shown = attn("diff", BIG, SMALL)
    attn("diff", BIG, SMALL, "--save", str(file))
    if suffix == ".txt":
        assert file.read_text() == shown
    elif suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
        assert len(rows) == 24 * 13
        found = next(row for row in rows if row["query_text"] == "it")
        assert [found[name] for name in ("layer", "head")] == ["2", "0"]
        turned = 1 if found["key_text"] == "trophy" else -1  # what one noun loses the other gains
        assert found["key_text"] in {"trophy", "suitcase"}
        assert turned * (float(found["a"]) - float(found["b"])) > 0.99
    elif suffix == ".json":
        assert file.read_bytes() == attn("diff", BIG, SMALL, "--json").encode()
    assert file.stat().st_size > 500


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "nothing to compare. Give two texts"),
        (["a cat"], 2, "nothing to compare A with"),
        (["a cat", "a dog", "--against", "toy"], 2, "one text on two models"),
        (["a cat", "--against", " "], 2, "--against is empty"),
        (["a cat", "-"], 2, "nothing from standard input"),
        (["a cat", "a dog", "a cow"], 2, "Unexpected argument 'a cow'. 'attn diff' takes A and B: put one that"),
        (["a cat", " "], 3, "empty"),
        (["a cat", "a dog", "--fail-above", "1.5"], 2, "--fail-above must be between 0 and 1"),
        (["a cat", "a dog", "--file", "x.tsv"], 2, "--file holds A and B"),
        (["--file", "x.txt"], 2, "Give a .tsv"),
        (["a cat", "a dog", "--array", "w"], 2, "--array is for a matrix of weights, and this is a text"),
        (["a cat", "a dog", "--top-k", "2"], 2, "--top-k lists the keys of a query. Name one with --query"),
        (["a.json", "b.json", "--verify"], 2, "a.json is a record, so --verify cannot be used with it"),
        (["--file", "x.tsv"], 3, "cannot be read"),
        (["a.json", "--against", "toy"], 2, "A is a record"),
        (["a.json", "a cat"], 3, "a.json cannot be read"),
        (["a cat", "a dog", "--query", "cow"], 4, "'cow' is not in the text. Its words are: a, cat"),
        (["a cat", "a big cat", "--query", "big"], 4, "'big' has no counterpart in A"),
        (["a cat", "a dog", "--query", ""], 2, "--query is empty"),
        (["a cat", "a dog", "--head", "9.9"], 4, "There is no layer 9. toy has layers 0 to 2"),
        (["a cat", "--without", "2.0", "--against", OTHER], 4, f"{OTHER} has only layer 0"),
        (
            ["a cat", "--head", "2.0", "--kind", "cross", "--target", "un chat", "--against", OTHER],
            4,
            "has only layer 0",
        ),
        (["a cat", "a dog", "--save", "x.npz"], 6, "there are none to save"),
        (["a cat", "a dog", "--model", "no/such/model"], 5, "no/such/model"),
    ],
)
def test_errors(arguments: list[str], code: int, message: str, attn: Run) -> None:
    error = attn("diff", *arguments, code=code)
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("asked", [["--kind", "cross"], ["--query", "chat"], ["--model", "toy-rnn-attention"]])
def test_texts_are_translated_where_that_is_what_is_asked_for(asked: list[str], attn: Run) -> None:
    document = changed(attn, "The cat sat", "The cat ran", *asked)
    assert document["kind"] == "cross"
    assert document["target"]["text"].startswith("Le chat")
    assert document["other"]["target"]["text"].startswith("Le chat")


def test_from_python(minilm: str) -> None:
    model = attn_cli.load(minilm)
    found = model.diff(BIG, SMALL, query="it", head="3.1")
    a, b = found.maps(3, 1)
    trophy = found.keys.labels.index("trophy")
    assert (round(float(a[0, trophy]), 2), round(float(b[0, trophy]), 2)) == (0.58, 0.6)
    assert model.diff(BIG, against=attn_cli.load(minilm)).most == 0
    record = model.inspect(BIG)
    assert model.diff(record, SMALL).most == model.diff(BIG, SMALL).most


SCREENS = {
    "heads": [BIG, SMALL],
    "one": [BIG, SMALL.replace("too small", "really very small"), "--head", "2.0"],
    "query": [BIG, SMALL, "--query", "it"],
}


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("color", [True, False], ids=["color", "plain"])
@pytest.mark.parametrize("screen", SCREENS)
def test_golden_screens(screen: str, width: int, color: bool, attn: Run) -> None:
    flags = ["--width", str(width), "--color" if color else "--no-color"]
    assert_golden(f"diff-{screen}-{width}{'-color' if color else ''}", attn("diff", *SCREENS[screen], *flags))
