"""`Inspector`: a model that is loaded once, and asked in Python what the commands ask."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, Unpack, cast, get_args, overload

from attn_cli.api.ablations import correlations_over, effects_over, means_over
from attn_cli.api.corpora import corpora_of, heads_of_part
from attn_cli.api.inputs import (
    NEITHER,
    Chat,
    Parts,
    Texts,
    Words,
    input_of,
    input_of_image,
    is_chat,
    model_without,
    source_of_image,
)
from attn_cli.api.options import (
    FIELDS_OF_CHANGES,
    FIELDS_OF_CUTS,
    FIELDS_OF_HEADS,
    FIELDS_OF_ROWS,
    FIELDS_OF_SEGMENTS,
    AblateOptions,
    check_unused,
    selection_of,
)
from attn_cli.data.model import ModelInfo
from attn_cli.data.record import Record
from attn_cli.data.selection import (
    HOLDS_NO_MODEL,
    Choices,
    ChoicesOfACut,
    ChoicesOfARow,
    ChoicesOfChanges,
    ChoicesOfHeads,
    ChoicesOfSegments,
    Kind,
    Measure,
    Selection,
    check_known,
    check_syntax,
)
from attn_cli.data.shard import Shard
from attn_cli.data.stream import Source
from attn_cli.data.text import split_words
from attn_cli.errors import InputError, UsageError
from attn_cli.measure.corpus import gather
from attn_cli.measure.derived import measured, measured_model
from attn_cli.models import (
    AS_IT_HAS_THEM,
    FOR_ONE,
    MOST_TOKENS,
    Decoding,
    Input,
    Languages,
    LoadOptions,
    Model,
    Translation,
)
from attn_cli.models.images import read_image
from attn_cli.models.prepare import read
from attn_cli.questions.ablate.attribution import Attributed, attribute
from attn_cli.questions.ablate.choices import By, CutChoice, DonorChoice, Instead, OutputChoice, check_of_image
from attn_cli.questions.ablate.corpus import Correlations
from attn_cli.questions.ablate.effects import CollectEffects, HeadEffects
from attn_cli.questions.ablate.measure import ablate
from attn_cli.questions.ablate.trials import Ablation
from attn_cli.questions.diff.measure import Differences, DiffSort, diff
from attn_cli.questions.explain.measure import Explained, explain
from attn_cli.questions.find.measure import FindSort, FoundLinks, find
from attn_cli.questions.generate.measure import generate
from attn_cli.questions.heads.gathered import Asked
from attn_cli.questions.heads.measure import CollectHeads, HeadsFound, find_heads
from attn_cli.questions.heads.probe import probe
from attn_cli.questions.heads.retrieval import find_needles
from attn_cli.questions.inspect.measure import Inspection, look

__all__ = ["Inspector"]


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
        given = input_of(self._model, text, given, parts)
        return read(model_without(self._model, without, kind), given, wanted)

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
        choice = selection_of(Selection(), selection, self.inspect, FIELDS_OF_SEGMENTS, viewed=True)
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
            return source_of_image(self._model, image, choice, only_of_texts, without)
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

    def translate(
        self,
        text: str,
        *,
        target: str | None = None,
        beam: int | None = None,
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
            beam: hypotheses to keep at each step; by default 4, and 1 is greedy.
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
        choice = selection_of(Selection(translation=True), selection, self.translate, viewed=True)
        languages = Languages(source_language, target_language)
        written: str | Translation
        if target is None:
            decoding = Decoding(FOR_ONE.beam if beam is None else beam, max_length)
            model = model_without(self._model, without, choice.kind)
            (written,) = model.translate([text], decoding=decoding, languages=languages, truncate=truncate)
        else:
            check_unused("Nothing is searched where target is the translation", beam=beam, max_length=max_length)
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
        max_tokens: int | None = None,
        beam: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | None = None,
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
            max_tokens: most tokens to write; by default 40.
            beam: hypotheses to keep at each step; by default 1, which is greedy.
            temperature: temperature to draw tokens at; by default 0, which takes the likeliest each time.
            top_p: draw from the fewest tokens with this share; by default as the model's own settings say.
            seed: seed of the draws; by default 0.
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
        choice = selection_of(Selection(), selection, self.generate, viewed=True)
        if continuation is not None:
            check_unused(
                "Nothing is written where continuation says what follows",
                max_tokens=max_tokens,
                beam=beam,
                temperature=temperature,
                top_p=top_p,
                seed=seed,
                stop=stop,
            )
        stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
        most = MOST_TOKENS if max_tokens is None else max_tokens
        width = 1 if beam is None else beam
        decoding = Decoding(width, most, temperature or 0.0, top_p, seed or 0, stops, most_option="--max-tokens")
        plain = Input("", languages=Languages(source_language, target_language), truncate=truncate)
        given = input_of(self._model, text, plain, parts, answers=True)
        model = model_without(self._model, without, choice.kind)
        return generate(model, given, choice, known=continuation, decoding=decoding, live=live, verify=verify)

    def heads(
        self,
        text: str | Chat | Iterable[str | Chat] | None = None,
        *,
        needle: bool = False,
        cut: bool = False,
        seed: int | None = None,
        shard: str | None = None,
        workers: str | int | None = None,
        truncate: bool = False,
        without: str | int | None = None,
        **selection: Unpack[ChoicesOfHeads],
    ) -> HeadsFound:
        """Measure what each head does in one text, in several or in a probe, as `attn heads` shows it.

        Args:
            text: the text to read, or a chat; several are combined, and None stands for repeated random tokens
                (`--probe`).
            needle: hide made-up facts in a text of its own, and find the heads that copy them, in place of `text`.
            cut: with `needle`, also count the facts found without these heads, and without as many random ones.
            seed: seed of the random tokens, or of the random heads; by default 0.
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
        choice = selection_of(Selection(), selection, self.heads, FIELDS_OF_HEADS)
        if needle and text is not None:
            raise UsageError("needle hides facts in a text of its own", "Leave the text out")
        if cut and not needle:
            raise UsageError("cut cuts the retrieval heads that needle finds", "Add needle=True")
        if seed is not None and not cut and (needle or text is not None):
            raise UsageError("seed is for random tokens, or for the random heads of cut", "Leave seed out")
        seed = seed or 0
        single = isinstance(text, str) or (text is not None and is_chat(text))
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
            corpora = corpora_of(self._model, self._options, several, asked, workers=workers, without=without)
            if shard is not None:
                return corpora.part(Shard.parse(shard, os.environ), "texts")
            return corpora.whole("texts", cut=seed if cut else None)
        model = model_without(self._model, without, choice.kind)
        if needle:
            return find_needles(model, choice, cut=cut, seed=seed)
        if text is None:
            return probe(model, choice, seed)

        def prepared(one: str | Chat) -> Source:
            return read(model, input_of(self._model, one, Input("", truncate=truncate)), choice)

        if isinstance(text, str) or is_chat(text):
            return find_heads(prepared(cast("str | Chat", text)), choice)
        texts = cast("Iterable[str | Chat]", text)
        if shard is not None:
            return heads_of_part(Shard.parse(shard, os.environ), texts, model, choice, prepared)
        collect = CollectHeads(choice)
        report = gather((measured(prepared(one), choice) for one in texts), collect).report
        if not collect.texts:
            raise InputError("There are no texts", "Give at least one")
        return collect.found(measured_model(model.info, choice.measure), report, "texts")

    def find(
        self,
        text: str | Chat | None = None,
        start: str | int | None = None,
        end: str | int | None = None,
        *,
        image: object = None,
        both: bool = False,
        sort: FindSort = "weight",
        pair: str | None = None,
        target: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        without: str | int | None = None,
        **selection: Unpack[ChoicesOfHeads],
    ) -> FoundLinks:
        """Find the heads that link two words of a text, as `attn find` shows them.

        Args:
            text: the text to read, or a chat.
            start: the query: a word such as `it` or `it#2`, or its position; if the text has no such word, a word of
                the translation, which is then generated first.
            end: the key: a word, or its position.
            image: an image to read instead of a text, as in `inspect`; its patches are named by row and column: `r1c2`.
            both: search the other direction too.
            sort: the order of the links drawn: by `weight`, by how far it exceeds the `usual` weight or that on the
                `others`, or by `layer`.
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
        choice = selection_of(Selection(), selection, self.find, FIELDS_OF_HEADS)
        check_known("sort", sort, get_args(FindSort))
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
        return find(source, choice, str(start), str(end), both=both, verify=verify).ordered(sort)

    def diff(
        self,
        a: str | Chat | Record | None = None,
        b: str | Chat | Record | None = None,
        *,
        image: object = None,
        against: Inspector | None = None,
        sort: DiffSort = "divergence",
        target: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        truncate: bool = False,
        verify: bool = False,
        without: str | int | None = None,
        **selection: Unpack[ChoicesOfChanges],
    ) -> Differences:
        """Compare the attention in two texts or records, or of two models, as `attn diff` shows it.

        Args:
            a: the first text, chat or record.
            b: the second; `a` by default.
            image: an image to read instead, as in `inspect`, or a tuple of two: A and B.
            against: the inspector that reads `b`; this one by default.
            sort: the order of the heads drawn: by `divergence` or by `layer`.
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
        choice = selection_of(Selection(), selection, self.diff, FIELDS_OF_CHANGES)
        check_known("sort", sort, get_args(DiffSort))
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
            of_b = self if against is None else against
            first = source_of_image(self._model, sides[0], choice, only_of_texts, None)
            second = source_of_image(of_b._model, sides[1], choice, only_of_texts, without)  # noqa: SLF001 - of this class
            return replace(diff(first, second, choice, verify=verify), sort=sort)
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
            check_unused(
                "A record is read already",
                target=target,
                source_language=source_language,
                target_language=target_language,
                truncate=truncate or None,
            )
            return side

        one, other = look_at(a, self), look_at(a if b is None else b, against or self, without)
        return replace(diff(one, other, choice, verify=verify), sort=sort)

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
        seed: int | None = None,
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
            seed: seed of these texts; by default 0.
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
        choice = selection_of(Selection(), selection, self.ablate, FIELDS_OF_CUTS)
        cut = CutChoice(instead, (edge,) if isinstance(edge, str) else tuple(edge), by)
        if continuation is not None and target is not None:
            raise UsageError("target and continuation both say what is measured", "Give one of them")
        wanted = OutputChoice(output, against, mask, target_tokens, continues=continuation is not None)
        target = continuation if target is None else target
        given = Input("", pair, target, Languages(source_language, target_language), truncate)
        if seed is not None and not from_probe:
            raise UsageError("seed is for the texts of from_probe", "Add from_probe=True, or leave seed out")
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
            pixels = input_of_image(image, choice, only_of_texts)
            return ablate(self._model.of_images(), pixels, choice, wanted, cut, verify=verify)
        if text is None:
            raise UsageError(*NEITHER)
        if isinstance(from_text, str | None):
            DonorChoice(from_text, probe=from_probe).check(instead)
        elif from_probe or instead != "resample" or isinstance(text, str):
            DonorChoice(file="a list", probe=from_probe).check(instead)
        means = None
        if instead == "mean" and (from_text is not None or from_probe):
            means = means_over(from_text, self._model, replace(given, pair=None, target=None), choice, seed or 0)
        if isinstance(text, str) or is_chat(text):
            if instead == "resample" and not isinstance(text, str):
                raise UsageError("Outputs of another text cannot stand in a chat", "Choose another `instead`")
            other = from_text if instead == "resample" and isinstance(from_text, str) else means
            return ablate(
                self._model,
                input_of(self._model, text, given, answers=True),
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
            return correlations_over(several, self._model, given, choice, wanted, verify=verify)
        donors = from_text if instead == "resample" else None
        if isinstance(text, list | tuple) and isinstance(donors, list | tuple) and len(text) != len(donors):
            raise UsageError(
                f"{len(text)} texts need as many to take outputs from, not {len(donors)}", "Give one for each"
            )
        effects = CollectEffects(self._model, choice, wanted, cut, means, verify=verify)
        return effects_over(several, effects, given, donors)

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
        given = input_of(self._model, text, Input("", target=target, truncate=truncate), answers=True)
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
        from attn_cli.questions.explore.subject import Subject, loading_of

        choice = Selection(kind=kind, unit=unit, measure=measure)
        check_syntax(choice)
        if (text is None) == (image is None):
            raise UsageError(*(NEITHER if text is None else ("A text and an image are both given", "Leave one out")))
        check_terminal()
        loading = () if self._options is None else loading_of(self._options)
        subjects = [Subject(self._model, Input(one), loading=loading) for one in (text, *more) if one is not None]
        if image is not None:
            read = read_image(image)
            subjects = [Subject(self._model.of_images(), Input("", image=read), file=read.name, loading=loading)]
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
        **selection: Unpack[ChoicesOfARow],
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
            **selection: `kind`, `layer`, `head`, `unit` and `rows` of the selection, as in `inspect`; `head="2.5"`,
                else that whose row shows most.

        Returns:
            The finding; its `steps` hold `scores`, `weights` and `context`, and the terms of the scores.

        Raises:
            AttnError: any error that the command would report.
        """
        choice = selection_of(
            Selection(view="query"), {**selection, "query": query}, self.explain, {*FIELDS_OF_ROWS, "query"}
        )
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
