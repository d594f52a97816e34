"""The reading of a text so that its output can be measured: the places and words of it, as a user chooses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from attn_cli.cli.texts import located
from attn_cli.data.naming import choose_units
from attn_cli.data.outcomes import Wanted
from attn_cli.data.selection import Unit
from attn_cli.data.stream import Source
from attn_cli.data.text import Token, Tokens
from attn_cli.data.units import Units
from attn_cli.errors import AttnError, InputError, ModelError, SelectionError, UsageError, quoted
from attn_cli.models import Input, Model, Translation, translate_one
from attn_cli.models.encoding import named_alone
from attn_cli.models.spelled import (
    MASK,
    check_known,
    fill,
    follow,
    has_mask,
    hide,
    joined,
    last_segment,
    one_token,
    split_into,
    unknown_noted,
    with_masks,
)
from attn_cli.questions.ablate.choices import OutputChoice
from attn_cli.questions.ablate.output import OutputWord, ReadOutput

__all__ = ["fault_of_text", "read_like", "read_output"]


def read_output(
    model: Model,
    given: Input,
    choice: OutputChoice,
    unit: Unit = "word",
    *,
    only_next: bool = False,
) -> ReadOutput:
    """Read a text so that the output chosen can be measured: its own, or what the model is made for.

    Args:
        model: a loaded model.
        given: the text, and the target: what follows a decoder's text, a translation, or the word at the mask.
        choice: what the user asks of the output.
        unit: words or tokens of the output.
        only_next: whether the token after a decoder's text is all that is wanted, so that a text of one token will do.

    Raises:
        InputError: the text cannot be used, or lacks what is to be measured.
        UsageError: two choices exclude each other, or the model has no output that they fit.
        ModelError: the model has no such output, or no attention.
    """
    choice.check(given.target if isinstance(given.target, str) else None)
    if not model.info.stacks:
        raise ModelError(model.info.without_attention, "Name another model with --model")
    reader = _Reader(model, given, choice, unit)
    own = model.outputs[0]
    if own == "target":
        return reader.translation()
    if own == "next" and choice.output != "states":
        return reader.following(only_next=only_next)
    masked = has_mask(given, model.mask_token) and choice.output != "states"
    about = next((name for name, given in reader.about_words if given), None)
    if own != "next" and (choice.mask is not None or masked or choice.output == "words" or about):
        return reader.masked(masked=masked, about=about)
    return reader.last_states()


def read_like(read: ReadOutput, given: Input, choice: OutputChoice) -> Source:
    """Read another text so that the same output can be measured: with the same target, or masked in the same places.

    Args:
        read: the text whose output is measured.
        given: the other text, and the target that is given with the first.
        choice: what the user asks of the output.

    Raises:
        InputError: the text cannot be used, or has its masks in other places.
        ModelError: the model has no attention.
    """
    return _Reader(read.model, given, choice, "token").like(read)


def fault_of_text(fault: InputError | SelectionError, choice: OutputChoice, where: str) -> AttnError:
    """Return the fault for which one text of a corpus is left out, with its place.

    Args:
        fault: what was raised when the text was read and run.
        choice: what the user asks of the output.
        where: the place of the text in the corpus, for notes.

    Raises:
        SelectionError: the model has no such heads, so no text can be measured.
    """
    if isinstance(fault, SelectionError) and choice.mask is None:
        raise fault
    return located(fault, where)


@dataclass(frozen=True)
class _Reader:
    """A text and what is asked of its output."""

    model: Model
    given: Input
    choice: OutputChoice
    unit: Unit

    @property
    def target(self) -> str | None:
        """The target that was given; what continues a decoder's text, with a space before it where one is needed."""
        target = self.given.target if isinstance(self.given.target, str) else None
        if target is None or not self.choice.continues or self.model.outputs[0] != "next":
            return target
        return joined(last_segment(self.given), target)

    @property
    def about_words(self) -> Iterable[tuple[str, bool]]:
        """The options that are about words, and whether they are given."""
        return (
            ("--target", self.target is not None),
            ("--against", self.choice.against is not None),
            ("--target-tokens", self.choice.target_tokens is not None),
        )

    @property
    def _marked(self) -> Input:
        """The text with the masks that the model fills written as the model does, if it fills any."""
        mask = self.model.mask_token
        return with_masks(self.given, mask) if mask is not None and "mask" in self.model.outputs else self.given

    def _prepare(self, given: Input | None = None, target: str | Translation | None = None) -> Source:
        return self.model.prepare(replace(given or self.given, target=target))

    def translation(self) -> ReadOutput:
        """Read the text with its translation, or with the target.

        Raises:
            UsageError: a choice is about other models, or a pair is to be translated.
        """
        name = self.model.info.name
        if self.choice.output == "states":
            raise UsageError(
                f"{name} is an encoder-decoder, of which words are measured, not last states",
                "Leave --output states out, or choose another model",
            )
        others = {
            "--mask": self.choice.mask,
            "--against": self.choice.against,
            "--target-tokens": self.choice.target_tokens,
        }
        for option, given in others.items():
            if given is not None:
                raise UsageError(f"{name} translates, and {option} goes with other models", f"Leave {option} out")
        if self.target is None and self.given.pair is not None:
            raise UsageError(
                f"{name} translates one text, and --pair is a second",
                "Leave --pair out, or give the translation with --target",
            )
        written = translate_one(self.model, self.given) if self.target is None else None
        source = self._prepare(target=self.target if written is None else written)
        if source.target is None:
            raise ModelError(f"{name} read no target")
        words = self._words(source.target, range(1, len(source.target)))
        places = tuple(range(len(source.target) - 1))
        return ReadOutput(
            self.model,
            source,
            Wanted("target", places),
            words,
            place_labels=_following(source.target),
            translation=written,
            notes=unknown_noted(self.model, source.target) if written is None else written.notes,
        )

    def following(self, *, only_next: bool) -> ReadOutput:
        """Read a decoder's text, with the target after it.

        Args:
            only_next: whether a text of one token will do.

        Raises:
            InputError: the tokenizer joins the text and the target.
            UsageError: a choice is about other models, or the target has several tokens.
        """
        if self.choice.mask is not None:
            raise UsageError(
                f"{self.model.info.name} writes what comes next, and --mask goes with masked encoders",
                "Give the word that follows with --target",
            )
        if self.target is None:
            source = self._prepare()
            tokens = source.source
            if len(tokens) < 2 and not only_next:
                raise InputError(
                    "The text is one token, so no token follows another", "Give --target, or a longer text"
                )
            words = self._words(tokens, range(1, len(tokens)))
            noted = unknown_noted(self.model, tokens)
            return ReadOutput(self.model, source, Wanted("next"), words, place_labels=("after the text",), notes=noted)
        source, places = follow(self.model, self.given, self.target)
        tokens = source.source
        notes: tuple[str, ...] = ()
        made = [tokens.tokens[place].piece for place in places]
        if self.choice.target_tokens == "first":
            places = places[:1]
        elif len(made) > 1 and self.choice.against is None:
            if self.choice.target_tokens is None:
                notes += () if self.choice.continues else (split_into(self.target, made, "all are measured"),)
        elif len(made) > 1:
            raise UsageError(split_into(self.target, made, "--against compares one"), self._as_one(self.target))
        read = ReadOutput(
            self.model,
            source,
            Wanted("next", tuple(place - 1 for place in places)),
            self._words(tokens, places),
            place_labels=_following(tokens, places),
            notes=notes,
        )
        if self.choice.against is None:
            return read
        other, others = follow(self.model, self.given, self.choice.against)
        made = [other.source.tokens[place].piece for place in others]
        if len(made) > 1 and self.choice.target_tokens != "first":
            raise UsageError(
                split_into(self.choice.against, made, "one is compared"), self._as_one(self.choice.against)
            )
        ids = tokens.tokens[places[0]].id, other.source.tokens[others[0]].id
        return self._compared(read, ids)

    def _words(self, tokens: Tokens, positions: Sequence[int]) -> tuple[OutputWord, ...]:
        """Return the words that these tokens make, each with the indices of its tokens in `Outcome.tokens`.

        A word that is measured in part has the name of that part.

        Args:
            tokens: all tokens of the text, of which the first has no log-probability.
            positions: positions of the tokens that are measured.
        """
        units = Units.of(tokens, self.unit)
        owner = units.unit_of_token()
        found: dict[int, list[int]] = {}
        for position in positions:
            found.setdefault(int(owner[position]), []).append(position)
        return tuple(
            OutputWord(
                units.labels[index]
                if len(some) == len(units.token_positions(index))
                else self._part(tokens, [tokens.tokens[position] for position in some]),
                index,
                units.special[index],
                tuple(position - 1 for position in some),
            )
            for index, some in found.items()
        )

    def _part(self, tokens: Tokens, some: Sequence[Token]) -> str:
        """Name a part of a word: its piece, or the text of several."""
        if len(some) == 1:
            return named_alone(self.model.spell_tokens([some[0].id or 0])[0])
        whole = replace(some[0], end=some[-1].end)
        return tokens.text_of(whole).strip() or " ".join(token.piece for token in some)

    def _as_one(self, word: str) -> str:
        """Say how to measure one token of a word that has several."""
        return one_token(self.model, self.given, word) or "Add --target-tokens first"

    def _compared(self, read: ReadOutput, ids: tuple[int | None, int | None]) -> ReadOutput:
        """Measure the difference of the logits of two tokens."""
        one, other = (0 if id_ is None else id_ for id_ in ids)
        if one == other:
            own = "--target" if self.choice.mask is None else "the word of --mask"
            raise UsageError(f"--against is the same token as {own}", "Give another word")
        names = [named_alone(text) for text in self.model.spell_tokens([one, other])]
        word = replace(read.words[0], label=names[0])
        return replace(read, words=(word,), against=(one, other), names=(names[0], names[1]))

    def masked(self, *, masked: bool, about: str | None) -> ReadOutput:
        """Read a text with a mask in it for a masked encoder.

        Args:
            masked: whether the text has a mask.
            about: the option that asks for words, if there is one.

        Raises:
            InputError: there is no mask in the text, or the model has no mask token.
            UsageError: the word for the mask has several tokens.
        """
        mask, name = self.model.mask_token, self.model.info.name
        if "mask" not in self.model.outputs or mask is None:
            asked = about or (MASK if masked else "--output words")
            asked = asked if self.choice.mask is None else "--mask"
            raise ModelError(
                f"{name} was saved without the layer that chooses words, so {asked} cannot be measured",
                "Leave it out to measure the last states, or choose another model",
            )
        if self.choice.mask is not None:
            return self._hidden(self.choice.mask, mask, masked=masked)
        if not masked:
            raise InputError(
                "The text has no mask", f"Write {MASK} where a word is to be filled in, or name it by --mask"
            )
        given = self._marked
        source = self._prepare(given)
        places = tuple(index for index, token in enumerate(source.source.tokens) if token.piece == mask)
        if not places:
            raise InputError(f"The tokenizer makes no mask of {quoted(mask)}", "Choose another model")
        owner = Units.of(source.source, self.unit).unit_of_token()
        words = tuple(
            OutputWord(mask, int(owner[place]), special=False, places=(index,)) for index, place in enumerate(places)
        )
        many = len(places) > 1
        labels = tuple(f"in place of {MASK}" + f" {count}" * many for count in range(1, len(places) + 1))
        wanted = Wanted("mask", places, tokens=False)
        read = ReadOutput(self.model, source, wanted, words, place_labels=labels)
        if self.target is None:
            return read
        if len(places) > 1:
            raise UsageError("--target is one word, and the text has several masks", "Leave one mask")
        one = self._filled(given, mask, self.target)
        label = named_alone(self.model.spell_tokens([one])[0])
        read = replace(read, ids=(one,), words=(replace(words[0], label=label),))
        if self.choice.against is None:
            return read
        return self._compared(read, (one, self._filled(given, mask, self.choice.against)))

    def _filled(self, given: Input, mask: str, word: str) -> int:
        """Return the token of a word in the place of the mask."""
        tokens = fill(self.model, given, mask, word)
        if len(tokens) > 1 and self.choice.target_tokens != "first":
            raise UsageError(
                split_into(word, [token.piece for token in tokens], "the text has one mask"),
                "Add --target-tokens first, or give a word that is one token",
            )
        return tokens[0].id or 0

    def _hidden(self, word: str, mask: str, *, masked: bool) -> ReadOutput:
        """Mask a word of the text, or of its pair.

        Raises:
            UsageError: the text has a mask already.
            SelectionError: the text has no such word, or several.
            InputError: the model has no token for the word, or its tokenizer does not say where it stands.
        """
        if masked:
            raise UsageError(f"The text has a {MASK} already, so --mask cannot go with it", "Leave one of them out")
        own = self._prepare()
        units = Units.of(own.source)
        spans = choose_units(units, word)
        if len(spans) > 1:
            raise SelectionError(f"{quoted(word)} stands there {len(spans)} times", f"Name one of them, like {word}#1")
        (span,) = spans
        tokens = [own.source.tokens[place] for unit in span for place in units.token_positions(unit)]
        if tokens[0].special:
            raise SelectionError(f"{quoted(word)} is not a word of the text", "Name a word")
        check_known(self.model, own.source, tokens)
        given = hide(self.given, tokens, mask)
        choice = replace(self.choice, mask=None, against=None)
        read = _Reader(self.model, given, choice, self.unit).masked(masked=True, about=None)
        ids = tuple(0 if token.id is None else token.id for token in tokens)
        if len(read.words) != len(ids):
            raise InputError(
                f"The tokenizer reads the text differently with {quoted(word)} masked", "Mask another word"
            )
        pieces = [token.piece for token in tokens]
        joined = OutputWord(units.text_of(span), read.words[0].position, special=False, places=tuple(range(len(ids))))
        notes = read.notes
        if len(ids) > 1:
            notes += (split_into(word, pieces, "there is a mask for each"),)
        read = replace(read, ids=ids, words=(joined,), notes=notes)
        if self.choice.against is None:
            return read
        if len(ids) > 1:
            raise UsageError(split_into(word, pieces, "--against compares one"), "Mask another word")
        return self._compared(read, (ids[0], self._filled(given, mask, self.choice.against)))

    def last_states(self) -> ReadOutput:
        """Read a text whose last states are measured.

        Raises:
            UsageError: a choice is about words.
        """
        source = self._prepare(self._marked)
        units = Units.of(source.source, self.unit)
        words = tuple(
            OutputWord(label, index, special, tuple(units.token_positions(index)))
            for index, (label, special) in enumerate(zip(units.labels, units.special, strict=True))
        )
        return ReadOutput(self.model, source, Wanted("states", tokens=False), words)

    def like(self, read: ReadOutput) -> Source:
        """Read the text as another was read.

        Raises:
            InputError: the masks of both texts are in different places.
        """
        if read.kind == "target":
            return self._prepare(target=self.target if read.translation is None else read.translation)
        if read.kind == "next" and self.target is not None:
            return follow(self.model, self.given, self.target)[0]
        mask, given = self.model.mask_token, self._marked
        if read.kind == "mask" and mask is not None and not has_mask(given, mask):
            tokens = self._prepare().source.tokens
            for place in reversed(read.wanted.places):
                if place < len(tokens) and not tokens[place].special:
                    given = hide(given, tokens[place : place + 1], mask)
        source = self._prepare(given)
        if read.kind != "mask":
            return source
        places = tuple(index for index, token in enumerate(source.source.tokens) if token.piece == mask)
        if places != read.wanted.places and len(source.source) == len(read.source.source):
            raise InputError(
                "The masks of the two texts are in different places, and heads' outputs are put in the same places",
                f"Write {MASK} in the same place of both",
            )
        return source


def _following(tokens: Tokens, positions: Iterable[int] | None = None) -> tuple[str, ...]:
    """Return names of these places by what stands there, by default of all but the first."""
    chosen = range(1, len(tokens)) if positions is None else positions
    return tuple(
        f"in the place of {tokens.text_of(token).strip() or token.piece}"
        for token in (tokens.tokens[position] for position in chosen)
    )
