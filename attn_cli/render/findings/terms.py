"""The words that the tables use, below each other."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from attn_cli.render.labels import clean, width
from attn_cli.render.paint import BOLD, DIM, PLAIN, drawing, flow, line
from attn_cli.render.screen import Screen
from attn_cli.terms import Term

__all__ = ["glossary"]


def glossary(terms: Sequence[Term], screen: Screen) -> Group:
    """Each term with its formula, its meaning, and where it is shown."""
    lines: list[Text] = []
    for term in terms:
        lines += [line()] if lines else []
        name, formula = (clean(text, unicode=screen.unicode) for text in (term.name, term.formula))
        if formula and width(f"{name} = {formula}") <= screen.width:
            lines.append(line((name, BOLD), (" = ", DIM), (formula, PLAIN)))
        else:
            lines += [line((name, BOLD)), *_words(f"= {formula}" if formula else "", screen)]
        lines += _words(term.meaning, screen)
        lines += _words(f"Shown in: {term.shown}." if term.shown else "", screen, quiet=True)
        lines += _words(f"From: {term.source}." if term.source else "", screen, quiet=True)
    return drawing(lines)


def _words(text: str, screen: Screen, *, quiet: bool = False) -> list[Text]:
    style = DIM if quiet else PLAIN
    return flow([[(clean(word, unicode=screen.unicode), style)] for word in text.split()], screen, between=" ")
