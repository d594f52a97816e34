"""Tests of attention taken while a model writes, held against transformers' own at each step and against one pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from attn_cli.api import Inspector
from attn_cli.cli.app import main
from attn_cli.draw.screen import Screen, to_text
from attn_cli.errors import ModelError, UsageError
from attn_cli.io.npz import from_npz
from attn_cli.io.records import from_json
from attn_cli.models import Decoding, Input, load
from attn_cli.models.hf.model import Pretrained
from attn_cli.questions.generate.measure import STOPPED, generate
from attn_cli.questions.inspect.measure import Inspection, look
from tests.models import folders
from tests.models.families import FAMILIES, spread
from tests.records import validated

PROMPT = "the trophy was too big because"
STEPS = 7
SELECTION: dict[str, Any] = {"unit": "token", "max_tokens": STEPS}


@cache
def written_by(family: str) -> Pretrained:
    """A small random model of a family that writes, as it is in memory under eager attention."""
    known = FAMILIES[family]
    sizes = {"vocab_size": 337, "n_positions": 64, "max_position_embeddings": 64}
    options = {**known.options, **{name: size for name, size in sizes.items() if name in known.options}}
    config: Any = AutoConfig.for_model(family, **options)
    create: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    torch.manual_seed(0)
    model = spread(create.from_config(config, attn_implementation="eager").eval(), known.gain)
    model.generation_config.eos_token_id = None
    model.generation_config.forced_eos_token_id = None
    return Pretrained(family, model, folders.byte_level())


def of_each_step(model: Pretrained, **settings: Any) -> Any:
    """Run transformers' own `generate`, and return its output with the attention and the logits of each step."""
    whole: Any = model._with_head()
    inputs = model._reader.tensors(model._reader.read(PROMPT, None, "encoder", truncate=False)[0])
    return whole.generate(
        **inputs,
        max_length=None,
        max_new_tokens=STEPS,
        do_sample=False,
        num_beams=1,
        return_dict_in_generate=True,
        output_attentions=True,
        output_logits=True,
        **settings,
    )


def check_maps(answer: Inspection, steps: Any, kept: int = 0) -> None:
    """Compare maps with the last row of each step, whose window's cache may hold only the latest keys."""
    for map_ in answer.maps:
        layers = zip(*steps, strict=True)
        own = list(layers)[map_.layer]
        assert len(own) == map_.weights.shape[1]
        for row, weights in enumerate(own):
            expected = weights[0, :, -1].numpy()
            stop = map_.weights.shape[2] if kept else map_.queries[row] + 1
            shown = map_.weights[:, row, max(stop - expected.shape[1], 0) : stop]
            np.testing.assert_allclose(shown, expected[:, : shown.shape[1]], atol=1e-5)
            assert map_.weights[:, row].sum() == pytest.approx(float(expected.sum()), abs=1e-4)


def ids_written(answer: Inspection) -> list[int | None]:
    if answer.target is not None:
        return [token.id for token in answer.target.tokens[1:]]
    return [token.id for token in answer.source.tokens[answer.source.written :]]


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt_oss", "bloom", "opt", "lfm2", "deepseek_v32"])
def test_a_decoder_is_taken_as_it_writes(family: str) -> None:
    """Grouped queries, a window, a learned sink, older code, a decoder within, convolutions, an indexer of its own."""
    model = written_by(family)
    live = Inspector(model).generate(PROMPT, live=True, **SELECTION)
    expected = of_each_step(model)
    assert ids_written(live) == expected.sequences[0, -STEPS:].tolist()
    steps = [[layer for layer in step if layer is not None] for step in expected.attentions]
    if len(steps[0]) == len(model.info.stacks["decoder"].heads) == model.info.stacks["decoder"].layers:
        check_maps(live, steps)
    logs = torch.cat(expected.logits).log_softmax(dim=1)
    assert live.chances is not None
    own = logs[range(STEPS), ids_written(live)].numpy()
    np.testing.assert_allclose(live.chances.log_probabilities, own, atol=1e-4)
    entropies = -(logs.exp() * logs).sum(dim=1).numpy()
    np.testing.assert_allclose(live.chances.entropies, entropies, atol=1e-4)
    if family == "deepseek_v32":  # under its cache, transformers' indexer chooses other keys than in one pass
        return
    check_same(live, Inspector(model).generate(PROMPT, **SELECTION))


def check_same(live: Inspection, after: Inspection) -> None:
    """Compare what was taken live with what was taken in one pass afterwards."""
    assert (live.source, live.target) == (after.source, after.target)
    assert live.chances is not None
    assert after.chances is not None
    assert (live.chances.live, after.chances.live) == (True, False)
    assert live.chances.spelled == after.chances.spelled
    np.testing.assert_allclose(live.chances.log_likeliest, after.chances.log_likeliest, atol=1e-4)
    for one, other in zip(live.maps, after.maps, strict=True):
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-5)
        np.testing.assert_array_equal(one.visible, other.visible)
        assert (one.sink is None) == (other.sink is None)
        if one.scores is not None and other.scores is not None:
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


@pytest.mark.parametrize("kind", ["cross", "decoder"])
@pytest.mark.parametrize("family", ["t5", "bart", "mvp"])
def test_an_encoder_decoder_is_taken_as_it_writes(family: str, kind: Any) -> None:
    """The ids are those of transformers' own `generate`, and the maps those of its `output_attentions`."""
    model = written_by(family)
    after = Inspector(model).generate(PROMPT, kind=kind, **SELECTION)
    live = Inspector(model).generate(PROMPT, kind=kind, live=True, **SELECTION)
    expected = of_each_step(model)
    assert ids_written(after) == expected.sequences[0, 1:].tolist()
    steps = expected.cross_attentions if kind == "cross" else expected.decoder_attentions
    check_maps(live, steps, kept=kind == "cross")
    check_maps(after, steps, kept=kind == "cross")
    check_same(live, after)
    assert after.figures.plan.rows == "output"  # the row of a word is the step that writes it
    assert after.figures.plan.queries.positions[0] == (0 if kind == "cross" else after.figures.plan.begins)


@pytest.mark.parametrize(
    "settings",
    [{"cache_implementation": "static"}, {"prefill_chunk_size": 4}],
    ids=["static", "chunks"],
)
def test_the_cache_may_be_another(settings: dict[str, Any]) -> None:
    model = written_by("llama")
    own: Any = model._with_head().generation_config
    before = own.to_dict()
    own.update(**settings)
    try:
        live = Inspector(model).generate(PROMPT, live=True, **SELECTION)
    finally:
        own.update(**{name: before.get(name) for name in settings})
    check_same(live, Inspector(model).generate(PROMPT, **SELECTION))


@pytest.mark.parametrize(
    "asked",
    [
        {"temperature": 0.8, "seed": 3},
        {"stop": "e"},
        {"without": "1.2,0"},
        {"measure": "scores", "head": "1.2"},
        {"layer": 2, "head": "1-3"},
        {"query": "#2", "view": "query"},
        {"unit": "word"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_what_is_asked_for_is_taken_live(asked: dict[str, Any]) -> None:
    model = Inspector(written_by("llama"))
    after, live = (model.generate(PROMPT, **{**SELECTION, **asked}, live=live) for live in (False, True))
    check_same(live, after)
    assert [note for note in live.notes if note not in after.notes] == []


def test_a_record_says_that_it_was_taken_live() -> None:
    live = Inspector(written_by("gpt2")).generate(PROMPT, live=True, verify=True, **SELECTION)
    assert live.verified is not None
    assert live.output is not None
    (said,) = [note for note in live.notes if "Taken live" in note]
    assert "differ by at most" in said
    assert validated(live.data(), "record")["written"]["live"] is True
    screen = Screen(width=100, color=False)
    for record in (from_json(live.data(), "it"), from_npz(live.archive(), "it")):
        assert record.chances is not None
        assert record.chances.live
        again = look(record, record.selection, keep=True)
        assert to_text(again.draw(screen), screen) == to_text(live.draw(screen), screen)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_what_was_written_before_ctrl_c_is_kept(family: str, live: bool) -> None:
    model = written_by(family)
    whole = Inspector(model).generate(PROMPT, **SELECTION)
    asked: list[str] = []

    def watch(text: str) -> bool:
        asked.append(text)
        return len(asked) < 3

    decoding = Decoding(max_length=STEPS, most_option="--max-tokens")
    answer = generate(model, Input(PROMPT), whole.selection, decoding=decoding, watch=watch, live=live)
    assert ids_written(answer) == ids_written(whole)[:3]
    assert STOPPED in answer.notes
    assert not [note for note in answer.notes if "lets it go on" in note]
    for one, other in zip(answer.maps, whole.maps, strict=True):
        own = other.weights[:, : one.weights.shape[1], : one.weights.shape[2]]
        np.testing.assert_allclose(one.weights, own, atol=1e-5)


INTERRUPTED = """
import os, signal, sys
from attn_cli.cli.app import main
from attn_cli.models.hf.live import Live
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
wrote, count = Live.wrote, 0
def counted(self, id_):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return wrote(self, id_)
Live.wrote = counted
sys.exit(main(sys.argv[1:]))
"""
"""The command line, with a Ctrl-C at the third token."""


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a random decoder."""
    folder = tmp_path_factory.mktemp("decoder")
    sizes: dict[str, Any] = {"vocab_size": 337, "n_embd": 24, "n_head": 3, "n_layer": 2, "n_positions": 41}
    spread(folders.made("GPT2", "LMHeadModel", **sizes)).save_pretrained(folder)
    folders.byte_level().save_pretrained(folder)
    return str(folder)


def test_ctrl_c_keeps_and_shows_what_is_there(decoder: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, "generate", PROMPT, "--live", "--model", decoder, "--json"]
    result = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "COLUMNS": "80"})
    assert result.returncode == 130, result.stderr
    assert b"stopping" in result.stderr
    assert STOPPED.encode() in result.stderr
    document = validated(result.stdout, "record")
    assert document["written"]["live"] is True
    assert len(document["written"]["tokens"]) == 3
    assert len(document["maps"][0]["queries"]) == 3


def test_the_command_takes_it_live(decoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for more in ((), ("--live",)):
        assert main(["generate", PROMPT, "--model", decoder, "--max-tokens", "6", "--width", "80", *more]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert main(["generate", PROMPT, "--model", decoder, "--max-tokens", "6", "--json", "--live"]) == 0
    assert json.loads(capsys.readouterr().out)["written"]["live"] is True


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--beam", "2"], "--live takes each token as it is written, and --beam decides only at the end"),
        (["--continue", "b"], "nothing is written where it is said what follows"),
        (["--target", "b"], "nothing is written where it is said what follows"),
        (["--measure", "norms"], "--live keeps weights and scores, and --measure norms needs more"),
    ],
)
def test_what_cannot_be_taken_live_is_told_before_a_model_is_loaded(
    arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", PROMPT, "--live", *arguments, "--model", "nowhere/at-all"]) == 2
    err = capsys.readouterr().err
    assert fault in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("model", "error", "fault"),
    [
        (lambda: load("toy"), UsageError, "toy is built in and writes at once"),
        (lambda: written_by("openai-gpt"), ModelError, "the family openai-gpt cannot be taken while it writes"),
        (lambda: written_by("prophetnet"), ModelError, "the family prophetnet cannot be taken while it writes"),
    ],
    ids=["toy", "openai-gpt", "prophetnet"],
)
def test_models_that_cannot_be_taken_live(model: Callable[[], Any], error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        Inspector(model()).generate(PROMPT, live=True, **SELECTION)
