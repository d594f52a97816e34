"""Texts as the tokens of a built-in model, and its tokens as texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from attn_cli.data.text import Tokens, written_offsets
from attn_cli.errors import InputError, ModelError, shortened
from attn_cli.models import Translation
from attn_cli.models.compiled import in_time, library_told
from attn_cli.models.encoding import Pieces
from attn_cli.models.toy.folder import ToyFolder
from attn_cli.models.toy.search import END, PAD
from attn_cli.models.toy.typed import Side, TypedText, in_plain_characters
from attn_cli.system.encoding import check_text

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

__all__ = ["ToyReader"]

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
"""Pattern of a word: letters, with apostrophes between them."""
STARTS = re.compile(r"(?:^|[.?!…:][\"”»)]*\s)\W*$")
"""Pattern of what stands before the first word of a sentence."""
SMALL_WORDS = frozenset(
    """
    a an and are as at be but by can do does for from had has have he her his in is it its me my no not of on or our out
    she so that the their them they this to up was we were what when where who will with you your
    """.split()  # noqa: SIM905 - a list of words
)
"""Words that stand in small letters everywhere but in a title."""
HALF = re.compile(r" \ufffd+(?= |$)|\ufffd+")
"""Bytes that make no letter, and the space before them where they stand alone."""
LISTED = 8
"""Most words to name in a note."""
AROUND = 9
"""Most characters before a word that are looked at to see whether a sentence starts there."""
FEW = 3
"""Words of a text that may all be rare without its being in another language than English."""


class ToyReader:
    """The tokenizer of a built-in model, and the words that it knows.

    Raises:
        ModelError: a file of its folder cannot be read.
    """

    def __init__(self, folder: ToyFolder) -> None:
        self.name = folder.name
        self.shape = folder.shape
        self.tokenizer: Tokenizer = folder.tokenizer()
        self._remedy = folder.remedy
        self._known_words = folder.known_words()

    def read(self, text: str, what: Side, truncate: bool) -> tuple[Pieces, tuple[str, ...]]:
        """Tokenize one side, with notes.

        Args:
            text: the text.
            what: the side: `text` or `target`.
            truncate: cut a text that has more tokens than the model has positions.

        Raises:
            InputError: the text is empty, gives no tokens or is too long.
            ModelError: the tokenizer fails, or knows tokens that the model does not.
        """
        check_text(text, f"The {what}")
        plain = in_plain_characters(text, what)
        encoding, notes = self._in_small_letters(plain.text) if what == "text" else (self.encode(plain.text), ())
        if all(encoding.special_tokens_mask):
            raise InputError(f"{self.name} makes no tokens of this {what}", "Give one with letters or digits")
        count, most = len(encoding.ids), self.shape.positions
        if count > most:
            if not truncate:
                raise InputError(
                    f"The {what} has {count} tokens, {count - most} more than the {most} that {self.name} has "
                    "positions for",
                    "Shorten it, or add --truncate to cut it there",
                )
            notes += (f"The {what} was cut to {most} of its {count} tokens",)
        keep = slice(None) if count <= most else slice(0, most - 1)
        pieces = self._pieces(encoding, text, keep, plain)
        if count > most:
            pieces = pieces.ended(END, self.name_of(END))
        if what == "text":
            notes += self._guessing(pieces.tokens())
        return pieces, notes

    def pieces_of(self, ids: Sequence[int]) -> Pieces:
        """Return the pieces of a text of exactly these tokens.

        Raises:
            InputError: there are more tokens than the model has positions.
        """
        template = self.encode("a")
        one = self._pieces(template, "a", slice(None), in_plain_characters("a", "text"))
        pieces = one.around(ids, [self.name_of(id_) for id_ in ids])
        if len(pieces.ids) > self.shape.positions:
            raise InputError(
                f"{len(pieces.ids)} tokens are more than the {self.shape.positions} that {self.name} has positions for",
                "Give fewer",
            )
        return pieces

    def _in_small_letters(self, text: str) -> tuple[Encoding, tuple[str, ...]]:
        """Tokenize a text with the words that are shouted as they would be in small letters, with a note.

        The training texts hold few capitals, so words in capitals are tokenized into pieces that say little.
        """
        small = self._untitled(text)
        if small != text:
            note = f"All words begin with capitals, as in a title: {self.name} reads “{shortened(small)}”"
            return self.encode(small), (note,)
        encoding = self.encode(text)
        small, shouted = self._quiet(text)
        if not shouted:
            return encoding, ()
        whole = "The text is" if text.isupper() else f"{_listed(shouted)} {'is' if len(shouted) == 1 else 'are'}"
        note = f"{whole} in capitals, which {self.name} cannot read: {self.name} reads “{shortened(small)}”"
        return self.encode(small), (note,)

    def _untitled(self, text: str) -> str:
        """Write a title, in which all words begin with a capital, as a sentence; names keep theirs.

        A text is a title if a word that is never a name, such as *The* or *On*, has a capital within it. Known
        words that are one token in small letters, or fewer than with a capital, get these, as names are not.
        """
        words = [*WORD.finditer(text)]
        heard = [word.group() for word in words]
        if len(words) < 2 or not all(word == "I" or word[:1].isupper() for word in heard) or text.isupper():
            return text
        if not any(word.lower() in SMALL_WORDS and not word[1:].isupper() for word in heard[1:]):
            return text
        parts, done = [], 0
        for word in words:
            before = STARTS.search(text, max(word.start() - AROUND, 0), word.start())
            small = word.group().lower()
            lowered = (
                before is None
                and word.group()[1:] == small[1:]
                and len(small) == len(word.group())
                and (small in SMALL_WORDS or (self._knows(small) and self._is_shorter(small, word.group())))
            )
            parts += [text[done : word.start()], small if lowered else word.group()]
            done = word.end()
        return "".join([*parts, text[done:]])

    def _is_shorter(self, small: str, word: str) -> bool:
        """Return whether a word is rather read in small letters: as one token, or as fewer than with its capital."""
        count = self._count(small)
        return count == 1 or count < self._count(word)

    def _quiet(self, text: str) -> tuple[str, list[str]]:
        """Write the words that are shouted in small letters; return the text, of the same length, and these words.

        A row of words in capitals is shouted if small letters make two of them shorter in tokens, one of four letters
        or more by two, or one of three or more a single token. Words that the model does not know keep their first
        capital, as names have it.
        """
        parts: list[str] = []
        shouted: dict[str, None] = {}
        done = 0
        for loud, row in groupby(WORD.finditer(text), key=lambda word: word.group().isupper()):
            words = [one for one in row if len(one.group().lower()) == len(one.group())] if loud else []
            if not self._is_shouted({one.group() for one in words}):
                continue
            for word in words:
                before = STARTS.search(text, max(word.start() - AROUND, 0), word.start())
                said = self._said(word.group(), first=before is not None)
                parts += [text[done : word.start()], said]
                done = word.end()
                if said != word.group():
                    shouted[word.group()] = None
        return "".join([*parts, text[done:]]), list(shouted)

    def _is_shouted(self, words: Collection[str]) -> bool:
        """Return whether a row of words in capitals is shouted, rather than an abbreviation such as *USA*."""
        counts = [
            (self._count(word.lower()), self._count(word), word)
            for word in words
            if len(word) > 1 and self._knows(word)
        ]
        heard = [(small, word) for small, large, word in counts if small < large]
        much = any(small + 1 < large and len(word) > 3 for small, large, word in counts)
        return much or len(heard) > 1 or any(small == 1 and len(word) > 2 for small, word in heard)

    def _said(self, word: str, *, first: bool) -> str:
        """Write a word in capitals as it is written where nothing is shouted; `first` in a sentence."""
        if word == "I" or word.startswith(("I'", "I’")):
            return "I" + word[1:].lower()
        return word.capitalize() if first or not self._knows(word) else word.lower()

    def _knows(self, word: str) -> bool:
        plain = in_plain_characters(word, "text").text.strip("'").lower()
        return not self._known_words or plain in self._known_words

    def _count(self, word: str) -> int:
        """Count the tokens of a word, the end token aside."""
        return len(self.encode(word).ids) - 1

    @staticmethod
    def _pieces(encoding: Encoding, text: str, keep: slice, plain: TypedText) -> Pieces:
        return Pieces(
            text=text,
            pair=None,
            ids=tuple(encoding.ids[keep]),
            names=tuple(encoding.tokens[keep]),
            offsets=tuple(plain.typed(*offsets) for offsets in encoding.offsets[keep]),
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
        rare = list(dict.fromkeys(word for word, count in words if not self._knows(word) or self._shouted(word, count)))
        if not rare:
            return ()
        said = f"{self.name} has hardly seen {_listed(rare)} in training, and may be wrong there"
        if 2 * len(rare) > len(words) > FEW:
            said = f"{self.name} reads English, and has hardly seen {_listed(rare)}"
        return (f"{said}; try a larger model with --model",)

    def _shouted(self, word: str, pieces: int) -> bool:
        """Return whether a word is in capitals and has more pieces than it would have in small letters."""
        return len(word) > 1 and word.isupper() and pieces > self._count(word.lower())

    def written(self, translation: Translation) -> Pieces:
        """Return the pieces of a translation, exactly as it was written."""
        ids = translation.ids
        parts = self.decode([ids[1:count] for count in range(1, len(ids) + 1)])
        growing = (HALF.sub("", part).lstrip() for part in parts)
        return Pieces(
            text=translation.text,
            pair=None,
            ids=translation.ids,
            names=tuple(self.name_of(one) for one in ids),
            offsets=tuple(written_offsets(translation.text, growing)),
            special=tuple(one in {PAD, END} for one in ids),
            segments=(0,) * len(ids),
        )

    def encode(self, text: str) -> Encoding:
        """Tokenize a text, end token included.

        Raises:
            ModelError: the tokenizer fails, or knows tokens that the model does not.
        """
        problem = f"The tokenizer of {self.name} fails on this text"
        with library_told(problem, self._remedy):
            # Only encode_batch lets other threads run, among them the one that watches the time.
            made = in_time(lambda: self.tokenizer.encode_batch([text]), len(text), problem, self._remedy)
        encoding: Encoding = made[0]
        if max(encoding.ids, default=0) >= self.shape.vocabulary:
            raise ModelError(
                f"The tokenizer of {self.name} knows more tokens than the model ({max(encoding.ids)} is not below "
                f"{self.shape.vocabulary})",
                self._remedy,
            )
        return encoding

    def spell(self, ids: Sequence[int]) -> str:
        """Return the text of the tokens that were written, without bytes that make no letter.

        Raises:
            ModelError: the tokenizer fails.
        """
        return HALF.sub("", self.decode([ids])[0]).strip()

    def decode(self, parts: Sequence[Sequence[int]]) -> list[str]:
        """Decode each run of tokens to text, special tokens left out.

        Raises:
            ModelError: the tokenizer fails.
        """
        problem = f"The tokenizer of {self.name} fails on what was written"
        with library_told(problem, self._remedy):
            return in_time(
                lambda: self.tokenizer.decode_batch([list(ids) for ids in parts]),
                sum(map(len, parts)),
                problem,
                self._remedy,
            )

    def name_of(self, token: int) -> str:
        """Return a token as the vocabulary spells it."""
        return str(self.tokenizer.id_to_token(token))


def _listed(words: Sequence[str]) -> str:
    """List words for a note, shortened, and all but the first of many as their number."""
    more = len(words) - LISTED
    return ", ".join(map(shortened, words[:LISTED])) + (f" and {more} more" if more > 0 else "")
