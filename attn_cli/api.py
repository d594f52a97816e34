"""Python interface: an inspector for a model that is loaded once, which returns records and findings."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from inspect import signature
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast, overload

from attn_cli.data.labelling import Labelling, parse_labels
from attn_cli.data.matrix import layers_of, matrix_record
from attn_cli.data.model import ModelInfo
from attn_cli.data.parts import split_parts
from attn_cli.data.record import Record
from attn_cli.data.selection import (
    HOLDS_NO_MODEL,
    Choices,
    ChoicesOfACut,
    ChoicesOfAMatrix,
    ChoicesOfOneQuery,
    ChoicesOfSegments,
    Kind,
    Measure,
    Selection,
    check_syntax,
    fields_of_texts,
)
from attn_cli.data.shard import Fingerprinted, Shard
from attn_cli.data.stream import Source
from attn_cli.data.text import split_words
from attn_cli.data.turns import turns_from
from attn_cli.errors import InputError, UsageError, quoted
from attn_cli.io.read import read_records
from attn_cli.measure.corpus import gather, share_of
from attn_cli.measure.derived import measured, measured_model
from attn_cli.models import (
    AS_IT_HAS_THEM,
    FOR_ONE,
    MOST_TOKENS,
    Decoding,
    Input,
    Languages,
    LoadChoices,
    LoadOptions,
    Model,
    Translation,
)
from attn_cli.models import load as load_model
from attn_cli.models import wrap as wrap_model
from attn_cli.models.images import read_image
from attn_cli.models.prepare import read, run_without
from attn_cli.questions.ablate.attribution import Attributed, attribute
from attn_cli.questions.ablate.choices import By, CutChoice, DonorChoice, Instead, OutputChoice, check_of_image
from attn_cli.questions.ablate.corpus import Correlate, Correlations
from attn_cli.questions.ablate.donors import Means, mean_outputs, probe_name, probe_texts
from attn_cli.questions.ablate.effects import CollectEffects, HeadEffects
from attn_cli.questions.ablate.measure import ablate
from attn_cli.questions.ablate.trials import Ablation
from attn_cli.questions.diff.measure import Differences, diff
from attn_cli.questions.explain.measure import Explained, explain
from attn_cli.questions.find.measure import FoundLinks, find
from attn_cli.questions.generate.measure import generate
from attn_cli.questions.heads.gathered import Asked, Gathered
from attn_cli.questions.heads.measure import CollectHeads, HeadsFound, find_heads
from attn_cli.questions.heads.probe import SERIES, probe
from attn_cli.questions.heads.retrieval import find_needles
from attn_cli.questions.inspect.measure import Inspection, look
from attn_cli.system.encoding import check_text

if TYPE_CHECKING:
    from attn_cli.questions.heads.corpora import Corpora
    from attn_cli.questions.terms.glossary import Glossary
    from attn_cli.questions.tour.measure import Tour
    from attn_cli.questions.why.measure import Experiment, ExperimentName

__all__ = [
    "InspectOptions",
    "Inspector",
    "TranslateOptions",
    "load",
    "merge",
    "read_texts",
    "terms",
    "tour",
    "view",
    "why",
    "wrap",
]

Texts = list[str] | tuple[str, ...] | Iterator[str]
"""Several texts."""
Chat = Sequence[Mapping[str, Any]]
"""A chat: messages with a role and a content, as transformers' `apply_chat_template` takes them."""
Words = Literal["words", "spaces"] | Sequence[str]
"""How a text is divided into words: by Unicode's rules, at spaces, or by a list of words."""
Parts = Literal["turns", "lines"] | Sequence[tuple[str, str]]
"""How a text is divided into parts: at its turns, at its paragraphs or lines, or by each part's name and beginning."""

FIELDS = frozenset(Choices.__annotations__)
FIELDS_OF_SEGMENTS = frozenset(ChoicesOfSegments.__annotations__)
"""Fields of a selection that `inspect` takes, whose text may be a pair."""
FIELDS_WITHOUT_QUERY = frozenset(ChoicesOfOneQuery.__annotations__)
"""Fields of a selection that a question about all rows takes, as `heads` is."""
FIELDS_OF_CUTS = frozenset(ChoicesOfACut.__annotations__)
"""Fields of a selection that `ablate` takes."""
NEITHER = ("Neither a text nor an image is given", "Give one of them")
LISTS = frozenset({"layer", "head", "query"})
"""Fields of a `Selection` written as lists, for which a single int is accepted too."""


class InspectOptions(ChoicesOfSegments, total=False):
    """Options of `Inspector.inspect`."""

    parts: Parts | None
    split: Words | None
    pair: str | None
    target: str | None
    source_language: str | None
    target_language: str | None
    truncate: bool
    verify: bool
    without: str | int | None


class TranslateOptions(Choices, total=False):
    """Options of `Inspector.translate`."""

    target: str | None
    beam: int
    max_length: int | None
    source_language: str | None
    target_language: str | None
    truncate: bool
    verify: bool
    without: str | int | None


class AblateOptions(ChoicesOfACut, total=False):
    """Options of `Inspector.ablate`."""

    image: object
    edge: str | Sequence[str]
    by: By | None
    instead: Instead | None
    from_text: str | Texts | None
    from_probe: bool
    seed: int
    output: Literal["words", "states"] | None
    target: str | None
    against: str | None
    mask: str | None
    target_tokens: Literal["first", "all"] | None
    continuation: str | None
    pair: str | None
    source_language: str | None
    target_language: str | None
    truncate: bool
    verify: bool


class Inspector:
    """A loaded model whose attention can be inspected.

    Args:
        model: a model that `attn_cli.models.load` has loaded.
        options: the settings that it was loaded with by its name; None for a model in memory.
    """

    def __init__(self, model: Model, options: LoadOptions | None = None) -> None:
        self._model = model
        self._options = options

    def __repr__(self) -> str:
        return f"<attn {self.info.name} ({self.info.family})>"

    @property
    def info(self) -> ModelInfo:
        """The model's name and shape."""
        return self._model.info

    def read(
        self,
        text: str | Chat,
        *,
        pair: str | None = None,
        target: str | Translation | None = None,
        languages: Languages = AS_IT_HAS_THEM,
        truncate: bool = False,
        wanted: Selection | None = None,
        without: str | int | None = None,
        kind: Kind | None = None,
        parts: Parts | None = None,
        split: Words | None = None,
    ) -> Source:
        """Prepare a text as a source that streams blocks of attention to collectors (`attn_cli.data.stream`).

        Args:
            text: the text to read, or a chat, for which the model must have a template.
            pair: a second segment, for models that take two.
            target: the decoder's side, for an encoder-decoder.
            languages: languages of the text and the target, for models that need them.
            truncate: cut a text that is too long for the model.
            wanted: the selection to read for; if it needs the decoder's side, the text is translated first.
            without: the heads to run without, their output zero: `"2.0"`, `"cross:1.0,1.3"`, or a layer's, `"2"`.
            kind: the kind of attention of those whose kind is not named; None for the model's first.
            parts: how the text is divided into parts; by default a chat into its turns, and a text not at all.
            split: what a word is: `words` (Unicode word boundaries, the default), `spaces`, or a list of words.

        Raises:
            AttnError: the model cannot read the text, or does not have a head to run without.
        """
        given = Input("", pair, target, languages, truncate, split=None if split is None else split_words(split))
        given = self._given(text, given, parts)
        return read(self._run_without(without, kind), given, wanted)

    def _given(self, text: Any, given: Input, parts: Parts | None = None, *, answers: bool = False) -> Input:
        """Put a text or a chat into what the model is to read.

        Raises:
            InputError: a message is not of text, a chat has a pair, or the text has no such parts.
            ModelError: the model has no chat template, or it fails at these turns.
        """
        chat = _is_chat(text)
        if not chat:
            given = replace(given, text=text)
        elif given.pair is not None:
            raise UsageError("A chat is one text, so it takes no pair", "Leave the pair out")
        else:
            given = self._model.converse(turns_from(text, "The chat"), given, answers=answers)
        if parts is None or (chat and parts == "turns"):
            return given
        return replace(given, parts=split_parts(check_text(given.text), parts))

    def _run_without(self, without: str | int | None, kind: Kind | None, *, images: bool = False) -> Model:
        """Return the model, or its part that reads images, without some heads if any are named.

        Raises:
            UsageError: the list is not one of heads and layers.
            SelectionError: the model does not have one of them.
            ModelError: the model has no attention.
        """
        typed = str(without) if type(without) is int else without
        if not isinstance(typed, str | None):
            raise UsageError(f"without must be a str, and {quoted(str(typed))} is not", 'Write it like without="2.0"')
        return run_without(self._model.of_images() if images else self._model, typed, kind)

    def inspect(
        self,
        text: str | Chat | None = None,
        *,
        image: object = None,
        parts: Parts | None = None,
        split: Words | None = None,
        pair: str | None = None,
        target: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        without: str | int | None = None,
        **selection: Unpack[ChoicesOfSegments],
    ) -> Inspection:
        """Record the model's attention in a text or an image, as `attn inspect --json` prints it.

        Args:
            text: the text to read, or a chat: messages with a role and a content, for the model's own template.
            image: an image to read instead: the path of a file, an image of Pillow, a NumPy array, or a
                file's bytes.
            parts: how the text is divided into parts, whose shares are measured: `turns`, `lines`, or a list of names
                and beginnings; by default a chat into its turns.
            split: what a word is: `words` (Unicode word boundaries, the default), `spaces`, or a list of words.
            pair: a second segment, for models that take two.
            target: the decoder's side, for an encoder-decoder.
            source_language: language of the text, such as `en`, for models that need it.
            target_language: language of the target.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            without: the heads to run without, their output zero: `"2.0"`, `"cross:1.0,1.3"`, or a layer's, `"2"`.
            **selection: fields of `attn_cli.data.selection.Selection`: `layer="0-2"`, `head="2.5"`, `query="it"`, ...;
                whole numbers as such, too: `layer=2`. Of a pair, `from_segment=0, to_segment=1` shows one's words
                looking at the other's.

        Returns:
            The record; its `maps` hold `weights` `[head, query, key]` for each layer.

        Raises:
            AttnError: any error that the command would report.
        """
        choice = _choice(Selection(), selection, self.inspect, FIELDS_OF_SEGMENTS, viewed=True)
        wanted = choice if choice.relevance else None  # which is for an output, such as the translation
        source = self._read_either(
            text,
            image,
            choice,
            pair=pair,
            target=target,
            languages=Languages(source_language, target_language),
            truncate=truncate,
            without=without,
            wanted=wanted,
            parts=parts,
            split=split,
        )
        return look(source, choice, keep=True, verify=verify)

    def _read_either(
        self,
        text: str | Chat | None,
        image: object,
        choice: Selection,
        *,
        languages: Languages,
        pair: str | None = None,
        target: str | None = None,
        truncate: bool = False,
        without: str | int | None = None,
        wanted: Selection | None = None,
        parts: Parts | None = None,
        split: Words | None = None,
    ) -> Source:
        """Prepare a text or an image as a source, whichever is given; the other arguments are those of `read`.

        Raises:
            AttnError: both are given or neither, or the model cannot read what is given.
        """
        if image is not None:
            only_of_texts = {
                "text": text,
                "parts": parts,
                "split": split,
                "pair": pair,
                "target": target,
                "source_language": languages.source,
                "target_language": languages.target,
                "truncate": truncate or None,
            }
            return self._read_image(image, choice, only_of_texts, without)
        if text is None:
            raise UsageError(*NEITHER)
        return self.read(
            text,
            pair=pair,
            target=target,
            languages=languages,
            truncate=truncate,
            wanted=wanted,
            without=without,
            kind=choice.kind,
            parts=parts,
            split=split,
        )

    def _read_image(
        self, image: object, choice: Selection, beside: Mapping[str, object], without: str | int | None
    ) -> Source:
        """Prepare an image as a source.

        Args:
            image: the path of a file, an image of Pillow, a NumPy array, or a file's bytes.
            choice: the selection to show.
            beside: arguments that only a text can have, None where they are not given.
            without: the heads to run without.

        Raises:
            AttnError: something is given that only a text can have, or the model cannot read the image.
        """
        given = _image_alone(image, choice, beside)
        return self._run_without(without, choice.kind, images=True).prepare(given)

    def translate(
        self,
        text: str,
        *,
        target: str | None = None,
        beam: int = FOR_ONE.beam,
        max_length: int | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        without: str | int | None = None,
        **selection: Unpack[Choices],
    ) -> Inspection:
        """Translate a text and record the cross-attention, as `attn translate --json` prints it.

        Args:
            text: the text to translate.
            target: the translation, if it is known; no search is done then.
            beam: hypotheses to keep at each step; 1 is greedy.
            max_length: most tokens to generate; by default twice those of the text, plus 50.
            source_language: language of the text, such as `en`, for models that need it.
            target_language: language to translate into, such as `fr`.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            without: the heads to run without, their output zero: `"2.0"`, `"cross:1.0,1.3"`, or a layer's, `"2"`.
            **selection: fields of the selection, as in `inspect`.

        Returns:
            The record; `target.text` is the translation, and `maps` hold `weights` `[head, query, key]` for each layer.

        Raises:
            AttnError: any error that the command would report.
        """
        choice = _choice(Selection(translation=True), selection, self.translate, viewed=True)
        languages = Languages(source_language, target_language)
        written: str | Translation
        if target is None:
            decoding = Decoding(beam, max_length)
            model = self._run_without(without, choice.kind)
            (written,) = model.translate([text], decoding=decoding, languages=languages, truncate=truncate)
        else:
            written = target
        source = self.read(
            text,
            target=written,
            languages=languages,
            truncate=truncate,
            without=without,
            kind=choice.kind,
            wanted=choice,
        )
        return look(source, choice, keep=True, verify=verify)

    def generate(
        self,
        text: str | Chat,
        *,
        continuation: str | None = None,
        parts: Parts | None = None,
        max_tokens: int = MOST_TOKENS,
        beam: int = 1,
        temperature: float = 0.0,
        top_p: float | None = None,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        live: bool = False,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        without: str | int | None = None,
        **selection: Unpack[Choices],
    ) -> Inspection:
        """Write what follows a text and record what each word looked at, as `attn generate --json` prints it.

        Args:
            text: the text to go on from (or to translate, for an encoder-decoder), or a chat to answer.
            continuation: what follows, if it is known; nothing is written then.
            parts: how the text is divided into parts, as in `inspect`.
            max_tokens: most tokens to write.
            beam: hypotheses to keep at each step; 1 is greedy.
            temperature: temperature to draw tokens at; 0 takes the likeliest each time.
            top_p: draw from the fewest tokens with this share; by default as the model's own settings say.
            seed: seed of the draws.
            stop: texts at whose end writing stops.
            live: take the attention at each step, under the cache that the model writes with, and not in a pass
                afterwards.
            source_language: language of the text, such as `en`, for models that need it.
            target_language: language to write in, such as `fr`, for models that need it.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            without: the heads to run without, their output zero: `"2.0"`, `"cross:1.0,1.3"`, or a layer's, `"2"`.
            **selection: fields of the selection, as in `inspect`.

        Returns:
            The record; `chances` holds the log-probability and entropy of each token written, and the likeliest ones,
            and `maps` hold `weights` `[head, query, key]` for each layer.

        Raises:
            AttnError: any error that the command would report.
        """
        choice = _choice(Selection(), selection, self.generate, viewed=True)
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        decoding = Decoding(beam, max_tokens, temperature, top_p, seed, stops, most_option="--max-tokens")
        plain = Input("", languages=Languages(source_language, target_language), truncate=truncate)
        given = self._given(text, plain, parts, answers=True)
        model = self._run_without(without, choice.kind)
        return generate(model, given, choice, known=continuation, decoding=decoding, live=live, verify=verify)

    def heads(
        self,
        text: str | Chat | Iterable[str | Chat] | None = None,
        *,
        needle: bool = False,
        cut: bool = False,
        seed: int = 0,
        shard: str | None = None,
        workers: str | int | None = None,
        truncate: bool = False,
        without: str | int | None = None,
        **selection: Unpack[ChoicesOfOneQuery],
    ) -> HeadsFound:
        """Measure what each head does in one text, in several or in a probe, as `attn heads` shows it.

        Args:
            text: the text to read, or a chat; several are combined, and None stands for repeated random tokens
                (`--probe`).
            needle: hide made-up facts in a text of its own, and find the heads that copy them, in place of `text`.
            cut: with `needle`, also count the facts found without these heads, and without as many random ones.
            seed: seed of the random tokens, or of the random heads.
            shard: measure only this part of several texts, of a probe or of needles, such as `"3/16"`; what is returned
                is then saved with `.save("part3.npz")`, and merged with the others by `attn_cli.merge`.
            workers: share several texts, a probe or needles out, over so many processes of this machine, or over the
                workers of a Dask scheduler, `"tcp://HOST:8786"`. Texts that are too long are then cut, and those that
                cannot be read are left out, with notes. A script needs `if __name__ == "__main__":` around its own code
                for it.
            truncate: cut a text that is too long for the model.
            without: the heads to run without, their output zero: `"2.0"`, `"cross:1.0,1.3"`, or a layer's, `"2"`.
            **selection: fields of the selection, as in `inspect`.

        Returns:
            The finding; its `heads` hold each head's figures, its scores, and its `roles`.

        Raises:
            AttnError: any error that the command would report.
        """
        choice = _choice(Selection(), selection, self.heads, FIELDS_WITHOUT_QUERY)
        if needle and text is not None:
            raise UsageError("needle hides facts in a text of its own", "Leave the text out")
        if cut and not needle:
            raise UsageError("cut cuts the retrieval heads that needle finds", "Add needle=True")
        single = isinstance(text, str) or (text is not None and _is_chat(text))
        if shard is not None and single:
            raise UsageError("shard divides a corpus", "Give a list of texts, or leave it out")
        if shard is not None and cut:
            raise UsageError(
                "cut cuts the retrieval heads, which are known once all parts are measured, and shard measures one",
                "Leave one of them out, or share cut out over workers",
            )
        if workers is not None and single:
            raise UsageError("workers share out several texts", "Give a list of texts, or leave workers out")
        if workers is not None or (shard is not None and text is None):
            asked = Asked(choice, "needles") if needle else Asked(choice)
            if text is None and not needle:
                asked = Asked(choice, "probe", seed)
            several = cast("Iterable[str | Chat]", () if text is None else text)
            corpora = self._corpora(workers, several, asked, without)
            if shard is not None:
                return corpora.part(Shard.parse(shard, os.environ), "texts")
            return corpora.whole("texts", cut=seed if cut else None)
        model = self._run_without(without, choice.kind)
        if needle:
            return find_needles(model, choice, cut=cut, seed=seed)
        if text is None:
            return probe(model, choice, seed)

        def prepared(one: str | Chat) -> Source:
            return read(model, self._given(one, Input("", truncate=truncate)), choice)

        if isinstance(text, str) or _is_chat(text):
            return find_heads(prepared(cast("str | Chat", text)), choice)
        texts = cast("Iterable[str | Chat]", text)
        if shard is not None:
            return _heads_of_part(Shard.parse(shard, os.environ), texts, model, choice, prepared)
        collect = CollectHeads(choice)
        report = gather((measured(prepared(one), choice) for one in texts), collect).report
        if not collect.texts:
            raise InputError("There are no texts", "Give at least one")
        return collect.found(measured_model(model.info, choice.measure), report, "texts")

    def _corpora(
        self, workers: str | int | None, texts: Iterable[str | Chat], asked: Asked, without: str | int | None
    ) -> Corpora:
        """Return what measures the heads over several texts, or texts that are made, as `attn heads` does.

        Raises:
            AttnError: the model cannot be run so, or there are workers and it is one in memory.
        """
        # Imported late: only workers and parts need what the command line is made of.
        from attn_cli.cli.inputs import Given
        from attn_cli.cli.options import ModelOptions, PromptOptions
        from attn_cli.cli.tables import Sentence
        from attn_cli.cli.workers import Workers
        from attn_cli.questions.heads.corpora import Corpora

        if workers is not None and self._options is None:
            raise UsageError("Workers load a model by its name", "Save this one in a folder, and load it from there")
        farm = None if workers is None else Workers.parse(str(workers), shared=True, instead="")
        choice, options = asked.selection, self._options
        model = self._run_without(without, choice.kind)
        named = ModelOptions(
            model=self.info.name,
            **({} if options is None else {one.name: getattr(options, one.name) for one in fields(options)}),
        )
        heads = None if without is None else str(without)
        given = Given(
            (Sentence(_no_chat(one), f"text {number}") for number, one in enumerate(texts, start=1)),
            None,
            None,
            PromptOptions(),
            named,
            choice,
            heads,
            choice.kind,
        )
        corpora = Corpora(given, asked, farm, series=SERIES[:2])
        corpora.model = model
        return corpora

    def find(
        self,
        text: str | Chat | None = None,
        start: str | int | None = None,
        end: str | int | None = None,
        *,
        image: object = None,
        both: bool = False,
        pair: str | None = None,
        target: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        without: str | int | None = None,
        **selection: Unpack[Choices],
    ) -> FoundLinks:
        """Find the heads that link two words of a text, as `attn find` shows them.

        Args:
            text: the text to read, or a chat.
            start: the query: a word such as `it` or `it#2`, or its position; if the text has no such word, a word of
                the translation, which is then generated first.
            end: the key: a word, or its position.
            image: an image to read instead of a text, as in `inspect`; its patches are named by row and column: `r1c2`.
            both: search the other direction too.
            pair: a second segment, for models that take two.
            target: the decoder's side, for an encoder-decoder.
            source_language: language of the text, such as `en`, for models that need it.
            target_language: language of the target.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            without: the heads to run without, their output zero: `"2.0"`, `"cross:1.0,1.3"`, or a layer's, `"2"`.
            **selection: fields of the selection, as in `inspect`.

        Returns:
            The finding; its `links` hold each head's weight and the baseline it is compared with, strongest first.

        Raises:
            AttnError: any error that the command would report.
        """
        choice = _choice(Selection(), selection, self.find)
        if start is None or end is None:
            raise UsageError("start and end are the two words that are linked", "Give both")
        source = self._read_either(
            text,
            image,
            choice,
            pair=pair,
            target=target,
            languages=Languages(source_language, target_language),
            truncate=truncate,
            without=without,
            wanted=replace(choice, query=str(start)),
        )
        return find(source, choice, str(start), str(end), both=both, verify=verify)

    def diff(
        self,
        a: str | Chat | Record | None = None,
        b: str | Chat | Record | None = None,
        *,
        image: object = None,
        against: Inspector | None = None,
        target: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        without: str | int | None = None,
        **selection: Unpack[Choices],
    ) -> Differences:
        """Compare the attention in two texts or records, or of two models, as `attn diff` shows it.

        Args:
            a: the first text, chat or record.
            b: the second; `a` by default.
            image: an image to read instead, as in `inspect`, or a tuple of two: A and B.
            against: the inspector that reads `b`; this one by default.
            target: the decoder's side of both, for an encoder-decoder.
            source_language: language of the texts, such as `en`, for models that need it.
            target_language: language of the target.
            truncate: cut texts that are too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            without: the heads to run B without, their output zero: `"2.0"`, `"cross:1.0,1.3"`, or a layer's, `"2"`.
            **selection: fields of the selection, as in `inspect`.

        Returns:
            The finding; its `heads` hold each head's Jensen-Shannon divergence in bits, most changed first.

        Raises:
            AttnError: any error that the command would report.
        """
        choice = _choice(Selection(), selection, self.diff)
        languages = Languages(source_language, target_language)
        if image is not None:
            sides = image if isinstance(image, tuple) else (image, image)
            if len(sides) != 2:
                raise UsageError(f"A and B are two images, and {len(sides)} are given", "Give one, or a tuple of two")
            only_of_texts = {
                "a": a,
                "b": b,
                "target": target,
                "source_language": source_language,
                "target_language": target_language,
                "truncate": truncate or None,
            }
            first, second = (
                model._read_image(side, choice, only_of_texts, heads)  # noqa: SLF001 - of this class
                for model, side, heads in ((self, sides[0], None), (against or self, sides[1], without))
            )
            return diff(first, second, choice, verify=verify)
        if a is None:
            raise UsageError("Neither a text, a record nor an image is given", "Give one of them")

        def look_at(side: str | Chat | Record, model: Inspector, without: str | int | None = None) -> Source:
            if not isinstance(side, Record):
                return model.read(
                    side,
                    target=target,
                    languages=languages,
                    truncate=truncate,
                    wanted=choice,
                    without=without,
                    kind=choice.kind,
                )
            if without is not None:
                raise UsageError(HOLDS_NO_MODEL, "Give B as a text")
            return side

        one, other = look_at(a, self), look_at(a if b is None else b, against or self, without)
        return diff(one, other, choice, verify=verify)

    @overload
    def ablate(self, text: str | Chat | None = None, **options: Unpack[AblateOptions]) -> Ablation: ...

    @overload
    def ablate(self, text: Texts, **options: Unpack[AblateOptions]) -> HeadEffects | Correlations: ...

    def ablate(
        self,
        text: str | Chat | Texts | None = None,
        *,
        image: object = None,
        edge: str | Sequence[str] = (),
        by: By | None = None,
        instead: Instead | None = None,
        from_text: str | Texts | None = None,
        from_probe: bool = False,
        seed: int = 0,
        output: Literal["words", "states"] | None = None,
        target: str | None = None,
        against: str | None = None,
        mask: str | None = None,
        target_tokens: Literal["first", "all"] | None = None,
        continuation: str | None = None,
        pair: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        **selection: Unpack[ChoicesOfACut],
    ) -> Ablation | HeadEffects | Correlations:
        """Cut heads or edges of the model's attention and measure its output, as `attn ablate` shows it.

        Args:
            text: the text to read, or a chat, or several texts: then each head is cut in turn (with `by="heads"`, each
                of those chosen), or with `query` each key in each head, and only the sums over the texts are kept.
            image: an image to read instead: the path of a file, an image of Pillow, a NumPy array, or a
                file's bytes.
            edge: the edges to cut, such as `it:trophy`; by default, heads are cut whole.
            by: `heads` to cut each of the heads chosen in turn, whole or the edges in it; `layers` to cut the edges in
                each band of layers: a sixth of them, or each of fewer than 12.
            instead: what stands in the place of a head's output: `zero` (the default), `mean` over the text's
                positions, `even` weights, or `resample` for its output in another text. It is `--with` of the command.
            from_text: the text to take outputs from, or the texts to take means over. To resample several texts, one
                for each of them.
            from_probe: take means over the texts that `heads` generates to probe heads.
            seed: seed of these texts.
            output: `words` or `states`; by default words, if the model chooses any.
            target: the text to measure: what follows a decoder's text, a translation, or a masked word.
            against: another text; the difference of the logits is measured.
            mask: a word of the text to mask, and to measure.
            target_tokens: the tokens to measure of a target that has several.
            continuation: a text that goes on from a decoder's text, all of which is measured.
            pair: a second segment, for models that take two.
            source_language: language of the text, such as `en`, for models that need it.
            target_language: language of the target.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            **selection: the heads to cut, `head="2.0"` or `layer=2`; or `query`, a word whose keys are cut in turn;
                without them, every head is cut in turn, and with `by="heads"` each of them.

        Returns:
            The finding; its `trials` hold the effect of each cut, and `before` the output with nothing cut. Of several
            texts, its `heads` hold each head's mean effect, or with `query` its mean correlation.

        Raises:
            AttnError: any error that the command would report.
        """
        choice = _choice(Selection(), selection, self.ablate, FIELDS_OF_CUTS)
        cut = CutChoice(instead, (edge,) if isinstance(edge, str) else tuple(edge), by)
        if continuation is not None and target is not None:
            raise UsageError("target and continuation both say what is measured", "Give one of them")
        wanted = OutputChoice(output, against, mask, target_tokens, continues=continuation is not None)
        target = continuation if target is None else target
        given = Input("", pair, target, Languages(source_language, target_language), truncate)
        if image is not None:
            donor = DonorChoice(None if from_text is None else "a text", probe=from_probe)
            check_of_image(wanted, cut, donor)
            only_of_texts = {
                "text": text,
                "pair": pair,
                "target": target,
                "source_language": source_language,
                "target_language": target_language,
                "truncate": truncate or None,
            }
            pixels = _image_alone(image, choice, only_of_texts)
            return ablate(self._model.of_images(), pixels, choice, wanted, cut, verify=verify)
        if text is None:
            raise UsageError(*NEITHER)
        if isinstance(from_text, str | None):
            DonorChoice(from_text, probe=from_probe).check(instead)
        elif instead != "resample" or isinstance(text, str):
            DonorChoice(file="a list", probe=from_probe).check(instead)
        means = None
        if instead == "mean" and (from_text is not None or from_probe):
            means = self._means(replace(given, pair=None, target=None), choice, from_text, seed)
        if isinstance(text, str) or _is_chat(text):
            if instead == "resample" and not isinstance(text, str):
                raise UsageError("Outputs of another text cannot stand in a chat", "Choose another `instead`")
            other = from_text if instead == "resample" and isinstance(from_text, str) else means
            return ablate(
                self._model,
                self._given(text, given, answers=True),
                choice,
                wanted,
                cut,
                donor=other,
                verify=verify,
            )
        several = cast("Texts", text)  # neither a text nor a chat
        cut.check(choice)
        if choice.query is None and not cut.sweeps(choice):
            raise UsageError(
                "Heads and edges that are cut at once are measured in one text",
                "Ablate the texts singly, or choose --by heads",
            )
        if choice.query is not None:
            links = Correlate(self._model, choice, wanted)
            for one in several:
                links.add(replace(given, text=one))
            return links.found("texts")
        beside = from_text if instead == "resample" else None
        if isinstance(text, list | tuple) and isinstance(beside, list | tuple) and len(text) != len(beside):
            raise UsageError(
                f"{len(text)} texts need as many to take outputs from, not {len(beside)}", "Give one for each"
            )
        effects = CollectEffects(self._model, choice, wanted, cut, means, verify=verify)
        for one, other in zip(several, repeat(beside) if isinstance(beside, str | None) else beside, strict=False):
            effects.add(replace(given, text=one), other)
        return effects.found("texts")

    def _means(self, given: Input, choice: Selection, texts: str | Texts | None, seed: int) -> Means:
        """Return the heads' mean outputs over texts; None stands for those that probe heads."""
        if texts is None:
            return mean_outputs(self._model, probe_texts(self._model, given, seed), choice, probe_name(seed))
        if isinstance(texts, str):
            return mean_outputs(self._model, [replace(given, text=texts)], choice, texts, several=False)
        return mean_outputs(self._model, (replace(given, text=text) for text in texts), choice, "a list")

    def attribute(
        self,
        text: str | Chat,
        *,
        target: str | None = None,
        against: str | None = None,
        target_tokens: Literal["first"] | None = None,
        instead: Instead | None = None,
        truncate: bool = False,
        verify: bool = False,
    ) -> Attributed:
        """Take the logit of a decoder's next token apart, as `attn ablate --attribution` shows it.

        Args:
            text: the text to read, or a chat.
            target: the token that follows; by default the likeliest.
            against: another token, whose logit is taken off.
            target_tokens: `first` to take the first token of a target that has several.
            instead: what stands in the place of a head's output while each head is cut in turn, to hold the effects
                beside the parts: `zero`, `mean` or `even`; by default nothing is cut.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.

        Returns:
            The finding; its `heads` hold what each head adds, and `attribution.parts` all parts of the logit.

        Raises:
            AttnError: any error that the command would report.
        """
        given = self._given(text, Input("", target=target, truncate=truncate), answers=True)
        wanted = OutputChoice(against=against, target_tokens=target_tokens)
        return attribute(self._model, given, Selection(), wanted, CutChoice(instead), verify=verify)

    def explore(
        self,
        text: str | None = None,
        *more: str,
        image: object = None,
        kind: Kind | None = None,
        unit: Literal["word", "token"] = "word",
        measure: Measure = "weights",
    ) -> None:
        """Walk about in a text's attention in the whole terminal, as `attn explore` does, until you leave with q.

        Args:
            text: the text to begin with.
            *more: further texts.
            image: an image to read instead: the path of a file, an image of Pillow, or a NumPy array.
            kind: the kind of attention to begin with; by default the model's first.
            unit: words, or the model's own tokens.
            measure: the figure to begin with.

        Raises:
            UsageError: there is no terminal, or Textual is not installed, or there is not either a text or an image.
            AttnError: any error of the first run.
        """
        # Imported late: a program that explores nothing needs none of it.
        from attn_cli.questions.explore.opening import check_terminal, explore
        from attn_cli.questions.explore.subject import Subject

        choice = Selection(kind=kind, unit=unit, measure=measure)
        check_syntax(choice)
        if (text is None) == (image is None):
            raise UsageError(*(NEITHER if text is None else ("A text and an image are both given", "Leave one out")))
        check_terminal()
        subjects = [Subject(self._model, Input(one)) for one in (text, *more) if one is not None]
        if image is not None:
            read = read_image(image)
            subjects = [Subject(self._model.of_images(), Input("", image=read), file=read.name)]
        running = explore(subjects, choice, default_model="")
        if running is not None:
            running.join()  # the model is the caller's, and is not used by two at a time

    def explain(
        self,
        text: str | Chat | None = None,
        query: str | int | None = None,
        *,
        image: object = None,
        pair: str | None = None,
        target: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        without: str | int | None = None,
        **selection: Unpack[ChoicesOfOneQuery],
    ) -> Explained:
        """Compute scores, softmax and weighted sum of one query in one head step by step, as `attn explain` shows them.

        Args:
            text: the text to read, or a chat.
            query: the query: a word such as `it` or `it#2`, or its position; if the text has no such word, a word of
                the translation, which is then generated first.
            image: an image to read instead of a text, as in `inspect`; its patches are named by row and column: `r1c2`.
            pair: a second segment, for models that take two.
            target: the decoder's side, for an encoder-decoder.
            source_language: language of the text, such as `en`, for models that need it.
            target_language: language of the target.
            truncate: cut a text that is too long for the model.
            verify: also run the model without attn and compare; see `Record.verified` and `Record.output`.
            without: the heads to run without, their output zero: `"2.0"`, `"cross:1.0,1.3"`, or a layer's, `"2"`.
            **selection: fields of the selection, as in `inspect`; `head="2.5"`, else that whose row shows most.

        Returns:
            The finding; its `steps` hold `scores`, `weights` and `context`, and the terms of the scores.

        Raises:
            AttnError: any error that the command would report.
        """
        choice = _choice(Selection(view="query"), {**selection, "query": query}, self.explain)
        source = self._read_either(
            text,
            image,
            choice,
            pair=pair,
            target=target,
            languages=Languages(source_language, target_language),
            truncate=truncate,
            without=without,
            wanted=choice,
        )
        return explain(source, choice, verify=verify)


def _image_alone(image: object, choice: Selection, beside: Mapping[str, object]) -> Input:
    """Read an image, beside which there is nothing that only a text can have.

    Args:
        image: the path of a file, an image of Pillow, a NumPy array, or a file's bytes.
        choice: the selection to show.
        beside: arguments that only a text can have, None where they are not given.

    Raises:
        UsageError: one of them is given.
        InputError: it is not an image, or cannot be read.
    """
    for name in (*(name for name, value in beside.items() if value is not None), *fields_of_texts(choice)):
        raise UsageError(f"An image has no {name}", f"Leave {name} out, or give a text")
    return Input("", image=read_image(image))


def _is_chat(text: object) -> bool:
    """Return whether a text is a chat, as several texts may be a list too."""
    return isinstance(text, list | tuple) and bool(text) and all(isinstance(one, Mapping) for one in text)


def _choice(
    base: Selection,
    given: Mapping[str, Any],
    method: Callable[..., Any],
    fields: Collection[str] = FIELDS,
    *,
    viewed: bool = False,
) -> Selection:
    """Make a selection from fields, as the command makes one from its options; scores change the unit to tokens.

    Args:
        base: the selection without them.
        given: the fields, by name.
        method: the method that was called; its own parameters are suggested for a misspelled one.
        fields: the names that it takes.
        viewed: change the view to a query that is named.

    Raises:
        UsageError: there is no such field, or a list does not have the syntax of a list.
    """
    _check_names(given, fields, method)
    numbers = {name: str(value) for name, value in given.items() if name in LISTS and type(value) is int}
    choice = replace(base, **{**given, **numbers})
    if viewed and choice.query is not None and choice.view == "heads":
        choice = replace(choice, view="query")
    if choice.scores:  # a word of several pieces has no single score
        choice = replace(choice, unit="token")
    check_syntax(choice)
    return choice


def _check_names(given: Iterable[str], known: Iterable[str], function: Callable[..., Any]) -> None:
    """Check the names of options, which Python itself does not where they are collected.

    Raises:
        UsageError: an option has another name.
    """
    for name in given:
        if name not in known:
            own = [one.name for one in signature(function).parameters.values() if one.kind is not one.VAR_KEYWORD]
            names = sorted({*known, *own})
            raise UsageError(f"{function.__name__}() has no option {quoted(name)}", _suggestion(name, names))


def _suggestion(name: str, names: Iterable[str]) -> str:
    """Name the nearest of some names; if none is near, all of them."""
    names = list(names)
    alike = get_close_matches(name, names, n=1)
    return f"Did you mean {alike[0]}?" if alike else f"Use {', '.join(names)}"


def load(name: str | os.PathLike[str], **options: Unpack[LoadChoices]) -> Inspector:
    """Load a model to inspect.

    Args:
        name: a built-in model, a folder, or a name on the hub.
        **options: fields of `attn_cli.models.LoadOptions`: `device`, `dtype`, `revision`, ...

    Raises:
        UsageError: there is no such option, or it cannot have this value.
        ModelError: the model cannot be found, read or inspected.
    """
    _check_names(options, LoadChoices.__annotations__, load)
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


def _no_chat(text: str | Chat) -> str:
    """Return a text, for workers.

    Raises:
        UsageError: it is a chat.
    """
    if not isinstance(text, str):
        raise UsageError("Workers read texts, not chats", "Leave workers out")
    return check_text(text)


def read_texts(path: str | os.PathLike[str], *, field: str | None = None) -> Iterator[str]:
    """Read the texts of a corpus one after another, as `--file` does; see `attn_cli.read_texts`.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    # Imported late: only a corpus needs it.
    from attn_cli.cli.tables import FieldNames
    from attn_cli.cli.texts import sentences

    return (one.text for one in sentences(None, Path(path), chosen=FieldNames(field)))


def _heads_of_part(
    shard: Shard,
    texts: Iterable[str | Chat],
    model: Model,
    selection: Selection,
    prepare: Callable[[str | Chat], Source],
) -> HeadsFound:
    """Measure the heads over a part of several texts."""
    # Imported late: only parts need what describes them.
    from attn_cli.questions.heads.parts import CorpusPart, part_figures, part_of

    whole = Fingerprinted(texts, lambda one: one)
    gathered, collect = Gathered(Asked(selection)), CollectHeads(selection)
    tally = gather((measured(prepare(one), selection) for _, one in share_of(whole, shard)), collect)
    gathered.merge(collect.state())
    info = measured_model(model.info, selection.measure)
    of = CorpusPart(shard, "texts", whole.fingerprint)
    return part_figures(part_of(of, info, model.fingerprint, tally, gathered))


def merge(*parts: str | os.PathLike[str]) -> HeadsFound:
    """Merge the parts of a corpus that were measured apart, as `attn heads part*.npz` shows them.

    Args:
        parts: the files of all parts, in any order.

    Returns:
        The finding over the whole corpus, as `Inspector.heads` returns it.

    Raises:
        InputError: a file is damaged or no part, a part is missing or given twice, or is of another run.
    """
    # Imported late: only parts need what describes them.
    from attn_cli.questions.heads.parts import merge_parts

    if not parts:
        raise InputError("There are no parts", "Give the files of all parts")
    return merge_parts([Path(part) for part in parts])


def view(
    maps: object,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    kind: Kind | None = None,
    check: bool = True,
    array: str | None = None,
    name: str = "matrix",
    **selection: Unpack[ChoicesOfAMatrix],
) -> Inspection:
    """Show a saved record again, or any matrix of weights, as `attn view` shows them.

    Args:
        maps: a matrix `[query, key]`, `[head, query, key]` or `[layer, head, query, key]`, as an array, a tensor,
            lists or a `DataFrame`, which has labels; a tuple or list with `[head, query, key]` or
            `[batch, head, query, key]` for each layer, as transformers' `output_attentions` returns it (None for a
            layer without); or the path of a file that `attn view` takes.
        rows: the labels of the rows; by default those of the columns if there are as many, or numbers.
        columns: the labels of the columns.
        kind: the kind of attention; by default what the shape, the labels and the zeros say.
        check: refuse rows that do not sum to 1.
        array: the array of an `.npz` to show; by default all that are weights.
        name: the name to show.
        **selection: fields of the selection, as in `inspect`.

    Returns:
        The record; its `maps` hold `weights` `[head, query, key]` for each layer.

    Raises:
        AttnError: any error that the command would report.
    """
    if rows is None and columns is None and hasattr(maps, "columns") and hasattr(maps, "index"):  # pandas
        rows, columns = list(map(str, maps.index)), list(map(str, maps.columns))
    choice = _choice(Selection(), selection, view, ChoicesOfAMatrix.__annotations__, viewed=True)
    labelling = Labelling(_listed(rows), _listed(columns), kind, checked=check, array=array)
    if isinstance(maps, str | os.PathLike):
        (record, *others) = islice(read_records(Path(maps), labelling), 2)
        if others:
            raise InputError(f"{os.fspath(maps)} holds several records", "Read them with attn_cli.io.read.read_records")
        fields = {field: getattr(choice, field) for field in selection}
        shown = replace(record.selection, view=choice.view, **{**fields, "kind": kind})
    else:
        labelling.check_alone(name)
        layers, dtype = layers_of(maps, name)
        record, shown = matrix_record(layers, name, labelling, dtype=dtype), choice
    return look(record, shown, keep=True)


def _listed(labels: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(labels, str):
        return parse_labels(labels)
    return None if labels is None else tuple(map(str, labels))


def why(experiment: ExperimentName, *, quick: bool = False) -> Experiment:
    """Measure why attention matters in one experiment on the built-in models, as `attn why` shows it.

    Args:
        experiment: name of the experiment.
        quick: take few texts.

    Returns:
        The answer; its `measures` hold each model's points, and `borne_out` says whether they bear out its `claim`.

    Raises:
        UsageError: there is no such experiment.
    """
    # Imported late: the experiments need the grammar and the measures of translations, which nothing else here does.
    from attn_cli.questions.why.experiments import EXPERIMENTS, load_built_in, run_experiment

    if experiment not in EXPERIMENTS:
        raise UsageError(f"There is no experiment {quoted(experiment)}", _suggestion(experiment, EXPERIMENTS))
    return run_experiment(experiment, load_built_in(), quick=quick)


def tour(text: str | None = None, *, chapter: int | None = None) -> Tour:
    """Walk through the lesson on attention with the built-in models, as `attn tour` prints it.

    Args:
        text: a sentence to show it on; by default those of the lesson.
        chapter: the only chapter to make, from 1; by default all.

    Returns:
        The answer; its `chapters` hold each chapter's words, pictures, `figures` and `commands`.

    Raises:
        InputError: the sentence is empty, or the models make no tokens of it.
        UsageError: it has too many words, or there is no such chapter.
    """
    # Imported late: the chapters need the grammar and the measures of translations, which nothing else here does.
    from attn_cli.questions.tour.chapters import tour as make_tour

    return make_tour(text, chapter)


def terms(*words: str) -> Glossary:
    """Explain terms that the tables use, as `attn terms` shows them.

    Args:
        words: the terms, or parts of some; all terms by default.

    Returns:
        The answer; its `terms` hold each term's `name`, `meaning` and `formula`.

    Raises:
        SelectionError: there is no term of one of these names.
    """
    from attn_cli.questions.terms.glossary import find_terms

    return find_terms(*words)
