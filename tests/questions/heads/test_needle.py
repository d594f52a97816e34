"""Needles and retrieval heads: on a model made by hand, and on a trained decoder against transformers' own."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

import attn_cli
from attn_cli.answer import Answer
from attn_cli.data.selection import Selection
from attn_cli.data.shapes import Float
from attn_cli.draw.screen import Screen, console
from attn_cli.errors import ModelError, UsageError
from attn_cli.models import Continuation, Decoding, Input, LoadOptions, load
from attn_cli.models.hf.gguf import find_gguf
from attn_cli.models.hf.loading import quiet
from attn_cli.questions.heads.draw import draw
from attn_cli.questions.heads.measure import HeadsFound
from attn_cli.questions.heads.needles import Needle, Texts, hide, known_texts
from attn_cli.questions.heads.retrieval import RANDOM_CUTS, find_needles
from tests.conftest import Run
from tests.golden_files import assert_golden
from tests.questions.heads.copying import Copying
from tests.records import validated

SHORT = Texts(known_texts().sentences[:4], known_texts().needles[1:3])
"""A short text and few needles."""


def scores(found: HeadsFound) -> dict[tuple[int, int], tuple[float, float]]:
    """Each head's score and baseline."""
    return {(one.layer, one.head): (one.measured[0].score, one.measured[0].baseline) for one in found.heads}


@pytest.fixture(scope="module")
def by_hand() -> HeadsFound:
    return find_needles(Copying(), Selection(), cut=True, seed=5)


def test_a_head_that_copies_scores_1_and_others_0(by_hand: HeadsFound) -> None:
    found = scores(by_hand)
    assert {place: score for place, (score, _) in found.items()} == {(0, 0): 1, (0, 1): 0, (1, 0): 0}
    assert {(one.layer, one.head): [role.name for role in one.roles] for one in by_hand.heads} == {
        (0, 0): ["retrieval"],
        (0, 1): [],
        (1, 0): [],
    }
    # 0.1 looks at the first token, one of those around the fact; the others never look at one.
    around = [sum(one.others) for one in hide(Copying(), known_texts()).needles]
    sizes = [len(one.copied.split()) for one in known_texts().needles]
    even = sum(size / count for size, count in zip(sizes, around, strict=True)) / sum(sizes)
    assert found[0, 1][1] == pytest.approx(even)
    assert found[0, 0][1] == found[1, 0][1] == 0
    assert {one.measured[0].rows for one in by_hand.heads} == {sum(sizes)}


def test_needles_are_found_until_the_head_that_copies_is_cut(by_hand: HeadsFound) -> None:
    needles = by_hand.needles
    assert needles is not None
    assert [one.depth for one in needles.trials] == [1 / 16, 4 / 16, 7 / 16, 9 / 16, 12 / 16, 15 / 16]
    assert needles.found == 6
    assert needles.cut is not None
    assert (needles.cut.heads, needles.cut.found) == (((0, 0),), 0)
    assert [one.seed for one in needles.random] == [5, 6, 7]
    assert {one.found for one in needles.random} == {6}
    assert {one.heads for one in needles.random} <= {((0, 1),), ((1, 0),)}
    assert needles.random_share == 1


def test_a_head_that_is_gone_is_not_cut_again() -> None:
    model = Copying(without={"decoder": {0: (0,)}})
    found = find_needles(model, Selection(), cut=True, texts=SHORT)
    assert found.needles is not None
    assert found.needles.cut is None
    assert "No head that could be cut is a retrieval head, so nothing was cut" in found.notes


def test_heads_selected_are_those_measured_and_cut() -> None:
    found = find_needles(Copying(), Selection(head="0.0"), cut=True, texts=SHORT)
    assert list(scores(found)) == [(0, 0)]
    assert found.needles is not None
    assert found.needles.cut is not None
    assert found.needles.random == ()
    assert "Only 0 other heads could be drawn, for 1 that were cut" in found.notes
    assert found.suggestion is None


def test_a_model_that_copies_nothing(tmp_path: Path) -> None:
    found = find_needles(Copying(copies=False), Selection(), cut=True, texts=SHORT)
    assert found.needles is not None
    assert [one.written for one in found.needles.trials] == [0, 0]
    assert all(np.isnan(score) for score, _ in scores(found).values())
    assert {one.measured[0].rows for one in found.heads} == {0}
    assert "The model writes no token of any needle, so no head has a score" in found.notes
    found.save(tmp_path / "none.json")
    document = validated((tmp_path / "none.json").read_bytes(), "heads")
    assert document["needles"]["found"] == 0
    assert document["heads"][0]["scores"][0]["score"] is None
    found.save(tmp_path / "none.txt")
    assert "It finds 0 of 2." in (tmp_path / "none.txt").read_text(encoding="utf-8")


def test_few_positions() -> None:
    assert find_needles(Copying(positions=400), Selection(), texts=SHORT).notes == ()
    short = find_needles(Copying(positions=150), Selection())
    assert short.needles is not None
    assert short.needles.sentences < len(known_texts().sentences)
    (note,) = short.notes
    assert note == (
        f"by hand has 150 positions, so facts are hidden in the first {short.needles.sentences} of 16 sentences"
    )
    longest = max(len(one.source.source) for one in hide(Copying(positions=150), known_texts()).needles)
    assert longest <= 150
    with pytest.raises(ModelError, match="too few positions for a fact in a longer text"):
        find_needles(Copying(positions=60), Selection())


def test_needles_that_cannot_be_told_are_left_out() -> None:
    model = Copying()
    model.unknown_token = hide(model, SHORT).needles[0].written[0]
    found = find_needles(model, Selection(), texts=SHORT)
    assert found.texts == 1
    assert found.notes[0].startswith("1 needle was left out: the words to copy are other tokens")
    with pytest.raises(ModelError, match="no tokens of its own for the words of any needle"):
        find_needles(model, Selection(), texts=replace(SHORT, needles=SHORT.needles[:1]))


def test_files_say_what_was_cut(by_hand: HeadsFound, tmp_path: Path) -> None:
    by_hand.save(tmp_path / "heads.csv")
    rows = list(csv.DictReader((tmp_path / "heads.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["layer"], row["detail"], row["score"], row["rows"]) for row in rows if not row["layer"]] == [
        ("", "needles found, with all heads", "1.0", "6"),
        ("", "needles found, without 1 retrieval head", "0.0", "6"),
        *(("", f"needles found, without 1 random head (seed {seed})", "1.0", "6") for seed in (5, 6, 7)),
    ]
    by_hand.save(tmp_path / "heads.json")
    document = validated((tmp_path / "heads.json").read_bytes(), "heads")["needles"]
    assert document["cut"] == {"heads": ["0.0"], "found": 0, "share": 0.0, "seed": None}
    assert [one["share"] for one in document["random"]] == [1, 1, 1]
    assert document["random_share"] == 1
    assert document["needles"][0]["copied"] == "purple walrus forty"


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("color", [True, False], ids=["color", "plain"])
def test_golden_screens(width: int, color: bool, by_hand: HeadsFound) -> None:
    shown = io.StringIO()
    screen = Screen(width=width, color=color)
    console(screen, shown).print(draw(by_hand, screen))
    assert_golden(f"heads-needle-{width}{'-color' if color else ''}", shown.getvalue())


def eager(smollm2: str) -> Any:
    """The model as transformers runs it."""
    kept = find_gguf(smollm2, LoadOptions())
    assert kept is not None
    with quiet():
        return AutoModelForCausalLM.from_pretrained(kept.folder, attn_implementation="eager", dtype=torch.float32)


@contextmanager
def silenced(plain: Any, places: Sequence[tuple[int, int]]) -> Iterator[None]:
    """Set what some heads hand to the output projection to zero."""
    size = plain.config.head_dim

    def hook(layer: int) -> Any:
        def silence(_: object, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            kept = args[0].clone()
            for place_layer, head in places:
                if place_layer == layer:
                    kept[..., head * size : (head + 1) * size] = 0
            return (kept,)

        return silence

    layers = enumerate(plain.model.layers)
    hooks = [one.self_attn.o_proj.register_forward_pre_hook(hook(layer)) for layer, one in layers]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()


@pytest.mark.unchecked
def test_retrieval_heads_of_a_trained_decoder(smollm2: str) -> None:
    model = load(smollm2)
    found = find_needles(model, Selection(), cut=True, texts=SHORT)
    needles = found.needles
    assert needles is not None
    assert needles.cut is not None
    measured = scores(found)
    ranked = sorted(measured, key=lambda place: -measured[place][0])
    assert {(18, 6), (17, 3)} <= set(ranked[:4])
    retrieving = [place for place in ranked if measured[place][0] >= 0.1]
    assert len(retrieving) < 0.15 * len(ranked)
    assert set(needles.cut.heads) == set(retrieving)
    assert sum(score == 0 for score, _ in measured.values()) > 0.7 * len(measured)
    assert len(needles.random) == RANDOM_CUTS
    assert needles.random_share is not None
    assert needles.cut.found < needles.random_share * len(needles.trials)

    plain, hidden = eager(smollm2), hide(model, SHORT).needles
    right: Float[np.ndarray, "layer head"] = np.zeros((30, 9))
    copied = 0
    still = {"with all heads": 0, needles.cut.name: 0, needles.random[0].name: 0}
    for one, trial in zip(hidden, needles.trials, strict=True):
        ids = torch.tensor([[token.id or 0 for token in one.source.source.tokens]])
        count = len(one.written)
        text = one.source.source.text
        with torch.no_grad():
            out = plain(ids[:, :-1], output_attentions=True)
            for name, places in zip(still, ((), needles.cut.heads, needles.random[0].heads), strict=True):
                with silenced(plain, places):
                    logits = plain(ids[:, :-1]).logits if places else out.logits
                still[name] += logits[0, -count:].argmax(dim=1).tolist() == list(one.written)
        steps = trial.written
        # The tokens of the fact, found without offsets: the only earlier place of the same run of ids.
        whole = ids[0].tolist()
        (start,) = (at for at in range(len(whole) - count) if whole[at : at + count] == list(one.written))
        assert text.count(one.needle.copied) == 2
        for layer, weights in enumerate(out.attentions):
            rows = weights[0, :, -count:][:, :steps].argmax(dim=2).numpy()
            right[layer] += (rows == start + np.arange(steps)).sum(axis=1)
        copied += steps
    assert copied == found.heads[0].measured[0].rows
    for (layer, head), (score, _) in measured.items():
        assert score == pytest.approx(right[layer, head] / copied)
    assert still == dict(needles.runs[:3])

    one = hidden[0]
    asked = one.source.source.text.removesuffix(f" {one.needle.copied}")
    written = model.write(Input(asked), Decoding(max_length=len(one.written))).continuation
    assert isinstance(written, Continuation)
    assert (written.text, written.ids) == (" a copper teapot", one.written)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A decoder that writes at random, with a tokenizer that knows all words."""
    from tests.smollm2 import smollm2_file

    file = smollm2_file()
    if file is None:
        pytest.skip("no tokenizer")
    kept = find_gguf(str(file), LoadOptions())
    assert kept is not None
    folder = tmp_path_factory.mktemp("untrained")
    tokenizer = AutoTokenizer.from_pretrained(kept.folder)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=1, max_position_embeddings=512, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.unchecked
def test_the_command_and_python_say_the_same(untrained: str, attn: Run) -> None:
    document = validated(attn("heads", "--needle", "--cut", "--model", untrained, "--json").encode(), "heads")
    assert document["needles"]["found"] == 0
    assert (document["seen"], document["by"], document["texts"]) == ("needles", "retrieval", 6)
    assert "The model writes no token of any needle, so no head has a score" in document["notes"]
    asked = attn_cli.load(untrained).heads(needle=True, cut=True)
    assert isinstance(asked, Answer)
    assert asked.needles is not None
    assert [one.written for one in asked.needles.trials] == [one["written"] for one in document["needles"]["needles"]]
    shown = attn("heads", "--needle", "--model", untrained, "--by", "focus", "--layer", "1")
    assert [line.split()[0] for line in shown.split("\n\n")[1].splitlines()] == ["head", "1.0", "1.1"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--needle"], 5, "--needle needs a decoder that continues a text, and toy is an encoder-decoder"),
        (["--needle", "--model", "toy-rnn-attention"], 5, "is an encoder-decoder"),
        (["--needle", "--model", "toy-rnn"], 5, "toy-rnn has no attention"),
        (["--needle", "--model", "MODEL"], 5, " is an encoder. Name a decoder (GPT-2, Llama, …) with --model"),
        (["The cat sat", "--needle"], 2, "--needle hides facts in a text of its own"),
        (["--needle", "--probe"], 2, "--needle hides facts in a text of its own"),
        (["--needle", "--file", "missing.txt"], 2, "--needle hides facts in a text of its own"),
        (["The cat sat", "--cut"], 2, "--cut cuts the retrieval heads that --needle finds. Add --needle"),
        (["The cat sat", "--by", "retrieval"], 2, "Retrieval is found in texts that --needle makes. Add --needle"),
        (["--needle", "--by", "previous"], 2, "--needle measures retrieval, not previous"),
        (["--needle", "--measure", "scores"], 2, "--needle looks at weights, not at scores"),
        (["--needle", "--no-sink"], 2, "--needle takes the strongest of all keys. Leave --no-sink out"),
        (["--needle", "--rows", "output"], 2, "Leave --rows out"),
    ],
)
def test_errors(arguments: list[str], code: int, message: str, attn: Run) -> None:
    error = attn("heads", *arguments, code=code)
    assert message in error
    assert error.count("\n") == 1


def test_errors_in_python() -> None:
    model = attn_cli.load("toy")
    with pytest.raises(UsageError, match="needle hides facts in a text of its own"):
        model.heads("The cat sat", needle=True)
    with pytest.raises(UsageError, match="cut cuts the retrieval heads"):
        model.heads("The cat sat", cut=True)


def test_the_texts_are_as_they_must_be() -> None:
    texts = known_texts()
    for one in texts.needles:
        assert isinstance(one, Needle)
        assert one.fact.count(f" {one.copied}") == 1
        assert one.fact == f"{one.answer} {one.copied}."
        assert all(one.copied not in sentence for sentence in texts.sentences)
