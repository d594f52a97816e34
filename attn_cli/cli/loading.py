"""Loading of the model that a command uses."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from attn_cli.cli.options import ModelOptions
from attn_cli.data.devices import check_device
from attn_cli.errors import UsageError

if TYPE_CHECKING:
    from attn_cli.data.model import ModelInfo
    from attn_cli.data.selection import Kind
    from attn_cli.models import Model

__all__ = ["check_named", "described", "loaded", "loaded_once"]


def check_named(options: ModelOptions) -> None:
    """Check, before anything heavy is imported, that the model's name is not blank and there may be such a device.

    Raises:
        UsageError: the name is blank, or no machine has such a device.
    """
    if not options.model.strip():
        raise UsageError(
            "--model is empty", "Leave it out for the built-in model, or name a folder or a model on the hub"
        )
    check_device(options.device)


def loaded(
    options: ModelOptions, without: str | None = None, kind: Kind | None = None, *, images: bool = False
) -> Model:
    """Load the model, with a spinner on a terminal.

    Args:
        options: the model and how to load it.
        without: the heads that it is to run without, as they were typed.
        kind: the kind of attention of those whose kind is not named.
        images: take the part of the model that reads images.

    Raises:
        InputError: the model reads no images, and is to do so.
        SelectionError: the model does not have a head that it is to run without.
        ModelError: the model cannot be found, read or inspected.
        MemoryLimitError: the model does not fit in memory.
    """
    from attn_cli.cli.progress import working
    from attn_cli.models import LoadOptions, load
    from attn_cli.models.prepare import run_without

    name = options.model
    with working("Loading", name):
        model = load(
            name,
            LoadOptions(
                device=options.device,
                dtype=options.dtype,
                trust_remote_code=options.trust_remote_code,
                allow_pickle=options.allow_pickle,
                revision=options.revision,
                base=options.base,
            ),
        )
        if images:
            model = model.of_images()
    return run_without(model, without, kind)


@lru_cache(maxsize=1)
def loaded_once(options: ModelOptions, without: str | None = None, kind: Kind | None = None) -> Model:
    """Load the model as `loaded` does, and keep it for what the next texts are measured with: for workers."""
    return loaded(options, without, kind)


def described(options: ModelOptions, without: str | None = None, kind: Kind | None = None) -> tuple[ModelInfo, str]:
    """Load the model of a worker, and return its facts and its fingerprint."""
    model = loaded_once(options, without, kind)
    return model.info, model.fingerprint
