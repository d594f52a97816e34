"""`Toy`: a built-in model that reads and translates. NumPy only; no torch, no transformers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from copy import copy
from dataclasses import replace
from itertools import chain

import numpy as np

from attn_cli.data.attribution import Attribution, does_not_continue
from attn_cli.data.cuts import Variation, check_cuts, zeroed
from attn_cli.data.model import Alignment, GuidedHead, Heads, ModelInfo, Stack
from attn_cli.data.outcomes import LIKELIEST, Chances, Outcome, OutputKind, Wanted, choose_output
from attn_cli.data.shapes import Float
from attn_cli.data.stream import EatContexts, Kind, Request, Source, side_by_side
from attn_cli.data.turns import Turn
from attn_cli.errors import InputError, UsageError
from attn_cli.models import (
    AS_IT_HAS_THEM,
    GREEDY,
    Decoding,
    Input,
    Languages,
    LoadOptions,
    Model,
    RelevantTo,
    Translation,
    Watch,
    cut_short,
    no_template,
    reads_no_images,
    translate_one,
)
from attn_cli.models.encoding import Pieces, spelled_alone, wordlike
from attn_cli.models.fingerprint import SAMPLES, fingerprint_of
from attn_cli.models.hf.languages import same_language
from attn_cli.models.toy import recurrent
from attn_cli.models.toy.cuts import RowCuts
from attn_cli.models.toy.folder import ToyFolder, build
from attn_cli.models.toy.reader import ToyReader
from attn_cli.models.toy.search import END, PAD, log_softmax, search
from attn_cli.models.toy.source import ToyGoal, ToySource
from attn_cli.models.toy.transformer import Transformer

__all__ = ["Toy", "load"]

BATCH = 32
"""Number of texts to translate side by side."""


def load(folder: ToyFolder, options: LoadOptions) -> Toy:
    """Load a toy model.

    Args:
        folder: folder of the model.
        options: device, number format and revision; only the CPU, float32 and no revision are possible.

    Raises:
        ModelError: a file of the folder cannot be read.
        UsageError: the options ask for another device or number format, or for a revision.
    """
    if options.device not in {"auto", "cpu"} or options.dtype not in {"auto", "float32"}:
        raise UsageError(
            f"{folder.name} runs on the processor in float32", "Leave --device and --dtype out, or name another model"
        )
    if options.revision is not None:
        raise UsageError(f"{folder.name} has no revisions", "Leave --revision out, or name a model on the hub")
    return Toy(folder)


class Toy:
    """A loaded toy model, which implements `attn_cli.models.Model`.

    Raises:
        ModelError: a file of its folder cannot be read.
    """

    def __init__(self, folder: ToyFolder) -> None:
        self._folder = folder.path
        self.shape = folder.shape
        weights = folder.weights()
        self._weights = weights
        self.network = build(self.shape, weights)
        self._reader = ToyReader(folder)
        self.caveat: str = folder.caveat
        stacks = _stacks(self.network)
        self.info = ModelInfo(
            name=folder.name,
            family="recurrent" if isinstance(self.shape, recurrent.RecurrentShape) else "transformer",
            stacks=stacks,
            captured="numpy",
            parameters=sum(weight.size for weight in weights.values()),
            positions=self.shape.positions,
            alignment=Alignment.declared(folder.known, stacks, folder.name),
            guided=GuidedHead.declared(folder.known, stacks, folder.name),
            bottleneck=None if stacks else 2 * self.network.shape.hidden,  # type: ignore[union-attr]
        )

    @property
    def fingerprint(self) -> str:
        """A fingerprint of the weights; see `attn_cli.models.Model`."""
        return fingerprint_of(
            (name, weight.shape, weight.reshape(-1)[:: max(weight.size // SAMPLES, 1)])
            for name, weight in self._weights.items()
        )

    def of_images(self) -> Model:
        """Refuse images; see `attn_cli.models.Model`.

        Raises:
            InputError: always.
        """
        raise reads_no_images(self.info.name)

    def without(self, heads: Heads) -> Toy:
        """Return this model with some heads cut; see `attn_cli.models.Model`.

        Raises:
            SelectionError: the model does not have one of these heads.
        """
        check_cuts([zeroed(heads)], self.info.stacks)
        cut = copy(self)
        cut.info = replace(self.info, without=heads)
        return cut

    def prepare(self, given: Input) -> ToySource:
        """Tokenize a text; see `attn_cli.models.Model`.

        Raises:
            InputError: the text is empty or too long, or there is a pair or an image.
            UsageError: the languages are not English and French.
        """
        if given.image is not None:
            raise reads_no_images(self.info.name)
        if given.pair is not None:
            raise InputError(f"{self.info.name} takes one text, not two", "Leave the second out, or write one text")
        if given.continuation is not None:
            raise InputError(
                f"{self.info.name} is an encoder-decoder, which writes a target and continues no prompt",
                "Give the text with --target",
            )
        self._check_languages(given.languages)
        source, notes = self._reader.read(given.text, "text", given.truncate)
        written: Pieces | None = None
        if isinstance(given.target, Translation):
            written, more = self._reader.written(given.target), given.target.notes
            notes += more
        elif given.target is not None:
            pieces, more = self._reader.read(given.target, "target", given.truncate)
            written = pieces.started(PAD, self._reader.name_of(PAD))
            notes += more
        return ToySource(
            model=self.info,
            source=replace(source.tokens(given.split), parts=given.parts),
            target=None if written is None else written.tokens(given.split),
            notes=tuple(dict.fromkeys(notes)),
            network=self.network,
            folder=self._folder,
            ids=source.ids,
            read=None if written is None else written.ids[:-1],
            relevant_to=self._goal(given.relevant_to, written),
        )

    def _goal(self, relevant: RelevantTo | None, written: Pieces | None) -> ToyGoal | None:
        """Return the output whose relevance can be measured; None if the text is read for none."""
        if relevant is None:
            return None
        if isinstance(relevant.target, Translation):
            return ToyGoal(self._reader.written(relevant.target).tokens(), relevant.word, own=True)
        return None if written is None else ToyGoal(written.tokens(), relevant.word, own=False)

    def converse(self, turns: Sequence[Turn], given: Input, *, answers: bool = False) -> Input:
        """Refuse a chat; see `attn_cli.models.Model`.

        Raises:
            ModelError: the built-in models translate, and have no chat template.
        """
        del turns, given, answers
        raise no_template(self.info.name)

    def plain_tokens(self) -> tuple[int, ...]:
        """Return the ids of tokens with letters; see `attn_cli.models.Model`."""
        return wordlike((id_, self._reader.name_of(id_)) for id_ in range(self._reader.tokenizer.get_vocab_size()))

    def prepare_tokens(self, ids: Sequence[int]) -> ToySource:
        """Prepare exactly these tokens; see `attn_cli.models.Model`.

        Raises:
            InputError: there are more tokens than the model has positions.
        """
        pieces = self._reader.pieces_of(ids)
        return ToySource(self.info, pieces.tokens(), None, (), self.network, self._folder, pieces.ids, None)

    def spell_tokens(self, ids: Sequence[int]) -> list[str]:
        """Return what each of these tokens adds to a text; see `attn_cli.models.Model`."""
        spelled = self._reader.decode([[id_] for id_ in ids])
        return [spelled_alone(self._reader.name_of(id_), text) for id_, text in zip(ids, spelled, strict=True)]

    @property
    def mask_token(self) -> None:
        """None: the built-in models fill in no words."""
        return None

    @property
    def unknown_token(self) -> None:
        """None: the built-in models spell words that they do not know in bytes."""
        return None

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
            InputError: a text is empty or too long.
            UsageError: the languages are not English and French.
            SelectionError: the model does not have a layer or head that is cut.
        """
        self._check_languages(languages)
        if decoding.temperature or decoding.stop:
            option = "--temperature" if decoding.temperature else "--stop"
            raise UsageError(
                f"{self.info.name} writes what is likeliest, to its end",
                f"Leave {option} out, or name another model with --model",
            )
        check_cuts(variations, self.info.stacks)
        always = zeroed(self.info.without)
        variations = [(*always, *one) for one in variations] or [always] * len(texts) * bool(always)
        read = [self._reader.read(text, "text", truncate) for text in texts]
        order = sorted(range(len(texts)), key=lambda index: len(read[index][0].ids))
        parts = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]

        def write(part: Sequence[int]) -> list[tuple[int, Translation]]:
            ids = np.full((len(part), len(read[part[-1]][0].ids)), PAD)
            for row, index in enumerate(part):
                ids[row, : len(read[index][0].ids)] = read[index][0].ids
            limits = np.asarray([self._most(len(read[index][0].ids), decoding) for index in part])
            cuts = RowCuts([variations[index] for index in part]) if variations else None
            found = search(self.network, ids, limits, decoding.beam, cuts)
            return [
                (
                    index,
                    self._translation(
                        tokens, limit, read[index][1] + (cuts.notes(row) if cuts else ()), decoding.most_option
                    ),
                )
                for row, (index, limit, tokens) in enumerate(zip(part, limits.tolist(), found, strict=True))
            ]

        made = dict(chain.from_iterable(side_by_side(write, parts)))
        return [made[index] for index in range(len(texts))]

    def write(
        self, given: Input, decoding: Decoding = GREEDY, watch: Watch | None = None, live: Request | None = None
    ) -> Input:
        """Write the translation of a text; see `attn_cli.models.Model`.

        Raises:
            InputError: the text is empty or too long.
            UsageError: the languages are not English and French, tokens are to be drawn, or it is to be taken live.
        """
        if live is not None:
            raise UsageError(
                f"{self.info.name} is built in and writes at once, so nothing can be taken meanwhile",
                "Leave --live out, or name another model with --model",
            )
        del watch  # a translation is there at once
        return replace(given, target=translate_one(self, given, decoding))

    @property
    def outputs(self) -> tuple[OutputKind, ...]:
        """The outputs that `run` can measure; see `attn_cli.models.Model`."""
        return ("target",)

    def run(
        self, source: Source, variations: Sequence[Variation], wanted: Wanted | None = None
    ) -> Generator[tuple[int, Outcome]]:
        """Run the model on a text once with each variation of its attention; see `attn_cli.models.Model`.

        Raises:
            InputError: the text was prepared by another model, or has no target.
            SelectionError: the model does not have a layer or head that is cut.
            ModelError: the model has no such output.
        """
        wanted = choose_output(wanted, self.outputs, self.info.name)
        check_cuts(variations, self.info.stacks)
        own = self._own(source)
        variations = [(*zeroed(own.model.without), *one) for one in variations]
        if own.read is None or own.target is None:
            raise InputError("There is no target to measure", "Give one with --target, or translate the text first")
        written = np.asarray([token.id for token in own.target.tokens[1:]])
        for first in range(0, len(variations), BATCH):
            some = variations[first : first + BATCH]
            cuts = RowCuts(some)
            ids, read = (np.tile(np.asarray(one), (len(some), 1)) for one in (own.ids, own.read))
            logits = self.network.logits(self.network.states(ids, read, cuts=cuts))
            chosen = np.take_along_axis(log_softmax(logits), written[None, :, None], axis=2)[..., 0]
            for row in range(len(some)):
                if wanted.written:
                    chances = _chances(logits[row, list(wanted.places)], wanted.written)
                    yield first + row, Outcome(chances=chances, notes=cuts.notes(row))
                    continue
                yield (
                    first + row,
                    Outcome(
                        tokens=chosen[row] if wanted.tokens else None,
                        logits=logits[row, list(wanted.places)] if wanted.places else None,
                        notes=cuts.notes(row),
                    ),
                )

    def attribute(self, *_: object, **__: object) -> Attribution:
        """Refuse: no built-in model continues a text; see `attn_cli.models.Model`.

        Raises:
            ModelError: always.
        """
        raise does_not_continue(self.info.name)

    def contexts(self, source: Source, eat: EatContexts) -> None:
        """Pass each head's weighted sums of the values to a collector; see `attn_cli.models.Model`.

        Raises:
            InputError: the text was prepared by another model.
        """

        def see(kind: Kind, layer: int, *arrays: Float[np.ndarray, "1 head _ _"]) -> None:
            eat(kind, layer, arrays[3][0])

        self._own(source).run(see)

    def _own(self, source: Source) -> ToySource:
        if not isinstance(source, ToySource) or source.network is not self.network:
            raise InputError(f"The text was not prepared by {self.info.name}", "Prepare it with the model that runs it")
        return source

    def _most(self, source: int, decoding: Decoding) -> int:
        """Return the most tokens to write for a source of that many tokens, the end token counted."""
        wanted = 2 * source + 50 if decoding.max_length is None else decoding.max_length
        return min(wanted, self.shape.positions)

    def _translation(self, tokens: Sequence[int], limit: int, notes: tuple[str, ...], option: str) -> Translation:
        ended = len(tokens) < limit
        if not ended:
            notes += (cut_short(limit, option),)
        return Translation(
            text=self._reader.spell(tokens),
            ids=(PAD, *tokens, *([END] if ended else [])),
            notes=notes,
        )

    def _check_languages(self, languages: Languages) -> None:
        for asked, known, option in ((languages.source, "en", "--from"), (languages.target, "fr", "--to")):
            if asked is not None and not same_language(asked, known):
                raise UsageError(
                    f"{self.info.name} translates from en to fr, not {option.removeprefix('--')} {asked}",
                    f"Leave {option} out, or name another model",
                )


def _chances(logits: Float[np.ndarray, "place vocabulary"], written: Sequence[int]) -> Chances:
    """Return the chances at each place, where these tokens were written."""
    logs = log_softmax(logits)
    best = np.argsort(-logs, axis=1, kind="stable")[:, :LIKELIEST]
    own = np.take_along_axis(logs, np.asarray(written)[:, None], axis=1)[:, 0]
    return Chances(own, -(np.exp(logs) * logs).sum(axis=1), best, np.take_along_axis(logs, best, axis=1))


def _stacks(network: Transformer | recurrent.Recurrent) -> dict[Kind, Stack]:
    shape = network.shape
    if isinstance(shape, recurrent.RecurrentShape):
        return {"cross": Stack(layers=1, heads={0: 1}, key_value_heads=1)} if shape.attention else {}

    def stack(layers: int) -> Stack:
        return Stack(layers=layers, heads=dict.fromkeys(range(layers), shape.heads), key_value_heads=shape.heads)

    return {
        "encoder": stack(shape.encoder_layers),
        "decoder": stack(shape.decoder_layers),
        "cross": stack(shape.decoder_layers),
    }
