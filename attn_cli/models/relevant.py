"""The choice of the output whose relevance is measured: what the model is made for, or what a user names."""

from __future__ import annotations

from dataclasses import replace

from attn_cli.errors import InputError, ModelError, UsageError, quoted
from attn_cli.models import Input, Model, RelevantTo, translate_one
from attn_cli.models.spelled import MASK, fill, follow, has_mask, split_into, with_masks

__all__ = ["with_output"]

ANOTHER_TEXT = "give another text with --relevant-to, and how similar the two are is measured"


def with_output(model: Model, given: Input, word: str | None = None) -> Input:
    """Add to what a model is to read the output whose relevance is measured.

    A decoder's is the token that follows, or all that was written behind its prompt; an encoder-decoder's its
    translation (or the target given), a masked encoder's the tokens at the masks, and that of another encoder how
    similar the text is to another.

    Args:
        model: a loaded model.
        given: what it is to read.
        word: what the user names: the word that follows or fills the mask, a word of the translation or of what was
            written, or another text.

    Raises:
        ModelError: the model has no such output.
        InputError: the text has no mask, or the word makes no token there.
        UsageError: one word is named, and the text has several masks.
    """
    if not model.info.stacks:
        raise ModelError(model.info.without_attention, "Name another model with --model")
    if model.info.without:
        raise UsageError(
            "--measure relevance takes gradients of the model as it is, so heads cannot be left out by --without",
            "Leave one of them out",
        )
    own = model.outputs[0]
    if own == "target":
        target = translate_one(model, given) if given.target is None else given.target
        return replace(given, relevant_to=RelevantTo(target=target, word=word))
    if own == "next" and given.continuation is not None:
        return replace(given, relevant_to=RelevantTo(word=word))
    if own == "next":
        return replace(given, relevant_to=RelevantTo() if word is None else _following(model, given, word))
    mask = model.mask_token
    if mask is not None and has_mask(given, mask):
        return _filling(model, with_masks(given, mask), mask, word)
    if word is not None:
        return replace(given, relevant_to=RelevantTo(text=word))
    if own == "mask":
        raise InputError(
            "The text has no mask, so there is no word to measure relevance for",
            f"Write {MASK} where a word is to be filled in, or {ANOTHER_TEXT}",
        )
    raise ModelError(
        f"{model.info.name} chooses no words, so there is no output to measure relevance for",
        f"{ANOTHER_TEXT.capitalize()}, or choose another model",
    )


def _following(model: Model, given: Input, word: str) -> RelevantTo:
    source, places = follow(model, given, word)
    tokens = [source.source.tokens[place] for place in places]
    return RelevantTo(token=tokens[0].id, notes=_first_of(word, [token.piece for token in tokens]))


def _filling(model: Model, given: Input, mask: str, word: str | None) -> Input:
    if "mask" not in model.outputs:
        raise ModelError(
            f"{model.info.name} was saved without the layer that chooses words, so nothing can be relevant to {MASK}",
            f"Write a text without it and {ANOTHER_TEXT}, or choose another model",
        )
    source = model.prepare(replace(given, relevant_to=None))
    places = tuple(index for index, token in enumerate(source.source.tokens) if token.piece == mask)
    if not places:
        raise InputError(f"The tokenizer makes no mask of {quoted(mask)}", "Choose another model")
    if word is None:
        return replace(given, relevant_to=RelevantTo(masks=places))
    if len(places) > 1:
        raise UsageError("--relevant-to is one word, and the text has several masks", "Leave one mask")
    tokens = fill(model, given, mask, word)
    notes = _first_of(word, [token.piece for token in tokens])
    return replace(given, relevant_to=RelevantTo(token=tokens[0].id, masks=places, notes=notes))


def _first_of(word: str, pieces: list[str]) -> tuple[str, ...]:
    return (split_into(word, pieces, "relevance is for the first"),) if len(pieces) > 1 else ()
