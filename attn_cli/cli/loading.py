"""Loading of the model that a command uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attn_cli.cli.options import ModelOptions
from attn_cli.errors import UsageError

if TYPE_CHECKING:
    from attn_cli.models import Model

__all__ = ["check_named", "loaded"]


def check_named(options: ModelOptions) -> None:
    """Check, before anything is imported, that the model's name is not blank.

    Raises:
        UsageError: the name is blank.
    """
    if not options.model.strip():
        raise UsageError(
            "--model is empty", "Leave it out for the built-in model, or name a folder or a model on the hub"
        )


def loaded(options: ModelOptions) -> Model:
    """Load the model, with a spinner on a terminal.

    Raises:
        ModelError: the model cannot be found, read or inspected.
        MemoryLimitError: the model does not fit in memory.
    """
    from attn_cli.cli.progress import working
    from attn_cli.models import LoadOptions, load

    name = options.model
    with working("Loading", name):
        return load(
            name,
            LoadOptions(
                device=options.device,
                dtype=options.dtype,
                trust_remote_code=options.trust_remote_code,
                allow_pickle=options.allow_pickle,
                revision=options.revision,
            ),
        )
