"""Text that a model or a user wrote, made safe to show and fitted to a number of cells.

Nothing else in `render` may put such text on a screen: here control sequences lose their teeth, invisible characters
become visible, and widths are what the terminal will make of them. There is one table of widths, Rich's (`rich.cells`:
East Asian wide characters, emoji, combining marks; what Unicode calls ambiguous is one cell), but for marks that take
room of their own: most terminals give them a cell, and Rich none (see `width`). Where terminals disagree among
themselves, the character is replaced.
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
"""Two of these make a flag, of two cells. One alone has one cell or two, as the terminal likes."""
TONES = ord("\N{EMOJI MODIFIER FITZPATRICK TYPE-1-2}"), ord("\N{EMOJI MODIFIER FITZPATRICK TYPE-6}")
"""Skin tones: without a cell after an emoji that takes them, of two elsewhere."""
NARROW_WITH_TONES = frozenset("☝⛹✌✍🏋🏌🕴🕵🖐")
RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


@dataclass(frozen=True)
class Labels:
    """One axis of a map: what stands beside its rows or above its columns.

    Raises:
        ValueError: the parts differ in length.
    """

    texts: Sequence[str]
    special: Sequence[bool] = ()
    """Which are special tokens; none by default."""
    positions: Sequence[int] = ()
    """The number that a user calls each by; counted from 0 by default."""
    numbers: Callable[[int], int | None] | None = None
    """Which occurrence of its text each is, None where there is one alone; counted among these texts by default."""

    def __post_init__(self) -> None:
        for name, default in (("special", (False,) * len(self.texts)), ("positions", range(len(self.texts)))):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, tuple(default))
            elif len(getattr(self, name)) != len(self.texts):
                raise ValueError(f"{len(self.texts)} labels but {len(getattr(self, name))} {name}")

    def __len__(self) -> int:
        return len(self.texts)

    def named(self, index: int) -> str:
        """What a user calls one of them by: its text, with `#2` where it is the second that reads so."""
        return "".join(self.parts(index))

    def parts(self, index: int) -> tuple[str, str]:
        """The same in two parts: the text, and `#2` or nothing."""
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
    """Text that shows as text, whatever it is made of.

    Control characters become their pictures (`␛` for escape, `␀` for NUL), so that a control sequence is read and not
    obeyed; what is invisible or reorders the line (bidirectional controls, zero-width space) becomes `�`; spaces at the
    ends become `␣`; a mark with nothing to stand on gets a dotted circle. Joiners stay where they join emoji. What
    terminals disagree on how wide to make goes: variation selectors; half a flag, which becomes a wide letter; and a
    skin tone that colours nothing, which becomes `�`.

    Args:
        text: anything.
        unicode: where False, the answer is ASCII: accents are dropped, the rest becomes `?`.
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
    """Whether a part of a flag has no other part: they pair from the first of a run on."""
    start = index
    while start and FLAGS[0] <= ord(text[start - 1]) <= FLAGS[1]:
        start -= 1
    last = index + 1 == len(text) or not FLAGS[0] <= ord(text[index + 1]) <= FLAGS[1]
    return last and (index - start) % 2 == 0


def _takes_tone(character: str) -> bool:
    """Whether a character can have a skin tone: an emoji."""
    wide = unicodedata.category(character) == "So" and get_character_cell_size(character) == 2
    return wide or character in NARROW_WITH_TONES


def _pictorial(character: str) -> bool:
    """Part of an emoji: a symbol or a skin tone."""
    return unicodedata.category(character) in ("So", "Sk")


def _is_selector(character: str) -> bool:
    """Chooses between two looks of the character before, of which one may be wider."""
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
    """Cells that clean text takes: in Rich's table, and one for each spacing mark (Unicode's class Mc, such as vowel
    signs of Devanagari and Tamil), as in xterm, VTE's terminals and glibc.
    """
    if text.isascii():
        return len(text)
    return cell_len(text) + sum(unicodedata.category(character) == "Mc" for character in text)


def letters(text: str) -> list[str]:
    """Clean text as what a reader calls letters (a letter with its marks, an emoji with its parts)."""
    spans, _ = split_graphemes(text)
    return [text[start:stop] for start, stop, _ in spans]


@lru_cache(maxsize=8192)
def fit(text: str, cells: int, *, align: str = "left", keep: str = "start", unicode: bool = True) -> str:
    """Any text, cleaned, in exactly so many cells: cut with `…` where it is too long, else filled with spaces.

    A cut that would split a wide character leaves a space. Right-to-left text is followed by a left-to-right mark, so
    that a terminal which reorders lines does not carry the numbers beside it away.

    Args:
        text: anything.
        cells: how wide.
        align: `left`, `right` or `center`.
        keep: the `start` or the `end` of a text that is too long.
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
    """A text as it can be shown, on so many cells at most; not filled up where it is shorter (see `fit`)."""
    shown = clean(text, unicode=unicode)
    return fit(shown, min(width(shown), most), unicode=unicode)


def fit_name(name: tuple[str, str], cells: int, *, align: str = "left", unicode: bool = True) -> str:
    """A text and the number of its occurrence in exactly so many cells, the text alone cut where it is too long.

    Args:
        name: as `Labels.parts` gives it.
        cells: how wide.
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
    """Cells that a text and the number of its occurrence take."""
    return width(clean(name[0], unicode=unicode)) + len(name[1])


def clipped_name(name: tuple[str, str], most: int, *, unicode: bool = True) -> str:
    """A text and the number of its occurrence on so many cells at most; see `fit_name`."""
    return fit_name(name, min(name_width(name, unicode=unicode), most), unicode=unicode)
