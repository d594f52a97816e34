"""Models in memory: loaded, trained or patched in Python, shown as they are and left as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

import attn_cli
from attn_cli.errors import ExactnessError, ModelError
from attn_cli.models.hf.loading import quiet
from tests.models import folders

TEXT = "The trophy didn't fit in the suitcase because it was too big"


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaMA with dropout, which a run in training mode would show."""
    tokenizer = folders.llama()
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32}
    model = folders.made(
        "Llama", "ForCausalLM", vocab_size=len(tokenizer), intermediate_size=37, attention_dropout=0.5, **sizes
    )
    return folders.save(tmp_path_factory.mktemp("llama"), model, tokenizer)


def state(model: nn.Module) -> list[Any]:
    """All of a model that a run could leave otherwise."""
    found: list[Any] = []
    for name, module in model.named_modules():
        hooks = [
            len(value) for key, value in sorted(vars(module).items()) if "hooks" in key and hasattr(value, "__len__")
        ]
        config = getattr(module, "config", None)
        settings = None if config is None else (config._attn_implementation, config.use_cache, config.to_dict())
        found.append((name, type(module), module.training, hooks, module.__dict__.get("forward"), settings))
    weights = [(name, one.requires_grad, one.grad, one.detach().clone()) for name, one in model.named_parameters()]
    return [found, [(name, wanted, grad) for name, wanted, grad, _ in weights], [one for *_, one in weights]]


def backend(tokenizer: Any) -> str:
    """All settings of a tokenizer, its truncation and padding included."""
    return str(tokenizer._tokenizer.to_str())


def left_alone(before: list[Any], after: list[Any]) -> bool:
    return before[:2] == after[:2] and all(map(torch.equal, before[2], after[2]))


def eager(folder: Path, model: PreTrainedModel, text: str = TEXT) -> list[np.ndarray]:
    """Run transformers' own eager attention with these weights: for each layer, `[head, query, key]`."""
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    plain = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    plain.load_state_dict(model.base_model.state_dict())
    return [layer[0].detach().numpy() for layer in plain(**tokens, output_attentions=True).attentions]


@pytest.mark.parametrize("implementation", ["sdpa", "eager", "flex_attention"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", [AutoModel, AutoModelForCausalLM])
def test_equal_to_eager_and_left_as_it_was(decoder: Path, implementation: str, training: bool, kind: Any) -> None:
    model = kind.from_pretrained(decoder, attn_implementation=implementation).train(training)
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    before, settings = state(model), backend(tokenizer)
    inspector = attn_cli.wrap(model, tokenizer)
    record = inspector.inspect(TEXT, unit="token", verify=True)
    assert record.output is not None
    for map_, layer in zip(record.maps, eager(decoder, model), strict=True):
        np.testing.assert_allclose(map_.weights, layer, atol=1e-5)
    inspector.find(TEXT, "it", "trophy")
    inspector.heads([TEXT, TEXT])
    inspector.inspect(TEXT, measure="norms", layer=0)
    if kind is AutoModelForCausalLM:
        inspector.ablate(TEXT, head="0.0")
        inspector.inspect(TEXT, measure="relevance", layer=0)
    assert left_alone(before, state(model))
    assert backend(tokenizer) == settings
    assert str(decoder) in repr(inspector)


def test_a_model_that_is_being_trained(decoder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(decoder).train()
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    inspector = attn_cli.wrap(model, tokenizer, name="mine")
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    maps = []
    for _ in range(2):
        tokens = tokenizer(TEXT, return_tensors="pt")
        model(**tokens, labels=tokens["input_ids"]).loss.backward()
        gradients = [None if one.grad is None else one.grad.clone() for one in model.parameters()]
        maps.append(inspector.inspect(TEXT, unit="token").maps[0].weights)
        inspector.inspect(TEXT, measure="relevance", layer=0)
        for one, gradient in zip(model.parameters(), gradients, strict=True):
            assert (one.grad is None) == (gradient is None)
            assert one.grad is None or gradient is None or torch.equal(one.grad, gradient)
        optimizer.step()
        assert all(module.training for module in model.modules())
        np.testing.assert_allclose(
            inspector.inspect(TEXT, unit="token").maps[0].weights, eager(decoder, model)[0], atol=1e-5
        )
    assert np.abs(maps[1] - maps[0]).max() > 1e-3
    assert inspector.info.name == "mine"


def test_a_patch_is_part_of_the_model(decoder: Path) -> None:
    model = AutoModel.from_pretrained(decoder)
    first = model.layers[0].self_attn.q_proj
    handle = first.register_forward_hook(lambda _, __, output: 3 * output)
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    found = attn_cli.wrap(model, tokenizer).inspect(TEXT, unit="token")
    handle.remove()
    with torch.no_grad():
        first.weight *= 3
    np.testing.assert_allclose(found.maps[0].weights, eager(decoder, model)[0], atol=1e-5)


def test_hooks_before_the_whole_model_are_noted(decoder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(decoder)
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    assert attn_cli.wrap(model, tokenizer).inspect(TEXT, layer=0).notes == ()
    model.register_forward_pre_hook(lambda *_: None)
    (note,) = attn_cli.wrap(model, tokenizer).inspect(TEXT, layer=0).notes
    assert note == "Hooks that run before a whole LlamaForCausalLM are left out, as attn runs its LlamaModel alone"


@pytest.mark.parametrize("kind", [PrefixTuningConfig, PromptTuningConfig])
def test_prompts_that_peft_puts_before_a_text_are_refused(decoder: Path, kind: Any) -> None:
    """Without them, the maps would be those of the base model."""
    model = AutoModelForCausalLM.from_pretrained(decoder)
    with quiet():
        put: Any = get_peft_model(model, kind(num_virtual_tokens=3, task_type="CAUSAL_LM"))
    with pytest.raises(ModelError, match=r"This model learns prompts \(.*_TUNING\), which are not weights to put on"):
        attn_cli.wrap(put, AutoTokenizer.from_pretrained(decoder))


def test_a_patch_of_the_attention_itself_is_told(decoder: Path) -> None:
    model = AutoModel.from_pretrained(decoder)
    attention = model.layers[1].self_attn
    plain = attention.forward

    def mean(*given: Any, **options: Any) -> Any:
        from attn_cli.models.capture.interface import running

        output, *rest = plain(*given, **options)
        return (output * 2 if running() else output, *rest)

    attention.forward = mean
    with pytest.raises(ExactnessError):
        attn_cli.wrap(model, AutoTokenizer.from_pretrained(decoder)).inspect(TEXT)
    assert attention.forward is mean


def test_a_translation_has_no_dropout() -> None:
    tokenizer = folders.t5()
    sizes = {"d_model": 32, "d_kv": 8, "num_heads": 4, "num_layers": 2, "d_ff": 37, "dropout_rate": 0.5}
    model = folders.made("T5", "ForConditionalGeneration", vocab_size=len(tokenizer), decoder_start_token_id=0, **sizes)
    expected = attn_cli.wrap(model, tokenizer).translate(TEXT, max_length=9)
    before = state(model.train())
    found = attn_cli.wrap(model, tokenizer).translate(TEXT, max_length=9)
    assert left_alone(before, state(model))
    assert found.target is not None
    assert found.target == expected.target
    np.testing.assert_array_equal(found.maps[1].weights, expected.maps[1].weights)


def test_shells(decoder: Path) -> None:
    model, tokenizer = AutoModel.from_pretrained(decoder), AutoTokenizer.from_pretrained(decoder)
    compiled = nn.Module()
    compiled._orig_mod = nn.DataParallel(model)  # as torch.compile keeps it
    for shell in (nn.DataParallel(model), compiled):
        assert attn_cli.wrap(shell, tokenizer).info.stacks == attn_cli.wrap(model, tokenizer).info.stacks


def test_what_cannot_be_wrapped(decoder: Path) -> None:
    model, tokenizer = AutoModel.from_pretrained(decoder), AutoTokenizer.from_pretrained(decoder)
    for wrong, message in (
        (
            (nn.Linear(2, 2), tokenizer),
            "attn wraps models of transformers, and was given torch's Linear. Give what Auto",
        ),
        (("llama", tokenizer), "attn wraps models of transformers, and was given str. Give what AutoModel"),
        ((model, "llama"), "attn needs a tokenizer of transformers, and was given str"),
        ((model, tokenizer._tokenizer), "attn needs a tokenizer of transformers, and was given tokenizers's Tokenizer"),
    ):
        with pytest.raises(ModelError) as error:
            attn_cli.wrap(*wrong)
        assert str(error.value).startswith(message)
