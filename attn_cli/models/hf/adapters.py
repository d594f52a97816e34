"""Adapters of PEFT (LoRA and its kin), which are put on the base model that they were trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel

from attn_cli.errors import ModelError
from attn_cli.models.hf.checkpoint import Adapter
from attn_cli.models.hf.loading import faults_told

__all__ = ["check_kind", "put_on"]

PREFIX = "base_model.model."
"""Beginning of the names that PEFT saves."""
MARKS = (".lora_", ".ia3_", ".vera_", ".oft_", ".boft_", ".hada_", ".lokr_", ".modules_to_save", ".base_layer")
"""Beginnings of what PEFT adds to the name of a module."""
FITTING = "Name the model that it was trained on with --base"


def put_on(adapter: Adapter, model: PreTrainedModel) -> PreTrainedModel:
    """Put an adapter on its base model, and merge it into the weights unless these are quantized.

    Args:
        adapter: the adapter.
        model: the base model, which is changed.

    Raises:
        ModelError: the adapter is of another model, or of a kind that is not weights, or its files cannot be used.
    """
    from peft import PeftConfig, PeftModel

    problem = f"The adapter {adapter.name} cannot be put on {adapter.base}"
    with faults_told(problem, "Copy it again, or merge it with PEFT's merge_and_unload and give what that saves"):
        config: Any = PeftConfig.from_pretrained(str(adapter.folder))
        check_kind(config, adapter.name)
        weights = _shapes(adapter.weights)
        _resize(model, weights)
        config.task_type = None  # what comes behind the head is of no concern here
        config.inference_mode = True
        inner: PreTrainedModel = model
        if not _fits(weights, inner) and _fits(weights, model.base_model):  # trained without the head
            inner = cast("PreTrainedModel", model.base_model)
        _check_fits(adapter, weights, inner)
        put: Any = PeftModel.from_pretrained(
            inner, str(adapter.folder), config=config, autocast_adapter_dtype=False, low_cpu_mem_usage=False
        )
        if not getattr(model, "is_quantized", False):  # rounding the sum anew would change it
            put.merge_and_unload(safe_merge=True)
    model.requires_grad_(requires_grad=False)
    model.train(mode=False)
    return model


def check_kind(config: Any, name: str) -> None:
    """Check that an adapter is of weights, and not of prompts that PEFT itself puts before every text.

    Args:
        config: the adapter's config, as PEFT holds it.
        name: the adapter's name, or that of the model that has it.

    Raises:
        ModelError: it learns prompts.
    """
    if config.is_prompt_learning:
        raise ModelError(
            f"{name} learns prompts ({config.peft_type.value}), which are not weights to put on a model",
            "Give an adapter such as LoRA, or the base model alone",
        )


def _shapes(path: Path) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of each weight of an adapter; of a pickle none, which PEFT checks itself."""
    from safetensors import safe_open

    if path.suffix != ".safetensors":
        return {}
    with safe_open(path, framework="numpy") as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 (not a dict)


def _resize(model: PreTrainedModel, weights: Mapping[str, tuple[int, ...]]) -> None:
    """Give a model as many embeddings as an adapter has saved, which tokens were added to."""
    embeddings = model.get_input_embeddings()
    path = next((path for path, module in model.named_modules() if module is embeddings), "")
    saved = weights.get(f"{PREFIX}{path}.weight")
    if saved is not None and saved[0] != _shape(embeddings)[0]:
        model.resize_token_embeddings(saved[0], mean_resizing=False)


def _changed(names: Iterable[str]) -> Iterator[str]:
    """Yield the names of the modules that an adapter changes."""
    for name in names:
        path = name.removeprefix(PREFIX)
        ends = [path.index(mark) for mark in MARKS if mark in path]
        if ends:
            yield path[: min(ends)]


def _fits(weights: Iterable[str], model: nn.Module) -> bool:
    """Return whether a model has all modules that an adapter changes."""
    known = dict(model.named_modules())
    return all(path in known for path in _changed(weights))


def _check_fits(adapter: Adapter, weights: Mapping[str, tuple[int, ...]], model: nn.Module) -> None:
    """Make sure that a model has the modules that an adapter changes, in its sizes.

    Raises:
        ModelError: it has not.
    """
    known = dict(model.named_modules())
    lacking = [path for path in dict.fromkeys(_changed(weights)) if path not in known]
    if lacking:
        raise ModelError(
            f"The adapter {adapter.name} is not of {adapter.base}: it changes {lacking[0]}, which that model does not "
            "have",
            FITTING,
        )
    for path in dict.fromkeys(_changed(weights)):
        first, second = (
            next((weights[f"{PREFIX}{path}.{one}"] for one in names if f"{PREFIX}{path}.{one}" in weights), None)
            for names in (("lora_A.weight", "lora_embedding_A"), ("lora_B.weight", "lora_embedding_B"))
        )
        size = _shape(known[path])
        if first is not None and second is not None and size and {first[1], second[0]} != set(size):
            raise ModelError(
                f"The adapter {adapter.name} is not of {adapter.base}: it changes {path} of {second[0]} × {first[1]}, "
                f"which is {' × '.join(map(str, size))} there",
                FITTING,
            )


def _shape(module: nn.Module) -> tuple[int, ...]:
    if isinstance(module, nn.Linear):  # of quantized weights, the shape is another
        return module.out_features, module.in_features
    weight = getattr(module, "weight", None)
    return tuple(weight.shape) if weight is not None and weight.ndim == 2 else ()
