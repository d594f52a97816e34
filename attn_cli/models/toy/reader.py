"""Texts as the tokens of a built-in model, and its tokens as texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attn_cli.data.text import Tokens, written_offsets
from attn_cli.errors import InputError, ModelError, shortened
from attn_cli.models import Translation
from attn_cli.models.compiled import in_time, library_told
from attn_cli.models.encoding import Pieces
from attn_cli.models.toy.folder import ToyFolder
from attn_cli.models.toy.search import END, PAD
from attn_cli.system.encoding import check_text

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

__all__ = ["ToyReader"]

CAPITAL = re.compile(r"\bi\b|(?<=[.?!] )\w")
"""Pattern of letters that stay capitals in a text in small letters: the word *I*, and the first of a sentence."""
LISTED = 8
"""Most rare words to name in a note."""


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

    def read(self, text: str, what: str, truncate: bool) -> tuple[Pieces, tuple[str, ...]]:
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
        encoding, notes = self._in_small_letters(text) if what == "text" else (self.encode(text), ())
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
        pieces = self._pieces(encoding, text, keep)
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
        pieces = self._pieces(template, "a", slice(None)).around(ids, [self.name_of(id_) for id_ in ids])
        if len(pieces.ids) > self.shape.positions:
            raise InputError(
                f"{len(pieces.ids)} tokens are more than the {self.shape.positions} that {self.name} has positions for",
                "Give fewer",
            )
        return pieces

    def _in_small_letters(self, text: str) -> tuple[Encoding, tuple[str, ...]]:
        """Tokenize a text; if it is all in capitals, as it would be in small letters, with a note.

        The training texts hold few capitals, so words in capitals are tokenized into pieces that say little.
        """
        encoding = self.encode(text)
        if text.isupper():
            small = CAPITAL.sub(lambda found: found.group().upper(), text.capitalize())
            if len(small) == len(text):  # or the tokens' places in it would be wrong in the text
                read = self.encode(small)
                if len(read.ids) < len(encoding.ids):
                    name = self.name
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
        return (f"{self.name} has hardly seen {listed} in training and is guessing; --model names a larger model",)

    def _shouted(self, word: str, pieces: int) -> bool:
        """Return whether a word is in capitals and has more pieces than it would have in small letters."""
        return len(word) > 1 and word.isupper() and pieces > len(self.encode(word.lower()).ids) - 1

    def written(self, translation: Translation) -> Pieces:
        """Return the pieces of a translation, exactly as it was written."""
        ids = translation.ids
        growing = (part.lstrip() for part in self.decode([ids[1:count] for count in range(1, len(ids) + 1)]))
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
