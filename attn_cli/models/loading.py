"""A name, or a model in memory, to a model that is ready. Importing this imports nothing heavy; loading does."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from attn_cli.errors import UsageError
from attn_cli.models.options import LoadOptions
from attn_cli.models.protocol import Model

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["load", "wrap"]

BY_DEFAULT = LoadOptions()


def load(name: str, options: LoadOptions = BY_DEFAULT) -> Model:
    """Find a model and load it.

    Args:
        name: a built-in model, a folder, a GGUF file, or a name on the hub.
        options: device, number format, and what may be read and run.

    Raises:
        ModelError: the model cannot be found, read or inspected.
        MemoryLimitError: the model does not fit in memory.
    """
    from attn_cli.models.toy.folder import find as find_toy

    folder = find_toy(name)
    if folder is not None:
        from attn_cli.models.toy.model import load as load_toy

        _check_no_base(name, options)

        return load_toy(folder, options)

    from attn_cli.models.hf.finding import find
    from attn_cli.models.hf.gguf import find_gguf
    from attn_cli.system.silence import mute_logs

    mute_logs()
    # Most faults are found before anything heavy is imported.
    checkpoint = find_gguf(name, options)
    if checkpoint is not None:
        _check_no_base(name, options)
    checkpoint = checkpoint or find(name, options)
    model: Model = _pretrained().load(checkpoint, options)
    return model


def _check_no_base(name: str, options: LoadOptions) -> None:
    """Check that no base model is named for a whole model.

    Raises:
        UsageError: one is named.
    """
    if options.base is not None:
        raise UsageError(f"--base names the model of an adapter, and {name} is a whole model", "Leave it out")


def wrap(model: object, tokenizer: object, name: str | None = None) -> Model:
    """Make a model of transformers that is in memory ready for text.

    Args:
        model: the model; it is left as it is.
        tokenizer: its tokenizer, or its image processor.
        name: the name to show.

    Raises:
        ModelError: it is not a model of transformers with attention, or the tokenizer is not one.
    """
    from attn_cli.models.hf.wrapping import wrap as wrap_pretrained

    wrapped: Model = wrap_pretrained(model, tokenizer, name)
    return wrapped


def _pretrained() -> ModuleType:
    """Import the module `hf.from_checkpoint`, and with it torch and transformers.

    The import makes some hundred thousand objects that live as long as the program. Scanning them again and again
    while they are made, and once more at exit, costs the garbage collector a third of a short run's time, so it is
    disabled during the import, and the objects are then frozen out of its scans.
    """
    name = "attn_cli.models.hf.from_checkpoint"
    if name not in sys.modules:
        collecting = gc.isenabled()
        gc.disable()
        try:
            import_module(name)
            gc.freeze()
        finally:
            if collecting:
                gc.enable()
    return sys.modules[name]
