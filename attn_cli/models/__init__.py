"""A name to a model. Importing this package imports nothing heavy; loading a model does."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from attn_cli.data.model import ModelInfo
from attn_cli.data.stream import Source
from attn_cli.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "AS_IT_HAS_THEM",
    "DEVICES",
    "DTYPES",
    "GREEDY",
    "Decoding",
    "Languages",
    "LoadOptions",
    "Model",
    "Translation",
    "load",
]

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


@dataclass(frozen=True)
class Languages:
    """From which language to which, as a user names them: `en`, `fr`, or a code of the model's own (`fra_Latn`)."""

    source: str | None = None
    """None: as the model has it."""
    target: str | None = None
    """None: as the model has it."""


AS_IT_HAS_THEM = Languages()


@dataclass(frozen=True)
class Decoding:
    """How to search for a translation.

    Raises:
        UsageError: a number is below 1.
    """

    beam: int = 1
    """How many hypotheses are kept at each step; 1 is greedy."""
    max_length: int | None = None
    """The most tokens to write for one text, the end token among them; None: as many as the model may, but not more
    than twice the text's tokens and 50."""

    def __post_init__(self) -> None:
        for value, option in ((self.beam, "--beam"), (self.max_length, "--max-length")):
            if value is not None and value < 1:
                raise UsageError(f"{option} {value} is below 1", f"Write {option} 1 or more")


GREEDY = Decoding()


@dataclass(frozen=True)
class Translation:
    """What a model wrote for one text."""

    text: str
    """As a reader reads it: without start and end tokens and language codes."""
    ids: tuple[int, ...]
    """Every token of the decoder's side: the start token first, then all that was written, the end token last (unless
    the search was cut short). Hand the translation to `Model.prepare` to see the attention of exactly these."""
    notes: tuple[str, ...] = ()
    """Things a reader must know, one sentence each without a full stop."""


@runtime_checkable
class Model(Protocol):
    """A model that is loaded and ready for text."""

    @property
    def info(self) -> ModelInfo:
        """The model's shape and name."""

    def prepare(
        self,
        text: str,
        *,
        pair: str | None = None,
        target: str | Translation | None = None,
        languages: Languages = AS_IT_HAS_THEM,
        truncate: bool = False,
    ) -> Source:
        """Tokenize, for one pass that captures the attention of every kind there is.

        A model without attention gives a source all the same: its tokens can be seen, and there is nothing to stream.

        Args:
            text: what the model reads; the encoder's side of an encoder-decoder.
            pair: a second segment, for models that take two.
            target: what the decoder of an encoder-decoder is made to write: a text, or exactly the tokens of a
                translation. See `Source.target` for which row is whose.
            languages: from which to which, for models that are told.
            truncate: cut what the model has no positions for, and say so in the notes.

        Raises:
            InputError: the text is empty, gives no tokens, is too long, or has a side that this model does not have.
            UsageError: the model does not know a language.
            ModelError: the tokenizer and the model do not belong together.
        """

    def plain_tokens(self) -> Sequence[int]:
        """Tokens of words or parts of them, no two of which read the same but for case."""

    def prepare_tokens(self, ids: Sequence[int]) -> Source:
        """A text of exactly these tokens, between the special ones that the model puts around any.

        Raises:
            InputError: there are more than the model has positions for.
        """

    def translate(
        self,
        texts: Sequence[str],
        *,
        decoding: Decoding = GREEDY,
        languages: Languages = AS_IT_HAS_THEM,
        truncate: bool = False,
    ) -> list[Translation]:
        """Write a translation of each text, in one batch.

        Each comes out as it would alone, but for the rounding of sums over a padded batch.

        Args:
            texts: what to translate.
            decoding: how to search.
            languages: from which to which, for models that are told.
            truncate: cut what the model has no positions for, and say so in the notes.

        Raises:
            InputError: a text is empty, gives no tokens or is too long.
            UsageError: the model does not know a language, or must be told one.
            ModelError: the model cannot translate.
            MemoryLimitError: memory ran out.
        """


def load(name: str, options: LoadOptions = LoadOptions()) -> Model:
    """Find a model and load it.

    Args:
        name: a built-in model, a folder, or a name on the hub.
        options: how to load it.

    Raises:
        ModelError: it cannot be found, read or inspected.
        MemoryLimitError: it does not fit in memory.
    """
    from attn_cli.models.toy.folder import find as find_toy

    folder = find_toy(name)
    if folder is not None:
        from attn_cli.models.toy.model import load as load_toy

        return load_toy(folder, options)

    from attn_cli.models.hf.checkpoint import find
    from attn_cli.system.silence import mute_logs

    mute_logs()
    checkpoint = find(name, options)  # most faults are found here, before anything heavy is imported
    model: Model = _pretrained().load(checkpoint, options)
    return model


def _pretrained() -> ModuleType:
    """Import `pretrained`, and with it torch and transformers.

    That makes some hundred thousand objects which live as long as the program does. Left alone, the garbage collector
    looks through them all again and again while they are made, and once more at exit: a third of a short run's time.
    So it waits until they are there, and then leaves them out of its account.
    """
    name = "attn_cli.models.hf.model"
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
