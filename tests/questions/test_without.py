"""`--without`: every question that runs a model, asked of it without some of its heads."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

import attn_cli
from attn_cli.data.cuts import COMPARED_UNCUT
from attn_cli.errors import InputError, SelectionError, UsageError
from attn_cli.io.read import read_records
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.models import folders, marian
from tests.models.families import spread
from tests.records import same, validated

TROPHY = "The trophy didn't fit in the suitcase because it was too big"
ROOM = "The table didn't fit in the room because it was too big"
"""Both nouns are *elle* in French; without head 2.0 the built-in model writes *il*."""
CUT = "without encoder head 2.0 (its output is zero)"
ENTRY = [{"kind": "encoder", "layer": 2, "heads": [0]}]


def test_a_translation_is_written_without_the_head(attn: Run) -> None:
    """The reference is MarianMT, with the slice of the head zeroed before its output projection."""
    whole = marian.written(ROOM)
    assert attn("translate", ROOM, "--beam", "1", "--text-only").strip() == whole
    with marian.slices_zeroed({"encoder": {2: (0,)}}):
        cut, beams = (marian.written(ROOM, beam=beam) for beam in (1, 3))
    assert cut != whole
    assert attn("translate", ROOM, "--without", "2.0", "--beam", "1", "--text-only").strip() == cut
    assert attn("translate", ROOM, "--without", "2.0", "--beam", "3", "--text-only").strip() == beams
    screen = attn("translate", ROOM, "--without", "2.0", "--beam", "1")
    assert cut in screen
    assert CUT in screen
    links = attn("translate", TROPHY, "--without", "1", "--align-score")
    assert links != attn("translate", TROPHY, "--align-score")


def test_older_code_translates_without_a_head(attn: Run, tmp_path: Path) -> None:
    """The reference is MVP itself, with the slices of the heads zeroed before the output projection."""
    sizes: dict[str, Any] = {"d_model": 30, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 37}
    sizes |= {"encoder_attention_heads": 3, "decoder_attention_heads": 3, "decoder_ffn_dim": 41, "vocab_size": 337}
    whole = spread(
        folders.made("Mvp", "ForConditionalGeneration", **sizes, max_position_embeddings=64, pad_token_id=1), 0.7
    )
    folder = str(folders.save(tmp_path / "mvp", whole, folders.roberta()))
    arguments = ["translate", "Attention is all you need", "--model", folder, "--tokens", "--json"]
    (plain, cut, beams) = (
        validated(attn(*arguments, *more).encode())
        for more in (
            ["--beam", "1"],
            ["--without", "cross:0.1,encoder:1.2", "--beam", "1"],
            ["--without", "cross:0.1,encoder:1.2", "--beam", "3"],
        )
    )
    heads = [(whole.model.decoder.layers[0].encoder_attn, 1), (whole.model.encoder.layers[1].self_attn, 2)]
    for attention, head in heads:

        def zero(_: Any, given: tuple[Any, ...], start: int = 10 * head) -> tuple[Any, ...]:
            changed = given[0].clone()
            changed[..., start : start + 10] = 0
            return (changed, *given[1:])

        attention.out_proj.register_forward_pre_hook(zero)
    whole.set_attn_implementation("eager")
    source, written, wide = (
        torch.tensor([[token["id"] for token in tokens]])
        for tokens in (cut["source"]["tokens"], cut["target"]["tokens"], beams["target"]["tokens"])
    )
    with torch.no_grad():
        expected = whole(input_ids=source, decoder_input_ids=written[:, :-1], output_attentions=True).cross_attentions
        for ids, beam in ((written, 1), (wide, 3)):
            own = whole.generate(source, do_sample=False, num_beams=beam, max_new_tokens=ids.shape[1] - 1)
            assert own[0].tolist() == ids[0].tolist()
    assert [token["id"] for token in plain["target"]["tokens"]] != written[0].tolist()
    for entry in cut["maps"]:
        theirs = expected[entry["layer"]][0, entry["head"]].numpy()
        np.testing.assert_allclose(np.array(entry["weights"]), theirs[: len(entry["weights"])], atol=1e-5)


def test_minilm_equals_bert_with_a_zeroed_slice(attn: Run, minilm: str) -> None:
    """The reference is BertModel's eager attention, a hook before the output projection."""
    document = validated(
        attn("inspect", TROPHY, "--without", "1.3,2.0", "--model", "MODEL", "--json", "--verify").encode()
    )
    assert document["model"]["without"] == [
        {"kind": "encoder", "layer": 1, "heads": [3]},
        {"kind": "encoder", "layer": 2, "heads": [0]},
    ]
    assert COMPARED_UNCUT in document["notes"]
    shown = " ".join(attn("inspect", TROPHY, "--without", "1.3", "--model", "MODEL", "--verify").split())
    assert "without attn (sdpa attention), with no head cut in either, within" in shown
    assert document["verified"] < 1e-5
    model: Any = AutoModel.from_pretrained(minilm, attn_implementation="eager")
    width = model.config.hidden_size // model.config.num_attention_heads
    for layer, head in ((1, 3), (2, 0)):

        def zero(_: Any, given: tuple[Any, ...], start: int = head * width) -> tuple[Any, ...]:
            changed = given[0].clone()
            changed[..., start : start + width] = 0
            return (changed, *given[1:])

        model.encoder.layer[layer].attention.output.dense.register_forward_pre_hook(zero)
    ids = torch.tensor([[token["id"] for token in document["source"]["tokens"]]])
    with torch.no_grad():
        expected = model(input_ids=ids, output_attentions=True).attentions
    assert len(document["maps"]) == 72
    for entry in document["maps"]:
        theirs = expected[entry["layer"]][0, entry["head"]].numpy()
        np.testing.assert_allclose(np.array(entry["weights"]), theirs, atol=1e-5)


def test_a_corpus_and_a_probe_are_run_without_it(attn: Run, minilm: str, tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text(f"{TROPHY}\nThe cat sat on the mat.\nThe dog saw the house because it was small.\n")
    arguments = ["heads", "--file", str(path), "--model", "MODEL", "--json"]
    plain, cut = (validated(attn(*arguments, *more).encode(), "heads") for more in ([], ["--without", "0.1,0.2"]))
    focus: list[dict[tuple[int, int], float]] = [
        {(head["layer"], head["head"]): head["focus"] for head in one["heads"]} for one in (plain, cut)
    ]
    moved = {place: abs(focus[1][place] - value) for place, value in focus[0].items()}
    assert max(size for place, size in moved.items() if place[0] == 0) < 1e-6
    assert max(moved.values()) > 1e-3
    alone = attn_cli.load(minilm).heads(path.read_text().splitlines(), without="0.1,0.2")
    for head in alone.heads:
        assert focus[1][head.layer, head.head] == pytest.approx(head.summary.focus, abs=1e-6)
    probed = attn("heads", "--probe", "--without", "2.0")
    assert CUT in probed


def test_diff_shows_what_moved(attn: Run) -> None:
    document = validated(attn("diff", TROPHY, "--without", "1.3", "--json").encode(), "diff")
    assert "without" not in document["model"]
    assert document["other"]["model"]["without"] == [{"kind": "encoder", "layer": 1, "heads": [3]}]
    moved = {(head["layer"], head["head"]): head["divergence"] for head in document["heads"]}
    assert all((moved[place] > 0) is (place[0] == 2) for place in moved)
    screen = attn("diff", TROPHY, "--without", "1.3")
    assert "B without encoder head 1.3 (its output is zero)" in screen
    assert "trained separately" not in screen
    assert attn("diff", TROPHY, TROPHY, "--without", "1.3") == screen
    pronouns = attn("diff", ROOM, "--without", "encoder:2.0", "--kind", "cross")
    assert re.search(r"\bqu'elle\b", pronouns)
    assert re.search(r"\bqu'il\b", pronouns)
    other = attn("diff", TROPHY, "--against", "MODEL", "--model", "MODEL", "--without", "1.3")
    assert "B without encoder head 1.3" in other


def test_a_record_keeps_what_it_ran_without(attn: Run, tmp_path: Path) -> None:
    for name in ("a.json", "a.npz"):
        path = tmp_path / name
        attn("inspect", TROPHY, "--without", "2.0", "--save", str(path))
        (record,) = read_records(path)
        assert record.model.without == {"encoder": {2: (0,)}}
        assert CUT in attn("view", str(path))
        assert CUT in attn("find", str(path), "it", "trophy")
        assert same(record, attn_cli.load("toy").inspect(TROPHY, without="2.0"))
    again = attn("diff", str(path), TROPHY)
    assert f"A {CUT}" in again
    refused = attn("find", str(path), "it", "trophy", "--without", "2.0", code=2)
    assert "holds maps and no model" in refused
    assert "holds maps and no model" in attn("diff", TROPHY, str(path), "--without", "2.0", code=2)
    assert "holds maps and no model" in attn("diff", str(path), "--without", "2.0", code=2)
    assert "Rollout follows what all heads hand on" in attn("view", str(path), "--measure", "rollout", code=4)
    broken = json.loads((tmp_path / "a.json").read_text())
    for entries in ([{"kind": "cross", "layer": 2, "heads": [8]}], ENTRY + ENTRY):
        broken["model"]["without"] = entries
        (tmp_path / "b.json").write_text(json.dumps(broken))
        with pytest.raises(InputError, match=r"\$\.model\.without"):
            list(read_records(tmp_path / "b.json"))


def test_tables_have_a_column_for_it(attn: Run, tmp_path: Path) -> None:
    path = tmp_path / "it.csv"

    def saved(*arguments: str) -> list[dict[str, str]]:
        attn(*arguments, "--save", str(path), "--force")
        return list(csv.DictReader(io.StringIO(path.read_text())))

    for arguments in (
        ["inspect", TROPHY, "--head", "2.1"],
        ["find", TROPHY, "it", "trophy"],
        ["heads", TROPHY],
        ["explain", TROPHY, "--query", "it"],
    ):
        rows = saved(*arguments, "--without", "2.0,cross:1.3")
        assert {row["without"] for row in rows} == {"encoder:2.0,cross:1.3"}
        assert "without" not in saved(*arguments)[0]
    assert {row["without"] for row in saved("diff", TROPHY, "--without", "2.0")} == {"B encoder:2.0"}
    table = attn_cli.load("toy").find(TROPHY, "it", "trophy", without="2.0").to_pandas()
    assert table.columns[0] == "without"
    records = tmp_path / "both.jsonl"
    texts = [attn("inspect", TROPHY, "--json", *more) for more in ([], ["--without", "2.0"])]
    records.write_text("".join(texts))
    assert "with all" in attn("view", str(records), "--save", str(path), "--force", code=3)
    records.write_text("".join(texts[::-1]))
    assert {row["without"] for row in saved("view", str(records))} == {"encoder:2.0", ""}


def test_python_asks_the_same(attn: Run) -> None:
    model = attn_cli.load("toy")
    found = model.find(TROPHY, "it", "trophy", without="2.0")
    assert found.to_dict() == json.loads(attn("find", TROPHY, "it", "trophy", "--without", "2.0", "--json"))
    translated = model.translate(ROOM, without="2.0").target
    assert translated is not None
    assert translated.text == attn("translate", ROOM, "--without", "2.0", "--text-only").strip()
    assert model.heads(None, without="2.0").record.model.without == {"encoder": {2: (0,)}}
    assert model.explain(TROPHY, "it", without=2).record.model.without == {"encoder": {2: tuple(range(8))}}
    assert model.diff(TROPHY, without="1.3").most > 0
    assert model.info.without == {}
    with pytest.raises(UsageError, match="holds maps and no model"):
        model.diff(TROPHY, model.inspect(TROPHY), without="1.3")
    with pytest.raises(SelectionError, match="what all heads hand on"):
        model.inspect(TROPHY, without="2.0", measure="rollout")


@pytest.mark.unchecked
def test_a_head_is_no_number_in_python() -> None:
    with pytest.raises(UsageError, match=r'without="2\.0"'):
        attn_cli.load("toy").inspect(TROPHY, without=2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--without", "x"], 2, "--without 'x' is not a list of heads and layers. Write it like --without 2.0,1.3"),
        (["--without", "7.0"], 4, "There is no layer 7. toy has layers 0 to 2"),
        (["--without", "2.8"], 4, "There is no head 8 in layer 2. It has heads 0 to 7"),
        (["--without", "cross:3"], 4, "There is no layer 3."),
        (["--without", "2.0", "--measure", "rollout"], 2, "--measure rollout follows what all heads hand on"),
        (["--without", "0.0", "--model", "toy-rnn"], 5, "has no attention to show"),
        (["--without", "cross:0.0", "--model", "MODEL"], 4, " has no cross attention. It has encoder"),
    ],
)
def test_one_clear_line(arguments: list[str], code: int, said: str, attn: Run) -> None:
    assert said in attn("inspect", TROPHY, *arguments, code=code)


def test_plain_numbers_have_no_heads(attn: Run) -> None:
    assert "have no heads" in attn("explain", "--scores", "1,2", "--without", "2.0", code=2)


def test_the_kind_is_that_of_the_question(attn: Run) -> None:
    said = attn("translate", TROPHY, "--kind", "cross", "--without", "1.0")
    assert "without cross head 1.0" in said
    said = attn("translate", TROPHY, "--kind", "cross", "--without", "encoder:1.0")
    assert re.search(r"without\s+encoder\s+head\s+1\.0", said)
    said = attn("translate", TROPHY, "--model", "toy-rnn-attention", "--without", "0.0")
    assert "without cross head 0.0" in said


@pytest.mark.parametrize("cut", ["encoder:0", "encoder:1", "encoder:2", "decoder:1", "decoder:2", "cross:1", "cross:2"])
@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_diff_says_when_a_cut_cannot_reach_what_is_compared(cut: str, kind: str, attn: Run) -> None:
    """The layers that a cut leaves as they were are found by running the model."""
    asked = ["diff", "a cat sat", "--target", "un chat", "--kind", kind, "--without", cut]
    for layer in range(3):
        shown = " ".join(attn(*asked, "--layer", str(layer)).split())
        change = max(
            head["divergence"] or 0 for head in json.loads(attn(*asked, "--layer", str(layer), "--json"))["heads"]
        )
        assert ("The layers compared come before those that read" in shown) == (change == 0)


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("screen", ["diff", "translate", "inspect"])
def test_golden_screens(screen: str, width: int, attn: Run) -> None:
    without = {"inspect": "2.0,cross:1.0,1.3", "translate": "2.0", "diff": "encoder:2.0"}[screen]
    cross = ["--kind", "cross"] if screen == "diff" else []
    shown = attn(screen, TROPHY, "--without", without, *cross, "--width", str(width), "--no-color")
    assert_golden(f"without-{screen}-{width}", shown)
