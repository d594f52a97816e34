"""Running a toy model: tokenizing, streaming attention, translating. NumPy only; no torch, no transformers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attn_cli.data.attribution import Attribution, does_not_continue
from attn_cli.data.cuts import COMPARED_UNCUT, Variation, check_cuts, zeroed
from attn_cli.data.model import Alignment, GuidedHead, Heads, ModelInfo, Stack
from attn_cli.data.outcomes import LIKELIEST, Chances, Outcome, OutputKind, Wanted, choose_output
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Eat, EatContexts, Kind, Report, Request, Source, Steps, side_by_side
from attn_cli.data.text import Tokens, written_offsets
from attn_cli.data.turns import Turn
from attn_cli.errors import InputError, ModelError, UsageError, shortened
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
from attn_cli.models.compiled import in_time, library_told
from attn_cli.models.encoding import Pieces, spelled_alone, wordlike
from attn_cli.models.fingerprint import SAMPLES, fingerprint_of
from attn_cli.models.toy import recurrent
from attn_cli.models.toy.cuts import RowCuts
from attn_cli.models.toy.folder import ToyFolder, build
from attn_cli.models.toy.ops import normalize, weighted_sum
from attn_cli.models.toy.search import END, PAD, log_softmax, search
from attn_cli.models.toy.transformer import See, Transformer
from attn_cli.system.encoding import check_text

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

__all__ = ["Toy", "ToySource", "load"]

BATCH = 32
"""Number of texts to translate side by side."""
CAPITAL = re.compile(r"\bi\b|(?<=[.?!] )\w")
"""Pattern of letters that stay capitals in a text in small letters: the word *I*, and the first of a sentence."""
LISTED = 8
"""Most rare words to name in a note."""


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
        self.tokenizer: Tokenizer = folder.tokenizer()
        self._remedy = folder.remedy
        self._known_words = folder.known_words()
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
        source, notes = self._read(given.text, "text", given.truncate)
        written: Pieces | None = None
        if isinstance(given.target, Translation):
            written, more = self._written(given.target), given.target.notes
            notes += more
        elif given.target is not None:
            pieces, more = self._read(given.target, "target", given.truncate)
            written = pieces.started(PAD, self._name(PAD))
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
            return ToyGoal(self._written(relevant.target).tokens(), relevant.word, own=True)
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
        return wordlike((id_, self._name(id_)) for id_ in range(self.tokenizer.get_vocab_size()))

    def prepare_tokens(self, ids: Sequence[int]) -> ToySource:
        """Prepare exactly these tokens; see `attn_cli.models.Model`.

        Raises:
            InputError: there are more tokens than the model has positions.
        """
        template = self._encode("a")
        pieces = self._pieces(template, "a", slice(None)).around(ids, [self._name(id_) for id_ in ids])
        if len(pieces.ids) > self.shape.positions:
            raise InputError(
                f"{len(pieces.ids)} tokens are more than the {self.shape.positions} that {self.info.name} has "
                "positions for",
                "Give fewer",
            )
        return ToySource(self.info, pieces.tokens(), None, (), self.network, self._folder, pieces.ids, None)

    def spell_tokens(self, ids: Sequence[int]) -> list[str]:
        """Return what each of these tokens adds to a text; see `attn_cli.models.Model`."""
        spelled = self._decode([[id_] for id_ in ids])
        return [spelled_alone(self._name(id_), text) for id_, text in zip(ids, spelled, strict=True)]

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
        read = [self._read(text, "text", truncate) for text in texts]
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
            text=self._decode([tokens])[0].strip(),
            ids=(PAD, *tokens, *([END] if ended else [])),
            notes=notes,
        )

    def _check_languages(self, languages: Languages) -> None:
        for asked, known, option in ((languages.source, "en", "--from"), (languages.target, "fr", "--to")):
            if asked not in {None, known}:
                raise UsageError(
                    f"{self.info.name} translates from en to fr, not {option.removeprefix('--')} {asked}",
                    f"Leave {option} out, or name another model",
                )

    def _read(self, text: str, what: str, truncate: bool) -> tuple[Pieces, tuple[str, ...]]:
        """Tokenize one side, and cut it or raise an error if it has more tokens than the model has positions."""
        check_text(text, f"The {what}")
        encoding, notes = self._in_small_letters(text) if what == "text" else (self._encode(text), ())
        if all(encoding.special_tokens_mask):
            raise InputError(f"{self.info.name} makes no tokens of this {what}", "Give one with letters or digits")
        count, most = len(encoding.ids), self.shape.positions
        if count > most:
            if not truncate:
                raise InputError(
                    f"The {what} has {count} tokens, {count - most} more than the {most} that {self.info.name} has "
                    "positions for",
                    "Shorten it, or add --truncate to cut it there",
                )
            notes += (f"The {what} was cut to {most} of its {count} tokens",)
        keep = slice(None) if count <= most else slice(0, most - 1)
        pieces = self._pieces(encoding, text, keep)
        if count > most:
            pieces = pieces.ended(END, self._name(END))
        if what == "text":
            notes += self._guessing(pieces.tokens())
        return pieces, notes

    def _in_small_letters(self, text: str) -> tuple[Encoding, tuple[str, ...]]:
        """Tokenize a text; if it is all in capitals, as it would be in small letters, with a note.

        The training texts hold few capitals, so words in capitals are tokenized into pieces that say little.
        """
        encoding = self._encode(text)
        if text.isupper():
            small = CAPITAL.sub(lambda found: found.group().upper(), text.capitalize())
            if len(small) == len(text):  # or the tokens' places in it would be wrong in the text
                read = self._encode(small)
                if len(read.ids) < len(encoding.ids):
                    name = self.info.name
                    return read, (
                        f"The text is in capitals, which {name} cannot read: {name} reads “{shortened(small)}”",
                    )
        return encoding, ()

    @staticmethod
    def _pieces(encoding: Encoding, text: str, keep: slice) -> Pieces:
        return Pieces(
            text=text,
            pair=None,
            ids=tuple(encoding.ids[keep]),
            names=tuple(encoding.tokens[keep]),
            offsets=tuple(encoding.offsets[keep]),
            special=tuple(map(bool, encoding.special_tokens_mask[keep])),
            segments=(0,) * len(encoding.ids[keep]),
        )

    def _guessing(self, tokens: Tokens) -> tuple[str, ...]:
        """Return a note that names the words that were rare in training, if there are any."""
        if not self._known_words:
            return ()
        pieces = Counter(token.word for token in tokens.tokens)
        words = [
            (word.text, pieces[place])
            for place, word in enumerate(tokens.words)
            if any(letter.isalpha() for letter in word.text)
        ]
        rare = list(
            dict.fromkeys(
                word for word, count in words if word.lower() not in self._known_words or self._shouted(word, count)
            )
        )
        if not rare:
            return ()
        more = f" and {len(rare) - LISTED} more" if len(rare) > LISTED else ""
        listed = ", ".join(map(shortened, rare[:LISTED])) + more
        return (f"{self.info.name} has hardly seen {listed} in training and is guessing; --model names a larger model",)

    def _shouted(self, word: str, pieces: int) -> bool:
        """Return whether a word is in capitals and has more pieces than it would have in small letters."""
        return len(word) > 1 and word.isupper() and pieces > len(self._encode(word.lower()).ids) - 1

    def _written(self, translation: Translation) -> Pieces:
        """Return the pieces of a translation, exactly as it was written."""
        ids = translation.ids
        growing = (part.lstrip() for part in self._decode([ids[1:count] for count in range(1, len(ids) + 1)]))
        return Pieces(
            text=translation.text,
            pair=None,
            ids=translation.ids,
            names=tuple(self._name(one) for one in ids),
            offsets=tuple(written_offsets(translation.text, growing)),
            special=tuple(one in {PAD, END} for one in ids),
            segments=(0,) * len(ids),
        )

    def _encode(self, text: str) -> Encoding:
        """Tokenize a text, end token included.

        Raises:
            ModelError: the tokenizer fails, or knows tokens that the model does not.
        """
        problem = f"The tokenizer of {self.info.name} fails on this text"
        with library_told(problem, self._remedy):
            # Only encode_batch lets other threads run, among them the one that watches the time.
            made = in_time(lambda: self.tokenizer.encode_batch([text]), len(text), problem, self._remedy)
        encoding: Encoding = made[0]
        if max(encoding.ids, default=0) >= self.shape.vocabulary:
            raise ModelError(
                f"The tokenizer of {self.info.name} knows more tokens than the model ({max(encoding.ids)} is not below "
                f"{self.shape.vocabulary})",
                self._remedy,
            )
        return encoding

    def _decode(self, parts: Sequence[Sequence[int]]) -> list[str]:
        """Decode each run of tokens to text, special tokens left out.

        Raises:
            ModelError: the tokenizer fails.
        """
        problem = f"The tokenizer of {self.info.name} fails on what was written"
        with library_told(problem, self._remedy):
            return in_time(
                lambda: self.tokenizer.decode_batch([list(ids) for ids in parts]),
                sum(map(len, parts)),
                problem,
                self._remedy,
            )

    def _name(self, token: int) -> str:
        return str(self.tokenizer.id_to_token(token))


def _chances(logits: Float[np.ndarray, "place vocabulary"], written: Sequence[int]) -> Chances:
    """Return the chances at each place, where these tokens were written."""
    logs = log_softmax(logits)
    best = np.argsort(-logs, axis=1, kind="stable")[:, :LIKELIEST]
    own = np.take_along_axis(logs, np.asarray(written)[:, None], axis=1)[:, 0]
    return Chances(own, -(np.exp(logs) * logs).sum(axis=1), best, np.take_along_axis(logs, best, axis=1))


def _of_heads(
    arrays: Float[np.ndarray, "1 every row column"], heads: Sequence[int]
) -> Float[np.ndarray, "head row column"]:
    chosen: Float[np.ndarray, "head row column"] = np.ascontiguousarray(arrays[0, list(heads)], np.float32)
    return chosen


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


@dataclass(frozen=True, eq=False)
class ToyGoal:
    """The tokens whose logits relevance is measured for."""

    target: Tokens
    """All tokens of the decoder's side, the start token first."""
    word: str | None
    """The only word of them that is meant; None for all."""
    own: bool
    """True if the model wrote them itself."""


@dataclass(frozen=True, eq=False)
class ToySource:
    """A text tokenized for a toy model, which implements `Source`."""

    model: ModelInfo
    source: Tokens
    target: Tokens | None
    notes: tuple[str, ...]
    network: Transformer | recurrent.Recurrent
    folder: Path
    ids: tuple[int, ...]
    read: tuple[int, ...] | None
    """Tokens that the decoder reads: the start token, then all tokens of the target but the last."""
    relevant_to: ToyGoal | None = None
    """The output whose relevance can be measured; None if the text was read for none."""

    def stream(self, request: Request, eat: Eat) -> Report:
        """Run the model, and pass each layer's attention to the collector `eat`.

        Raises:
            ModelError: relevance is asked for, and the model is recurrent or the text was read for no output.
        """
        if request.relevance:
            return self._stream_relevance(request, eat)
        largest = 0.0
        without = self.model.without

        def see(
            kind: Kind,
            layer: int,
            scores: Float[np.ndarray, "1 head query key"],
            weights: Float[np.ndarray, "1 head query key"],
            values: Float[np.ndarray, "1 head key value_dim"],
            contexts: Float[np.ndarray, "1 head query value_dim"],
            queries: Float[np.ndarray, "1 head query dim"],
            keys: Float[np.ndarray, "1 head key dim"],
        ) -> None:
            nonlocal largest
            heads = request.heads.get(kind, {}).get(layer)
            if heads is None:
                return
            of_heads = partial(_of_heads, heads=heads)
            if layer in without.get(kind, {}):  # what a head that is cut would have handed on
                contexts = weighted_sum(weights, values)
            if request.verify:
                again = weighted_sum(normalize(scores), values)
                largest = float(np.maximum(largest, np.abs(again - contexts).max()))
            rows, columns = weights.shape[2:]
            stops = np.arange(rows) + 1 if kind == "decoder" else np.full(rows, columns)
            steps = None
            if request.steps:
                vector = self._additive()
                steps = Steps(
                    queries=of_heads(queries),
                    keys=of_heads(keys),
                    values=of_heads(values),
                    contexts=of_heads(contexts),
                    scaling=queries.shape[-1] ** -0.5 if vector is None else None,
                    vector=vector,
                )
            eat(
                Block(
                    kind=kind,
                    layer=layer,
                    heads=heads,
                    start=0,
                    weights=of_heads(weights),
                    visible=np.stack([np.zeros_like(stops), stops], axis=1),
                    scores=of_heads(scores) if request.scores or request.steps else None,
                    norms=self._norms(kind, layer, heads, values) if request.norms else None,
                    steps=steps,
                )
            )

        states = self.run(see)
        notes, output = self.notes, None
        if request.verify and isinstance(self.network, Transformer) and states is not None:
            # Imported late, since it brings torch and transformers.
            from attn_cli.models.hf.marian import check_output

            if without:
                states, notes = self.run(cut=False), (*notes, COMPARED_UNCUT)
            output = None if states is None else check_output(self.folder, self.ids, self.read, states)
        return Report(largest if request.verify else None, notes, output, vector=self._vector())

    def _vector(self) -> Float[np.ndarray, "dim"] | None:
        """Return the last states of the encoder, if they are all that the decoder gets; None with attention."""
        network = self.network
        if not isinstance(network, recurrent.Recurrent) or network.shape.attention:
            return None
        ids = np.asarray([self.ids])
        vector: Float[np.ndarray, "dim"] = network.encode(ids, ids != PAD).last[0]
        return vector

    def _stream_relevance(self, request: Request, eat: Eat) -> Report:
        """Run the model's copy in transformers under autograd, and pass each layer's attention with its relevance."""
        if not isinstance(self.network, Transformer):
            raise ModelError(
                f"{self.model.name} is recurrent, and relevance goes from layer to layer of a Transformer",
                "Use --model toy, or choose another measure",
            )
        if self.relevant_to is None:
            raise ModelError("The text was not read for an output, so nothing can be relevant to it")
        checked = self.stream(replace(request, relevance=False), lambda _: None) if request.verify else Report()
        # Imported late, since it brings torch and transformers.
        from attn_cli.models.hf.marian import stream_relevance

        goal = self.relevant_to
        report = stream_relevance(self.folder, self.ids, goal.target, goal.word, request, eat, own=goal.own)
        notes = dict.fromkeys((*self.notes, *report.notes))
        return replace(report, notes=tuple(notes), verified=checked.verified, output=checked.output)

    def run(self, see: See | None = None, *, cut: bool = True) -> Float[np.ndarray, "1 token dim"] | None:
        """Run the model, and return the last states of the decoder, or of the encoder where there is no target.

        Args:
            see: callback for each layer's attention.
            cut: cut the heads that the model is without.
        """
        cuts = RowCuts([zeroed(self.model.without)]) if cut and self.model.without else None
        ids = np.asarray([self.ids])
        states: Float[np.ndarray, "1 token dim"] | None = None
        if self.read is not None:
            states = self.network.states(ids, np.asarray([self.read]), see, cuts)
        elif isinstance(self.network, Transformer):
            states = self.network.encode(ids, ids != PAD, see, cuts)
        return states

    def _norms(
        self, kind: Kind, layer: int, heads: tuple[int, ...], values: Float[np.ndarray, "1 every key dim"]
    ) -> Float[np.ndarray, "head key"]:
        """Return the norm of each key's value after the output projection, which only the Transformer has."""
        rows = []
        for head in heads:
            value = values[0, head]
            if isinstance(self.network, Transformer):
                value = value @ self.network.output_projection(kind, layer, head).T
            rows.append(np.linalg.norm(value, axis=-1))
        return np.stack(rows).astype(np.float32)

    def _additive(self) -> Float[np.ndarray, "dim"] | None:
        """Return the vector that turns tanh(query + key) into an additive score; None for dot-product scores."""
        additive = isinstance(self.network, recurrent.Recurrent)
        return np.asarray(self.network.weights["attention.vector"], np.float32) if additive else None
