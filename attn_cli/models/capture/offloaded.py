"""Check for model weights that are not in memory, with which torch would silently compute arbitrary numbers."""

from __future__ import annotations

from itertools import chain

from transformers import PreTrainedModel

from attn_cli.errors import ModelError

__all__ = ["REMEDY", "check_weights_present"]

REMEDY = "Load the whole model into memory, with --dtype bfloat16 where it would not fit otherwise"


def check_weights_present(model: PreTrainedModel) -> None:
    """Check that all weights of a model are in memory, or will be loaded when they are needed.

    Raises:
        ModelError: a weight is on torch's `meta` device, which holds shapes but no numbers, and nothing loads it.
    """
    brought: list[str] = []  # path prefixes of modules that accelerate loads when they are called
    for path, module in model.named_modules():
        if hasattr(module, "_hf_hook"):
            brought.append(f"{path}." if path else "")
        if any(f"{path}.".startswith(one) for one in brought):
            continue
        own = chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
        for name, tensor in own:
            if tensor.is_meta:
                raise _not_there(f"{path}.{name}" if path else name)
    if model.device.type == "meta":  # the inputs would be moved there, too
        raise _not_there(next(name for name, _ in model.named_parameters()))


def _not_there(name: str) -> ModelError:
    return ModelError(
        f"The weight {name} is not in memory but on torch's meta device, so what the model computes would be arbitrary",
        REMEDY,
    )
