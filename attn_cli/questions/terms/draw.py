"""Drawing of the glossary: the terms below each other."""

from __future__ import annotations

from rich.console import Group
from rich.text import Text

from attn_cli.draw.labels import clean, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, drawing, flow, line
from attn_cli.questions.terms.glossary import TERMS, Glossary

__all__ = ["draw"]


def draw(answer: Glossary, screen: Screen) -> Group:
    """Draw each term with its formula, its meaning, and where it is shown; before all of them, an index in groups."""
    lines = _index(answer, screen) if len(answer.terms) == len(TERMS) else []
    for term in answer.terms:
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


def _index(answer: Glossary, screen: Screen) -> list[Text]:
    lines: list[Text] = []
    for group, terms in answer.groups():
        names = [clean(term.name, unicode=screen.unicode) for term in terms]
        listed = [[(name + ("," if place < len(names) else ""), PLAIN)] for place, name in enumerate(names, 1)]
        lines += flow([[(f"{group}:", BOLD)], *listed], screen, between=" ", indent=2)
    return [*lines, *_words("All are explained below; attn terms WORD explains one.", screen, quiet=True)]


def _words(text: str, screen: Screen, *, quiet: bool = False) -> list[Text]:
    style = DIM if quiet else PLAIN
    return flow([[(clean(word, unicode=screen.unicode), style)] for word in text.split()], screen, between=" ")
