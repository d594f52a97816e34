"""Models that replace their own modules while they run: these are followed, and put back afterwards.

BigBird and BigBird-Pegasus attend within blocks of a long text. Given a short one, they first replace the attention of
every layer by full attention, and would keep it for the next text, however long that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from attn_cli.models.capture.anatomy import Anatomy

__all__ = ["modules_kept"]


@contextmanager
def modules_kept(model: nn.Module, anatomy: Anatomy) -> Iterator[None]:
    """While it is entered, take a module that replaces one that attends for the same layer; put all back at the end.

    Args:
        model: what runs.
        anatomy: its attention, which the new modules join while it runs; whatever is hooked to the old ones is hooked
            to them too.
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
    """Paths of all the modules that others which attend are in, the model's own among them."""
    parts = [path.split(".") for path in anatomy.paths]
    return list(dict.fromkeys(".".join(part[:depth]) for part in parts for depth in range(len(part))))


def _settings(module: nn.Module) -> dict[str, Any]:
    """What a module remembers in plain words and numbers, such as which attention it has."""
    return {name: value for name, value in vars(module).items() if isinstance(value, str | int | float | None)}
