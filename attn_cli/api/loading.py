"""Models to inspect: loaded by their name, or in memory."""

from __future__ import annotations

import os
from typing import Unpack

from attn_cli.api.inspector import Inspector
from attn_cli.api.options import check_names
from attn_cli.models import LoadChoices, LoadOptions
from attn_cli.models import load as load_model
from attn_cli.models import wrap as wrap_model

__all__ = ["load", "wrap"]


def load(name: str | os.PathLike[str], **options: Unpack[LoadChoices]) -> Inspector:
    """Load a model to inspect.

    Args:
        name: a built-in model, a folder, or a name on the hub.
        **options: fields of `attn_cli.models.LoadOptions`: `device`, `dtype`, `revision`, ...

    Raises:
        UsageError: there is no such option, or it cannot have this value.
        ModelError: the model cannot be found, read or inspected.
    """
    check_names(options, LoadChoices.__annotations__, load)
    settings = LoadOptions(**options)
    return Inspector(load_model(os.fspath(name), settings), settings)


def wrap(model: object, tokenizer: object, *, name: str | None = None) -> Inspector:
    """Inspect a model of transformers that is in memory: one that was loaded, trained or patched in Python.

    It is left as it is: its weights, its mode (training or evaluation), its attention implementation and its hooks.

    Args:
        model: the model; also what PEFT, torch.compile or data parallelism has made of one.
        tokenizer: its tokenizer.
        name: the name to show; by default that of the checkpoint it was loaded from, or of its class.

    Raises:
        ModelError: it is not a model of transformers with attention, its attention cannot be captured as it was loaded,
            or the tokenizer is not one.
    """
    return Inspector(wrap_model(model, tokenizer, name))
