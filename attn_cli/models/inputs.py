"""Input of a model, and its output: texts, images, translations and continuations, with the settings of the search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from attn_cli.data.text import Part, Split
from attn_cli.errors import UsageError, check_range, counted

if TYPE_CHECKING:
    from attn_cli.data.patches import ImagePixels
    from attn_cli.data.record import TakenLive

__all__ = [
    "AS_IT_HAS_THEM",
    "FOR_ONE",
    "GREEDY",
    "MOST_TOKENS",
    "Continuation",
    "Decoding",
    "Input",
    "Languages",
    "RelevantTo",
    "Translation",
    "Watch",
    "cut_short",
]

MOST_TOKENS = 40
"""Most tokens that a decoder writes if no number is given."""


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
    """Attention taken while it was written; the source that `Model.prepare` returns streams it."""


@dataclass(frozen=True)
class Continuation:
    """Text that a decoder wrote behind a prompt."""

    text: str
    """The text without special tokens; it begins with a space where a word begins."""
    ids: tuple[int, ...]
    """Ids of all tokens written, the end token last if it was reached. Pass the continuation to `Model.prepare` to
    capture the attention of exactly these tokens."""
    notes: tuple[str, ...] = ()
    """Remarks for the user, one sentence each without a full stop."""
    live: TakenLive | None = None
    """Attention taken while it was written; the source that `Model.prepare` returns streams it."""


Watch = Callable[[str], bool]
"""A function that is called with the text so far after each token written; it returns False to stop there."""


def cut_short(limit: int, option: str = "--max-length") -> str:
    """Return the note on a text that was cut after that many tokens, since its end was not reached."""
    tokens = counted(limit, "token")
    if option == "--max-tokens":
        return f"Writing stopped after {tokens}; --max-tokens {2 * limit} lets it go on"
    return f"The translation was cut after {tokens}; attn translate --max-length {2 * limit} lets it go on"


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
    """Continuation of the text in a decoder alone: a known text, or exactly the tokens that the model wrote. The text
    is then called the prompt."""
    marks: tuple[tuple[int, int], ...] | None = None
    """Places in the text of what a chat template put there, which the tokenizer adds nothing to; None if the text was
    not rendered by one."""
    parts: tuple[Part, ...] = ()
    """The parts of the text, in its order."""
    split: Split | None = None
    """A function that divides the text and the target into words; by default at Unicode word boundaries."""
    image: ImagePixels | None = None
    """The image, in the place of a text."""
