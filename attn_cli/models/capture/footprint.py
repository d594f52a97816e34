"""Memory that the tensors of a run take."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["HeldBytes", "held_bytes"]


class HeldBytes:
    """The bytes of the tensors made in a block, while anything refers to them."""

    def __init__(self) -> None:
        self.most = 0
        """The most that were held at once."""
        self._now = 0
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def add(self, tensor: torch.Tensor) -> None:
        """Count a tensor, unless its memory is that of another."""
        storage = tensor.untyped_storage()
        if storage in self._seen:
            return
        self._seen.add(storage)
        size = storage.nbytes()
        self._now += size
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._let_go, size)

    def _let_go(self, size: int) -> None:
        self._now -= size


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode in which the results of all operations of this thread are counted."""

    def __init__(self, held: HeldBytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._held = held

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        for one in tree_leaves(result):
            if isinstance(one, torch.Tensor):
                self._held.add(one)
        return result


@contextmanager
def held_bytes() -> Iterator[HeldBytes]:
    """Count the bytes of the tensors that are made within the block in this thread."""
    held = HeldBytes()
    with _Watch(held):
        yield held
