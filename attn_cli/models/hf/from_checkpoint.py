"""A model of a checkpoint, read from its files and made ready for text or images. Importing this imports torch."""

from __future__ import annotations

from functools import partial

import torch
from transformers import PreTrainedModel

from attn_cli.models import LoadOptions
from attn_cli.models.hf.adapters import put_on
from attn_cli.models.hf.checkpoint import Adapter, Checkpoint
from attn_cli.models.hf.devices import choose_placement, on_disk
from attn_cli.models.hf.loading import quiet, read_config, read_model, read_tokenizer
from attn_cli.models.hf.model import Pretrained
from attn_cli.models.hf.vision import Vision, load_vision, read_processor

__all__ = ["load"]


def load(checkpoint: Checkpoint, options: LoadOptions) -> Pretrained | Vision:
    """Load a model's weights and its tokenizer, or the image processor of a model that reads images alone.

    Args:
        checkpoint: the model's folder.
        options: device, number format, and what may be read and run.

    Raises:
        ModelError: the files cannot be used, or the model has no attention or reads no text.
        MemoryLimitError: the weights do not fit in memory.
    """
    if checkpoint.images:
        return load_vision(checkpoint, options)
    placement = choose_placement(checkpoint, options)
    with quiet():
        config = read_config(checkpoint, options)
        tokenizer = read_tokenizer(checkpoint, config, options)

    def read(model_class: type[PreTrainedModel] | None = None) -> tuple[PreTrainedModel, bool]:
        model, complete = read_model(checkpoint, config, placement, options, model_class)
        if checkpoint.adapter is not None:
            model = put_on(checkpoint.adapter, model)
        if not placement.shared:
            # The model's own `to` is behind a signature check that cannot be typed.
            torch.nn.Module.to(model, placement.device)
        return model, complete

    with quiet():
        model, complete = read()
    adapted = () if checkpoint.adapter is None else (_note_of(checkpoint.adapter),)
    notes = (*placement.notes, *adapted, *on_disk(model))
    return Pretrained(
        checkpoint.name,
        model,
        tokenizer,
        notes,
        complete=complete,
        read_head=read,
        read_processor=partial(read_processor, checkpoint) if checkpoint.has_processor else None,
    )


def _note_of(adapter: Adapter) -> str:
    return f"{adapter.name} is an adapter, put on its base model {adapter.base}"
