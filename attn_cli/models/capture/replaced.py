"""Support for models that replace their own modules while they run: the new modules are captured, then reverted.

BigBird and BigBird-Pegasus attend within blocks of a long text. For a short text, they first replace the attention of
every layer by full attention, and would keep it for the next text, however long that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from attn_cli.errors import ModelError
from attn_cli.models.capture.anatomy import Anatomy

__all__ = ["attends_in_blocks", "modules_kept"]


def attends_in_blocks(module: nn.Module, layer: str, so: str) -> ModelError | None:
    """Make the error for a layer that attends within blocks; None for another module.

    Args:
        module: the module of the layer.
        layer: the name of the layer in the error.
        so: what follows from it.
    """
    blocks, size = (getattr(module, name, None) for name in ("num_random_blocks", "block_size"))
    if not (isinstance(blocks, int) and isinstance(size, int)):
        return None
    return ModelError(
        f"{layer} attends among blocks of {size} tokens in a text as long as this, so it {so}",
        # The same limit as in BigBirdModel.forward.
        f"Give a text of at most {(5 + 2 * blocks) * size} tokens, which it reads with full attention",
    )


@contextmanager
def modules_kept(model: nn.Module, anatomy: Anatomy) -> Iterator[None]:
    """Treat a module that replaces an attention module as the same layer, and restore all old modules at the end.

    Args:
        model: the model that is to run.
        anatomy: the model's attention layers, to which new modules are added while it runs; hooks of the old modules
            are copied to them.
    """
    above = {path: model.get_submodule(path) for path in _prefixes(anatomy)}
    settings = [(module, _settings(module)) for module in above.values()]
    members = {*above.values(), *anatomy.sites}
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    joined: list[nn.Module] = []

    def follow(parent: nn.Module, name: str, new: nn.Module | None) -> None:
        old = getattr(parent, name, None) if parent in members else None
        if new is None or not isinstance(old, nn.Module) or old is new:
            return
        replaced.append((parent, name, old))
        counterparts = dict(new.named_modules())
        for path, module in old.named_modules():
            site, counterpart = anatomy.sites.get(module), counterparts.get(path)
            if site is not None and counterpart is not None:
                anatomy.sites[counterpart] = site
                joined.append(counterpart)
                counterpart._forward_pre_hooks.update(module._forward_pre_hooks)  # noqa: SLF001 - torch cannot copy them
                counterpart._forward_hooks.update(module._forward_hooks)  # noqa: SLF001

    handle = register_module_module_registration_hook(follow)
    try:
        yield
    finally:
        handle.remove()
        for parent, name, old in reversed(replaced):
            setattr(parent, name, old)
        for module in joined:
            del anatomy.sites[module]
        if replaced:
            for module, before in settings:
                vars(module).update(before)


def _prefixes(anatomy: Anatomy) -> list[str]:
    """Return the paths of all modules that contain an attention module, the model's own (empty) path included."""
    parts = [path.split(".") for path in anatomy.paths]
    return list(dict.fromkeys(".".join(part[:depth]) for part in parts for depth in range(len(part))))


def _settings(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module that are strings, numbers or None, such as the attention type that it uses."""
    return {name: value for name, value in vars(module).items() if isinstance(value, str | int | float | None)}
