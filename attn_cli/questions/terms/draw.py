"""Drawing of the glossary: the terms below each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Group
from rich.text import Text

from attn_cli.draw.labels import clean, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, drawing, flow, line
from attn_cli.io.csv import CsvTable
from attn_cli.io.document import begin
from attn_cli.questions.terms.glossary import Term
from attn_cli.system.encoding import json_bytes

__all__ = ["Glossary"]


class Glossary:
    """A list of terms, drawn and saved like an answer about a model.

    Args:
        terms: the terms, in the order in which they are shown.
    """

    title = ""
    notes: tuple[str, ...] = ()
    columns = ("name", "formula", "meaning", "shown", "source", "also")

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms

    def draw(self, screen: Screen) -> Group:
        """Draw the terms."""
        return _listed(self._terms, screen)

    def data(self) -> bytes:
        """Encode the terms as a line of JSON."""
        document = {
            **begin(),
            "finding": "terms",
            "terms": [asdict(term) for term in self._terms],
        }
        return json_bytes(document)

    def add_rows(self, table: CsvTable, sentence: int) -> None:
        """Write a row for each term."""
        columns = self.columns[:-1]
        table.add(
            ([*(getattr(term, name) for name in columns), "; ".join(term.also)] for term in self._terms), sentence
        )


def _listed(terms: Sequence[Term], screen: Screen) -> Group:
    """Draw each term with its formula, its meaning, and where it is shown."""
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
