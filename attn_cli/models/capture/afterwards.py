"""Detection of models that change a layer's weighted sums before its output projection; most models do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import local
from typing import Any

import torch
from torch import nn

__all__ = ["Afterwards", "changed_output"]


def changed_output(family: str) -> str:
    """Return the note for a model that changes each head's weighted sum before passing it on.

    Args:
        family: the model's family.
    """
    return (
        f"The family {family} changes each head's output after the weighted sum (by a gate, say, or by taking another "
        "head's off it); the weights are those before that"
    )


class _Waiting(local):
    """The output of an attention function in this thread that no inner module has received yet."""

    output: torch.Tensor | None = None


class Afterwards:
    """A detector of modules that change the output of their attention function before passing it on.

    Args:
        on_change: called after each module that changes it, by a gate (Qwen3-Next) or by subtracting heads from each
            other (DiffLlama), for example.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._waiting = _Waiting()

    def saw(self, output: torch.Tensor) -> None:
        """Remember the output of an attention function."""
        self._waiting.output = output

    @contextmanager
    def watch(self, modules: Iterable[nn.Module]) -> Iterator[None]:
        """Watch what attention modules do with that output, until the context is left.

        Args:
            modules: the modules that call an attention function.
        """
        with ExitStack() as stack:
            for module in modules:
                for inner in module.modules():
                    if inner is not module:
                        stack.callback(inner.register_forward_pre_hook(self._before, with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(self._after).remove)
            yield

    def _before(self, _: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        if self._is_among((*given, *named.values())):
            self._waiting.output = None

    def _after(self, _: nn.Module, __: tuple[Any, ...], result: Any) -> None:
        if self._waiting.output is not None and not self._is_among(result if isinstance(result, tuple) else (result,)):
            self._on_change()
        self._waiting.output = None

    def _is_among(self, values: Iterable[Any]) -> bool:
        """Return whether one of these values is the remembered output, perhaps in another shape."""
        waiting = self._waiting.output
        return waiting is not None and any(
            isinstance(value, torch.Tensor)
            and value.data_ptr() == waiting.data_ptr()
            and value.numel() == waiting.numel()
            for value in values
        )
