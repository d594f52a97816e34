"""`Model`, the protocol of every model: it reads, writes, and streams its attention."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attn_cli.data.model import Heads, ModelInfo
from attn_cli.data.stream import EatContexts, Request, Source
from attn_cli.data.turns import Turn
from attn_cli.models.inputs import AS_IT_HAS_THEM, FOR_ONE, GREEDY, Decoding, Input, Languages, Translation, Watch

if TYPE_CHECKING:
    from attn_cli.data.attribution import Attribution
    from attn_cli.data.cuts import Variation
    from attn_cli.data.outcomes import Outcome, OutputKind, Wanted

__all__ = ["Model", "translate_one"]


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
