"""A name to a model. Importing this package imports nothing heavy; loading a model does."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from attn_cli.blocks import ModelInfo, Source
from attn_cli.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["DEVICES", "DTYPES", "LoadOptions", "Model", "load"]

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda", "mps")
DTYPES: tuple[Dtype, ...] = ("auto", "float32", "float16", "bfloat16")


@dataclass(frozen=True)
class LoadOptions:
    """How to load a model.

    Raises:
        UsageError: there is no such device or number format.
    """

    device: Device = "auto"
    """`auto`: a CUDA device where there is one, else Apple's MPS, else the processor."""
    dtype: Dtype = "auto"
    """`auto`: float32 where the weights fit in memory so, otherwise as they were saved."""
    trust_remote_code: bool = False
    """Let the model's folder bring Python code of its own, and run it."""
    allow_pickle: bool = False
    """Read `pytorch_model.bin` where there is no safetensors file."""
    revision: str | None = None
    """Branch, tag or commit of a model on the hub; the main branch by default."""

    def __post_init__(self) -> None:
        for value, known, what in ((self.device, DEVICES, "device"), (self.dtype, DTYPES, "number format")):
            if value not in known:
                raise UsageError(f"There is no {what} {value}", f"Choose from {', '.join(known)}")


@runtime_checkable
@runtime_checkable
class Model(Protocol):
    """A model that is loaded and ready for text."""

    @property
    def info(self) -> ModelInfo:
        """The model's shape and name."""

    def prepare(
        self, text: str, *, pair: str | None = None, target: str | None = None, truncate: bool = False
    ) -> Source:
        """Tokenize.

        Args:
            text: what the model reads; the encoder's side of an encoder-decoder.
            pair: a second segment, for models that take two.
            target: text on the decoder's side of an encoder-decoder. Its rows are the decoder's *input* tokens: the
                start token first, and each row made where its token is read (not where it is written).
            truncate: cut what the model has no positions for, and say so in the notes.

        Raises:
            InputError: the text is empty, gives no tokens, is too long, or has a side that this model does not have.
            ModelError: the tokenizer and the model do not belong together.
        """


def load(name: str, options: LoadOptions = LoadOptions()) -> Model:
    """Find a model and load it.

    Args:
        name: a folder, or a name on the hub.
        options: how to load it.

    Raises:
        ModelError: it cannot be found, read or inspected.
        MemoryLimitError: it does not fit in memory.
    """
    from attn_cli.models.files import find

    checkpoint = find(name, options)  # most faults are found here, before anything heavy is imported
    model: Model = _pretrained().load(checkpoint, options)
    return model


def _pretrained() -> ModuleType:
    """Import `pretrained`, and with it torch and transformers.

    That makes some hundred thousand objects which live as long as the program does. Left alone, the garbage collector
    looks through them all again and again while they are made, and once more at exit: a third of a short run's time.
    So it waits until they are there, and then leaves them out of its account.
    """
    name = "attn_cli.models.pretrained"
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
