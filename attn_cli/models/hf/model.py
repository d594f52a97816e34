"""`Pretrained`: a model of transformers that reads, writes and translates."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attn_cli.data.attribution import Attribution, does_not_continue
from attn_cli.data.cuts import Variation, check_cuts, zeroed
from attn_cli.data.model import Alignment, GuidedHead, Heads, ModelInfo
from attn_cli.data.outcomes import Outcome, OutputKind, Wanted, choose_output
from attn_cli.data.record import TakenLive
from attn_cli.data.stream import EatContexts, Request, Source
from attn_cli.data.turns import Turn
from attn_cli.errors import InputError, ModelError, counted, enumerated
from attn_cli.models import (
    AS_IT_HAS_THEM,
    GREEDY,
    MOST_TOKENS,
    Continuation,
    Decoding,
    Input,
    Languages,
    RelevantTo,
    Translation,
    Watch,
    cut_short,
    reads_no_images,
    writes_nothing,
)
from attn_cli.models.capture import stream as capture
from attn_cli.models.capture.edited import Edited, edited
from attn_cli.models.capture.live import not_live
from attn_cli.models.capture.offloaded import check_weights_present, count_parameters, device_of
from attn_cli.models.capture.replaced import modules_kept
from attn_cli.models.capture.variations import contexts
from attn_cli.models.encoding import Pieces
from attn_cli.models.hf.attribution import attribute_logit
from attn_cli.models.hf.chat import render
from attn_cli.models.hf.decoder import started
from attn_cli.models.hf.devices import places_of
from attn_cli.models.hf.generate import UNCACHED, Meanwhile, Written, end_tokens, generate, go_on, limit_of_source
from attn_cli.models.hf.languages import Told, tell
from attn_cli.models.hf.live import Live
from attn_cli.models.hf.loading import (
    class_with_head,
    faults_told,
    quiet,
)
from attn_cli.models.hf.outcomes import REMEDY, has_head, run_outcomes
from attn_cli.models.hf.plain import Plain, plainly
from attn_cli.models.hf.prepared import PretrainedSource
from attn_cli.models.hf.reader import FEW, Reader
from attn_cli.models.hf.relevance import Goal, filled_masks, next_token, similarity, written_tokens
from attn_cli.models.hf.tokenizing import (
    spell,
    spell_after,
    spell_alone,
    written,
)
from attn_cli.models.hf.trial import body_of, is_tested, of_long_text, try_out
from attn_cli.models.hf.vision import Vision, vision_of
from attn_cli.models.hf.vocabulary import tokenizer_faults_told
from attn_cli.models.hf.weights import fingerprint

__all__ = ["Pretrained"]

ONE_THAT_TRANSLATES = "Helsinki-NLP/opus-mt-en-fr"
OTHER = "Choose another model"
"""Advice where a model lacks what is asked for, and nothing else can be measured instead."""


def _taken_with(given: Input) -> TakenLive | None:
    """Return what was taken while the model wrote this input's target or continuation."""
    written = given.continuation if given.target is None else given.target
    return None if written is None or isinstance(written, str) else written.live


class Pretrained:
    """A transformers model and its tokenizer, ready for text.

    Raises:
        ModelError: the model has no attention, or weights that are not in memory.
    """

    def __init__(
        self,
        name: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        notes: tuple[str, ...] = (),
        *,
        complete: bool = True,
        read_head: Callable[[type[PreTrainedModel]], tuple[PreTrainedModel, bool]] | None = None,
        read_processor: Callable[[], Any] | None = None,
    ) -> None:
        check_weights_present(model)
        body: Any = body_of(model)
        saved, loading_notes = model, notes
        self.tokenizer = tokenizer
        self._of_images = None
        if read_processor is not None:
            self._of_images = lambda: vision_of(name, saved, read_processor(), loading_notes)
        writes_text = True
        with faults_told(
            f"It cannot be told where {name} has its attention", "Check its config.json, or copy it again"
        ):
            if not is_tested(body):
                with quiet():
                    tried = try_out(name, body, lambda part: Reader(name, part, tokenizer).sample())
                if tried.model is not body:
                    model = body = tried.model
                notes += tried.notes
                writes_text = tried.writes_text
            stacks = capture.stacks(body)
        self.model = body
        self._reader = Reader(name, body, tokenizer, writes_text=writes_text)
        if not (
            body.config.is_encoder_decoder or "encoder" in stacks
        ):  # a decoder made for use behind an encoder, here alone
            stacks = {kind: stack for kind, stack in stacks.items() if kind != "cross"}
        self.notes = notes
        self.two_sided = "cross" in stacks
        self._saved = model
        self._whole = model if self.two_sided else body  # the class with the head makes the decoder's input
        self._complete = complete
        self._read_head = read_head
        limit = self._reader.limits["encoder"]
        known = getattr(body.config, "attn", None)
        self.info = ModelInfo(
            name=name,
            family=body.config.model_type,
            stacks=stacks,
            captured=capture.captured_by(body),
            dtype=str(body.dtype).removeprefix("torch."),
            device=places_of(saved),
            parameters=count_parameters(model),
            positions=None if limit is None else limit.tokens,
            alignment=Alignment.declared(known, stacks, name),
            guided=GuidedHead.declared(known, stacks, name),
        )

    @property
    def fingerprint(self) -> str:
        """A fingerprint of the weights, wherever they are; see `attn_cli.models.Model`."""
        return fingerprint(self.model)

    def of_images(self) -> Vision:
        """Return the part of the model that reads images; see `attn_cli.models.Model`.

        Raises:
            InputError: the model reads texts alone.
            ModelError: its image processor cannot be used, or its patches are not known.
        """
        if self._of_images is None:
            raise reads_no_images(self.info.name)
        return self._of_images()

    def without(self, heads: Heads) -> Pretrained:
        """Return this model with some heads cut; see `attn_cli.models.Model`.

        Raises:
            SelectionError: the model does not have one of these heads.
        """
        check_cuts([zeroed(heads)], self.info.stacks)
        cut = copy(self)
        cut.info = replace(self.info, without=heads)
        return cut

    def prepare(self, given: Input) -> PretrainedSource:
        """Tokenize a text; see `attn_cli.models.Model`.

        Raises:
            InputError: the text is empty, gives no tokens or is too long, or the model has no decoder for a target
                or takes no pair.
            UsageError: the model does not know a language.
            ModelError: the tokenizer and the model do not belong together.
        """
        if given.image is not None:
            raise reads_no_images(self.info.name)
        if given.continuation is not None:
            self._check_continues()
        if given.target is not None and not self.two_sided:
            raise InputError(
                f"{self.info.name} is not an encoder-decoder, so it takes no target",
                "Leave the target out, or name an encoder-decoder with --model",
            )
        with quiet():
            forced = isinstance(given.target, str)
            told = self._tell(self._head or self._whole if forced else self._whole, given.languages, forced=forced)
            prefix = told.prefix if given.marks is None else ""
            source, notes = self._reader.read(given.text, given.pair, "encoder", given.truncate, prefix, given.marks)
            if given.pair is not None:
                self._reader.check_segments(source.inputs.get("token_type_ids", (0,)))
            if given.continuation is not None:
                source, more = self._reader.with_continuation(source, given.continuation, given.truncate, given.marks)
                notes += more
            # What is written last is not read.
            tensors = self._reader.tensors(source if source.written is None else source.without([len(source.ids) - 1]))
            written: Pieces | None = None
            relevant = given.relevant_to or RelevantTo()
            notes += relevant.notes
            if self._reader.has_decoder:
                target = relevant.target if given.target is None else given.target
                if target is None:  # the decoder must read something even if only the encoder is shown
                    tensors["decoder_input_ids"] = torch.zeros_like(tensors["input_ids"][:, :1])
                else:
                    written, more = self._write(target, told, given.truncate)
                    tensors["decoder_input_ids"] = torch.tensor([written.ids[:-1]], device=device_of(self.model))
                    notes += more
            info = self.info
            if len(source.ids) > FEW:
                stacks, more = of_long_text(self.model, tensors, info.stacks)
                info = replace(info, stacks=stacks) if more else info
                notes += more
        return PretrainedSource(
            model=info,
            source=replace(source.tokens(given.split), parts=given.parts),
            target=None if written is None or given.target is None else written.tokens(given.split),
            notes=self.notes + tuple(dict.fromkeys(notes)),
            module=self.model,
            inputs=tensors,
            plain=Plain(
                self._saved,
                (lambda: self._reader.plain_inputs(given.text, given.pair))
                if source.written is None and given.marks is None
                else lambda: tensors,
            ),
            padding=self._reader.padding(source),
            goal=None if given.relevant_to is None else lambda: self._goal(given, relevant, source, written),
            live=_taken_with(given),
        )

    def converse(self, turns: Sequence[Turn], given: Input, *, answers: bool = False) -> Input:
        """Put a chat in the place of a text; see `attn_cli.models.Model`.

        Raises:
            ModelError: the model has no template, or it fails at these turns.
        """
        with quiet():
            made = render(self.tokenizer, self.info.name, turns, answers=answers)
        return replace(given, text=made.text, marks=made.marks, parts=made.parts)

    def _check_continues(self) -> None:
        """Check that the model is a decoder alone.

        Raises:
            InputError: it is not.
        """
        if self.two_sided:
            raise InputError(
                f"{self.info.name} is an encoder-decoder, which writes a target and continues no prompt",
                "Give the text with --target",
            )
        if "next" not in self.outputs:
            raise InputError(
                f"{self.info.name} is an encoder, so it continues no prompt", "Name a decoder with --model"
            )

    def write(
        self, given: Input, decoding: Decoding = GREEDY, watch: Watch | None = None, live: Request | None = None
    ) -> Input:
        """Write what follows a text; see `attn_cli.models.Model`.

        Raises:
            InputError: the text is empty, gives no tokens or is too long.
            UsageError: the model does not know a language, or needs one that is not named.
            ModelError: the model cannot write, or its attention cannot be taken meanwhile.
            MemoryLimitError: memory ran out.
        """
        if live is not None and self.info.family in UNCACHED:
            raise not_live(self.info.family, "it writes without a cache")
        if self._reader.has_decoder:
            return replace(given, target=self._write_target(given, decoding, watch, live))
        whole = self._head if "decoder" in self.info.stacks else None
        if whole is None or not whole.can_generate():
            raise writes_nothing(self.info.name, self.info.stacks)
        check_weights_present(whole)
        with quiet():
            prompt, notes = self._reader.read(given.text, None, "encoder", given.truncate, marks=given.marks)
            prompt = prompt.open_ended()
            limit = self._reader.limits["encoder"]
            asked = MOST_TOKENS if decoding.max_length is None else decoding.max_length
            # The last token that is written is not read, and needs no position.
            room = limit.tokens - len(prompt.ids) + 1 if limit is not None and limit.hard else asked
            most = min(asked, room)

            def spell_written(ids: Sequence[int]) -> str:
                return spell_after(self.tokenizer, prompt.ids, ids)

            cuts = zeroed(self.info.without)
            taking = None if live is None else Live(whole, self.model, live, cuts, len(prompt.ids), most)
            run = Edited(self.model, [cuts], {}, repeats=True) if cuts and taking is None else None
            # SDPA never holds a prompt's whole weights.
            kept = plainly(whole, "sdpa") if run is None else edited(self.model, run)
            with (
                kept if taking is None else taking.watching(),
                faults_told(f"{self.info.name} could not write", "Set ATTN_DEBUG=1 to see where it failed"),
            ):
                tensors = self._reader.tensors(prompt)
                ids = go_on(whole, tensors, decoding, most, Meanwhile(spell_written, watch, taking))
        notes += () if run is None else tuple(run.notes(0))
        notes += self._why_ended(ids, most, asked)
        found = None if taking is None else taking.result(self.spell_tokens)
        return replace(given, continuation=Continuation(spell_written(ids), ids, notes, found))

    def _write_target(self, given: Input, decoding: Decoding, watch: Watch | None, live: Request | None) -> Translation:
        """Write an encoder-decoder's output for one text; see `write`."""
        whole = self._writer()
        check_weights_present(whole)
        cuts = zeroed(self.info.without)
        with quiet():
            told = self._tell(whole, given.languages, texts=[given.text])
            source, notes = self._reader.read(given.text, None, "encoder", given.truncate, told.prefix)
            taking = None
            if live is not None:
                count = len(source.ids)
                most = limit_of_source(whole, count, decoding, self._decoder_positions)
                taking = Live(whole, self.model, live, cuts, count, most)
            meanwhile = Meanwhile(partial(spell, self.tokenizer), watch, taking)
            with faults_told(f"{self.info.name} could not write", "Set ATTN_DEBUG=1 to see where it failed"):
                ((ids, more),) = self._write_out(whole, [source.ids], decoding, told, [cuts] if cuts else [], meanwhile)
        notes = tuple(dict.fromkeys((*told.notes, *notes, *more)))
        found = None if taking is None else taking.result(self.spell_tokens)
        return Translation(spell(self.tokenizer, ids), ids, notes, found)

    def _why_ended(self, ids: Sequence[int], most: int, asked: int) -> tuple[str, ...]:
        """Say why writing ended, unless the model ended it behind some text."""
        ended = ids[-1] in end_tokens(self._head)
        if ended:
            return ("The model wrote nothing: its end token was the likeliest at once",) if len(ids) == 1 else ()
        if len(ids) < most:
            return ()
        if most < asked:
            return (f"Writing stopped after {counted(most, 'token')}: {self.info.name} has no more positions",)
        return (cut_short(most, "--max-tokens"),)

    def _goal(self, given: Input, relevant: RelevantTo, source: Pieces, written: Pieces | None) -> Goal:
        """Return the output whose relevance is measured.

        Raises:
            SelectionError: the target has no such word.
            ModelError: the model was saved without the layer that chooses words.
        """
        if relevant.text is not None:
            other = self.prepare(Input(relevant.text, languages=given.languages, truncate=given.truncate))
            return similarity(self.model, other.inputs, relevant.text)
        whole = self._with_head()
        if written is not None:
            own = isinstance(relevant.target, Translation)
            return written_tokens(whole, written.tokens(), relevant.word, own=own)
        if source.written is not None:
            own = isinstance(given.continuation, Continuation)
            return written_tokens(whole, source.tokens(), relevant.word, own=own)
        if relevant.masks:
            return filled_masks(whole, relevant.masks, relevant.token, self.spell_tokens)
        return next_token(whole, len(source.ids) - 1, relevant.token, self.spell_tokens)

    def plain_tokens(self) -> tuple[int, ...]:
        """Return ids of tokens that are words or parts of them; see `attn_cli.models.Model`.

        Raises:
            ModelError: the tokenizer cannot list them.
        """
        return self._reader.plain_tokens()

    def prepare_tokens(self, ids: Sequence[int]) -> PretrainedSource:
        """Prepare a text of exactly these tokens; see `attn_cli.models.Model`.

        Raises:
            InputError: there are more tokens than the model has positions for.
        """
        pieces = self._reader.pieces_of(ids)
        tensors = self._reader.tensors(pieces)
        if self._reader.has_decoder:
            tensors["decoder_input_ids"] = torch.zeros_like(tensors["input_ids"][:, :1])
        plain, padding = Plain(self._saved, lambda: tensors), self._reader.padding(pieces)
        return PretrainedSource(self.info, pieces.tokens(), None, self.notes, self.model, tensors, plain, padding)

    def spell_tokens(self, ids: Sequence[int]) -> list[str]:
        """Return what each of these tokens adds to a text; see `attn_cli.models.Model`.

        Raises:
            ModelError: the tokenizer fails at these ids.
        """
        with quiet():
            return [spell_alone(self.tokenizer, id_) for id_ in ids]

    @property
    def mask_token(self) -> str | None:
        """The token that a masked encoder fills in; see `attn_cli.models.Model`."""
        mask = getattr(self.tokenizer, "mask_token", None)
        return mask if isinstance(mask, str) else None

    @property
    def unknown_token(self) -> int | None:
        """Id of the token for what the tokenizer has no token for; see `attn_cli.models.Model`."""
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        return unknown if isinstance(unknown, int) else None

    def translate(
        self,
        texts: Sequence[str],
        *,
        decoding: Decoding = GREEDY,
        languages: Languages = AS_IT_HAS_THEM,
        truncate: bool = False,
        variations: Sequence[Variation] = (),
    ) -> list[Translation]:
        """Write a translation of each text; see `attn_cli.models.Model`.

        Raises:
            InputError: a text is empty, gives no tokens or is too long.
            UsageError: the model does not know a language, or needs one that is not named.
            ModelError: the model cannot translate.
            MemoryLimitError: memory ran out.
        """
        whole = self._writer()
        check_weights_present(whole)
        own = zeroed(self.info.without)
        cuts = [(*own, *variation) for variation in variations] or [own] * len(texts) * bool(own)
        with quiet():
            told = self._tell(whole, languages, texts=texts)
            read = [self._reader.read(text, None, "encoder", truncate, told.prefix) for text in texts]
            with faults_told(f"{self.info.name} could not translate this", "Set ATTN_DEBUG=1 to see where it failed"):
                found = self._write_out(whole, [pieces.ids for pieces, _ in read], decoding, told, cuts)
            return [
                Translation(
                    text=spell(self.tokenizer, ids),
                    ids=ids,
                    notes=tuple(dict.fromkeys((*told.notes, *notes, *more))),
                )
                for (ids, more), (_, notes) in zip(found, read, strict=True)
            ]

    def _write_out(
        self,
        whole: PreTrainedModel,
        sources: Sequence[Sequence[int]],
        decoding: Decoding,
        told: Told,
        variations: Sequence[Variation],
        meanwhile: Meanwhile | None = None,
    ) -> list[Written]:
        """Search for the translation of each source, under its variation if there are any.

        What is done after each token needs one source alone.

        Raises:
            SelectionError: the model does not have a layer or head that is cut.
            ModelError: a layer cannot be cut, or a logit is not a number.
        """
        positions = self._decoder_positions
        if meanwhile is not None and meanwhile.live is not None:
            with meanwhile.live.watching():
                return generate(whole, sources, decoding, told, positions, meanwhile)
        if not variations:
            with modules_kept(self.model, capture.anatomy_of(self.model)):
                return generate(whole, sources, decoding, told, positions, meanwhile)
        check_cuts(variations, self.info.stacks)
        # Older code lays out a batch in many ways, so a batch of it has the same cuts in all rows.
        size = 1 if self.info.captured == "hooks" else len(sources)
        found: list[Written] = []
        for start in range(0, len(sources), size):
            some = slice(start, start + size)
            run = Edited(self.model, variations[some], {}, repeats=True)
            with edited(self.model, run):
                written = generate(whole, sources[some], decoding, told, positions, meanwhile)
            found += [(ids, (*notes, *run.notes(index))) for index, (ids, notes) in enumerate(written)]
        return found

    @property
    def _decoder_positions(self) -> int | None:
        """The most tokens that the decoder can read; None where there is no limit."""
        limit = self._reader.limits["decoder"]
        return limit.tokens if limit else None

    @property
    def outputs(self) -> tuple[OutputKind, ...]:
        """The outputs that `run` can measure; see `attn_cli.models.Model`."""
        if self.two_sided:
            return ("target",)
        if "decoder" in self.info.stacks:
            return ("next", "states")
        return ("mask", "states") if self._complete and has_head(self._saved) else ("states",)

    def run(
        self, source: Source, variations: Sequence[Variation], wanted: Wanted | None = None
    ) -> Generator[tuple[int, Outcome]]:
        """Run the model on a text once with each variation of its attention; see `attn_cli.models.Model`.

        Raises:
            InputError: the text was prepared by another model, or has nothing to measure.
            SelectionError: the model does not have a layer or head that is cut.
            ModelError: the model has no such output, or a layer cannot be cut.
            MemoryLimitError: memory ran out.
        """
        known: tuple[OutputKind, ...] = self.outputs
        if known == ("states",):  # so that an encoder says why it has no words to measure
            known = (*known, "mask")
        wanted = choose_output(wanted, known, self.info.name)
        mask_token = getattr(self.tokenizer, "mask_token_id", None)
        only_words = self.two_sided or bool(wanted.written)
        remedy = OTHER if only_words else "Measure its last states with --output states, or choose another model"
        return run_outcomes(self._own(source), partial(self._with_head, remedy), variations, wanted, mask_token)

    def attribute(
        self, source: Source, place: int, token: int | None = None, against: int | None = None
    ) -> Attribution:
        """Compute what each part of the model adds to the logit of a token; see `attn_cli.models.Model`.

        Raises:
            InputError: the text was prepared by another model.
            ModelError: the model does not continue texts, or its logits are not sums of such parts.
            MemoryLimitError: memory ran out.
        """
        if self.outputs[0] != "next":
            raise does_not_continue(self.info.name)
        own, whole = self._own(source), self._with_head()
        with quiet(), faults_told(f"The logits of {self.info.name} could not be taken apart", REMEDY):
            return attribute_logit(own, whole, place, token, against)

    def contexts(self, source: Source, eat: EatContexts) -> None:
        """Pass each head's weighted sums of the values to a collector; see `attn_cli.models.Model`.

        Raises:
            InputError: the text was prepared by another model.
            ModelError: the model could not be run.
        """
        own = self._own(source)
        with quiet(), faults_told(f"{self.info.name} could not be run on this text"):
            contexts(self.model, own.inputs, eat, zeroed(own.model.without))

    def _own(self, source: Source) -> PretrainedSource:
        if not isinstance(source, PretrainedSource) or source.module is not self.model:
            raise InputError(f"The text was not prepared by {self.info.name}", "Prepare it with the model that runs it")
        return source

    @cached_property
    def _head(self) -> PreTrainedModel | None:
        """The model with the layer that chooses words, read now if another class was saved; None if weights lack."""
        whole, complete = self._whole if self.two_sided else self._saved, self._complete
        head_class = class_with_head(whole.config, self.info.stacks)
        if not has_head(whole) and head_class is not None and self._read_head is not None:
            with quiet():
                read, complete = self._read_head(head_class)
            if type(body_of(read)) is type(self.model):
                setattr(read, read.base_model_prefix, self.model)  # so that its weights are held once
                read.tie_weights()
                whole = read
        return whole if complete and has_head(whole) else None

    def _with_head(self, remedy: str = OTHER) -> PreTrainedModel:
        """Return the model with the layer that chooses words.

        Args:
            remedy: what to do if there is none.

        Raises:
            ModelError: the model was saved without it.
        """
        if self._head is None:
            raise ModelError(
                f"{self.info.name} was saved without the layer that chooses words, so its words cannot be measured",
                remedy,
            )
        return self._head

    def _writer(self) -> PreTrainedModel:
        """Return the model that translates.

        Raises:
            ModelError: the model cannot translate.
        """
        other = f"Use --model toy, which is built in, or another that translates, such as {ONE_THAT_TRANSLATES}"
        if self._reader.has_decoder and not self.two_sided:
            raise ModelError(
                f"{self.info.name} cannot be shown translating: its decoder has no map from its tokens to the text's",
                other,
            )
        if not self.two_sided:
            kinds = enumerated(f"{'an' if kind == 'encoder' else 'a'} {kind}" for kind in self.info.stacks)
            raise ModelError(f"{self.info.name} cannot translate: it is {kinds}, not an encoder-decoder", other)
        whole = self._whole if self._complete and self._whole.can_generate() else self._head
        if whole is None or not whole.can_generate():
            raise ModelError(
                f"{self.info.name} cannot translate: it was saved without the layer that chooses words", other
            )
        return whole

    def _tell(self, whole: PreTrainedModel, languages: Languages, **asked: Any) -> Told:
        generation = getattr(whole, "generation_config", None)
        with tokenizer_faults_told("say which languages it knows"):
            return tell(self.tokenizer, whole.config, generation, self.info.name, languages, **asked)

    def _write(self, target: str | Translation, told: Told, truncate: bool) -> tuple[Pieces, tuple[str, ...]]:
        """Return the pieces of the decoder's side: the start token, then the target, with notes."""
        if isinstance(target, Translation):
            return written(self.tokenizer, target.text, target.ids), target.notes
        pieces, notes = self._reader.read(target, None, "decoder", truncate)
        return started(self._whole, self.tokenizer, self.info.name, pieces, told.first), notes
