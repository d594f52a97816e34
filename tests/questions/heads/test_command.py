"""`attn heads` through the command line: texts, corpora, treebanks and probes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import attn_cli
from attn_cli.cli.app import main
from attn_cli.data.selection import Selection
from attn_cli.errors import InputError, SelectionError
from attn_cli.models import Input, load
from attn_cli.questions.heads.measure import CollectHeads
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.models.folders import wordpiece
from tests.questions.heads.test_treebank import GOOD
from tests.records import validated

SENTENCE = "The trophy didn't fit in the suitcase because it was too big"


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = tmp_path / "corpus.txt"
    path.write_text(f"{SENTENCE}\n\nNo.\nThe cat sat on the mat, and the dog sat on the cat.\n")
    return str(path)


def found(attn: Run, *arguments: str) -> dict[str, Any]:
    return validated(attn("heads", *arguments, "--json").encode(), "heads")


def head(document: dict[str, Any], layer: int, number: int) -> dict[str, Any]:
    (one,) = (one for one in document["heads"] if (one["layer"], one["head"]) == (layer, number))
    return {**one, "by": {score["role"]: score for score in one["scores"]}}


def test_positional_heads_of_minilm(attn: Run) -> None:
    document = found(attn, SENTENCE, "--tokens", "--model", "MODEL")
    assert len(document["heads"]) == 72
    previous, following = head(document, 0, 2), head(document, 1, 8)
    assert previous["roles"] == ["previous"]
    assert round(previous["by"]["previous"]["score"], 2) == 1.00
    assert previous["by"]["previous"]["rows"] == 15
    assert previous["by"]["previous"]["baseline"] == pytest.approx(1 / 16)
    assert previous["by"]["offset"]["detail"] == "-1"
    assert following["roles"] == ["next"]
    assert round(following["by"]["next"]["score"], 2) == 0.56


def test_a_corpus_is_one_finding(attn: Run, corpus: str) -> None:
    document = found(attn, "--file", corpus, "--model", "MODEL")
    assert (document["texts"], document["seen"], document["source"]["tokens"]) == (3, corpus, [])
    words = found(attn, "--file", corpus, "--model", "MODEL", "--layer", "0")
    assert {one["layer"] for one in words["heads"]} == {0}
    shown = attn("heads", "--file", corpus, "--model", "MODEL")
    assert "3 texts, 37 tokens" in " ".join(shown.split())
    assert " 0.2  previous" in shown


@pytest.mark.unchecked
def test_a_corpus_is_verified_and_says_what_is_hidden(attn: Run, corpus: str) -> None:
    assert found(attn, "--file", corpus, "--model", "MODEL")["verified"] is None
    verified = found(attn, "--file", corpus, "--model", "MODEL", "--verify")
    assert 0 < verified["verified"] < 1e-5
    assert 0 < verified["verified_output"]["difference"] < 1e-5
    shown = " ".join(attn("heads", "--file", corpus, "--model", "MODEL", "--verify", "--no-special").split())
    assert "Without special tokens: the rest of each row is renormalized" in shown
    assert "Verified: softmax(scores)·values is what the layers computed" in shown
    assert found(attn, "--probe", "--verify")["verified"] == 0


@pytest.mark.unchecked
def test_a_corpus_from_a_pipe(corpus: str, minilm: str) -> None:
    command = [sys.executable, "-m", "attn_cli", "heads", "-", "--model", minilm, "--json"]
    piped = subprocess.run(command, input=Path(corpus).read_bytes(), capture_output=True, check=True)
    document = validated(piped.stdout, "heads")
    assert (document["seen"], document["texts"]) == ("standard input", 3)
    assert piped.stderr == b""


def test_long_texts_of_a_corpus_are_cut_and_unreadable_ones_left_out(attn: Run, tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("cat " * 600 + "\nThe cat sat on the mat.\n\u200b\n")
    notes = found(attn, "--file", str(path), "--model", "MODEL")["notes"]
    assert any("The text was cut to 512 of its 602 tokens" in note for note in notes)
    assert any(note.startswith("1 text was left out: line 3 of") for note in notes)
    path.write_text("\u200b\n")
    assert "line 1 of" in attn("heads", "--file", str(path), "--model", "MODEL", code=3)


def test_a_line_of_which_nothing_is_left_to_show_is_left_out(attn: Run, tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("The cat sat on the mat\nHello\n")
    document = found(attn, "--file", str(path), "--no-special", "--no-sink")
    assert document["texts"] == 1
    assert any(note.startswith("1 text was left out: line 2 of") for note in document["notes"])
    path.write_text("Hello\n")
    assert "Nothing is left to show" in attn("heads", "--file", str(path), "--no-special", "--no-sink", code=3)


def test_pairs_of_an_encoder_decoder(attn: Run, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("The cat sat\tLe chat était assis\nThe dog ran in Paris\tLe chien courait à Paris\n")
    document = found(attn, "--file", str(path))
    assert document["kind"] == "cross"
    assert {role["name"] for role in document["roles"]} == {"first", "separator", "same word"}
    assert document["heads"][0]["distance"] is None
    decoder = found(attn, "--file", str(path), "--kind", "decoder")
    assert head(decoder, 0, 0)["by"]["next"]["rows"] == 0
    assert head(decoder, 0, 0)["by"]["next"]["score"] is None


@pytest.mark.parametrize("asked", [["--kind", "cross"], ["--model", "toy-rnn-attention"]])
def test_texts_are_translated_where_that_is_what_is_asked_for(asked: list[str], attn: Run, tmp_path: Path) -> None:
    document = found(attn, "The cat sat on the mat.", *asked)
    assert document["kind"] == "cross"
    assert document["target"]["text"].startswith("Le chat")
    path = tmp_path / "corpus.txt"
    path.write_text("The cat sat on the mat.\nA dog.\n")
    corpus = found(attn, "--file", str(path), *asked)
    assert (corpus["kind"], corpus["texts"]) == ("cross", 2)


@pytest.mark.unchecked
def test_probe(attn: Run) -> None:
    document = found(attn, "--probe", "--seed", "7")
    assert document["texts"] == 16
    assert document["seen"] == "random tokens twice (seed 7)"
    assert head(document, 2, 0)["roles"][0] == "coreference"
    measured = head(document, 2, 0)["by"]["coreference"]
    assert measured["baseline"] == pytest.approx(0.5, abs=0.02)
    assert measured["rows"] > 200
    assert measured["origin"] == "training"
    assert head(document, 2, 3)["by"]["coreference"]["origin"] == "measured"
    assert all(one["repeats"] is not None for one in document["heads"])
    text = found(attn, SENTENCE, "--probe", "--seed", "7")
    assert text["source"]["text"] == SENTENCE
    assert head(text, 1, 3)["by"]["induction"] == head(document, 1, 3)["by"]["induction"]
    assert head(text, 1, 3)["by"]["previous"] != head(document, 1, 3)["by"]["previous"]


def test_a_target_and_a_probe_are_refused_before_anything_is_run(
    attn: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe's texts have no target, so the scores of cross-attention would be those of the encoder's heads."""
    runs: list[object] = []
    monkeypatch.setattr(CollectHeads, "request", lambda *given: runs.append(given))
    path = tmp_path / "pairs.tsv"
    path.write_text("The cat sat\tLe chat était assis\n")
    part = ["--shard", "2/2", "--save", str(tmp_path / "part2.npz")]
    for given in (["The cat sat", "--target", "Le chat"], ["--file", str(path)], ["--file", str(path), *part]):
        error = attn("heads", *given, "--probe", code=5)
        assert "this is cross-attention. Leave --probe out, or choose --kind encoder." in error
    assert "decoder attention needs one" in attn("heads", *given[:2], "--probe", "--kind", "decoder", code=5)
    assert runs == []


def test_a_corpus_with_some_targets_has_one_kind(attn: Run, tmp_path: Path) -> None:
    """What is measured is what the texts of the first one's kind give by themselves."""
    plain = [{"text": text, "target": None} for text in ("The black cat sat on the red chair", "A dog is in Paris")]
    targeted = [{"text": "The dog slept", "target": "Le chien dormait sur la chaise"}]
    for first, others, kind in ((plain, targeted, "encoder"), (targeted, plain, "cross")):
        documents = []
        for name, lines in (("all.jsonl", [first[0], *others, *first[1:]]), ("alone.jsonl", first)):
            path = tmp_path / name
            path.write_text("\n".join(map(json.dumps, lines)))
            documents.append(found(attn, "--file", str(path)))
        mixed, alone = documents
        assert (mixed["kind"], mixed["texts"], mixed["tokens"]) == (kind, alone["texts"], alone["tokens"])
        assert mixed["heads"] == alone["heads"]
        has = "a target" if kind == "encoder" else "no target"
        assert any(
            f"line 2 of {tmp_path / 'all.jsonl'}: There is {has}, and {kind} attention is measured" in note
            for note in mixed["notes"]
        )
        every = found(attn, "--file", str(tmp_path / "all.jsonl"), "--kind", "encoder")
        assert (every["kind"], every["texts"]) == ("encoder", 3)


def test_figures_of_two_kinds_are_not_added_up() -> None:
    toy = load("toy")
    collect = CollectHeads(Selection())
    collect.turn(toy.prepare(Input("The dog slept")))
    both = toy.prepare(Input("The dog slept", target="Le chien"))
    with pytest.raises(SelectionError, match=r"several kinds: cross and encoder\. Choose one with --kind"):
        collect.turn(both)
    other = CollectHeads(Selection())
    other.turn(both)
    with pytest.raises(ValueError, match="sums of cross attention, and the others of encoder attention"):
        collect.merge(other.state())


def test_treebank(attn: Run, tmp_path: Path) -> None:
    path = tmp_path / "bank.conllu"
    path.write_text(GOOD)
    document = found(attn, "--conllu", str(path), "--model", "MODEL")
    assert document["texts"] == 2
    relations = {(one["relation"], one["way"]) for one in document["relations"]}
    assert ("nsubj", "to head") in relations
    assert ("nsubj", "from head") in relations
    assert not any(one["given"] for one in document["relations"]), "there are too few of each"
    # à and le are written as one word, so each has one relation to chat.
    assert {one["count"] for one in document["relations"] if one["relation"] == "case"} == {1}
    shown = attn("heads", "--conllu", str(path), "--model", "MODEL", "--by", "relation")
    assert "word → head" in shown


def test_what_of_a_treebank_is_left_out_is_counted(
    attn: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bank.conllu"
    path.write_text(f"{GOOD}\n1\tcat\tcat\tNOUN\t_\t_\t_\t_\t_\t_\n")
    assert main(["heads", "--conllu", str(path), "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    # Three marks and one empty node in the first sentence; à and le share a word with one another, and no relation.
    assert f"Left out of {path}: 3 punctuation marks, 1 empty node" in notes
    assert any(note.startswith(f"2 multiword tokens of {path} are read as they are written") for note in notes)
    assert any(note.startswith("1 text was left out: sentence 3 of") for note in notes)
    path.write_text("1\tcat\tcat\tNOUN\t_\t_\t_\t_\t_\t_\n")
    assert "sentence 1 of" in attn("heads", "--conllu", str(path), code=3)


def test_a_saved_record_gives_the_same(attn: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "record.npz")
    attn("inspect", SENTENCE, "--model", "MODEL", "--save", file)
    assert attn("heads", file) == attn("heads", SENTENCE, "--model", "MODEL")


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".svg", ".html", ".txt"])
def test_every_format_but_that_for_maps(suffix: str, attn: Run, tmp_path: Path) -> None:
    file = tmp_path / f"out{suffix}"
    shown = attn("heads", SENTENCE)
    attn("heads", SENTENCE, "--save", str(file))
    if suffix == ".txt":
        assert file.read_text() == shown
    elif suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
        assert len(rows) == 24 * 9 + 3  # three heads of toy were trained for a role that no text measures
        assert [rows[0][name] for name in ("kind", "layer", "head", "role")] == ["encoder", "0", "0", "previous"]
        assert {row["given"] for row in rows} <= {"0", "1"}
    elif suffix.startswith(".json"):
        assert file.read_bytes() == attn("heads", SENTENCE, "--json").encode()
    error = attn("heads", SENTENCE, "--model", "no/such", "--save", str(tmp_path / "a.npz"), code=6)
    assert "there are none to save" in error


@pytest.mark.parametrize("by", ["role", "focus", "distance", "first", "same-word", "previous-occurrence", "offset"])
def test_every_figure_can_be_asked_for(by: str, attn: Run) -> None:
    shown = attn("heads", SENTENCE, "--by", by)
    assert shown.split("\n\n")[1].startswith(by.replace("-", " ")[:7])
    document = found(attn, SENTENCE, "--by", by)
    assert document["by"] == by


def test_only_rows_that_see_two_keys_tell_anything(attn: Run, tmp_path: Path) -> None:
    shown = attn("heads", "The cat sat", "--target", "Le", "--kind", "decoder")
    assert "–" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([SENTENCE, "--conllu", "x.conllu"], 2, "A text and a treebank are both given"),
        (["--conllu", "missing.conllu"], 3, "missing.conllu cannot be read"),
        (["--file", "missing.txt"], 3, "missing.txt cannot be read"),
        ([SENTENCE, "--file", "missing.txt"], 2, "A text and --file are both given"),
        ([SENTENCE, "--by", "relation"], 2, "Name one with --conllu"),
        ([SENTENCE, "--by", "coreference"], 2, "Add --probe"),
        ([SENTENCE, "--by", "size"], 2, "'size' is not one of role, focus"),
        ([SENTENCE, "--seed", "-1", "--probe"], 2, "--seed must be at least 0, and -1 is not"),
        ([SENTENCE, "--seed", "7"], 2, "--seed is that of --probe or of --cut"),
        ([SENTENCE, "--labels", "missing.txt"], 3, "missing.txt cannot be read"),
        (["--probe", "--no-check"], 2, "--no-check is for a matrix of weights"),
        (["record.json", "--verify"], 2, "record.json is a record, so --verify cannot be used with it"),
        (["--probe", "--kind", "cross"], 5, "self-attention"),
        (["--probe", "--model", ""], 2, "--model is empty"),
        (["record.json", "--probe"], 2, "A record has no model"),
        ([SENTENCE, "--layer", "7"], 4, "There is no layer 7"),
        ([SENTENCE, "--head", "2.5,3"], 2, "mixes"),
        ([SENTENCE, "more"], 2, "Unexpected argument 'more'. Put the sentence in quotes."),
        ([" "], 3, "empty"),
    ],
)
def test_errors(arguments: list[str], code: int, message: str, attn: Run) -> None:
    error = attn("heads", *arguments, code=code)
    assert message in error
    assert error.count("\n") == 1


def test_from_python() -> None:
    model = attn_cli.load("toy")
    one = model.heads(SENTENCE, layer=1)
    assert len(one.heads) == 8
    both = model.heads(iter([SENTENCE, "The cat sat."]))
    assert (both.texts, len(both.heads)) == (2, 24)
    assert model.heads(seed=7, layer=2).seen == "random tokens twice (seed 7)"
    with pytest.raises(InputError, match="no texts"):
        model.heads([])


def test_the_built_in_model_needs_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("The cat sat.\nThe mat.\n")
    program = (
        "import sys\nfrom attn_cli.cli.app import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print([name for name in ('torch', 'transformers', 'conllu') if name in sys.modules], file=sys.stderr)"
    )
    for arguments in ([SENTENCE], ["--probe"], ["--file", str(tmp_path / "corpus.txt")]):
        command = [sys.executable, "-c", program, "heads", *arguments]
        result = subprocess.run(command, capture_output=True, check=True, text=True)
        assert result.stderr.splitlines()[-1] == "[]"


INTERRUPTED = """
import os, signal, sys
import attn_cli.questions.heads.corpora as corpora
import attn_cli.measure.corpus as corpus
from attn_cli.cli.app import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
corpus.WINDOW = 2
class Bar(corpora.ProgressBar):
    def advance(self, *_, **__):
        os.kill(os.getpid(), signal.SIGINT)
corpora.ProgressBar = Bar
sys.exit(main(sys.argv[1:]))
"""
"""The command line, with a Ctrl-C after the first group of texts."""


def test_ctrl_c_shows_what_was_gathered_so_far(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("The cat sat on the mat.\n" * 7)
    command = [sys.executable, "-c", INTERRUPTED, "heads", "--file", str(path)]
    result = subprocess.run(command, capture_output=True, check=False, text=True, env={**os.environ, "COLUMNS": "80"})
    assert result.returncode == 130
    assert "Stopped with Ctrl-C after 2 texts" in result.stderr
    assert "2 texts, 16 tokens" in result.stdout
    assert "stopping" in result.stderr
    again = subprocess.run([*command, "--json"], capture_output=True, check=False)
    assert again.returncode == 130
    assert validated(again.stdout, "heads")["texts"] == 2


@pytest.mark.unchecked
def test_older_families_and_decoders(attn: Run, tmp_path: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM, GPT2Config, GPT2Model

    tokenizer = wordpiece()
    torch.manual_seed(3)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 37}
    older = AutoConfig.for_model("deberta", vocab_size=len(tokenizer), **sizes)
    create: Any = AutoModelForMaskedLM.from_config
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(f"{SENTENCE}\nthe trophy was big because the suitcase was big\n")
    decoder: Any = GPT2Model(GPT2Config(vocab_size=len(tokenizer), n_embd=24, n_layer=2, n_head=3, n_positions=64))
    for name, model in (("older", create(older)), ("decoder", decoder)):
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        document = found(attn, "--file", str(corpus), "--model", str(tmp_path / name))
        assert document["texts"] == 2
        assert len(document["heads"]) == 6
        probed = found(attn, "--probe", "--model", str(tmp_path / name))
        assert all(0 <= one["focus"] <= 1 for one in probed["heads"])


SCREENS = {
    "roles": [SENTENCE, "--model", "MODEL"],
    "focus": [SENTENCE, "--by", "focus", "--layer", "0-1"],
    "probe": ["--probe"],
}


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("color", [True, False], ids=["color", "plain"])
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.unchecked
def test_golden_screens(screen: str, width: int, color: bool, attn: Run, minilm: str) -> None:
    if screen == "probe" and (width, color) not in {(60, True), (160, False)}:
        pytest.skip("a probe takes seconds, and its table is drawn as that of roles is")
    flags = ["--width", str(width), "--color" if color else "--no-color"]
    shown = attn("heads", *SCREENS[screen], *flags)
    lines = shown.split("\n")
    if screen == "roles":  # where the model lies is no property of the screen
        lines = lines[lines.index("") :]
    assert_golden(f"heads-{screen}-{width}{'-color' if color else ''}", "\n".join(lines))


def test_roles_that_a_model_names(attn: Run, tmp_path: Path) -> None:
    document = found(attn, SENTENCE)
    named = {
        (one["layer"], one["head"]): one["roles"][0]
        for one in document["heads"]
        if any(score["origin"] == "training" for score in one["scores"])
    }
    assert named == {(1, 0): "subject → verb", (1, 1): "object → verb", (2, 0): "coreference"}
    (score,) = [one for one in head(document, 2, 0)["scores"] if one["role"] == "coreference"]
    assert (score["score"], score["baseline"], score["rows"], score["given"]) == (None, None, 0, True)
    saved = tmp_path / "heads.csv"
    attn("heads", SENTENCE, "--save", str(saved))
    rows = list(csv.DictReader(saved.read_text(encoding="utf-8").splitlines()))
    assert [(row["layer"], row["head"], row["role"]) for row in rows if row["origin"] == "training"] == [
        ("1", "0", "relation"),
        ("1", "1", "relation"),
        ("2", "0", "coreference"),
    ]
    assert {row["origin"] for row in rows} == {"training", "measured"}


def test_heads_that_align_are_not_called_same_word(attn: Run) -> None:
    target = ["--target", "Le chat était assis sur le tapis"]
    screen = attn("heads", "The cat sat on the mat", *target)
    assert re.search(r"^ 1\.0 +alignment +training ", screen, re.MULTILINE)
    assert re.search(r"^ 2\.0 +alignment +training ", screen, re.MULTILINE)
    by = attn("heads", "The cat sat on the mat", *target, "--by", "alignment")
    assert re.search(r"^ +1 +algn +· ", by, re.MULTILINE)
    assert "It is not measured: the model names such heads." in " ".join(by.split())
    only = attn("heads", "The cat sat on the mat", *target, "--model", "toy-rnn-attention")
    assert re.search(r"^ 0\.0 +alignment +declared ", only, re.MULTILINE)
    assert "rained to look" not in only
