"""Chats as a model reads them: rendered by its own template, with the place of each turn and of the template's marks.

Templates do not say what of a prompt is theirs. So each chat is rendered once more with a mark in the place of each
turn's content, and what stands between those marks is the template's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from attn_cli.data.parts import parts_from
from attn_cli.data.text import ANSWER, Part
from attn_cli.data.turns import Turn
from attn_cli.errors import ModelError, quoted
from attn_cli.models import no_template
from attn_cli.models.hf.loading import faults_told

__all__ = ["Rendered", "render"]

REMEDY = "Change the turns, or give the text itself"
PLACE = re.compile(r"attnturn(\d+)x")
"""A mark in the place of a turn's content: plain letters, which no template changes."""


@dataclass(frozen=True)
class Rendered:
    """A chat as a model reads it."""

    text: str
    marks: tuple[tuple[int, int], ...]
    """First character of each stretch that is the template's own, and one past its last."""
    parts: tuple[Part, ...]
    """Each turn with its marks; then `ANSWER`, where the model is to write a turn of its own."""


def render(tokenizer: PreTrainedTokenizerBase, name: str, turns: Sequence[Turn], *, answers: bool) -> Rendered:
    """Render a chat with a model's own template.

    Args:
        tokenizer: the model's own tokenizer.
        name: the model's name, for messages.
        turns: the turns.
        answers: also begin the turn that the model is to write; a last turn that is the assistant's goes on instead.

    Raises:
        ModelError: the model has no template, or it fails at these turns, or leaves some out.
    """
    if not tokenizer.chat_template:
        raise no_template(name)
    return _Template(tokenizer, name, answers and turns[-1].role != "assistant", answers).read(turns)


@dataclass(frozen=True)
class _Template:
    """A model's chat template."""

    tokenizer: PreTrainedTokenizerBase
    name: str
    begins: bool
    """True to begin the answer."""
    answers: bool

    def read(self, turns: Sequence[Turn]) -> Rendered:
        """Render turns, and find each."""
        text = self._rendered(turns)
        turns = self._with_own_system(turns, text)
        places = [replace(turn, content=f"attnturn{index}x") for index, turn in enumerate(turns)]
        skeleton = self._rendered(places)
        split = PLACE.split(skeleton)
        between, order = split[::2], [int(number) for number in split[1::2]]
        for index in range(len(turns)):
            if order.count(index) != 1:
                raise self._not_found(places, skeleton, index, order.count(index))
        contents = self._contents(text, between, [turns[index].content for index in order])
        inner = [0, *(end for span in contents for end in span), len(text)]
        marks = tuple((start, end) for start, end in zip(inner[::2], inner[1::2], strict=True) if start < end)
        return Rendered(text, marks, self._parts(text, places, skeleton, order, contents))

    def _not_found(self, places: Sequence[Turn], skeleton: str, index: int, count: int) -> ModelError:
        """Return the error for a turn that a template leaves out, changes or repeats.

        Args:
            places: the turns, with a mark as the content of each.
            skeleton: the chat of these, as it is rendered.
            index: the turn.
            count: how often its mark stands there.
        """
        changed = [*places]
        changed[index] = replace(places[index], content="another")
        if not count and self._tried(changed) == skeleton:
            what = f"does not read turn {index + 1}, whose role is {quoted(places[index].role)}"
            return ModelError(f"The chat template of {self.name} {what}", "Leave it out, or give the text itself")
        what = "repeats" if count else "changes the letters of"
        return self._without_place(f"{what} turn {index + 1}")

    def _without_place(self, what: str) -> ModelError:
        return ModelError(
            f"The chat template of {self.name} {what}, so its place cannot be told", "Give the text itself"
        )

    def _rendered(self, turns: Sequence[Turn], *, whole: bool = True) -> str:
        """Render turns as one text.

        Args:
            turns: the turns.
            whole: True if they are the whole chat, which the answer may follow.

        Raises:
            ModelError: the template fails.
        """
        render: Any = self.tokenizer.apply_chat_template
        goes_on = whole and self.answers and not self.begins
        with faults_told(f"The chat template of {self.name} refuses these turns", REMEDY):
            return str(
                render(
                    [turn.message for turn in turns],
                    tokenize=False,
                    add_generation_prompt=whole and self.begins,
                    continue_final_message=goes_on,
                )
            )

    def _tried(self, turns: Sequence[Turn], *, whole: bool = True) -> str | None:
        """Render turns that the template may refuse, as they are not the user's."""
        try:
            return self._rendered(turns, whole=whole)
        except ModelError:
            return None

    def _with_own_system(self, turns: Sequence[Turn], text: str) -> Sequence[Turn]:
        """Add the system turn that the template itself puts before a chat without one."""
        if turns[0].role == "system":
            return turns
        place = Turn("system", "attnturn0x")
        explicit = self._tried([place, *turns])
        before, found, behind = (explicit or "").partition(place.content)
        if not found or not text.startswith(before) or not text[len(before) :].endswith(behind):
            return turns
        own = text[len(before) : len(text) - len(behind)]
        system = Turn("system", own)
        return [system, *turns] if own.strip() and self._tried([system, *turns]) == text else turns

    def _contents(self, text: str, between: Sequence[str], contents: Sequence[str]) -> list[tuple[int, int]]:
        """Find where each content stands in the text.

        Args:
            text: the chat as it is rendered.
            between: what the template puts before, between and behind the contents.
            contents: the contents in the order of the text; the template may have changed them.

        Raises:
            ModelError: the template changed what stands between them as well.
        """
        found = []
        place = 0
        for index, content in enumerate(contents):
            start, after = place + len(between[index]), between[index + 1]
            last = index + 1 == len(contents)
            ways = [start + len(way) for way in (content, content.strip()) if text.startswith(way, start)]
            end = next((end for end in ways if (text[end:] == after if last else text.startswith(after, end))), None)
            if end is None and (last or after):
                end = text.find(after, start) if not last else len(text) - len(after) if text.endswith(after) else -1
            if not text.startswith(between[index], place) or end is None or end < start:
                raise self._without_place(f"changes turn {index + 1}")
            found.append((start, end))
            place = end
        return found

    def _parts(
        self,
        text: str,
        places: Sequence[Turn],
        skeleton: str,
        order: Sequence[int],
        contents: Sequence[tuple[int, int]],
    ) -> tuple[Part, ...]:
        """Say where each turn begins: where the chat up to it ends, if it does so in the same way."""
        marks = [match.span() for match in PLACE.finditer(skeleton)]
        starts = [(places[order[0]].role, 0)]
        for index in range(1, len(order) + self.begins):
            last = index == len(order)
            before = self._tried([places[one] for one in sorted(order[:index])], whole=False)
            begun = contents[index - 1][1]  # at the latest behind the content before it
            if before is not None and skeleton.startswith(before) and len(before) >= marks[index - 1][1]:
                begun += len(before) - marks[index - 1][1]
            starts.append((ANSWER if last else places[order[index]].role, begun))
        return parts_from(starts, len(text))
