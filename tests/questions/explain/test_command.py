"""`attn explain` and `attn terms` through the command line."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from attn_cli.cli.app import main
from attn_cli.questions.inspect.tables import FIGURES
from attn_cli.questions.schema.measure import schema
from attn_cli.questions.terms.glossary import TERMS
from tests.models.folders import byte_level, made, save
from tests.models.toy.folders import toy_folder
from tests.models.toy.networks import RNN, RNN_ATTENTION
from tests.models.translators import folder_of

SENTENCE = "The trophy didn't fit in the suitcase because it was too big"
TEXTBOOK = ("--scores", "2.1,5.8,0.4,0.3,0.5,0.4", "--labels", "The,cat,sat,on,the,mat")

Run = Callable[..., str]


@pytest.fixture
def attn(minilm: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `attn explain`, or another command, in which `MODEL` stands for MiniLM; its stdout, or else its stderr."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str, code: int = 0, command: str = "explain") -> str:
        got = main([command, *(minilm if argument == "MODEL" else argument for argument in arguments)])
        out, err = capsys.readouterr()
        assert got == code, err
        return out if code == 0 else err

    return run


def document(text: str, name: str = "explain") -> dict[str, Any]:
    (line,) = text.splitlines()
    found: dict[str, Any] = json.loads(line)
    jsonschema.validate(found, json.loads(schema(name)))
    return found


def test_plain_numbers(attn: Run) -> None:
    found = document(attn(*TEXTBOOK, "--json"))
    assert [round(key["weight"], 3) for key in found["keys"]] == [0.024, 0.959, 0.004, 0.004, 0.005, 0.004]
    assert [key["text"] for key in found["keys"]] == ["The", "cat", "sat", "on", "the", "mat"]
    assert found["model"] is found["query"] is found["head"] is found["context"] is found["differences"] is None
    table = attn(*TEXTBOOK).splitlines()
    assert [line.split()[4] for line in table[-6:]] == ["0.024", "0.959", "0.004", "0.004", "0.005", "0.004"]


def test_plain_numbers_with_values_and_temperature(attn: Run, tmp_path: Path) -> None:
    values = tmp_path / "values.csv"
    values.write_text("1, 0\n0,1\n\n2\t2\n")
    found = document(attn("--scores", "0,0 -inf", "--values", str(values), "--temperature", "0.5", "--json"))
    assert [key["weight"] for key in found["keys"]] == [0.5, 0.5, 0]
    assert [key["text"] for key in found["keys"]] == ["k0", "k1", "k2"]
    assert found["keys"][2]["score"] is found["keys"][2]["parts"]["scaled"] is found["keys"][2]["query_key"] is None
    assert found["context"]["vector"] == [0.5, 0.5]
    assert found["score"]["scaling"] == 2
    assert "0.71" in attn("--scores", "0,0 -inf", "--values", str(values))


def test_one_head_of_a_real_model(attn: Run) -> None:
    """Known from `attn inspect`: head 3.1 puts 0.58 of `it` on `trophy`."""
    found = document(attn(SENTENCE, "--query", "it", "--head", "3.1", "--model", "MODEL", "--json"))
    assert found["head"] == {"kind": "encoder", "layer": 3, "head": 1, "chosen_from": 1}
    assert (found["query"]["index"], found["query"]["text"]) == (11, "it")
    best = max(found["keys"], key=lambda key: float(key["weight"]))
    assert (best["text"], round(best["weight"], 2)) == ("trophy", 0.58)
    assert len(found["keys"]) == 16
    assert found["score"] == {"how": "product", "scaling": 32**-0.5, "soft_cap": None}
    for key in found["keys"]:
        assert key["score"] == pytest.approx(key["query_key"] * 32**-0.5)
        assert key["score"] == pytest.approx(sum(key["parts"].values()))
        assert key["exponential"] == pytest.approx(np.exp(key["score"] - found["normalize"]["maximum"]))
        assert key["weight"] == pytest.approx(key["exponential"] / found["normalize"]["sum"])
    assert sum(key["share"] for key in found["keys"]) == pytest.approx(1)
    assert found["context"]["norm"] == pytest.approx(np.linalg.norm(found["context"]["vector"]))
    assert 0 < max(found["differences"].values()) < 1e-5


def test_without_a_head_the_one_whose_row_shows_most_is_taken(attn: Run, minilm: str) -> None:
    """Not 0.2, the most focused of all: it gives all of its weight to the previous word."""
    shown = attn(SENTENCE, "--query", "it", "--model", "MODEL")
    with torch.no_grad():
        pieces = AutoTokenizer.from_pretrained(minilm)(SENTENCE, return_tensors="pt")
        model = AutoModel.from_pretrained(minilm, attn_implementation="eager", output_attentions=True)
        rows = torch.stack(model(**pieces).attentions)[:, 0, :, 11].double()
    focus = 1 + torch.special.xlogy(rows, rows).sum(-1) / np.log(rows.shape[-1])
    words = (rows.argmax(-1) % 15 != 0) & (rows.argmax(-1) != 11)  # neither [CLS] nor [SEP], nor the query itself
    seen = rows.sort(-1).values[..., -2] >= 0.05
    assert int(focus.argmax()) == 2
    layer, head = divmod(int(torch.where(words & seen, focus, -1).argmax()), 12)
    assert f"it  query 9 (token 11), head {layer}.{head}\nOf 72 heads, the most focused on this query" in shown
    assert "another word has the" in shown
    found = document(attn(SENTENCE, "--query", "it", "--layer", "3-4", "--model", "MODEL", "--json"))
    assert found["head"]["chosen_from"] == 24
    assert found["head"]["layer"] in {3, 4}


def test_the_built_in_model_and_its_translation(attn: Run) -> None:
    """`chat` is in the translation, so it is translated first; `cat` is not."""
    shown = attn("The cat sat on the mat", "--query", "chat")
    assert shown.startswith("Le chat était assis sur le tapis\n")
    assert "\nchat  query 1, when written, head " in shown
    found = document(attn("The cat sat on the mat", "--query", "chat", "--json"))
    assert found["head"]["kind"] == "cross"
    assert max(found["keys"], key=lambda key: float(key["weight"]))["text"] == "cat"
    assert document(attn("The cat sat on the mat", "--query", "cat", "--json"))["head"]["kind"] == "encoder"
    assert document(attn("The cat sat on the mat", "--query", "chat", "--kind", "decoder", "--json"))["query"] == {
        "index": 2,
        "position": 2,
        "text": "chat",
        "rows": None,
    }
    given = attn("The cat sat", "--target", "Le chat", "--query", "chat", "--rows", "output")
    assert "chat  query 1, when written, head " in given


def test_a_head_that_was_trained_for_the_query_is_named_where_it_looks_elsewhere(attn: Run) -> None:
    """Head 2.0 gives the cat all of its weight, so another is chosen, which looks at another word."""
    asked = ("The cat chased the mouse because it was hungry", "--query")
    assert document(attn(*asked, "it", "--json"))["head"]["head"] != 0
    said = " ".join(attn(*asked, "it").split())
    assert "Encoder head 2.0 was trained to look " in said
    assert "and has 1.00 on cat: --head 2.0." in said
    for query, *options in (("it", "--head", "1.4"), ("it", "--layer", "1"), ("hungry",), ("la",)):
        assert ", and has " not in " ".join(attn(*asked, query, *options).split())


def test_additive_scores_over_encoder_states(attn: Run, tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "rnn", RNN_ATTENTION)
    shown = attn("The cat sat", "--target", "Le chat", "--query", "Le", "--model", folder)
    assert "1 score   = v·tanh(query + key)" in shown
    states = [line.split()[0] for line in shown.splitlines() if line.strip().startswith("h")]
    assert states[:3] == ["h1", "h2", "h3"]
    found = document(attn("The cat sat", "--target", "Le chat", "--query", "Le", "--model", folder, "--json"))
    assert found["score"] == {"how": "additive", "scaling": None, "soft_cap": None}
    assert max(found["differences"].values()) < 1e-5
    written = document(attn("The cat sat", "--query", "1", "--model", folder, "--json"))
    assert written["target"] is not None  # there is only cross-attention, so it is translated
    without = toy_folder(tmp_path / "none", RNN)
    assert "has no attention to show" in attn("The cat sat", "--query", "cat", "--model", without, code=5)


def test_the_textbook_picture(attn: Run) -> None:
    """`chat` is written while the decoder looks at the state of `cat`."""
    asked = ("The cat sat on the mat", "--model", "toy-rnn-attention", "--query", "chat")
    shown = attn(*asked)
    assert shown.startswith("Le chat ")
    assert "1 score   = v·tanh(query + key)" in shown
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith("h")] == [
        ["h1", "The"],
        ["h2", "cat"],
        ["h3", "sat"],
        ["h4", "on"],
        ["h5", "the"],
        ["h6", "mat"],
        ["h7", "</s>"],
    ]
    found = document(attn(*asked, "--json"))
    assert found["query"]["rows"] == "output"
    assert max(found["keys"], key=lambda key: float(key["weight"]))["text"] == "cat"
    assert max(found["differences"].values()) < 1e-4


def test_a_decoder_and_a_translator(attn: Run, tmp_path: Path) -> None:
    gpt2 = made("GPT2", vocab_size=337, n_embd=30, n_layer=2, n_head=3, n_positions=64)
    causal = str(save(tmp_path, gpt2, byte_level()))
    found = document(attn("The trophy was too big", "--query", "too", "--model", causal, "--json"))
    assert found["head"]["kind"] == "decoder"
    masked = [key["score"] is None for key in found["keys"]]
    assert masked == sorted(masked)
    assert masked.count(False) == found["query"]["index"] + 1
    marian = folder_of("marian")
    found = document(attn("The cat", "--target", "Le chat", "--query", "1", "--model", marian, "--json"))
    assert found["head"]["kind"] == "cross"
    assert max(found["differences"].values()) < 1e-4


def test_words_that_are_several_things(attn: Run, capsys: pytest.CaptureFixture[str], minilm: str) -> None:
    for query, index, note in (
        ("the", 8, ""),
        ("didn't", 5, "note: didn't has 3 pieces, and this is the last; --tokens --query 3 names the first"),
    ):
        assert main(["explain", SENTENCE, "--query", query, "--model", minilm, "--json"]) == 0
        out, err = capsys.readouterr()
        assert document(out)["query"]["index"] == index
        assert note in err
    assert main(["explain", "the cat and the dog", "--query", "the", "--model", minilm, "--json"]) == 0
    out, err = capsys.readouterr()
    assert document(out)["query"]["index"] == 1
    assert "note: the appears 2 times, and this is the first; the#2 is the second" in err
    assert (
        document(attn("the cat and the dog", "--query", "the#2", "--model", "MODEL", "--json"))["query"]["index"] == 4
    )


def test_several_sentences(attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_text("The cat sat\n\nOn the cat\n")
    lines = attn("--file", str(file), "--query", "cat", "--json").splitlines()
    assert [document(line)["query"]["index"] for line in lines] == [1, 2]
    shown = attn("--file", str(file), "--query", "cat")
    assert "1  The cat sat\n" in shown
    assert "2  On the cat\n" in shown
    assert "line 3 of" in attn("--file", str(file), "--query", "sat", code=4)


def test_saving(attn: Run, tmp_path: Path) -> None:
    for suffix in (".json", ".csv", ".svg", ".html", ".txt"):
        attn("The cat sat on the mat", "--query", "cat", "--save", str(tmp_path / f"found{suffix}"))
        attn(*TEXTBOOK, "--save", str(tmp_path / f"plain{suffix}"))
    for name in ("found", "plain"):
        found = document((tmp_path / f"{name}.json").read_text())
        rows = list(csv.DictReader(io.StringIO((tmp_path / f"{name}.csv").read_bytes().decode())))
        assert [float(row["weight"]) for row in rows] == pytest.approx([key["weight"] for key in found["keys"]])
        assert "normalize" in (tmp_path / f"{name}.txt").read_text()
    refused = attn("The cat", "--query", "cat", "--save", str(tmp_path / "maps.npz"), code=6)
    assert "would hold maps, but there are none to save" in refused


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["The cat"], 2, "There is no query to explain. Name a word"),
        (["The cat", "--query", " "], 2, "--query is empty"),
        (["The cat", "--query", "cat,The"], 2, "One query is explained at a time, and these are 2: 'The', 'cat'"),
        (["The cat", "--query", "0,1"], 2, "One query is explained at a time"),
        (["The cat", "--query", "dog"], 4, "'dog' is not in the text. Its words are: The, cat, </s>"),
        (["The cat", "--query", "7"], 4, "There is no position 7"),
        (["The cat", "--query", "cat", "--head", "x"], 2, "is not a list of numbers"),
        (["The cat", "--query", "cat", "--head", "0.99"], 4, "There is no head 99"),
        (["The cat", "--query", "cat", "--layer", "9"], 4, "There is no layer 9"),
        (["The cat", "--query", "cat", "--rows", "output"], 4, "an encoder writes none"),
        (["", "--query", "cat"], 3, "The text is empty"),
        (["The cat", "--query", "cat", "--labels", "a"], 2, "--labels goes with plain numbers"),
        (["The cat", "--query", "cat", "--temperature", "2"], 2, "--temperature goes with plain numbers"),
        (["The cat", *TEXTBOOK], 2, "A text and --scores are both given"),
        ([*TEXTBOOK, "--query", "cat"], 2, "have no heads and queries"),
        ([*TEXTBOOK, "--target", "x"], 2, "--scores are plain numbers, so --target cannot be used with them"),
        ([*TEXTBOOK, "--pair", "x"], 2, "so --pair cannot be used with them"),
        ([*TEXTBOOK, "--verify"], 2, "so --verify cannot be used with them"),
        (["--scores", ""], 2, "--scores is empty"),
        (["--scores", "1,two"], 2, "--scores: 'two' is not a number"),
        (["--scores", "1,nan"], 2, "--scores: 'nan' is not a number"),
        (["--scores", "1,inf"], 2, "--scores: 'inf' is not a number"),
        (["--scores", "-inf"], 3, "Every key is masked"),
        (["--scores", "1,2", "--labels", "a"], 2, "There are 2 scores and 1 label"),
        (["--scores", "1,2", "--temperature", "0"], 2, "--temperature must be above 0, and 0 is not"),
        (["--scores", "1,2", "--temperature", "warm"], 2, "'warm' is not a number"),
        (["--scores", "1,2", "--values", "/no/such/file"], 3, "/no/such/file cannot be read"),
    ],
)
def test_what_cannot_be(arguments: list[str], code: int, said: str, attn: Run) -> None:
    assert said in attn(*arguments, code=code)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1 2\n3\n", "line 2 of {} has 1 number, and the lines before it have 2"),
        ("1 2\nx y\n", "line 2 of {} is not a row of numbers"),
        ("1 nan\n2 3\n", "A value is not a number"),
        ("\n", "There are no values in {}"),
        ("1 2\n", "There are 2 scores and 1 value"),
    ],
)
def test_files_that_hold_no_values(content: str, said: str, attn: Run, tmp_path: Path) -> None:
    file = tmp_path / "values.txt"
    file.write_text(content)
    assert said.format(file) in attn("--scores", "1,2", "--values", str(file), code=3)


def test_plain_numbers_need_no_model_and_the_toy_no_torch() -> None:
    code = (
        "import sys; from attn_cli.cli.app import main; code = main(sys.argv[1:]); "
        "print([name for name in ('torch', 'transformers', 'tokenizers') if name in sys.modules], file=sys.stderr); "
        "sys.exit(code)"
    )
    for arguments, imported in (
        (TEXTBOOK, "[]"),
        (("The cat sat on the mat", "--query", "cat"), "['tokenizers']"),
        (("The cat sat on the mat", "--query", "chat"), "['tokenizers']"),
    ):
        result = subprocess.run(
            [sys.executable, "-c", code, "explain", *arguments], capture_output=True, check=True, text=True
        )
        assert result.stderr == f"{imported}\n"


def test_terms(attn: Run) -> None:
    found = document(attn("--json", command="terms"), "terms")
    assert [term["name"] for term in found["terms"]] == [term.name for term in TERMS]
    everything = attn(command="terms")
    assert all(term.name in everything for term in TERMS)
    one = attn("entropy", command="terms")
    assert one.startswith("entropy = -sum over keys of weight · ln(weight), in nats\n")
    assert "Shown in: inspect (column entropy" in one
    assert attn("Softcap", command="terms").startswith("soft-capping = ")
    assert "Did you mean entropy" in attn("entrophy", command="terms", code=4)
    for word in ("zzzzzz", ""):
        assert f"There is no term '{word}'. List all terms with attn terms." in attn(word, command="terms", code=4)


def test_every_column_is_a_term(attn: Run) -> None:
    known = {name.casefold() for term in TERMS for name in (term.name, *term.also)}
    columns = {figure.name for figure in FIGURES} | {"focus", "strongest link"}
    for line in attn("The cat sat on the mat", "--query", "cat").splitlines():
        if line.startswith("key "):
            columns |= set(line.split())
    assert columns - known == set()


def test_terms_are_said_once() -> None:
    names = [name.casefold() for term in TERMS for name in (term.name, *term.also)]
    assert len(set(names)) == len(names)
