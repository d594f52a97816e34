"""Labels and other text of models or users, made safe to show and fitted to a number of cells.

No other module of `attn_cli.draw` may put such text on a screen: here control sequences are disarmed, invisible
characters become visible, and widths are those that terminals use. Widths come from Rich's table (`rich.cells`: East
Asian wide characters, emoji, combining marks; what Unicode calls ambiguous is one cell), except for spacing marks:
most terminals give them a cell, and Rich none (see `width`). Characters whose width differs between terminals are
replaced.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

from rich.cells import cell_len, get_character_cell_size, split_graphemes

__all__ = ["Labels", "clean", "clipped", "clipped_name", "fit", "fit_name", "letters", "name_width", "width"]

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
DOTTED_CIRCLE = "\N{DOTTED CIRCLE}"
JOINER = "\N{ZERO WIDTH JOINER}"
NON_JOINER = "\N{ZERO WIDTH NON-JOINER}"
LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"
FLAGS = ord("\N{REGIONAL INDICATOR SYMBOL LETTER A}"), ord("\N{REGIONAL INDICATOR SYMBOL LETTER Z}")
"""Range of characters of which two make a flag, two cells wide. One alone takes one or two, by terminal."""
TONES = ord("\N{EMOJI MODIFIER FITZPATRICK TYPE-1-2}"), ord("\N{EMOJI MODIFIER FITZPATRICK TYPE-6}")
"""Range of skin tones: no cell wide after an emoji that takes them, two elsewhere."""
NARROW_WITH_TONES = frozenset("☝⛹✌✍🏋🏌🕴🕵🖐")
RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


@dataclass(frozen=True)
class Labels:
    """Labels of one axis of a map: its rows or its columns.

    Raises:
        ValueError: the parts differ in length.
    """

    texts: Sequence[str]
    special: Sequence[bool] = ()
    """True for each special token; none by default."""
    positions: Sequence[int] = ()
    """The positions that a user refers to; counted from 0 by default."""
    numbers: Callable[[int], int | None] | None = None
    """A function from an index to the number of that occurrence of its text, or None if the text occurs once.

    By default occurrences are counted among these texts.
    """

    second_segment: int | None = None
    """Index of the first label of a text's second segment, which is set apart; None if there are not two."""

    def __post_init__(self) -> None:
        for name, default in (("special", (False,) * len(self.texts)), ("positions", range(len(self.texts)))):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, tuple(default))
            elif len(getattr(self, name)) != len(self.texts):
                raise ValueError(f"{len(self.texts)} labels but {len(getattr(self, name))} {name}")

    def __len__(self) -> int:
        return len(self.texts)

    def within(self, places: range) -> Labels:
        """Return the labels of some places in a row, with their own positions and numbers."""
        some = slice(places.start, places.stop)
        second = None if self.second_segment is None else self.second_segment - places.start
        return Labels(
            self.texts[some],
            self.special[some],
            self.positions[some],
            lambda index: self._number(places.start + index),
            second if second is not None and 0 <= second < len(places) else None,
        )

    def named(self, index: int) -> str:
        """Return the name that a user gives a label: its text, with `#2` if it is the second such text."""
        return "".join(self.parts(index))

    def parts(self, index: int) -> tuple[str, str]:
        """Return the name in two parts: the text, and `#2` or an empty string."""
        number = self._number(index)
        return self.texts[index], "" if number is None else f"#{number}"

    @cached_property
    def _number(self) -> Callable[[int], int | None]:
        return cache(self._counted if self.numbers is None else self.numbers)

    def _counted(self, index: int) -> int | None:
        same = [i for i, other in enumerate(self.texts) if other == self.texts[index]]
        return None if len(same) == 1 else same.index(index) + 1


@lru_cache(maxsize=8192)
def clean(text: str, *, unicode: bool = True) -> str:
    """Make any text safe to show as one line of text.

    Control characters become their pictures (`␛` for escape, `␀` for NUL), so that a control sequence is shown and not
    executed; invisible or reordering characters (bidirectional controls, zero-width space) become `�`; spaces at the
    ends become `␣`; a mark without a base character gets a dotted circle. Joiners stay where they join emoji. Whatever
    differs in width between terminals is dropped or replaced: variation selectors are dropped, half a flag becomes a
    wide letter, and a skin tone without an emoji becomes `�`.

    Args:
        text: any text.
        unicode: True to allow all of Unicode; otherwise the result is ASCII: accents are dropped, and any other
            character becomes `?`.
    """
    if text.isascii() and text.isprintable() and text.strip() == text:
        return text
    bare = "".join(character for character in text if not _is_selector(character))
    shown = "".join(_shown(bare, index) for index in range(len(bare)))
    core = shown.strip(" ")
    before = len(shown) - len(shown.lstrip(" "))
    shown = "␣" * before + core + "␣" * (len(shown) - before - len(core))
    if shown and _stands_on_nothing(shown):
        shown = DOTTED_CIRCLE + shown
    return shown if unicode else _ascii(shown)


def _shown(text: str, index: int) -> str:
    character = text[index]
    code = ord(character)
    if " " < character <= "~":
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    if character == JOINER:
        joins = 0 < index < len(text) - 1 and _pictorial(text[index - 1]) and _pictorial(text[index + 1])
        return JOINER if joins else ""
    if FLAGS[0] <= code <= FLAGS[1] and _is_half(text, index):
        return chr(ord("\N{FULLWIDTH LATIN CAPITAL LETTER A}") + code - FLAGS[0])
    if TONES[0] <= code <= TONES[1] and not (index and _takes_tone(text[index - 1])):
        return UNKNOWN
    category = unicodedata.category(character)
    if category in ("Zl", "Zp"):
        return "␤"
    if category == "Zs":
        return " " if character == " " else "␣"
    if category in ("Cc", "Cs") or (category == "Cf" and character != NON_JOINER):
        return UNKNOWN
    return character


def _is_half(text: str, index: int) -> bool:
    """Return whether a regional indicator is unpaired; they pair from the start of a run."""
    start = index
    while start and FLAGS[0] <= ord(text[start - 1]) <= FLAGS[1]:
        start -= 1
    last = index + 1 == len(text) or not FLAGS[0] <= ord(text[index + 1]) <= FLAGS[1]
    return last and (index - start) % 2 == 0


def _takes_tone(character: str) -> bool:
    """Return whether a character is an emoji that can have a skin tone."""
    wide = unicodedata.category(character) == "So" and get_character_cell_size(character) == 2
    return wide or character in NARROW_WITH_TONES


def _pictorial(character: str) -> bool:
    """Return whether a character can be part of an emoji: a symbol or a skin tone."""
    return unicodedata.category(character) in ("So", "Sk")


def _is_selector(character: str) -> bool:
    """Return whether a character is a variation selector, which can change the width of the character before it."""
    return "\N{VARIATION SELECTOR-1}" <= character <= "\N{VARIATION SELECTOR-16}" or (
        "\N{VARIATION SELECTOR-17}" <= character <= "\N{VARIATION SELECTOR-256}"
    )


def _stands_on_nothing(text: str) -> bool:
    return get_character_cell_size(text[0]) == 0 or unicodedata.category(text[0]).startswith("M")


def _ascii(text: str) -> str:
    pictures = str.maketrans({"␣": "_", "␤": "\\", UNKNOWN: "?", DOTTED_CIRCLE: "?"})
    bare = (c for c in unicodedata.normalize("NFKD", text.translate(pictures)) if not unicodedata.combining(c))
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in bare)


@lru_cache(maxsize=8192)
def width(text: str) -> int:
    """Measure clean text in cells.

    The widths are those of Rich's table, plus one cell for each spacing mark (Unicode's class Mc, such as vowel signs
    of Devanagari and Tamil), as in xterm, VTE's terminals and glibc.
    """
    if text.isascii():
        return len(text)
    return cell_len(text) + sum(unicodedata.category(character) == "Mc" for character in text)


def letters(text: str) -> list[str]:
    """Split clean text into graphemes (a letter with its marks, an emoji with its parts)."""
    spans, _ = split_graphemes(text)
    return [text[start:stop] for start, stop, _ in spans]


@lru_cache(maxsize=8192)
def fit(text: str, cells: int, *, align: str = "left", keep: str = "start", unicode: bool = True) -> str:
    """Clean any text and fit it to exactly `cells` cells: cut with `…` if it is too long, else padded with spaces.

    A cut that would split a wide character leaves a space. Right-to-left text is followed by a left-to-right mark, so
    that a terminal which reorders lines does not move the numbers beside it.

    Args:
        text: any text.
        cells: width in cells.
        align: `left`, `right` or `center`.
        keep: the part of too long a text to keep: `start` or `end`.
        unicode: see `clean`.
    """
    shown = clean(text, unicode=unicode)
    if width(shown) > cells:
        ellipsis = "…" if unicode else "~"
        kept: list[str] = []
        room = cells - 1
        ends = keep == "end"
        for letter in reversed(letters(shown)) if ends else letters(shown):
            room -= width(letter)
            if room < 0:
                break
            kept.append(letter)
        shown = (ellipsis + "".join(reversed(kept)) if ends else "".join(kept) + ellipsis) if cells > 0 else ""
    space = cells - width(shown)
    if not shown.isascii() and any(unicodedata.bidirectional(c) in RIGHT_TO_LEFT for c in shown):
        shown += LEFT_TO_RIGHT
    left = {"left": 0, "right": space, "center": space // 2}[align]
    return " " * left + shown + " " * (space - left)


def clipped(text: str, most: int, *, unicode: bool = True) -> str:
    """Clean a text and cut it to at most `most` cells, without padding (see `fit`)."""
    shown = clean(text, unicode=unicode)
    return fit(shown, min(width(shown), most), unicode=unicode)


def fit_name(name: tuple[str, str], cells: int, *, align: str = "left", unicode: bool = True) -> str:
    """Fit a text and its occurrence number to exactly `cells` cells, cutting only the text.

    Args:
        name: text and occurrence number, as `Labels.parts` returns them.
        cells: width in cells.
        align: `left` or `right`.
        unicode: see `clean`.
    """
    text, number = name
    if not number or len(number) >= cells:
        return fit(text, cells, align=align, unicode=unicode)
    shown = clipped(text, cells - len(number), unicode=unicode) + number
    space = " " * (cells - width(shown))
    return space + shown if align == "right" else shown + space


def name_width(name: tuple[str, str], *, unicode: bool = True) -> int:
    """Measure a text and its occurrence number in cells."""
    return width(clean(name[0], unicode=unicode)) + len(name[1])


def clipped_name(name: tuple[str, str], most: int, *, unicode: bool = True) -> str:
    """Cut a text and its occurrence number to at most `most` cells; see `fit_name`."""
    return fit_name(name, min(name_width(name, unicode=unicode), most), unicode=unicode)
