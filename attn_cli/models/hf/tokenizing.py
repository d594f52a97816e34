"""Tokenization with the model's own tokenizer, with each piece's place in the text."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from typing import Any, Literal
from weakref import WeakKeyDictionary

from transformers import PreTrainedTokenizerBase

from attn_cli.data.text import written_offsets
from attn_cli.errors import InputError, enumerated
from attn_cli.models.compiled import in_time
from attn_cli.models.encoding import Pieces, spelled_alone
from attn_cli.models.hf.pieces import Tokenized, read_fast, read_slow
from attn_cli.models.hf.vocabulary import (
    REMEDY,
    names_of,
    problem_with,
    shown_names,
    special_ids,
    tokenizer_faults_told,
)
from attn_cli.system.encoding import check_text

__all__ = [
    "continued",
    "encode",
    "given_by",
    "inputs_of_pieces",
    "padding_of",
    "spell",
    "spell_after",
    "spell_alone",
    "written",
]

WORD = re.compile(r"\S+")
CONTEXT = 8
"""Most tokens of a prompt that are decoded together with what follows it."""
NO_PAGE = "This model also reads where on a page each word stands; here all of them stand in one place"


def encode(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    *,
    prefix: str = "",
    pair: str | None = None,
    target: bool = False,
    limit: int | None = None,
    marks: tuple[tuple[int, int], ...] | None = None,
) -> Pieces:
    """Tokenize a text as the model expects it, special tokens included.

    Args:
        tokenizer: the model's own tokenizer.
        text: the text to tokenize.
        prefix: an instruction put before the text (a task, a language); its pieces are marked as special.
        pair: a second segment.
        target: true if the text is for the decoder's side, which some tokenizers treat otherwise (Marian, mBART).
        limit: most tokens to keep, special tokens included.
        marks: places of what a chat template put into the text, whose pieces are marked as special; the tokenizer then
            adds none of its own.

    Raises:
        InputError: the text is blank or no text at all, gives no tokens, or `pair` is given to a tokenizer that does
            not keep two segments apart.
        ModelError: the tokenizer fails at this text, or takes far too long.
    """
    check_text(text, "The target" if target else "The text")
    if pair is not None:
        check_text(pair, "The second text")
    with tokenizer_faults_told("read this text"):
        made = _encode(tokenizer, prefix + text, pair, target, limit, added=marks is None)
        gone = _doubled(made.pieces, made.added)
        if gone and limit is not None:  # pieces that are left out make room for others
            made = _encode(tokenizer, prefix + text, pair, target, limit + len(gone))
            gone = _doubled(made.pieces, made.added)
    pieces = replace(made.pieces.without(gone), doubled=0 in gone) if gone else made.pieces
    if gone:
        named = enumerated(dict.fromkeys(made.pieces.names[place] for place in gone))
        told = f"The text itself spells {named}, so the tokenizer does not add it again"
        pieces = replace(pieces, notes=(*pieces.notes, told))
    if prefix:
        pieces = pieces.without_prefix(prefix)
    if marks:
        pieces = pieces.marked(marks)
    if all(pieces.special):
        raise InputError(
            "The model's tokenizer makes no tokens of this text", "Give a text with letters or digits that can be seen"
        )
    if pair is not None and not _separated(pieces):
        raise InputError(
            "This model takes one text: its tokenizer puts nothing between two",
            "Leave the second out, or write one text",
        )
    return pieces


def written(tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int]) -> Pieces:
    """Make pieces of exactly the tokens that a decoder wrote.

    Args:
        tokenizer: the model's own tokenizer.
        text: the ids as text, special tokens left out.
        ids: ids of the start token and of the tokens written after it.

    Raises:
        ModelError: the tokenizer fails at these ids.
    """
    with tokenizer_faults_told("spell what was written"):
        extra = special_ids(tokenizer)
    growing = (spell(tokenizer, ids[:stop], extra) for stop in range(1, len(ids) + 1))
    return _written(tokenizer, text, ids, growing, (True, *(id_ in extra for id_ in ids[1:])))


def continued(tokenizer: PreTrainedTokenizerBase, before: Sequence[int], text: str, ids: Sequence[int]) -> Pieces:
    """Make pieces of exactly the tokens that a decoder wrote behind a prompt.

    Args:
        tokenizer: the model's own tokenizer.
        before: ids of the prompt.
        text: what the ids add to the prompt's text.
        ids: ids of the tokens written.

    Raises:
        ModelError: the tokenizer fails at these ids.
    """
    with tokenizer_faults_told("spell what was written"):
        extra = special_ids(tokenizer)
    growing = (spell_after(tokenizer, before, ids[:stop]) for stop in range(1, len(ids) + 1))
    return _written(tokenizer, text, ids, growing, tuple(id_ in extra for id_ in ids))


def _written(
    tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int], growing: Iterable[str], special: tuple[bool, ...]
) -> Pieces:
    return Pieces(
        text=text,
        pair=None,
        ids=tuple(ids),
        names=shown_names(tokenizer, ids),
        offsets=tuple(written_offsets(text, growing)),
        special=special,
        segments=(0,) * len(ids),
    )


def spell_after(tokenizer: PreTrainedTokenizerBase, before: Sequence[int], ids: Sequence[int]) -> str:
    """Decode what tokens add to the text before them, without special tokens; a space before a word is kept.

    Args:
        tokenizer: the model's own tokenizer.
        before: ids of the text before them.
        ids: ids of the tokens.

    Raises:
        ModelError: the tokenizer fails at these ids.
    """
    with tokenizer_faults_told("spell what was written"):
        extra = special_ids(tokenizer)
        # A few tokens are enough to tell whether a space stands between them and what follows.
        context = [id_ for id_ in before[-CONTEXT:] if id_ not in extra]
        own = [id_ for id_ in ids if id_ not in extra]
        told: dict[str, Any] = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
        short, whole = (str(tokenizer.decode(part, **told)) for part in (context, context + own))
        return whole[len(short) :] if whole.startswith(short) else str(tokenizer.decode(own, **told))


def spell(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], special: frozenset[int] | None = None) -> str:
    """Decode tokens into text, without special tokens and language codes.

    Args:
        tokenizer: the model's own tokenizer.
        ids: ids of the tokens.
        special: ids to leave out; by default those of `special_ids`.

    Raises:
        ModelError: the tokenizer fails at these ids.
    """
    with tokenizer_faults_told("spell what was written"):
        extra = special_ids(tokenizer) if special is None else special
        return str(tokenizer.decode([id_ for id_ in ids if id_ not in extra], skip_special_tokens=True)).strip()


def spell_alone(tokenizer: PreTrainedTokenizerBase, id_: int) -> str:
    """Return what a token adds to a text: a space before a word, or only spaces; its name if that is nothing.

    Raises:
        ModelError: the tokenizer fails at this id.
    """
    (name,) = names_of(tokenizer, [id_])
    with tokenizer_faults_told("spell its own tokens"):
        return spelled_alone(str(name), str(tokenizer.decode([id_], skip_special_tokens=True)))


def _separated(pieces: Pieces) -> bool:
    """Return whether there is a special token between the two segments."""
    place = pieces.segments.index(1) if 1 in pieces.segments else 0
    return place > 0 and (pieces.special[place - 1] or pieces.special[place])


def _encode(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    pair: str | None,
    target: bool,
    limit: int | None,
    *,
    added: bool = True,
) -> Tokenized:
    settings: dict[str, Any] = {} if limit is None else {"truncation": True, "max_length": limit}
    if not added:
        settings["add_special_tokens"] = False

    def call() -> Any:
        return tokenizer(text_target=text, **settings) if target else given_by(tokenizer, text, pair, **settings)

    if not tokenizer.is_fast:
        return read_slow(tokenizer, call(), text, pair, target)
    problem = problem_with("read this text")
    batch = in_time(call, len(text) + len(pair or ""), problem, REMEDY) if _searches(tokenizer) else call()
    page = None if target else _page(tokenizer)
    if page is None:
        return read_fast(tokenizer, batch, text, pair)
    words = [match.span() for match in WORD.finditer(text if pair is None else pair)]
    # The question is split at spaces as well, except by MarkupLM, which takes it as one word.
    question = [(0, len(text))] if page == "xpaths" else [match.span() for match in WORD.finditer(text)]
    made = read_fast(tokenizer, batch, text, pair, [words] if pair is None else [question, words])
    return made._replace(pieces=replace(made.pieces, notes=(NO_PAGE,)))


_known_searches: WeakKeyDictionary[PreTrainedTokenizerBase, bool] = WeakKeyDictionary()


def _searches(tokenizer: Any) -> bool:
    """Return whether a fast tokenizer searches a text for regular expressions of its own, which may never end."""
    if tokenizer not in _known_searches:
        backend = tokenizer.backend_tokenizer
        try:
            parts = f"{backend.normalizer!r} {backend.pre_tokenizer!r}"
        except Exception:  # a bare tokenizer with a part in Python, which cannot be inspected
            _known_searches[tokenizer] = True
        else:
            _known_searches[tokenizer] = "Regex(" in parts
    return _known_searches[tokenizer]


def inputs_of_pieces(tokenizer: PreTrainedTokenizerBase, pieces: Sequence[str]) -> dict[str, list[Any]]:
    """Look up the inputs that a tokenizer has for each piece besides its id: RoCBert's shapes and pronunciations.

    Args:
        tokenizer: the model's own tokenizer.
        pieces: pieces as its vocabulary spells them.
    """
    return {
        f"input_{what}s": getattr(tokenizer, f"convert_tokens_to_{what}s")(list(pieces))
        for what in ("shape_id", "pronunciation_id")
        if hasattr(tokenizer, f"convert_tokens_to_{what}s")
    }


def padding_of(tokenizer: PreTrainedTokenizerBase, pieces: Pieces) -> dict[str, Any]:
    """Return the value that a tokenizer pads each of its inputs with; inputs that it cannot pad are left out.

    Args:
        tokenizer: the model's own tokenizer.
        pieces: pieces of any text, from this tokenizer.
    """
    count = len(pieces.ids)
    given: dict[str, Any] = {"input_ids": list(pieces.ids), "attention_mask": [1] * count}
    given |= {key: list(values) for key, values in pieces.inputs.items()}
    if tokenizer.pad_token is None:
        return {key: 0 for key in given if key == "token_type_ids"}
    made = tokenizer.pad(given, padding="max_length", max_length=count + 1, padding_side="right")
    return {key: values[count] for key, values in made.items() if len(values) == count + 1}


def _page(tokenizer: PreTrainedTokenizerBase) -> Literal["boxes", "xpaths"] | None:
    """Return the argument in which a document tokenizer takes the words' places; None for a plain-text tokenizer."""
    known = _parameters(type(tokenizer).__call__)
    return "boxes" if "boxes" in known else "xpaths" if "xpaths" in known else None


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of a function's parameters."""
    return frozenset(inspect.signature(function).parameters)


def given_by(tokenizer: PreTrainedTokenizerBase, text: str, pair: str | None = None, **settings: Any) -> Any:
    """Call a tokenizer on a text as a transformers user would.

    Args:
        tokenizer: the model's own tokenizer.
        text: the text to tokenize.
        pair: a second segment; for a document tokenizer, the page that the text asks about.
        settings: further options of the tokenizer's call.
    """
    call: Any = tokenizer
    page = _page(tokenizer)
    if page is None:
        return call(text, pair, **settings)
    content = text if pair is None else pair
    words = [match[0] for match in WORD.finditer(content)]
    where = {"boxes": [0, 0, 0, 0], "xpaths": "/document/node"}[page]  # MarkupLM's own default
    question = () if pair is None else (text,)
    return call(*question, words, **{page: [where] * len(words)}, **settings)


def _doubled(pieces: Pieces, added: Sequence[bool]) -> tuple[int, ...]:
    """Find added special pieces that the text itself has in the same place, as in a prompt that begins with `<s>`."""
    ids = pieces.ids
    gone: list[int] = []
    for is_added, run in groupby(range(len(ids)), key=lambda place: added[place]):
        places = list(run)
        start, stop = places[0], places[-1] + 1
        if not is_added:
            continue
        if start == 0 and ids[stop : stop + 1] == ids[:1]:
            gone += places
            continue
        before = next(
            (
                size
                for size in range(len(places), 0, -1)
                if ids[max(start - size, 0) : start] == ids[start : start + size]
            ),
            0,
        )
        behind = next(
            (size for size in range(len(places) - before, 0, -1) if ids[stop : stop + size] == ids[stop - size : stop]),
            0,
        )
        gone += [*range(start, start + before), *range(stop - behind, stop)]
    return tuple(place for place in gone if pieces.special[place])
