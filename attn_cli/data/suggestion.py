"""Suggestions: the commands that are worth trying after a screen, with the same text and model."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from attn_cli.data.image import patch_name
from attn_cli.data.naming import occurrence
from attn_cli.data.plan import Plan, name_head
from attn_cli.data.record import Record
from attn_cli.data.units import Units

__all__ = ["Suggestion", "suggest", "suggest_explaining", "typed_name"]

PLAIN = re.compile(r"[\w%+=:,./-][\w%+=:,./#-]*", re.ASCII)
"""A word that a shell takes as it is."""
SPECIAL = re.compile(r'["\\$`!]')
"""Characters that a shell reads between double quotes."""
NAME = re.compile(r"[^\W\d_]+(['’-][^\W\d_]+)*")
"""A label that names its unit and nothing else."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A command to try next."""

    command: str
    text: str | None = None
    """The text to give it; None if it takes none."""
    options: tuple[str, ...] = ()
    model: str | None = None
    """The model to give it; None if it takes none."""
    beside: str | None = None
    """A second text to give it, after the first."""

    def typed(self, default_model: str, *, placeholder: str | None = None) -> str:
        """Return the command as a shell takes it.

        Args:
            default_model: the model that the command takes by itself.
            placeholder: a word in place of the text, if that is too long to be shown.
        """
        given = [text for text in (self.text, self.beside) if text is not None]
        texts = [_quoted(text) for text in given]
        if texts and placeholder is not None:
            texts[0] = placeholder
        options = [_quoted(option) for option in self.options]
        if self.model not in (None, default_model):
            options += ["--model", _quoted(self.model or "")]
        # A text that begins like an option is one only after `--`, behind which there are no options.
        last = any(text.startswith("-") and text != "-" for text in given)
        return " ".join(["attn", self.command, *([*options, "--", *texts] if last else [*texts, *options])])


def suggest(record: Record, command: str, *options: str) -> Suggestion | None:
    """Suggest a command for a record's text and model.

    Returns:
        The suggestion; None where the command would show another text or model: that of two segments, that with heads
        cut, or other kinds, units and measures than by default; for a prompt of several parts, such as a chat; for an
        image, of which a record has the name alone; and for a matrix, whose model is not known.
    """
    if record.source.grid is not None:
        return None
    known = record.model.captured != "given" and not record.model.without
    if not record.selection.plain or record.source.pair is not None or record.source.parts or not known:
        return None
    return Suggestion(command, record.source.text, options, record.model.name)


def suggest_explaining(record: Record, plan: Plan, place: tuple[int, int], query: int) -> Suggestion | None:
    """Suggest to explain a row of one head; None where its row is not that of a word of the text read.

    Args:
        record: the record of the run.
        plan: the plan whose units are counted.
        place: layer and head.
        query: the index of the row.
    """
    if plan.crosses or (plan.kind == "decoder" and "cross" in record.model.stacks):
        return None
    return suggest(record, "explain", "--query", typed_name(plan.queries, query), "--head", name_head(*place))


def typed_name(units: Units, index: int) -> str:
    """Return a name by which every command finds a unit: its text, as in `it#2` where it is not the first, or `#11`."""
    label, cell = units.labels[index], units.cells[index]
    if cell is not None and label == patch_name(*cell):
        return label
    if not NAME.fullmatch(label):
        return f"#{units.positions[index]}"
    number = occurrence(units, index)
    return label if number is None else f"{label}#{number}"


def _quoted(word: str) -> str:
    if PLAIN.fullmatch(word):
        return word
    return shlex.quote(word) if SPECIAL.search(word) else f'"{word}"'
