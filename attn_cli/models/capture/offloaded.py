"""Weights that are not in memory. torch multiplies with them all the same, and gives whatever stood there before."""

from __future__ import annotations

from itertools import chain

from transformers import PreTrainedModel

from attn_cli.errors import ModelError

__all__ = ["REMEDY", "check_weights_present"]

REMEDY = "Load the whole model into memory, with --dtype bfloat16 where it would not fit otherwise"


def check_weights_present(model: PreTrainedModel) -> None:
    """Make sure that a model can be run.

    Raises:
        ModelError: a weight is on torch's `meta` device, which holds shapes and no numbers, and nothing brings it in.
    """
    brought: list[str] = []  # modules that accelerate loads when they are called, with all that is in them
    for path, module in model.named_modules():
        if hasattr(module, "_hf_hook"):
            brought.append(f"{path}." if path else "")
        if any(f"{path}.".startswith(one) for one in brought):
            continue
        own = chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
        for name, tensor in own:
            if tensor.is_meta:
                raise _not_there(f"{path}.{name}" if path else name)
    if model.device.type == "meta":  # the inputs would be put there, too
        raise _not_there(next(name for name, _ in model.named_parameters()))


def _not_there(name: str) -> ModelError:
    return ModelError(
        f"The weight {name} is not in memory but on torch's meta device, so what the model computes would be arbitrary",
        REMEDY,
    )
