"""The model interface, and the loader that turns a name into a model.

Importing this package imports nothing heavy; loading a model does.
"""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict, runtime_checkable

from attn_cli.data.devices import check_device
from attn_cli.data.model import Heads, ModelInfo
from attn_cli.data.stream import EatContexts, Request, Source
from attn_cli.data.text import Part, Split
from attn_cli.data.turns import Turn
from attn_cli.errors import InputError, ModelError, UsageError, check_range, counted

if TYPE_CHECKING:
    from types import ModuleType

    from attn_cli.data.attribution import Attribution
    from attn_cli.data.cuts import Variation
    from attn_cli.data.outcomes import Outcome, OutputKind, Wanted
    from attn_cli.data.patches import ImagePixels
    from attn_cli.data.record import TakenLive

__all__ = [
    "AS_IT_HAS_THEM",
    "DTYPES",
    "FOR_ONE",
    "GREEDY",
    "MOST_TOKENS",
    "Continuation",
    "Decoding",
    "Input",
    "Languages",
    "LoadOptions",
    "Model",
    "RelevantTo",
    "Translation",
    "Watch",
    "cut_short",
    "load",
    "no_template",
    "reads_no_images",
    "translate_one",
    "wrap",
    "writes_nothing",
]

MOST_TOKENS = 40
"""Most tokens that a decoder writes if no number is given."""

Dtype = Literal["auto", "float32", "float16", "bfloat16"]
DTYPES: tuple[Dtype, ...] = ("auto", "float32", "float16", "bfloat16")


class LoadChoices(TypedDict, total=False):
    """Fields of `LoadOptions`, as a caller from Python may set them."""

    device: str
    dtype: Dtype
    trust_remote_code: bool
    allow_pickle: bool
    revision: str | None
    base: str | None


@dataclass(frozen=True)
class LoadOptions:
    """Settings for loading a model.

    Raises:
        UsageError: there is no such device or number format.
    """

    device: str = "auto"
    """Device to run on: `cpu`, `cuda` (`cuda:1` for the second GPU), `mps`; `auto`: a CUDA device where there is one,
    else Apple's MPS, else the CPU; or `balanced`: all GPUs, then memory, then disk, as far as the weights fit."""
    dtype: Dtype = "auto"
    """Number format of the weights. `auto`: on a GPU the format of the saved file; on a CPU float32, or where that does
    not fit in memory, the format of the saved file."""
    trust_remote_code: bool = False
    """True to run Python code that comes in the model's folder."""
    allow_pickle: bool = False
    """True to read `pytorch_model.bin` where there is no safetensors file."""
    revision: str | None = None
    """Branch, tag or commit of a model on the hub; the main branch by default."""
    base: str | None = None
    """The model that an adapter is put on: a folder or a name on the hub; None for the one that the adapter names."""

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.dtype not in DTYPES:
            raise UsageError(f"There is no number format {self.dtype}", f"Choose from {', '.join(DTYPES)}")


@dataclass(frozen=True)
class Languages:
    """Source and target language, as a user names them: `en`, `fr`, or a code of the model's own (`fra_Latn`)."""

    source: str | None = None
    """Language of the text; None for the model's default."""
    target: str | None = None
    """Language of the translation; None for the model's default."""


AS_IT_HAS_THEM = Languages()


@dataclass(frozen=True)
class Decoding:
    """Settings of the search for a translation, or for what follows a prompt.

    Raises:
        UsageError: a number is below its least.
    """

    beam: int = 1
    """Number of hypotheses to keep at each step; 1 is greedy."""
    max_length: int | None = None
    """Most tokens to write for one text, the end token included; None for the model's own limit, but no more than
    twice the text's tokens plus 50."""
    temperature: float = 0.0
    """Temperature that tokens are drawn at; 0 takes the likeliest each time."""
    top_p: float | None = None
    """Tokens are drawn from the fewest that have this share of the probability; None for the model's own setting."""
    seed: int = 0
    """Seed of the draws."""
    stop: tuple[str, ...] = ()
    """Texts at whose end writing stops."""
    most_option: Literal["--max-length", "--max-tokens"] = "--max-length"
    """The option that `max_length` was given by, for messages."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UsageError(
                f"--temperature must be 0 or more, and {self.temperature:g} is not", "0 takes the likeliest each time"
            )
        if self.top_p is not None:
            check_range("--top-p", self.top_p, 0, 1)
            if not self.temperature:
                raise UsageError("--top-p narrows what is drawn from", "Add --temperature")
        if self.temperature and self.beam > 1:
            raise UsageError("--beam keeps the likeliest, and --temperature draws", "Leave one of them out")
        if "" in self.stop:
            raise UsageError("--stop is empty", "Give the text that writing is to stop at")
        for value, option in ((self.beam, "--beam"), (self.max_length, self.most_option)):
            if value is not None:
                check_range(option, value, least=1)


GREEDY = Decoding()
"""Settings for many texts."""
FOR_ONE = Decoding(beam=4)
"""Settings for one text, where a better translation is worth the time: a beam of 4 gains about one BLEU."""


@dataclass(frozen=True)
class Translation:
    """A model's translation of one text."""

    text: str
    """The translation without start and end tokens and language codes."""
    ids: tuple[int, ...]
    """Ids of all decoder tokens: the start token first, then the tokens written, the end token last (unless the search
    was cut short). Pass the translation to `Model.prepare` to capture the attention of exactly these tokens."""
    notes: tuple[str, ...] = ()
    """Remarks for the user, one sentence each without a full stop."""
    live: TakenLive | None = None
    """What was taken while it was written; the source that `Model.prepare` returns streams it."""


@dataclass(frozen=True)
class Continuation:
    """What a decoder wrote behind a prompt."""

    text: str
    """The text without special tokens; it begins with a space where a word begins."""
    ids: tuple[int, ...]
    """Ids of all tokens written, the end token last if it was reached. Pass the continuation to `Model.prepare` to
    capture the attention of exactly these tokens."""
    notes: tuple[str, ...] = ()
    """Remarks for the user, one sentence each without a full stop."""
    live: TakenLive | None = None
    """What was taken while it was written; the source that `Model.prepare` returns streams it."""


Watch = Callable[[str], bool]
"""A function that is called with the text so far after each token written; it returns False to stop there."""


def cut_short(limit: int, option: str = "--max-length") -> str:
    """Return the note on a text that was cut after that many tokens, since its end was not reached."""
    tokens = counted(limit, "token")
    if option == "--max-tokens":
        return f"Writing stopped after {tokens}; --max-tokens {2 * limit} lets it go on"
    return f"The translation was cut after {tokens}; attn translate --max-length {2 * limit} lets it go on"


def no_template(name: str) -> ModelError:
    """Return the error for a model that is given a chat and has no template for one."""
    return ModelError(
        f"{name} has no chat template", "Give the text itself, or name a model that was trained for chats"
    )


def writes_nothing(name: str, kinds: Iterable[str]) -> ModelError:
    """Return the error for a model that is asked to write and cannot.

    Args:
        name: the model's name.
        kinds: its kinds of attention.
    """
    listed = " and ".join(f"{'an' if kind == 'encoder' else 'a'} {kind}" for kind in kinds)
    return ModelError(
        f"{name} writes no text: it is {listed}"
        if "decoder" not in listed
        else f"{name} was saved without the layer that chooses words, so it cannot write",
        "Name a decoder (GPT-2, Llama, …) or an encoder-decoder with --model",
    )


def reads_no_images(name: str) -> InputError:
    """Return the error for a model that is given an image and reads texts alone."""
    return InputError(f"{name} reads text, not images", "Name a vision encoder (ViT, DINOv2, CLIP, …) with --model")


@dataclass(frozen=True)
class RelevantTo:
    """The output of which gradients are taken, when relevance is measured."""

    token: int | None = None
    """Id of the token that follows a decoder's text, or that fills a mask; None for the likeliest."""
    masks: tuple[int, ...] = ()
    """Positions of the masks that an encoder fills; empty for other outputs."""
    target: str | Translation | None = None
    """The target of an encoder-decoder, whose tokens' logits are added up."""
    word: str | None = None
    """The only word of the target that is meant; None for all."""
    text: str | None = None
    """Another text: the output is the similarity of the mean last states of both."""
    notes: tuple[str, ...] = ()
    """Notes for the reader of the result, one sentence each without a full stop."""


@dataclass(frozen=True)
class Input:
    """The text or the image that a model is to read, and everything that goes with it."""

    text: str
    """The text; the encoder's side of an encoder-decoder."""
    pair: str | None = None
    """A second segment, for models that take two."""
    target: str | Translation | None = None
    """The output to force on the decoder of an encoder-decoder: a text, or exactly the tokens of a translation."""
    languages: Languages = AS_IT_HAS_THEM
    """Source and target language, for models that must be told them."""
    truncate: bool = False
    """True to cut tokens that the model has no positions for, and to say so in the notes."""
    relevant_to: RelevantTo | None = None
    """The output that the source can measure relevance for; None for no such measure."""
    continuation: str | Continuation | None = None
    """What follows the text in a decoder alone: a known text, or exactly the tokens that the model wrote. The text is
    then called the prompt."""
    marks: tuple[tuple[int, int], ...] | None = None
    """Places in the text of what a chat template put there, which the tokenizer adds nothing to; None if the text was
    not rendered by one."""
    parts: tuple[Part, ...] = ()
    """The parts of the text, in its order."""
    split: Split | None = None
    """A function that divides the text and the target into words; by default at Unicode word boundaries."""
    image: ImagePixels | None = None
    """The image, in the place of a text."""


@runtime_checkable
class Model(Protocol):
    """A model that is loaded and ready for text."""

    @property
    def info(self) -> ModelInfo:
        """The model's shape and name."""

    @property
    def fingerprint(self) -> str:
        """A fingerprint of the weights, the same on every machine; see `fingerprint_of`."""

    def of_images(self) -> Model:
        """Return the model that reads images: this one, or its part that does; weights are shared.

        Raises:
            InputError: the model reads texts alone.
            ModelError: its image processor cannot be used, or its patches are not known.
        """

    def without(self, heads: Heads) -> Model:
        """Return this model with the output of some heads zero in every run, and of no others; weights are shared.

        `info.without` says which.

        Raises:
            SelectionError: the model does not have one of these heads.
        """

    def prepare(self, given: Input) -> Source:
        """Tokenize a text, or divide an image into patches, for one pass that captures all kinds of attention.

        A model without attention returns a source too: it has tokens to show and no blocks to stream.
        `Source.target` explains which row belongs to which token of the target.

        Raises:
            InputError: the text is empty, gives no tokens or is too long, or the model has no decoder for a target
                or takes no pair, or does not read what is given.
            UsageError: the model does not know a language.
            ModelError: the tokenizer, or the image processor, and the model do not belong together.
        """

    def converse(self, turns: Sequence[Turn], given: Input, *, answers: bool = False) -> Input:
        """Put a chat in the place of a text, as the model's own chat template renders it.

        Args:
            turns: the turns.
            given: what goes with the text.
            answers: also begin the turn that the model is to write.

        Raises:
            ModelError: the model has no template, or it fails at these turns.
        """

    def plain_tokens(self) -> Sequence[int]:
        """Return ids of tokens that are words or parts of words, no two of which differ in case alone."""

    def prepare_tokens(self, ids: Sequence[int]) -> Source:
        """Prepare a text of exactly these tokens, between the special tokens that the model puts around any text.

        Raises:
            InputError: there are more tokens than the model has positions for.
        """

    def spell_tokens(self, ids: Sequence[int]) -> list[str]:
        """Return what each of these tokens adds to a text, with a space before a word; its name if that is nothing."""

    @property
    def mask_token(self) -> str | None:
        """The token, as a text holds it, in whose place the model puts a word; None if there is none."""

    @property
    def unknown_token(self) -> int | None:
        """Id of the token that stands for whatever the tokenizer has no token for; None if there is none."""

    def translate(
        self,
        texts: Sequence[str],
        *,
        decoding: Decoding = GREEDY,
        languages: Languages = AS_IT_HAS_THEM,
        truncate: bool = False,
        variations: Sequence[Variation] = (),
    ) -> list[Translation]:
        """Write a translation of each text, in one batch.

        Each translation is the same as for the text alone, up to rounding of sums over a padded batch.

        Args:
            texts: the texts to translate.
            decoding: settings of the search.
            languages: source and target language, for models that must be told them.
            truncate: cut tokens that the model has no positions for, and say so in the notes.
            variations: the cuts of attention under which each text is translated, one variation for each text; none to
                translate with the model as it is. Those of `info.without` are made as well.

        Raises:
            InputError: a text is empty, gives no tokens or is too long.
            UsageError: the model does not know a language, or needs one that is not named.
            SelectionError: the model does not have a layer or head that is cut.
            ModelError: the model cannot translate, or not with these cuts.
            MemoryLimitError: memory ran out.
        """

    def write(
        self, given: Input, decoding: Decoding = GREEDY, watch: Watch | None = None, live: Request | None = None
    ) -> Input:
        """Write what follows a text, and return the input with it: a decoder's continuation, or a translation.

        Args:
            given: the text and what goes with it, without a target or a continuation.
            decoding: settings of the search; a decoder alone writes `max_length` tokens at most, or 40.
            watch: a function that is called after each token, where the model writes one at a time.
            live: the heads whose rows are taken at each step, under the cache that the model writes with, with the
                chances there; None to take nothing. Only for a beam of 1.

        Raises:
            InputError: the text is empty, gives no tokens or is too long.
            UsageError: the model does not know a language, or needs one that is not named; or a built-in model is to
                be taken live.
            ModelError: the model cannot write, or its attention cannot be taken meanwhile.
            MemoryLimitError: memory ran out.
        """

    @property
    def outputs(self) -> tuple[OutputKind, ...]:
        """The outputs that `run` can measure; the first is the model's own."""

    def run(
        self, source: Source, variations: Sequence[Variation], wanted: Wanted | None = None
    ) -> Generator[tuple[int, Outcome]]:
        """Run the model on a text once with each variation of its attention, many in one batch.

        Args:
            source: a text that this model prepared, with a target where the output is that of an encoder-decoder.
            variations: the cuts of each run; an empty variation runs the model as it is. Those of `info.without` are
                made as well.
            wanted: the output wanted; by default the first of `outputs`.

        Yields:
            the index of a variation and its output, in whatever order takes the least time.

        Raises:
            InputError: the text was prepared by another model, or has nothing to measure.
            SelectionError: the model does not have a layer or head that is cut.
            ModelError: the model has no such output, or a layer cannot be cut.
            MemoryLimitError: memory ran out.
        """

    def attribute(
        self, source: Source, place: int, token: int | None = None, against: int | None = None
    ) -> Attribution:
        """Compute what each head, and each other part of the model, adds to the logit of a token.

        Args:
            source: a text that this model prepared.
            place: the position that the token follows.
            token: the token's number in the vocabulary; None for the likeliest.
            against: a token whose logit is taken off; None for nothing.

        Raises:
            InputError: the text was prepared by another model.
            ModelError: the model does not continue texts, or its logits are not sums of such parts.
            MemoryLimitError: memory ran out.
        """

    def contexts(self, source: Source, eat: EatContexts) -> None:
        """Pass each head's weighted sums of the values in one run of a text to a collector, layer by layer.

        They are what `ReplacedHeads` takes. Layers that keep them to themselves are left out.

        Args:
            source: a text that this model prepared.
            eat: the collector.

        Raises:
            InputError: the text was prepared by another model.
            ModelError: the model could not be run.
        """


def translate_one(model: Model, given: Input, decoding: Decoding = FOR_ONE) -> Translation:
    """Write the translation of one text; see `Model.translate`.

    Raises:
        AttnError: the model cannot read or translate it.
    """
    (written,) = model.translate([given.text], decoding=decoding, languages=given.languages, truncate=given.truncate)
    return written


def load(name: str, options: LoadOptions = LoadOptions()) -> Model:
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

    from attn_cli.models.hf.checkpoint import find
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
    """Import the module `hf.model`, and with it torch and transformers.

    The import makes some hundred thousand objects that live as long as the program. Scanning them again and again
    while they are made, and once more at exit, costs the garbage collector a third of a short run's time, so it is
    disabled during the import, and the objects are then frozen out of its scans.
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
