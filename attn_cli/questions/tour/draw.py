"""Drawing of the tour: plain words, pictures that the other questions draw, and the commands that make them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.answer import Answer
from attn_cli.draw.colors import strongest_mark
from attn_cli.draw.labels import clean, clipped, letters, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import (
    BOLD,
    DIM,
    PLAIN,
    Part,
    bar,
    caption_lines,
    cells,
    drawing,
    emphasized,
    flow,
    line,
    stacked,
)
from attn_cli.draw.table import GAP
from attn_cli.errors import counted
from attn_cli.questions.tour.measure import Chapter, SideBySide, Tour

__all__ = ["draw"]

WIDEST_TEXT = 96
"""Columns of a line of text, however wide the screen is."""
ASCII = str.maketrans({"“": '"', "”": '"', "·": ".", "→": ">", "■": strongest_mark(unicode=False)})
"""The characters of the chapters' words -> what is drawn in their place where there is only ASCII."""
WORD = r'(?:"(?:\\.|[^"\\])*"|[^\s"])+'
"""A word of a command, as a shell divides it."""
CONTINUED = " \\"
"""The end of a line of a command that goes on in the next."""


def draw(answer: Tour, screen: Screen) -> Group:
    """Draw the chapters below each other."""
    return stacked([_chapter(number, chapter, answer.total, screen) for number, chapter in answer.chapters.items()])


def _chapter(number: int, chapter: Chapter, total: int, screen: Screen) -> Group:
    head = _heading(number, chapter, total, screen)
    above = drawing([*head, *_words(chapter.about, screen)])
    notes = [drawing(caption_lines(chapter.note, screen))] if chapter.note else []
    below = [
        drawing(_words(chapter.found, screen)),
        drawing([*caption_lines(_made_by(chapter), screen), *_commands(chapter.commands, screen)]),
    ]
    frame = screen if chapter.width is None else replace(screen, width=min(chapter.width, screen.width))
    pictures: list[RenderableType] = [
        picture.draw(frame) if isinstance(picture, Answer) else _side_by_side(picture, screen)
        for picture in chapter.pictures
    ]
    return stacked([above, *notes, *pictures, *below])


def _heading(number: int, chapter: Chapter, total: int, screen: Screen) -> list[Text]:
    """Draw the title, and a rule from one end of the screen to the other with the way that is left."""
    place = f"{number} of {total}"
    room = screen.width - len(place) - len(GAP)
    title = clipped(chapter.title, room, unicode=screen.unicode)
    way = bar(number / total, screen.width, screen, rail=True)
    return [line((title, BOLD), (" " * (room - width(title)) + GAP, PLAIN), (place, DIM)), line(*way)]


def _words(paragraph: str, screen: Screen) -> list[Text]:
    """Wrap plain words, on lines that are not too long to read; a word longer than a line continues on the next."""
    page = replace(screen, width=min(screen.width, WIDEST_TEXT))
    shown = paragraph if screen.unicode else paragraph.translate(ASCII)
    words = [clean(word, unicode=screen.unicode) for word in shown.split()]
    return flow([[(piece, PLAIN)] for word in words for piece in _pieces(word, page.width)], page, between=" ")


def _pieces(word: str, room: int) -> list[str]:
    """Split a word into pieces that fit a line."""
    pieces = [""]
    for letter in letters(word):
        if width(pieces[-1]) + width(letter) > room:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _side_by_side(picture: SideBySide, screen: Screen) -> Group:
    """Draw what several models make of a text, below a translation by hand if there is one."""
    count = counted(len(picture.text.split()), "word")
    rows = flow(
        [[(f"{count}:", DIM)], *([(clipped(word, screen.width), PLAIN)] for word in picture.text.split())],
        screen,
        between=" ",
    )
    by_hand = {"by hand": picture.reference} if picture.reference else {}
    longest = max(map(len, picture.translations))
    for name, text in (by_hand | dict(picture.translations)).items():
        rows += emphasized(text, picture.reference or text, screen, lead=name.ljust(longest), indent=longest + 1)
    if by_hand and screen.color:
        rows += caption_lines("Bold: words that the translation by hand does not have.", screen)
    return drawing(rows)


def _made_by(chapter: Chapter) -> str:
    return "This picture is made by" if len(chapter.commands) == 1 else "These pictures are made by"


def _commands(commands: Iterable[str], screen: Screen) -> Iterator[Text]:
    for command in commands:
        yield from _command(command, screen)


def _command(command: str, screen: Screen) -> list[Text]:
    """Write a command so that it can be copied: a line that is too long ends in a backslash, as shells read it."""
    rows: list[list[Part]] = [[]]
    room = screen.width - len(CONTINUED)

    def add(word: str) -> None:
        """Add a word behind a blank, or on a new line if there is no room for it."""
        used = cells(rows[-1])
        if used and used + 1 + width(word) > room:
            rows[-1].append((CONTINUED, DIM))
            rows.append([])
        elif used:
            rows[-1].append((" ", PLAIN))
        rows[-1].append((word, PLAIN))

    for word in re.findall(WORD, clean(command, unicode=screen.unicode)):
        for part in [word] if width(word) <= room else word.split(" "):
            first, *rest = _pieces(part, room)
            add(first)
            for piece in rest:
                rows[-1].append((CONTINUED.strip(), DIM))
                rows.append([(piece, PLAIN)])
    return [line(*row) for row in rows]
